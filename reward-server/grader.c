/* grader.c: the way of a grade lease through a reward server. */
#include "reward-server/grader.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/net/work.h"
#include "common/net/worker.h"
#include "reward-server/scoring/scoring.h"
#include "reward-server/set_cache.h"

enum {
    TICK_MS = 500,
    QUEUE_MAX = 4 * LIMIT_LEASES_PER_WORKER, /* revoked jobs stay until their turn */
};

enum job_state {
    JOB_FETCHING,
    JOB_UNPACKING, /* the unpacking thread has it */
    JOB_WAITING,   /* for a place in the cache or the queue: until the next tick */
    JOB_SCORING,   /* the queue has it */
    JOB_REFUSED,   /* given back at the next tick, not in a tight circle */
};

struct job {
    struct grader *g; /* borrowed */
    struct job *next; /* owned by the list */
    enum job_state state;
    bool revoked; /* its result is dropped */
    uint64_t lease, group, started_ns;
    uint8_t *blob; /* owned; until unpacked */
    size_t blob_bytes;
    struct arena *input_arena; /* owned; holds input */
    struct grade_input input;
    struct arena *result_arena;   /* owned; strings of results */
    struct score_result *results; /* owned */
    struct scoring_job scoring;
    const struct scoring *set; /* a reference in the cache */
    struct buf payload;        /* owned */
    struct err err;
    int unpacked; /* result of unpacking */
};

struct grader {
    struct grader_options o;
    struct worker *worker;       /* owned */
    struct work *unpacker;       /* owned */
    struct loop_mail *mail;      /* owned */
    struct scoring_queue *queue; /* owned */
    struct set_cache sets;
    struct job *jobs;     /* owned */
    uint64_t completions; /* scored */
    uv_timer_t tick, submitted;
    unsigned timers_open;
    bool ended;
};

/* ---- jobs ---- */

static void job_free(struct job *job)
{
    set_cache_release(&job->g->sets, job->set);
    free(job->blob);
    arena_free(job->input_arena);
    arena_free(job->result_arena);
    free(job->results);
    buf_done(&job->payload);
    free(job);
}

static void job_remove(struct job *job)
{
    struct job **at = &job->g->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job_free(job);
}

static void job_refuse(struct job *job, const struct err *e)
{
    log_error("grader", "cannot grade a lease, giving it back", LOG_U64("lease", job->lease),
        LOG_U64("group", job->group), LOG_ERR(e));
    job->err = *e;
    job->state = JOB_REFUSED;
}

/* ---- submitting ---- */

/* The lease client sends in a timer of its own, started before this one. */
static void on_submitted(uv_timer_t *timer)
{
    (void)fault_hit(
        FAULT_REWARD_SUBMITTED); /* kills or does nothing: the scores are on their way */
}

static void submit(struct job *job)
{
    struct grader *g = job->g;
    g->completions += job->input.completion_count;
    worker_progress(g->worker, g->completions);
    if (fault_hit(FAULT_REWARD_SCORED)) {
        worker_release(g->worker, job->lease, "fault point reward.scored");
        return;
    }
    worker_submit(g->worker, job->lease, MSG_SUBMIT_SCORES, &job->payload, NULL);
    uv_timer_start(&g->submitted, on_submitted, 0, 0);
}

static void on_scored(void *arg)
{
    struct job *job = arg;
    if (!job->g->ended && !job->revoked)
        submit(job);
    job_remove(job);
}

static void pack(struct job *job, const struct score_result *results, size_t n)
{
    buf_clear(&job->payload);
    struct msg m = {
        .type = MSG_SUBMIT_SCORES,
        .submit_scores = {.lease = job->lease,
            .results = results,
            .result_count = n,
            .wall_us = (clock_mono_ns() - job->started_ns) / 1000},
    };
    msg_pack(&job->payload, &m);
}

/* On a thread of the queue. Values and verdicts always fit; the texts of a huge group may not. */
static void on_queue_done(void *arg, struct scoring_job *scoring)
{
    struct job *job = scoring->tag;
    size_t n = job->input.completion_count * scoring_count(job->set);
    pack(job, job->results, n);
    if (job->payload.len > LIMIT_SUBMIT_BYTES) {
        for (size_t i = 0; i < n; i++)
            job->results[i].reason = job->results[i].extracted = "";
        pack(job, job->results, n);
    }
    loop_mail_post(job->g->mail, on_scored, job);
}

/* ---- scoring ---- */

/* Hands an unpacked job to the queue; without a place it waits for the next tick. */
static void begin_scoring(struct job *job)
{
    struct grader *g = job->g;
    struct err e = {0};
    if (job->set == NULL) {
        int r = set_cache_get(&g->sets, job->input.scorers, job->input.scorer_count, &job->set, &e);
        if (r < 0 && r != ERR_RETRY)
            job_refuse(job, &e);
        if (r < 0)
            return;
    }
    size_t n = job->input.completion_count * scoring_count(job->set);
    if (job->results == NULL) {
        job->results = mem_array(n > 0 ? n : 1, sizeof(*job->results));
        job->result_arena = arena_new(0);
    }
    job->scoring = (struct scoring_job){.tag = job,
        .set = job->set,
        .in = &job->input,
        .arena = job->result_arena,
        .results = job->results};
    job->state = JOB_SCORING;
    if (scoring_queue_submit(g->queue, &job->scoring, &e) < 0)
        job->state = JOB_WAITING;
}

