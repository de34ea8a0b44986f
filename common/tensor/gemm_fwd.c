/* gemm_fwd.c: the forward product y = x W^T over packed weights.
 *
 * Each output is one chain of fused multiply-adds per OPS_K_BLOCK of k; block sums are added in
 * order, the bias last. Lanes lie over outputs and nothing is reduced across lanes, so that tiling,
 * the number of rows and the register width cannot change a bit: they only decide which chains run
 * side by side.
 *
 * A tile is R rows times V columns of 16 outputs, all its sums in registers. Many rows share one
 * panel; few rows take several panels at once, because a multiply-add needs about eight independent
 * chains to run at full speed.
 */
#include "common/tensor/kernels.h"

/* 32 registers hold 8 x 2 sums and more; the 16 of AVX2, where a v16 takes two, hold 6 x 1. */
#if defined(__AVX512F__)
enum { TILE_SUMS_MAX = 16 };
#define TILE_ROWS_MAX 8
#else
enum { TILE_SUMS_MAX = 6 };
#define TILE_ROWS_MAX 6
#endif

enum { ROW_BLOCK = 96 }; /* rows whose block of x (96 KiB) stays in the second-level cache */

struct tile {
    float *y;
    size_t ldy;
    const float *x;
    size_t ldx;
    const float *w;      /* first panel, at the block's first k */
    size_t panel_floats; /* from one panel to the next */
    const float *bias;   /* NULL except in the last block */
    size_t k;            /* length of the block */
    size_t columns;      /* outputs that exist, at most 16 V */
    int first;           /* block 0 sets y, later ones add */
};

/* y, one vector of it: the block's sum, added to the blocks before, and the bias at the end. */
VINLINE void tile_store(const struct tile *t, float *y, size_t column, v16 sum)
{
    if (column >= t->columns)
        return;
    size_t n = t->columns - column;
    if (!t->first)
        sum = v16_add(v16_load_first(y, n), sum);
    if (t->bias)
        sum = v16_add(sum, v16_load_first(t->bias + column, n));
    v16_store_first(y, n, sum);
}

VINLINE void tile_run(const struct tile *t, const int R, const int V)
{
    v16 sum[TILE_SUMS_MAX];
    const float *x[TILE_ROWS_MAX], *w[TILE_SUMS_MAX];
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
        for (int v = 0; v < V; v++)
            b[v] = v16_load(w[v / 2] + k * OPS_PANEL + (v % 2) * 16);
        UNROLL
        for (int r = 0; r < R; r++) {
            v16 a = v16_set1(x[r][k]);
            UNROLL
            for (int v = 0; v < V; v++)
                sum[r * V + v] = v16_fma(a, b[v], sum[r * V + v]);
        }
    }
    UNROLL
    for (int r = 0; r < R; r++) {
        UNROLL
        for (int v = 0; v < V; v++)
            tile_store(t, t->y + (size_t)r * t->ldy + v * 16, (size_t)v * 16, sum[r * V + v]);
    }
}

struct tile_kernel {
    void (*run)(const struct tile *t);
    size_t vectors;
};

enum { TILE_WIDTHS = 3 };

/* The declaration at the end takes the semicolon. */
#define TILE(R, V)                                                                                 \
    static void tile_##R##x##V(const struct tile *t)                                               \
    {                                                                                              \
        tile_run(t, R, V);                                                                         \
    }                                                                                              \
    struct tile
#define TILE_KERNEL(R, V)                                                                          \
    {                                                                                              \
        tile_##R##x##V, V                                                                          \
    }

