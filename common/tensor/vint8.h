/* vint8.h: integer dot products in 16 lanes, for gemm_int8.c. Beside vmath.h, compiled for each
 * instruction set; integer sums are exact, so every way of making them gives the same bits.
 *
 * Weights are stored as q + 128, which is the unsigned operand that VNNI wants. Elsewhere they are
 * made signed again and multiplied by pairs: |x| times w with the sign of x, where a pair is at
 * most 2 x 127 x 127 and 16 bits do not overflow.
 *
 *   i16x                     sixteen 32-bit integers
 *   x4                       four int8 of one row, as each of the three wants them
 *   i16x_begin(sum)          what the sums start from, where sum = sum of x over all k to come
 *   i16x_dot(acc, w, x)      lane n: acc + sum_j x[j] (w[4 n + j] - begin's offset)
 *   i16x_float(acc)          as v16, rounded to nearest
 *   int8_store(q, t)         the low bytes of t = VMATH_ROUND + n: n of sixteen numbers
 *   int8_sum(q)              of OPS_INT8_BLOCK of them
 */
#ifndef COHORT_TENSOR_VINT8_H
#define COHORT_TENSOR_VINT8_H

#include "common/tensor/ops.h"
#include "common/tensor/vmath.h"

enum { INT8_OFFSET = 128 };
_Static_assert(OPS_INT8_BLOCK == 128, "int8_sum reads two registers");

VINLINE int32_t int8_load4(const int8_t *x)
{
    int32_t bits;
    memcpy(&bits, x, sizeof(bits));
    return bits;
}

/* The plain forms, for where there is no better one. */
VINLINE void int8_store_each(int8_t *q, v16 t)
{
    float f[16];
    int32_t bits[16];
    v16_store(f, t);
    memcpy(bits, f, sizeof(bits));
    for (size_t i = 0; i < 16; i++)
        q[i] = (int8_t)bits[i];
}

VINLINE int32_t int8_sum_each(const int8_t *q)
{
    int32_t sum = 0;
    for (size_t i = 0; i < OPS_INT8_BLOCK; i++)
        sum += q[i];
    return sum;
}

#if defined(__AVX512VNNI__)

VINLINE void int8_store(int8_t *q, v16 t)
{
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(_mm512_castps_si512(t)));
}

VINLINE int32_t int8_sum(const int8_t *q)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, _mm512_loadu_si512(q));
    return _mm512_reduce_add_epi32(_mm512_dpbusd_epi32(sum, ones, _mm512_loadu_si512(q + 64)));
}

typedef __m512i i16x;
typedef __m512i w64;

VINLINE i16x i16x_begin(int32_t sum)
{
    return _mm512_set1_epi32(-INT8_OFFSET * sum);
}

VINLINE w64 w64_load(const uint8_t *w)
{
    return _mm512_loadu_si512(w);
}

/* As an instruction: gcc 12 copies every accumulator around the intrinsic, at half the speed. */
VINLINE i16x i16x_dot(i16x acc, w64 w, const int8_t *x)
{
    struct four {
        int8_t q[4];
    };
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(acc)
            : "v"(w), "m"(*(const struct four *)(const void *)x));
    return acc;
}

VINLINE i16x i16x_add(i16x acc, const int32_t *p)
{
    return _mm512_add_epi32(acc, _mm512_loadu_si512(p));
}

VINLINE v16 i16x_float(i16x acc)
{
    return _mm512_cvtepi32_ps(acc);
}

#elif defined(__AVX2__) && defined(__FMA__)

#define int8_store int8_store_each
#define int8_sum(q) 0 /* i16x_begin does not look at it */

typedef struct {
    __m256i lo, hi;
} i16x;
typedef i16x w64;

VINLINE i16x i16x_begin(int32_t sum)
{
    (void)sum; /* the offset leaves the weights instead */
    return (i16x){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

VINLINE w64 w64_load(const uint8_t *w)
{
    const __m256i offset = _mm256_set1_epi8((char)INT8_OFFSET);
    const __m256i *p = (const __m256i *)(const void *)w;
    return (w64){_mm256_xor_si256(_mm256_loadu_si256(p), offset),
        _mm256_xor_si256(_mm256_loadu_si256(p + 1), offset)};
}

VINLINE __m256i int8_dot8(__m256i acc, __m256i w, __m256i x, __m256i magnitude)
{
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(w, x));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

VINLINE i16x i16x_dot(i16x acc, w64 w, const int8_t *x4)
{
    __m256i x = _mm256_set1_epi32(int8_load4(x4)), magnitude = _mm256_abs_epi8(x);
    return (i16x){int8_dot8(acc.lo, w.lo, x, magnitude), int8_dot8(acc.hi, w.hi, x, magnitude)};
}

VINLINE v16 i16x_float(i16x acc)
{
#if defined(__AVX512F__)
    return _mm512_cvtepi32_ps(_mm512_inserti64x4(_mm512_castsi256_si512(acc.lo), acc.hi, 1));
#else
    return (v16){_mm256_cvtepi32_ps(acc.lo), _mm256_cvtepi32_ps(acc.hi)};
#endif
}

#else

#define int8_store int8_store_each
#define int8_sum int8_sum_each

typedef struct {
    int32_t i[16];
} i16x;
typedef const uint8_t *w64;

VINLINE i16x i16x_begin(int32_t sum)
{
    i16x r;
    for (int n = 0; n < 16; n++)
        r.i[n] = -INT8_OFFSET * sum;
    return r;
}

VINLINE w64 w64_load(const uint8_t *w)
{
    return w;
}

VINLINE i16x i16x_dot(i16x acc, w64 w, const int8_t *x)
{
    for (int n = 0; n < 16; n++)
        for (int j = 0; j < 4; j++)
            acc.i[n] += (int32_t)w[4 * n + j] * x[j];
    return acc;
}

VINLINE v16 i16x_float(i16x acc)
{
    float f[16];
    for (int n = 0; n < 16; n++)
        f[n] = (float)acc.i[n];
    return v16_load(f);
}

#endif

#endif
