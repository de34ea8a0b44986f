/* gemm_bwd.c: the backward products dX = dY W and dW += dY^T X.
 *
 * Both are C = A B with the lanes over B's columns, which lie side by side in memory: of dX, A is
 * dY and B is W; of dW, A is dY read down its columns and B is X. An element of C is one chain of
 * fused multiply-adds per OPS_K_BLOCK of what is summed over, from the first on; block sums are
 * added to C in order. So tiling and the register width cannot change a bit, as in gemm_fwd.c, and
 * gradients are the same on every instruction set.
 *
 * A block of B is copied to the scratch in panels as wide as a tile, of which one stays in the
 * first cache while all rows of A pass it. Rows of dY are read where they lie; its columns are
 * copied in groups of a tile's rows, because each number of a group lies in a row of its own.
 */
#include "common/tensor/kernels.h"

/* R rows times V vectors, all sums in registers: 32 of AVX-512, 16 of AVX2 with two to a v16. */
#if defined(__AVX512F__)
#define TILE_ROWS 8
#define TILE_VECTORS 2
#else
#define TILE_ROWS 6
#define TILE_VECTORS 1
#endif

enum {
    PANEL = TILE_VECTORS * 16,
    COLUMNS_MAX = 1024, /* of a block of B: 1 MiB of panels */
    ROW_BLOCK = 96,     /* rows of A that pass the panels together; whole groups of either height */
    PAD = 16,           /* floats between panels, which would meet in the same sets of the cache */
    PANEL_FLOATS = OPS_K_BLOCK * PANEL + PAD,
    GROUP_FLOATS = OPS_K_BLOCK * TILE_ROWS + PAD,
};

_Static_assert(
    COLUMNS_MAX / PANEL * PANEL_FLOATS + ROW_BLOCK / TILE_ROWS * GROUP_FLOATS <= OPS_BWD_FLOATS,
    "the panels and groups of a block fit the scratch");

struct tile {
    float *c;
    size_t ldc;
    const float *a; /* rows lda apart, or a group of columns, TILE_ROWS numbers for each i */
    size_t lda;
    const float *b; /* a panel */
    size_t inner;   /* length of the chain */
    size_t columns; /* that exist */
    int set;        /* C is set, not added to */
};

/* n columns of one row, at most 16. */
VINLINE void vector_store(const struct tile *t, float *c, size_t n, v16 sum)
{
    v16_store_first(c, n, t->set ? sum : v16_add(v16_load_first(c, n), sum));
}

VINLINE void tile_store(const struct tile *t, const v16 *sum, const int R)
{
    UNROLL
    for (int r = 0; r < R; r++) {
        float *c = t->c + (size_t)r * t->ldc;
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) {
            size_t at = (size_t)v * 16;
            if (t->columns >= PANEL)
                vector_store(t, c + at, 16, sum[r * TILE_VECTORS + v]);
            else if (t->columns > at)
                vector_store(t, c + at, t->columns - at, sum[r * TILE_VECTORS + v]);
        }
    }
}

