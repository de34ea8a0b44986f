/* attention.c: causal attention over pages of keys and values, and moving rows to and from pages.
 *
 * One row and one head at a time, page by page in order with a running maximum (Milakov and
 * Gimelshein 2018; Dao et al. 2022, alg. 1). Within a page: scores in groups of 16 positions fixed
 * by absolute position; the values' weighted sum as four chains, position i in chain i mod 4, added
 * as (0 + 1) + (2 + 3). Only groups that start at or before the row's position are read, and only
 * values up to it.
 */
#include "common/tensor/attention.h"

/* One row's one head on its way through the pages. */
struct unit {
    float *out;
    const float *q;
    float *lse; /* NULL when not wanted */
    size_t pos, j;
    float max;                     /* of the scores so far */
    float sum;                     /* of exp(score - max) so far */
    _Alignas(64) float p[KV_PAGE]; /* of the current page: scores, then exp(score - max) */
};

/* Units advance together, so that their chains overlap and a page is read while it is near. */
enum { UNITS_MAX = 8 };

struct unit_batch {
    struct unit unit[UNITS_MAX];
    size_t count;
};

/* p = the scaled scores of the page's n readable positions and -inf in the rest of the last group.
 * Returns the largest. */
VINLINE float page_scores_groups(float *p, const float *q, const float *keys, size_t n,
    struct attention_shape s, const int groups)
{
    const v16 low = v16_set1(-INFINITY), scale = v16_set1(s.scale);
    v16 score[PAGE_GROUPS], top = low;
    page_dot_groups(score, q, keys, s.D, groups);
    UNROLL
    for (int g = 0; g < groups; g++) {
        score[g] = v16_mul(score[g], scale);
        if (g == groups - 1)
            score[g] = v16_select(m16_first(n - (size_t)g * 16), score[g], low);
        v16_store(p + g * 16, score[g]);
        top = v16_max(score[g], top);
    }
    return v16_reduce_max(top);
}

VINLINE float page_scores(
    float *p, const float *q, const float *keys, size_t n, struct attention_shape s)
{
    switch ((n + 15) / 16) {
    case 1:
        return page_scores_groups(p, q, keys, n, s, 1);
    case 2:
        return page_scores_groups(p, q, keys, n, s, 2);
    case 3:
        return page_scores_groups(p, q, keys, n, s, 3);
    default:
        return page_scores_groups(p, q, keys, n, s, 4);
    }
}

/* p = exp(p - max) over whole groups; returns the sum. The scores of -inf become exact zeros. */
VINLINE float page_weights(float *p, size_t n, float max)
{
    const v16 base = v16_set1(max);
    v16 sum = v16_zero();
    for (size_t i = 0; i < n; i += 16) {
        v16 e = v16_exp(v16_sub(v16_load(p + i), base));
        v16_store(p + i, e);
        sum = v16_add(sum, e);
    }
    return v16_reduce_sum(sum);
}

