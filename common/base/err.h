/* err.h: errors with context.
 *
 * A fallible function returns 0 or one of the negative codes below and fills the caller's struct
 * err. The message names the thing, the value found and the value expected; each level up adds what
 * it was trying to do with err_ctx. Libraries return errors; only daemons and commands print them.
 * A struct err lives on the caller's stack and owns nothing. Any thread, one struct err per call.
 */
#ifndef COHORT_BASE_ERR_H
#define COHORT_BASE_ERR_H

#include <stddef.h>

/* A code exists only where some caller acts differently. The first five equal the negated exit
 * status of a command (DESIGN section 11). */
enum err_code {
    ERR_FAIL = -1,   /* exit 1: failed, and trying again would fail too */
    ERR_USAGE = -2,  /* exit 2: wrong use of a command */
    ERR_CONFIG = -3, /* exit 3: the configuration, or a change of it that a resume may not make */
    ERR_DATA = -4,   /* exit 4: a dataset, a model directory or stored samples */
    ERR_INTERRUPTED = -5, /* exit 5: asked to stop; state is saved */
    ERR_RETRY = -6,       /* transient (disk full, peer gone): the same call may succeed later */
    ERR_LIMIT = -7,       /* something from outside is over a limit, or malformed: drop that item */
};

struct err {
    int code; /* 0 or an err_code */
    char msg[1000];
};

#define ERR_WARN_UNUSED __attribute__((warn_unused_result))

/* Sets code and message; returns code, so that a check reads `return err_set(e, ...)`. e may be
 * NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and strerror(errno) at the end. ENOSPC, EDQUOT, EMFILE, ENFILE and EAGAIN
 * turn the code into ERR_RETRY. */
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prepends "what: " to the message and keeps the code, which it returns (ERR_FAIL when e is NULL).
 */
int err_ctx(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Exit status of a command that ends with this code: 1 to 5, or 1 for the others, 0 for 0. */
int err_exit_status(int code);

#endif
