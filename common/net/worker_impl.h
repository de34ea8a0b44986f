/* worker_impl.h: the state of a worker, shared by worker.c (session), worker_jobs.c (leases and
 * results) and worker_fetch.c (blobs). Private to them.
 *
 * Every change of state ends with worker_kick. The timer that it arms runs worker.c's turn(), which
 * is the only place that sends anything: so whatever a callback did, the next message follows from
 * the whole state.
 */
#ifndef COHORT_NET_WORKER_IMPL_H
#define COHORT_NET_WORKER_IMPL_H

#include "common/base/mem.h"
#include "common/net/bus.h"
#include "common/net/worker.h"

enum worker_state {
    WORKER_SEEKING, /* no session: looking for the address, or Hello is on its way */
    WORKER_LIVE,    /* in a session */
    WORKER_BYE,     /* Bye is on its way */
    WORKER_ENDING,  /* the next turn calls stopped */
    WORKER_STOPPED, /* stopped was called; nothing happens any more */
};

struct held_lease {
    uint64_t lease;
    bool submitted; /* its result is in the outbox */
};

/* A result or a release that the learner has not answered yet. */
struct outgoing {
    struct outgoing *next; /* owned by the list */
    struct worker *worker; /* borrowed */
    uint64_t lease;
    enum frame_type type;
    struct buf payload;
    uint64_t request; /* 0: not on its way */
    uint64_t not_before_ms;
    void (*on_done)(void *arg, uint64_t lease, const struct msg_submit_reply *reply);
};

struct fetch {
    struct fetch *next;    /* owned by the list */
    struct worker *worker; /* borrowed */
    struct blob_ref ref;
    uint64_t lease;
    uint8_t *data; /* owned; total bytes, once the first chunk has told how many */
    uint64_t total, offset;
    uint64_t request; /* 0: no chunk on its way */
    uint64_t not_before_ms;
    worker_blob_fn *fn;
    void *arg; /* borrowed */
};

struct worker {
    uv_loop_t *loop;
    uv_timer_t timer;
    enum worker_state state;

    enum frame_role role;
    char *name, *run_dir; /* owned */
    bool has_numerics;
    struct hash numerics_id;
    uint32_t slots;
    char **scorers; /* owned, as is each */
    size_t scorer_count;
    struct worker_events events;
    void *arg; /* borrowed */

    char *address;                 /* owned; "ipc://DIR", NULL while unknown */
    struct bus_client *ctl, *bulk; /* owned; NULL while the address is unknown */
    uint64_t address_check_ms;     /* when to read the file again */
    uint64_t ended_since_ms;       /* it says that the run has ended; 0: it does not */
    uint32_t address_wait_ms;      /* grows while there is no address */

    uint64_t session, sequence, session_start_ms;
    uint32_t epoch, heartbeat_ms;
    uint64_t hello, poll, heartbeat, bye; /* requests on their way, or 0 */
    uint64_t hello_not_before_ms, poll_not_before_ms, poll_sent_ms, heartbeat_due_ms;
    bool offer; /* a session began: its first poll tells which leases are held, even if no job fits
                 */
    uint64_t tokens;

    struct held_lease held[LIMIT_LEASES_PER_WORKER];
    size_t held_count;
    struct outgoing *outbox; /* owned; oldest first */
    struct fetch *fetches;   /* owned; the first one is being fetched */

    bool draining;
    uint64_t drain_deadline_ms; /* UINT64_MAX: none */
    int stop_code;
    char *stop_why; /* owned */

    uint64_t wake_ms;    /* of the turn under way: when the next one is due */
    struct arena *arena; /* of the reply that is being handled */
    struct buf scratch;  /* payload that is being sent */
};

/* worker.c */
void worker_kick(struct worker *w);
void worker_wake_at(struct worker *w, uint64_t at_ms); /* within a turn */
uint64_t worker_send(struct worker *w, struct bus_client *c, enum frame_type type,
    const struct buf *payload, uint32_t deadline_ms, uint32_t extra_wait_ms, bus_reply_fn *fn,
    void *arg);
uint64_t worker_send_msg(struct worker *w, struct bus_client *c, const struct msg *m,
    uint32_t deadline_ms, uint32_t extra_wait_ms, bus_reply_fn *fn, void *arg);
/* Reads a reply. False when it ended the session or the worker, or was not readable: then the
 * caller tries again at its own pace. A true reply is of the expected type or a Nack. */
bool worker_read(
    struct worker *w, const struct frame *f, enum frame_type expected, struct msg *ret);
void worker_end(struct worker *w, int code, const char *why);
void worker_start_drain(struct worker *w, uint64_t deadline_ms);

/* worker_jobs.c */
void worker_jobs_turn(struct worker *w, uint64_t now_ms); /* in a session */
void worker_jobs_session_lost(struct worker *w);          /* forgets requests, keeps leases */
void worker_jobs_abandon(struct worker *w);               /* end of a drain's grace */
void worker_jobs_done(struct worker *w);
bool worker_jobs_submitting(const struct worker *w);

/* worker_fetch.c */
void worker_fetch_turn(struct worker *w, uint64_t now_ms);
void worker_fetch_session_lost(struct worker *w);
void worker_fetch_fail_all(struct worker *w, const char *why);
void worker_fetch_done(struct worker *w);

#endif
