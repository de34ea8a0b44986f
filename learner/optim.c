/* optim.c: global norm, guard, clip, AdamW. */
#include "learner/optim.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 4096 }; /* floats updated at once, so that the change can be measured */

int optim_new(const struct param_table *t, struct optim *ret, struct err *e)
{
    struct optim o = {0};
    if (params_new(t, &o.m, e) != 0 || params_new(t, &o.v, e) != 0) {
        optim_done(&o);
        return err_ctx(e, "optimiser state");
    }
    *ret = o;
    return 0;
}

void optim_done(struct optim *o)
{
    params_done(&o->m);
    params_done(&o->v);
}

void optim_reset(struct optim *o)
{
    memset(o->m.data, 0, o->m.table->floats * sizeof(float));
    memset(o->v.data, 0, o->v.table->floats * sizeof(float));
    o->updates = 0;
}

static int global_norm(const struct param_table *t, const struct ops *ops, const float *grads,
    double *ret, struct err *e)
{
    double sum = 0;
    for (size_t i = 0; i < t->param_count; i++) {
        double squares = ops->sum_squares(grads + t->params[i].offset, t->params[i].count);
        if (!isfinite(squares))
            return err_set(e, ERR_FAIL,
                "gradient of '%s' is not finite: the run stops before the update; a lower learning "
                "rate or clip-norm may help",
                t->params[i].name);
        sum += squares;
    }
    *ret = sqrt(sum);
    return 0;
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

struct update {
    const struct recipe_optim *opt;
    float scale, lr, bias1, bias2;
};

static void update_param(struct optim *o, const struct ops *ops, const struct update *u,
    const struct param *p, const float *grads, struct params *params, double *weight,
    double *change)
{
    float before[CHUNK];
    float decay = p->decay ? (float)u->opt->weight_decay : 0;
    for (size_t at = p->offset, end = p->offset + p->count; at < end;) {
        size_t n = end - at < CHUNK ? end - at : CHUNK;
        memcpy(before, params->data + at, n * sizeof(float));
        *weight += ops->sum_squares(before, n);
        ops->adamw(params->data + at, o->m.data + at, o->v.data + at, grads + at, n, u->scale,
            u->lr, (float)u->opt->beta1, (float)u->opt->beta2, (float)u->opt->eps, decay, u->bias1,
            u->bias2);
        for (size_t i = 0; i < n; i++)
            before[i] = params->data[at + i] - before[i];
        *change += ops->sum_squares(before, n);
        at += n;
    }
}

int optim_step(struct optim *o, const struct ops *ops, const struct recipe_optim *opt, double lr,
    const float *grads, struct params *params, struct optim_stats *ret, struct err *e)
{
    const struct param_table *t = params->table;
    double norm = 0, weight = 0, change = 0;
    int r = global_norm(t, ops, grads, &norm, e);
    if (r != 0)
        return r;
    double scale = opt->clip_norm > 0 && norm > opt->clip_norm ? opt->clip_norm / norm : 1;
    o->updates++;
    struct update u = {opt, (float)scale, (float)lr, (float)(1 - power(opt->beta1, o->updates)),
        (float)(1 - power(opt->beta2, o->updates))};
    for (size_t i = 0; i < t->param_count; i++)
        update_param(o, ops, &u, &t->params[i], grads, params, &weight, &change);
    *ret = (struct optim_stats){norm, weight > 0 ? sqrt(change / weight) : 0};
    return 0;
}
