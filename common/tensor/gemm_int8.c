/* gemm_int8.c: y = x W^T over weights of eight bits, with activations rounded to eight bits too.
 *
 * Along k both are cut into blocks of OPS_INT8_BLOCK. A block of weights of one output has a scale,
 * and so has a block of a row of x, made here: scale = max |x| / 127, q = x / scale to the nearest.
 * Within a block the sum is of integers, exact in any order; blocks are added in order by
 *
 *     y = fma(float(sum), scale_w scale_x, y)
 *
 * from 0, the bias last. A row's scale comes from that row alone, so that, as in gemm_fwd.c, rows
 * do not feel their company and tiling decides only which chains run side by side.
 *
 * With AMX the integer sums of a block are made for 32 rows and a panel at once, and only then
 * scaled and added; a few rows still go faster by VNNI.
 */
#include <stdbool.h>

#include "common/tensor/kernels.h"
#include "common/tensor/vint8.h"
#if defined(__AMX_INT8__)
#include "common/tensor/vamx.h"
#endif

/* A tile holds an integer and a float sum of each output: 2 R V registers of 32, or of 16 where a
 * vector takes two. */
#if defined(__AVX512VNNI__)
enum { TILE_SUMS_MAX = 12 };
#define TILE_ROWS_MAX 6
#else
enum { TILE_SUMS_MAX = 4 };
#define TILE_ROWS_MAX 2
#endif

/* Rows that are rounded at a time, with as many blocks of them as fit: 96 or 128 KiB on the stack.
 * Fewer rows than TILES_ROWS_MIN would leave most of a tile register empty. */
#if defined(__AMX_INT8__)
enum { ROW_BLOCK = 64, ROW_UNIT = 2 * AMX_ROWS, TILES_ROWS_MIN = 5, TILES_AHEAD = 2 };
#else
enum { ROW_BLOCK = 48, ROW_UNIT = 1 };
#endif

enum {
    ROUND_BLOCKS = ROW_BLOCK * 16,
    SCALE_BYTES = OPS_PANEL * sizeof(float),
    BLOCK_BYTES = SCALE_BYTES + OPS_PANEL * OPS_INT8_BLOCK, /* of a panel */
    NEAR_BYTES = 4096,                                      /* that a tile reads ahead */
};

/* Blocks below it round to 0: 127 / max would overflow. */
#define SMALLEST 0x1p-110f

/* Rows of x, a span of k: block b of row t has number t x blocks + b. Zeros follow up to a multiple
 * of ROW_UNIT rows. */
struct rounded {
    size_t blocks; /* of a row */
    _Alignas(64) int8_t q[ROUND_BLOCKS][OPS_INT8_BLOCK];
    float scale[ROUND_BLOCKS];
    int32_t sum[ROUND_BLOCKS]; /* of q over the block */
};

struct tile {
    float *y;
    size_t ldy;
    const struct rounded *x;
    size_t block;     /* the first row's first, in x */
    const uint8_t *w; /* first panel, at the span's first block */
    size_t panel_bytes;
    const float *bias; /* NULL except in the last span */
    size_t columns;    /* outputs that exist, at most 16 V */
    int first;         /* span 0 starts from 0, later ones from y */
};

/* One block of one row: n <= OPS_INT8_BLOCK numbers of x, zeros after them. */
static void block_round(int8_t *q, float *scale, int32_t *sum, const float *x, size_t n)
{
    v16 max = v16_zero();
    for (size_t k = 0; k < n; k += 16) {
        v16 v = v16_load_first(x + k, n - k);
        max = v16_max(max, v16_max(v, v16_sub(v16_zero(), v)));
    }
    float largest = v16_reduce_max(max);
    v16 inverse = v16_set1(largest > SMALLEST ? 127.0f / largest : 0.0f);
    *scale = largest / 127.0f;
    for (size_t k = 0; k < OPS_INT8_BLOCK; k += 16) {
        v16 v = k < n ? v16_load_first(x + k, n - k) : v16_zero();
        int8_store(q + k, v16_fma(v, inverse, v16_set1(VMATH_ROUND)));
    }
    *sum = int8_sum(q);
}

