/* run.h: one run in one box, seen from outside: its streams, its limits, its end.
 *
 * Knows nothing of how a box is made (slot.c). Used by slots, which have no threads.
 */
#ifndef COHORT_BOX_RUN_H
#define COHORT_BOX_RUN_H

#include "common/base/mem.h"
#include "reward-server/box/cgroup.h"
#include "reward-server/box/zygote.h"

enum run_stream { RUN_IN, RUN_OUT, RUN_ERR, RUN_STREAMS };

struct run {
    const struct box_request *q; /* borrowed */
    struct box_result *result;   /* borrowed */
    const struct cgroup *group;  /* borrowed */
    const struct zygote *zygote; /* borrowed; NULL until there is one */
    pid_t init;                  /* of the box; 0 until the order is given */
    int fds[RUN_STREAMS];        /* our ends; owned */
    int theirs[LAUNCH_STREAMS];  /* owned until the order is given */
    size_t sent;                 /* of the input */
    struct buf out, err;         /* owned */
    struct launch_report end;    /* when ended */
    bool ended, lost, failed;    /* lost: the zygote died; failed: no run, the result says why */
    bool starved, stopped;       /* stopped: ended with the other of a pair */
    enum box_end over;           /* a limit that was hit: BOX_END_COUNT when none */
    uint64_t start_ns, idle_us;  /* idle_us: of the processors, when first looked at */
};

/* isolation: what holds the program. */
void run_init(struct run *r, const struct box_request *q, const struct cgroup *group,
    const char *isolation, struct box_result *ret);
bool run_open_streams(struct run *r); /* false with errno set */
void run_close_theirs(struct run *r);

/* The result is a fault. */
void run_fail(struct run *r, const char *what, int code);

/* Feeds and reads the programs and keeps their limits, until the first has ended or, when it lost
 * the second, until that. False when the client went away; it has nothing to say meanwhile. */
bool run_watch(int client, struct run *runs, size_t count);

/* Whether the program has neither ended nor hit a limit. */
bool run_is_running(const struct run *r);

/* Kills the box when the program has not ended, and waits for the zygote to tell that it has. */
void run_stop(struct run *r);

/* Whether it was a kill that ended the program, and not ours. */
bool run_ended_by_kill(const struct run *r);

/* The rest of the streams, the accounting and the verdict; the box must be empty. */
void run_finish(struct run *r);

#endif
