/* swiglu.c: silu(gate) up (Shazeer 2020, eq. 6), its gradient, and elementwise exp and log. */
#include "common/tensor/kernels.h"

/* 1 + exp(-x), whose inverse is the logistic function; inf where exp overflows. */
VINLINE v16 one_plus_exp_neg(v16 x)
{
    return v16_add(v16_set1(1.0f), v16_exp(v16_sub(v16_zero(), x)));
}

void OPS_FN(swiglu)(float *y, size_t ldy, const float *gate, size_t ldg, const float *up,
    size_t ldu, size_t T, size_t C)
{
    for (size_t t = 0; t < T; t++, y += ldy, gate += ldg, up += ldu) {
        for (size_t c = 0; c < C; c += 16) {
            v16 g = v16_load_first(gate + c, C - c);
            v16 silu = v16_div(g, one_plus_exp_neg(g));
            v16_store_first(y + c, C - c, v16_mul(silu, v16_load_first(up + c, C - c)));
        }
    }
}

/* With s = 1/(1 + exp(-gate)): dup = dy gate s, dgate = dy up s (1 + gate (1 - s)). All results of
 * a vector are stored after its inputs are read, so that they may replace them. */
void OPS_FN(swiglu_bwd)(float *dgate, float *dup, float *dy, size_t lddy, const float *gate,
    const float *up, size_t ldgu, size_t T, size_t C)
{
    const v16 one = v16_set1(1.0f);
    for (size_t t = 0; t < T; t++) {
        size_t at = t * ldgu;
        for (size_t c = 0; c < C; c += 16) {
            size_t n = C - c;
            v16 g = v16_load_first(gate + at + c, n);
            v16 u = v16_load_first(up + at + c, n);
            v16 d = v16_load_first(dy + t * lddy + c, n);
            v16 s = v16_div(one, one_plus_exp_neg(g));
            v16 slope = v16_mul(s, v16_fma(g, v16_sub(one, s), one)), silu = v16_mul(g, s);
            v16_store_first(dgate + at + c, n, v16_mul(v16_mul(d, u), slope));
            v16_store_first(dup + at + c, n, v16_mul(d, silu));
            v16_store_first(dy + t * lddy + c, n, v16_mul(silu, u));
        }
    }
}

void OPS_FN(vexp)(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        v16_store_first(y + i, n - i, v16_exp(v16_load_first(x + i, n - i)));
}

void OPS_FN(vlog)(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        v16_store_first(y + i, n - i, v16_log(v16_load_first(x + i, n - i)));
}