static size_t whole_units(size_t rows)
{
    return (rows + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
}

static void rows_round(struct rounded *r, const float *x, size_t ldx, size_t T, size_t K)
{
    size_t at = 0;
    r->blocks = (K + OPS_INT8_BLOCK - 1) / OPS_INT8_BLOCK;
    for (size_t t = 0; t < T; t++) {
        for (size_t k = 0; k < K; k += OPS_INT8_BLOCK, at++) {
            size_t n = K - k < OPS_INT8_BLOCK ? K - k : OPS_INT8_BLOCK;
            block_round(r->q[at], &r->scale[at], &r->sum[at], x + t * ldx + k, n);
        }
    }
    memset(r->q[at], 0, (whole_units(T) - T) * r->blocks * sizeof(r->q[at]));
}

/* What the sums of row r's outputs column .. column + 15 start from, and where they go. */
VINLINE v16 sum_begin(const struct tile *t, size_t r, size_t column)
{
    if (t->first || column >= t->columns)
        return v16_zero();
    return v16_load_first(t->y + r * t->ldy + column, t->columns - column);
}

VINLINE void sum_end(const struct tile *t, size_t r, size_t column, v16 sum)
{
    if (column >= t->columns)
        return;
    size_t n = t->columns - column;
    if (t->bias)
        sum = v16_add(sum, v16_load_first(t->bias + column, n));
    v16_store_first(t->y + r * t->ldy + column, n, sum);
}

/* sum[r][v] += one block: its integer sums times both scales. */
VINLINE void tile_block(const struct tile *t, size_t block, v16 *sum, const int R, const int V)
{
    i16x acc[TILE_SUMS_MAX];
    const int8_t *x[TILE_ROWS_MAX];
    const uint8_t *w[TILE_SUMS_MAX];
    UNROLL
    for (int r = 0; r < R; r++) {
        size_t at = t->block + (size_t)r * t->x->blocks + block;
        x[r] = t->x->q[at];
        UNROLL
        for (int v = 0; v < V; v++)
            acc[r * V + v] = i16x_begin(t->x->sum[at]);
    }
    UNROLL
    for (int v = 0; v < V; v += 2)
        w[v / 2] = t->w + (size_t)v / 2 * t->panel_bytes + block * BLOCK_BYTES;
    for (size_t k = 0; k < OPS_INT8_BLOCK; k += 4) {
        w64 b[TILE_SUMS_MAX];
        UNROLL
        for (int v = 0; v < V; v++) {
            const uint8_t *line = w[v / 2] + SCALE_BYTES + k * OPS_PANEL + (v % 2) * 64;
            b[v] = w64_load(line);
            __builtin_prefetch(line + NEAR_BYTES, 0, 3);
        }
        UNROLL
        for (int r = 0; r < R; r++) {
            UNROLL
            for (int v = 0; v < V; v++)
                acc[r * V + v] = i16x_dot(acc[r * V + v], b[v], x[r] + k);
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) {
        v16 scale = v16_set1(t->x->scale[t->block + (size_t)r * t->x->blocks + block]);
        UNROLL
        for (int v = 0; v < V; v++) {
            v16 both = v16_mul(v16_load((const float *)(const void *)w[v / 2] + v % 2 * 16), scale);
            sum[r * V + v] = v16_fma(i16x_float(acc[r * V + v]), both, sum[r * V + v]);
        }
    }
}

VINLINE void tile_run(const struct tile *t, const int R, const int V)
{
    v16 sum[TILE_SUMS_MAX];
    UNROLL
    for (int i = 0; i < R * V; i++)
        sum[i] = sum_begin(t, (size_t)(i / V), (size_t)(i % V) * 16);
    for (size_t block = 0; block < t->x->blocks; block++)
        tile_block(t, block, sum, R, V);
    UNROLL
    for (int i = 0; i < R * V; i++)
        sum_end(t, (size_t)(i / V), (size_t)(i % V) * 16, sum[i]);
}

#define TILE(R, V)                                                                                 \
    static void tile_##R##x##V(const struct tile *t)                                               \
    {                                                                                              \
        tile_run(t, R, V);                                                                         \
    }                                                                                              \
    struct tile

TILE(1, 2);
TILE(2, 2);
#if defined(__AVX512VNNI__)
TILE(1, 4);
TILE(2, 4);
TILE(3, 2);
TILE(3, 4);
TILE(4, 2);
TILE(5, 2);
TILE(6, 2);
#endif

/* The tile of R rows over one panel; and over two, where few rows leave registers for it. */
static const struct {
    void (*narrow)(const struct tile *t);
    void (*wide)(const struct tile *t);
} tiles[TILE_ROWS_MAX + 1] = {
#if defined(__AVX512VNNI__)
    [1] = {tile_1x2, tile_1x4},
    [2] = {tile_2x2, tile_2x4},
    [3] = {tile_3x2, tile_3x4},
    [4] = {tile_4x2, NULL},
    [5] = {tile_5x2, NULL},
    [6] = {tile_6x2, NULL},
#else
    [1] = {tile_1x2, NULL},
    [2] = {tile_2x2, NULL},
#endif
};

/* The tile whose outputs begin at n of N. */
static struct tile tile_at(const struct tile *base, const float *bias, size_t n, size_t N)
{
    struct tile t = *base;
    t.w += n / OPS_PANEL * t.panel_bytes;
    t.y += n;
    t.bias = bias ? bias + n : NULL;
    t.columns = N - n;
    return t;
}

#if defined(__AMX_INT8__)

/* The integer sums of one block, rows <= 32. */
static void tiles_sum(const struct tile *t, size_t block, size_t rows, int32_t sum[][OPS_PANEL])
{
    const int8_t *x = t->x->q[t->block + block];
    const uint8_t *w = t->w + block * BLOCK_BYTES + SCALE_BYTES;
    size_t x_bytes = t->x->blocks * OPS_INT8_BLOCK;
    if (rows > AMX_ROWS)
        amx_block(sum, x, x_bytes, w, 1);
    else
        amx_block(sum, x, x_bytes, w, 0);
}

/* y[r] += the sums of a block, less what the weights' offset brought, times both scales. */
static void tiles_add(const struct tile *t, size_t block, size_t rows, float y[][OPS_PANEL],
    const int32_t sum[][OPS_PANEL])
{
    const float *w = (const float *)(const void *)(t->w + block * BLOCK_BYTES);
    v16 w0 = v16_load(w), w1 = v16_load(w + 16);
    for (size_t r = 0; r < rows; r++) {
        size_t at = t->block + r * t->x->blocks + block;
        v16 scale = v16_set1(t->x->scale[at]);
        i16x begin = i16x_begin(t->x->sum[at]);
        v16 s0 = i16x_float(i16x_add(begin, sum[r])), s1 = i16x_float(i16x_add(begin, sum[r] + 16));
        v16_store(y[r], v16_fma(s0, v16_mul(w0, scale), v16_load(y[r])));
        v16_store(y[r] + 16, v16_fma(s1, v16_mul(w1, scale), v16_load(y[r] + 16)));
    }
}

/* One panel for rows <= 32. The sums of a block are made while those of the one before are added.
 */
static void tiles_panel(const struct tile *t, size_t rows, bool ahead)
{
    _Alignas(64) float y[2 * AMX_ROWS][OPS_PANEL];
    _Alignas(64) int32_t sum[2][2 * AMX_ROWS][OPS_PANEL];
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < OPS_PANEL; c += 16)
            v16_store(y[r] + c, sum_begin(t, r, c));
    tiles_sum(t, 0, rows, sum[0]);
    for (size_t block = 0; block < t->x->blocks; block++) {
        for (size_t i = 0; ahead && i < BLOCK_BYTES; i += 64)
            __builtin_prefetch(t->w + (block + TILES_AHEAD) * BLOCK_BYTES + i, 0, 2);
        if (block + 1 < t->x->blocks)
            tiles_sum(t, block + 1, rows, sum[(block + 1) % 2]);
        tiles_add(t, block, rows, y, (const int32_t(*)[OPS_PANEL])sum[block % 2]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < OPS_PANEL; c += 16)
            sum_end(t, r, c, v16_load(y[r] + c));
}

/* As span_run, 32 rows at a time. */
static void span_tiles(const struct tile *base, const float *bias, size_t T, size_t N)
{
    amx_begin();
    for (size_t n = 0; n < N; n += OPS_PANEL) {
        struct tile t = tile_at(base, bias, n, N);
        for (size_t row = 0; row < T; row += 2 * AMX_ROWS) {
            tiles_panel(&t, T - row < 2 * AMX_ROWS ? T - row : 2 * AMX_ROWS, row == 0);
            t.block += 2 * AMX_ROWS * t.x->blocks;
            t.y += 2 * AMX_ROWS * t.ldy;
        }
    }
    amx_end();
}

#endif

/* A span of k for T rows of base->x: panels outside, so that the first group of rows alone reads
 * them from afar. */
static void span_run(const struct tile *base, const float *bias, size_t T, size_t N)
{
    size_t groups = (T + TILE_ROWS_MAX - 1) / TILE_ROWS_MAX;
    for (size_t n = 0; n < N;) {
        struct tile t = tile_at(base, bias, n, N);
        bool wide = groups == 1 && N - n > OPS_PANEL && tiles[T].wide;
        for (size_t g = 0; g < groups; g++) {
            size_t rows = T / groups + (g < T % groups);
            (wide ? tiles[rows].wide : tiles[rows].narrow)(&t);
            t.block += rows * t.x->blocks;
            t.y += rows * t.ldy;
        }
        n += wide ? 2 * OPS_PANEL : OPS_PANEL;
    }
}

static void span_dispatch(const struct tile *base, const float *bias, size_t T, size_t N)
{
#if defined(__AMX_INT8__)
    if (T >= TILES_ROWS_MIN && base->x->blocks > 0) {
        span_tiles(base, bias, T, N);
        return;
    }
#endif
    span_run(base, bias, T, N);
}

void OPS_FN(gemm_int8)(float *y, size_t ldy, const float *x, size_t ldx, const void *packed,
    const float *bias, size_t T, size_t N, size_t K)
{
    struct rounded r;
    for (size_t row = 0, rows; row < T; row += rows) {
        rows = T - row < ROW_BLOCK ? T - row : ROW_BLOCK;
        size_t span = ROUND_BLOCKS / whole_units(rows) * OPS_INT8_BLOCK, k = 0;
        do {
            size_t depth = K - k < span ? K - k : span;
            struct tile t = {.y = y + row * ldy, .ldy = ldy, .x = &r, .first = k == 0};
            t.w = (const uint8_t *)packed + k / OPS_INT8_BLOCK * BLOCK_BYTES;
            t.panel_bytes = (K + OPS_INT8_BLOCK - 1) / OPS_INT8_BLOCK * BLOCK_BYTES;
            rows_round(&r, x + row * ldx + k, ldx, rows, depth);
            k += depth;
            span_dispatch(&t, k >= K ? bias : NULL, rows, N);
        } while (k < K);
    }
}
