/* rope_table.c: the angles of the rotary embedding, in double arithmetic of our own.
 *
 * Additions, multiplications and divisions only, unfused, so that every machine and C library gets
 * the same bits; results are within about an ulp of a double before they are rounded to float.
 */
#include <string.h>

#include "common/tensor/ops.h"

static double from_bits(uint64_t u)
{
    double d;
    memcpy(&d, &u, sizeof(d));
    return d;
}

/* Nearest integer, |x| < 2^51. */
static double round_even(double x)
{
    const double magic = 0x1.8p52;
    return (x + magic) - magic;
}

/* log of a normal x > 0: x = m 2^e with m around 1, log m = 2 atanh((m - 1) / (m + 1)). */
static double log_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    int64_t e = (int64_t)(bits >> 52) - 1023;
    double m = from_bits((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int i = 23; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * s2;
    return (double)e * 0x1.62e42feep-1 + ((double)e * 0x1.a39ef35793c76p-33 + 2 * (s + s * sum));
}

/* exp of |x| < 700: x = n ln 2 + r, Taylor's series for r. */
static double exp_double(double x)
{
    double n = round_even(x * 0x1.71547652b82fep+0);
    double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double sum = 1;
    for (int i = 16; i >= 1; i--)
        sum = 1 + sum * r / i;
    return sum * from_bits((uint64_t)((int64_t)n + 1023) << 52);
}

/* sin and cos of 0 <= x < 2^20: x = n pi/2 + r; pi/2 in three parts of which two have 33 bits, so
 * that their products with n are exact. */
static void sincos_double(double x, double *ret_sin, double *ret_cos)
{
    double n = round_even(x * 0x1.45f306dc9c883p-1);
    double r = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
    double r2 = r * r, s = 1, c = 1;
    for (int i = 20; i >= 2; i -= 2) {
        s = 1 - s * r2 / (i * (i + 1));
        c = 1 - c * r2 / (i * (i - 1));
    }
    s *= r;
    int64_t quadrant = (int64_t)n & 3;
    double sine = quadrant & 1 ? c : s;
    double cosine = quadrant & 1 ? s : c;
    *ret_sin = quadrant & 2 ? -sine : sine;
    *ret_cos = quadrant == 1 || quadrant == 2 ? -cosine : cosine;
}

void ops_rope_table(float *cos, float *sin, size_t positions, uint32_t D, double theta)
{
    size_t half = D / 2;
    double log_theta = log_double(theta);
    for (size_t i = 0; i < half; i++) {
        double frequency = exp_double(-(2.0 * (double)i / D) * log_theta);
        for (size_t p = 0; p < positions; p++) {
            double s, c;
            sincos_double((double)p * frequency, &s, &c);
            sin[p * half + i] = (float)s;
            cos[p * half + i] = (float)c;
        }
    }
}
