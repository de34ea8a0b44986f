/* forward.c: embedding, layers, final norm, and the same way back. See forward.h. */
#include "common/model/forward.h"

#include <assert.h>
#include <string.h>

#include "common/model/block.h"

/* The residual stream before half layer s (2 x layer, 2 x layer + 1), of the batch's first row. */
static float *stream(const struct acts *a, uint32_t s, size_t row0)
{
    size_t array = a->keep ? s : s & 1;
    return a->x + (array * a->cap + row0) * a->config.hidden;
}

static struct kept kept_of(const struct acts *a, uint32_t layer, bool ffn, size_t row0)
{
    const struct model_config *c = &a->config;
    size_t attention = attention_kind_of(c)->kept_floats(c);
    size_t width = attention + ffn_kind_of(c)->kept_floats(c);
    size_t at = (a->keep ? layer : 0) * width + (ffn ? attention : 0);
    return (struct kept){.base = a->kept + at * a->cap, .cap = a->cap, .row0 = row0};
}

static struct pass pass_of(
    struct acts *a, const struct weights *w, const struct kv *kv, const struct batch *b)
{
    return (struct pass){.ops = a->ops,
        .w = w,
        .kv = kv,
        .batch = b,
        .keep = a->keep,
        .scratch = a->scratch,
        .page_scratch = a->page_scratch,
        .page = a->page,
        .dpage = a->dpage};
}

void model_forward(struct acts *a, const struct weights *w, const struct kv *kv,
    const struct batch *b, size_t row0)
{
    const struct model_config *c = &a->config;
    size_t C = c->hidden;
    assert(row0 + b->rows <= a->cap);
    if (b->rows == 0)
        return;
    struct pass p = pass_of(a, w, kv, b);
    float *x = stream(a, 0, row0);
    for (size_t t = 0; t < b->rows; t++)
        memcpy(x + t * C, w->embed + b->tokens[t] * C, C * sizeof(float));
    for (uint32_t l = 0; l < c->layers; l++) {
        float *mid = stream(a, 2 * l + 1, row0), *next = stream(a, 2 * l + 2, row0);
        attention_kind_of(c)->forward(&p, &w->layers[l], l, kept_of(a, l, false, row0), mid, x);
        ffn_kind_of(c)->forward(&p, &w->layers[l], l, kept_of(a, l, true, row0), next, mid);
        x = next;
    }
    op_norm(a->ops, a->hidden + row0 * C, a->keep ? a->rstd + row0 : NULL, x, &w->final_norm,
        b->rows, c->norm_eps);
}

void model_logits(
    const struct acts *a, const struct weights *w, float *z, const float *hidden, size_t T)
{
    op_linear(a->ops, z, hidden, &w->head, T);
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
    const struct batch *b, size_t row0, struct gradient g)
{
    const struct model_config *c = &a->config;
    size_t C = c->hidden;
    assert(a->keep);
    if (b->rows == 0)
        return;
    struct pass p = pass_of(a, w, kv, b);
    p.gradient = g;
    float *dx = a->dx + row0 * C;
    memset(dx, 0, b->rows * C * sizeof(float));
    op_norm_bwd(a->ops, dx, &g, a->dhidden + row0 * C, stream(a, 2 * c->layers, row0),
        a->rstd + row0, &w->final_norm, b->rows);
    for (uint32_t l = c->layers; l-- > 0;) {
        const float *x = stream(a, 2 * l, row0), *mid = stream(a, 2 * l + 1, row0);
        ffn_kind_of(c)->backward(&p, &w->layers[l], l, kept_of(a, l, true, row0), dx, mid);
        attention_kind_of(c)->backward(&p, &w->layers[l], l, kept_of(a, l, false, row0), dx, x);
    }
    embed_bwd(a, w, b, dx, g.grads);
}
