/* same_bits_test.c: every operation, forward and backward, gives the same bits on every instruction
 * set that this CPU has. Cases are drawn alike for each, with entries of very different sizes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tensor/paged.h"

enum { CASES = 60, RESULTS_MAX = 6, WIDTHS = 12 };
static const size_t widths[WIDTHS] = {1, 7, 15, 16, 17, 24, 32, 47, 64, 100, 129, 300};

struct results {
    struct mat m[RESULTS_MAX];
    size_t n;
};

static struct mat *result(struct results *r, struct mat m)
{
    r->m[r->n] = m;
    return &r->m[r->n++];
}

static float check_sign_free(float f)
{
    return f < 0 ? -f : f;
}

/* Like mat_new, with a share of large, tiny and zero entries. */
static struct mat mat_wild(size_t rows, size_t cols)
{
    struct mat m = mat_new(rows, cols);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            float *f = &m.p[r * m.ld + c];
            switch (check_size(0, 20)) {
            case 0:
                *f = 0;
                break;
            case 1:
                *f *= 1e-30f;
                break;
            case 2:
                *f *= 20;
                break;
            default:
                break;
            }
        }
    }
    return m;
}

static void run_gemm(const struct ops *o, struct results *r)
{
    size_t T = check_size(1, 17), N = widths[check_size(0, WIDTHS - 1)],
           K = widths[check_size(0, WIDTHS - 1)];
    struct mat x = mat_wild(T, K), w = mat_dense(N, K),
               packed = mat_dense(1, ops_packed_floats(N, K));
    struct mat *y = result(r, mat_new(T, N));
    ops_pack(packed.p, w.p, N, K);
    o->gemm(y->p, y->ld, x.p, x.ld, packed.p, check_size(0, 1) ? w.p : NULL, T, N, K);
    mat_done(&x);
    mat_done(&w);
    mat_done(&packed);
}

static void run_norm(const struct ops *o, struct results *r)
{
    size_t T = check_size(1, 9), C = widths[check_size(0, WIDTHS - 1)];
    struct mat x = mat_wild(T, C), g = mat_dense(1, C), dy = mat_wild(T, C);
    struct mat *y = result(r, mat_new(T, C)), *rstd = result(r, mat_dense(1, T));
    struct mat *dx = result(r, mat_new(T, C)), *dg = result(r, mat_dense(1, C));
    o->rmsnorm(y->p, y->ld, rstd->p, x.p, x.ld, g.p, T, C, 1e-6f);
    o->rmsnorm_bwd(dx->p, dx->ld, dg->p, dy.p, dy.ld, x.p, x.ld, rstd->p, g.p, T, C);
    o->add(dx->p, dx->ld, x.p, x.ld, T, C);
    mat_done(&x);
    mat_done(&g);
    mat_done(&dy);
}

static void run_rope(const struct ops *o, struct results *r)
{
    struct attention_shape s = shape_draw();
    size_t T = check_size(1, 9), pos0 = check_size(0, 100);
    struct mat c = mat_dense(pos0 + T, s.D / 2), sn = mat_dense(pos0 + T, s.D / 2);
    struct mat *x = result(r, mat_wild(T, (size_t)s.H * s.D));
    ops_rope_table(c.p, sn.p, pos0 + T, s.D, 10000);
    o->rope(x->p, x->ld, c.p, sn.p, pos0, T, s.H, s.D, (int)check_size(0, 1));
    mat_done(&c);
    mat_done(&sn);
}

static void run_swiglu(const struct ops *o, struct results *r)
{
    size_t T = check_size(1, 9), C = widths[check_size(0, WIDTHS - 1)];
    struct mat gate = mat_wild(T, C), up = mat_copy(&gate);
    struct mat *y = result(r, mat_new(T, C)), *dy = result(r, mat_wild(T, C));
    struct mat *dgate = result(r, mat_copy(&gate)), *dup = result(r, mat_copy(&gate));
    o->swiglu(y->p, y->ld, gate.p, gate.ld, up.p, up.ld, T, C);
    o->swiglu_bwd(dgate->p, dup->p, dy->p, dy->ld, gate.p, up.p, gate.ld, T, C);
    mat_done(&gate);
    mat_done(&up);
}

