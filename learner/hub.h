/* hub.h: the learner's book of jobs, leases and workers, as a pure state machine.
 *
 * hub_step takes one event and the monotonic time, changes the state in memory at once, and appends
 * to the caller's batch: row effects for the store, and outputs (replies, wake-ups) that must not
 * leave before those rows are durable. It does no I/O, reads no clock and draws no random numbers,
 * so that a seeded simulation can drive it. When a batch fails to become durable, its hub is thrown
 * away and a new one is made from a snapshot of the tables: the same way as after a restart.
 *
 * Jobs and leases, as a table (the illegal cells are asserted in lease.c):
 *
 *     job \ event   granted   result stored  result bad  expired, released, lost   judge faulted
 *     ready         leased    -              -           -                         -
 *     leased        -         done           ready       ready                     done + new job,
 * or ready done          -         -              -           -                         -
 *
 * A lease is live from its grant to its one end; its id is never used again and fences late
 * results.
 *
 * Owner: the loop thread. One thread at a time.
 */
#ifndef COHORT_LEARNER_HUB_H
#define COHORT_LEARNER_HUB_H

#include "common/recipe/reward.h"
#include "learner/rows.h"
#include "learner/service.h"
#include "learner/snapshot.h"
#include "proto/frame.h"

enum {
    HUB_LOST_MS = 3 * TIMING_HEARTBEAT_MS + TIMING_POLL_MS, /* silent for so long: worker lost,
                                                             * and an unconfirmed lease ends */
    HUB_STALL_MS =
        TIMING_HEARTBEAT_MS,    /* a loop that stood still for so long restarts the deadlines */
    HUB_BAD_MAX = 3,            /* broken results of a worker before it is refused */
    HUB_NAMES_MAX = 1 << 16,    /* worker names over the whole run */
    HUB_INPUTS_AHEAD = 16,      /* grade inputs built before their jobs are leased */
    HUB_FAULTS_ALONE = 3,       /* judge faults after which a job is graded alone on a worker */
    HUB_BACKOFF_MS = 500,       /* before a job with a judge fault; doubles with each ... */
    HUB_BACKOFF_MAX_MS = 30000, /* ... up to this */
};

struct hub_scorer {
    const char *name, *kind;
    struct reward_term term;
};

struct hub_options { /* strings and arrays are borrowed for the hub's life */
    const char *run;
    uint64_t seed;
    uint32_t lease_ms;
    struct hash numerics_id;
    uint32_t vocab;
    const uint32_t *stop;
    size_t stop_count;
    struct blob_ref model;
    const struct hub_scorer *scorers; /* in recipe order; exactly one is primary */
    size_t scorer_count;
};

enum hub_event_type {
    HUB_TICK,    /* time passes: deadlines, parked polls, lost workers */
    HUB_MESSAGE, /* a decoded request from a peer */
    HUB_COMMIT,  /* the stage thread commits; answered by OUT_COMMITTED or OUT_FAILED */
    HUB_WAIT,    /* the stage thread waits for groups; answered by OUT_SCORED or OUT_FAILED */
    HUB_INPUT,   /* a wanted grade input is built */
    HUB_STOP, /* no more grants; with drain, workers are told to go: OUT_DRAINED when none is left
               */
};

struct hub_event {
    enum hub_event_type type;
    union {
        struct {
            const struct hub_peer *peer;
            const struct frame *frame;
            const struct msg *msg;
        } message;
        struct {
            const struct commit *c;
            const uint64_t *groups; /* plan_count: id of what is planned already, else 0 */
            const uint64_t *tasks;  /* plan_count: id of the task when it has one, else 0 */
        } commit;
        struct {
            const uint64_t *groups;
            size_t count;
        } wait;
        struct {
            uint64_t job, bytes;
            struct hash hash;
        } input;
        struct {
            const char *state, *why; /* run.state */
            bool drain;
        } stop;
    };
};

struct hub;

/* first_session: higher than any session id given before in this epoch. */
struct hub *hub_new(
    const struct hub_options *o, const struct snapshot *s, uint64_t first_session, uint64_t now_ms);
void hub_free(struct hub *h);

void hub_step(struct hub *h, const struct hub_event *ev, uint64_t now_ms, struct batch *out);

/* Answers every parked poll with RETRY: before a hub is thrown away. */
void hub_refuse_parked(struct hub *h, struct batch *out);

uint64_t hub_next_session(const struct hub *h);
uint64_t hub_commits(const struct hub *h); /* of the stage thread so far */

/* 0 when the sender of f may read this blob, else the code to answer with and why. */
int hub_blob_refusal(
    const struct hub *h, const struct frame *f, const struct msg_get_blob *g, const char **ret_why);

/* What must survive a restart, as text: equal before and after one. For tests. */
void hub_print(const struct hub *h, struct buf *out);

struct hub_counts {
    size_t sessions, leases, ready_jobs, open_groups;
};
struct hub_counts hub_counts(const struct hub *h);

#endif
