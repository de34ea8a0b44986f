/* train_bench.c: how many tokens a trainer learns from in a second, called as a stage calls it.
 *
 * Random weights of a shape and random sequences: forward, loss, backward, the sum of the shards
 * and AdamW for each step. A sequence is a prompt of one token and a completion of the rest, so
 * that every position has a target, as in a peer's next-token training; with --prompt and --group
 * it is what a GRPO step trains on. Before and after the steps
 * the same threads run a square product each, one BLAS thread per caller: the best of these is what
 * the share is of.
 *
 * Floating-point operations are counted as everybody does: 6 for each matrix parameter and token, a
 * tied embedding once, and 3 times the causal attention; what is computed twice counts once.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "bench/blas.h"
#include "bench/shapes.h"
#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/tensor/pool.h"
#include "learner/trainer.h"

enum { SQUARE = 1024, SQUARE_ROUNDS = 40 };

struct options {
    const char *shape, *isa;
    uint32_t batch, length, prompt, group, threads, shards, rows, steps;
    bool recompute;
};

/* ---- the best product of this machine, now ---- */

struct square {
    float *x; /* three matrices for each thread */
};

static void square_task(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    const struct square *s = arg;
    size_t n = (size_t)SQUARE * SQUARE;
    float *x = s->x + 3 * n * task;
    blas_product(x, x + n, 0, x + 2 * n, SQUARE, SQUARE, SQUARE, 0);
}

/* GFLOP/s of all threads together: the best of some rounds. */
static int best_sgemm(unsigned threads, double *ret, struct err *e)
{
    size_t n = (size_t)SQUARE * SQUARE;
    struct pool *pool;
    struct square s = {mem_big(3 * n * threads, sizeof(float), "matrices", e)};
    if (s.x == NULL)
        return ERR_FAIL;
    int r = pool_new(threads, &pool, e);
    blas_one_thread();
    for (size_t i = 0; i < 3 * n * threads; i++)
        s.x[i] = (float)(i % 97) / 97 - 0.5f;
    for (int i = 0; r == 0 && i < SQUARE_ROUNDS; i++) {
        uint64_t start_ns = clock_mono_ns();
        pool_run(pool, threads, square_task, &s);
        double flops = 2.0 * SQUARE * (double)n * threads;
        double rate = flops / (double)(clock_mono_ns() - start_ns);
        *ret = rate > *ret ? rate : *ret;
    }
    if (r == 0)
        pool_free(pool);
    mem_big_free(s.x);
    return r;
}

/* ---- steps ---- */

struct batch {
    struct train_group *groups; /* owned, as the rest */
    size_t count;
    struct train_completion *rows;
    struct loss_completion *completion; /* their weights */
    uint32_t *ids;
};

static void batch_init(struct batch *b, const struct options *o, uint32_t vocab)
{
    struct rng r = rng_stream((struct rng_key){.seed = 1, .domain = RNG_DATA});
    size_t width = o->prompt + o->group * o->length, ids = o->batch / o->group * width;
    double tokens = (double)o->batch * o->length;
    b->count = o->batch / o->group;
    b->groups = mem_array(b->count, sizeof(*b->groups));
    b->rows = mem_array(o->batch, sizeof(*b->rows));
    b->completion = mem_array(o->batch, sizeof(*b->completion));
    b->ids = mem_array(ids, sizeof(*b->ids));
    for (size_t i = 0; i < ids; i++)
        b->ids[i] = (uint32_t)rng_below(&r, vocab);
    for (uint32_t i = 0; i < o->batch; i++) {
        const uint32_t *group = b->ids + i / o->group * width;
        const uint32_t *at = group + o->prompt + i % o->group * o->length;
        b->rows[i] = (struct train_completion){at, o->length};
        b->completion[i] = (struct loss_completion){.len = o->length, .weight = 1 / tokens};
        if (i % o->group == 0)
            b->groups[i / o->group] = (struct train_group){group, o->prompt, &b->rows[i], o->group};
    }
}

static void batch_done(struct batch *b)
{
    free(b->groups);
    free(b->rows);
    free(b->completion);
    free(b->ids);
}

static void likelihood(void *arg, const struct pack_slice *s, const float *logp,
    const float *entropy, float *dlogp, float *dentropy, struct loss_parts *ret)
{
    (void)entropy;
    (void)dentropy;
    const struct batch *b = arg;
    loss_likelihood(b->completion + s->completion, s->completion_count, logp, dlogp, ret);
}

struct timing {
    double gradient, update, loss;
};

static int step(
    struct trainer *t, struct batch *b, const struct options *o, struct timing *ret, struct err *e)
{
    static const struct recipe_optim adamw = {
        .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01};
    struct trainer_batch batch = {b->groups, b->count, 1};
    struct trainer_loss loss = {.fn = likelihood, .arg = b};
    struct loss_parts parts = {0};
    struct optim_stats stats;
    uint64_t begin_ns = clock_mono_ns();
    int r = trainer_backward(t, &batch, &loss, &parts, NULL, e);
    uint64_t middle_ns = clock_mono_ns();
    if (r == 0)
        r = trainer_update(t, &adamw, adamw.lr, &stats, e);
    *ret = (struct timing){.gradient = (double)(middle_ns - begin_ns) / 1e9,
        .update = (double)(clock_mono_ns() - middle_ns) / 1e9,
        .loss = parts.loss};
    return r;
}

static int by_time(const void *a, const void *b)
{
    const struct timing *x = a, *y = b;
    double tx = x->gradient + x->update, ty = y->gradient + y->update;
    return (tx > ty) - (tx < ty);
}

/* ---- report ---- */

