/* blas.h: OpenBLAS's matrix product, which ours are measured beside. */
#ifndef COHORT_BENCH_BLAS_H
#define COHORT_BENCH_BLAS_H

#include <stddef.h>

/* Callers bring their own threads: that scales better than its own, and it is how we compute. */
void blas_one_thread(void);
const char *blas_core(void);

/* C (+)= A B, rows x columns from rows x inner and inner x columns, row-major without gaps;
 * transpose_a: A is stored inner x rows. */
void blas_product(float *c, const float *a, int transpose_a, const float *b, size_t rows,
    size_t columns, size_t inner, int accumulate);

#endif
