/* gemm_fwd.c: the forward product y = x W^T over packed weights.
 *
 * Each output is one chain of fused multiply-adds per OPS_K_BLOCK of k; block sums are added in
 * order, the bias last. Lanes lie over outputs and nothing is reduced across lanes, so that tiling,
 * the number of rows and the register width cannot change a bit: they only decide which chains run
 * side by side.
 *
 * A tile is R rows times V columns of 16 outputs, all its sums in registers. Many rows share one
 * panel; few rows take several panels at once, because a multiply-add needs about eight independent
 * chains to run at full speed. Panels are walked from end to end, all rows at each block of k, so
 * that weights are read from memory once and in the order in which they lie.
 *
 * Weights of a large model come from memory, which gives a line more slowly than a few rows use it.
 * So tiles ask for later lines while they compute: a group of rows that is alone, for those a
 * little further on in its panels; one of several groups, for its share of the next block.
 *
 * The build compiles this twice: over fp32 weights, and with GEMM_BF16 over bf16 ones.
 */
#include "common/tensor/kernels.h"

#ifdef GEMM_BF16
#define GEMM OPS_FN(gemm_bf16)
#define packed_load v16_load_bf16
typedef uint16_t packed_float;
#else
#define GEMM OPS_FN(gemm)
#define packed_load v16_load
typedef float packed_float;
#endif

/* 32 registers hold 8 x 2 sums and more; the 16 of AVX2, where a v16 takes two, hold 6 x 1. */
#if defined(__AVX512F__)
enum { TILE_SUMS_MAX = 16 };
#define TILE_ROWS_MAX 8
#else
enum { TILE_SUMS_MAX = 6 };
#define TILE_ROWS_MAX 6
#endif

enum {
    ROW_BLOCK = 96,        /* rows of one pass over the weights: x stays in the second cache */
    NEAR = 32 * OPS_PANEL, /* floats that a group of rows alone reads ahead: 4 KiB */
};

struct tile {
    float *y;
    size_t ldy;
    const float *x;
    size_t ldx;
    const packed_float *w;     /* first panel, at the block's first k */
    size_t panel_floats;       /* from one panel to the next */
    const packed_float *ahead; /* of several groups: this one's share of the next block, */
    size_t ahead_step;         /* so many floats of it for each k */
    const float *bias;         /* NULL except in the last block */
    size_t k;                  /* length of the block */
    size_t columns;            /* outputs that exist */
    int first;                 /* block 0 sets y, later ones add */
};

/* n outputs of one row, at most 16: the block's sum, added to the blocks before, and the bias at
 * the end. */
VINLINE void vector_store(const struct tile *t, float *y, size_t column, size_t n, v16 sum)
{
    if (!t->first)
        sum = v16_add(v16_load_first(y, n), sum);
    if (t->bias)
        sum = v16_add(sum, v16_load_first(t->bias + column, n));
    v16_store_first(y, n, sum);
}

VINLINE void tile_store(const struct tile *t, const v16 *sum, const int R, const int V)
{
    if (t->columns >= (size_t)V * 16) {
        UNROLL
        for (int i = 0; i < R * V; i++) {
            size_t column = (size_t)(i % V) * 16;
            vector_store(t, t->y + (size_t)(i / V) * t->ldy + column, column, 16, sum[i]);
        }
        return;
    }
    float rest[TILE_SUMS_MAX * 16];
    UNROLL
    for (int i = 0; i < R * V; i++)
        v16_store(rest + i * 16, sum[i]);
    for (int r = 0; r < R; r++) {
        for (size_t c = 0; c < t->columns; c += 16) {
            v16 s = v16_load(rest + (size_t)r * V * 16 + c);
            vector_store(t, t->y + (size_t)r * t->ldy + c, c, t->columns - c, s);
        }
    }
}

