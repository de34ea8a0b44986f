/* ffn.c: the SwiGLU feed-forward: y = x + W_down (silu(W_gate n) * W_up n), n = norm(x). */
#include "common/model/block.h"

static void add_params(struct param_table *t, const char *prefix)
{
    const struct model_config *c = &t->config;
    param_add_norm(t, prefix, "post_attention_layernorm.weight", c->hidden);
    param_add_matrix(t, prefix, "mlp.gate_proj.weight", c->ffn, c->hidden);
    param_add_matrix(t, prefix, "mlp.up_proj.weight", c->ffn, c->hidden);
    param_add_matrix(t, prefix, "mlp.down_proj.weight", c->hidden, c->ffn);
}

static void bind(struct weights *w, const char *prefix, struct layer_weights *ret)
{
    weights_bind_norm(w, &ret->ffn.norm, prefix, "post_attention_layernorm");
    weights_bind_linear(w, &ret->ffn.gate, prefix, "mlp.gate_proj");
    weights_bind_linear(w, &ret->ffn.up, prefix, "mlp.up_proj");
    weights_bind_linear(w, &ret->ffn.down, prefix, "mlp.down_proj");
}

struct kept_rows {
    float *rstd, *gate, *up;
};

static struct kept_rows split_kept(size_t F, struct kept k)
{
    return (struct kept_rows){
        .rstd = kept_next(&k, 1), .gate = kept_next(&k, F), .up = kept_next(&k, F)};
}

static size_t kept_floats(const struct model_config *c)
{
    return 1 + 2 * (size_t)c->ffn;
}

static size_t scratch_floats(const struct model_config *c)
{
    return 2 * (size_t)c->hidden + (size_t)c->ffn;
}

static void forward(struct pass *p, const struct layer_weights *l, uint32_t layer, struct kept kept,
    float *y, const float *x)
{
    (void)layer;
    const struct model_config *c = &p->w->table->config;
    size_t T = p->batch->rows, C = c->hidden, F = c->ffn;
    struct kept_rows r = split_kept(F, kept);
    float *h = p->scratch, *act = h + T * C;

    op_norm_share(p->ops, &p->team, h, p->keep ? r.rstd : NULL, x, &l->ffn.norm, T, c->norm_eps);
    team_meet(&p->team);
    (void)op_linear_share(p->ops, &p->team, p->pack, r.gate, h, &l->ffn.gate, T);
    struct share s = op_linear_share(p->ops, &p->team, p->pack, r.up, h, &l->ffn.up, T);
    if (!y)
        return;
    p->ops->swiglu(act + s.first, F, r.gate + s.first, F, r.up + s.first, F, T, s.count);
    team_meet(&p->team);
    s = op_linear_share(p->ops, &p->team, p->pack, y, act, &l->ffn.down, T);
    p->ops->add(y + s.first, C, x + s.first, C, T, s.count);
    team_meet(&p->team);
}

static void backward(struct pass *p, const struct layer_weights *l, uint32_t layer,
    struct kept kept, float *dx, const float *x)
{
    (void)layer;
    const struct model_config *c = &p->w->table->config;
    const struct gradient *g = &p->gradient;
    size_t T = p->batch->rows, C = c->hidden, F = c->ffn;
    struct kept_rows r = split_kept(F, kept);
    float *h = p->scratch, *dh = h + T * C, *act = dh + T * C; /* its gradient, then itself */
    float *dgate = r.gate, *dup = r.up; /* in place: nobody reads gate and up again */

    /* Cheaper to compute the product and the normed rows again than to keep them for every layer.
     */
    op_linear_dx(p->ops, p->pack, act, g, dx, &l->ffn.down, T, 0);
    p->ops->swiglu_bwd(dgate, dup, act, F, r.gate, r.up, F, T, F);
    op_linear_dw(p->ops, p->pack, g, dx, act, &l->ffn.down, T);
    op_norm(p->ops, h, NULL, x, &l->ffn.norm, T, c->norm_eps);
    op_linear_bwd(p->ops, p->pack, dh, g, dgate, h, &l->ffn.gate, T, 0);
    op_linear_bwd(p->ops, p->pack, dh, g, dup, h, &l->ffn.up, T, 1);
    op_norm_bwd(p->ops, dx, g, dh, x, r.rstd, &l->ffn.norm, T);
}

const struct block_kind ffn_swiglu = {
    .params = add_params,
    .bind = bind,
    .kept_floats = kept_floats,
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
};

const struct block_kind *ffn_kind_of(const struct model_config *c)
{
    (void)c; /* mixtures of experts will be told apart here */
    return &ffn_swiglu;
}
