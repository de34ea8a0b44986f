/* rng_test.c: published vectors, pinned draws, distributions, permutations. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/rng.h"

static uint64_t seed = 1;

static struct rng_key test_key(uint32_t stage)
{
    return (struct rng_key){.seed = seed, .domain = RNG_USER, .stage = stage};
}

/* kat_vectors of Random123, the three of philox4x32 with 10 rounds. */
static void philox_known_answers(void **state)
{
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
            {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
            {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        uint32_t out[4];
        rng_philox(known[i].ctr, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof(out));
    }
}

/* Pinned semantics: another value here means that every stored run can no longer be reproduced. */
static void draws_are_pinned(void **state)
{
    const struct rng_key key = {
        .seed = 42, .domain = RNG_TRAIN, .stage = 1, .ordinal = 7, .completion = 3};
    assert_true(rng_u64(&key, 0) == 0x40c0ebd074fb8e0bu);
    assert_true(rng_u64(&key, 0x123456789a) == 0xc1076bd19ed316b9u);
    assert_true(rng_uniform(&key, 5) == 0x1.105e1aea54f3fp-1);
    struct rng r = rng_stream(key);
    assert_true(rng_normal(&r) == -0x1.549c4987871ddp-1);
    assert_true(rng_normal(&r) == -0x1.18c469b2e9882p+0);
    assert_true(rng_normal_quantile(1e-3) == -0x1.8b8cbb720447p+1);
    assert_true(rng_normal_quantile(1e-13) == -0x1.d652ace3a013p+2);
    assert_true(rng_below(&r, 1000000007) == 385173115);
    static const uint64_t order[8] = {4, 2, 7, 0, 6, 1, 3, 5};
    for (uint64_t i = 0; i < 8; i++)
        assert_true(rng_permute(&key, 8, i) == order[i]);
}

static void a_stream_is_its_positions(void **state)
{
    struct rng_key key = test_key(0);
    struct rng r = rng_stream(key);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(rng_next(&r) == rng_u64(&key, i));
        double u = rng_uniform(&key, i);
        assert_true(u == (double)(rng_u64(&key, i) >> 11) / 9007199254740992.0);
    }
    assert_true(r.position == 100);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* Every corner of every field, all combinations: 64 bits that repeat would be a shared block. */
static void fields_do_not_run_into_each_other(void **state)
{
    static const uint64_t seeds[] = {0, 1, UINT64_MAX};
    static const uint32_t small[] = {0, 1, 2, 0xffff, 0x10000, UINT32_MAX};
    static const uint64_t large[] = {0, 1, 0xffff, 0x10000, UINT32_MAX, (uint64_t)1 << 32,
        (uint64_t)1 << 33, (uint64_t)1 << 47, ((uint64_t)1 << 48) - 1, (uint64_t)1 << 48,
        UINT64_MAX};
    size_t count = ARRAY_LEN(seeds) * 5 * ARRAY_LEN(small) * ARRAY_LEN(small) * ARRAY_LEN(large) *
                   ARRAY_LEN(large);
    CLEANUP_FREE uint64_t *drawn = mem_array(count, sizeof(drawn[0]));
    size_t n = 0;
    for (size_t s = 0; s < ARRAY_LEN(seeds); s++) {
        for (uint32_t domain = RNG_TRAIN; domain <= RNG_INIT; domain++) {
            for (size_t i = 0; i < ARRAY_LEN(small) * ARRAY_LEN(small); i++) {
                for (size_t j = 0; j < ARRAY_LEN(large) * ARRAY_LEN(large); j++) {
                    struct rng_key key = {.seed = seeds[s],
                        .domain = domain,
                        .stage = small[i % ARRAY_LEN(small)],
                        .completion = small[i / ARRAY_LEN(small)],
                        .ordinal = large[j % ARRAY_LEN(large)]};
                    drawn[n++] = rng_u64(&key, large[j / ARRAY_LEN(large)]);
                }
            }
        }
    }
    assert_int_equal(n, count);
    qsort(drawn, count, sizeof(drawn[0]), compare_u64);
    for (size_t i = 1; i < count; i++)
        assert_true(drawn[i - 1] != drawn[i]);
}

/* Chi-square of equal expectations, as standard deviations from its mean. */
static double chi_square_z(const unsigned *counts, size_t bins, double total)
{
    double chi = 0, expected = total / (double)bins;
    for (size_t i = 0; i < bins; i++)
        chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    double degrees = (double)bins - 1;
    return (chi - degrees) / sqrt(2 * degrees);
}

static void uniforms_are_uniform(void **state)
{
    enum { DRAWS = 1 << 18, BINS = 256 };
    unsigned high[BINS] = {0}, low[BINS] = {0}, pair[BINS] = {0};
    double sum = 0, before = 0;
    struct rng r = rng_stream(test_key(1));
    for (int i = 0; i < DRAWS; i++) {
        uint64_t bits = rng_u64(&r.key, r.position);
        double u = rng_next_uniform(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        high[bits >> 56]++;
        low[bits & 255]++;
        pair[(int)(before * 16) * 16 + (int)(u * 16)]++;
        before = u;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 5 * sqrt(1.0 / 12 / DRAWS));
    assert_true(fabs(chi_square_z(high, BINS, DRAWS)) < 5);
    assert_true(fabs(chi_square_z(low, BINS, DRAWS)) < 5);
    assert_true(fabs(chi_square_z(pair, BINS, DRAWS)) < 5);
}

static void below_is_unbiased_and_bounded(void **state)
{
    enum { DRAWS = 1 << 16 };
    struct rng r = rng_stream(test_key(2));
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(&r, 1) == 0);
    static const unsigned sizes[] = {2, 3, 10, 255};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        unsigned counts[255] = {0};
        for (int i = 0; i < DRAWS; i++) {
            uint64_t x = rng_below(&r, sizes[s]);
            assert_true(x < sizes[s]);
            counts[x]++;
        }
        assert_true(fabs(chi_square_z(counts, sizes[s], DRAWS)) < 5);
    }
    /* Three quarters of 2^64: without rejection multiples of 3 would come twice as often. */
    unsigned thirds[3] = {0};
    uint64_t n = (uint64_t)3 << 62;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t x = rng_below(&r, n);
        assert_true(x < n);
        thirds[x % 3]++;
    }
    assert_true(fabs(chi_square_z(thirds, 3, DRAWS)) < 5);
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
}

