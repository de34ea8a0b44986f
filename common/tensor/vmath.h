/* vmath.h: 16 virtual lanes, the arithmetic in which every kernel is written.
 *
 * One source, three instruction sets: a v16 is one AVX-512 register, two AVX2 registers or an
 * array. Each function gives the same bits on all three: products are fused where the name says fma
 * and nowhere else, reductions add lanes in one fixed tree, exp and log are polynomials of our own.
 * Only NaN payloads may differ. Included by kernel sources alone; each is compiled once per
 * instruction set.
 */
#ifndef COHORT_TENSOR_VMATH_H
#define COHORT_TENSOR_VMATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Kernels are inlined and unrolled down to the last vector, so that arrays of v16 stay in
 * registers. UNROLL precedes loops whose count is a constant. The portable build spends its time in
 * fmaf: there inlining wins nothing and makes compilers, under sanitizers most of all, work for
 * minutes. */
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#define VINLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#else
#define VINLINE static __attribute__((noinline, unused))
#define UNROLL
#endif

#if defined(__AVX512F__)
#include "common/tensor/vmath_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "common/tensor/vmath_avx2.h"
#else
#include "common/tensor/vmath_portable.h"
#endif

/* The primitives that each of the three headers defines:
 *
 *   v16, m16                    sixteen floats; sixteen truth values
 *   m16_first(n)                lanes 0..n-1, n <= 16
 *   v16_set1, v16_zero          all lanes equal
 *   v16_load, v16_store         16 floats, any alignment
 *   v16_held(v)                 v, which is to stay in a register where there are enough
 *   v16_load8, v16_store8       lanes 0..7; the others read as zero
 *   v16_load_bf16               16 upper halves of floats; the lower halves are 0
 *   v16_load_mask(p, m)         zero in the other lanes, which are not read
 *   v16_store_mask(p, m, v)     the other lanes are not written
 *   v16_add sub mul div sqrt    IEEE, round to nearest
 *   v16_fma(a, b, c)            a b + c, one rounding
 *   v16_fnma(a, b, c)           c - a b, one rounding
 *   v16_max(a, b)               a > b ? a : b per lane, so b when either is NaN; v16_min likewise
 *   v16_select(m, a, b)         m ? a : b
 *   v16_lt(a, b), v16_eq(a, b)  false where either is NaN
 *   v16_onehot(i)               1 in lane i, 0 in the others; all 0 when i is not in 0..15
 *   v16_scale2(a, t)            a 2^n, rounded once, for t = VMATH_ROUND + n, |n| < 252
 *   v16_split(x, ret_e)         x = m 2^e with m in [sqrt(1/2), sqrt(2)), for normal x > 0
 *   v16_reduce_sum, _reduce_max lanes (i, i+8), then (i, i+4), (i, i+2), (i, i+1)
 *   d16_zero, d16_add_square    sixteen doubles; a + x x with x widened, the product exact
 *   d16_reduce_sum              the same tree
 */

/* Lanes 0..n-1 of p, at most 16, and zeros. Half a vector has its own case: heads of 16 channels
 * rotate halves of 8, and a masked store delays every later load that overlaps its masked-off part.
 */
VINLINE v16 v16_load_first(const float *p, size_t n)
{
    if (n >= 16)
        return v16_load(p);
    return n == 8 ? v16_load8(p) : v16_load_mask(p, m16_first(n));
}

VINLINE void v16_store_first(float *p, size_t n, v16 v)
{
    if (n >= 16)
        v16_store(p, v);
    else if (n == 8)
        v16_store8(p, v);
    else
        v16_store_mask(p, m16_first(n), v);
}

/* exp, below 1 ulp. exp(-inf) and everything under the smallest denormal: +0; overflow: inf; NaN:
 * NaN. x = n ln 2 + r with |r| <= ln 2 / 2, exp(x) = 2^n (1 + r + r^2 P(r)), P the minimax
 * polynomial of degree 4. Clamping keeps n in range and lets NaN through, because max and min
 * return their second argument then. */
VINLINE v16 v16_exp(v16 x)
{
    const v16 round = v16_set1(VMATH_ROUND);
    x = v16_max(v16_set1(-105.0f), x);
    x = v16_min(v16_set1(89.0f), x);
    v16 t = v16_fma(x, v16_set1(0x1.715476p+0f), round);
    v16 n = v16_sub(t, round);
    v16 r = v16_fnma(n, v16_set1(0x1.62e43p-1f), x);
    r = v16_fnma(n, v16_set1(-0x1.05c61p-29f), r);
    v16 p = v16_set1(0x1.6a23cep-10f);
    p = v16_fma(p, r, v16_set1(0x1.123a2p-7f));
    p = v16_fma(p, r, v16_set1(0x1.5558f2p-5f));
    p = v16_fma(p, r, v16_set1(0x1.555492p-3f));
    p = v16_fma(p, r, v16_set1(0x1.fffffcp-2f));
    p = v16_fma(p, r, v16_set1(1.0f));
    p = v16_fma(p, r, v16_set1(1.0f));
    return v16_scale2(p, t);
}

/* log, about 1 ulp. log(0) = -inf, log of a negative or NaN = NaN, log(inf) = inf; denormals are
 * exact inputs. x = m 2^e, f = m - 1, log(x) = e ln 2 + f - f^2/2 + f^3 Q(f), Q minimax of
 * degree 8. */
VINLINE v16 v16_log(v16 x)
{
    const v16 zero = v16_zero();
    m16 tiny = v16_lt(x, v16_set1(0x1p-126f));
    v16 e;
    v16 f = v16_split(v16_select(tiny, v16_mul(x, v16_set1(0x1p+23f)), x), &e);
    e = v16_select(tiny, v16_sub(e, v16_set1(23.0f)), e);
    f = v16_sub(f, v16_set1(1.0f));
    v16 q = v16_set1(0x1.1bc972p-4f);
    q = v16_fma(q, f, v16_set1(-0x1.e3a31p-4f));
    q = v16_fma(q, f, v16_set1(0x1.e6763ap-4f));
    q = v16_fma(q, f, v16_set1(-0x1.fb285ep-4f));
    q = v16_fma(q, f, v16_set1(0x1.232ee4p-3f));
    q = v16_fma(q, f, v16_set1(-0x1.55637ap-3f));
    q = v16_fma(q, f, v16_set1(0x1.99a574p-3f));
    q = v16_fma(q, f, v16_set1(-0x1.ffffecp-3f));
    q = v16_fma(q, f, v16_set1(0x1.555546p-2f));
    v16 f2 = v16_mul(f, f);
    v16 y = v16_mul(v16_mul(f2, f), q);
    y = v16_fma(e, v16_set1(-0x1.05c61p-29f), y);
    y = v16_fma(f2, v16_set1(-0.5f), y);
    y = v16_fma(e, v16_set1(0x1.62e43p-1f), v16_add(f, y));
    y = v16_select(v16_lt(x, v16_set1(INFINITY)), y, x);
    v16 bad = v16_select(v16_eq(x, zero), v16_set1(-INFINITY), v16_set1(NAN));
    return v16_select(v16_lt(zero, x), y, bad);
}

VINLINE float v16_first(v16 v)
{
    float f[16];
    v16_store(f, v);
    return f[0];
}

/* Of one number, in the bits that the vector function gives. */
VINLINE float vmath_exp1(float x)
{
    return v16_first(v16_exp(v16_set1(x)));
}

VINLINE float vmath_log1(float x)
{
    return v16_first(v16_log(v16_set1(x)));
}

#endif
