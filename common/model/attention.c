/* attention.c: grouped-query attention with RoPE over KV pages; biases of query, key and value
 * (Qwen2) and a norm of each query and key head (Qwen3) where the model has them. */
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/block.h"

struct dims {
    uint32_t H, J, D;
    size_t C, q, kv; /* floats of a row: residual, all query heads, all key (or value) heads */
};

static struct dims dims_of(const struct model_config *c)
{
    return (struct dims){.H = c->heads,
        .J = c->kv_heads,
        .D = c->head_dim,
        .C = c->hidden,
        .q = (size_t)c->heads * c->head_dim,
        .kv = (size_t)c->kv_heads * c->head_dim};
}

static void add_params(struct param_table *t, const char *prefix)
{
    const struct model_config *c = &t->config;
    static const char *const names[][2] = {
        {"self_attn.q_proj.weight", "self_attn.q_proj.bias"},
        {"self_attn.k_proj.weight", "self_attn.k_proj.bias"},
        {"self_attn.v_proj.weight", "self_attn.v_proj.bias"},
    };
    uint32_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    param_add_norm(t, prefix, "input_layernorm.weight", c->hidden);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        param_add_matrix(t, prefix, names[i][0], i == 0 ? q : kv, c->hidden);
        if (c->qkv_bias)
            param_add_bias(t, prefix, names[i][1], i == 0 ? q : kv);
    }
    if (c->qk_norm) {
        param_add_norm(t, prefix, "self_attn.q_norm.weight", c->head_dim);
        param_add_norm(t, prefix, "self_attn.k_norm.weight", c->head_dim);
    }
    param_add_matrix(t, prefix, "self_attn.o_proj.weight", c->hidden, q);
}

static void bind(struct weights *w, const char *prefix, struct layer_weights *ret)
{
    struct attention_weights *a = &ret->attention;
    weights_bind_norm(w, &a->norm, prefix, "input_layernorm");
    weights_bind_linear(w, &a->q, prefix, "self_attn.q_proj");
    weights_bind_linear(w, &a->k, prefix, "self_attn.k_proj");
    weights_bind_linear(w, &a->v, prefix, "self_attn.v_proj");
    weights_bind_norm(w, &a->q_norm, prefix, "self_attn.q_norm");
    weights_bind_norm(w, &a->k_norm, prefix, "self_attn.k_norm");
    weights_bind_linear(w, &a->o, prefix, "self_attn.o_proj");
}

static size_t page_floats(const struct model_config *c)
{
    return kv_page_floats(c->kv_heads, c->head_dim);
}

/* ---- kept and scratch ---- */

struct kept_rows {
    float *rstd;            /* of the layer norm: one a row */
    float *q, *out, *lse;   /* rotated queries, attention output: H*D a row; log-sum-exp: H a row */
    float *q_raw, *k_raw;   /* before the QK norm, with it only */
    float *q_rstd, *k_rstd; /* one a head */
};

static struct kept_rows split_kept(const struct model_config *c, struct kept k)
{
    struct dims d = dims_of(c);
    struct kept_rows r = {.rstd = kept_next(&k, 1),
        .q = kept_next(&k, d.q),
        .out = kept_next(&k, d.q),
        .lse = kept_next(&k, d.H)};
    if (c->qk_norm) {
        r.q_raw = kept_next(&k, d.q);
        r.k_raw = kept_next(&k, d.kv);
        r.q_rstd = kept_next(&k, d.H);
        r.k_rstd = kept_next(&k, d.J);
    }
    return r;
}

static size_t kept_floats(const struct model_config *c)
{
    struct dims d = dims_of(c);
    size_t n = 1 + 2 * d.q + d.H;
    return c->qk_norm ? n + d.q + d.kv + d.H + d.J : n;
}

/* The backward needs most: the norm's output and its gradient, three rows of queries (gradient of
 * the output, of the rotated and of the raw queries) and four of keys and values. */
static size_t scratch_floats(const struct model_config *c)
{
    struct dims d = dims_of(c);
    return 2 * d.C + 3 * d.q + 3 * d.kv;
}

/* ---- forward ---- */

static struct attention_shape shape_of(const struct dims *d)
{
    return (struct attention_shape){
        .H = d->H, .J = d->J, .D = d->D, .scale = 1.0f / sqrtf((float)d->D)};
}

