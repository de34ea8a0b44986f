/* attention.c: causal attention over pages of keys and values, and moving rows to and from pages.
 *
 * One row and one head at a time, page by page in order with a running maximum (Milakov and
 * Gimelshein 2018; Dao et al. 2022, alg. 1). Within a page: scores in groups of 16 positions fixed
 * by absolute position; the values' weighted sum as four chains, position i in chain i mod 4, added
 * as (0 + 1) + (2 + 3). Only groups that start at or before the row's position are read, and only
 * values up to it.
 */
#include "common/tensor/attention.h"

/* What a row has gathered from the pages so far, for one head. */
struct running {
    float max; /* of the scores */
    float sum; /* of exp(score - max) */
};

/* p[0..n) = exp(score - max) for the page's n readable positions, the rest of the last group 0; r
 * takes the page in. Returns the factor exp(old max - new max) by which what was gathered before
 * shrinks. */
VINLINE float page_weights_groups(float *p, struct running *r, const float *q, const float *keys,
    size_t n, struct attention_shape s, const int groups)
{
    const v16 low = v16_set1(-INFINITY), scale = v16_set1(s.scale);
    const m16 mask = m16_first(n - (size_t)(groups - 1) * 16);
    v16 score[PAGE_GROUPS], top = low, sum = v16_zero();
    page_dot_groups(score, q, keys, s.D, groups);
    UNROLL for (int g = 0; g < groups; g++)
    {
        score[g] = v16_mul(score[g], scale);
        if (g == groups - 1)
            score[g] = v16_select(mask, score[g], low);
        top = v16_max(score[g], top);
    }
    float before = r->max, max = v16_reduce_max(top);
    r->max = before > max ? before : max;
    const v16 base = v16_set1(r->max);
    UNROLL for (int g = 0; g < groups; g++)
    {
        v16 e = v16_exp(v16_sub(score[g], base));
        if (g == groups - 1)
            e = v16_select(mask, e, v16_zero());
        v16_store(p + g * 16, e);
        sum = v16_add(sum, e);
    }
    float keep = before == -INFINITY ? 0.0f : vmath_exp1(before - r->max);
    r->sum = fmaf(r->sum, keep, v16_reduce_sum(sum));
    return keep;
}

static float page_weights(float *p, struct running *r, const float *q, const float *keys, size_t n,
    struct attention_shape s)
{
    switch ((n + 15) / 16) {
    case 1:
        return page_weights_groups(p, r, q, keys, n, s, 1);
    case 2:
        return page_weights_groups(p, r, q, keys, n, s, 2);
    case 3:
        return page_weights_groups(p, r, q, keys, n, s, 3);
    default:
        return page_weights_groups(p, r, q, keys, n, s, 4);
    }
}

/* acc[v] += w values[16 v ..] for V vectors; with full = 0 only the channels of mask exist. */
VINLINE void value_add(
    v16 *acc, float w, const float *values, const int V, const int full, m16 mask)
{
    const v16 weight = v16_set1(w);
    UNROLL for (int v = 0; v < V; v++)
    {
        v16 x = full ? v16_load(values + v * 16) : v16_load_mask(values + v * 16, mask);
        acc[v] = v16_fma(weight, x, acc[v]);
    }
}

/* out = out keep + the sum over positions i < n of p[i] values[i], for V vectors of channels; with
 * full = 0 for one vector of `lanes` channels. The first page sets out. */
VINLINE void values_add(float *out, const float *p, const float *values, size_t n, size_t D,
    const int V, const int full, size_t lanes, int first, float keep)
{
    const m16 mask = m16_first(lanes);
    v16 a[4][4];
    UNROLL for (int c = 0; c < 4; c++) UNROLL for (int v = 0; v < V; v++) a[c][v] = v16_zero();
    size_t i = 0;
    for (; i + 4 <= n; i += 4, values += 4 * D)
        UNROLL for (int c = 0; c < 4; c++)
            value_add(a[c], p[i + (size_t)c], values + (size_t)c * D, V, full, mask);
    UNROLL for (int c = 0; c < 3; c++) if (i + (size_t)c < n)
        value_add(a[c], p[i + (size_t)c], values + (size_t)c * D, V, full, mask);
    UNROLL for (int v = 0; v < V; v++)
    {
        v16 o = v16_add(v16_add(a[0][v], a[1][v]), v16_add(a[2][v], a[3][v]));
        if (!first)
            o = v16_fma(v16_load_first(out + v * 16, lanes), v16_set1(keep), o);
        v16_store_first(out + v * 16, lanes, o);
    }
}

