/* gemm_int8_test.c: the product over eight-bit weights against a twin that follows the rule of
 * gemm_int8.c to the bit, against the exact product, and row by row.
 */
#include "tests/tensor/product.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASES = 80, BLOCK = OPS_INT8_BLOCK };

/* Sizes around the edges of panels, tiles, blocks and spans of k. */
static struct product draw(uint64_t i)
{
    static const size_t edges[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 65, 96, 100, 129};
    static const size_t depths[] = {
        1, 2, 3, 5, 16, 63, 127, 128, 129, 256, 300, 511, 512, 513, 1025, 2177};
    static const size_t rows[][2] = {{1, 14}, {1, 14}, {15, 34}, {46, 51}, {62, 67}};
    struct product p = {0};
    check_reseed(i);
    size_t range = check_size(0, 4);
    p.T = check_size(rows[range][0], rows[range][1]);
    p.N = edges[check_size(0, 13)];
    p.K = depths[check_size(0, 15)];
    product_fill(&p, ops_packed_int8_bytes(p.N, p.K));
    ops_pack_int8(p.packed.p, p.w.p, p.N, p.K);
    return p;
}

static void run(const struct ops *o, const struct product *p, float *y, size_t ldy, const float *x,
    size_t ldx, size_t T)
{
    o->gemm_int8(y, ldy, x, ldx, p->packed.p, p->has_bias ? p->bias.p : NULL, T, p->N, p->K);
}

static float block_largest(const float *x, size_t n)
{
    float m = 0;
    for (size_t k = 0; k < n; k++)
        m = fmaxf(m, fabsf(x[k]));
    return m;
}

/* The rule, one output at a time. */
static float twin(const struct product *p, size_t t, size_t n)
{
    float y = 0;
    for (size_t k0 = 0; k0 < p->K; k0 += BLOCK) {
        size_t count = p->K - k0 < BLOCK ? p->K - k0 : BLOCK;
        const float *x = p->x.p + t * p->x.ld + k0, *w = p->w.p + n * p->K + k0;
        float mx = block_largest(x, count), mw = block_largest(w, count);
        float inverse = mx > 0 ? 127.0f / mx : 0, scale = mw / 127;
        int32_t sum = 0;
        for (size_t k = 0; k < count; k++)
            sum +=
                (int32_t)lrintf(x[k] * inverse) * (scale > 0 ? (int32_t)lrintf(w[k] / scale) : 0);
        y = fmaf((float)sum, scale * (mx / 127), y);
    }
    return product_with_bias(p, n, y);
}

static const struct product_form int8 = {draw, run, twin};

static void test_rule(void **state)
{
    product_assert_twin(&int8, CASES);
}

/* Rounding costs at most half a step of either operand: the error of a product of K normal numbers
 * stays near sqrt(K) times that, and is measured against the length of the exact result. */
static void test_near_exact(void **state)
{
    (void)state;
    const struct ops *o;
    assert_int_equal(ops_select("auto", &o, NULL), 0);
    double error = 0, length = 0;
    for (uint64_t c = 0; c < CASES; c++) {
        struct product p = draw(1000 + c);
        struct mat y = mat_new(p.T, p.N);
        product_run(&int8, o, &p, &y);
        for (size_t t = 0; t < p.T; t++) {
            for (size_t n = 0; n < p.N; n++) {
                double sum = p.has_bias ? (double)p.bias.p[n] : 0;
                for (size_t k = 0; k < p.K; k++)
                    sum += (double)p.x.p[t * p.x.ld + k] * (double)p.w.p[n * p.K + k];
                double d = (double)y.p[t * y.ld + n] - sum;
                error += d * d;
                length += sum * sum;
            }
        }
        mat_done(&y);
        product_done(&p);
    }
    printf("relative error %.4f\n", sqrt(error / length));
    assert_true(error < 0.012 * 0.012 * length);
}

static void test_rows_independent(void **state)
{
    product_assert_rows_independent(&int8);
}

/* Blocks of zeros, of numbers too small to have an inverse, and of infinities. */
static void test_extremes(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    check_reseed(1);
    for (size_t i = 0, n = isas(o); i < n; i++) {
        struct mat x = mat_dense(1, 2 * BLOCK), w = mat_dense(8, 2 * BLOCK), y = mat_dense(1, 8);
        void *packed = malloc(ops_packed_int8_bytes(8, 2 * BLOCK));
        assert_non_null(packed);
        ops_pack_int8(packed, w.p, 8, 2 * BLOCK);
        mat_fill(&x, 0);
        o[i]->gemm_int8(y.p, 8, x.p, x.ld, packed, NULL, 1, 8, 2 * BLOCK);
        for (size_t k = 0; k < 8; k++)
            assert_true(y.p[k] == 0);
        mat_fill(&x, 0x1p-140f);
        o[i]->gemm_int8(y.p, 8, x.p, x.ld, packed, NULL, 1, 8, 2 * BLOCK);
        for (size_t k = 0; k < 8; k++)
            assert_true(fabsf(y.p[k]) < 0x1p-120f);
        x.p[BLOCK] = INFINITY;
        o[i]->gemm_int8(y.p, 8, x.p, x.ld, packed, NULL, 1, 8, 2 * BLOCK);
        for (size_t k = 0; k < 8; k++)
            assert_false(isfinite(y.p[k])); /* it is not lost */
        o[i]->gemm_int8(y.p, 8, x.p, x.ld, packed, w.p, 1, 8, 0);
        assert_memory_equal(y.p, w.p, 8 * sizeof(float)); /* an empty sum: the bias */
        free(packed);
        mat_done(&x);
        mat_done(&w);
        mat_done(&y);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_near_exact),
        cmocka_unit_test(test_rows_independent),
        cmocka_unit_test(test_extremes),
    };
    check_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
