/* vmath_portable.h: the primitives of vmath.h over plain arrays. Included by vmath.h only.
 *
 * fmaf and sqrtf are exact operations of IEEE 754, so that any C library gives the same bits.
 */
#ifndef COHORT_TENSOR_VMATH_PORTABLE_H
#define COHORT_TENSOR_VMATH_PORTABLE_H

typedef struct {
    float f[16];
} v16;

typedef struct {
    uint8_t b[16];
} m16;

#define VMATH_ROUND                                                                                \
    12582912.0f /* 1.5 2^23: adding it rounds to an integer, kept in the low bits                  \
                 */

#define VMATH_LANES(type, expression)                                                              \
    type r;                                                                                        \
    for (int i = 0; i < 16; i++)                                                                   \
        r.expression;                                                                              \
    return r

VINLINE uint32_t vmath_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return u;
}

VINLINE float vmath_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

VINLINE m16 m16_first(size_t n)
{
    VMATH_LANES(m16, b[i] = (size_t)i < n);
}

VINLINE v16 v16_set1(float x)
{
    VMATH_LANES(v16, f[i] = x);
}

VINLINE v16 v16_zero(void)
{
    return (v16){{0}};
}

VINLINE v16 v16_load(const float *p)
{
    VMATH_LANES(v16, f[i] = p[i]);
}

VINLINE void v16_store(float *p, v16 v)
{
    for (int i = 0; i < 16; i++)
        p[i] = v.f[i];
}

VINLINE v16 v16_held(v16 v)
{
    return v;
}

VINLINE v16 v16_load8(const float *p)
{
    VMATH_LANES(v16, f[i] = i < 8 ? p[i] : 0.0f);
}

VINLINE void v16_store8(float *p, v16 v)
{
    for (int i = 0; i < 8; i++)
        p[i] = v.f[i];
}

VINLINE v16 v16_load_bf16(const uint16_t *p)
{
    VMATH_LANES(v16, f[i] = vmath_float((uint32_t)p[i] << 16));
}

VINLINE v16 v16_load_mask(const float *p, m16 m)
{
    VMATH_LANES(v16, f[i] = m.b[i] ? p[i] : 0.0f);
}

VINLINE void v16_store_mask(float *p, m16 m, v16 v)
{
    for (int i = 0; i < 16; i++)
        if (m.b[i])
            p[i] = v.f[i];
}

VINLINE v16 v16_add(v16 a, v16 b)
{
    VMATH_LANES(v16, f[i] = a.f[i] + b.f[i]);
}

VINLINE v16 v16_sub(v16 a, v16 b)
{
    VMATH_LANES(v16, f[i] = a.f[i] - b.f[i]);
}

VINLINE v16 v16_mul(v16 a, v16 b)
{
    VMATH_LANES(v16, f[i] = a.f[i] * b.f[i]);
}

VINLINE v16 v16_div(v16 a, v16 b)
{
    VMATH_LANES(v16, f[i] = a.f[i] / b.f[i]);
}

VINLINE v16 v16_sqrt(v16 a)
{
    VMATH_LANES(v16, f[i] = sqrtf(a.f[i]));
}

VINLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    VMATH_LANES(v16, f[i] = fmaf(a.f[i], b.f[i], c.f[i]));
}

VINLINE v16 v16_fnma(v16 a, v16 b, v16 c)
{
    VMATH_LANES(v16, f[i] = fmaf(-a.f[i], b.f[i], c.f[i]));
}

VINLINE v16 v16_max(v16 a, v16 b)
{
    VMATH_LANES(v16, f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i]);
}

VINLINE v16 v16_min(v16 a, v16 b)
{
    VMATH_LANES(v16, f[i] = a.f[i] < b.f[i] ? a.f[i] : b.f[i]);
}

VINLINE v16 v16_select(m16 m, v16 a, v16 b)
{
    VMATH_LANES(v16, f[i] = m.b[i] ? a.f[i] : b.f[i]);
}

VINLINE m16 v16_lt(v16 a, v16 b)
{
    VMATH_LANES(m16, b[i] = a.f[i] < b.f[i]);
}

VINLINE m16 v16_eq(v16 a, v16 b)
{
    VMATH_LANES(m16, b[i] = a.f[i] == b.f[i]);
}

VINLINE v16 v16_onehot(ptrdiff_t at)
{
    VMATH_LANES(v16, f[i] = i == at ? 1.0f : 0.0f);
}

/* In two exact steps but for the last rounding: n/2 and the rest, each a power of two in range. The
 * bits of NaN give a useless scale, which NaN survives. */
VINLINE float vmath_scale1(float a, float t)
{
    uint32_t n = vmath_bits(t) - vmath_bits(VMATH_ROUND);
    uint32_t half = (n >> 1) | (n & 0x80000000u);
    uint32_t rest = n - half;
    a *= vmath_float((half + 127) << 23);
    return a * vmath_float((rest + 127) << 23);
}

VINLINE v16 v16_scale2(v16 a, v16 t)
{
    VMATH_LANES(v16, f[i] = vmath_scale1(a.f[i], t.f[i]));
}

VINLINE v16 v16_split(v16 x, v16 *ret_e)
{
    v16 m;
    for (int i = 0; i < 16; i++) {
        uint32_t bits = vmath_bits(x.f[i]);
        int32_t e = (int32_t)(bits - 0x3f3504f3u) >> 23; /* sqrt(1/2) */
        ret_e->f[i] = (float)e;
        m.f[i] = vmath_float(bits - ((uint32_t)e << 23));
    }
    return m;
}

VINLINE float v16_reduce_sum(v16 v)
{
    for (int w = 8; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            v.f[i] += v.f[i + w];
    return v.f[0];
}

VINLINE float v16_reduce_max(v16 v)
{
    for (int w = 8; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            v.f[i] = v.f[i] > v.f[i + w] ? v.f[i] : v.f[i + w];
    return v.f[0];
}

typedef struct {
    double d[16];
} d16;

VINLINE d16 d16_zero(void)
{
    return (d16){{0}};
}

VINLINE d16 d16_add_square(d16 a, v16 x)
{
    VMATH_LANES(d16, d[i] = a.d[i] + (double)x.f[i] * (double)x.f[i]);
}

VINLINE double d16_reduce_sum(d16 a)
{
    for (int w = 8; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            a.d[i] += a.d[i + w];
    return a.d[0];
}

#endif