static double flops_per_token(const struct param_table *t, uint32_t length)
{
    const struct model_config *c = &t->config;
    double matrices = 0, attention = 2.0 * c->layers * c->heads * c->head_dim * length;
    for (size_t i = 0; i < t->param_count; i++)
        matrices += t->params[i].rank == 2 ? (double)t->params[i].count : 0;
    return 3 * (2 * matrices + attention);
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static double peak_mib(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u); /* cannot fail with these arguments */
    return (double)u.ru_maxrss / 1024;
}

/* program_mib: what the process held before there was a model. */
static int measure(const struct options *o, const struct bench_model *m, double program_mib,
    struct trainer *t, struct err *e)
{
    struct timing *times = mem_array(o->steps, sizeof(*times)), first;
    struct batch b;
    double best = 0, memory = 0;
    batch_init(&b, o, m->config.vocab);
    int r = step(t, &b, o, &first, e); /* memory grows to its size */
    memory = peak_mib();
    if (r == 0)
        r = best_sgemm(o->threads, &best, e);
    for (uint32_t i = 0; i < o->steps && r == 0; i++)
        r = step(t, &b, o, &times[i], e);
    if (r == 0)
        r = best_sgemm(o->threads, &best, e);
    if (r == 0) {
        qsort(times, o->steps, sizeof(*times), by_time);
        struct timing k = times[o->steps / 2];
        double tokens = (double)o->batch * o->length, seconds = k.gradient + k.update;
        struct trainer_memory bytes =
            trainer_memory(t, &(struct trainer_batch){b.groups, b.count, 1});
        double rate = tokens * flops_per_token(m->table, o->length) / seconds * 1e-9;
        printf("train %s %u x %u, %u threads, %u shards, %u rows: %.0f tokens/s, median of %u "
               "(%.0f best); %.1f GFLOP/s, %.1f %% of sgemm's %.1f; step %.1f ms = gradient %.1f + "
               "update %.1f; loss %.3f; memory %.1f MiB, of it the program %.1f, computed %.1f\n",
            o->shape, o->batch, o->length, o->threads, o->shards, o->rows, tokens / seconds,
            o->steps, tokens / (times[0].gradient + times[0].update), rate, 100 * rate / best, best,
            seconds * 1e3, k.gradient * 1e3, k.update * 1e3, first.loss, memory, program_mib,
            mib(bytes.parameters + bytes.activations));
    }
    batch_done(&b);
    free(times);
    return r;
}

static int run(const struct options *o, struct err *e)
{
    struct bench_model m;
    struct trainer *t = NULL;
    double program_mib = peak_mib();
    int r = bench_model_init(&m, o->shape, o->prompt + o->length, e);
    struct trainer_options to = {.isa = o->isa,
        .threads = o->threads,
        .shards = o->shards,
        .rows_max = o->rows,
        .vocab = m.config.vocab,
        .recompute = o->recompute};
    if (r == 0)
        r = trainer_new(&to, &m.params, &t, e);
    params_done(&m.params);
    if (r == 0)
        r = measure(o, &m, program_mib, t, e);
    trainer_free(t);
    bench_model_done(&m);
    return r;
}

/* ---- command line ---- */

static const struct argp_option option_table[] = {
    {"batch", 'b', "N", 0, "sequences of a step (16)", 0},
    {"length", 'l', "N", 0, "tokens of a sequence (256)", 0},
    {"prompt", 'p', "N", 0, "tokens of a prompt (1)", 0},
    {"group", 'g', "N", 0, "sequences that share a prompt (1); divides --batch", 0},
    {"threads", 'j', "N", 0, "threads (2)", 0},
    {"shards", 's', "N", 0, "gradient accumulators (2)", 0},
    {"rows", 'm', "N", 0, "rows of a micro-batch (1024)", 0},
    {"steps", 'n', "N", 0, "steps, of which the median counts (5)", 0},
    {"recompute", 'r', NULL, 0, "compute activations again in the backward", 0},
    {"isa", 'i', "NAME", 0, "auto, avx512, avx2 or portable", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    uint32_t *numbers[] = {['b'] = &o->batch,
        ['l'] = &o->length,
        ['p'] = &o->prompt,
        ['g'] = &o->group,
        ['j'] = &o->threads,
        ['s'] = &o->shards,
        ['m'] = &o->rows,
        ['n'] = &o->steps};
    if (key == ARGP_KEY_ARG && o->shape == NULL) {
        o->shape = arg;
    } else if (key == ARGP_KEY_ARG || (key == ARGP_KEY_END && o->shape == NULL)) {
        argp_usage(state);
    } else if (key == 'r') {
        o->recompute = true;
    } else if (key == 'i') {
        o->isa = arg;
    } else if (key > 0 && (size_t)key < ARRAY_LEN(numbers) && numbers[key] != NULL) {
        char *end;
        unsigned long v = strtoul(arg, &end, 10);
        if (*end != '\0' || v == 0 || v > 1000000)
            argp_error(state, "'%s': expected a number from 1 to 1000000", arg);
        *numbers[key] = (uint32_t)v;
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {option_table, parse, "SHAPE",
        "Training speed of a shape (T, S, M or Q).", NULL, NULL, NULL};
    struct options o = {.isa = "auto",
        .batch = 16,
        .length = 256,
        .prompt = 1,
        .group = 1,
        .threads = 2,
        .shards = 2,
        .rows = 1024,
        .steps = 5};
    struct err e = {0};
    argp_err_exit_status = 2;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &o); /* its own errors end the process */
    if (o.batch % o.group != 0)
        (void)err_set(&e, ERR_USAGE, "--batch %u is no multiple of --group %u", o.batch, o.group);
    else if (run(&o, &e) == 0)
        return 0;
    fprintf(stderr, "train_bench: %s\n", e.msg);
    return 1;
}
