/* attention_bwd.c: the gradient of attention (Dao et al. 2022, alg. 4).
 *
 * Page by page, key-value head by key-value head; the rows and query heads that share a key-value
 * head are its units, ordered by row, then head. With P = exp(score - lse), delta = sum_d dout out:
 *   dP = dout V^T,  dS = scale P (dP - delta),  dV += P^T dout,  dK += dS^T q,  dq += dS K.
 * Values and keys of the page are transposed into scratch once, so that every product has its lanes
 * over its outputs. Units go in blocks whose P and dS lie in scratch; a gradient element is one
 * chain of fused multiply-adds over units in order, dq over positions in order, whatever the blocks
 * are.
 */
#include "common/tensor/attention.h"

enum { UNIT_BLOCK = 32 };

struct unit_block {
    float *dq[UNIT_BLOCK];
    const float *q[UNIT_BLOCK], *dout[UNIT_BLOCK];
    size_t count;
    size_t positions; /* of the page that any unit of the block reads */
};

/* Scratch: keys [KV_PAGE][D], values [PAGE_GROUPS][D][16], then P and dS of a block, KV_PAGE a
 * unit. */
struct workspace {
    float *keys, *values, *p, *ds;
};

/* out[i][r] = in[r][i]: rows x columns in, ldo and ldi floats between rows. */
static void transpose(
    float *out, size_t ldo, const float *in, size_t ldi, size_t rows, size_t columns)
{
    for (size_t i = 0; i < columns; i++)
        for (size_t r = 0; r < rows; r++)
            out[i * ldo + r] = in[r * ldi + i];
}

/* sum_c a[c] b[c] over 16 lanes and the fixed tree. */
VINLINE float row_dot(const float *a, const float *b, size_t C)
{
    v16 sum = v16_zero();
    for (size_t c = 0; c < C; c += 16)
        sum = v16_fma(v16_load_first(a + c, C - c), v16_load_first(b + c, C - c), sum);
    return v16_reduce_sum(sum);
}

/* P and dS of one unit over the page's n readable positions, 0 in the page's other ones. */
static void unit_weights(float *p, float *ds, const float *q, const float *dout, float delta,
    float lse, const float *keys, const float *values_t, size_t n, struct attention_shape s)
{
    const v16 zero = v16_zero(), scale = v16_set1(s.scale);
    v16 score[PAGE_GROUPS], dp[PAGE_GROUPS];
    size_t groups = (n + 15) / 16;
    page_dot(score, q, keys, s.D, groups);
    page_dot(dp, dout, values_t, s.D, groups);
    for (size_t g = 0; g < groups; g++) {
        m16 mask = group_mask(g, n);
        v16 e = v16_exp(v16_sub(v16_mul(score[g], scale), v16_set1(lse)));
        v16 d = v16_mul(v16_mul(e, scale), v16_sub(dp[g], v16_set1(delta)));
        v16_store(p + g * 16, v16_select(mask, e, zero));
        v16_store(ds + g * 16, v16_select(mask, d, zero));
    }
    for (size_t g = groups; g < PAGE_GROUPS; g++) {
        v16_store(p + g * 16, zero);
        v16_store(ds + g * 16, zero);
    }
}

/* dvalues[i][d] += sum over units u of P[u][i] dout[u][d], four positions at a time. */
static void values_gradient(float *dvalues, const struct unit_block *k, const float *p, size_t D)
{
    for (size_t i = 0; i < k->positions; i += 4) {
        for (size_t d = 0; d < D; d += 16) {
            v16 acc[4];
            float *at = dvalues + i * D + d;
            UNROLL
            for (int c = 0; c < 4; c++)
                acc[c] = v16_load_first(at + (size_t)c * D, D - d);
            for (size_t u = 0; u < k->count; u++) {
                v16 x = v16_load_first(k->dout[u] + d, D - d);
                UNROLL
                for (int c = 0; c < 4; c++)
                    acc[c] = v16_fma(v16_set1(p[u * KV_PAGE + i + (size_t)c]), x, acc[c]);
            }
            UNROLL
            for (int c = 0; c < 4; c++)
                v16_store_first(at + (size_t)c * D, D - d, acc[c]);
        }
    }
}

/* dkeys[i / 16][d][i % 16] += sum over units u of dS[u][i] q[u][d], two channels at a time (D is
 * even). */
static void keys_gradient(float *dkeys, const struct unit_block *k, const float *ds, size_t D)
{
    for (size_t i = 0; i < k->positions; i += 16) {
        for (size_t d = 0; d < D; d += 2) {
            float *at = dkeys + i * D + d * 16;
            v16 even = v16_load(at), odd = v16_load(at + 16);
            for (size_t u = 0; u < k->count; u++) {
                v16 x = v16_load(ds + u * KV_PAGE + i);
                even = v16_fma(v16_set1(k->q[u][d]), x, even);
                odd = v16_fma(v16_set1(k->q[u][d + 1]), x, odd);
            }
            v16_store(at, even);
            v16_store(at + 16, odd);
        }
    }
}

