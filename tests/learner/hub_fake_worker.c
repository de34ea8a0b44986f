/* hub_fake_worker.c: actors and reward servers in threads, over the real worker side of the
 * protocol. */
#include "hub_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "common/net/worker.h"

static const char *scorer_kinds[FAKE_SCORERS] = {"exact", "format"};

struct fake_worker {
    struct fake_worker_options o;
    char *name, *run_dir; /* owned */
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t stop;
    struct worker *worker;
    struct rng rng;
    int code;
    pthread_mutex_t lock;
    bool ended; /* under lock: the loop turns no more */
};

static bool chance(struct fake_worker *w, unsigned permille)
{
    return rng_below(&w->rng, 1000) < permille;
}

static void submit(struct fake_worker *w, uint64_t lease, const struct msg *m)
{
    struct buf payload = {0};
    msg_pack(&payload, m);
    worker_submit(w->worker, lease, m->type, &payload, NULL);
}

struct sampling { /* between the lease and the weights */
    struct fake_worker *w;
    struct sample_lease lease;
};

static void on_manifest(void *arg, const uint8_t *data, size_t n, const struct err *e)
{
    struct sampling *s = arg;
    struct fake_worker *w = s->w;
    struct arena *a = arena_new(0);
    struct weights_manifest manifest;
    if (data && weights_manifest_unpack(data, n, a, &manifest, NULL) == 0 &&
        hash_equal(&manifest.digest, &s->lease.weights)) {
        const struct sample_lease *l = &s->lease;
        struct completion *c = arena_alloc(a, l->n * sizeof(*c));
        struct rng_key key = {
            .seed = l->seed, .domain = l->domain, .stage = l->stage, .ordinal = l->ordinal};
        fake_sample(&key, l->n, l->max_tokens, l->vocab, a, c);
        struct msg m = {.type = MSG_SUBMIT_GROUP};
        m.submit_group = (struct msg_submit_group){.lease = l->lease,
            .weights = l->weights,
            .numerics_id = w->o.numerics_id,
            .completions = c,
            .completion_count = l->n,
            .wall_us = rng_next(&w->rng) % 1000};
        submit(w, l->lease, &m);
    } else if (e) {
        worker_release(w->worker, s->lease.lease, e->msg);
    }
    arena_free(a);
    free(s);
}

static void on_sample(void *arg, const struct sample_lease *l)
{
    struct fake_worker *w = arg;
    if (chance(w, w->o.lazy_permille)) {
        worker_release(w->worker, l->lease, "lazy");
        return;
    }
    struct sampling *s = mem_alloc(sizeof(*s));
    *s = (struct sampling){.w = w, .lease = *l};
    s->lease.prompt = NULL; /* borrowed during the call only, and not needed here */
    s->lease.stop = NULL;
    worker_fetch(w->worker, &(struct blob_ref){.kind = BLOB_WEIGHTS_MANIFEST, .id = l->version},
        l->lease, on_manifest, s);
}

struct grading {
    struct fake_worker *w;
    uint64_t lease;
};

static void score_all(struct fake_worker *w, uint64_t lease, const struct grade_input *in)
{
    struct arena *a = arena_new(0);
    struct score_result *results =
        arena_alloc(a, in->completion_count * in->scorer_count * sizeof(*results));
    size_t n = 0;
    for (size_t i = 0; i < in->completion_count; i++) {
        bool faulty = chance(w, w->o.faulty_permille);
        for (size_t k = 0; k < in->scorer_count; k++) {
            double value = fake_score(
                in->scorers[k].name, in->completions[i].text, in->completions[i].text_len);
            results[n++] = (struct score_result){.index = in->completions[i].index,
                .scorer = in->scorers[k].name,
                .has_value = !faulty,
                .value = value,
                .verdict = faulty      ? VERDICT_JUDGE_FAULT
                           : value > 0 ? VERDICT_PASS
                                       : VERDICT_WRONG,
                .fault = faulty ? SCORE_FAULT_TRANSIENT : SCORE_FAULT_NONE,
                .reason = value > 0 ? "right" : "wrong",
                .extracted = "",
                .isolation = "none"};
        }
    }
    struct msg m = {.type = MSG_SUBMIT_SCORES};
    m.submit_scores =
        (struct msg_submit_scores){.lease = lease, .results = results, .result_count = n};
    submit(w, lease, &m);
    arena_free(a);
}

