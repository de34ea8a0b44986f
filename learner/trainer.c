/* trainer.c: the CPU trainer: a pool of threads, gradient shards, AdamW. */
#include "learner/trainer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/weights.h"
#include "common/tensor/pool.h"

enum { TREE_CHUNK = 16384 }; /* floats of one task of the shard sum */

struct trainer {
    struct trainer_options options;
    const struct param_table *table; /* borrowed */
    const struct ops *ops;           /* static */
    struct pool *pool;               /* owned */
    struct params params, reference; /* the latter without data until set */
    struct weights *weights, *reference_weights, *other_weights; /* owned */
    struct optim optim;
    float **grads;           /* owned: shards blocks */
    struct train_ctx **ctxs; /* owned: one for each thread */
};

static int copy_params(
    struct params *to, struct weights **weights, const struct params *from, struct err *e)
{
    if (to->data == NULL && params_new(from->table, to, e) != 0)
        return e->code;
    memcpy(to->data, from->data, from->table->floats * sizeof(float));
    return *weights == NULL ? weights_view(to, weights, e) : 0;
}

static struct train_options train_options(const struct trainer *t)
{
    return (struct train_options){.isa = t->options.isa, .recompute = t->options.recompute};
}

static int trainer_open(struct trainer *t, const struct params *initial, struct err *e)
{
    const struct trainer_options *o = &t->options;
    if (ops_select(o->isa, &t->ops, e) != 0 || pool_new(o->threads, &t->pool, e) != 0 ||
        copy_params(&t->params, &t->weights, initial, e) != 0 ||
        optim_new(t->table, &t->optim, e) != 0)
        return e->code;
    t->grads = mem_array(o->shards, sizeof(*t->grads));
    for (unsigned i = 0; i < o->shards; i++) {
        t->grads[i] = mem_big(t->table->floats, sizeof(float), "gradient shard", e);
        if (t->grads[i] == NULL)
            return e->code;
    }
    struct train_options options = train_options(t);
    t->ctxs = mem_array(o->threads, sizeof(*t->ctxs));
    for (unsigned i = 0; i < o->threads; i++) {
        if (train_ctx_new(t->table, &options, &t->ctxs[i], e) != 0)
            return e->code;
    }
    return 0;
}

int trainer_new(const struct trainer_options *o, const struct params *initial, struct trainer **ret,
    struct err *e)
{
    assert(o->threads > 0 && o->shards > 0 && o->rows_max > 0);
    struct trainer *t = mem_alloc(sizeof(*t));
    t->options = *o;
    t->table = initial->table;
    int r = trainer_open(t, initial, e);
    if (r != 0) {
        trainer_free(t);
        return err_ctx(e, "trainer");
    }
    *ret = t;
    return 0;
}

void trainer_free(struct trainer *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; t->ctxs != NULL && i < t->options.threads; i++)
        train_ctx_free(t->ctxs[i]);
    for (unsigned i = 0; t->grads != NULL && i < t->options.shards; i++)
        mem_big_free(t->grads[i]);
    free(t->ctxs);
    free(t->grads);
    optim_done(&t->optim);
    trainer_drop_reference(t);
    weights_free(t->weights);
    weights_free(t->other_weights);
    params_done(&t->params);
    pool_free(t->pool);
    free(t);
}

const struct ops *trainer_ops(const struct trainer *t)
{
    return t->ops;
}

struct trainer_state trainer_state(struct trainer *t)
{
    return (struct trainer_state){
        &t->params, &t->optim, t->reference.data != NULL ? &t->reference : NULL};
}

void trainer_reset_optim(struct trainer *t)
{
    optim_reset(&t->optim);
}

int trainer_set_reference(struct trainer *t, struct err *e)
{
    int r = copy_params(&t->reference, &t->reference_weights, &t->params, e);
    return r != 0 ? err_ctx(e, "reference") : 0;
}

void trainer_drop_reference(struct trainer *t)
{
    weights_free(t->reference_weights);
    params_done(&t->reference);
    t->reference_weights = NULL;
    t->reference = (struct params){0};
}