/* kernels[R] lists the tiles of R rows, narrowest first; any number of outputs fits the first. */
#if TILE_ROWS_MAX == 8
TILE(1, 2);
TILE(1, 4);
TILE(1, 8);
TILE(2, 2);
TILE(2, 4);
TILE(2, 8);
TILE(3, 2);
TILE(3, 4);
TILE(4, 2);
TILE(4, 4);
TILE(5, 2);
TILE(6, 2);
TILE(7, 2);
TILE(8, 2);
static const struct tile_kernel kernels[TILE_ROWS_MAX + 1][TILE_WIDTHS] = {
    [1] = {TILE_KERNEL(1, 2), TILE_KERNEL(1, 4), TILE_KERNEL(1, 8)},
    [2] = {TILE_KERNEL(2, 2), TILE_KERNEL(2, 4), TILE_KERNEL(2, 8)},
    [3] = {TILE_KERNEL(3, 2), TILE_KERNEL(3, 4)},
    [4] = {TILE_KERNEL(4, 2), TILE_KERNEL(4, 4)},
    [5] = {TILE_KERNEL(5, 2)},
    [6] = {TILE_KERNEL(6, 2)},
    [7] = {TILE_KERNEL(7, 2)},
    [8] = {TILE_KERNEL(8, 2)},
};
#else
TILE(1, 2);
TILE(1, 4);
TILE(2, 2);
TILE(3, 1);
TILE(3, 2);
TILE(4, 1);
TILE(5, 1);
TILE(6, 1);
static const struct tile_kernel kernels[TILE_ROWS_MAX + 1][TILE_WIDTHS] = {
    [1] = {TILE_KERNEL(1, 2), TILE_KERNEL(1, 4)},
    [2] = {TILE_KERNEL(2, 2)},
    [3] = {TILE_KERNEL(3, 1), TILE_KERNEL(3, 2)},
    [4] = {TILE_KERNEL(4, 1)},
    [5] = {TILE_KERNEL(5, 1)},
    [6] = {TILE_KERNEL(6, 1)},
};
#endif

/* The tile for `rows` rows where N outputs remain: the narrowest when other groups of rows will use
 * the same panel, else the widest whose panels all exist. */
static const struct tile_kernel *kernel_pick(size_t rows, int alone, size_t N)
{
    const struct tile_kernel *k = kernels[rows];
    size_t i = 0;
    while (
        alone && i + 1 < TILE_WIDTHS && k[i + 1].run && N > (k[i + 1].vectors - 1) / 2 * OPS_PANEL)
        i++;
    return k + i;
}

/* One block of k for up to ROW_BLOCK rows: panels outside, so that a panel's block (32 KiB) comes
 * from the nearest cache for every group of rows but the first. base is the tile at row 0, output
 * 0. */
static void block_run(const struct tile *base, const float *bias, size_t T, size_t N)
{
    size_t groups = (T + TILE_ROWS_MAX - 1) / TILE_ROWS_MAX;
    for (size_t n = 0; n < N;) {
        struct tile t = *base;
        t.w += n / OPS_PANEL * t.panel_floats + n % OPS_PANEL;
        t.y += n;
        t.bias = bias ? bias + n : NULL;
        t.columns = N - n;
        size_t vectors = 0;
        for (size_t g = 0; g < groups; g++) {
            size_t rows = T / groups + (g < T % groups);
            const struct tile_kernel *k = kernel_pick(rows, groups == 1, N - n);
            k->run(&t);
            t.x += rows * t.ldx;
            t.y += rows * t.ldy;
            vectors = k->vectors;
        }
        n += vectors * 16;
    }
}

void OPS_FN(gemm)(float *y, size_t ldy, const float *x, size_t ldx, const float *packed,
    const float *bias, size_t T, size_t N, size_t K)
{
    for (size_t row = 0; row < T; row += ROW_BLOCK) {
        size_t rows = T - row < ROW_BLOCK ? T - row : ROW_BLOCK;
        size_t k = 0;
        do {
            struct tile t = {.y = y + row * ldy, .ldy = ldy, .x = x + row * ldx + k, .ldx = ldx};
            t.w = packed + k * OPS_PANEL;
            t.panel_floats = K * OPS_PANEL;
            t.k = K - k < OPS_K_BLOCK ? K - k : OPS_K_BLOCK;
            t.first = k == 0;
            k += OPS_K_BLOCK;
            block_run(&t, k >= K ? bias : NULL, rows, N);
        } while (k < K);
    }
}
