/* numerics.c: the fingerprints of this machine's arithmetic (DESIGN 8.1): of the forward, which all
 * daemons of a run share, and of a learner's updates. They hash results, not names: two instruction
 * sets that give the same bits have the same id, as they should. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/model/engine.h"
#include "common/model/train.h"
#include "common/model/weights.h"
#include "common/tensor/ops.h"

static const uint64_t SEED = 0x6e756d6572696373; /* any fixed number */

enum { TABLE = 4096, ROPE_POSITIONS = 512, ROPE_DIM = 32 };

/* Odd sizes: remainders of panels, of blocks of k and of the row tiles. */
static const struct {
    size_t T, N, K;
} gemm_shapes[] = {{1, 33, 16}, {3, 64, 257}, {8, 100, 600}, {17, 5, 1}};

static void fill(float *x, size_t n, uint64_t ordinal, float low, float high)
{
    struct rng_key key = {.seed = SEED, .domain = RNG_INIT, .ordinal = ordinal};
    for (size_t i = 0; i < n; i++)
        x[i] = low + (high - low) * (float)rng_uniform(&key, i);
}

static void add_tables(struct hasher *h, const struct ops *ops)
{
    static const double thetas[] = {100, 10000, 1e6};
    CLEANUP_FREE float *x = mem_array(TABLE, sizeof(float));
    CLEANUP_FREE float *angles = mem_array(2 * ROPE_POSITIONS * ROPE_DIM / 2, sizeof(float));
    fill(x, TABLE, 0, -90, 30);
    ops->vexp(x, x, TABLE);
    hasher_add(h, x, TABLE * sizeof(float));
    fill(x, TABLE, 1, 1e-6f, 100);
    ops->vlog(x, x, TABLE);
    hasher_add(h, x, TABLE * sizeof(float));
    for (size_t i = 0; i < ARRAY_LEN(thetas); i++) {
        size_t half = ROPE_POSITIONS * ROPE_DIM / 2;
        ops_rope_table(angles, angles + half, ROPE_POSITIONS, ROPE_DIM, thetas[i]);
        hasher_add(h, angles, 2 * half * sizeof(float));
    }
}

static void add_gemm(struct hasher *h, const struct ops *ops, size_t T, size_t N, size_t K)
{
    CLEANUP_FREE float *x = mem_array(T * K, sizeof(float));
    CLEANUP_FREE float *w = mem_array(N * K, sizeof(float));
    CLEANUP_FREE float *y = mem_array(T * N, sizeof(float));
    size_t int8 = ops_packed_int8_bytes(N, K) / sizeof(float), f32 = ops_packed_floats(N, K);
    float *packed = mem_big(int8 > f32 ? int8 : f32, sizeof(float), "packed", NULL);
    if (!packed)
        abort(); /* a few hundred kilobytes */
    fill(x, T * K, 2, -1, 1);
    fill(w, N * K, 3, -1, 1);
    ops_pack(packed, w, N, K);
    ops->gemm(y, N, x, K, packed, NULL, T, N, K);
    hasher_add(h, y, T * N * sizeof(float));
    ops_pack_bf16((uint16_t *)packed, w, N, K);
    ops->gemm_bf16(y, N, x, K, (uint16_t *)packed, NULL, T, N, K);
    hasher_add(h, y, T * N * sizeof(float));
    ops_pack_int8(packed, w, N, K);
    ops->gemm_int8(y, N, x, K, packed, NULL, T, N, K);
    hasher_add(h, y, T * N * sizeof(float));
    mem_big_free(packed);
}

static void add_forward_products(struct hasher *h, const struct ops *ops)
{
    add_tables(h, ops);
    for (size_t i = 0; i < ARRAY_LEN(gemm_shapes); i++)
        add_gemm(h, ops, gemm_shapes[i].T, gemm_shapes[i].N, gemm_shapes[i].K);
}