/* dq[u][d] (+)= sum over positions i of dS[u][i] keys_t[i][d], up to four units side by side. */
VINLINE void queries_gradient_units(const struct unit_block *k, size_t u, const int units,
    const float *ds, const float *keys_t, size_t D, int first)
{
    for (size_t d = 0; d < D; d += 16) {
        v16 acc[4];
        UNROLL
        for (int c = 0; c < units; c++)
            acc[c] = first ? v16_zero() : v16_load_first(k->dq[u + (size_t)c] + d, D - d);
        for (size_t i = 0; i < k->positions; i++) {
            v16 x = v16_load_first(keys_t + i * D + d, D - d);
            UNROLL
            for (int c = 0; c < units; c++)
                acc[c] = v16_fma(v16_set1(ds[(u + (size_t)c) * KV_PAGE + i]), x, acc[c]);
        }
        UNROLL
        for (int c = 0; c < units; c++)
            v16_store_first(k->dq[u + (size_t)c] + d, D - d, acc[c]);
    }
}

static void queries_gradient(
    const struct unit_block *k, const float *ds, const float *keys_t, size_t D, int first)
{
    size_t u = 0;
    for (; u + 4 <= k->count; u += 4)
        queries_gradient_units(k, u, 4, ds, keys_t, D, first);
    for (; u < k->count; u++)
        queries_gradient_units(k, u, 1, ds, keys_t, D, first);
}

/* What the blocks of one key-value head and one page share. */
struct page_pass {
    float *dkeys, *dvalues;
    const float *keys;
    struct workspace w;
    struct attention_shape s;
    int first; /* page 0: dq is set, not added to */
};

static void block_flush(const struct page_pass *pass, struct unit_block *k)
{
    values_gradient(pass->dvalues, k, pass->w.p, pass->s.D);
    keys_gradient(pass->dkeys, k, pass->w.ds, pass->s.D);
    queries_gradient(k, pass->w.ds, pass->w.keys, pass->s.D, pass->first);
    k->count = 0;
    k->positions = 0;
}

/* Adds the unit whose n positions of the page are readable; flushes a full block. */
static void block_add(const struct page_pass *pass, struct unit_block *k, float *dq, const float *q,
    const float *dout, const float *out, float lse, size_t n)
{
    size_t u = k->count++;
    k->dq[u] = dq;
    k->q[u] = q;
    k->dout[u] = dout;
    k->positions = n; /* units come by rising position */
    unit_weights(pass->w.p + u * KV_PAGE, pass->w.ds + u * KV_PAGE, q, dout,
        row_dot(dout, out, pass->s.D), lse, pass->keys, pass->w.values, n, pass->s);
    if (k->count == UNIT_BLOCK)
        block_flush(pass, k);
}

void OPS_FN(attention_bwd)(float *dq, size_t lddq, float *const *dpage, const float *dout,
    size_t lddo, const float *q, size_t ldq, const float *out, size_t ldo, const float *lse,
    float *const *page, size_t pos0, size_t T, struct attention_shape s, float *scratch)
{
    struct unit_block block = {.count = 0};
    struct page_pass pass = {.s = s};
    size_t share = s.H / s.J, area = (size_t)KV_PAGE * s.D;
    pass.w = (struct workspace){scratch, scratch + area, scratch + 2 * area,
        scratch + 2 * area + (size_t)UNIT_BLOCK * KV_PAGE};
    for (size_t j = 0; T > 0 && j < s.J; j++) {
        for (size_t b = 0; b <= (pos0 + T - 1) / KV_PAGE; b++) {
            size_t used = (page_count(b, pos0 + T - 1) + 15) / 16 * 16;
            pass.keys = page_keys(page[b], j, s);
            pass.dkeys = page_keys(dpage[b], j, s);
            pass.dvalues = page_values(dpage[b], j, s);
            pass.first = b == 0;
            const float *values = page_values(page[b], j, s);
            for (size_t at = 0; at < used * s.D; at += 16 * s.D) {
                transpose(pass.w.keys + at, s.D, pass.keys + at, 16, s.D, 16);
                transpose(pass.w.values + at, 16, values + at, s.D, 16, s.D);
            }
            for (size_t t = b * KV_PAGE > pos0 ? b * KV_PAGE - pos0 : 0; t < T; t++)
                for (size_t h = j * share; h < (j + 1) * share; h++)
                    block_add(&pass, &block, dq + t * lddq + h * s.D, q + t * ldq + h * s.D,
                        dout + t * lddo + h * s.D, out + t * ldo + h * s.D, lse[t * s.H + h],
                        page_count(b, pos0 + t));
            block_flush(&pass, &block);
        }
    }
}