VINLINE void tile_run(const struct tile *t, const int R, const int V, const int alone)
{
    v16 sum[TILE_SUMS_MAX];
    const float *x[TILE_ROWS_MAX];
    const packed_float *w[TILE_SUMS_MAX], *ahead = t->ahead;
    UNROLL
    for (int i = 0; i < R * V; i++)
        sum[i] = v16_zero();
    UNROLL
    for (int r = 0; r < R; r++)
        x[r] = t->x + (size_t)r * t->ldx;
    UNROLL
    for (int v = 0; v < V; v += 2)
        w[v / 2] = t->w + (size_t)v / 2 * t->panel_floats;
    for (size_t k = 0; k < t->k; k++) {
        v16 b[TILE_SUMS_MAX];
        UNROLL
        for (int v = 0; v < V; v++) {
            const packed_float *line = w[v / 2] + k * OPS_PANEL + (v % 2) * 16;
            b[v] = packed_load(line);
            if (alone)
                __builtin_prefetch(line + NEAR, 0, 3);
        }
        if (!alone) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += t->ahead_step;
        }
        UNROLL
        for (int r = 0; r < R; r++) {
            v16 a = v16_set1(x[r][k]);
            UNROLL
            for (int v = 0; v < V; v++)
                sum[r * V + v] = v16_fma(a, b[v], sum[r * V + v]);
        }
    }
    tile_store(t, sum, R, V);
}

struct tile_kernel {
    void (*run)(const struct tile *t);
    size_t vectors;
};

enum { TILE_WIDTHS = 3 };

/* The declaration at the end takes the semicolon. */
#define TILE(R, V, alone)                                                                          \
    static void tile_##R##x##V##_##alone(const struct tile *t)                                     \
    {                                                                                              \
        tile_run(t, R, V, alone);                                                                  \
    }                                                                                              \
    struct tile
#define ALONE(R, V)                                                                                \
    {                                                                                              \
        tile_##R##x##V##_1, V                                                                      \
    }
#define SHARED(R, V)                                                                               \
    {                                                                                              \
        tile_##R##x##V##_0, V                                                                      \
    }

/* alone[R] lists the tiles of R rows that are all there are, narrowest first; any number of outputs
 * fits the first. Groups of several have more than half of TILE_ROWS_MAX rows. */
#if TILE_ROWS_MAX == 8
TILE(1, 2, 1);
TILE(1, 4, 1);
TILE(1, 8, 1);
TILE(2, 2, 1);
TILE(2, 4, 1);
TILE(2, 8, 1);
TILE(3, 2, 1);
TILE(3, 4, 1);
TILE(4, 2, 1);
TILE(4, 4, 1);
TILE(5, 2, 1);
TILE(6, 2, 1);
TILE(7, 2, 1);
TILE(8, 2, 1);
TILE(4, 2, 0);
TILE(5, 2, 0);
TILE(6, 2, 0);
TILE(7, 2, 0);
TILE(8, 2, 0);
static const struct tile_kernel alone[TILE_ROWS_MAX + 1][TILE_WIDTHS] = {
    [1] = {ALONE(1, 2), ALONE(1, 4), ALONE(1, 8)},
    [2] = {ALONE(2, 2), ALONE(2, 4), ALONE(2, 8)},
    [3] = {ALONE(3, 2), ALONE(3, 4)},
    [4] = {ALONE(4, 2), ALONE(4, 4)},
    [5] = {ALONE(5, 2)},
    [6] = {ALONE(6, 2)},
    [7] = {ALONE(7, 2)},
    [8] = {ALONE(8, 2)},
};
static const struct tile_kernel shared[TILE_ROWS_MAX + 1] = {
    [4] = SHARED(4, 2),
    [5] = SHARED(5, 2),
    [6] = SHARED(6, 2),
    [7] = SHARED(7, 2),
    [8] = SHARED(8, 2),
};
#else
TILE(1, 2, 1);
TILE(1, 4, 1);
TILE(2, 2, 1);
TILE(3, 1, 1);
TILE(3, 2, 1);
TILE(4, 1, 1);
TILE(5, 1, 1);
TILE(6, 1, 1);
TILE(3, 1, 0);
TILE(4, 1, 0);
TILE(5, 1, 0);
TILE(6, 1, 0);
static const struct tile_kernel alone[TILE_ROWS_MAX + 1][TILE_WIDTHS] = {
    [1] = {ALONE(1, 2), ALONE(1, 4)},
    [2] = {ALONE(2, 2)},
    [3] = {ALONE(3, 1), ALONE(3, 2)},
    [4] = {ALONE(4, 1)},
    [5] = {ALONE(5, 1)},
    [6] = {ALONE(6, 1)},
};
static const struct tile_kernel shared[TILE_ROWS_MAX + 1] = {
    [3] = SHARED(3, 1),
    [4] = SHARED(4, 1),
    [5] = SHARED(5, 1),
    [6] = SHARED(6, 1),
};
#endif

