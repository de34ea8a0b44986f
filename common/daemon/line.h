/* line.h: what the command line of every daemon has: --set, --log-level, the control pipe, fault
 * points. An argp child (line_argp) beside the daemon's own options; main thread.
 */
#ifndef COHORT_DAEMON_LINE_H
#define COHORT_DAEMON_LINE_H

#include <argp.h>

#include "common/base/err.h"

struct line {
    const char **sets; /* owned; the strings are argv's */
    size_t set_count;
    const char *log_level, *fault; /* NULL: not given */
    int parent_fd;                 /* -1: none; as LINE_NONE */
};

#define LINE_NONE ((struct line){.parent_fd = -1})

extern const struct argp line_argp; /* its input is a struct line */

/* Parses with the daemon's own argp, of which line_argp is a child. --help and a wrong line end the
 * process (0 and 2), as argp does. Then sets the log's level and arms the fault point: ERR_USAGE
 * when one of them cannot be. */
int line_parse(const struct argp *argp, int argc, char **argv, void *input, const struct line *line,
    struct err *e) ERR_WARN_UNUSED;
void line_done(struct line *line);

#endif
