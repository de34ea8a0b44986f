/* sampling.c: the engine's thread and the ring that feeds it. */
#include "actor/sampling.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/net/work.h"

/* More than leases: a revoked job stays in the ring until the thread meets it. */
enum { RING = 4 * LIMIT_LEASES_PER_WORKER, TURNS = 4 };

struct sampling {
    struct sampling_options o;
    struct work *work;      /* owned; the engine's thread */
    struct loop_mail *mail; /* owned */

    /* One producer (the loop thread moves tail), one consumer (the engine's thread moves head). */
    struct sample_job *ring[RING];
    atomic_size_t head, tail;
    atomic_bool turn_posted; /* a turn is queued that has not begun */
    atomic_bool closing;
    atomic_uint_fast64_t tokens;

    /* The engine's thread alone. */
    struct engine *engine; /* owned */
    struct hash loaded;    /* and as what: */
    enum weights_type loaded_type;
    struct sample_job *active[RING];
    size_t active_count;
};

/* ---- jobs ---- */

struct sample_job *sample_job_new(const struct sample_lease *l)
{
    struct sample_job *job = mem_alloc(sizeof(*job));
    job->lease = *l;
    job->lease.prompt = mem_dup(l->prompt, l->prompt_len * sizeof(*l->prompt));
    job->lease.stop = mem_dup(l->stop, l->stop_count * sizeof(*l->stop));
    atomic_init(&job->cancelled, false);
    return job;
}

void sample_job_free(struct sample_job *job)
{
    if (job == NULL)
        return;
    free((void *)job->lease.prompt); /* copies of sample_job_new */
    free((void *)job->lease.stop);
    buf_done(&job->payload);
    free(job);
}

/* ---- the engine's thread ---- */

struct delivery {
    struct sampling *s;
    struct sample_job *job;
};

static void on_mail(void *arg)
{
    struct delivery d = *(struct delivery *)arg;
    free(arg);
    d.s->o.on_done(d.s->o.arg, d.job);
}

static void deliver(struct sampling *s, struct sample_job *job, enum sample_outcome outcome)
{
    job->outcome = outcome;
    struct delivery *d = mem_alloc(sizeof(*d));
    *d = (struct delivery){s, job};
    loop_mail_post(s->mail, on_mail, d);
}

static bool is_cancelled(struct sampling *s, struct sample_job *job)
{
    return atomic_load_explicit(&job->cancelled, memory_order_relaxed) ||
           atomic_load_explicit(&s->closing, memory_order_relaxed);
}

static struct sample_job *ring_peek(struct sampling *s)
{
    size_t head = atomic_load_explicit(&s->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&s->tail, memory_order_acquire))
        return NULL;
    return s->ring[head % RING];
}

static void ring_pop(struct sampling *s)
{
    atomic_fetch_add_explicit(&s->head, 1, memory_order_release);
}

static void active_remove(struct sampling *s, size_t i)
{
    s->active[i] = s->active[--s->active_count];
}

/* The engine asked about them in an earlier decode step and has forgotten them since. */
static void deliver_dropped(struct sampling *s)
{
    for (size_t i = s->active_count; i-- > 0;) {
        struct sample_job *job = s->active[i];
        if (job->outcome != SAMPLE_DROPPED)
            continue;
        active_remove(s, i);
        deliver(s, job, SAMPLE_DROPPED);
    }
}

static void count_tokens(struct sampling *s)
{
    atomic_store_explicit(&s->tokens, engine_stats(s->engine).tokens_sampled, memory_order_relaxed);
}

static struct sample_request request_of(struct sample_job *job)
{
    const struct sample_lease *l = &job->lease;
    return (struct sample_request){
        .tag = (uintptr_t)job,
        .prompt = l->prompt,
        .prompt_len = (uint32_t)l->prompt_len,
        .n = l->n,
        .params = {.temperature = l->temperature,
            .max_tokens = l->max_tokens,
            .vocab = l->vocab,
            .top_p = 1,
            .stop = l->stop,
            .stop_count = (uint32_t)l->stop_count},
        .key = {.seed = l->seed, .domain = l->domain, .stage = l->stage, .ordinal = l->ordinal},
    };
}

static bool is_loaded(const struct sampling *s, const struct sample_lease *l)
{
    return hash_equal(&s->loaded, &l->weights) && s->loaded_type == l->weights_type;
}

/* The next job of the version that is loaded; cancelled ones go back at once. */
static struct sample_job *take(struct sampling *s)
{
    for (struct sample_job *job; (job = ring_peek(s)) != NULL;) {
        bool cancelled = is_cancelled(s, job);
        if (!cancelled && !is_loaded(s, &job->lease))
            return NULL;
        ring_pop(s);
        if (!cancelled)
            return job;
        deliver(s, job, SAMPLE_DROPPED);
    }
    return NULL;
}

