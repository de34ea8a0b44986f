/* gemm_test.c: the forward product: its order of summation to the bit, independence of rows, equal
 * bits between instruction sets; the same of the backward products.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tensor/naive.h"
#include "tests/tensor/product.h"

enum { CASES = 120 };

/* Sizes around the edges of panels, tiles and blocks of k. */
static struct product draw(uint64_t i)
{
    static const size_t edges[] = {
        1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 65, 96, 100, 128, 160, 161, 257};
    static const size_t depths[] = {1, 2, 3, 5, 16, 63, 64, 128, 255, 256, 257, 511, 512, 513, 600};
    struct product p = {0};
    check_reseed(i);
    p.T = check_size(0, 3) ? check_size(1, 20) : check_size(90, 110);
    p.N = edges[check_size(0, 16)];
    p.K = depths[check_size(0, 14)];
    product_fill(&p, ops_packed_floats(p.N, p.K) * sizeof(float));
    ops_pack(p.packed.p, p.w.p, p.N, p.K);
    return p;
}

static void run(const struct ops *o, const struct product *p, float *y, size_t ldy, const float *x,
    size_t ldx, size_t T)
{
    o->gemm(y, ldy, x, ldx, p->packed.p, p->has_bias ? p->bias.p : NULL, T, p->N, p->K);
}

/* One chain of fused multiply-adds from 0 per block of 256, block sums added in order, then the
 * bias. */
static float chain(const struct product *p, size_t t, size_t n)
{
    float y = 0;
    for (size_t k0 = 0; k0 < p->K; k0 += 256) {
        float sum = 0;
        for (size_t k = k0; k < p->K && k < k0 + 256; k++)
            sum = fmaf(p->x.p[t * p->x.ld + k], p->w.p[n * p->K + k], sum);
        y = k0 == 0 ? sum : y + sum;
    }
    return product_with_bias(p, n, y);
}

static const struct product_form f32 = {draw, run, chain};

static void test_order(void **state)
{
    product_assert_twin(&f32, CASES);
}

static void test_near_naive(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    for (size_t i = 0, n = isas(o); i < n; i++) {
        for (uint64_t c = 0; c < 40; c++) {
            struct product p = draw(1000 + c);
            struct mat y = mat_new(p.T, p.N);
            double *x = mat_double(&p.x), *w = mat_double(&p.w), *bias = mat_double(&p.bias);
            double *expected = calloc(p.T * p.N, sizeof(double));
            assert_non_null(expected);
            product_run(&f32, o[i], &p, &y);
            naive_gemm(expected, x, w, p.has_bias ? bias : NULL, p.T, p.N, p.K);
            mat_assert_near(&y, expected, 1e-4, o[i]->name);
            free(x);
            free(w);
            free(bias);
            free(expected);
            mat_done(&y);
            product_done(&p);
        }
    }
}

