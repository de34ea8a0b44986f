/* rope.c: rotary position embedding in half-split order (Su et al. 2021, eq. 34). */
#include "common/tensor/kernels.h"

/* Channels i.. of both halves of every head of one row; cosine and sine are those of the row's
 * position, n channels exist. */
VINLINE void row_rotate(float *x, size_t half, v16 cosine, v16 sine, uint32_t heads, size_t n)
{
    for (uint32_t h = 0; h < heads; h++, x += 2 * half) {
        v16 a = v16_load_first(x, n);
        v16 b = v16_load_first(x + half, n);
        v16_store_first(x, n, v16_fnma(b, sine, v16_mul(a, cosine)));
        v16_store_first(x + half, n, v16_fma(a, sine, v16_mul(b, cosine)));
    }
}

void OPS_FN(rope)(float *x, size_t ldx, const float *cos, const float *sin, size_t pos0, size_t T,
    uint32_t heads, uint32_t D, int inverse)
{
    size_t half = D / 2;
    v16 sign = v16_set1(inverse ? -1.0f : 1.0f);
    for (size_t t = 0; t < T; t++) {
        for (size_t i = 0; i < half; i += 16) {
            size_t at = (pos0 + t) * half + i, n = half - i;
            v16 sine = v16_mul(v16_load_first(sin + at, n), sign);
            row_rotate(x + t * ldx + i, half, v16_load_first(cos + at, n), sine, heads, n);
        }
    }
}
