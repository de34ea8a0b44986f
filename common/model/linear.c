/* linear.c: y = x W^T over a weight in whatever form it has. See packed.h. */
#include "common/model/packed.h"

enum {
    PACK_FLOATS = 1 << 18, /* about what a view packs at once: it stays in the second-level cache */
};

size_t linear_outputs(size_t K)
{
    size_t blocks = PACK_FLOATS / K / OPS_VOCAB_BLOCK;
    return (blocks > 0 ? blocks : 1) * OPS_VOCAB_BLOCK;
}

size_t linear_pack_floats(const struct model_config *c)
{
    const size_t inputs[] = {c->hidden, (size_t)c->heads * c->head_dim, c->ffn};
    size_t most = OPS_BWD_FLOATS;
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        size_t floats = ops_packed_floats(linear_outputs(inputs[i]), inputs[i]);
        most = floats > most ? floats : most;
    }
    return most;
}

size_t linear_packed_bytes(enum weights_type type, size_t N, size_t K)
{
    switch (type) {
    case WEIGHTS_INT8:
        return ops_packed_int8_bytes(N, K);
    case WEIGHTS_BF16:
        return ops_packed_floats(N, K) * sizeof(uint16_t);
    default:
        return ops_packed_floats(N, K) * sizeof(float);
    }
}

struct weight weight_part(const struct weight *w, size_t n0, size_t n)
{
    struct weight part = *w;
    part.N = n;
    part.offset += n0 * w->K;
    part.bias_offset += n0;
    if (w->packed)
        part.packed = (const uint8_t *)w->packed + linear_packed_bytes(w->type, n0, w->K);
    if (w->plain)
        part.plain += n0 * w->K;
    if (w->bias)
        part.bias += n0;
    return part;
}

/* ldy: outputs of the whole weight, of which w may be a part. */
static void packed_product(
    const struct ops *ops, float *y, size_t ldy, const float *x, const struct weight *w, size_t T)
{
    switch (w->type) {
    case WEIGHTS_INT8:
        ops->gemm_int8(y, ldy, x, w->K, w->packed, w->bias, T, w->N, w->K);
        break;
    case WEIGHTS_BF16:
        ops->gemm_bf16(y, ldy, x, w->K, w->packed, w->bias, T, w->N, w->K);
        break;
    default:
        ops->gemm(y, ldy, x, w->K, w->packed, w->bias, T, w->N, w->K);
    }
}

static void view_product(const struct ops *ops, float *pack, float *y, size_t ldy, const float *x,
    const struct weight *w, size_t T)
{
    size_t most = linear_outputs(w->K);
    for (size_t n0 = 0; n0 < w->N; n0 += most) {
        size_t n = w->N - n0 < most ? w->N - n0 : most;
        ops_pack(pack, w->plain + n0 * w->K, n, w->K);
        ops->gemm(y + n0, ldy, x, w->K, pack, w->bias ? w->bias + n0 : NULL, T, n, w->K);
    }
}

void op_linear(
    const struct ops *ops, float *pack, float *y, const float *x, const struct weight *w, size_t T)
{
    struct team alone = {0};
    (void)op_linear_share(ops, &alone, pack, y, x, w, T);
}

struct share op_linear_share(const struct ops *ops, const struct team *team, float *pack, float *y,
    const float *x, const struct weight *w, size_t T)
{
    struct share s = team_share(team, w->N, OPS_PANEL);
    struct weight part = weight_part(w, s.first, s.count);
    if (s.count > 0 && w->packed)
        packed_product(ops, y + s.first, w->N, x, &part, T);
    else if (s.count > 0)
        view_product(ops, pack, y + s.first, w->N, x, &part, T);
    return s;
}