/* All D channels; four vectors at a time where the registers allow. */
static void page_values_add(
    float *out, const float *p, const float *values, size_t n, size_t D, int first, float keep)
{
    size_t d = 0;
#if defined(__AVX512F__)
    for (; d + 64 <= D; d += 64)
        values_add(out + d, p, values + d, n, D, 4, 1, 16, first, keep);
#endif
    for (; d + 16 <= D; d += 16)
        values_add(out + d, p, values + d, n, D, 1, 1, 16, first, keep);
    if (d < D)
        values_add(out + d, p, values + d, n, D, 1, 0, D - d, first, keep);
}

/* One row's one head; pos is the row's absolute position, j its key-value head. Returns the
 * log-sum-exp of its scores when wanted. */
static float head_attend(float *out, const float *q, float *const *page, size_t pos, size_t j,
    struct attention_shape s, int want_lse)
{
    float p[KV_PAGE];
    struct running r = {.max = -INFINITY};
    for (size_t b = 0; b <= pos / KV_PAGE; b++) {
        size_t n = page_count(b, pos);
        float keep = page_weights(p, &r, q, page_keys(page[b], j, s), n, s);
        page_values_add(out, p, page_values(page[b], j, s), n, s.D, b == 0, keep);
    }
    v16 inverse = v16_set1(1.0f / r.sum);
    for (size_t d = 0; d < s.D; d += 16)
        v16_store_first(out + d, s.D - d, v16_mul(v16_load_first(out + d, s.D - d), inverse));
    return want_lse ? r.max + vmath_log1(r.sum) : 0.0f;
}

void OPS_FN(attention)(float *out, size_t ldo, float *lse, const float *q, size_t ldq,
    float *const *page, size_t pos0, size_t T, struct attention_shape s)
{
    size_t share = s.H / s.J;
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < s.H; h++) {
            float l = head_attend(out + t * ldo + h * s.D, q + t * ldq + h * s.D, page, pos0 + t,
                h / share, s, lse != NULL);
            if (lse)
                lse[t * s.H + h] = l;
        }
    }
}

/* Rows 0..n-1 to positions at..at+n-1 of one page, and back. */
static void page_put(float *page, size_t at, const float *k, size_t ldk, const float *v, size_t ldv,
    size_t n, struct attention_shape s)
{
    for (size_t c = 0; c < (size_t)s.J * s.D; c++)
        for (size_t t = 0; t < n; t++)
            page[c * KV_PAGE + at + t] = k[t * ldk + c];
    for (size_t j = 0; j < s.J; j++)
        for (size_t t = 0; t < n; t++)
            memcpy(page_values(page, j, s) + (at + t) * s.D, v + t * ldv + j * s.D,
                s.D * sizeof(float));
}

static void page_get(float *k, size_t ldk, float *v, size_t ldv, float *page, size_t at, size_t n,
    struct attention_shape s)
{
    for (size_t c = 0; c < (size_t)s.J * s.D; c++)
        for (size_t t = 0; t < n; t++)
            k[t * ldk + c] = page[c * KV_PAGE + at + t];
    for (size_t j = 0; j < s.J; j++)
        for (size_t t = 0; t < n; t++)
            memcpy(v + t * ldv + j * s.D, page_values(page, j, s) + (at + t) * s.D,
                s.D * sizeof(float));
}

void OPS_FN(kv_put)(float *const *page, const float *k, size_t ldk, const float *v, size_t ldv,
    size_t pos0, size_t T, uint32_t J, uint32_t D)
{
    struct attention_shape s = {.J = J, .D = D};
    for (size_t t = 0, n; t < T; t += n) {
        size_t at = (pos0 + t) % KV_PAGE;
        n = T - t < KV_PAGE - at ? T - t : KV_PAGE - at;
        page_put(page[(pos0 + t) / KV_PAGE], at, k + t * ldk, ldk, v + t * ldv, ldv, n, s);
    }
}

void OPS_FN(kv_get)(float *k, size_t ldk, float *v, size_t ldv, float *const *page, size_t pos0,
    size_t T, uint32_t J, uint32_t D)
{
    struct attention_shape s = {.J = J, .D = D};
    for (size_t t = 0, n; t < T; t += n) {
        size_t at = (pos0 + t) % KV_PAGE;
        n = T - t < KV_PAGE - at ? T - t : KV_PAGE - at;
        page_get(k + t * ldk, ldk, v + t * ldv, ldv, page[(pos0 + t) / KV_PAGE], at, n, s);
    }
}