static void run_attention(const struct ops *o, struct results *r)
{
    struct attention_shape s = shape_draw();
    size_t positions = check_size(0, 2) ? check_size(1, 45) : check_size(60, 200);
    struct paged kv = paged_new(o, s, positions), grad = paged_new(o, s, positions);
    size_t T = check_size(1, positions < 50 ? positions : 50), pos0 = positions - T;
    struct mat q = mat_wild(T, (size_t)s.H * s.D), dout = mat_wild(T, q.cols);
    struct mat scratch = mat_dense(1, (size_t)4 * KV_PAGE * (s.D + 16));
    struct mat *out = result(r, mat_new(T, q.cols)), *lse = result(r, mat_dense(T, s.H));
    struct mat *dq = result(r, mat_new(T, q.cols));
    paged_attention(o, out->p, out->ld, lse->p, q.p, q.ld, &kv, pos0, T);
    o->attention_bwd(dq->p, dq->ld, grad.page, dout.p, dout.ld, q.p, q.ld, out->p, out->ld, lse->p,
        kv.page, pos0, T, s, scratch.p);
    (void)result(r, pages_mat(grad.page, grad.pages, s));
    (void)result(r, pages_mat(kv.page, kv.pages, s));
    mat_done(&q);
    mat_done(&dout);
    mat_done(&scratch);
    paged_done(&kv);
    paged_done(&grad);
}

static void run_logprob(const struct ops *o, struct results *r)
{
    size_t V = check_size(0, 1) ? check_size(1, 40) : check_size(1, 900);
    uint32_t id = (uint32_t)check_size(0, V - 1);
    float inv_T = 1.0f + check_sign_free(check_float());
    struct mat z = mat_wild(1, V);
    struct mat *s = result(r, mat_dense(1, 3)), *dz = result(r, mat_dense(1, V));
    struct mat *drawn = result(r, mat_dense(1, 50));
    float dlogp = check_float(), dentropy = check_float();
    o->logprob(s->p, s->p + 1, s->p + 2, z.p, V, id, inv_T);
    o->logprob_bwd(dz->p, z.p, V, id, inv_T, s->p[1], s->p[2], dlogp, dentropy);
    for (size_t i = 0; i < 50; i++)
        drawn->p[i] =
            (float)o->sample(z.p, V, inv_T, s->p[1], (double)(check_u64() >> 11) * 0x1p-53);
    mat_done(&z);
}

/* exp and log of arbitrary bit patterns; a NaN is a NaN whatever its payload. */
static void run_exp_log(const struct ops *o, struct results *r)
{
    size_t n = check_size(1, 400);
    struct mat x = mat_dense(1, n);
    struct mat *e = result(r, mat_dense(1, n)), *l = result(r, mat_dense(1, n));
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)check_u64();
        if (i % 2)
            memcpy(&x.p[i], &bits, sizeof(bits));
        else
            x.p[i] *= 40;
    }
    o->vexp(e->p, x.p, n);
    o->vlog(l->p, x.p, n);
    for (size_t i = 0; i < n; i++) {
        e->p[i] = isnan(e->p[i]) ? -1.0f : e->p[i];
        l->p[i] = isnan(l->p[i]) ? 1e30f : l->p[i];
    }
    mat_done(&x);
}

static void run_optim(const struct ops *o, struct results *r)
{
    size_t n = check_size(1, 200);
    struct mat g = mat_wild(1, n);
    struct mat *w = result(r, mat_dense(1, n)), *m = result(r, mat_dense(1, n)),
               *v = result(r, mat_dense(1, n));
    struct mat *sum = result(r, mat_dense(1, sizeof(double) / sizeof(float)));
    for (size_t i = 0; i < n; i++)
        v->p[i] = check_sign_free(v->p[i]);
    o->adamw(w->p, m->p, v->p, g.p, n, 0.37f, 3e-4f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.271f, 0.142625f);
    double squares = o->sum_squares(g.p, n);
    memcpy(sum->p, &squares, sizeof(squares));
    mat_done(&g);
}

static const struct {
    const char *name;
    void (*run)(const struct ops *o, struct results *r);
} operations[] = {
    {"gemm", run_gemm},
    {"rmsnorm and add", run_norm},
    {"rope", run_rope},
    {"swiglu", run_swiglu},
    {"attention and kv", run_attention},
    {"logprob and sample", run_logprob},
    {"exp and log", run_exp_log},
    {"adamw and sum_squares", run_optim},
};

static void test_same_bits(void **state)
{
    (void)state;
    const struct ops *o[ISAS_MAX];
    size_t n = isas(o);
    for (size_t op = 0; op < sizeof(operations) / sizeof(operations[0]); op++) {
        for (uint64_t c = 0; c < CASES; c++) {
            struct results r[ISAS_MAX] = {0};
            for (size_t i = 0; i < n; i++) {
                check_reseed(op * 1000 + c);
                operations[op].run(o[i], &r[i]);
            }
            for (size_t k = 0; k < r[0].n; k++) {
                for (size_t i = 1; i < n; i++) {
                    char name[120];
                    (void)snprintf(name, sizeof(name), "%s, result %zu, case %llu, %s against %s",
                        operations[op].name, k, (unsigned long long)c, o[i]->name, o[0]->name);
                    mat_assert_same_bits(&r[i].m[k], &r[0].m[k], name);
                }
                for (size_t i = 0; i < n; i++)
                    mat_done(&r[i].m[k]);
            }
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits)};
    check_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