static void quantiles_match_erfc(void **state)
{
    for (double p = 0x1p-53; p < 0.5; p *= 1.37) {
        double z = rng_normal_quantile(p);
        double back = 0.5 * erfc(-z / sqrt(2));
        assert_true(fabs(back - p) < 1e-12 * p + 0x1p-80);
        assert_true(z < 0);
        if (p > 0x1p-20)
            assert_true(fabs(rng_normal_quantile(1 - p) + z) < 1e-9);
    }
    assert_true(rng_normal_quantile(0.5) == 0);
    assert_true(fabs(rng_normal_quantile(0.975) - 1.959963984540054) < 1e-14);
    /* Across the seams of its pieces it never falls. */
    double before = -INFINITY;
    for (int i = 1; i < 20000; i++) {
        double z = rng_normal_quantile(i / 20000.0);
        assert_true(z > before);
        before = z;
    }
}

static void normals_have_normal_moments(void **state)
{
    enum { DRAWS = 400000 };
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
    struct rng r = rng_stream(test_key(3));
    for (int i = 0; i < DRAWS; i++) {
        double z = rng_normal(&r);
        assert_true(isfinite(z));
        m1 += z;
        m2 += z * z;
        m3 += z * z * z;
        m4 += z * z * z * z;
    }
    /* Five standard deviations of each mean: variances 1, 2, 15, 96. */
    assert_true(fabs(m1 / DRAWS) < 5 * sqrt(1.0 / DRAWS));
    assert_true(fabs(m2 / DRAWS - 1) < 5 * sqrt(2.0 / DRAWS));
    assert_true(fabs(m3 / DRAWS) < 5 * sqrt(15.0 / DRAWS));
    assert_true(fabs(m4 / DRAWS - 3) < 5 * sqrt(96.0 / DRAWS));
}

