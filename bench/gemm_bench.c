/* gemm_bench.c: the forward product alone, in GFLOP/s, one thread, over numbers of rows.
 *
 * Usage: gemm_bench N K [ISA]. Weights are read from as many copies as fill 64 MiB, so that they
 * come from memory as in a step of a large model, then from one copy, as in a small one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/tensor/ops.h"

enum { COPIES_BYTES = 64 << 20, ROUNDS = 7 };

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
    return 0;
}
