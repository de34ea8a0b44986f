/* stats_test.c: statistics against values worked out by hand or by counting. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/stats.h"

static void wilson_known_values(void **state)
{
    double low, high;
    stats_wilson(0, 0, &low, &high);
    assert_true(low == 0 && high == 1);
    stats_wilson(50, 100, &low, &high);
    assert_true(fabs(low - 0.4038315) < 1e-6 && fabs(high - 0.5961685) < 1e-6);
    stats_wilson(0, 10, &low, &high);
    assert_true(low == 0 && fabs(high - 0.2775328) < 1e-6);
    stats_wilson(10, 10, &low, &high);
    assert_true(high == 1 && fabs(low - 0.7224672) < 1e-6);
}

static void wilson_is_sane(void **state)
{
    for (int n = 1; n < 60; n++) {
        for (int k = 0; k <= n; k++) {
            double low, high, mirror_low, mirror_high;
            stats_wilson(k, n, &low, &high);
            stats_wilson(n - k, n, &mirror_low, &mirror_high);
            assert_true(0 <= low && low <= (double)k / n && (double)k / n <= high && high <= 1);
            assert_true(fabs(low - (1 - mirror_high)) < 1e-12);
        }
    }
}

/* Counts the k-subsets of n samples, the first c of which are right, that hold a right one. */
static double pass_at_k_by_counting(unsigned n, unsigned c, unsigned k)
{
    unsigned subsets = 0, hits = 0;
    for (unsigned set = 0; set < 1u << n; set++) {
        if ((unsigned)__builtin_popcount(set) != k)
            continue;
        subsets++;
        hits += (set & ((1u << c) - 1)) != 0;
    }
    return (double)hits / subsets;
}

static void pass_at_k_counts_subsets(void **state)
{
    for (unsigned n = 1; n <= 10; n++) {
        for (unsigned c = 0; c <= n; c++) {
            for (unsigned k = 0; k <= n; k++)
                assert_true(
                    fabs(stats_pass_at_k(n, c, k) - pass_at_k_by_counting(n, c, k)) < 1e-12);
        }
    }
}

static void pass_at_k_large(void **state)
{
    assert_true(fabs(stats_pass_at_k(1000000, 1, 1) - 1e-6) < 1e-15);
    assert_true(stats_pass_at_k(1000000, 0, 1000000) == 0);
    assert_true(stats_pass_at_k(1000000, 1, 1000000) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_known_values),
        cmocka_unit_test(wilson_is_sane),
        cmocka_unit_test(pass_at_k_counts_subsets),
        cmocka_unit_test(pass_at_k_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
