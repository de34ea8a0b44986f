/* actor.c: the way of a lease through an actor. */
#include "actor/actor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "actor/sampling.h"
#include "actor/weights_cache.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/net/worker.h"

enum { TICK_MS = 500 };

/* Where a lease is. JOB_REFUSED waits for the next tick, so that a lease that this actor cannot
 * sample is not given back and granted again in a tight circle. */
enum job_state { JOB_WAITING, JOB_SAMPLING, JOB_REFUSED };

struct job {
    enum job_state state;
    bool revoked;              /* while sampling: its result is dropped */
    struct sample_job *sample; /* owned; the sampling thread's while JOB_SAMPLING */
    struct job *next;
};

struct actor {
    uv_loop_t *loop; /* borrowed */
    struct actor_options o;
    struct worker *worker;       /* owned */
    struct weights_cache *cache; /* owned; NULL until the model's configuration is here */
    struct sampling *sampling;   /* owned; as cache */
    struct param_table *table;   /* owned; as cache */
    struct blob_ref model;       /* of the welcome */
    bool fetching_model, have_model, ended;
    struct err failure; /* code 0: none */
    struct job *jobs;   /* owned; in order of arrival */
    uv_timer_t tick, submitted;
    unsigned timers_open;
};

static void dispatch(struct actor *a);

/* This actor cannot go on: gives its leases back, says Bye, then ends with this error. */
static void fail(struct actor *a, const struct err *e)
{
    if (a->failure.code < 0 || a->ended)
        return;
    log_error("actor", "cannot go on", LOG_ERR(e));
    a->failure = *e;
    worker_drain(a->worker, 0);
}

static bool is_going(const struct actor *a)
{
    return !a->ended && a->failure.code == 0;
}

/* ---- jobs ---- */

static void job_remove(struct actor *a, struct job *job)
{
    struct job **at = &a->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    sample_job_free(job->sample);
    free(job);
}

static struct job *job_of_lease(struct actor *a, uint64_t lease)
{
    for (struct job *j = a->jobs; j != NULL; j = j->next)
        if (j->sample->lease.lease == lease)
            return j;
    return NULL;
}

static struct job *job_of_sample(struct actor *a, const struct sample_job *sample)
{
    for (struct job *j = a->jobs; j != NULL; j = j->next)
        if (j->sample == sample)
            return j;
    return NULL;
}

/* What no engine of this model could sample; NULL when the lease is fine. */
static const char *lease_problem(const struct actor *a, const struct sample_lease *l)
{
    const struct model_config *c = &a->table->config;
    if (l->prompt_len == 0 || l->n == 0 || l->max_tokens == 0)
        return "an empty prompt, group or completion";
    if (l->vocab == 0 || l->vocab > c->vocab)
        return "more ids than the model has";
    if (l->prompt_len + (uint64_t)l->max_tokens > c->context)
        return "prompt and completion are longer than the model's context";
    for (size_t i = 0; i < l->prompt_len; i++)
        if (l->prompt[i] >= c->vocab)
            return "a prompt id beyond the model's vocabulary";
    return NULL;
}

/* The lease client sends in a timer of its own, started before this one. */
static void on_submitted(uv_timer_t *timer)
{
    (void)fault_hit(FAULT_ACTOR_SUBMITTED); /* kills or does nothing: the group is on its way */
}

static void submit(struct actor *a, struct job *job)
{
    uint64_t lease = job->sample->lease.lease;
    if (fault_hit(FAULT_ACTOR_SAMPLED)) {
        worker_release(a->worker, lease, "fault point actor.sampled");
        return;
    }
    worker_submit(a->worker, lease, MSG_SUBMIT_GROUP, &job->sample->payload, NULL);
    uv_timer_start(&a->submitted, on_submitted, 0, 0);
}

static void on_sampled(void *arg, struct sample_job *sample)
{
    struct actor *a = arg;
    struct job *job = job_of_sample(a, sample);
    assert(job != NULL);
    weights_cache_release(a->cache, sample->params);
    if (is_going(a) && !job->revoked) {
        if (sample->outcome == SAMPLE_DONE) {
            submit(a, job);
        } else if (sample->outcome == SAMPLE_FAILED) {
            struct err e = sample->err;
            fail(a, &e);
        }
    }
    job_remove(a, job);
    dispatch(a);
}

static void on_weights_changed(void *arg)
{
    dispatch(arg);
}

/* Hands a waiting job to the sampling thread when its weights are there. */
static void job_advance(struct actor *a, struct job *job)
{
    const struct sample_lease *l = &job->sample->lease;
    const char *problem = lease_problem(a, l);
    if (problem != NULL) {
        log_error("actor", "cannot sample a lease, giving it back", LOG_U64("lease", l->lease),
            LOG_U64("group", l->group), LOG_STR("problem", problem));
        job->state = JOB_REFUSED;
        return;
    }
    switch (weights_cache_want(a->cache, l->version, &l->weights, l->lease, &job->sample->params)) {
    case WEIGHTS_READY:
        job->state = JOB_SAMPLING;
        if (!sampling_push(a->sampling, job->sample)) {
            weights_cache_release(a->cache, job->sample->params);
            job->state = JOB_WAITING;
        }
        break;
    case WEIGHTS_BROKEN: {
        struct err e = *weights_cache_error(a->cache);
        fail(a, &e);
        break;
    }
    case WEIGHTS_PENDING:
    case WEIGHTS_NO_ROOM:
        break;
    }
}

static void dispatch(struct actor *a)
{
    if (!a->have_model)
        return;
    for (struct job *j = a->jobs; j != NULL && is_going(a); j = j->next)
        if (j->state == JOB_WAITING)
            job_advance(a, j);
}

/* ---- the model ---- */