static bool on_next(void *arg, struct sample_request *ret)
{
    struct sampling *s = arg;
    deliver_dropped(s);
    count_tokens(s);
    struct sample_job *job = s->active_count < RING ? take(s) : NULL;
    if (job == NULL)
        return false;
    job->started_ns = clock_mono_ns();
    job->outcome = SAMPLE_DONE;
    s->active[s->active_count++] = job;
    *ret = request_of(job);
    return true;
}

static bool on_cancelled(void *arg, uint64_t tag)
{
    struct sample_job *job = (struct sample_job *)(uintptr_t)tag;
    if (!is_cancelled(arg, job))
        return false;
    job->outcome = SAMPLE_DROPPED;
    return true;
}

static void pack_group(
    struct sampling *s, struct sample_job *job, const struct sampled *c, uint32_t n)
{
    struct completion *list = mem_array(n, sizeof(*list));
    for (uint32_t i = 0; i < n; i++)
        list[i] = (struct completion){
            .tokens = c[i].tokens, .logp = c[i].logp, .len = c[i].len, .stop = c[i].stop};
    struct msg m = {
        .type = MSG_SUBMIT_GROUP,
        .submit_group = {.lease = job->lease.lease,
            .weights = job->lease.weights,
            .numerics_id = s->o.numerics_id,
            .weights_type = job->lease.weights_type,
            .completions = list,
            .completion_count = n,
            .wall_us = (clock_mono_ns() - job->started_ns) / 1000},
    };
    msg_pack(&job->payload, &m);
    free(list);
}

static void on_group(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    struct sampling *s = arg;
    struct sample_job *job = (struct sample_job *)(uintptr_t)tag;
    pack_group(s, job, completions, n);
    for (size_t i = 0; i < s->active_count; i++) {
        if (s->active[i] == job) {
            active_remove(s, i);
            break;
        }
    }
    count_tokens(s);
    deliver(s, job, SAMPLE_DONE);
}

static void fail(struct sampling *s, struct sample_job *job, const struct err *e)
{
    job->err = *e;
    deliver(s, job, SAMPLE_FAILED);
}

static int load(struct sampling *s, const struct sample_job *job, struct err *e)
{
    if (s->engine == NULL && engine_new(&s->o.config, &s->o.engine, &s->engine, e) < 0)
        return err_ctx(e, "making the engine");
    if (is_loaded(s, &job->lease))
        return 0;
    s->loaded = (struct hash){0};
    if (engine_load(s->engine, job->params, job->lease.weights_type, e) < 0)
        return err_ctx(e, "packing version %llu", (unsigned long long)job->lease.version);
    s->loaded = job->lease.weights;
    s->loaded_type = job->lease.weights_type;
    return 0;
}

/* Runs until the ring is empty. */
static void turn(void *arg)
{
    struct sampling *s = arg;
    const struct engine_source source = {
        .next = on_next, .done = on_group, .cancelled = on_cancelled, .arg = s};
    atomic_store(&s->turn_posted, false);
    for (struct sample_job *job; (job = ring_peek(s)) != NULL;) {
        struct err e = {0};
        if (is_cancelled(s, job)) {
            ring_pop(s);
            deliver(s, job, SAMPLE_DROPPED);
            continue;
        }
        if (load(s, job, &e) < 0) {
            ring_pop(s);
            fail(s, job, &e);
            continue;
        }
        int r = engine_run(s->engine, &source, &e);
        count_tokens(s);
        deliver_dropped(s);
        while (r < 0 && s->active_count > 0)
            fail(s, s->active[--s->active_count], &e);
    }
}

/* ---- the loop thread ---- */

int sampling_open(
    uv_loop_t *loop, const struct sampling_options *o, struct sampling **ret, struct err *e)
{
    struct sampling *s = mem_alloc(sizeof(*s));
    s->o = *o;
    if (loop_mail_open(loop, &s->mail, e) < 0) {
        free(s);
        return e->code;
    }
    if (work_start("engine", TURNS, &s->work, e) < 0) {
        loop_mail_close(s->mail);
        free(s);
        return e->code;
    }
    *ret = s;
    return 0;
}

bool sampling_push(struct sampling *s, struct sample_job *job)
{
    size_t tail = atomic_load_explicit(&s->tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&s->head, memory_order_acquire) == RING)
        return false;
    s->ring[tail % RING] = job;
    atomic_store_explicit(&s->tail, tail + 1, memory_order_release);
    /* At most one turn is queued, so the post never blocks: a turn that has begun sees this job, or
     * the one posted here does. */
    if (!atomic_exchange(&s->turn_posted, true))
        work_post(s->work, turn, s);
    return true;
}

uint64_t sampling_tokens(const struct sampling *s)
{
    return atomic_load_explicit(&s->tokens, memory_order_relaxed);
}

void sampling_close(struct sampling *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->closing, true);
    work_stop(s->work); /* runs a queued turn, which empties the ring */
    loop_mail_close(s->mail);
    engine_free(s->engine);
    free(s);
}
