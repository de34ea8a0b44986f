/* optim.c: global norm, guard, clip, AdamW. */
#include "learner/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum {
    CHUNK = 1 << 16, /* floats of one task */
    PIECE = 4096,    /* floats updated at once, so that the change can be measured near by */
};

/* Floats of one tensor, and what a task found out about them. */
struct optim_chunk {
    const struct param *param; /* borrowed from the table */
    size_t at, count;
    double squares;        /* of the gradient */
    double weight, change; /* squares of the weights before, and of what the update changed */
};

static void cut_chunks(struct optim *o, const struct param_table *t)
{
    for (size_t i = 0; i < t->param_count; i++)
        o->chunk_count += (t->params[i].count + CHUNK - 1) / CHUNK;
    o->chunks = mem_array(o->chunk_count, sizeof(*o->chunks));
    struct optim_chunk *c = o->chunks;
    for (size_t i = 0; i < t->param_count; i++) {
        const struct param *p = &t->params[i];
        for (size_t at = 0; at < p->count; at += CHUNK)
            *c++ = (struct optim_chunk){.param = p,
                .at = p->offset + at,
                .count = p->count - at < CHUNK ? p->count - at : CHUNK};
    }
}

int optim_new(const struct param_table *t, struct optim *ret, struct err *e)
{
    struct optim o = {0};
    if (params_new(t, &o.m, e) != 0 || params_new(t, &o.v, e) != 0) {
        optim_done(&o);
        return err_ctx(e, "optimiser state");
    }
    cut_chunks(&o, t);
    *ret = o;
    return 0;
}

void optim_done(struct optim *o)
{
    params_done(&o->m);
    params_done(&o->v);
    free(o->chunks);
    o->chunks = NULL;
}

void optim_reset(struct optim *o)
{
    memset(o->m.data, 0, o->m.table->floats * sizeof(float));
    memset(o->v.data, 0, o->v.table->floats * sizeof(float));
    o->updates = 0;
}

/* x to the power n by squaring: the same bits everywhere, unlike pow. */
static double power(double x, uint64_t n)
{
    double y = 1;
    for (; n > 0; n >>= 1, x *= x) {
        if (n & 1)
            y *= x;
    }
    return y;
}

/* What the tasks of one update share. */
struct update {
    struct optim *o;
    const struct ops *ops;
    const struct recipe_optim *options;
    const float *grads;
    float *weights;
    float scale, lr, bias1, bias2;
};

static void norm_task(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    const struct update *u = arg;
    struct optim_chunk *c = &u->o->chunks[task];
    c->squares = u->ops->sum_squares(u->grads + c->at, c->count);
}

static void update_task(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    const struct update *u = arg;
    const struct recipe_optim *opt = u->options;
    struct optim_chunk *c = &u->o->chunks[task];
    float before[PIECE], decay = c->param->decay ? (float)opt->weight_decay : 0;
    c->weight = c->change = 0;
    for (size_t at = c->at, end = c->at + c->count; at < end;) {
        size_t n = end - at < PIECE ? end - at : PIECE;
        float *w = u->weights + at;
        memcpy(before, w, n * sizeof(float));
        c->weight += u->ops->sum_squares(before, n);
        u->ops->adamw(w, u->o->m.data + at, u->o->v.data + at, u->grads + at, n, u->scale, u->lr,
            (float)opt->beta1, (float)opt->beta2, (float)opt->eps, decay, u->bias1, u->bias2);
        for (size_t i = 0; i < n; i++)
            before[i] = w[i] - before[i];
        c->change += u->ops->sum_squares(before, n);
        at += n;
    }
}

static int global_norm(struct pool *pool, struct update *u, double *ret, struct err *e)
{
    double sum = 0;
    pool_run(pool, u->o->chunk_count, norm_task, u);
    for (size_t i = 0; i < u->o->chunk_count; i++) {
        const struct optim_chunk *c = &u->o->chunks[i];
        if (!isfinite(c->squares))
            return err_set(e, ERR_FAIL,
                "gradient of '%s' is not finite: the run stops before the update; a lower learning "
                "rate or clip-norm may help",
                c->param->name);
        sum += c->squares;
    }
    *ret = sqrt(sum);
    return 0;
}

int optim_step(struct optim *o, const struct ops *ops, struct pool *pool,
    const struct optim_gradient *g, struct params *params, struct optim_stats *ret, struct err *e)
{
    const struct recipe_optim *opt = g->options;
    struct update u = {.o = o,
        .ops = ops,
        .options = opt,
        .grads = g->data,
        .weights = params->data,
        .lr = (float)g->lr};
    double norm = 0, weight = 0, change = 0;
    int r = global_norm(pool, &u, &norm, e);
    if (r != 0)
        return r;
    o->updates++;
    u.scale = opt->clip_norm > 0 && norm > opt->clip_norm ? (float)(opt->clip_norm / norm) : 1;
    u.bias1 = (float)(1 - power(opt->beta1, o->updates));
    u.bias2 = (float)(1 - power(opt->beta2, o->updates));
    pool_run(pool, o->chunk_count, update_task, &u);
    for (size_t i = 0; i < o->chunk_count; i++) {
        weight += o->chunks[i].weight;
        change += o->chunks[i].change;
    }
    *ret = (struct optim_stats){norm, weight > 0 ? sqrt(change / weight) : 0};
    return 0;
}
