/* gemm_bench.c: the products alone, in GFLOP/s, one thread.
 *
 * Usage: gemm_bench N K [ISA]. The forward product over numbers of rows: weights are read from as
 * many copies as fill 64 MiB, so that they come from memory as in a step of a large model, then
 * from one copy, as in a small one. The backward products over a micro-batch's rows, in turns with
 * OpenBLAS.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/blas.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/tensor/ops.h"

enum { COPIES_BYTES = 64 << 20, ROUNDS = 7, BATCH_ROWS = 2048 };

struct product {
    const struct ops *ops;
    size_t N, K, copies;
    float *packed, *x, *y;
};

static double seconds(const struct product *p, size_t T, size_t calls)
{
    size_t size = ops_packed_floats(p->N, p->K);
    uint64_t start_ns = clock_mono_ns();
    for (size_t i = 0; i < calls; i++)
        p->ops->gemm(p->y, p->N, p->x, p->K, p->packed + i % p->copies * size, NULL, T, p->N, p->K);
    return (double)(clock_mono_ns() - start_ns) / 1e9;
}

/* The best of some rounds: what the kernel can do when nothing else runs. */
static double best_gflops(const struct product *p, size_t T)
{
    double flop = 2.0 * (double)T * (double)p->N * (double)p->K, best = 0;
    size_t calls = (size_t)(2e9 / flop) + 1;
    if (calls < p->copies)
        calls = p->copies;
    for (int i = 0; i < ROUNDS; i++) {
        double rate = flop * (double)calls / seconds(p, T, calls) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

/* ---- backward ---- */

struct backward {
    const struct ops *ops;
    size_t N, K;
    float *dy, *x, *w, *dx, *dw, *scratch;
};

enum { OURS_DX, BLAS_DX, OURS_DW, BLAS_DW, PRODUCTS };

static void backward_run(const struct backward *b, int product)
{
    size_t T = BATCH_ROWS, N = b->N, K = b->K;
    switch (product) {
    case OURS_DX:
        b->ops->gemm_dx(b->dx, K, b->dy, N, b->w, T, N, K, 0, b->scratch);
        break;
    case BLAS_DX:
        blas_product(b->dx, b->dy, 0, b->w, T, K, N, 0);
        break;
    case OURS_DW:
        b->ops->gemm_dw(b->dw, NULL, b->dy, N, b->x, K, T, N, K, b->scratch);
        break;
    default:
        blas_product(b->dw, b->dy, 1, b->x, N, K, T, 1);
    }
}

static int backward_bench(const struct ops *ops, size_t N, size_t K)
{
    size_t T = BATCH_ROWS, floats = T * (N + 2 * K) + 2 * N * K + OPS_BWD_FLOATS;
    double flop = 2.0 * (double)T * (double)N * (double)K, best[PRODUCTS] = {0};
    struct err e;
    float *block = mem_big(floats, sizeof(float), "matrices", &e);
    if (!block) {
        fprintf(stderr, "gemm_bench: %s\n", e.msg);
        return 1;
    }
    struct backward b = {.ops = ops, .N = N, .K = K, .dy = block};
    b.x = b.dy + T * N;
    b.w = b.x + T * K;
    b.dx = b.w + N * K;
    b.dw = b.dx + T * K;
    b.scratch = b.dw + N * K;
    for (size_t i = 0; i < floats; i++)
        block[i] = (float)(i % 13) / 1024;
    blas_one_thread();
    size_t calls = (size_t)(1e9 / flop) + 1;
    for (int i = 0; i < ROUNDS * PRODUCTS; i++) {
        uint64_t start_ns = clock_mono_ns();
        for (size_t k = 0; k < calls; k++)
            backward_run(&b, i % PRODUCTS);
        double rate = flop * (double)calls / (double)(clock_mono_ns() - start_ns);
        best[i % PRODUCTS] = rate > best[i % PRODUCTS] ? rate : best[i % PRODUCTS];
    }
    printf(
        "%d rows: dX = dY W %.1f GFLOP/s, OpenBLAS %.1f (%s); dW += dY^T X %.1f, OpenBLAS %.1f\n",
        BATCH_ROWS, best[OURS_DX], best[BLAS_DX], blas_core(), best[OURS_DW], best[BLAS_DW]);
    mem_big_free(block);
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t rows[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
    struct err e;
    if (argc < 3) {
        fprintf(stderr, "usage: gemm_bench N K [ISA]\n");
        return 2;
    }
    struct product p = {.N = strtoul(argv[1], NULL, 10), .K = strtoul(argv[2], NULL, 10)};
    if (p.N == 0 || p.K == 0 || ops_select(argc > 3 ? argv[3] : "auto", &p.ops, &e) < 0) {
        fprintf(stderr, "gemm_bench: N, K or instruction set is wrong\n");
        return 2;
    }
    size_t size = ops_packed_floats(p.N, p.K), T_max = rows[ARRAY_LEN(rows) - 1];
    size_t copies = COPIES_BYTES / sizeof(float) / size + 1;
    p.packed = mem_big(copies * size, sizeof(float), "weights", &e);
    p.x = mem_big(T_max * p.K, sizeof(float), "x", &e);
    p.y = mem_big(T_max * p.N, sizeof(float), "y", &e);
    if (!p.packed || !p.x || !p.y) {
        fprintf(stderr, "gemm_bench: %s\n", e.msg);
        return 1;
    }
    for (size_t i = 0; i < copies * size; i++)
        p.packed[i] = (float)(i % 13) - 6;
    printf("y = x W^T, W %zu x %zu, %s\n%6s %22s %22s\n", p.N, p.K, p.ops->name, "rows",
        "from memory GFLOP/s", "from caches GFLOP/s");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        p.copies = copies;
        double cold = best_gflops(&p, rows[i]);
        p.copies = 1;
        printf("%6zu %22.1f %22.1f\n", rows[i], cold, best_gflops(&p, rows[i]));
    }
    mem_big_free(p.packed);
    mem_big_free(p.x);
    mem_big_free(p.y);
    return backward_bench(p.ops, p.N, p.K);
}