int trainer_set_other(
    struct trainer *t, const struct params *p, enum weights_type type, struct err *e)
{
    weights_free(t->other_weights);
    t->other_weights = NULL;
    int r = type == WEIGHTS_F32 ? weights_view(p, &t->other_weights, e)
                                : weights_new(t->table, type, &t->other_weights, e);
    if (r == 0 && type != WEIGHTS_F32)
        weights_pack(t->other_weights, p);
    return r != 0 ? err_ctx(e, "weights of another version") : 0;
}

size_t trainer_batch_tokens(const struct trainer_batch *b)
{
    struct micro_batch whole = {.groups = b->groups, .group_count = b->group_count};
    return micro_batch_tokens(&whole);
}

/* ---- work on the pool ---- */

/* One pass over a batch. Task k handles micro-batches k, k + stride, ... in order. */
struct pass {
    struct trainer *t;
    const struct trainer_batch *batch;
    struct packed packed;
    const struct weights *weights;
    const struct trainer_loss *loss; /* NULL: forward only */
    size_t stride;
    float *logp, *entropy, *dlogp, *dentropy; /* of the batch; owned */
    struct loss_parts *parts;                 /* for each micro-batch; owned */
    struct err *errs;                         /* for each micro-batch; owned */
};

static struct micro_batch slice_batch(const struct pass *p, const struct pack_slice *s)
{
    return (struct micro_batch){.groups = p->packed.groups + s->group,
        .group_count = s->group_count,
        .temperature = p->batch->temperature,
        .vocab = p->t->options.vocab};
}

static int run_slice(struct pass *p, size_t i, size_t shard, unsigned thread)
{
    struct trainer *t = p->t;
    const struct pack_slice *s = &p->packed.slices[i];
    struct micro_batch mb = slice_batch(p, s);
    float *entropy = p->entropy != NULL ? p->entropy + s->token : NULL;
    int r = train_forward(t->ctxs[thread], p->weights, &mb, p->loss != NULL, p->logp + s->token,
        entropy, &p->errs[i]);
    if (r != 0 || p->loss == NULL)
        return r;
    float *dentropy = p->dentropy != NULL ? p->dentropy + s->token : NULL;
    p->loss->fn(
        p->loss->arg, s, p->logp + s->token, entropy, p->dlogp + s->token, dentropy, &p->parts[i]);
    return train_backward(t->ctxs[thread], p->weights, &t->params, &mb, p->dlogp + s->token,
        dentropy, t->grads[shard], &p->errs[i]);
}

static void run_task(void *arg, size_t task, unsigned thread)
{
    struct pass *p = arg;
    if (p->loss != NULL)
        memset(p->t->grads[task], 0, p->t->table->floats * sizeof(float));
    for (size_t i = task; i < p->packed.slice_count; i += p->stride) {
        if (run_slice(p, i, task, thread) != 0)
            return;
    }
}

static void pack(const struct trainer *t, const struct trainer_batch *b, struct packed *ret)
{
    struct pack_rule rule = {t->options.rows_max, t->options.shards};
    pack_batch(b->groups, b->group_count, &rule, ret);
}

/* Makes room, runs the tasks and reports the error of the first micro-batch that failed. */
static int run_pass(struct pass *p, struct err *e)
{
    struct trainer *t = p->t;
    size_t slices = p->packed.slice_count;
    size_t stride = p->loss != NULL ? t->options.shards : t->options.threads;
    p->stride = stride < slices ? stride : slices;
    p->parts = mem_array(slices, sizeof(*p->parts));
    p->errs = mem_array(slices, sizeof(*p->errs));
    pool_run(t->pool, p->stride, run_task, p);
    for (size_t i = 0; i < slices; i++) {
        if (p->errs[i].code != 0) {
            *e = p->errs[i];
            return err_ctx(e, "micro-batch %zu of %zu", i, slices);
        }
    }
    return 0;
}

static void pass_done(struct pass *p)
{
    packed_done(&p->packed);
    free(p->entropy);
    free(p->dlogp);
    free(p->dentropy);
    free(p->parts);
    free(p->errs);
}

