/* forward_test.c: the forward operations against their naive twins, and that a row's bits do not
 * depend on the other rows of the call, on what a page holds after the row's position, or on where
 * rows lie.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tensor/paged.h"

enum { CASES = 40, SIZES = 14 };
static const size_t sizes[SIZES] = {1, 2, 3, 15, 16, 17, 24, 31, 33, 64, 100, 128, 200, 257};

static const struct ops *isa[ISAS_MAX];
static size_t isa_count;

static void test_rmsnorm(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(i);
        size_t T = check_size(1, 9), C = sizes[check_size(0, SIZES - 1)];
        struct mat x = mat_new(T, C), g = mat_dense(1, C), y = mat_new(T, C),
                   rstd = mat_dense(1, T);
        double *dx = mat_double(&x), *dg = mat_double(&g), *dy = mat_double(&y),
               *dr = mat_double(&rstd);
        naive_rmsnorm(dy, dr, dx, dg, T, C, 1e-5);
        o->rmsnorm(y.p, y.ld, rstd.p, x.p, x.ld, g.p, T, C, 1e-5f);
        mat_assert_near(&y, dy, 1e-5, "rmsnorm");
        mat_assert_near(&rstd, dr, 1e-5, "rstd");
        struct mat alone = mat_dense(1, C);
        for (size_t t = 0; t < T; t++) {
            o->rmsnorm(alone.p, C, NULL, x.p + t * x.ld, C, g.p, 1, C, 1e-5f);
            assert_memory_equal(alone.p, y.p + t * y.ld, C * sizeof(float));
        }
        o->rmsnorm(x.p, x.ld, NULL, x.p, x.ld, g.p, T, C, 1e-5f);
        mat_assert_same_bits(&x, &y, "rmsnorm in place");
        struct mat *all[] = {&x, &g, &y, &rstd, &alone};
        for (size_t k = 0; k < 5; k++)
            mat_done(all[k]);
        free(dx);
        free(dg);
        free(dy);
        free(dr);
    }
}

static void test_rope(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(100 + i);
        struct attention_shape s = shape_draw();
        size_t T = check_size(1, 7), pos0 = check_size(0, 300), half = s.D / 2;
        int inverse = (int)check_size(0, 1);
        struct mat x = mat_new(T, (size_t)s.H * s.D), kept = mat_copy(&x);
        struct mat c = mat_dense(pos0 + T, half), n = mat_dense(pos0 + T, half);
        ops_rope_table(c.p, n.p, pos0 + T, s.D, 10000);
        double *expected = mat_double(&x);
        naive_rope(expected, pos0, T, s.H, s.D, 10000, inverse);
        o->rope(x.p, x.ld, c.p, n.p, pos0, T, s.H, s.D, inverse);
        mat_assert_near(&x, expected, 1e-6, "rope");
        o->rope(kept.p + (T - 1) * kept.ld, 1, c.p, n.p, pos0 + T - 1, 1, s.H, s.D, inverse);
        assert_memory_equal(
            kept.p + (T - 1) * kept.ld, x.p + (T - 1) * x.ld, x.cols * sizeof(float));
        struct mat *all[] = {&x, &kept, &c, &n};
        for (size_t k = 0; k < 4; k++)
            mat_done(all[k]);
        free(expected);
    }
}

static void test_swiglu_and_add(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(200 + i);
        size_t T = check_size(1, 9), C = sizes[check_size(0, SIZES - 1)];
        struct mat g = mat_new(T, C), u = mat_new(T, C), y = mat_new(T, C);
        for (size_t c = 0; c < C; c++)
            g.p[c] *= 40; /* far into both tails */
        double *dg = mat_double(&g), *du = mat_double(&u), *dy = mat_double(&y);
        naive_swiglu(dy, dg, du, T * C);
        o->swiglu(y.p, y.ld, g.p, g.ld, u.p, u.ld, T, C);
        mat_assert_near(&y, dy, 1e-6, "swiglu");
        struct mat sum = mat_copy(&g), alone = mat_dense(1, C);
        for (size_t t = 0; t < T; t++) {
            o->swiglu(alone.p, C, g.p + t * g.ld, C, u.p + t * u.ld, C, 1, C);
            assert_memory_equal(alone.p, y.p + t * y.ld, C * sizeof(float));
        }
        o->add(sum.p, sum.ld, u.p, u.ld, T, C);
        for (size_t k = 0; k < T * C; k++)
            dg[k] += du[k];
        mat_assert_near(&sum, dg, 1e-6, "add");
        o->swiglu(u.p, u.ld, g.p, g.ld, u.p, u.ld, T, C);
        mat_assert_same_bits(&u, &y, "swiglu over up");
        struct mat *all[] = {&g, &u, &y, &sum, &alone};
        for (size_t k = 0; k < 5; k++)
            mat_done(all[k]);
        free(dg);
        free(du);
        free(dy);
    }
}

