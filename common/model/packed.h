/* packed.h: what lies inside struct weights, for the model's own files.
 *
 * struct weight is one linear layer: its form for the forward, and where its parameters lie in the
 * flat block for the backward. Nobody but op_linear reads that form: which of the three it is (f32,
 * bf16, int8) is decided there alone. A set made by weights_new holds packed copies; one made by
 * weights_view has none and packs a few outputs at a time, as they are needed: with many rows that
 * costs little, and training saves a copy of every matrix.
 */
#ifndef COHORT_MODEL_PACKED_H
#define COHORT_MODEL_PACKED_H

#include <stddef.h>

#include "common/base/words.h"
#include "common/model/params.h"
#include "common/model/team.h"
#include "common/tensor/ops.h"

struct weight {
    enum weights_type type; /* of packed */
    const void *packed; /* borrowed from struct weights, as all pointers below; NULL in a view */
    const float *plain; /* of a view: N x K as in the parameters */
    const float *bias;  /* NULL: none */
    size_t N, K;
    size_t offset, bias_offset; /* of the parameters in the flat block */
};

struct norm_weight {
    const float *g; /* NULL: this model has no such norm */
    size_t C;
    size_t offset;
};

struct attention_weights {
    struct norm_weight norm, q_norm, k_norm;
    struct weight q, k, v, o;
};

struct ffn_weights {
    struct norm_weight norm;
    struct weight gate, up, down;
};

struct layer_weights {
    struct attention_weights attention;
    struct ffn_weights ffn;
};

/* One tensor that weights_pack copies: a matrix packed as `type` (N x K), or as it is (K = 0). */
struct slot {
    void *dest;
    size_t offset, N, K;
};

struct weights {
    const struct param_table *table; /* borrowed */
    const float *view;               /* parameters that are read in place, or NULL */
    enum weights_type type;          /* of the packed matrices; all else is f32 */
    float *block;                    /* owned: all packed and plain copies, then the RoPE tables */
    size_t used;                     /* floats of it */
    struct slot *slots;              /* owned */
    size_t slot_count;
    struct layer_weights *layers; /* owned */
    struct norm_weight final_norm;
    struct weight head;
    const float *embed; /* vocab x hidden */
    size_t embed_offset;
    float *rope_cos, *rope_sin; /* context x head_dim/2 */
};

/* Binding, for the kinds: finds PREFIX NAME.weight (and NAME.bias, when the table has it) and gives
 * it room in the block. An absent norm stays NULL. */
void weights_bind_linear(
    struct weights *w, struct weight *ret, const char *prefix, const char *name);
void weights_bind_norm(
    struct weights *w, struct norm_weight *ret, const char *prefix, const char *name);

/* The parameters and where their gradients are added: both in the layout of the table. */
struct gradient {
    const float *params;
    float *grads;
};

/* Bytes of N x K in the packed form of a type. */
size_t linear_packed_bytes(enum weights_type type, size_t N, size_t K);

/* Room for the outputs that a view packs at once, which is enough for a backward product as well,
 * and how many of them: whole vocabulary blocks (OPS_VOCAB_BLOCK), so that the head can be taken in
 * the same parts. */
size_t linear_outputs(size_t K);
size_t linear_pack_floats(const struct model_config *c);

/* y = x W^T + b: T x N from T x K. pack: linear_pack_floats of them, for a view; else not read. */
void op_linear(
    const struct ops *ops, float *pack, float *y, const float *x, const struct weight *w, size_t T);
/* The same, this member's share of the outputs alone; returns which. */
struct share op_linear_share(const struct ops *ops, const struct team *team, float *pack, float *y,
    const float *x, const struct weight *w, size_t T);

/* Outputs n0 .. n0 + n - 1 of a weight as a weight of their own; n0 a multiple of OPS_PANEL. */
struct weight weight_part(const struct weight *w, size_t n0, size_t n);

/* The gradients of W and b are added. scratch: OPS_BWD_FLOATS, here and below. */
static inline void op_linear_dw(const struct ops *ops, float *scratch, const struct gradient *g,
    const float *dy, const float *x, const struct weight *w, size_t T)
{
    float *db = w->bias ? g->grads + w->bias_offset : NULL;
    ops->gemm_dw(g->grads + w->offset, db, dy, w->N, x, w->K, T, w->N, w->K, scratch);
}

/* dx = dy W, or dx += dy W. */
static inline void op_linear_dx(const struct ops *ops, float *scratch, float *dx,
    const struct gradient *g, const float *dy, const struct weight *w, size_t T, int accumulate)
{
    ops->gemm_dx(dx, w->K, dy, w->N, g->params + w->offset, T, w->N, w->K, accumulate, scratch);
}

/* Both. */
static inline void op_linear_bwd(const struct ops *ops, float *scratch, float *dx,
    const struct gradient *g, const float *dy, const float *x, const struct weight *w, size_t T,
    int accumulate)
{
    op_linear_dw(ops, scratch, g, dy, x, w, T);
    op_linear_dx(ops, scratch, dx, g, dy, w, T, accumulate);
}

/* y = norm(x) over T rows of w->C; rstd may be NULL. */
static inline void op_norm(const struct ops *ops, float *y, float *rstd, const float *x,
    const struct norm_weight *w, size_t T, float eps)
{
    ops->rmsnorm(y, w->C, rstd, x, w->C, w->g, T, w->C, eps);
}

/* The same, this member's share of the rows. */
static inline void op_norm_share(const struct ops *ops, const struct team *team, float *y,
    float *rstd, const float *x, const struct norm_weight *w, size_t T, float eps)
{
    struct share s = team_share(team, T, 1);
    size_t at = s.first * w->C;
    op_norm(ops, y + at, rstd ? rstd + s.first : NULL, x + at, w, s.count, eps);
}

/* dx += ..., and the gradient of g is added. */
static inline void op_norm_bwd(const struct ops *ops, float *dx, const struct gradient *g,
    const float *dy, const float *x, const float *rstd, const struct norm_weight *w, size_t T)
{
    ops->rmsnorm_bwd(dx, w->C, g->grads + w->offset, dy, w->C, x, w->C, rstd, w->g, T, w->C);
}

#endif