int trainer_logprob(struct trainer *t, enum trainer_weights which, const struct trainer_batch *b,
    float *logp, struct err *e)
{
    const struct weights *of[] = {t->weights, t->reference_weights, t->other_weights};
    assert(of[which] != NULL);
    struct pass p = {.t = t, .batch = b, .weights = of[which], .logp = logp};
    pack(t, b, &p.packed);
    int r = run_pass(&p, e);
    pass_done(&p);
    return r;
}

/* ---- the sum of the shards ---- */

struct tree {
    float **blocks;
    size_t floats, stride, count;
};

static void tree_task(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    const struct tree *tr = arg;
    size_t begin = task * TREE_CHUNK;
    size_t end = begin + TREE_CHUNK < tr->floats ? begin + TREE_CHUNK : tr->floats;
    for (size_t stride = 1; stride < tr->count; stride *= 2) {
        for (size_t i = 0; i + stride < tr->count; i += 2 * stride) {
            float *to = tr->blocks[i];
            const float *from = tr->blocks[i + stride];
            for (size_t k = begin; k < end; k++)
                to[k] += from[k];
        }
    }
}

/* Block 0 becomes ((0 + 1) + (2 + 3)) + ...: the same tree for any number of threads. */
static void add_shards(struct trainer *t, size_t count)
{
    struct tree tr = {.blocks = t->grads, .floats = t->table->floats, .count = count};
    pool_run(t->pool, (tr.floats + TREE_CHUNK - 1) / TREE_CHUNK, tree_task, &tr);
}

int trainer_backward(struct trainer *t, const struct trainer_batch *b,
    const struct trainer_loss *loss, struct loss_parts *ret_parts, float *ret_logp, struct err *e)
{
    struct pass p = {.t = t, .batch = b, .weights = t->weights, .loss = loss};
    pack(t, b, &p.packed);
    assert(p.packed.tokens > 0);
    CLEANUP_FREE float *own_logp =
        ret_logp == NULL ? mem_array(p.packed.tokens, sizeof(float)) : NULL;
    p.logp = ret_logp != NULL ? ret_logp : own_logp;
    p.dlogp = mem_array(p.packed.tokens, sizeof(float));
    if (loss->entropy)
        p.entropy = mem_array(p.packed.tokens, sizeof(float));
    if (loss->dentropy)
        p.dentropy = mem_array(p.packed.tokens, sizeof(float));
    int r = run_pass(&p, e);
    if (r == 0) {
        add_shards(t, p.stride);
        struct loss_parts sum = {0};
        for (size_t i = 0; i < p.packed.slice_count; i++)
            loss_parts_add(&sum, &p.parts[i]);
        *ret_parts = sum;
    }
    pass_done(&p);
    return r;
}

const float *trainer_gradient(const struct trainer *t)
{
    return t->grads[0];
}

int trainer_update(struct trainer *t, const struct recipe_optim *o, double lr,
    struct optim_stats *ret, struct err *e)
{
    struct optim_gradient g = {t->grads[0], o, lr};
    return optim_step(&t->optim, t->ops, t->pool, &g, &t->params, ret, e);
}

struct trainer_memory trainer_memory(const struct trainer *t, const struct trainer_batch *b)
{
    size_t blocks = 3 + t->options.shards + (t->reference.data != NULL), most = 0, tokens;
    struct train_options options = train_options(t);
    struct packed p;
    pack(t, b, &p);
    for (size_t i = 0; i < p.slice_count; i++) {
        const struct pack_slice *s = &p.slices[i];
        struct micro_batch mb = {.groups = p.groups + s->group, .group_count = s->group_count};
        size_t bytes = train_bytes(t->table, &options, &mb);
        most = bytes > most ? bytes : most;
    }
    size_t busy = t->options.threads < t->options.shards ? t->options.threads : t->options.shards;
    busy = busy < p.slice_count ? busy : p.slice_count;
    tokens = p.tokens;
    packed_done(&p);
    return (struct trainer_memory){blocks * mem_big_bytes(t->table->floats * sizeof(float)),
        busy * most + 4 * tokens * sizeof(float)}; /* logp, entropy and their gradients */
}
