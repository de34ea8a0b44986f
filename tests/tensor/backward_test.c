/* backward_test.c: the gradients against finite differences of the naive twins in double, and the
 * optimiser against its twin.
 *
 * Each loss is sum(weight * forward(x)) over random weights, which are the gradient that the
 * backward operation is given.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tensor/paged.h"

enum { CASES = 12, SIZES = 7 };
static const size_t sizes[SIZES] = {1, 3, 15, 16, 17, 40, 64};

static const struct ops *isa[ISAS_MAX];
static size_t isa_count;

static double weighted(const double *weight, const double *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += weight[i] * y[i];
    return sum;
}

/* m == base + grad, where base is what m held before. */
static void assert_added(
    const struct mat *m, const double *base, const double *grad, const char *what)
{
    size_t n = m->rows * m->cols;
    double *sum = malloc((n + 1) * sizeof(double));
    assert_non_null(sum);
    for (size_t i = 0; i < n; i++)
        sum[i] = base[i] + grad[i];
    mat_assert_near(m, sum, 1e-4, what);
    free(sum);
}

struct norm_loss {
    double *x, *g, *y, *weight;
    size_t T, C;
};

static double norm_loss(void *ctx)
{
    struct norm_loss *l = ctx;
    naive_rmsnorm(l->y, NULL, l->x, l->g, l->T, l->C, 1e-5);
    return weighted(l->weight, l->y, l->T * l->C);
}

static void norm_check(const struct ops *o)
{
    size_t T = check_size(1, 4), C = sizes[check_size(0, SIZES - 1)];
    struct mat x = mat_new(T, C), g = mat_dense(1, C), dy = mat_new(T, C), y = mat_new(T, C);
    struct mat rstd = mat_dense(1, T), dx = mat_new(T, C), dg = mat_dense(1, C);
    struct norm_loss l = {mat_double(&x), mat_double(&g), mat_double(&y), mat_double(&dy), T, C};
    double *dx0 = mat_double(&dx), *dg0 = mat_double(&dg);
    double *ex = gradient(norm_loss, &l, l.x, T * C), *eg = gradient(norm_loss, &l, l.g, C);
    o->rmsnorm(y.p, y.ld, rstd.p, x.p, x.ld, g.p, T, C, 1e-5f);
    o->rmsnorm_bwd(dx.p, dx.ld, dg.p, dy.p, dy.ld, x.p, x.ld, rstd.p, g.p, T, C);
    assert_added(&dx, dx0, ex, "rmsnorm dx");
    assert_added(&dg, dg0, eg, "rmsnorm dg");
    double *doubles[] = {l.x, l.g, l.y, l.weight, dx0, dg0, ex, eg};
    for (size_t i = 0; i < 8; i++)
        free(doubles[i]);
    struct mat *all[] = {&x, &g, &dy, &y, &rstd, &dx, &dg};
    for (size_t i = 0; i < 7; i++)
        mat_done(all[i]);
}

struct swiglu_loss {
    double *gate, *up, *y, *weight;
    size_t n;
};

static double swiglu_loss(void *ctx)
{
    struct swiglu_loss *l = ctx;
    naive_swiglu(l->y, l->gate, l->up, l->n);
    return weighted(l->weight, l->y, l->n);
}

static void swiglu_check(const struct ops *o)
{
    size_t T = check_size(1, 4), C = sizes[check_size(0, SIZES - 1)];
    struct mat gate = mat_new(T, C), dy = mat_new(T, C);
    gate.p[0] *= 20;
    struct mat up = mat_copy(&gate), dgate = mat_copy(&gate), dup = mat_copy(&gate);
    for (size_t i = 0; i < C; i++)
        up.p[i] += check_float();
    struct swiglu_loss l = {
        mat_double(&gate), mat_double(&up), mat_double(&dy), mat_double(&dy), T * C};
    double *eg = gradient(swiglu_loss, &l, l.gate, T * C),
           *eu = gradient(swiglu_loss, &l, l.up, T * C);
    struct mat y = mat_copy(&dy);
    o->swiglu_bwd(dgate.p, dup.p, y.p, y.ld, gate.p, up.p, gate.ld, T, C);
    naive_swiglu(l.y, l.gate, l.up, T * C);
    mat_assert_near(&y, l.y, 1e-4, "silu(gate) up");
    mat_assert_near(&dgate, eg, 1e-4, "swiglu dgate");
    mat_assert_near(&dup, eu, 1e-4, "swiglu dup");
    o->swiglu_bwd(gate.p, up.p, dy.p, dy.ld, gate.p, up.p, gate.ld, T, C);
    mat_assert_same_bits(&gate, &dgate, "swiglu dgate in place");
    mat_assert_same_bits(&up, &dup, "swiglu dup in place");
    double *doubles[] = {l.gate, l.up, l.y, l.weight, eg, eu};
    for (size_t i = 0; i < 6; i++)
        free(doubles[i]);
    struct mat *all[] = {&gate, &dy, &up, &dgate, &dup, &y};
    for (size_t i = 0; i < 6; i++)
        mat_done(all[i]);
}