static void fetch_weights(
    void *arg, const struct blob_ref *ref, uint64_t lease, weights_fetched_fn *fn, void *fn_arg)
{
    struct actor *a = arg;
    worker_fetch(a->worker, ref, lease, fn, fn_arg);
}

static int open_model(struct actor *a, const uint8_t *json, size_t n, struct err *e)
{
    struct model_config config;
    if (model_config_parse((const char *)json, n, "the learner's config.json", &config, e) < 0 ||
        param_table_new(&config, &a->table, e) < 0)
        return e->code;
    struct weights_cache_options cache = {
        .table = a->table, .fetch = fetch_weights, .on_change = on_weights_changed, .arg = a};
    if (a->o.use_files)
        worker_boot_id(cache.boot_id);
    struct sampling_options sampling = {.config = config,
        .engine = a->o.engine,
        .numerics_id = a->o.numerics_id,
        .on_done = on_sampled,
        .arg = a};
    if (weights_cache_open(a->loop, &cache, &a->cache, e) < 0 ||
        sampling_open(a->loop, &sampling, &a->sampling, e) < 0)
        return e->code;
    a->have_model = true;
    return 0;
}

static void on_model(void *arg, const uint8_t *data, size_t n, const struct err *why)
{
    struct actor *a = arg;
    struct err e = {0};
    a->fetching_model = false;
    if (data == NULL) {
        log_warn("actor", "no model configuration, retrying in a moment", LOG_ERR(why));
        return;
    }
    if (open_model(a, data, n, &e) < 0) {
        fail(a, &e);
        return;
    }
    dispatch(a);
}

static void fetch_model(struct actor *a)
{
    if (a->have_model || a->fetching_model || !is_going(a) || hash_is_zero(&a->model.hash))
        return;
    a->fetching_model = true;
    worker_fetch(a->worker, &a->model, 0, on_model, a);
}

/* ---- events of the lease client ---- */

static void on_welcomed(void *arg, const struct msg_welcome *w)
{
    struct actor *a = arg;
    if (a->have_model && !hash_equal(&a->model.hash, &w->model.hash)) {
        struct err e = {0};
        (void)err_set(&e, ERR_FAIL, "the learner of run '%s' now has another model", w->run);
        fail(a, &e);
        return;
    }
    a->model = w->model;
    fetch_model(a);
}

static void on_lease(void *arg, const struct sample_lease *l)
{
    struct actor *a = arg;
    struct job *job = mem_alloc(sizeof(*job));
    job->sample = sample_job_new(l);
    struct job **at = &a->jobs;
    while (*at != NULL)
        at = &(*at)->next;
    *at = job;
    dispatch(a);
}

static void on_revoked(void *arg, uint64_t lease)
{
    struct actor *a = arg;
    struct job *job = job_of_lease(a, lease);
    if (job == NULL)
        return; /* submitted already: the outbox is the lease client's */
    log_info("actor", "lease revoked", LOG_U64("lease", lease));
    if (job->state != JOB_SAMPLING) {
        job_remove(a, job);
        return;
    }
    job->revoked = true;
    atomic_store(&job->sample->cancelled, true);
}

static void on_stopped(void *arg, int code, const char *why)
{
    struct actor *a = arg;
    bool failed = a->failure.code < 0;
    a->ended = true;
    a->o.ended(a->o.arg, failed ? a->failure.code : code, failed ? a->failure.msg : why);
}

static void on_tick(uv_timer_t *timer)
{
    struct actor *a = timer->data;
    if (!is_going(a))
        return;
    fetch_model(a);
    if (a->have_model)
        worker_progress(a->worker, sampling_tokens(a->sampling));
    for (struct job *j = a->jobs, *next; j != NULL; j = next) {
        next = j->next;
        if (j->state != JOB_REFUSED)
            continue;
        worker_release(a->worker, j->sample->lease.lease, "this model cannot sample it");
        job_remove(a, j);
    }
}

/* ---- life ---- */

int actor_open(uv_loop_t *loop, const struct actor_options *o, struct actor **ret, struct err *e)
{
    struct actor *a = mem_alloc(sizeof(*a));
    *a = (struct actor){.loop = loop, .o = *o};
    const struct worker_options w = {
        .role = ROLE_ACTOR,
        .name = o->name,
        .run_dir = o->run_dir,
        .address = o->address,
        .numerics_id = &a->o.numerics_id,
        .slots = o->slots,
    };
    static const struct worker_events events = {
        .welcomed = on_welcomed,
        .sample = on_lease,
        .revoked = on_revoked,
        .stopped = on_stopped,
    };
    if (worker_open(loop, &w, &events, a, &a->worker, e) < 0) {
        free(a);
        return e->code;
    }
    (void)uv_timer_init(loop, &a->tick); /* cannot fail */
    (void)uv_timer_init(loop, &a->submitted);
    a->tick.data = a->submitted.data = a;
    a->timers_open = 2;
    uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    *ret = a;
    return 0;
}

void actor_drain(struct actor *a, uint32_t grace_ms)
{
    if (is_going(a))
        worker_drain(a->worker, grace_ms);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct actor *a = handle->data;
    if (--a->timers_open == 0)
        free(a);
}

void actor_close(struct actor *a)
{
    if (a == NULL)
        return;
    a->ended = true;
    worker_close(a->worker);
    sampling_close(a->sampling); /* hands every sampling job back to on_sampled */
    weights_cache_close(a->cache);
    while (a->jobs != NULL)
        job_remove(a, a->jobs);
    a->have_model = false;
    param_table_free(a->table);
    uv_close((uv_handle_t *)&a->tick, on_timer_closed);
    uv_close((uv_handle_t *)&a->submitted, on_timer_closed);
}
