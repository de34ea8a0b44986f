/* vmath_avx2.h: the primitives of vmath.h, two 256-bit registers each. Included by vmath.h only. */
#ifndef COHORT_TENSOR_VMATH_AVX2_H
#define COHORT_TENSOR_VMATH_AVX2_H

#include <immintrin.h>

typedef struct {
    __m256 lo, hi;
} v16;

typedef struct {
    __m256 lo, hi; /* lanes of all ones or all zeros */
} m16;

#define VMATH_ROUND                                                                                \
    12582912.0f /* 1.5 2^23: adding it rounds to an integer, kept in the low bits                  \
                 */

/* Sixteen set words, then sixteen clear ones: the mask of the first n lanes starts at 16 - n. */
static const int32_t vmath_mask_words[32] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0};

VINLINE m16 m16_first(size_t n)
{
    const float *p = (const float *)(const void *)(vmath_mask_words + 16 - n);
    return (m16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

VINLINE v16 v16_set1(float f)
{
    __m256 v = _mm256_set1_ps(f);
    return (v16){v, v};
}

VINLINE v16 v16_zero(void)
{
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

VINLINE v16 v16_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

VINLINE void v16_store(float *p, v16 v)
{
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}

VINLINE v16 v16_held(v16 v)
{
    return v; /* there are too few registers */
}

VINLINE v16 v16_load8(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_setzero_ps()};
}

VINLINE void v16_store8(float *p, v16 v)
{
    _mm256_storeu_ps(p, v.lo);
}

VINLINE __m256 vmath_load8_bf16(const uint16_t *p)
{
    __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}

VINLINE v16 v16_load_bf16(const uint16_t *p)
{
    return (v16){vmath_load8_bf16(p), vmath_load8_bf16(p + 8)};
}

VINLINE v16 v16_load_mask(const float *p, m16 m)
{
    return (v16){_mm256_maskload_ps(p, _mm256_castps_si256(m.lo)),
        _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.hi))};
}

VINLINE void v16_store_mask(float *p, m16 m, v16 v)
{
    _mm256_maskstore_ps(p, _mm256_castps_si256(m.lo), v.lo);
    _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.hi), v.hi);
}

VINLINE v16 v16_add(v16 a, v16 b)
{
    return (v16){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

VINLINE v16 v16_sub(v16 a, v16 b)
{
    return (v16){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}

VINLINE v16 v16_mul(v16 a, v16 b)
{
    return (v16){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}

VINLINE v16 v16_div(v16 a, v16 b)
{
    return (v16){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}

VINLINE v16 v16_sqrt(v16 a)
{
    return (v16){_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)};
}

VINLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

VINLINE v16 v16_fnma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}

VINLINE v16 v16_max(v16 a, v16 b)
{
    return (v16){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}

VINLINE v16 v16_min(v16 a, v16 b)
{
    return (v16){_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}

VINLINE v16 v16_select(m16 m, v16 a, v16 b)
{
    return (v16){_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}

VINLINE m16 v16_lt(v16 a, v16 b)
{
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}

VINLINE m16 v16_eq(v16 a, v16 b)
{
    return (m16){_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ)};
}

VINLINE v16 v16_onehot(ptrdiff_t i)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int32_t at = i >= 0 && i < 16 ? (int32_t)i : -1;
    __m256i lo = _mm256_cmpeq_epi32(lane, _mm256_set1_epi32(at));
    __m256i hi = _mm256_cmpeq_epi32(lane, _mm256_set1_epi32(at - 8));
    __m256 one = _mm256_set1_ps(1.0f);
    return (v16){
        _mm256_and_ps(_mm256_castsi256_ps(lo), one), _mm256_and_ps(_mm256_castsi256_ps(hi), one)};
}

/* In two exact steps but for the last rounding: n/2 and the rest, each a power of two in range. */
VINLINE __m256 vmath_scale8(__m256 a, __m256 t)
{
    __m256i bias = _mm256_set1_epi32(127);
    __m256i n =
        _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(_mm256_set1_ps(VMATH_ROUND)));
    __m256i half = _mm256_srai_epi32(n, 1);
    __m256i rest = _mm256_sub_epi32(n, half);
    a = _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    return _mm256_mul_ps(
        a, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}

VINLINE v16 v16_scale2(v16 a, v16 t)
{
    return (v16){vmath_scale8(a.lo, t.lo), vmath_scale8(a.hi, t.hi)};
}

VINLINE __m256 vmath_split8(__m256 x, __m256 *ret_e)
{
    __m256i bits = _mm256_castps_si256(x);
    __m256i above = _mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f3504f3)); /* sqrt(1/2) */
    __m256i e = _mm256_srai_epi32(above, 23);
    *ret_e = _mm256_cvtepi32_ps(e);
    return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(e, 23)));
}

VINLINE v16 v16_split(v16 x, v16 *ret_e)
{
    return (v16){vmath_split8(x.lo, &ret_e->lo), vmath_split8(x.hi, &ret_e->hi)};
}

VINLINE float v16_reduce_sum(v16 v)
{
    __m256 h = _mm256_add_ps(v.lo, v.hi);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

VINLINE float v16_reduce_max(v16 v)
{
    __m256 h = _mm256_max_ps(v.lo, v.hi);
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

typedef struct {
    __m256d q[4];
} d16;

VINLINE d16 d16_zero(void)
{
    __m256d z = _mm256_setzero_pd();
    return (d16){{z, z, z, z}};
}

VINLINE __m256d vmath_add_square4(__m256d a, __m128 x)
{
    __m256d d = _mm256_cvtps_pd(x);
    return _mm256_fmadd_pd(d, d, a);
}

VINLINE d16 d16_add_square(d16 a, v16 x)
{
    return (d16){{vmath_add_square4(a.q[0], _mm256_castps256_ps128(x.lo)),
        vmath_add_square4(a.q[1], _mm256_extractf128_ps(x.lo, 1)),
        vmath_add_square4(a.q[2], _mm256_castps256_ps128(x.hi)),
        vmath_add_square4(a.q[3], _mm256_extractf128_ps(x.hi, 1))}};
}

VINLINE double d16_reduce_sum(d16 a)
{
    __m256d v4 = _mm256_add_pd(_mm256_add_pd(a.q[0], a.q[2]), _mm256_add_pd(a.q[1], a.q[3]));
    __m128d v2 = _mm_add_pd(_mm256_castpd256_pd128(v4), _mm256_extractf128_pd(v4, 1));
    return _mm_cvtsd_f64(_mm_add_sd(v2, _mm_unpackhi_pd(v2, v2)));
}

#endif
