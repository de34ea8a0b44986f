/* service_impl.h: the state of a service, shared by service.c (loop thread: life, batches),
 * service_work.c (loop thread: what is done on the store thread for it) and service_calls.c (stage
 * thread). Private to them. */
#ifndef COHORT_LEARNER_SERVICE_IMPL_H
#define COHORT_LEARNER_SERVICE_IMPL_H

#include <pthread.h>
#include <uv.h>

#include "common/net/work.h"
#include "learner/blobs.h"
#include "learner/hub.h"
#include "learner/server.h"
#include "learner/service.h"
#include "learner/store.h"

enum {
    SERVICE_TICK_MS = 100,
    SERVICE_QUEUE_MAX = 256, /* jobs of the store thread; far more than can wait at once */
    SERVICE_BATCH_BYTES_MAX = 128 << 20, /* of submissions in a batch; more are told to retry */
    SERVICE_RECEIVE_SHARE = 4, /* of the memory there is, for what peers send, unless configured */
    SERVICE_RETRY_MS = 500,    /* before the tables are tried again after a failure; doubles ... */
    SERVICE_RETRY_MAX_MS = 2000,         /* ... up to this */
    SERVICE_DRAIN_MS = 5000,             /* workers have so long to say goodbye */
    SERVICE_SLOW_MS = 1000,              /* a commit that took longer is logged */
    SERVICE_PENDING_MAX = LIMIT_WORKERS, /* requests that wait for a version's manifest */
};

/* A call of the stage thread that the hub answers. It lives on that thread's stack; `done` passes
 * it back. */
struct call {
    struct service *service;
    bool is_wait; /* else a commit */
    const struct commit *commit;
    const uint64_t *groups, *tasks; /* commit: what is planned already */
    const uint64_t *wait;
    size_t wait_count;
    uint64_t commits_before; /* commit: of the hub, when it was first tried */
    bool tried;
    int code;
    struct err err;
    uint64_t *ids;       /* commit: of the plan; owned by the caller once done */
    bool durable_before; /* commit: a failed attempt turned out to be durable; look the ids up */
    bool done;           /* under lock */
};

struct pending { /* a request on the bulk socket that waits for a version's manifest */
    struct pending *next;
    struct hub_peer peer;
    struct frame frame; /* without its payload */
    struct msg_get_blob get;
};

struct input_job;

struct service {
    char *run_dir, *dir; /* owned; dir: of the sockets */
    bool keep_dir;       /* configured, or of a run that goes on */
    uv_loop_t loop;
    bool loop_open;
    uv_timer_t tick;
    struct loop_mail *mail;    /* owned */
    struct work *store_thread; /* owned */
    struct work *hash_thread;  /* owned; manifests of versions. The store thread posts to it */
    struct server *server;     /* owned */
    struct blobs *blobs;       /* owned */

    struct store *store; /* owned; used on the store thread only once that runs */
    struct hub_options hub_options;
    struct hub_scorer scorers[LIMIT_SCORERS];
    struct scorer_spec specs[LIMIT_SCORERS]; /* strings borrowed from the recipe */
    const char *scorer_names[LIMIT_SCORERS];
    struct store_stage stages[RECIPE_STAGES_MAX];
    uint32_t stop_ids[MODEL_EOS_MAX];
    char *run_name; /* owned */

    struct hub *hub; /* owned; NULL: the tables could not be written, waiting to try again */
    uint32_t epoch;
    uint64_t next_session;
    struct batch filling, flying;
    size_t filling_bytes;
    bool in_flight;
    uint64_t flight_start_ms;
    uint64_t retry_at_ms, retry_ms, broken_since_ms;
    bool recovering;     /* an attempt is on the store thread */
    uint32_t generation; /* of the hub; results asked for by an older one are dropped */
    char *broken_why;    /* owned */
    struct pending *pending;
    size_t pending_count;
    struct input_job *inputs_again; /* owned list: to be tried at the next tick */

    struct call *call; /* borrowed; of the stage thread, being worked on */
    bool stop_begun, drain, drained, ended;
    uint64_t end_at_ms;

    pthread_mutex_t lock; /* of what follows, and of call.done */
    pthread_cond_t wake;
    bool stopping;
    struct err fatal;            /* code 0: none */
    char *stop_state, *stop_why; /* owned; of service_stop */
};

/* ---- service.c ---- */

void service_event(struct service *s, const struct hub_event *ev); /* then sends what may go */
/* The store failed: drops the hub and tries again later, or ends the service when that cannot help.
 */
void service_store_failed(struct service *s, const struct err *e);
void service_fatal(struct service *s, const struct err *e);

/* ---- service_work.c ---- */

void work_apply(struct service *s); /* the flying batch; then service_applied */
void service_applied(struct service *s, const struct err *e);
void work_recover(struct service *s); /* write an alarm, load a snapshot; then service_recovered */
void service_recovered(struct service *s, struct snapshot *snapshot, const struct err *e);
void work_input(struct service *s, uint64_t job);
void work_inputs_again(struct service *s, bool drop);
void work_bulk(struct service *s, const struct hub_peer *peer, const struct frame *f,
    const struct msg_get_blob *g);

/* ---- service_calls.c ---- */

void call_begin(struct service *s); /* gives s->call to the hub */
void call_finish(struct service *s, int code, const char *message);

#endif
