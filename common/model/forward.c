/* forward.c: embedding, layers, final norm, and the same way back. See forward.h. */
#include "common/model/forward.h"

#include <assert.h>
#include <string.h>

#include "common/model/block.h"

/* The residual stream before half layer s (2 x layer, 2 x layer + 1). A forward alone needs two
 * arrays in turn; recomputation has one for each layer, and one for the middle of any. */
static float *stream(const struct acts *a, uint32_t s)
{
    size_t array = s;
    if (a->keep == ACTS_FORWARD)
        array = s & 1;
    else if (a->keep == ACTS_RECOMPUTE)
        array = s % 2 == 0 ? s / 2 : a->config.layers + 1;
    return a->x + array * a->cap * a->config.hidden;
}

static struct kept kept_of(const struct acts *a, uint32_t layer, bool ffn)
{
    const struct model_config *c = &a->config;
    size_t attention = attention_kind_of(c)->kept_floats(c);
    size_t width = attention + ffn_kind_of(c)->kept_floats(c);
    size_t at = (a->keep == ACTS_KEEP ? layer : 0) * width + (ffn ? attention : 0);
    return (struct kept){.base = a->kept + at * a->cap, .cap = a->cap};
}

static struct pass pass_of(
    struct acts *a, const struct weights *w, const struct kv *kv, const struct batch *b)
{
    return (struct pass){.ops = a->ops,
        .w = w,
        .kv = kv,
        .batch = b,
        .keep = a->keep != ACTS_FORWARD,
        .team = a->team,
        .pack = a->pack,
        .scratch = a->scratch,
        .page_scratch = a->page_scratch,
        .page = a->page,
        .dpage = a->dpage};
}

/* Layer l; without y the rest that its backward reads, and no more. */
static void layer_forward(
    const struct acts *a, struct pass *p, uint32_t l, float *y, const float *x)
{
    const struct model_config *c = &a->config;
    const struct layer_weights *w = &p->w->layers[l];
    float *mid = stream(a, 2 * l + 1);
    attention_kind_of(c)->forward(p, w, l, kept_of(a, l, false), mid, x);
    ffn_kind_of(c)->forward(p, w, l, kept_of(a, l, true), y, mid);
}

void model_forward(
    struct acts *a, const struct weights *w, const struct kv *kv, const struct batch *b)
{
    const struct model_config *c = &a->config;
    size_t C = c->hidden;
    assert(b->rows <= a->cap);
    if (b->rows == 0)
        return;
    struct pass p = pass_of(a, w, kv, b);
    float *x = stream(a, 0);
    struct share own = team_share(&a->team, b->rows, 1);
    for (size_t t = own.first; t < own.first + own.count; t++)
        memcpy(x + t * C, w->embed + b->tokens[t] * C, C * sizeof(float));
    for (uint32_t l = 0; l < c->layers; l++)
        layer_forward(a, &p, l, stream(a, 2 * l + 2), stream(a, 2 * l));
    op_norm_share(a->ops, &a->team, a->hidden, p.keep ? a->rstd : NULL, stream(a, 2 * c->layers),
        &w->final_norm, b->rows, c->norm_eps);
    team_meet(&a->team);
}

void model_logits(
    const struct acts *a, const struct weights *w, float *z, const float *hidden, size_t T)
{
    (void)op_linear_share(a->ops, &a->team, a->pack, z, hidden, &w->head, T);
    team_meet(&a->team);
}

/* Rows add to their token's gradient in row order. */
static void embed_bwd(const struct acts *a, const struct weights *w, const struct batch *b,
    const float *dx, float *grads)
{
    size_t C = a->config.hidden;
    for (size_t t = 0; t < b->rows; t++)
        a->ops->add(grads + w->embed_offset + b->tokens[t] * C, C, dx + t * C, C, 1, C);
}

void model_backward(struct acts *a, const struct weights *w, const struct kv *kv,
    const struct batch *b, struct gradient g)
{
    const struct model_config *c = &a->config;
    float *dx = a->dx;
    assert(a->keep != ACTS_FORWARD);
    if (b->rows == 0)
        return;
    struct pass p = pass_of(a, w, kv, b);
    p.gradient = g;
    memset(dx, 0, b->rows * c->hidden * sizeof(float));
    op_norm_bwd(
        a->ops, dx, &g, a->dhidden, stream(a, 2 * c->layers), a->rstd, &w->final_norm, b->rows);
    for (uint32_t l = c->layers; l-- > 0;) {
        const float *x = stream(a, 2 * l), *mid = stream(a, 2 * l + 1);
        if (a->keep == ACTS_RECOMPUTE)
            layer_forward(a, &p, l, NULL, x);
        ffn_kind_of(c)->backward(&p, &w->layers[l], l, kept_of(a, l, true), dx, mid);
        attention_kind_of(c)->backward(&p, &w->layers[l], l, kept_of(a, l, false), dx, x);
    }
    embed_bwd(a, w, b, dx, g.grads);
}
