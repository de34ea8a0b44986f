/* daemon.h: what worker daemons do alike: options, the control pipe, signals.
 *
 * A worker daemon is main() wiring, this file, the lease client of common/net/worker.h and what it
 * is for. Options come from the command line and, for the live ones of its section, from a run's
 * configuration file with --set on top. Everything belongs to the loop's thread.
 */
#ifndef COHORT_DAEMON_H
#define COHORT_DAEMON_H

#include <argp.h>
#include <stdbool.h>
#include <uv.h>

#include "common/base/config.h"
#include "common/base/err.h"

struct daemon_options {
    const char *run_dir;   /* --run, or NULL */
    const char *connect;   /* --connect ipc://DIR, or NULL; one of the two is given, unless ... */
    const char *name;      /* --name; one of host and process when not given. Owned */
    struct config *config; /* owned; checked against recipe_options */
    int parent_fd;         /* --parent-fd, or -1 */
};

/* Options that one kind of daemon has beside these, and what it does without a learner. */
struct daemon_more {
    const struct argp *argp;
    void *input;                      /* of its parser */
    bool (*alone)(const void *input); /* needs no learner, by what was parsed */
    const char *alone_option;         /* what makes it so, for messages */
};

/* Parses the command line with argp. --help and a wrong line end the process (0 and 2), as argp
 * does; a bad configuration or fault point is an error. doc is argp's; kind is the prefix of names
 * made up ("actor"); more may be NULL. */
int daemon_options_parse(int argc, char **argv, const char *kind, const char *doc,
    const struct daemon_more *more, struct daemon_options *ret, struct err *e) ERR_WARN_UNUSED;
void daemon_options_done(struct daemon_options *o);

/* Ends the process at once when the control pipe ends; calls on_signal for the first SIGTERM or
 * SIGINT and ends the process (status 5) at the second. Keeps no loop alive. */
struct daemon_watch {
    uv_poll_t parent;
    uv_signal_t term, interrupt;
    int parent_fd;
    bool has_parent, signalled;
    void (*on_signal)(void *arg);
    void *arg;
};

int daemon_watch_open(struct daemon_watch *w, uv_loop_t *loop, int parent_fd,
    void (*on_signal)(void *arg), void *arg, struct err *e) ERR_WARN_UNUSED;
void daemon_watch_close(struct daemon_watch *w); /* then let the loop turn once more */

/* Runs what is left to close, then closes the loop. */
void daemon_loop_close(uv_loop_t *loop);

#endif