/* Rotates the span's queries and keys and puts its keys and values into their pages. */
static void enter_span(struct pass *p, const struct span *s, uint32_t layer,
    const struct kept_rows *r, float *k, const float *v)
{
    struct dims d = dims_of(&p->w->table->config);
    const float *cos = p->w->rope_cos, *sin = p->w->rope_sin;
    size_t floats = p->kv->layer_floats;
    float *own_k = k + s->row0 * d.kv;
    for (size_t i = s->pos0 / KV_PAGE; i < kv_pages_for(s->pos0 + s->rows); i++)
        p->page[i] = s->pages[i] + layer * floats;
    if (s->copied)
        memcpy(p->page[s->pos0 / KV_PAGE], s->copied + layer * floats, floats * sizeof(float));
    p->ops->rope(r->q + s->row0 * d.q, d.q, cos, sin, s->pos0, s->rows, d.H, d.D, 0);
    p->ops->rope(own_k, d.kv, cos, sin, s->pos0, s->rows, d.J, d.D, 0);
    p->ops->kv_put(p->page, own_k, d.kv, v + s->row0 * d.kv, d.kv, s->pos0, s->rows, d.J, d.D);
}

/* A member takes some of the spans, or some of the heads where there are fewer spans than members.
 */
static void attend(struct pass *p, uint32_t layer, const struct kept_rows *r)
{
    const struct batch *b = p->batch;
    struct dims d = dims_of(&p->w->table->config);
    struct share spans = {0, b->span_count}, heads = {0, d.J};
    if (b->span_count >= p->team.size)
        spans = team_share(&p->team, b->span_count, 1);
    else
        heads = team_share(&p->team, d.J, 1);
    p->ops->attention(r->out, d.q, p->keep ? r->lse : NULL, r->q, d.q, b->spans + spans.first,
        spans.count, layer * p->kv->layer_floats, shape_of(&d), heads.first,
        heads.first + heads.count);
}

static void forward(struct pass *p, const struct layer_weights *l, uint32_t layer, struct kept kept,
    float *y, const float *x)
{
    const struct model_config *c = &p->w->table->config;
    const struct attention_weights *a = &l->attention;
    struct dims d = dims_of(c);
    struct kept_rows r = split_kept(c, kept);
    const struct team *m = &p->team;
    size_t T = p->batch->rows;
    float *h = p->scratch, *k = h + T * d.C, *v = k + T * d.kv;

    op_norm_share(p->ops, m, h, p->keep ? r.rstd : NULL, x, &a->norm, T, c->norm_eps);
    team_meet(m);
    (void)op_linear_share(p->ops, m, p->pack, c->qk_norm ? r.q_raw : r.q, h, &a->q, T);
    (void)op_linear_share(p->ops, m, p->pack, c->qk_norm ? r.k_raw : k, h, &a->k, T);
    (void)op_linear_share(p->ops, m, p->pack, v, h, &a->v, T);
    team_meet(m);
    if (c->qk_norm) {
        op_norm_share(
            p->ops, m, r.q, p->keep ? r.q_rstd : NULL, r.q_raw, &a->q_norm, T * d.H, c->norm_eps);
        op_norm_share(
            p->ops, m, k, p->keep ? r.k_rstd : NULL, r.k_raw, &a->k_norm, T * d.J, c->norm_eps);
        team_meet(m);
    }
    struct share own = team_share(m, p->batch->span_count, 1);
    for (size_t i = own.first; i < own.first + own.count; i++)
        enter_span(p, &p->batch->spans[i], layer, &r, k, v);
    team_meet(m);
    attend(p, layer, &r);
    team_meet(m);
    own = op_linear_share(p->ops, m, p->pack, y, r.out, &a->o, T);
    p->ops->add(y + own.first, d.C, x + own.first, d.C, T, own.count);
    team_meet(m);
}

/* ---- backward ---- */

/* Fills the lists with one layer's part of each page that the span may read, and its gradient. */
static void layer_pages(struct pass *p, uint32_t layer, const struct span *s)
{
    size_t n = kv_pages_for(s->pos0 + s->rows);
    for (size_t i = 0; i < n; i++) {
        p->page[i] = s->pages[i] + layer * p->kv->layer_floats;
        p->dpage[i] = kv_gradient(p->kv, s->pages[i]);
    }
}

/* Where the gradients of a layer's heads go; T rows each. */
struct head_gradients {
    const float *out;
    float *q, *k, *v;
};

