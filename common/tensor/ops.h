/* ops.h: the neural operations, one table of them for each instruction set.
 *
 * All forward operations give a row the same bits whatever other rows are in the call, on AVX-512,
 * AVX2 and the portable build (DESIGN 8.1): fused multiply-adds are written, lanes lie over
 * outputs, true reductions run over 16 virtual lanes and one fixed tree, exp and log are ours.
 * Backward operations are deterministic in the same way; they accumulate into their outputs where
 * it says so. Arrays are row-major fp32; "ld" is the distance between rows in floats. No operation
 * allocates, and none may be given aliasing arrays unless it says so. Each has a naive twin in
 * tests/tensor.
 *
 * Shapes: T rows, C channels, N outputs, K inputs, H query heads, J key-value heads, D head size.
 */
#ifndef COHORT_TENSOR_OPS_H
#define COHORT_TENSOR_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

enum {
    OPS_PANEL = 32,       /* outputs of one packed weight panel */
    OPS_INT8_BLOCK = 128, /* numbers of eight bits that share a scale */
    OPS_K_BLOCK = 256, /* one FMA chain per output and block of k; block sums are added in order */
    KV_PAGE = 64,      /* positions of a page */
    OPS_BWD_FLOATS = 282 * 1024, /* scratch of a backward product */
    OPS_VOCAB_BLOCK = 256,       /* ids whose probabilities are summed before others are added */
};

/* Packed weights of y = x W^T: panels of OPS_PANEL outputs, k-major, zero-padded: element (n, k)
 * lies at [n / PANEL][k][n % PANEL]. ops_packed_floats gives the size. */
size_t ops_packed_floats(size_t N, size_t K);
void ops_pack(float *packed, const float *w, size_t N, size_t K); /* w: N x K row-major */

/* The same in the upper halves of floats, rounded to the nearest, even of two; half the room. */
void ops_pack_bf16(uint16_t *packed, const float *w, size_t N, size_t K);

/* The same in eight bits, a quarter of the room. Along k a panel is cut into blocks of
 * OPS_INT8_BLOCK, the last one padded with zeros; each block is OPS_PANEL scales (fp32), then
 * q + 128 as bytes [k / 4][n][k % 4] with q = w / scale to the nearest, scale = max |w| / 127. */
size_t ops_packed_int8_bytes(size_t N, size_t K);
void ops_pack_int8(void *packed, const float *w, size_t N, size_t K);

struct attention_shape {
    uint32_t H, J, D; /* H a multiple of J; D even */
    float scale;      /* of the scores, 1/sqrt(D) */
};

/* A run of consecutive positions of one sequence: its rows in the arrays of a call and the pages
 * that hold the sequence's keys and values. */
struct span {
    size_t row0, rows;
    size_t pos0;         /* position of the first row */
    float *const *pages; /* borrowed: pages of positions 0 .. pos0 + rows - 1 */
    /* Training: the page in which the prompt ends, which the page of pos0 begins as a copy of; NULL
     * when pos0 begins a page, and in sampling, where the copy was made before. */
    const float *copied;
};

/* One layer's part of a KV page: keys [J][KV_PAGE / 16][D][16] (position fastest), then values
 * [J][KV_PAGE][D]. A row that enters thus touches lines that follow each other, as does a reader of
 * a page that is not full. A gradient page has the same layout. Unused positions hold zeros. */
static inline size_t kv_page_floats(uint32_t J, uint32_t D)
{
    return 2 * (size_t)J * D * KV_PAGE;
}

/* Of the ids seen so far: the largest z/T, the sum of exp(z/T - max) and of the same times
 * (z/T - max). */
struct logprob_sums {
    float max, sum, dot;
};

struct ops {
    const char *name; /* "amx", "avx512vnni", "avx512", "avx2", "portable" */

    /* y[t][n] = sum_k x[t][k] w[n][k] (+ bias[n] when not NULL); y: T x N, x: T x K. */
    void (*gemm)(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
        const float *bias, size_t T, size_t N, size_t K);

