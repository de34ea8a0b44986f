/* product.c: products with random operands, beside their twins. */
#include "tests/tensor/product.h"

#include <math.h>

void product_fill(struct product *p, size_t packed_bytes)
{
    assert_int_equal(packed_bytes % sizeof(float), 0);
    p->has_bias = check_size(0, 1) == 1;
    p->x = mat_new(p->T, p->K);
    p->w = mat_dense(p->N, p->K);
    p->bias = mat_dense(1, p->N);
    p->packed = mat_dense(1, packed_bytes / sizeof(float));
}

void product_done(struct product *p)
{
    mat_done(&p->x);
    mat_done(&p->w);
    mat_done(&p->bias);
    mat_done(&p->packed);
}

float product_with_bias(const struct product *p, size_t n, float y)
{
    return p->has_bias ? y + p->bias.p[n] : y;
}

void product_run(
    const struct product_form *f, const struct ops *o, const struct product *p, struct mat *y)
{
    f->run(o, p, y->p, y->ld, p->x.p, p->x.ld, p->T);
}

void product_assert_twin(const struct product_form *f, uint64_t cases)
{
    const struct ops *o[ISAS_MAX];
    for (size_t i = 0, n = isas(o); i < n; i++) {
        for (uint64_t c = 0; c < cases; c++) {
            struct product p = f->draw(c);
            struct mat y = mat_new(p.T, p.N), expected = mat_copy(&y);
            mat_fill(&y, NAN); /* nothing of the old content may enter */
            product_run(f, o[i], &p, &y);
            for (size_t t = 0; t < p.T; t++)
                for (size_t k = 0; k < p.N; k++)
                    expected.p[t * expected.ld + k] = f->twin(&p, t, k);
            mat_assert_same_bits(&y, &expected, o[i]->name);
            mat_done(&y);
            mat_done(&expected);
            product_done(&p);
        }
    }
}

void product_assert_rows_independent(const struct product_form *f)
{
    enum { CASES = 30, OTHERS = 2000 }; /* not those of the twin */
    const struct ops *o[ISAS_MAX];
    for (size_t i = 0, n = isas(o); i < n; i++) {
        for (uint64_t c = 0; c < CASES; c++) {
            struct product p = f->draw(OTHERS + c);
            struct mat y = mat_new(p.T, p.N), alone = mat_new(1, p.N);
            product_run(f, o[i], &p, &y);
            for (size_t t = 0; t < p.T; t++) {
                f->run(o[i], &p, alone.p, alone.ld, p.x.p + t * p.x.ld, p.K, 1);
                assert_memory_equal(alone.p, y.p + t * y.ld, p.N * sizeof(float));
            }
            mat_done(&y);
            mat_done(&alone);
            product_done(&p);
        }
    }
}