VINLINE void tile_run(const struct tile *t, const int R, const int grouped)
{
    v16 sum[TILE_ROWS * TILE_VECTORS];
    const float *a[TILE_ROWS];
    UNROLL
    for (int r = 0; r < R; r++) {
        a[r] = grouped ? t->a + r : t->a + (size_t)r * t->lda;
        __builtin_prefetch(t->c + (size_t)r * t->ldc, 1, 3);
        __builtin_prefetch(t->c + (size_t)r * t->ldc + PANEL - 1, 1, 3);
    }
    UNROLL
    for (int i = 0; i < R * TILE_VECTORS; i++)
        sum[i] = v16_zero();
    for (size_t i = 0; i < t->inner; i++) {
        v16 b[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            b[v] = v16_load(t->b + i * PANEL + (size_t)v * 16);
        UNROLL
        for (int r = 0; r < R; r++) {
            v16 x = v16_set1(a[r][i * (grouped ? TILE_ROWS : 1)]);
            UNROLL
            for (int v = 0; v < TILE_VECTORS; v++)
                sum[r * TILE_VECTORS + v] = v16_fma(x, b[v], sum[r * TILE_VECTORS + v]);
        }
    }
    tile_store(t, sum, R);
}

/* The declaration at the end takes the semicolon. */
#define TILE(R)                                                                                    \
    static void rows_##R(const struct tile *t)                                                     \
    {                                                                                              \
        tile_run(t, R, 0);                                                                         \
    }                                                                                              \
    static void group_##R(const struct tile *t)                                                    \
    {                                                                                              \
        tile_run(t, R, 1);                                                                         \
    }                                                                                              \
    struct tile

TILE(1);
TILE(2);
TILE(3);
TILE(4);
TILE(5);
TILE(6);
#if TILE_ROWS == 8
TILE(7);
TILE(8);
#endif

/* By kind of A (rows where they lie, groups of columns) and number of rows. */
static void (*const tiles[2][TILE_ROWS + 1])(const struct tile *t) = {
#if TILE_ROWS == 8
    {NULL, rows_1, rows_2, rows_3, rows_4, rows_5, rows_6, rows_7, rows_8},
    {NULL, group_1, group_2, group_3, group_4, group_5, group_6, group_7, group_8},
#else
    {NULL, rows_1, rows_2, rows_3, rows_4, rows_5, rows_6},
    {NULL, group_1, group_2, group_3, group_4, group_5, group_6},
#endif
};

struct product {
    float *c;
    size_t ldc;
    const float *a;
    size_t lda;
    int by_columns; /* row r of A is column r of a */
    const float *b;
    size_t ldb;
    size_t rows, columns, inner; /* C: rows x columns */
    int accumulate;
    float *panels, *groups; /* scratch */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void pack_panels(float *panels, const float *b, size_t ldb, size_t inner, size_t columns)
{
    for (size_t i = 0; i < inner; i++, b += ldb, panels += PANEL) {
        float *to = panels;
        size_t c = 0;
        for (; c + PANEL <= columns; c += PANEL, to += PANEL_FLOATS) {
            UNROLL
            for (int v = 0; v < PANEL; v += 16)
                v16_store(to + v, v16_load(b + c + v));
        }
        for (int v = 0; c < columns; c += 16, v += 16)
            v16_store(to + v, v16_load_first(b + c, columns - c));
    }
}

/* Columns 0 .. rows-1 of a as groups of TILE_ROWS. */
static void pack_groups(float *groups, const float *a, size_t lda, size_t inner, size_t rows)
{
    for (size_t i = 0; i < inner; i++, a += lda, groups += TILE_ROWS) {
        float *to = groups;
        size_t r = 0;
        for (; r + TILE_ROWS <= rows; r += TILE_ROWS, to += GROUP_FLOATS)
            memcpy(to, a + r, TILE_ROWS * sizeof(float));
        for (size_t k = r; k < rows; k++)
            to[k - r] = a[k];
    }
}

/* Rows row0 .. row0 + rows - 1 of A over one block of the inner dimension, times all its panels. */
static void rows_run(const struct product *p, const struct tile *block, size_t row0, size_t rows)
{
    struct tile t = *block;
    t.a += p->by_columns ? row0 : row0 * p->lda;
    if (p->by_columns) {
        pack_groups(p->groups, t.a, p->lda, t.inner, rows);
        t.a = p->groups;
    }
    const float *first = t.a;
    for (size_t c = 0; c < block->columns; c += PANEL) {
        t.columns = block->columns - c;
        t.a = first;
        for (size_t r = 0; r < rows; r += TILE_ROWS) {
            t.c = block->c + (row0 + r) * p->ldc + c;
            tiles[p->by_columns][smaller(rows - r, TILE_ROWS)](&t);
            t.a += p->by_columns ? (size_t)GROUP_FLOATS : TILE_ROWS * p->lda;
        }
        t.b += PANEL_FLOATS;
    }
}

static void product_run(const struct product *p)
{
    for (size_t c = 0; c < p->columns; c += COLUMNS_MAX) {
        for (size_t i = 0; i < p->inner; i += OPS_K_BLOCK) {
            struct tile block = {.c = p->c + c, .ldc = p->ldc, .lda = p->lda, .b = p->panels};
            block.a = p->a + (p->by_columns ? i * p->lda : i);
            block.inner = smaller(p->inner - i, OPS_K_BLOCK);
            block.columns = smaller(p->columns - c, COLUMNS_MAX);
            block.set = i == 0 && !p->accumulate;
            pack_panels(p->panels, p->b + i * p->ldb + c, p->ldb, block.inner, block.columns);
            for (size_t r = 0; r < p->rows; r += ROW_BLOCK)
                rows_run(p, &block, r, smaller(p->rows - r, ROW_BLOCK));
        }
    }
}

void OPS_FN(gemm_dx)(float *dx, size_t lddx, const float *dy, size_t lddy, const float *w, size_t T,
    size_t N, size_t K, int accumulate, float *scratch)
{
    struct product p = {.c = dx, .ldc = lddx, .a = dy, .lda = lddy, .b = w, .ldb = K};
    p.rows = T;
    p.columns = K;
    p.inner = N;
    p.accumulate = accumulate;
    p.panels = scratch;
    product_run(&p);
}

void OPS_FN(gemm_dw)(float *dw, float *db, const float *dy, size_t lddy, const float *x, size_t ldx,
    size_t T, size_t N, size_t K, float *scratch)
{
    struct product p = {.c = dw, .ldc = K, .a = dy, .lda = lddy, .b = x, .ldb = ldx};
    p.by_columns = p.accumulate = 1;
    p.rows = N;
    p.columns = K;
    p.inner = T;
    p.panels = scratch;
    p.groups = scratch + COLUMNS_MAX / PANEL * PANEL_FLOATS;
    product_run(&p);
    for (size_t n = 0; db && n < N; n += 16) {
        v16 sum = v16_load_first(db + n, N - n);
        for (size_t t = 0; t < T; t++)
            sum = v16_add(sum, v16_load_first(dy + t * lddy + n, N - n));
        v16_store_first(db + n, N - n, sum);
    }
}
