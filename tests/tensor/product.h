/* product.h: what the tests of the forward products share, whatever the form of the weights: random
 * operands, the comparison with a twin to the bit, and rows that must not depend on others.
 */
#ifndef COHORT_TESTS_TENSOR_PRODUCT_H
#define COHORT_TESTS_TENSOR_PRODUCT_H

#include <stdbool.h>

#include "tests/tensor/check.h"

struct product {
    size_t T, N, K;
    struct mat x, w, bias;
    struct mat packed; /* w in the form that is tested, of any type */
    bool has_bias;
};

/* A form of weights. */
struct product_form {
    struct product (*draw)(uint64_t i); /* the i-th of this seed; product_done() */
    /* The first T rows of x. */
    void (*run)(const struct ops *o, const struct product *p, float *y, size_t ldy, const float *x,
        size_t ldx, size_t T);
    float (*twin)(const struct product *p, size_t t, size_t n); /* one output, by the rule */
};

/* Random operands for the sizes in p, and room for so many packed bytes, a multiple of 4. */
void product_fill(struct product *p, size_t packed_bytes);
void product_done(struct product *p);

/* The bias of output n, and y with it. */
float product_with_bias(const struct product *p, size_t n, float y);

void product_run(
    const struct product_form *f, const struct ops *o, const struct product *p, struct mat *y);

/* `cases` products on every instruction set have the bits of the twin. */
void product_assert_twin(const struct product_form *f, uint64_t cases);

/* A row alone, with K as its distance, has the bits that it has in company. */
void product_assert_rows_independent(const struct product_form *f);

#endif