/* The tile for the only group of rows where N outputs remain: the widest whose panels all exist. */
static const struct tile_kernel *alone_pick(size_t rows, size_t N)
{
    const struct tile_kernel *k = alone[rows];
    size_t i = 0;
    while (i + 1 < TILE_WIDTHS && k[i + 1].run && N > (k[i + 1].vectors - 1) / 2 * OPS_PANEL)
        i++;
    return k + i;
}

/* All rows, in groups, through one block of k of one tile's columns. base is the tile at row 0;
 * its panel's next block follows in memory, be it the same outputs' or the next ones'. Returns the
 * tile's width in vectors. */
static size_t rows_run(const struct tile *base, size_t T)
{
    size_t groups = (T + TILE_ROWS_MAX - 1) / TILE_ROWS_MAX;
    struct tile t = *base;
    if (groups == 1) {
        const struct tile_kernel *k = alone_pick(T, t.columns);
        k->run(&t);
        return k->vectors;
    }
    t.ahead_step = OPS_PANEL / groups > 0 ? OPS_PANEL / groups : 1;
    t.ahead = t.w + t.k * OPS_PANEL;
    size_t vectors = 0;
    for (size_t g = 0; g < groups; g++) {
        size_t rows = T / groups + (g < T % groups);
        shared[rows].run(&t);
        t.x += rows * t.ldx;
        t.y += rows * t.ldy;
        t.ahead += t.k * t.ahead_step;
        vectors = shared[rows].vectors;
    }
    return vectors;
}

/* One tile's columns from the first k to the last. Returns their number in vectors. */
static size_t columns_run(struct tile t, const float *bias, size_t T, size_t K)
{
    size_t vectors, k = 0;
    do {
        t.k = K - k < OPS_K_BLOCK ? K - k : OPS_K_BLOCK;
        t.first = k == 0;
        t.bias = K - k <= OPS_K_BLOCK ? bias : NULL;
        vectors = rows_run(&t, T);
        t.x += t.k;
        t.w += t.k * OPS_PANEL;
        k += OPS_K_BLOCK;
    } while (k < K);
    return vectors;
}

void GEMM(float *y, size_t ldy, const float *x, size_t ldx, const packed_float *packed,
    const float *bias, size_t T, size_t N, size_t K)
{
    for (size_t row = 0, rows; row < T; row += rows) {
        rows = T - row < ROW_BLOCK ? T - row : ROW_BLOCK;
        for (size_t n = 0; n < N;) {
            struct tile t = {.y = y + row * ldy + n, .ldy = ldy, .x = x + row * ldx, .ldx = ldx};
            t.panel_floats = K * OPS_PANEL;
            t.w = packed + n / OPS_PANEL * t.panel_floats + n % OPS_PANEL;
            t.columns = N - n;
            n += 16 * columns_run(t, bias ? bias + n : NULL, rows, K);
        }
    }
}
