/* line.c: see line.h. */
#include "common/daemon/line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/mem.h"

/* Far from the keys that daemons give their own options. */
enum { KEY_SET = 2000, KEY_PARENT, KEY_FAULT, KEY_LOG, FD_MAX = 65535 };

static const struct argp_option options[] = {
    {"set", KEY_SET, "SECTION.KEY=VALUE", 0, "one option, over the file's", 0},
    {"log-level", KEY_LOG, "LEVEL", 0, "debug, info (default), warn or error", 0},
    {"parent-fd", KEY_PARENT, "N", OPTION_HIDDEN, "end when this file descriptor ends", 0},
    {"fault", KEY_FAULT, "SITE:NTH:ACTION", OPTION_HIDDEN, "arm a fault point", 0},
    {0},
};

static int parse_fd(const char *text)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    bool good = errno == 0 && end != text && *end == '\0' && v >= 0 && v <= FD_MAX;
    return good ? (int)v : -1;
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct line *line = state->input;
    switch (key) {
    case KEY_SET:
        line->sets = mem_grow(line->sets, line->set_count + 1, sizeof(*line->sets));
        line->sets[line->set_count++] = arg;
        break;
    case KEY_LOG:
        line->log_level = arg;
        break;
    case KEY_FAULT:
        line->fault = arg;
        break;
    case KEY_PARENT:
        if ((line->parent_fd = parse_fd(arg)) < 0)
            argp_error(state, "--parent-fd '%s': expected a file descriptor", arg);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp line_argp = {.options = options, .parser = on_option};

int line_parse(const struct argp *argp, int argc, char **argv, void *input, const struct line *line,
    struct err *e)
{
    enum log_level level = LOG_INFO;
    argp_err_exit_status = 2;
    int r = argp_parse(argp, argc, argv, 0, NULL, input);
    if (r != 0)
        return err_set(e, ERR_USAGE, "command line: %s", strerror(r));
    if (line->log_level != NULL && log_level_parse(line->log_level, &level, e) < 0)
        return err_set(e, ERR_USAGE, "--log-level: %s", e->msg);
    log_setup(level, "");
    if (line->fault != NULL && fault_arm(line->fault, e) < 0)
        return err_set(e, ERR_USAGE, "--fault: %s", e->msg);
    return 0;
}

void line_done(struct line *line)
{
    free(line->sets);
    *line = LINE_NONE;
}