static void test_kv_round_trip(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(300 + i);
        struct paged p = paged_new(o, shape_draw(), check_size(1, 200));
        size_t pos0 = check_size(0, p.positions - 1), T = p.positions - pos0;
        struct mat k = mat_new(T, p.k.cols), v = mat_new(T, p.k.cols);
        o->kv_get(k.p, k.ld, v.p, v.ld, p.page, pos0, T, p.s.J, p.s.D);
        for (size_t t = 0; t < T; t++) {
            assert_memory_equal(
                k.p + t * k.ld, p.k.p + (pos0 + t) * p.k.ld, k.cols * sizeof(float));
            assert_memory_equal(
                v.p + t * v.ld, p.v.p + (pos0 + t) * p.v.ld, v.cols * sizeof(float));
        }
        const float *page = p.page[pos0 / KV_PAGE];
        size_t at = pos0 % KV_PAGE, D = p.s.D;
        for (size_t c = 0; c < k.cols; c++) { /* keys: groups of 16 positions, position fastest */
            size_t key = c / D * D * KV_PAGE + at / 16 * 16 * D + c % D * 16 + at % 16;
            assert_memory_equal(&page[key], &k.p[c], sizeof(float));
        }
        mat_done(&k);
        mat_done(&v);
        paged_done(&p);
    }
}

struct attention_case {
    struct paged kv;
    size_t pos0, T;
    struct mat q, out, lse;
};

static struct attention_case attention_draw(const struct ops *o, uint64_t i)
{
    struct attention_case a;
    check_reseed(400 + i);
    size_t positions = check_size(0, 1) ? check_size(1, 40) : check_size(1, 200);
    a.kv = paged_new(o, shape_draw(), positions);
    a.T = check_size(1, positions < 30 ? positions : 30);
    a.pos0 = positions - a.T;
    a.q = mat_new(a.T, (size_t)a.kv.s.H * a.kv.s.D);
    a.out = mat_new(a.T, a.q.cols);
    a.lse = mat_dense(a.T, a.kv.s.H);
    if (check_size(0, 3) == 0) /* sharp scores, whose maximum moves from page to page */
        for (size_t c = 0; c < a.q.cols; c++)
            a.q.p[c] *= 30;
    return a;
}

static void attention_done(struct attention_case *a)
{
    paged_done(&a->kv);
    mat_done(&a->q);
    mat_done(&a->out);
    mat_done(&a->lse);
}

static void test_attention_near_naive(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        struct attention_case a = attention_draw(o, i);
        double *q = mat_double(&a.q), *k = mat_double(&a.kv.k), *v = mat_double(&a.kv.v);
        double *out = mat_double(&a.out), *lse = mat_double(&a.lse);
        naive_attention(out, lse, q, k, v, a.pos0, a.T, shape_naive(a.kv.s));
        paged_attention(o, a.out.p, a.out.ld, a.lse.p, a.q.p, a.q.ld, &a.kv, a.pos0, a.T);
        mat_assert_near(&a.out, out, 3e-5, "attention");
        mat_assert_near(&a.lse, lse, 1e-5, "lse");
        free(q);
        free(k);
        free(v);
        free(out);
        free(lse);
        attention_done(&a);
    }
}

/* A row alone, with NaN in every later position of its pages, has the bits that it has in company.
 */
