/* vmath_test.c: exp, log and the RoPE tables against libm in higher precision, over their whole
 * range and at the special values.
 */
#include "tests/tensor/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 1 << 14 };

/* |got - expected| in units of the last place of the nearest float. */
static double ulps(float got, double expected)
{
    float nearest = (float)expected;
    if (isinf(nearest) || nearest == 0)
        return got == nearest ? 0 : INFINITY;
    double unit = fabs((double)nextafterf(nearest, INFINITY) - (double)nearest);
    return fabs((double)got - expected) / unit;
}

static double worst_ulps(
    void (*fn)(float *, const float *, size_t), double (*exact)(double), const float *x, size_t n)
{
    double worst = 0;
    float *y = malloc(n * sizeof(float));
    assert_non_null(y);
    fn(y, x, n);
    for (size_t i = 0; i < n; i++) {
        double u = ulps(y[i], exact((double)x[i]));
        worst = u > worst ? u : worst;
    }
    free(y);
    return worst;
}

static void test_exp_accuracy(void **state)
{
    (void)state;
    static float x[POINTS];
    const struct ops *o[ISAS_MAX];
    check_reseed(1);
    for (size_t i = 0; i < POINTS; i++) /* -104 is below half the smallest denormal's logarithm */
        x[i] = (float)(-104.0 + 192.7 * (double)i / (POINTS - 1)) + check_float() * 1e-3f;
    for (size_t k = 0; k < POINTS / 4; k++) /* around 0, down to tiny arguments */
        x[k * 4] = check_float() * exp2f(-(float)check_size(0, 30));
    for (size_t i = 0, n = isas(o); i < n; i++) {
        double worst = worst_ulps(o[i]->vexp, exp, x, POINTS);
        printf("exp %s: %.3f ulp\n", o[i]->name, worst);
        assert_true(worst < 1.01);
    }
}

static void test_log_accuracy(void **state)
{
    (void)state;
    static float x[POINTS];
    const struct ops *o[ISAS_MAX];
    check_reseed(2);
    for (size_t i = 0; i < POINTS; i++) {
        uint32_t bits =
            (uint32_t)(check_u64() % 0x7f800000u); /* every positive float, denormals too */
        memcpy(&x[i], &bits, sizeof(bits));
    }
    for (size_t k = 0; k < POINTS / 2; k++) /* around 1 */
        x[k * 2] = 1.0f + check_float() * exp2f(-(float)check_size(2, 23));
    for (size_t i = 0, n = isas(o); i < n; i++) {
        double worst = worst_ulps(o[i]->vlog, log, x, POINTS);
        printf("log %s: %.3f ulp\n", o[i]->name, worst);
        assert_true(worst < 2);
    }
}

static void test_special_values(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    for (size_t i = 0, n = isas(o); i < n; i++) {
        const float x[] = {
            -INFINITY, INFINITY, NAN, 0.0f, -0.0f, 88.8f, 1e30f, -104.0f, -1e30f, -3e38f};
        float y[10];
        o[i]->vexp(y, x, 10);
        const float zero = 0.0f, one = 1.0f;
        assert_memory_equal(&y[0], &zero, sizeof(float)); /* not even -0 */
        assert_true(isinf(y[1]) && y[1] > 0);
        assert_true(isnan(y[2]));
        assert_memory_equal(&y[3], &one, sizeof(float));
        assert_memory_equal(&y[4], &one, sizeof(float));
        assert_true(isinf(y[5]) && isinf(y[6]));
        for (int k = 7; k < 10; k++)
            assert_memory_equal(&y[k], &zero, sizeof(float));

        const float a[] = {0.0f, -0.0f, -1.0f, INFINITY, -INFINITY, NAN, 1.0f, -1e-40f};
        o[i]->vlog(y, a, 8);
        assert_true(isinf(y[0]) && y[0] < 0 && isinf(y[1]) && y[1] < 0);
        assert_true(isnan(y[2]) && isnan(y[4]) && isnan(y[5]) && isnan(y[7]));
        assert_true(isinf(y[3]) && y[3] > 0);
        assert_memory_equal(&y[6], &zero, sizeof(float));
    }
}

/* In place, any length: nothing beyond is touched (mat_done looks). */
static void test_in_place(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    check_reseed(3);
    for (size_t i = 0, n = isas(o); i < n; i++) {
        for (size_t len = 0; len < 40; len++) {
            struct mat x = mat_dense(1, len);
            struct mat y = mat_copy(&x);
            o[i]->vexp(y.p, y.p, len);
            for (size_t k = 0; k < len; k++)
                assert_near((double)y.p[k], exp((double)x.p[k]), 1e-6, "exp");
            o[i]->vlog(y.p, y.p, len);
            for (size_t k = 0; k < len; k++)
                assert_near((double)y.p[k], (double)x.p[k], 1e-5, "log(exp)");
            mat_done(&x);
            mat_done(&y);
        }
    }
}

static void rope_table_check(size_t positions, uint32_t D, double theta)
{
    size_t half = D / 2;
    float *c = malloc(positions * half * sizeof(float)),
          *s = malloc(positions * half * sizeof(float));
    double worst = 0;
    assert_non_null(c);
    assert_non_null(s);
    ops_rope_table(c, s, positions, D, theta);
    for (size_t i = 0; i < half; i++) {
        for (size_t p = 0; p < positions; p++) {
            long double angle = (long double)p * powl(theta, -2.0L * (long double)i / D);
            double dc = fabs((double)(cosl(angle) - (long double)c[p * half + i]));
            double ds = fabs((double)(sinl(angle) - (long double)s[p * half + i]));
            worst = fmax(worst, fmax(dc, ds));
        }
    }
    printf("RoPE table of %zu positions, D %u, theta %g: error %.3g\n", positions, D, theta, worst);
    assert_true(worst < 0x1.01p-25); /* half a unit of the last place of 1 */
    free(c);
    free(s);
}

static void test_rope_table(void **state)
{
    (void)state;
    rope_table_check(300, 16, 10000);
    rope_table_check(20000, 2, 10000);
    rope_table_check(1000, 128, 1e6);
    rope_table_check(500, 6, 500000);
    rope_table_check(3, 10, 1.0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_accuracy),
        cmocka_unit_test(test_log_accuracy),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_rope_table),
    };
    check_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
