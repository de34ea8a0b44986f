/* weights.c: see weights.h and packed.h. Binding walks the model once and hands out room in one
 * block; packing then only copies. */
#include "common/model/weights.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/block.h"
#include "common/model/packed.h"

enum { FLOAT_ALIGN = 16, NAME_MAX_BYTES = 128 };

static size_t aligned(size_t floats)
{
    return (floats + FLOAT_ALIGN - 1) / FLOAT_ALIGN * FLOAT_ALIGN;
}

static float *room(struct weights *w, size_t floats)
{
    float *p = w->block + w->used;
    w->used += aligned(floats);
    return p;
}

static const struct param *find(
    const struct weights *w, const char *prefix, const char *name, const char *suffix)
{
    char full[NAME_MAX_BYTES];
    snprintf(full, sizeof(full), "%s%s%s", prefix, name, suffix);
    return param_find(w->table, full);
}

/* A place for a copy of p that weights_pack fills, or, in a view, p itself. */
static const void *add_slot(struct weights *w, const struct param *p, size_t N, size_t K)
{
    if (w->view)
        return w->view + p->offset;
    float *dest = room(w, K > 0 ? linear_packed_bytes(w->type, N, K) / sizeof(float) : N);
    w->slots = mem_grow(w->slots, w->slot_count + 1, sizeof(*w->slots));
    w->slots[w->slot_count++] = (struct slot){.dest = dest, .offset = p->offset, .N = N, .K = K};
    return dest;
}

void weights_bind_linear(
    struct weights *w, struct weight *ret, const char *prefix, const char *name)
{
    const struct param *p = find(w, prefix, name, ".weight");
    const struct param *bias = find(w, prefix, name, ".bias");
    assert(p && p->rank == 2);
    ret->N = p->shape[0];
    ret->K = p->shape[1];
    ret->type = w->type;
    ret->offset = p->offset;
    const void *place = add_slot(w, p, ret->N, ret->K);
    if (w->view)
        ret->plain = place;
    else
        ret->packed = place;
    if (bias) {
        ret->bias_offset = bias->offset;
        ret->bias = add_slot(w, bias, ret->N, 0);
    }
}

void weights_bind_norm(
    struct weights *w, struct norm_weight *ret, const char *prefix, const char *name)
{
    const struct param *p = find(w, prefix, name, ".weight");
    if (!p)
        return;
    ret->C = p->count;
    ret->offset = p->offset;
    ret->g = add_slot(w, p, p->count, 0);
}

/* Room for everything: each matrix packed, each vector plain, and the embedding both ways; a view
 * needs the RoPE tables only. */
static size_t block_floats(const struct param_table *t, enum weights_type type, bool view)
{
    const struct model_config *c = &t->config;
    size_t n = 2 * aligned((size_t)c->context * c->head_dim / 2);
    if (view)
        return n;
    n += aligned((size_t)c->vocab * c->hidden);
    for (size_t i = 0; i < t->param_count; i++) {
        const struct param *p = &t->params[i];
        n += aligned(p->rank == 2
                         ? linear_packed_bytes(type, p->shape[0], p->shape[1]) / sizeof(float)
                         : p->count);
    }
    return n;
}

static void bind(struct weights *w)
{
    const struct model_config *c = &w->table->config;
    const struct param *embed = param_find(w->table, "model.embed_tokens.weight");
    assert(embed);
    w->embed = add_slot(w, embed, embed->count, 0);
    w->embed_offset = embed->offset;
    for (uint32_t layer = 0; layer < c->layers; layer++) {
        char prefix[64];
        snprintf(prefix, sizeof(prefix), "model.layers.%u.", layer);
        attention_kind_of(c)->bind(w, prefix, &w->layers[layer]);
        ffn_kind_of(c)->bind(w, prefix, &w->layers[layer]);
    }
    weights_bind_norm(w, &w->final_norm, "model.", "norm");
    if (c->tied)
        weights_bind_linear(w, &w->head, "model.", "embed_tokens");
    else
        weights_bind_linear(w, &w->head, "", "lm_head");
    w->rope_cos = room(w, (size_t)c->context * c->head_dim / 2);
    w->rope_sin = room(w, (size_t)c->context * c->head_dim / 2);
}

static int make(const struct param_table *t, enum weights_type type, const float *view,
    struct weights **ret, struct err *e)
{
    const struct model_config *c = &t->config;
    size_t floats = block_floats(t, type, view != NULL);
    float *block = mem_big(floats, sizeof(float), "packed weights", e);
    if (!block)
        return ERR_FAIL;
    struct weights *w = mem_alloc(sizeof(*w));
    w->table = t;
    w->view = view;
    w->type = type;
    w->block = block;
    w->layers = mem_array(c->layers, sizeof(*w->layers));
    bind(w);
    assert(w->used <= floats);
    ops_rope_table(w->rope_cos, w->rope_sin, c->context, c->head_dim, c->rope_theta);
    *ret = w;
    return 0;
}

int weights_new(
    const struct param_table *t, enum weights_type type, struct weights **ret, struct err *e)
{
    return make(t, type, NULL, ret, e);
}

int weights_view(const struct params *p, struct weights **ret, struct err *e)
{
    return make(p->table, WEIGHTS_F32, p->data, ret, e);
}

void weights_free(struct weights *w)
{
    if (!w)
        return;
    mem_big_free(w->block);
    free(w->slots);
    free(w->layers);
    free(w);
}

/* Whole panels of a matrix are packed as a matrix of their own. */
static void slot_pack(
    const struct weights *w, const struct slot *s, const float *from, const struct team *team)
{
    struct share own = team_share(team, s->N, OPS_PANEL);
    if (s->K == 0) {
        memcpy((float *)s->dest + own.first, from + own.first, own.count * sizeof(float));
        return;
    }
    uint8_t *dest = (uint8_t *)s->dest + linear_packed_bytes(w->type, own.first, s->K);
    from += own.first * s->K;
    if (w->type == WEIGHTS_INT8)
        ops_pack_int8((void *)dest, from, own.count, s->K);
    else if (w->type == WEIGHTS_BF16)
        ops_pack_bf16((void *)dest, from, own.count, s->K);
    else
        ops_pack((void *)dest, from, own.count, s->K);
}

void weights_pack_share(struct weights *w, const struct params *p, const struct team *team)
{
    assert(!w->view);
    for (size_t i = 0; i < w->slot_count; i++)
        slot_pack(w, &w->slots[i], p->data + w->slots[i].offset, team);
}

void weights_pack(struct weights *w, const struct params *p)
{
    struct team alone = {0};
    weights_pack_share(w, p, &alone);
}
