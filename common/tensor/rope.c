/* rope.c: rotary position embedding in half-split order (Su et al. 2021, eq. 34). */
#include "common/tensor/kernels.h"

/* One head: x[i] and x[i + half] turn by the angle whose cosine and sine lie at c[i], s[i]. sign is
 * -1 to turn back. */
VINLINE void head_rotate(float *x, const float *c, const float *s, size_t half, v16 sign)
{
    for (size_t i = 0; i < half; i += 16) {
        size_t n = half - i;
        v16 a = v16_load_first(x + i, n);
        v16 b = v16_load_first(x + half + i, n);
        v16 cosine = v16_load_first(c + i, n);
        v16 sine = v16_mul(v16_load_first(s + i, n), sign);
        v16_store_first(x + i, n, v16_fnma(b, sine, v16_mul(a, cosine)));
        v16_store_first(x + half + i, n, v16_fma(a, sine, v16_mul(b, cosine)));
    }
}

void OPS_FN(rope)(float *x, size_t ldx, const float *cos, const float *sin, size_t pos0, size_t T,
    uint32_t heads, uint32_t D, int inverse)
{
    size_t half = D / 2;
    v16 sign = v16_set1(inverse ? -1.0f : 1.0f);
    for (size_t t = 0; t < T; t++, x += ldx) {
        const float *c = cos + (pos0 + t) * half, *s = sin + (pos0 + t) * half;
        for (size_t h = 0; h < heads; h++)
            head_rotate(x + h * D, c, s, half, sign);
    }
}