static void test_norm_and_swiglu(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        check_reseed(i);
        norm_check(isa[i % isa_count]);
        swiglu_check(isa[i % isa_count]);
    }
}

/* Turning back undoes the turn, and is its transpose: <R x, y> = <x, R' y>. */
static void test_rope_inverse(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(100 + i);
        struct attention_shape s = shape_draw();
        size_t T = check_size(1, 5), n = (size_t)s.H * s.D;
        struct mat x = mat_dense(T, n), y = mat_dense(T, n), rx = mat_copy(&x), ry = mat_copy(&y);
        struct mat c = mat_dense(T, s.D / 2), sn = mat_dense(T, s.D / 2);
        ops_rope_table(c.p, sn.p, T, s.D, 10000);
        o->rope(rx.p, n, c.p, sn.p, 0, T, s.H, s.D, 0);
        o->rope(ry.p, n, c.p, sn.p, 0, T, s.H, s.D, 1);
        double *dx = mat_double(&x), *dy = mat_double(&y), *drx = mat_double(&rx),
               *dry = mat_double(&ry);
        assert_near(weighted(drx, dy, T * n), weighted(dx, dry, T * n), 1e-4, "transpose");
        o->rope(rx.p, n, c.p, sn.p, 0, T, s.H, s.D, 1);
        mat_assert_near(&rx, dx, 1e-6, "there and back");
        double *doubles[] = {dx, dy, drx, dry};
        for (size_t k = 0; k < 4; k++)
            free(doubles[k]);
        struct mat *all[] = {&x, &y, &rx, &ry, &c, &sn};
        for (size_t k = 0; k < 6; k++)
            mat_done(all[k]);
    }
}

struct attention_loss {
    double *q, *k, *v, *out, *weight;
    size_t pos0, T;
    struct naive_shape s;
};

static double attention_loss(void *ctx)
{
    struct attention_loss *l = ctx;
    naive_attention(l->out, NULL, l->q, l->k, l->v, l->pos0, l->T, l->s);
    return weighted(l->weight, l->out, l->T * l->s.H * l->s.D);
}

/* One case: gradients of q, and of keys and values at all positions, added to what the gradient
 * pages held before. */
static void attention_check(const struct ops *o, size_t positions, struct attention_shape s)
{
    struct paged kv = paged_new(o, s, positions), before = paged_new(o, s, positions);
    size_t T = check_size(1, positions), pos0 = positions - T;
    struct mat q = mat_new(T, (size_t)s.H * s.D), out = mat_new(T, q.cols), lse = mat_dense(T, s.H);
    struct mat dout = mat_new(T, q.cols), dq = mat_new(T, q.cols);
    struct mat dk = mat_new(positions, kv.k.cols), dv = mat_new(positions, kv.k.cols);
    struct mat scratch = mat_dense(1, (size_t)4 * KV_PAGE * (s.D + 16));
    mat_fill(&scratch, NAN);
    mat_fill(&dq, NAN);
    struct attention_loss l = {mat_double(&q), mat_double(&kv.k), mat_double(&kv.v),
        mat_double(&out), mat_double(&dout), pos0, T, shape_naive(s)};
    double *eq = gradient(attention_loss, &l, l.q, T * q.cols);
    double *ek = gradient(attention_loss, &l, l.k, positions * dk.cols);
    double *ev = gradient(attention_loss, &l, l.v, positions * dv.cols);
    double *dk0 = mat_double(&before.k), *dv0 = mat_double(&before.v);
    paged_attention(o, out.p, out.ld, lse.p, q.p, q.ld, &kv, pos0, T);
    o->attention_bwd(dq.p, dq.ld, before.page, dout.p, dout.ld, q.p, q.ld, out.p, out.ld, lse.p,
        kv.page, pos0, T, s, scratch.p);
    o->kv_get(dk.p, dk.ld, dv.p, dv.ld, before.page, 0, positions, s.J, s.D);
    mat_assert_near(&dq, eq, 1e-4, "attention dq");
    assert_added(&dk, dk0, ek, "attention dk");
    assert_added(&dv, dv0, ev, "attention dv");
    double *doubles[] = {l.q, l.k, l.v, l.out, l.weight, eq, ek, ev, dk0, dv0};
    for (size_t i = 0; i < 10; i++)
        free(doubles[i]);
    struct mat *all[] = {&q, &out, &lse, &dout, &dq, &dk, &dv, &scratch};
    for (size_t i = 0; i < 8; i++)
        mat_done(all[i]);
    paged_done(&kv);
    paged_done(&before);
}