/* More than a block of what either product sums over. */
static void add_backward_products(struct hasher *h, const struct ops *ops)
{
    enum { T = 300, N = 290, K = 33 };
    CLEANUP_FREE float *dy = mem_array(T * N, sizeof(float));
    CLEANUP_FREE float *x = mem_array(T * K, sizeof(float));
    CLEANUP_FREE float *w = mem_array(N * K, sizeof(float));
    CLEANUP_FREE float *scratch = mem_array(OPS_BWD_FLOATS, sizeof(float));
    fill(dy, T * N, 5, -1, 1);
    fill(x, T * K, 6, -1, 1);
    fill(w, N * K, 7, -1, 1);
    ops->gemm_dw(w, NULL, dy, N, x, K, T, N, K, scratch);
    ops->gemm_dx(x, K, dy, N, w, T, N, K, 1, scratch);
    hasher_add(h, w, N * K * sizeof(float));
    hasher_add(h, x, T * K * sizeof(float));
}

/* The gradient of the batch just forwarded, and what one update makes of it. */
static int add_update(struct hasher *h, const struct ops *ops, struct train_ctx *ctx,
    const struct weights *w, const struct params *p, const struct micro_batch *b,
    const float *dlogp, const float *dentropy, struct err *e)
{
    size_t n = p->table->floats;
    CLEANUP_FREE float *grads = mem_array(n, sizeof(float));
    CLEANUP_FREE float *moments = mem_array(2 * n, sizeof(float));
    int r = train_backward(ctx, w, p, b, dlogp, dentropy, grads, e);
    if (r < 0)
        return r;
    hasher_add(h, grads, n * sizeof(float));
    double norm = ops->sum_squares(grads, n);
    hasher_add(h, &norm, sizeof(norm));
    ops->adamw(p->data, moments, moments + n, grads, n, 0.5f, 1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f,
        0.05f);
    hasher_add(h, p->data, n * sizeof(float));
    return 0;
}

/* Every option of the forward at once; a prompt that ends inside its second page. With update the
 * backward as well. */
static int add_model(
    struct hasher *h, const struct ops *ops, const char *isa, bool update, struct err *e)
{
    enum { VOCAB = 97, PROMPT = 70, COMPLETION = 12, CONTEXT = 128 };
    const struct model_config config = {.type = "qwen3",
        .vocab = VOCAB,
        .hidden = 48,
        .layers = 2,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 12,
        .ffn = 72,
        .context = CONTEXT,
        .norm_eps = 1e-6f,
        .rope_theta = 10000,
        .qkv_bias = true,
        .qk_norm = true};
    uint32_t ids[PROMPT + COMPLETION];
    float out[2][COMPLETION];
    for (uint32_t i = 0; i < PROMPT + COMPLETION; i++)
        ids[i] = i * i * 7 % VOCAB;
    const struct train_completion completion = {ids + PROMPT, COMPLETION};
    const struct train_group group = {ids, PROMPT, &completion, 1};
    const struct micro_batch batch = {&group, 1, 0.75f, VOCAB};
    struct param_table *table = NULL;
    struct params p = {0};
    struct weights *w = NULL;
    struct train_ctx *ctx = NULL;
    int r = param_table_new(&config, &table, e);
    if (r == 0)
        r = params_new(table, &p, e);
    if (r == 0)
        r = weights_new(table, WEIGHTS_F32, &w, e);
    if (r == 0)
        r = train_ctx_new(table, &(struct train_options){.isa = isa}, &ctx, e);
    if (r == 0) {
        fill(p.data, table->floats, 4, -0.3f, 0.3f);
        weights_pack(w, &p);
        r = train_forward(ctx, w, &batch, update, out[0], out[1], e);
    }
    if (r == 0)
        hasher_add(h, out, sizeof(out));
    if (r == 0 && update)
        r = add_update(h, ops, ctx, w, &p, &batch, out[0], out[1], e);
    train_ctx_free(ctx);
    weights_free(w);
    params_done(&p);
    param_table_free(table);
    return r;
}

static int make_id(const char *isa, bool update, struct hash *ret, struct err *e)
{
    const struct ops *ops;
    struct hasher h;
    int r = ops_select(isa, &ops, e);
    if (r < 0)
        return r;
    hasher_init(&h);
    if (update)
        add_backward_products(&h, ops);
    else
        add_forward_products(&h, ops);
    r = add_model(&h, ops, isa, update, e);
    if (r < 0)
        return err_ctx(e, "%s self-test", update ? "training" : "numerics");
    *ret = hasher_done(&h);
    return 0;
}

int numerics_id(const char *isa, struct hash *ret, struct err *e)
{
    return make_id(isa, false, ret, e);
}

int training_id(const char *isa, struct hash *ret, struct err *e)
{
    return make_id(isa, true, ret, e);
}
