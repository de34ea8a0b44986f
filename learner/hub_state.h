/* hub_state.h: the hub's tables in memory, shared by the files that make up the hub (hub*.c,
 * lease.c) and by nobody else. */
#ifndef COHORT_LEARNER_HUB_STATE_H
#define COHORT_LEARNER_HUB_STATE_H

#include "learner/hub.h"
#include "learner/idmap.h"

struct session;

struct group { /* planned or sampled; forgotten once scored */
    uint64_t id, ordinal, version;
    enum purpose purpose;
    uint32_t stage, n, max_tokens;
    float temperature;
    enum weights_type weights_type;
    enum group_state state;
    uint32_t jobs;    /* numbers given */
    uint32_t *prompt; /* owned */
    uint32_t prompt_len;
    bool *settled;  /* owned; n once sampled: scored, or unscored for good */
    double *reward; /* owned; n once sampled; NAN: none (yet) */
    uint32_t settled_count;
    bool awaited; /* by the stage thread */
};

enum input_state { INPUT_NONE, INPUT_WANTED, INPUT_BUILT };

struct job { /* ready or leased; forgotten once done */
    uint64_t id;
    enum job_kind kind;
    struct group *group; /* borrowed */
    struct lease *lease; /* borrowed; NULL: ready */
    uint32_t attempts, faults;
    uint32_t *members; /* owned; NULL: all */
    uint32_t member_count;
    uint64_t not_before_ms;
    enum input_state input_state;
    struct blob_ref input; /* when built */
};

struct worker { /* by name; outlives its sessions */
    char name[LIMIT_NAME + 1];
    enum frame_role role;
    struct session *session;                       /* borrowed; NULL: not here now */
    struct lease *leases[LIMIT_LEASES_PER_WORKER]; /* borrowed; live ones */
    uint32_t lease_count;
    uint32_t bad; /* broken results since the learner's start */
};

struct lease { /* live */
    uint64_t id;
    struct job *job;       /* borrowed */
    struct worker *worker; /* borrowed */
    uint64_t deadline_ms;
};

struct ended { /* an ended lease */
    uint64_t id;
    enum lease_outcome outcome;
    struct hash result;
};

struct session {
    uint64_t id;
    struct worker *worker;       /* borrowed */
    struct session *next, *prev; /* in hub.sessions; those that parked last come last */
    uint64_t hello_request;
    uint64_t seen_ms;
    bool silent; /* only Hello so far */
    bool lost;   /* silent for HUB_LOST_MS */
    uint64_t tokens;
    /* The latest poll, and what it was granted. */
    bool polled;
    uint64_t poll_sequence, poll_request;
    bool parked;
    struct hub_peer peer; /* of the parked poll */
    uint32_t max_jobs;
    uint64_t parked_until_ms;
    uint64_t granted[LIMIT_GRANT];
    uint32_t granted_count;
};

struct ready {         /* jobs that wait for a worker, in the order of granting */
    struct job **jobs; /* owned array of borrowed jobs */
    size_t count, cap;
};

struct hub {
    struct hub_options o;
    uint32_t epoch;
    uint64_t next_session, commits;
    uint64_t last_group, last_task, last_lease;
    uint64_t last_tick_ms;
    bool stopped;  /* no more grants */
    bool draining; /* workers are told to go */
    bool drained;  /* OUT_DRAINED was put out */

    struct idmap groups, jobs, leases, workers, sessions_by_id, versions;
    struct session *sessions, *sessions_tail; /* owned list */
    size_t session_count;
    struct ready ready[2]; /* by job kind */
    uint32_t inputs_ahead; /* grade inputs wanted or built, of jobs that are not leased */

    struct ended *ended; /* owned ring: LEASES_REMEMBERED at most; slot = id modulo its size */
    size_t ended_cap;

    size_t waiting_open; /* groups that the stage thread waits for still */
};

/* ---- hub.c ---- */

struct group *hub_group(const struct hub *h, uint64_t id);
void hub_group_scored(struct hub *h, struct group *g, struct batch *out); /* frees g */

/* ---- hub_session.c ---- */

/* A request with its way back: what the handlers of messages get. */
struct request {
    const struct hub_peer *peer;
    const struct frame *frame;
    const struct msg *msg;
    struct session *session; /* NULL for Hello */
    uint64_t now_ms;
};

void hub_message(struct hub *h, const struct hub_event *ev, uint64_t now_ms, struct batch *out);
/* An answer to r of the given type: its zeroed body, to be filled. */
struct msg *hub_reply(const struct request *r, enum frame_type type, struct batch *out);
void hub_nack(const struct request *r, enum nack_code code, struct batch *out, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void hub_sessions_tick(struct hub *h, uint64_t now_ms, struct batch *out);
void hub_session_drop(struct hub *h, struct session *s, enum worker_state state, struct batch *out);
void hub_session_last(struct hub *h, struct session *s); /* moves it to the end of the list */
struct worker *hub_worker(struct hub *h, const char *name,
    enum frame_role role); /* found or made; NULL on a clash of hashes */

/* ---- lease.c ---- */

struct lease *lease_of(
    const struct hub *h, uint64_t id, const struct worker *w); /* live and w's, or NULL */
const struct ended *lease_ended(const struct hub *h, uint64_t id);
void lease_remember(
    struct hub *h, uint64_t id, enum lease_outcome outcome, const struct hash *result);
/* Ends the lease. Its job goes back to ready unless the result was stored: then the caller finishes
 * it. */
void lease_end(struct hub *h, struct lease *l, enum lease_outcome outcome,
    const struct hash *result, struct batch *out);
void lease_tick(struct hub *h, uint64_t now_ms, struct batch *out);
void lease_extend_all(struct hub *h, uint64_t now_ms);
void lease_poll(struct hub *h, const struct request *r, struct batch *out);
void lease_heartbeat(struct hub *h, const struct request *r, struct batch *out);
void lease_release(struct hub *h, const struct request *r, struct batch *out);
/* Answers parked polls: those whose time is up, and those that there is work for. */
void lease_serve(struct hub *h, uint64_t now_ms, struct batch *out);
void lease_input(struct hub *h, const struct hub_event *ev, struct batch *out);

struct job *job_new(struct hub *h, struct group *g, uint64_t id, enum job_kind kind);
void job_add(struct hub *h, struct job *j, struct batch *out); /* a new job: row and ready list */
void job_ready(struct hub *h, struct job *j);
void job_done(struct hub *h, struct job *j, struct batch *out); /* frees j */

/* ---- hub_submit.c ---- */

void submit_group(struct hub *h, const struct request *r, struct batch *out);
void submit_scores(struct hub *h, const struct request *r, struct batch *out);

/* ---- hub_plan.c ---- */

void plan_commit(struct hub *h, const struct hub_event *ev, struct batch *out);
void plan_wait(struct hub *h, const struct hub_event *ev, struct batch *out);

#endif
