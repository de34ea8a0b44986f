/* calibrate.c: what the machine gives right now: multiply-adds from registers and bytes read from
 * memory, with one thread and with several. A benchmark is quoted beside it, and dropped when it
 * moved in between.
 *
 * Usage: calibrate [THREADS]. Prints medians of a few short rounds, and how they scale.
 */
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/tensor/pool.h"

enum { ROUNDS = 7, CHAINS = 12, STEPS = 4000000, READ_BYTES = 256 << 20, AHEAD = 4096 };

struct job {
    const uint8_t *bytes; /* READ_BYTES of them for each thread; NULL: multiply-adds */
    double result[64];    /* so that nothing is left out */
};

/* Both loops are written for the widest registers at hand; a chain is what one multiply-add waits
 * for. */
__attribute__((target("avx512f"))) static double fma_512(void)
{
    __m512 sum[CHAINS], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < STEPS; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], x, y);
    }
    double all = 0;
    for (int i = 0; i < CHAINS; i++)
        all += (double)_mm512_reduce_add_ps(sum[i]);
    return all;
}

__attribute__((target("avx2,fma"))) static double fma_256(void)
{
    __m256 sum[CHAINS], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (long k = 0; k < STEPS; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], x, y);
    }
    double all = 0;
    for (int i = 0; i < CHAINS; i++)
        all += (double)_mm256_cvtss_f32(sum[i]);
    return all;
}

static int has_512(void)
{
    return __builtin_cpu_supports("avx512f");
}

/* Every line once, in order, asked for ahead, into four sums. */
static double read_lines(const uint8_t *p)
{
    uint64_t sum[4] = {0};
    for (size_t i = 0; i < READ_BYTES; i += 256) {
        for (size_t k = 0; k < 4; k++) {
            uint64_t x[8];
            __builtin_prefetch(p + i + 64 * k + AHEAD, 0, 3);
            memcpy(x, p + i + 64 * k, sizeof(x));
            sum[k] += x[0] ^ x[7];
        }
    }
    return (double)(sum[0] + sum[1] + sum[2] + sum[3]);
}

static void run(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    struct job *j = arg;
    if (j->bytes)
        j->result[task] = read_lines(j->bytes + task * READ_BYTES);
    else
        j->result[task] = has_512() ? fma_512() : fma_256();
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the rounds: `work` units by each of the threads, per second. */
static double rate(struct pool *p, unsigned threads, const uint8_t *bytes, double work)
{
    double r[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct job j = {.bytes = bytes};
        uint64_t start_ns = clock_mono_ns();
        pool_run(p, threads, run, &j);
        r[i] = work * threads * 1e9 / (double)(clock_mono_ns() - start_ns);
    }
    qsort(r, ROUNDS, sizeof(r[0]), by_size);
    return r[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
    struct pool *p = NULL;
    struct err e;
    if (threads < 1 || threads > 64) {
        fprintf(stderr, "usage: calibrate [THREADS], 1 to 64 of them\n");
        return 2;
    }
    uint8_t *bytes = mem_big(threads, (size_t)READ_BYTES + AHEAD, "memory to read", &e);
    if (!bytes || pool_new(threads, &p, &e) < 0) {
        fprintf(stderr, "calibrate: %s\n", e.msg);
        return 1;
    }
    double flop = 2.0 * CHAINS * STEPS * (has_512() ? 16 : 8);
    double fma_1 = rate(p, 1, NULL, flop), fma_n = rate(p, threads, NULL, flop);
    double read_1 = rate(p, 1, bytes, READ_BYTES), read_n = rate(p, threads, bytes, READ_BYTES);
    printf("%.0f GFLOP/s by one thread, %.0f GFLOP/s by %u (%.2fx); reads %.1f GB/s by one, "
           "%.1f GB/s by %u (%.2fx)\n",
        fma_1 / 1e9, fma_n / 1e9, threads, fma_n / fma_1, read_1 / 1e9, read_n / 1e9, threads,
        read_n / read_1);
    pool_free(p);
    mem_big_free(bytes);
    return 0;
}
