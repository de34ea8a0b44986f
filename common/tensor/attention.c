/* attention.c: causal attention over pages of keys and values, and moving rows to and from pages.
 *
 * A unit is one row's one query head. It goes through its pages in order with a running maximum
 * (Milakov and Gimelshein 2018; Dao et al. 2022, alg. 1). Within a page: scores in groups of 16
 * positions fixed by absolute position; the values' weighted sum as four chains, position i in
 * chain i mod 4, added as (0 + 1) + (2 + 3). Only groups that start at or before the row's position
 * are read, and only values up to it.
 *
 * Units advance together through page 0, page 1, and so on. Those that stand side by side and read
 * the same positions of the same page form a tile, which loads a key or a value once for all of
 * them: the query heads of one row, rows of a prompt, and sequences of a group in the pages that
 * they share. A tile runs the chains of its units side by side, so its size cannot change a bit.
 */
#include "common/tensor/attention.h"

/* Registers that the sums of a tile may take: 24 of 32, or 8 pairs of AVX2. */
#if defined(__AVX512F__)
enum { TILE_UNITS = 3, VALUE_VECTORS = 2, VALUE_UNITS = 3 };
#define SCORE_GROUPS(R) PAGE_GROUPS
#else
enum { TILE_UNITS = 2, VALUE_VECTORS = 1, VALUE_UNITS = 1 };
#define SCORE_GROUPS(R) ((R) > 1 ? 1 : 2)
#endif

/* One row's one head on its way through the pages. */
struct unit {
    float *out;
    const float *q;
    float *lse; /* NULL when not wanted */
    float *const *pages;
    size_t pos;
    size_t n;                      /* positions that it reads in the current page */
    float max;                     /* of the scores so far */
    float sum;                     /* of exp(score - max) so far */
    _Alignas(64) float p[KV_PAGE]; /* of the current page: scores, then exp(score - max) */
};

enum { UNITS_MAX = 16 }; /* one vector of numbers, one for each */

struct unit_batch {
    struct unit unit[UNITS_MAX];
    size_t count;
    size_t j;       /* the key-value head of all units */
    size_t page_at; /* where the layer's part begins in a page */
};

/* ---- scores ---- */

/* Long sequences come from memory. The first tile that reads a page asks for what is read next:
 * while it computes scores, for the values; while it adds values, for the next page's keys. ahead
 * is where these begin; NULL: nothing to ask for. */
VINLINE void ask_ahead(const float *ahead, size_t offset, const int lines)
{
    if (!ahead)
        return;
    UNROLL
    for (int i = 0; i < lines; i++)
        __builtin_prefetch(ahead + offset + i * 16, 0, 2);
}

/* score[r][g] = sum_d q[r][d] keys[g][d][..] for R units and G groups: one chain over even d, one
 * over odd d, then their sum. */
VINLINE void score_tile(v16 *score, const struct unit *u, const float *keys, size_t D,
    const float *ahead, const int R, const int G)
{
    v16 even[TILE_UNITS * PAGE_GROUPS], odd[TILE_UNITS * PAGE_GROUPS], key[PAGE_GROUPS];
    UNROLL
    for (int i = 0; i < R * G; i++)
        even[i] = odd[i] = v16_zero();
    for (size_t d = 0; d < D; d += 2, keys += 32) {
        UNROLL
        for (int g = 0; g < G; g++)
            key[g] = v16_held(v16_load(keys + (size_t)g * 16 * D));
        ask_ahead(ahead, d * KV_PAGE, 2 * G);
        UNROLL
        for (int i = 0; i < R * G; i++)
            even[i] = v16_fma(v16_set1(u[i / G].q[d]), key[i % G], even[i]);
        UNROLL
        for (int g = 0; g < G; g++)
            key[g] = v16_held(v16_load(keys + (size_t)g * 16 * D + 16));
        UNROLL
        for (int i = 0; i < R * G; i++)
            odd[i] = v16_fma(v16_set1(u[i / G].q[d + 1]), key[i % G], odd[i]);
    }
    UNROLL
    for (int i = 0; i < R * G; i++)
        score[i] = v16_add(even[i], odd[i]);
}

/* Scaled scores of groups first .. first + G - 1 go to the units' p; positions from n on become
 * -inf. top[r] collects the largest. */
VINLINE void score_groups(struct unit *u, v16 *top, const float *keys, size_t first, size_t n,
    struct attention_shape s, const float *ahead, const int R, const int G)
{
    v16 score[TILE_UNITS * PAGE_GROUPS];
    const v16 low = v16_set1(-INFINITY), scale = v16_set1(s.scale);
    score_tile(score, u, keys + first * 16 * s.D, s.D, ahead, R, G);
    UNROLL
    for (int i = 0; i < R * G; i++) {
        size_t group = first + (size_t)(i % G);
        v16 x = v16_mul(score[i], scale);
        if (n < group * 16 + 16)
            x = v16_select(group_mask(group, n), x, low);
        v16_store(u[i / G].p + group * 16, x);
        top[i / G] = v16_max(x, top[i / G]);
    }
}