static void on_input(void *arg, const uint8_t *data, size_t n, const struct err *e)
{
    struct grading *g = arg;
    struct arena *a = arena_new(0);
    struct grade_input in;
    if (data && grade_input_unpack(data, n, a, &in, NULL) == 0)
        score_all(g->w, g->lease, &in);
    else
        worker_release(g->w->worker, g->lease, e ? e->msg : "unreadable");
    arena_free(a);
    free(g);
}

static void on_grade(void *arg, const struct grade_lease *l)
{
    struct fake_worker *w = arg;
    if (chance(w, w->o.lazy_permille)) {
        worker_release(w->worker, l->lease, "lazy");
        return;
    }
    struct grading *g = mem_alloc(sizeof(*g));
    *g = (struct grading){w, l->lease};
    worker_fetch(w->worker, &l->input, l->lease, on_input, g);
}

static void on_welcomed(void *arg, const struct msg_welcome *m)
{
    (void)arg;
    (void)m;
}

static void on_revoked(void *arg, uint64_t lease)
{
    (void)arg;
    (void)lease;
}

static void on_stopped(void *arg, int code, const char *why)
{
    struct fake_worker *w = arg;
    if (code)
        (void)fprintf(stderr, "worker %s: %s\n", w->name, why);
    w->code = code;
    uv_stop(&w->loop);
}

static void on_stop(uv_async_t *async)
{
    struct fake_worker *w = async->data;
    uv_stop(&w->loop);
}

static void *worker_main(void *arg)
{
    static const struct worker_events events = {.welcomed = on_welcomed,
        .sample = on_sample,
        .grade = on_grade,
        .revoked = on_revoked,
        .stopped = on_stopped};
    struct fake_worker *w = arg;
    struct err e = {0};
    struct worker_options o = {.role = w->o.role,
        .name = w->name,
        .run_dir = w->run_dir,
        .numerics_id = w->o.role == ROLE_ACTOR ? &w->o.numerics_id : NULL,
        .slots = w->o.slots,
        .scorers = scorer_kinds,
        .scorer_count = w->o.role == ROLE_REWARD ? FAKE_SCORERS : 0};
    if (worker_open(&w->loop, &o, &events, w, &w->worker, &e)) {
        (void)fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    (void)pthread_mutex_lock(&w->lock);
    w->ended = true;
    (void)pthread_mutex_unlock(&w->lock);
    uv_close((uv_handle_t *)&w->stop, NULL);
    worker_close(w->worker);
    while (uv_loop_alive(&w->loop))
        (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&w->loop);
    return NULL;
}

struct fake_worker *fake_worker_start(const struct fake_worker_options *o)
{
    struct fake_worker *w = mem_alloc(sizeof(*w));
    w->o = *o;
    w->name = mem_strdup(o->name);
    w->run_dir = mem_strdup(o->run_dir);
    w->rng = rng_stream((struct rng_key){.seed = o->seed, .domain = RNG_USER});
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)uv_loop_init(&w->loop);
    (void)uv_async_init(&w->loop, &w->stop, on_stop);
    w->stop.data = w;
    (void)pthread_create(&w->thread, NULL, worker_main, w);
    return w;
}

int fake_worker_join(struct fake_worker *w, bool stop)
{
    (void)pthread_mutex_lock(&w->lock);
    if (stop && !w->ended)
        (void)uv_async_send(&w->stop);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_mutex_destroy(&w->lock);
    int code = w->code;
    free(w->name);
    free(w->run_dir);
    free(w);
    return code;
}
