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
float **pages_zero(size_t pages, struct attention_shape s);
void pages_free(float **page, size_t pages);
/* The pages as a matrix, so that they can be compared. */
struct mat pages_mat(float *const *page, size_t pages, struct attention_shape s);

#endif