static void test_attention_rows_independent(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        struct attention_case a = attention_draw(o, i);
        paged_attention(o, a.out.p, a.out.ld, a.lse.p, a.q.p, a.q.ld, &a.kv, a.pos0, a.T);
        size_t t = check_size(0, a.T - 1), pos = a.pos0 + t, later = a.kv.positions - pos - 1;
        struct mat junk = mat_new(later, a.kv.k.cols), alone = mat_dense(1, a.q.cols);
        mat_fill(&junk, NAN);
        o->kv_put(a.kv.page, junk.p, junk.ld, junk.p, junk.ld, pos + 1, later, a.kv.s.J, a.kv.s.D);
        paged_attention(o, alone.p, 1, NULL, a.q.p + t * a.q.ld, 1, &a.kv, pos, 1);
        assert_memory_equal(alone.p, a.out.p + t * a.out.ld, alone.cols * sizeof(float));
        mat_done(&junk);
        mat_done(&alone);
        attention_done(&a);
    }
}

enum { SPANS = 7 };

/* Sequences of a group: the first `shared` pages of all are those of the first one. */
struct company {
    struct attention_shape s;
    struct paged kv[SPANS];
    float **pages[SPANS]; /* owned lists of borrowed pages */
    struct span spans[SPANS];
    size_t rows;
};

static void company_draw(struct company *c, const struct ops *o)
{
    size_t shared = check_size(0, 2);
    *c = (struct company){.s = shape_draw()};
    for (size_t i = 0; i < SPANS; i++) {
        size_t positions = KV_PAGE * shared + check_size(1, 100),
               after = positions - KV_PAGE * shared;
        size_t T = check_size(0, 2) ? 1 : check_size(1, after);
        c->kv[i] = paged_new(o, c->s, positions);
        c->pages[i] = malloc((c->kv[i].pages + 1) * sizeof(float *));
        assert_non_null(c->pages[i]);
        for (size_t b = 0; b < c->kv[i].pages; b++)
            c->pages[i][b] = c->kv[b < shared ? 0 : i].page[b];
        c->spans[i] = (struct span){c->rows, T, positions - T, c->pages[i]};
        c->rows += T;
    }
}

static void company_done(struct company *c)
{
    for (size_t i = 0; i < SPANS; i++) {
        free(c->pages[i]);
        paged_done(&c->kv[i]);
    }
}

/* A row beside sequences that share its pages and beside others, with its heads divided between two
 * calls, has the bits that it has alone. */
static void test_attention_company(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        struct company c;
        check_reseed(i);
        company_draw(&c, o);
        size_t half = check_size(0, c.s.J);
        struct mat q = mat_new(c.rows, (size_t)c.s.H * c.s.D), out = mat_new(c.rows, q.cols);
        struct mat lse = mat_dense(c.rows, c.s.H), one = mat_dense(1, c.s.H);
        struct mat alone = mat_dense(1, q.cols);
        o->attention(out.p, out.ld, lse.p, q.p, q.ld, c.spans, SPANS, 0, c.s, half, c.s.J);
        o->attention(out.p, out.ld, lse.p, q.p, q.ld, c.spans, SPANS, 0, c.s, 0, half);
        for (size_t k = 0; k < SPANS; k++) {
            size_t t = check_size(0, c.spans[k].rows - 1), row = c.spans[k].row0 + t;
            struct span span = {0, 1, c.spans[k].pos0 + t, c.spans[k].pages};
            o->attention(alone.p, 1, one.p, q.p + row * q.ld, 1, &span, 1, 0, c.s, 0, c.s.J);
            assert_memory_equal(alone.p, out.p + row * out.ld, q.cols * sizeof(float));
            assert_memory_equal(one.p, lse.p + row * lse.ld, c.s.H * sizeof(float));
        }
        struct mat *all[] = {&q, &out, &lse, &one, &alone};
        for (size_t k = 0; k < 5; k++)
            mat_done(all[k]);
        company_done(&c);
    }
}