    /* The same over packed bf16 weights: exact products with fp32 x, the same chains. */
    void (*gemm_bf16)(float *y, size_t ldy, const float *x, size_t ldx, const uint16_t *packed,
        const float *bias, size_t T, size_t N, size_t K);

    /* The same over eight-bit weights, with x rounded to eight bits in blocks of OPS_INT8_BLOCK per
     * row; gemm_int8.c has the rule. */
    void (*gemm_int8)(float *y, size_t ldy, const float *x, size_t ldx, const void *packed,
        const float *bias, size_t T, size_t N, size_t K);

    /* dx[t][k] (+)= sum_n dy[t][n] w[n][k]; accumulate != 0 adds. w: N x K row-major. scratch:
     * OPS_BWD_FLOATS of them. */
    void (*gemm_dx)(float *dx, size_t lddx, const float *dy, size_t lddy, const float *w, size_t T,
        size_t N, size_t K, int accumulate, float *scratch);
    /* dw[n][k] += sum_t dy[t][n] x[t][k]; db[n] += sum_t dy[t][n] when db is not NULL. */
    void (*gemm_dw)(float *dw, float *db, const float *dy, size_t lddy, const float *x, size_t ldx,
        size_t T, size_t N, size_t K, float *scratch);

    /* y[t][c] = x[t][c] g[c] / sqrt(mean_c x[t][c]^2 + eps); y may be x. rstd[t] (may be NULL)
     * keeps the factor for the backward. (Zhang and Sennrich 2019, eq. 4) */
    void (*rmsnorm)(float *y, size_t ldy, float *rstd, const float *x, size_t ldx, const float *g,
        size_t T, size_t C, float eps);
    /* dx += ..., dg += ... */
    void (*rmsnorm_bwd)(float *dx, size_t lddx, float *dg, const float *dy, size_t lddy,
        const float *x, size_t ldx, const float *rstd, const float *g, size_t T, size_t C);

    /* Half-split rotation of `heads` heads of each row in place: pairs (i, i + D/2), angle of row t
     * at position pos0 + t. cos, sin: positions x D/2 tables. inverse != 0 rotates back (the
     * backward). (Su et al. 2021, eq. 34, in the half-split order of Hugging Face checkpoints) */
    void (*rope)(float *x, size_t ldx, const float *cos, const float *sin, size_t pos0, size_t T,
        uint32_t heads, uint32_t D, int inverse);

    /* y = silu(gate) * up; gate, up, y: T x C. (Shazeer 2020, eq. 6) y may be gate or up. */
    void (*swiglu)(float *y, size_t ldy, const float *gate, size_t ldg, const float *up, size_t ldu,
        size_t T, size_t C);
    /* dgate = ..., dup = ... (overwritten); may alias gate and up in this order. ldgu is the
     * distance of all four. dy becomes silu(gate) up, which the layer above needs for its weights.
     */
    void (*swiglu_bwd)(float *dgate, float *dup, float *dy, size_t lddy, const float *gate,
        const float *up, size_t ldgu, size_t T, size_t C);

    /* y += x, T x C. */
    void (*add)(float *y, size_t ldy, const float *x, size_t ldx, size_t T, size_t C);

    /* Writes rows' keys and values (T x J*D each) at positions pos0.. of the sequence's pages;
     * reads back for the gradient. page[i] is the layer's part of page i. */
    void (*kv_put)(float *const *page, const float *k, size_t ldk, const float *v, size_t ldv,
        size_t pos0, size_t T, uint32_t J, uint32_t D);
    void (*kv_get)(float *k, size_t ldk, float *v, size_t ldv, float *const *page, size_t pos0,
        size_t T, uint32_t J, uint32_t D);

