/* gemm_blas.c: the backward products, by OpenBLAS; no other file calls it.
 *
 * Own threads call these at the same time, so BLAS itself runs one thread per call: that scales
 * twice as well as its own threads do under several callers, and keeps a result independent of
 * timing.
 */
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tensor/ops.h"

static char blas_name[64]; /* "OpenBLAS 0.3.21 Haswell"; written once */

static void setup_once(void)
{
    char version[32] = "?";
    openblas_set_num_threads(1);
    (void)sscanf(openblas_get_config(), "OpenBLAS %31s", version);
    (void)snprintf(
        blas_name, sizeof(blas_name), "OpenBLAS %s %s", version, openblas_get_corename());
}

/* Any thread may ask again while others compute: the setting is made once. */
const char *ops_blas_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, setup_once); /* cannot fail */
    return blas_name;
}

const char *ops_blas_coretype(void)
{
    const struct ops *avx512;
    const char *core = openblas_get_corename();
    if (getenv("OPENBLAS_CORETYPE") || (strcmp(core, "Haswell") != 0 && strcmp(core, "Zen") != 0))
        return NULL;
    return ops_select("avx512", &avx512, NULL) == 0 ? "SkylakeX" : NULL;
}

void ops_gemm_dx(float *dx, size_t lddx, const float *dy, size_t lddy, const float *w, size_t T,
    size_t N, size_t K, int accumulate)
{
    if (T == 0 || K == 0)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)T, (blasint)K, (blasint)N, 1.0f,
        dy, (blasint)lddy, w, (blasint)K, accumulate ? 1.0f : 0.0f, dx, (blasint)lddx);
}

void ops_gemm_dw(float *dw, float *db, const float *dy, size_t lddy, const float *x, size_t ldx,
    size_t T, size_t N, size_t K)
{
    if (T == 0)
        return;
    if (N > 0 && K > 0)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)N, (blasint)K, (blasint)T,
            1.0f, dy, (blasint)lddy, x, (blasint)ldx, 1.0f, dw, (blasint)K);
    for (size_t t = 0; db && t < T; t++)
        for (size_t n = 0; n < N; n++)
            db[n] += dy[t * lddy + n];
}