static void test_attention(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        check_reseed(200 + i);
        struct attention_shape s = shape_draw();
        s.D = s.D > 24 ? 24 : s.D; /* finite differences walk over every element */
        attention_check(isa[i % isa_count], check_size(1, 12), s);
    }
    for (size_t i = 0; i < isa_count; i++) {
        check_reseed(300);
        attention_check(
            isa[i], 70, (struct attention_shape){.H = 2, .J = 1, .D = 2, .scale = 0.7f});
        attention_check(
            isa[i], 135, (struct attention_shape){.H = 1, .J = 1, .D = 2, .scale = 0.7f});
        attention_check(
            isa[i], 6, (struct attention_shape){.H = 1, .J = 1, .D = 80, .scale = 0.11f});
    }
}

struct logprob_loss {
    double *z;
    size_t V, id;
    double inv_T, dlogp, dentropy;
};

static double logprob_loss(void *ctx)
{
    struct logprob_loss *l = ctx;
    double logp, lse, entropy;
    naive_logprob(&logp, &lse, &entropy, l->z, l->V, l->id, l->inv_T);
    return l->dlogp * logp + l->dentropy * entropy;
}

static void test_logprob(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(400 + i);
        size_t V = check_size(0, 2) ? check_size(1, 40) : check_size(250, 530);
        uint32_t id = (uint32_t)check_size(0, V - 1);
        float inv_T = check_size(0, 1) ? 1.0f : 1.5f, dlogp = check_float();
        float dentropy = check_size(0, 1) ? 0.0f : check_float();
        struct mat z = mat_dense(1, V), dz = mat_dense(1, V);
        struct logprob_loss l = {
            mat_double(&z), V, id, (double)inv_T, (double)dlogp, (double)dentropy};
        double *expected = gradient(logprob_loss, &l, l.z, V);
        float logp, lse, entropy;
        o->logprob(&logp, &lse, &entropy, z.p, V, id, inv_T);
        o->logprob_bwd(dz.p, z.p, V, id, inv_T, lse, entropy, dlogp, dentropy);
        mat_assert_near(&dz, expected, 1e-5, "logprob dz");
        free(l.z);
        free(expected);
        mat_done(&z);
        mat_done(&dz);
    }
}

static void test_adamw(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(500 + i);
        size_t n = check_size(0, 70);
        struct mat w = mat_dense(1, n), m = mat_dense(1, n), v = mat_dense(1, n);
        mat_fill(&m, 0);
        mat_fill(&v, 0);
        double *dw = mat_double(&w), *dm = mat_double(&m), *dv = mat_double(&v);
        for (int t = 1; t <= 5; t++) {
            struct mat g = mat_dense(1, n);
            double *dg = mat_double(&g), b1 = 1 - pow(0.9, t), b2 = 1 - pow(0.999, t);
            o->adamw(w.p, m.p, v.p, g.p, n, 0.5f, 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, (float)b1,
                (float)b2);
            naive_adamw(dw, dm, dv, dg, n, 0.5, 1e-2, 0.9, 0.999, 1e-8, 0.1, b1, b2);
            mat_done(&g);
            free(dg);
        }
        mat_assert_near(&w, dw, 1e-5, "adamw w");
        mat_assert_near(&m, dm, 1e-5, "adamw m");
        mat_assert_near(&v, dv, 1e-5, "adamw v");
        free(dw);
        free(dm);
        free(dv);
        mat_done(&w);
        mat_done(&m);
        mat_done(&v);
    }
}

static void test_sum_squares(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        check_reseed(600 + i);
        size_t n = check_size(0, 5000);
        struct mat x = mat_dense(1, n);
        double expected = 0;
        for (size_t k = 0; k < n; k++) {
            x.p[k] *= k % 7 ? 1.0f : 1e18f; /* beyond the range of a float when squared and added */
            expected += (double)x.p[k] * (double)x.p[k];
        }
        double got = isa[i % isa_count]->sum_squares(x.p, n);
        assert_true(fabs(got - expected) <= 1e-13 * expected);
        mat_done(&x);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm_and_swiglu),
        cmocka_unit_test(test_rope_inverse),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_logprob),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_sum_squares),
    };
    check_start(argc, argv);
    isa_count = isas(isa);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