static void test_logprob(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(500 + i);
        size_t V = check_size(0, 1) ? check_size(1, 40) : check_size(1, 1200);
        uint32_t id = (uint32_t)check_size(0, V - 1);
        float inv_T = check_size(0, 1) ? 1.0f : 1.4f, spread = check_size(0, 2) ? 1.0f : 60.0f;
        struct mat z = mat_dense(1, V);
        for (size_t v = 0; v < V; v++)
            z.p[v] *= spread;
        double *d = mat_double(&z), el, etotal, eh;
        float l, total, h, again, total_again;
        naive_logprob(&el, &etotal, &eh, d, V, id, (double)inv_T);
        o->logprob(&l, &total, &h, z.p, V, id, inv_T);
        assert_near((double)l, el, 1e-5, "logp");
        assert_near((double)total, etotal, 1e-6, "lse");
        assert_near((double)h, eh, 1e-5, "entropy");
        assert_true(l <= 0);
        o->logprob(&again, &total_again, NULL, z.p, V, id, inv_T);
        assert_memory_equal(&again, &l, sizeof(float));
        assert_memory_equal(&total_again, &total, sizeof(float));
        mat_done(&z);
        free(d);
    }
}

/* Logits of -inf have probability 0 and leave the others' bits alone, also a whole block of them.
 */
static void test_logprob_masked(void **state)
{
    (void)state;
    for (size_t i = 0; i < isa_count; i++) {
        const struct ops *o = isa[i];
        check_reseed(600);
        struct mat z = mat_dense(1, 800);
        float l, total, h, dz[800];
        for (size_t v = 0; v < 800; v++)
            if (v < 300 || v % 3 == 0)
                z.p[v] = -INFINITY;
        o->logprob(&l, &total, &h, z.p, 800, 301, 1.0f);
        assert_true(isfinite(l) && isfinite(total) && h > 0 && h < 7);
        o->logprob_bwd(dz, z.p, 800, 301, 1.0f, total, h, 0.7f, 0.3f);
        for (size_t v = 0; v < 800; v++)
            assert_true(isfinite(dz[v]) && (!isinf(z.p[v]) || dz[v] == 0));
        for (int k = 0; k < 200; k++) {
            uint32_t id = o->sample(z.p, 800, 1.0f, total, (double)(check_u64() >> 11) * 0x1p-53);
            assert_true(isfinite(z.p[id]));
        }
        assert_true(isfinite(z.p[o->sample(z.p, 800, 1.0f, total, 1.0)])); /* no total exceeds it */
        z.p[500] = NAN;
        o->logprob(&l, &total, &h, z.p, 800, 301, 1.0f);
        assert_true(isnan(l) && isnan(total) && isnan(h));
        mat_done(&z);
    }
}

/* The token at u is the first whose cumulative probability exceeds it, up to rounding of the sums.
 */
static void test_sample(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES * isa_count; i++) {
        const struct ops *o = isa[i % isa_count];
        check_reseed(700 + i);
        size_t V = check_size(0, 1) ? check_size(1, 40) : check_size(1, 1200);
        struct mat z = mat_dense(1, V);
        float l, total;
        o->logprob(&l, &total, NULL, z.p, V, 0, 1.25f);
        double u = (double)(check_u64() >> 11) * 0x1p-53, cumulative = 0, before = 0;
        uint32_t id = o->sample(z.p, V, 1.25f, total, u);
        assert_true(id < V);
        for (uint32_t v = 0; v <= id; v++) {
            before = cumulative;
            cumulative += exp((double)z.p[v] * 1.25 - (double)total);
        }
        assert_true(before <= u + 1e-5 && cumulative > u - 1e-5);
        assert_int_equal(o->sample(z.p, V, 1.25f, total, 0.0), 0);
        uint32_t best = 0;
        for (uint32_t v = 0; v < V; v++)
            best = z.p[v] > z.p[best] ? v : best;
        assert_int_equal(o->sample(z.p, V, 0.0f, total, u), best);
        z.p[V - 1] = z.p[best]; /* a tie: the lowest id */
        assert_int_equal(o->sample(z.p, V, 0.0f, total, u), best);
        mat_done(&z);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_swiglu_and_add),
        cmocka_unit_test(test_kv_round_trip),
        cmocka_unit_test(test_attention_near_naive),
        cmocka_unit_test(test_attention_rows_independent),
        cmocka_unit_test(test_attention_company),
        cmocka_unit_test(test_logprob),
        cmocka_unit_test(test_logprob_masked),
        cmocka_unit_test(test_sample),
    };
    check_start(argc, argv);
    isa_count = isas(isa);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