static void on_unpacked(void *arg)
{
    struct job *job = arg;
    free(steal(&job->blob));
    if (job->revoked || job->g->ended) {
        job_remove(job);
        return;
    }
    if (job->unpacked < 0) {
        struct err e = job->err;
        job_refuse(job, &e);
        return;
    }
    job->state = JOB_WAITING;
    begin_scoring(job);
}

static void unpack(void *arg)
{
    struct job *job = arg;
    job->input_arena = arena_new(job->blob_bytes * LIMIT_UNPACK_FACTOR + LIMIT_UNPACK_MIN_BYTES);
    job->unpacked =
        grade_input_unpack(job->blob, job->blob_bytes, job->input_arena, &job->input, &job->err);
    loop_mail_post(job->g->mail, on_unpacked, job);
}

static void on_input(void *arg, const uint8_t *data, size_t n, const struct err *e)
{
    struct job *job = arg;
    if (job->revoked || job->g->ended) {
        job_remove(job);
        return;
    }
    if (data == NULL) {
        job_refuse(job, e);
        return;
    }
    job->blob = mem_dup(data, n);
    job->blob_bytes = n;
    job->state = JOB_UNPACKING;
    work_post(job->g->unpacker, unpack, job);
}

/* ---- events of the lease client ---- */

static void on_welcomed(void *arg, const struct msg_welcome *w)
{
    log_info("grader", "in a session", LOG_STR("run", w->run), LOG_U64("session", w->session));
}

static void on_lease(void *arg, const struct grade_lease *l)
{
    struct grader *g = arg;
    struct job *job = mem_alloc(sizeof(*job));
    *job = (struct job){.g = g,
        .next = g->jobs,
        .lease = l->lease,
        .group = l->group,
        .started_ns = clock_mono_ns()};
    g->jobs = job;
    worker_fetch(g->worker, &l->input, l->lease, on_input, job);
}

static void on_revoked(void *arg, uint64_t lease)
{
    struct grader *g = arg;
    for (struct job *j = g->jobs, *next; j != NULL; j = next) {
        next = j->next;
        if (j->lease != lease)
            continue;
        log_info("grader", "lease revoked", LOG_U64("lease", lease));
        j->revoked = true;
        if (j->state == JOB_WAITING || j->state == JOB_REFUSED)
            job_remove(j);
    }
}

static void on_stopped(void *arg, int code, const char *why)
{
    struct grader *g = arg;
    g->ended = true;
    g->o.ended(g->o.arg, code, why);
}

static void on_tick(uv_timer_t *timer)
{
    struct grader *g = timer->data;
    for (struct job *j = g->jobs, *next; j != NULL && !g->ended; j = next) {
        next = j->next;
        if (j->state == JOB_WAITING) {
            begin_scoring(j);
        } else if (j->state == JOB_REFUSED) {
            worker_release(g->worker, j->lease, j->err.msg);
            job_remove(j);
        }
    }
}

/* ---- life ---- */

static int open_worker(struct grader *g, uv_loop_t *loop, struct err *e)
{
    size_t n;
    const struct scorer_kind *const *kinds = scoring_kinds(&n);
    size_t ready = 0;
    const char *names[LIMIT_SCORER_KINDS];
    assert(n <= LIMIT_SCORER_KINDS);
    for (size_t i = 0; i < n; i++) {
        if (scoring_kind_ready(kinds[i]))
            names[ready++] = kinds[i]->name;
    }
    const struct worker_options w = {
        .role = ROLE_REWARD,
        .name = g->o.name,
        .run_dir = g->o.run_dir,
        .address = g->o.address,
        .slots = g->o.slots,
        .scorers = names,
        .scorer_count = ready,
    };
    static const struct worker_events events = {
        .welcomed = on_welcomed,
        .grade = on_lease,
        .revoked = on_revoked,
        .stopped = on_stopped,
    };
    return worker_open(loop, &w, &events, g, &g->worker, e);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct grader *g = handle->data;
    if (--g->timers_open == 0)
        free(g);
}

int grader_open(uv_loop_t *loop, const struct grader_options *o, struct grader **ret, struct err *e)
{
    struct grader *g = mem_alloc(sizeof(*g));
    g->o = *o;
    (void)uv_timer_init(loop, &g->tick); /* cannot fail */
    (void)uv_timer_init(loop, &g->submitted);
    g->tick.data = g->submitted.data = g;
    g->timers_open = 2;
    if (loop_mail_open(loop, &g->mail, e) < 0 ||
        work_start("unpack", QUEUE_MAX, &g->unpacker, e) < 0 ||
        scoring_queue_open(o->threads, QUEUE_MAX, on_queue_done, g, &g->queue, e) < 0 ||
        open_worker(g, loop, e) < 0) {
        grader_close(g);
        return e->code;
    }
    uv_timer_start(&g->tick, on_tick, TICK_MS, TICK_MS);
    *ret = g;
    return 0;
}

void grader_drain(struct grader *g, uint32_t grace_ms)
{
    if (!g->ended)
        worker_drain(g->worker, grace_ms);
}

void grader_close(struct grader *g)
{
    if (g == NULL)
        return;
    g->ended = true;
    if (g->worker != NULL)
        worker_close(g->worker);
    work_stop(g->unpacker);
    if (g->queue != NULL)
        scoring_queue_close(g->queue);
    loop_mail_close(g->mail);
    while (g->jobs != NULL)
        job_remove(g->jobs);
    set_cache_done(&g->sets);
    uv_close((uv_handle_t *)&g->tick, on_timer_closed);
    uv_close((uv_handle_t *)&g->submitted, on_timer_closed);
}
