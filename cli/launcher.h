/* launcher.h: the child processes of `cohort run`: started, watched, restarted, stopped.
 *
 * How it works. Every child is its own session (a terminal's Ctrl-C reaches the launcher alone) and
 * holds the read end of a control pipe: when that ends, because the launcher closed it or died, the
 * child exits at once. Its output goes to LOG_DIR/NAME.log. A child that dies is started again
 * after a pause that doubles while it keeps dying young. The run ends with the learner: 0 means
 * finished, 1 to 4 that it gave up by itself, 5 that it was asked to stop; anything else (a signal,
 * a crash) is a death. A worker that ended with 0 was told to: it returns after the longest pause
 * if the learner still runs then. One that keeps failing is given up; without one of a kind the run
 * cannot go on and is stopped. Everything belongs to the loop's thread.
 */
#ifndef COHORT_CLI_LAUNCHER_H
#define COHORT_CLI_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"

enum child_role { CHILD_LEARNER, CHILD_ACTOR, CHILD_REWARD, CHILD_ROLE_COUNT };

/* What to start. "--parent-fd 3" is added to argv; first_args only at the first start. */
struct child_spec {
    enum child_role role; /* exactly one child is the learner */
    const char *name;
    const char *const *argv;       /* NULL at the end; argv[0] is the program's path */
    const char *const *first_args; /* NULL at the end, or NULL: for tests that arm a fault once */
};

struct launcher_timing {
    uint32_t restart_ms, restart_ms_max; /* pause before a restart: first, longest */
    uint32_t young_ms;                   /* a child that lived less has died young */
    unsigned young_deaths_max; /* in a row, until a child is given up; SIGKILL never counts */
    uint32_t drain_ms;         /* workers may say goodbye this long after the learner ended */
    uint32_t exit_ms;          /* after the control pipe closed: then SIGKILL */
};
extern const struct launcher_timing launcher_timing_default;

struct launcher_result {
    int status;           /* exit status of the command, DESIGN section 11 */
    const char *child;    /* whose end decided it */
    char why[1000];       /* empty when finished */
    const char *log_path; /* of that child */
    uint64_t log_offset;  /* where its last start began in the log */
    unsigned restarts;    /* of all children */
};

struct launcher_events {
    /* Something a person should see, one line without its end. */
    void (*note)(void *arg, const char *line);
    /* All children are gone and the launcher's handles are closed: free it with launcher_free. */
    void (*ended)(void *arg, const struct launcher_result *result);
};

struct launcher;

/* Copies specs and starts every child. */
int launcher_start(uv_loop_t *loop, const char *log_dir, const struct child_spec *specs,
    size_t count, const struct launcher_timing *timing, const struct launcher_events *events,
    void *arg, struct launcher **ret, struct err *e) ERR_WARN_UNUSED;

/* First call: SIGTERM to all, the learner saves its state. Second call: SIGKILL. */
void launcher_stop(struct launcher *l);

/* Children of a role that run now. */
unsigned launcher_running(const struct launcher *l, enum child_role role);
unsigned launcher_restarts(const struct launcher *l);

void launcher_free(struct launcher *l); /* after ended, or when launcher_start failed it was done */

#endif