/* acc[v] += w values[16 v ..] for V vectors; with full = 0 only the channels of mask exist. */
VINLINE void value_add(
    v16 *acc, float w, const float *values, const int V, const int full, m16 mask)
{
    const v16 weight = v16_set1(w);
    UNROLL
    for (int v = 0; v < V; v++) {
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
    UNROLL
    for (int c = 0; c < 4; c++)
        UNROLL
    for (int v = 0; v < V; v++)
        a[c][v] = v16_zero();
    size_t i = 0;
    for (; i + 4 <= n; i += 4, values += 4 * D)
        UNROLL
    for (int c = 0; c < 4; c++)
        value_add(a[c], p[i + (size_t)c], values + (size_t)c * D, V, full, mask);
    UNROLL
    for (int c = 0; c < 3; c++)
        if (i + (size_t)c < n)
            value_add(a[c], p[i + (size_t)c], values + (size_t)c * D, V, full, mask);
    UNROLL
    for (int v = 0; v < V; v++) {
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

/* Page b for the units that reach it: first all scores, then all weights, then all values. What a
 * unit gathered before shrinks by exp(old max - new max); page 0 starts it. */
static void batch_page(struct unit_batch *k, size_t b, float *page, struct attention_shape s)
{
    _Alignas(64) float keep[16] = {0};
    size_t n[UNITS_MAX];
    for (size_t i = 0; i < k->count; i++) {
        struct unit *u = &k->unit[i];
        n[i] = page_count(b, u->pos);
        if (n[i] == 0)
            continue;
        float top = page_scores(u->p, u->q, page_keys(page, u->j, s), n[i], s);
        float max = b == 0 || top > u->max ? top : u->max;
        keep[i] = u->max - max;
        u->max = max;
    }
    if (b > 0)
        v16_store(keep, v16_exp(v16_load(keep)));
    for (size_t i = 0; i < k->count; i++) {
        struct unit *u = &k->unit[i];
        float sum = page_weights(u->p, n[i], u->max);
        u->sum = b == 0 ? sum : fmaf(u->sum, keep[i], sum);
    }
    for (size_t i = 0; i < k->count; i++) {
        struct unit *u = &k->unit[i];
        if (n[i] > 0)
            page_values_add(u->out, u->p, page_values(page, u->j, s), n[i], s.D, b == 0, keep[i]);
    }
}

/* The batch through all its pages; then divides by the sums and leaves the batch empty. */
static void batch_run(struct unit_batch *k, float *const *page, struct attention_shape s)
{
    _Alignas(64) float sums[16] = {0};
    size_t pos_max = 0;
    for (size_t i = 0; i < k->count; i++)
        pos_max = k->unit[i].pos > pos_max ? k->unit[i].pos : pos_max;
    for (size_t b = 0; k->count > 0 && b <= pos_max / KV_PAGE; b++)
        batch_page(k, b, page[b], s);
    for (size_t i = 0; i < k->count; i++) {
        struct unit *u = &k->unit[i];
        v16 inverse = v16_set1(1.0f / u->sum);
        sums[i] = u->sum;
        for (size_t d = 0; d < s.D; d += 16)
            v16_store_first(
                u->out + d, s.D - d, v16_mul(v16_load_first(u->out + d, s.D - d), inverse));
    }
    if (k->count > 0 && k->unit[0].lse) {
        v16_store(sums, v16_log(v16_load(sums)));
        for (size_t i = 0; i < k->count; i++)
            *k->unit[i].lse = k->unit[i].max + sums[i];
    }
    k->count = 0;
}

void OPS_FN(attention)(float *out, size_t ldo, float *lse, const float *q, size_t ldq,
    float *const *page, size_t pos0, size_t T, struct attention_shape s)
{
    struct unit_batch k;
    size_t share = s.H / s.J;
    k.count = 0;
    for (size_t j = 0; j < s.J; j++) {
        for (size_t t = 0; t < T; t++) {
            for (size_t h = j * share; h < (j + 1) * share; h++) {
                struct unit *u = &k.unit[k.count++];
                u->out = out + t * ldo + h * s.D;
                u->q = q + t * ldq + h * s.D;
                u->lse = lse ? lse + t * s.H + h : NULL;
                u->pos = pos0 + t;
                u->j = j;
                u->max = u->sum = 0.0f;
                if (k.count == UNITS_MAX)
                    batch_run(&k, page, s);
            }
        }
    }
    batch_run(&k, page, s);
}

/* One row's D values to and from a page. */
VINLINE void row_copy(float *to, const float *from, size_t D)
{
    for (size_t d = 0; d < D; d += 16)
        v16_store_first(to + d, D - d, v16_load_first(from + d, D - d));
}

/* Rows 0..n-1 to positions at..at+n-1 of one page, and back. Decoding puts a single row. */
static void page_put(float *page, size_t at, const float *k, size_t ldk, const float *v, size_t ldv,
    size_t n, struct attention_shape s)
{
    for (size_t t = 0; t < n; t++) {
        float *column = page + at + t;
        for (size_t c = 0; c < (size_t)s.J * s.D; c++)
            column[c * KV_PAGE] = k[t * ldk + c];
        for (size_t j = 0; j < s.J; j++)
            row_copy(page_values(page, j, s) + (at + t) * s.D, v + t * ldv + j * s.D, s.D);
    }
}

static void page_get(float *k, size_t ldk, float *v, size_t ldv, float *page, size_t at, size_t n,
    struct attention_shape s)
{
    for (size_t t = 0; t < n; t++) {
        const float *column = page + at + t;
        for (size_t c = 0; c < (size_t)s.J * s.D; c++)
            k[t * ldk + c] = column[c * KV_PAGE];
        for (size_t j = 0; j < s.J; j++)
            row_copy(v + t * ldv + j * s.D, page_values(page, j, s) + (at + t) * s.D, s.D);
    }
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