/* Scores of a page's first n positions for R units. */
VINLINE void score_units(struct unit *u, float *ret_top, const float *keys, size_t n,
    struct attention_shape s, const float *ahead, const int R)
{
    v16 top[TILE_UNITS];
    size_t groups = (n + 15) / 16;
    UNROLL
    for (int r = 0; r < R; r++)
        top[r] = v16_set1(-INFINITY);
    for (size_t g = 0; g < groups; g += SCORE_GROUPS(R)) {
        size_t left = groups - g;
        if (SCORE_GROUPS(R) == 1 || left == 1)
            score_groups(u, top, keys, g, n, s, NULL, R, 1);
        else if (SCORE_GROUPS(R) == 2 || left == 2)
            score_groups(u, top, keys, g, n, s, NULL, R, 2);
        else if (left == 3)
            score_groups(u, top, keys, g, n, s, ahead, R, 3);
        else
            score_groups(u, top, keys, g, n, s, ahead, R, 4);
    }
    UNROLL
    for (int r = 0; r < R; r++)
        ret_top[r] = v16_reduce_max(top[r]);
}

/* ---- weights ---- */

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

/* ---- values ---- */

/* acc[r][v] += p[r][i] value[16 v ..] for R units and V vectors; with full = 0 only the channels of
 * mask exist. */
VINLINE void value_add(v16 *acc, const struct unit *u, size_t i, const float *value, const int R,
    const int V, const int full, m16 mask)
{
    v16 x[VALUE_VECTORS];
    UNROLL
    for (int v = 0; v < V; v++)
        x[v] = v16_held(full ? v16_load(value + v * 16) : v16_load_mask(value + v * 16, mask));
    UNROLL
    for (int k = 0; k < R * V; k++)
        acc[k] = v16_fma(v16_set1(u[k / V].p[i]), x[k % V], acc[k]);
}

/* out = out keep + the sum over positions i < n of p[i] values[i], channels d .. of R units, V
 * vectors of them; with full = 0 one vector of `lanes` channels. The first page sets out. */
VINLINE void value_tile(struct unit *u, size_t d, const float *values, size_t D, const int R,
    const int V, const int full, size_t lanes, int first, const float *keep, const float *ahead)
{
    const m16 mask = m16_first(lanes);
    size_t n = u->n, i = 0;
    v16 a[4][VALUE_UNITS * VALUE_VECTORS];
    UNROLL
    for (int k = 0; k < 4 * R * V; k++)
        a[k / (R * V)][k % (R * V)] = v16_zero();
    for (values += d; i + 4 <= n; i += 4, values += 4 * D)
        UNROLL
    for (int c = 0; c < 4; c++) {
        value_add(a[c], u, i + (size_t)c, values + (size_t)c * D, R, V, full, mask);
        ask_ahead(ahead, (i + (size_t)c) * D + d, V);
    }
    UNROLL
    for (int c = 0; c < 3; c++)
        if (i + (size_t)c < n)
            value_add(a[c], u, i + (size_t)c, values + (size_t)c * D, R, V, full, mask);
    UNROLL
    for (int k = 0; k < R * V; k++) {
        float *out = u[k / V].out + d + (k % V) * 16;
        v16 o = v16_add(v16_add(a[0][k], a[1][k]), v16_add(a[2][k], a[3][k]));
        if (!first)
            o = v16_fma(v16_load_first(out, lanes), v16_set1(keep[k / V]), o);
        v16_store_first(out, lanes, o);
    }
}

/* All D channels of R units, as many vectors at a time as the registers allow. */
VINLINE void value_units(struct unit *u, const float *values, size_t D, const int R, int first,
    const float *keep, const float *ahead)
{
    size_t d = 0, wide = (size_t)VALUE_VECTORS * 16;
    for (; d + wide <= D; d += wide)
        value_tile(u, d, values, D, R, VALUE_VECTORS, 1, 16, first, keep, ahead);
    for (; d + 16 <= D; d += 16)
        value_tile(u, d, values, D, R, 1, 1, 16, first, keep, ahead);
    if (d < D)
        value_tile(u, d, values, D, R, 1, 0, D - d, first, keep, NULL);
}

/* ---- tiles ---- */

/* How many units from `at` on read the same positions of the same page b. */
static size_t same_page(const struct unit_batch *k, size_t at, size_t b)
{
    const struct unit *u = &k->unit[at];
    size_t end = at + 1;
    while (end < k->count && k->unit[end].n == u->n && u->n > 0 &&
           k->unit[end].pages[b] == u->pages[b])
        end++;
    return end - at;
}

/* Units of the next tile where `count` read the same: about equal tiles of at most `max`. */
static size_t tile_units(size_t count, size_t max)
{
    size_t tiles = (count + max - 1) / max;
    return (count + tiles - 1) / tiles;
}

static void scores_run(
    struct unit *u, float *ret_top, size_t count, const float *keys, struct attention_shape s)
{
    const float *ahead = keys + (size_t)s.J * s.D * KV_PAGE; /* the same head's values */
    for (size_t r; count > 0; count -= r, u += r, ret_top += r, ahead = NULL) {
        r = tile_units(count, TILE_UNITS);
        if (r == 1)
            score_units(u, ret_top, keys, u->n, s, ahead, 1);
        else if (r == 2)
            score_units(u, ret_top, keys, u->n, s, ahead, 2);
        else
            score_units(u, ret_top, keys, u->n, s, ahead, TILE_UNITS);
    }
}

