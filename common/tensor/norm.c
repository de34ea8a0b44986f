/* norm.c: root mean square normalisation and its gradient (Zhang and Sennrich 2019, eq. 4), and the
 * sum of two arrays.
 *
 * A row's sum of squares runs over 16 lanes, channel c in lane c mod 16, and one fixed tree.
 */
#include "common/tensor/kernels.h"

void OPS_FN(rmsnorm)(float *y, size_t ldy, float *rstd, const float *x, size_t ldx, const float *g,
    size_t T, size_t C, float eps)
{
    for (size_t t = 0; t < T; t++, x += ldx, y += ldy) {
        v16 sum = v16_zero();
        for (size_t c = 0; c < C; c += 16) {
            v16 a = v16_load_first(x + c, C - c);
            sum = v16_fma(a, a, sum);
        }
        float mean = v16_reduce_sum(sum) / (float)C;
        float r = 1.0f / sqrtf(mean + eps);
        if (rstd)
            rstd[t] = r;
        for (size_t c = 0; c < C; c += 16) {
            v16 a = v16_mul(v16_load_first(x + c, C - c), v16_set1(r));
            v16_store_first(y + c, C - c, v16_mul(a, v16_load_first(g + c, C - c)));
        }
    }
}

/* With n = x rstd, y = n g: dg += dy n, dx += rstd (dy g - n mean(dy g n)). */
void OPS_FN(rmsnorm_bwd)(float *dx, size_t lddx, float *dg, const float *dy, size_t lddy,
    const float *x, size_t ldx, const float *rstd, const float *g, size_t T, size_t C)
{
    for (size_t t = 0; t < T; t++, dx += lddx, dy += lddy, x += ldx) {
        v16 r = v16_set1(rstd[t]);
        v16 sum = v16_zero();
        for (size_t c = 0; c < C; c += 16) {
            v16 d = v16_load_first(dy + c, C - c);
            v16 n = v16_mul(v16_load_first(x + c, C - c), r);
            v16_store_first(dg + c, C - c, v16_fma(d, n, v16_load_first(dg + c, C - c)));
            sum = v16_fma(v16_mul(d, v16_load_first(g + c, C - c)), n, sum);
        }
        v16 mean = v16_set1(v16_reduce_sum(sum) / (float)C);
        for (size_t c = 0; c < C; c += 16) {
            v16 d = v16_mul(v16_load_first(dy + c, C - c), v16_load_first(g + c, C - c));
            v16 n = v16_mul(v16_load_first(x + c, C - c), r);
            v16 out = v16_fma(r, v16_fnma(n, mean, d), v16_load_first(dx + c, C - c));
            v16_store_first(dx + c, C - c, out);
        }
    }
}

void OPS_FN(add)(float *y, size_t ldy, const float *x, size_t ldx, size_t T, size_t C)
{
    for (size_t t = 0; t < T; t++, y += ldy, x += ldx) {
        for (size_t c = 0; c < C; c += 16) {
            v16 sum = v16_add(v16_load_first(y + c, C - c), v16_load_first(x + c, C - c));
            v16_store_first(y + c, C - c, sum);
        }
    }
}