    /* Causal attention of each span's rows over its pages 0 .. (pos0+rows-1)/64, which already hold
     * the rows' own keys and values: out[t][h] = sum_i softmax_i(scale q[t][h] . k[i]) v[i], i <=
     * pos0+t, for the query heads of key-value heads j0 .. j1-1. out, q: rows x H*D, row0 counts
     * from their start. lse[t][h] (may be NULL) = log-sum-exp of the scaled scores. The layer's
     * part of a page begins page_at floats into it. Online softmax over pages in order (Milakov and
     * Gimelshein 2018; Dao et al. 2022, alg. 1); a row reads positions up to its own only, in
     * groups of 16 fixed by absolute position. Spans that share pages are best neighbours: what
     * they share is then read once for all of them, with the same bits. */
    void (*attention)(float *out, size_t ldo, float *lse, const float *q, size_t ldq,
        const struct span *spans, size_t span_count, size_t page_at, struct attention_shape s,
        size_t j0, size_t j1);
    /* dq = (overwritten), dpage += gradients of the keys and values. scratch: at least
     * 4 * KV_PAGE * (D + 16) floats. (Dao et al. 2022, alg. 4) */
    void (*attention_bwd)(float *dq, size_t lddq, float *const *dpage, const float *dout,
        size_t lddo, const float *q, size_t ldq, const float *out, size_t ldo, const float *lse,
        float *const *page, size_t pos0, size_t T, struct attention_shape s, float *scratch);

    /* Of one row of logits z[V]: lse of z/T over ids 0..V-1, logp of id, entropy (may be NULL).
     * Vocabulary in fixed blocks of 256. logp = z[id] inv_T - lse <= 0 (clamped to 0 from above).
     */
    void (*logprob)(float *logp, float *lse, float *entropy, const float *z, size_t V, uint32_t id,
        float inv_T);
    /* The same in parts: logprob_add for runs of ids in order, each but the last a multiple of
     * OPS_VOCAB_BLOCK long, then logprob_end with the logit of the chosen id. The same bits. */
    void (*logprob_add)(struct logprob_sums *s, const float *z, size_t n, float inv_T, int first);
    void (*logprob_end)(float *logp, float *lse, float *entropy, const struct logprob_sums *s,
        float chosen, float inv_T);
    /* dz[v] = (dlogp inv_T) ([v = id] - p_v) - dentropy inv_T p_v (log p_v + H); overwrites dz[V],
     * which may be z. Ids count from z, so that a run of ids may be given whose id lies outside. */
    void (*logprob_bwd)(float *dz, const float *z, size_t V, ptrdiff_t id, float inv_T, float lse,
        float entropy, float dlogp, float dentropy);
    /* The token at which the cumulative probability of softmax(z/T) over ids 0..V-1 first exceeds
     * u, in id order. inv_T <= 0: the arg max, lowest id of equal ones. */
    uint32_t (*sample)(const float *z, size_t V, float inv_T, float lse, double u);

    /* y[i] = exp(x[i]), log(x[i]) elementwise; y may be x. For the loss and for tests. */
    void (*vexp)(float *y, const float *x, size_t n);
    void (*vlog)(float *y, const float *x, size_t n);

    /* Sum of squares in double, 16 lanes, fixed tree. */
    double (*sum_squares)(const float *x, size_t n);
    /* AdamW on n elements (Loshchilov and Hutter 2019, alg. 2). bias1 = 1 - beta1^t, bias2 = 1 -
     * beta2^t. */
    void (*adamw)(float *w, float *m, float *v, const float *g, size_t n, float grad_scale,
        float lr, float beta1, float beta2, float eps, float decay, float bias1, float bias2);
};

/* The table for "auto" (best of this CPU) or a name (struct ops); ERR_CONFIG when the CPU lacks it
 * or the name is unknown. Tables are static. */
int ops_select(const char *isa, const struct ops **ret, struct err *e) ERR_WARN_UNUSED;

/* cos and sin of positions x D/2 for base theta, in our own arithmetic: the same bits everywhere.
 */
void ops_rope_table(float *cos, float *sin, size_t positions, uint32_t D, double theta);

#endif