static float as_bf16(float f)
{
    uint16_t packed[OPS_PANEL];
    ops_pack_bf16(packed, &f, 1, 1);
    uint32_t bits = (uint32_t)packed[0] << 16;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static void test_bf16_rounding(void **state)
{
    (void)state;
    static const float pairs[][2] = {{0, 0}, {1, 1}, {-3.140625f, -3.140625f},
        {0x1.01p0f, 0x1p0f},          /* halfway: to the even one below */
        {0x1.03p0f, 0x1.04p0f},       /* and above */
        {0x1.010002p0f, 0x1.02p0f},   /* just beyond halfway */
        {-0x1.fefffep1f, -0x1.fep1f}, /* just before */
        {0x1.ffp5f, 0x1p6f},          /* the carry goes into the exponent */
        {0x1.0p-140f, 0}};            /* too small */
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_true(as_bf16(pairs[i][0]) == pairs[i][1]);
}

/* Over weights that bf16 holds exactly both products are the same chains. */
static void test_bf16_is_f32_of_rounded(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    for (size_t i = 0, n = isas(o); i < n; i++) {
        for (uint64_t c = 0; c < CASES; c++) {
            struct product p = draw(5000 + c);
            struct mat y = mat_new(p.T, p.N), expected = mat_copy(&y);
            uint16_t *packed = malloc(ops_packed_floats(p.N, p.K) * sizeof(*packed));
            assert_non_null(packed);
            ops_pack_bf16(packed, p.w.p, p.N, p.K);
            for (size_t k = 0; k < p.N * p.K; k++)
                p.w.p[k] = as_bf16(p.w.p[k]);
            ops_pack(p.packed.p, p.w.p, p.N, p.K);
            product_run(&f32, o[i], &p, &expected);
            o[i]->gemm_bf16(
                y.p, y.ld, p.x.p, p.x.ld, packed, p.has_bias ? p.bias.p : NULL, p.T, p.N, p.K);
            mat_assert_same_bits(&y, &expected, o[i]->name);
            free(packed);
            mat_done(&y);
            mat_done(&expected);
            product_done(&p);
        }
    }
}

static void test_rows_independent(void **state)
{
    product_assert_rows_independent(&f32);
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    check_reseed(1);
    for (size_t i = 0, n = isas(o); i < n; i++) {
        struct mat x = mat_dense(1, 8), y = mat_dense(2, 8), kept = mat_copy(&y);
        o[i]->gemm(y.p, 8, x.p, 8, x.p, NULL, 0, 8, 8);
        o[i]->gemm(y.p, 8, x.p, 8, x.p, NULL, 2, 0, 8);
        mat_assert_same_bits(&y, &kept, "no rows or no outputs");
        o[i]->gemm(y.p, 8, x.p, 8, x.p, x.p, 1, 8, 0);
        assert_memory_equal(y.p, x.p, 8 * sizeof(float)); /* an empty sum: the bias */
        mat_done(&x);
        mat_done(&y);
        mat_done(&kept);
    }
}

/* ---- backward ---- */

struct backward {
    size_t T, N, K;
    int accumulate;
    struct mat dy, x, w, dx, dw, db;
};

/* Sizes around the edges of tiles and groups of columns; one of them, at times, around those of
 * blocks. */
static struct backward backward_draw(uint64_t i)
{
    static const size_t edges[] = {1, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 40, 64, 96, 97, 103};
    static const size_t deep[] = {255, 256, 257, 513};
    struct backward b = {0};
    check_reseed(i);
    b.T = check_size(0, 9) ? edges[check_size(0, 15)] : 0;
    b.N = edges[check_size(0, 15)];
    b.K = edges[check_size(0, 15)];
    switch (check_size(0, 5)) {
    case 0:
        b.T = deep[check_size(0, 3)];
        break;
    case 1:
        b.N = deep[check_size(0, 3)];
        break;
    case 2:
        b.K = 1000 + deep[check_size(0, 3)];
        break;
    default:;
    }
    b.accumulate = (int)check_size(0, 1);
    b.dy = mat_new(b.T, b.N);
    b.x = mat_new(b.T, b.K);
    b.w = mat_dense(b.N, b.K);
    b.dx = mat_new(b.T, b.K);
    b.dw = mat_dense(b.N, b.K);
    b.db = mat_dense(1, b.N);
    return b;
}

static void backward_done(struct backward *b)
{
    struct mat *all[] = {&b->dy, &b->x, &b->w, &b->dx, &b->dw, &b->db};
    for (size_t k = 0; k < 6; k++)
        mat_done(all[k]);
}

static void backward_run(const struct ops *o, struct backward *b)
{
    float *scratch = malloc(OPS_BWD_FLOATS * sizeof(float));
    assert_non_null(scratch);
    if (!b->accumulate)
        mat_fill(&b->dx, NAN); /* nothing of the old content may enter */
    o->gemm_dx(
        b->dx.p, b->dx.ld, b->dy.p, b->dy.ld, b->w.p, b->T, b->N, b->K, b->accumulate, scratch);
    o->gemm_dw(b->dw.p, b->db.p, b->dy.p, b->dy.ld, b->x.p, b->x.ld, b->T, b->N, b->K, scratch);
    free(scratch);
}

/* sum_i a[i lda] b[i ldb] as one chain of fused multiply-adds from 0 per block of 256; block sums
 * are added to c in order, or the first of them is c. */
static float chain_of(
    float c, int add, const float *a, size_t lda, const float *b, size_t ldb, size_t n)
{
    for (size_t i0 = 0; i0 < n; i0 += 256) {
        float sum = 0;
        for (size_t i = i0; i < n && i < i0 + 256; i++)
            sum = fmaf(a[i * lda], b[i * ldb], sum);
        c = i0 == 0 && !add ? sum : c + sum;
    }
    return c;
}

static void backward_expect(struct backward *b)
{
    for (size_t t = 0; t < b->T; t++)
        for (size_t k = 0; k < b->K; k++) {
            float *dx = b->dx.p + t * b->dx.ld + k;
            *dx = chain_of(*dx, b->accumulate, b->dy.p + t * b->dy.ld, 1, b->w.p + k, b->K, b->N);
        }
    for (size_t n = 0; n < b->N; n++) {
        for (size_t k = 0; k < b->K; k++) {
            float *dw = b->dw.p + n * b->K + k;
            *dw = chain_of(*dw, 1, b->dy.p + n, b->dy.ld, b->x.p + k, b->x.ld, b->T);
        }
        for (size_t t = 0; t < b->T; t++)
            b->db.p[n] += b->dy.p[t * b->dy.ld + n];
    }
}

/* The order of summation to the bit, on every instruction set. */
static void test_backward_order(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    for (size_t i = 0, n = isas(o); i < n; i++) {
        for (uint64_t c = 0; c < CASES; c++) {
            struct backward got = backward_draw(3000 + c), expected = backward_draw(3000 + c);
            backward_run(o[i], &got);
            backward_expect(&expected);
            mat_assert_same_bits(&got.dx, &expected.dx, o[i]->name);
            mat_assert_same_bits(&got.dw, &expected.dw, o[i]->name);
            mat_assert_same_bits(&got.db, &expected.db, o[i]->name);
            backward_done(&got);
            backward_done(&expected);
        }
    }
}

static void backward_near(const struct ops *o, struct backward *b)
{
    double *edx = mat_double(&b->dx), *edw = mat_double(&b->dw), *edb = mat_double(&b->db);
    for (size_t t = 0; t < b->T; t++) {
        for (size_t k = 0; k < b->K; k++) {
            double sum = b->accumulate ? edx[t * b->K + k] : 0;
            for (size_t n = 0; n < b->N; n++) {
                double dy = (double)b->dy.p[t * b->dy.ld + n];
                sum += dy * (double)b->w.p[n * b->K + k];
                edw[n * b->K + k] += dy * (double)b->x.p[t * b->x.ld + k];
            }
            edx[t * b->K + k] = sum;
        }
        for (size_t n = 0; n < b->N; n++)
            edb[n] += (double)b->dy.p[t * b->dy.ld + n];
    }
    backward_run(o, b);
    mat_assert_near(&b->dx, edx, 1e-4, "dx");
    mat_assert_near(&b->dw, edw, 1e-4, "dw");
    mat_assert_near(&b->db, edb, 1e-4, "db");
    free(edx);
    free(edw);
    free(edb);
}

static void test_backward_near_naive(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    for (size_t i = 0, n = isas(o); i < n; i++) {
        for (uint64_t c = 0; c < 30; c++) {
            struct backward b = backward_draw(3500 + c);
            backward_near(o[i], &b);
            backward_done(&b);
        }
    }
}

static void test_select(void **state)
{
    (void)state;
    const struct ops *o = NULL, *portable = NULL;
    struct err e = {0};
    assert_int_equal(ops_select("auto", &o, &e), 0);
    assert_int_equal(ops_select("portable", &portable, &e), 0);
    assert_string_equal(portable->name, "portable");
    o = NULL;
    static const char *const bad[] = {"", "AVX2", "avx", "avx5122", "sse"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(ops_select(bad[i], &o, &e), ERR_CONFIG);
        assert_null(o);
        assert_non_null(strstr(e.msg, "expected auto"));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_near_naive),
        cmocka_unit_test(test_bf16_rounding),
        cmocka_unit_test(test_bf16_is_f32_of_rounded),
        cmocka_unit_test(test_rows_independent),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_backward_order),
        cmocka_unit_test(test_backward_near_naive),
        cmocka_unit_test(test_select),
    };
    check_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
