/* params.c: the parameter table and its flat block. The kinds of attention and feed-forward add
 * their own tensors (block.h); embedding, final norm and head are added here. */
#include "common/model/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/block.h"

/* Offsets are multiples of this many floats, so that every tensor starts on a cache line. */
enum { PARAM_ALIGN = 16 };

static struct param *add(struct param_table *t, const char *prefix, const char *name)
{
    t->params = mem_grow(t->params, t->param_count + 1, sizeof(*t->params));
    struct param *p = &t->params[t->param_count++];
    *p = (struct param){.name = mem_printf("%s%s", prefix, name), .offset = t->floats};
    return p;
}

static void close_shape(struct param_table *t, struct param *p)
{
    p->count = p->rank == 2 ? (size_t)p->shape[0] * p->shape[1] : p->shape[0];
    t->floats += (p->count + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

void param_add_matrix(
    struct param_table *t, const char *prefix, const char *name, uint32_t outputs, uint32_t inputs)
{
    struct param *p = add(t, prefix, name);
    p->rank = 2;
    p->shape[0] = outputs;
    p->shape[1] = inputs;
    p->init_std = (float)(1 / sqrt((double)inputs));
    p->decay = 1;
    close_shape(t, p);
}

void param_add_norm(struct param_table *t, const char *prefix, const char *name, uint32_t channels)
{
    struct param *p = add(t, prefix, name);
    p->rank = 1;
    p->shape[0] = channels;
    close_shape(t, p);
}

void param_add_bias(struct param_table *t, const char *prefix, const char *name, uint32_t outputs)
{
    struct param *p = add(t, prefix, name);
    p->rank = 1;
    p->shape[0] = outputs;
    p->init_std = -1;
    close_shape(t, p);
}

int param_table_new(const struct model_config *c, struct param_table **ret, struct err *e)
{
    int r = model_config_check(c, e);
    if (r < 0)
        return r;
    struct param_table *t = mem_alloc(sizeof(*t));
    t->config = *c;
    param_add_matrix(t, "model.", "embed_tokens.weight", c->vocab, c->hidden);
    for (uint32_t layer = 0; layer < c->layers; layer++) {
        char prefix[64];
        snprintf(prefix, sizeof(prefix), "model.layers.%u.", layer);
        attention_kind_of(c)->params(t, prefix);
        ffn_kind_of(c)->params(t, prefix);
    }
    param_add_norm(t, "model.", "norm.weight", c->hidden);
    if (!c->tied)
        param_add_matrix(t, "", "lm_head.weight", c->vocab, c->hidden);
    *ret = t;
    return 0;
}

void param_table_free(struct param_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->param_count; i++)
        free((char *)t->params[i].name);
    free(t->params);
    free(t);
}

const struct param *param_find(const struct param_table *t, const char *name)
{
    for (size_t i = 0; i < t->param_count; i++) {
        if (strcmp(t->params[i].name, name) == 0)
            return &t->params[i];
    }
    return NULL;
}

size_t model_config_parameters(const struct model_config *c)
{
    struct param_table *t;
    if (param_table_new(c, &t, NULL) < 0)
        return 0;
    size_t n = 0;
    for (size_t i = 0; i < t->param_count; i++)
        n += t->params[i].count;
    param_table_free(t);
    return n;
}

/* ---- the block ---- */

int params_new(const struct param_table *t, struct params *ret, struct err *e)
{
    float *data = mem_big(t->floats, sizeof(float), "parameters", e);
    if (!data)
        return ERR_FAIL;
    *ret = (struct params){.table = t, .data = data};
    return 0;
}

void params_done(struct params *p)
{
    mem_big_free(p->data);
    *p = (struct params){0};
}

void params_init_random(struct params *p, uint64_t seed)
{
    for (size_t i = 0; i < p->table->param_count; i++) {
        const struct param *t = &p->table->params[i];
        float *x = p->data + t->offset;
        /* Keyed by the name and not by the index, so that a tensor keeps its numbers when a model
         * gains or loses another one. */
        struct rng r = rng_stream((struct rng_key){
            .seed = seed, .domain = RNG_INIT, .ordinal = hash_u64(t->name, strlen(t->name))});
        for (size_t k = 0; k < t->count; k++) {
            if (t->init_std > 0)
                x[k] = (float)(rng_normal(&r) * (double)t->init_std);
            else
                x[k] = t->init_std < 0 ? 0.0f : 1.0f;
        }
    }
}

const char *params_not_finite(const struct params *p)
{
    for (size_t i = 0; i < p->table->param_count; i++) {
        const struct param *t = &p->table->params[i];
        for (size_t k = 0; k < t->count; k++) {
            if (!isfinite(p->data[t->offset + k]))
                return t->name;
        }
    }
    return NULL;
}
