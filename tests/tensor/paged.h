/* paged.h: a sequence's keys and values in pages, for the attention tests. */
#ifndef COHORT_TESTS_TENSOR_PAGED_H
#define COHORT_TESTS_TENSOR_PAGED_H

#include "tests/tensor/check.h"
#include "tests/tensor/naive.h"

struct paged {
    struct attention_shape s;
    size_t positions, pages;
    struct mat k, v; /* positions x J*D */
    float **page;    /* owned, zeroed where unused */
};

struct attention_shape shape_draw(void); /* odd even sizes, grouped heads */
struct naive_shape shape_naive(struct attention_shape s);
struct paged paged_new(const struct ops *o, struct attention_shape s, size_t positions);
void paged_done(struct paged *p);
/* Attention of T rows from pos0 on over these pages. */
void paged_attention(const struct ops *o, float *out, size_t ldo, float *lse, const float *q,
    size_t ldq, const struct paged *p, size_t pos0, size_t T);
float **pages_zero(size_t pages, struct attention_shape s);
void pages_free(float **page, size_t pages);
/* The pages as a matrix, so that they can be compared. */
struct mat pages_mat(float *const *page, size_t pages, struct attention_shape s);

#endif
