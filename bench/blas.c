/* blas.c: see blas.h. The only file that calls cblas. */
#include "bench/blas.h"

#include <cblas.h>

void blas_one_thread(void)
{
    openblas_set_num_threads(1);
}

const char *blas_core(void)
{
    return openblas_get_corename();
}

void blas_product(float *c, const float *a, int transpose_a, const float *b, size_t rows,
    size_t columns, size_t inner, int accumulate)
{
    blasint lda = (blasint)(transpose_a ? rows : inner);
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, CblasNoTrans, (blasint)rows,
        (blasint)columns, (blasint)inner, 1.0f, a, lda, b, (blasint)columns,
        accumulate ? 1.0f : 0.0f, c, (blasint)columns);
}