static void values_run(struct unit *u, size_t count, const float *values, size_t D, int first,
    const float *keep, const float *ahead)
{
    for (size_t r; count > 0; count -= r, u += r, keep += r, ahead = NULL) {
        r = tile_units(count, VALUE_UNITS);
        if (r == 1)
            value_units(u, values, D, 1, first, keep, ahead);
#if defined(__AVX512F__)
        else if (r == 2)
            value_units(u, values, D, 2, first, keep, ahead);
        else
            value_units(u, values, D, 3, first, keep, ahead);
#endif
    }
}

/* Page b for the units that reach it: first all scores, then all weights, then all values. What a
 * unit gathered before shrinks by exp(old max - new max); page 0 starts it. */
static void batch_page(struct unit_batch *k, size_t b, struct attention_shape s)
{
    _Alignas(64) float keep[UNITS_MAX] = {0}, top[UNITS_MAX];
    for (size_t i = 0; i < k->count; i++)
        k->unit[i].n = page_count(b, k->unit[i].pos);
    for (size_t i = 0, same; i < k->count; i += same) {
        struct unit *u = &k->unit[i];
        same = same_page(k, i, b);
        if (u->n > 0)
            scores_run(u, top + i, same, page_keys(u->pages[b] + k->page_at, k->j, s), s);
    }
    for (size_t i = 0; i < k->count; i++) {
        struct unit *u = &k->unit[i];
        if (u->n == 0)
            continue;
        float max = b == 0 || top[i] > u->max ? top[i] : u->max;
        keep[i] = u->max - max;
        u->max = max;
    }
    if (b > 0)
        v16_store(keep, v16_exp(v16_load(keep)));
    for (size_t i = 0; i < k->count; i++) {
        struct unit *u = &k->unit[i];
        float sum = page_weights(u->p, u->n, u->max);
        u->sum = b == 0 ? sum : fmaf(u->sum, keep[i], sum);
    }
    for (size_t i = 0, same; i < k->count; i += same) {
        struct unit *u = &k->unit[i];
        same = same_page(k, i, b);
        const float *ahead =
            u->pos / KV_PAGE > b ? page_keys(u->pages[b + 1] + k->page_at, k->j, s) : NULL;
        if (u->n > 0)
            values_run(u, same, page_values(u->pages[b] + k->page_at, k->j, s), s.D, b == 0,
                keep + i, ahead);
    }
}

/* The batch through all its pages; then divides by the sums and leaves the batch empty. */
static void batch_run(struct unit_batch *k, struct attention_shape s)
{
    _Alignas(64) float sums[UNITS_MAX] = {0};
    size_t pos_max = 0;
    for (size_t i = 0; i < k->count; i++)
        pos_max = k->unit[i].pos > pos_max ? k->unit[i].pos : pos_max;
    for (size_t b = 0; k->count > 0 && b <= pos_max / KV_PAGE; b++)
        batch_page(k, b, s);
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
    const struct span *spans, size_t span_count, size_t page_at, struct attention_shape s,
    size_t j0, size_t j1)
{
    struct unit_batch k;
    size_t share = s.H / s.J;
    k.count = 0;
    k.page_at = page_at;
    for (size_t j = j0; j < j1; j++) {
        k.j = j;
        for (size_t i = 0; i < span_count; i++) {
            const struct span *a = &spans[i];
            for (size_t n = 0; n < a->rows * share; n++) {
                size_t t = a->row0 + n / share, h = j * share + n % share;
                struct unit *u = &k.unit[k.count++];
                u->out = out + t * ldo + h * s.D;
                u->q = q + t * ldq + h * s.D;
                u->lse = lse ? lse + t * s.H + h : NULL;
                u->pages = a->pages;
                u->pos = a->pos0 + n / share;
                u->max = u->sum = 0.0f;
                if (k.count == UNITS_MAX)
                    batch_run(&k, s);
            }
        }
        batch_run(&k, s);
    }
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
        for (size_t j = 0; j < s.J; j++) {
            float *column = keys_column(page_keys(page, j, s), at + t, s.D);
            for (size_t d = 0; d < s.D; d++)
                column[d * 16] = k[t * ldk + j * s.D + d];
            row_copy(page_values(page, j, s) + (at + t) * s.D, v + t * ldv + j * s.D, s.D);
        }
    }
}

static void page_get(float *k, size_t ldk, float *v, size_t ldv, float *page, size_t at, size_t n,
    struct attention_shape s)
{
    for (size_t t = 0; t < n; t++) {
        for (size_t j = 0; j < s.J; j++) {
            const float *column = keys_column(page_keys(page, j, s), at + t, s.D);
            for (size_t d = 0; d < s.D; d++)
                k[t * ldk + j * s.D + d] = column[d * 16];
            row_copy(v + t * ldv + j * s.D, page_values(page, j, s) + (at + t) * s.D, s.D);
        }
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