/* The gradients of the span's rows. Keys and values collect theirs in the gradient pages, from
 * every later row of every sequence that shares them; spans are ordered so that all of it is there
 * when it is read back here. A copy of the page in which a prompt ends is added to the prompt's
 * own; it also holds gradients of the span's first positions, which land where nobody reads. */
static void attend_span_bwd(struct pass *p, uint32_t layer, const struct span *s,
    const struct kept_rows *r, const struct head_gradients *g)
{
    struct dims d = dims_of(&p->w->table->config);
    size_t at_q = s->row0 * d.q, at_kv = s->row0 * d.kv, n = p->kv->layer_floats;
    const float *dout = g->out;
    float *dq = g->q, *dk = g->k, *dv = g->v;
    layer_pages(p, layer, s);
    p->ops->attention_bwd(dq + at_q, d.q, p->dpage, dout + at_q, d.q, r->q + at_q, d.q,
        r->out + at_q, d.q, r->lse + s->row0 * d.H, p->page, s->pos0, s->rows, shape_of(&d),
        p->page_scratch);
    p->ops->kv_get(dk + at_kv, d.kv, dv + at_kv, d.kv, p->dpage, s->pos0, s->rows, d.J, d.D);
    p->ops->rope(dq + at_q, d.q, p->w->rope_cos, p->w->rope_sin, s->pos0, s->rows, d.H, d.D, 1);
    p->ops->rope(dk + at_kv, d.kv, p->w->rope_cos, p->w->rope_sin, s->pos0, s->rows, d.J, d.D, 1);
    if (s->copied)
        p->ops->add(kv_gradient(p->kv, s->copied), n, p->dpage[s->pos0 / KV_PAGE], n, 1, n);
}

/* Replaces *dy, the gradient of the normed heads, by that of the raw ones, written to dx. */
static void head_norm_bwd(struct pass *p, float *dx, const float *dy, const float *x,
    const float *rstd, const struct norm_weight *w, size_t rows)
{
    memset(dx, 0, rows * w->C * sizeof(float));
    op_norm_bwd(p->ops, dx, &p->gradient, dy, x, rstd, w, rows);
}

static void backward(struct pass *p, const struct layer_weights *l, uint32_t layer,
    struct kept kept, float *dx, const float *x)
{
    const struct model_config *c = &p->w->table->config;
    const struct attention_weights *a = &l->attention;
    const struct gradient *g = &p->gradient;
    struct dims d = dims_of(c);
    struct kept_rows r = split_kept(c, kept);
    size_t T = p->batch->rows;
    float *h = p->scratch, *dh = h + T * d.C, *dout = dh + T * d.C, *dq = dout + T * d.q;
    float *dk = dq + T * d.q, *dv = dk + T * d.kv;

    op_linear_bwd(p->ops, p->pack, dout, g, dx, r.out, &a->o, T, 0);
    struct head_gradients heads = {dout, dq, dk, dv};
    kv_clear_gradients(p->kv);
    for (size_t i = p->batch->prompt_count; i < p->batch->span_count; i++)
        attend_span_bwd(p, layer, &p->batch->spans[i], &r, &heads);
    for (size_t i = 0; i < p->batch->prompt_count; i++)
        attend_span_bwd(p, layer, &p->batch->spans[i], &r, &heads);
    if (c->qk_norm) {
        float *dq_raw = dv + T * d.kv, *dk_raw = dq_raw + T * d.q;
        head_norm_bwd(p, dq_raw, dq, r.q_raw, r.q_rstd, &a->q_norm, T * d.H);
        head_norm_bwd(p, dk_raw, dk, r.k_raw, r.k_rstd, &a->k_norm, T * d.J);
        dq = dq_raw;
        dk = dk_raw;
    }
    op_norm(p->ops, h, NULL, x, &a->norm, T, c->norm_eps);
    op_linear_bwd(p->ops, p->pack, dh, g, dq, h, &a->q, T, 0);
    op_linear_bwd(p->ops, p->pack, dh, g, dk, h, &a->k, T, 1);
    op_linear_bwd(p->ops, p->pack, dh, g, dv, h, &a->v, T, 1);
    op_norm_bwd(p->ops, dx, g, dh, x, r.rstd, &a->norm, T);
}

const struct block_kind attention_gqa = {
    .params = add_params,
    .bind = bind,
    .page_floats = page_floats,
    .kept_floats = kept_floats,
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
};

const struct block_kind *attention_kind_of(const struct model_config *c)
{
    (void)c; /* multi-head latent attention will be told apart here */
    return &attention_gqa;
}