static void check_bijection(uint64_t n, uint32_t stage)
{
    struct rng_key key = test_key(stage);
    CLEANUP_FREE uint8_t *seen = mem_array(n, 1);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t to = rng_permute(&key, n, i);
        assert_true(to < n);
        assert_int_equal(seen[to]++, 0);
    }
}

static void permutations_are_bijections(void **state)
{
    for (uint32_t n = 1; n <= 70; n++)
        check_bijection(n, n);
    check_bijection(1000, 0);
    check_bijection(4095, 1);
    check_bijection(4096, 2);
    check_bijection(4097, 3);
    struct rng_key key = test_key(4);
    uint64_t a = rng_permute(&key, UINT64_MAX, 0), b = rng_permute(&key, UINT64_MAX, 1);
    assert_true(a < UINT64_MAX && b < UINT64_MAX && a != b);
    assert_true(rng_permute(&key, UINT64_MAX, UINT64_MAX - 1) < UINT64_MAX);
}

/* All 24 orders of four items come equally often over the keys: odd ones too. */
static void permutations_are_fair(void **state)
{
    enum { KEYS = 24000 };
    unsigned counts[256] = {0}, found[24], orders = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        struct rng_key key = test_key(i);
        unsigned order = 0;
        for (uint64_t j = 0; j < 4; j++)
            order = order * 4 + (unsigned)rng_permute(&key, 4, j);
        counts[order]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        if (counts[i] > 0 && orders < ARRAY_LEN(found))
            found[orders++] = counts[i];
    }
    assert_int_equal(orders, 24);
    assert_true(fabs(chi_square_z(found, 24, KEYS)) < 5);
}

/* A Feistel network alone makes even permutations only, once its halves have two bits. */
static void permutations_are_odd_and_even(void **state)
{
    enum { N = 16, KEYS = 400 };
    int odd = 0;
    for (uint32_t stage = 0; stage < KEYS; stage++) {
        struct rng_key key = test_key(stage);
        uint64_t to[N];
        unsigned inversions = 0;
        for (uint64_t i = 0; i < N; i++) {
            to[i] = rng_permute(&key, N, i);
            for (uint64_t j = 0; j < i; j++)
                inversions += to[j] > to[i];
        }
        odd += inversions % 2 == 1;
    }
    assert_in_range(odd, KEYS / 2 - 50, KEYS / 2 + 50); /* five standard deviations */
}

/* Where an item goes says nothing about where its neighbour goes. */
static void permutations_scatter_neighbours(void **state)
{
    enum { N = 1000, BINS = 20 };
    unsigned counts[BINS] = {0};
    for (uint32_t stage = 0; stage < 20; stage++) {
        struct rng_key key = test_key(stage);
        for (uint64_t i = 0; i + 1 < N; i++) {
            uint64_t step = rng_permute(&key, N, i + 1) + N - rng_permute(&key, N, i);
            counts[step % N * BINS / N]++;
        }
    }
    assert_true(fabs(chi_square_z(counts, BINS, 20 * (N - 1))) < 5);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(draws_are_pinned),
        cmocka_unit_test(a_stream_is_its_positions),
        cmocka_unit_test(fields_do_not_run_into_each_other),
        cmocka_unit_test(uniforms_are_uniform),
        cmocka_unit_test(below_is_unbiased_and_bounded),
        cmocka_unit_test(quantiles_match_erfc),
        cmocka_unit_test(normals_have_normal_moments),
        cmocka_unit_test(permutations_are_bijections),
        cmocka_unit_test(permutations_are_fair),
        cmocka_unit_test(permutations_are_odd_and_even),
        cmocka_unit_test(permutations_scatter_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
