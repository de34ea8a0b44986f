/* vmath_avx512.h: the primitives of vmath.h, one 512-bit register each. Included by vmath.h only.
 */
#ifndef COHORT_TENSOR_VMATH_AVX512_H
#define COHORT_TENSOR_VMATH_AVX512_H

#include <immintrin.h>

typedef __m512 v16;
typedef __mmask16 m16;

#define VMATH_ROUND                                                                                \
    12582912.0f /* 1.5 2^23: adding it rounds to an integer, kept in the low bits                  \
                 */

VINLINE m16 m16_first(size_t n)
{
    return (m16)((1u << n) - 1);
}

VINLINE v16 v16_set1(float f)
{
    return _mm512_set1_ps(f);
}

VINLINE v16 v16_zero(void)
{
    return _mm512_setzero_ps();
}

VINLINE v16 v16_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VINLINE void v16_store(float *p, v16 v)
{
    _mm512_storeu_ps(p, v);
}

/* Stays in its register: a compiler that takes loads for free would load it again for each use. */
VINLINE v16 v16_held(v16 v)
{
    __asm__("" : "+v"(v));
    return v;
}

VINLINE v16 v16_load8(const float *p)
{
    return _mm512_zextps256_ps512(_mm256_loadu_ps(p));
}

VINLINE void v16_store8(float *p, v16 v)
{
    _mm256_storeu_ps(p, _mm512_castps512_ps256(v));
}

VINLINE v16 v16_load_bf16(const uint16_t *p)
{
    __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

VINLINE v16 v16_load_mask(const float *p, m16 m)
{
    return _mm512_maskz_loadu_ps(m, p);
}

VINLINE void v16_store_mask(float *p, m16 m, v16 v)
{
    _mm512_mask_storeu_ps(p, m, v);
}

VINLINE v16 v16_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}

VINLINE v16 v16_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}

VINLINE v16 v16_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}

VINLINE v16 v16_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}

VINLINE v16 v16_sqrt(v16 a)
{
    return _mm512_sqrt_ps(a);
}

VINLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}

VINLINE v16 v16_fnma(v16 a, v16 b, v16 c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

VINLINE v16 v16_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}

VINLINE v16 v16_min(v16 a, v16 b)
{
    return _mm512_min_ps(a, b);
}

VINLINE v16 v16_select(m16 m, v16 a, v16 b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

VINLINE m16 v16_lt(v16 a, v16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

VINLINE m16 v16_eq(v16 a, v16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

VINLINE v16 v16_onehot(ptrdiff_t i)
{
    m16 m = i >= 0 && i < 16 ? (m16)(1u << i) : 0;
    return _mm512_maskz_mov_ps(m, _mm512_set1_ps(1.0f));
}

VINLINE v16 v16_scale2(v16 a, v16 t)
{
    return _mm512_scalef_ps(a, _mm512_sub_ps(t, _mm512_set1_ps(VMATH_ROUND)));
}

VINLINE v16 v16_split(v16 x, v16 *ret_e)
{
    __m512i bits = _mm512_castps_si512(x);
    __m512i above = _mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3)); /* sqrt(1/2) */
    __m512i e = _mm512_srai_epi32(above, 23);
    *ret_e = _mm512_cvtepi32_ps(e);
    return _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(e, 23)));
}

VINLINE float vmath_sum4(__m128 v)
{
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}

VINLINE float vmath_max4(__m128 v)
{
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)));
}

VINLINE float v16_reduce_sum(v16 v)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return vmath_sum4(_mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

VINLINE float v16_reduce_max(v16 v)
{
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return vmath_max4(_mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

typedef struct {
    __m512d lo, hi;
} d16;

VINLINE d16 d16_zero(void)
{
    return (d16){_mm512_setzero_pd(), _mm512_setzero_pd()};
}

VINLINE d16 d16_add_square(d16 a, v16 x)
{
    __m512d lo = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
    __m512d hi = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    return (d16){_mm512_fmadd_pd(lo, lo, a.lo), _mm512_fmadd_pd(hi, hi, a.hi)};
}

VINLINE double d16_reduce_sum(d16 a)
{
    __m512d v8 = _mm512_add_pd(a.lo, a.hi);
    __m256d v4 = _mm256_add_pd(_mm512_castpd512_pd256(v8), _mm512_extractf64x4_pd(v8, 1));
    __m128d v2 = _mm_add_pd(_mm256_castpd256_pd128(v4), _mm256_extractf128_pd(v4, 1));
    return _mm_cvtsd_f64(_mm_add_sd(v2, _mm_unpackhi_pd(v2, v2)));
}

#endif
