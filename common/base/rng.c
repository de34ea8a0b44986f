/* rng.c: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC
 * 2011), with a key schedule for plans and distributions that use IEEE operations only, so that
 * each build and instruction set draws the same bits.
 */
#include "common/base/rng.h"

#include <assert.h>
#include <string.h>

enum { PHILOX_ROUNDS = 10, PERMUTE_ROUNDS = 8 };

void rng_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t even = (uint64_t)0xD2511F53u * c0;
        uint64_t odd = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(odd >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)odd;
        c2 = (uint32_t)(even >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)even;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Absorbs one word: the output step of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), a bijection.
 */
static uint64_t absorb(uint64_t state, uint64_t word)
{
    uint64_t z = (state ^ word) + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* One block for (key, position). use is 0 for draws and n for the permutation of n items, so that
 * the two never share a block. */
static uint64_t block_u64(const struct rng_key *key, uint64_t position, uint64_t use)
{
    uint64_t k = absorb(0, key->seed);
    k = absorb(k, (uint64_t)key->domain << 32 | key->stage);
    k = absorb(k, (key->ordinal >> 48) << 16 | position >> 48);
    k = absorb(k, use);
    uint32_t philox_key[2] = {(uint32_t)k, (uint32_t)(k >> 32)};
    uint32_t high = (uint32_t)(key->ordinal >> 32 & 0xffff) | (uint32_t)(position >> 32) << 16;
    uint32_t ctr[4] = {(uint32_t)position, (uint32_t)key->ordinal, key->completion, high};
    uint32_t out[4];
    rng_philox(ctr, philox_key, out);
    return (uint64_t)out[1] << 32 | out[0];
}

static double uniform_of(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t rng_u64(const struct rng_key *key, uint64_t position)
{
    return block_u64(key, position, 0);
}

double rng_uniform(const struct rng_key *key, uint64_t position)
{
    return uniform_of(rng_u64(key, position));
}

struct rng rng_stream(struct rng_key key)
{
    return (struct rng){.key = key};
}

uint64_t rng_next(struct rng *r)
{
    return rng_u64(&r->key, r->position++);
}

double rng_next_uniform(struct rng *r)
{
    return uniform_of(rng_next(r));
}

/* Multiply-shift with rejection of the short slice (Lemire, ACM TOMACS 29, 2019). */
uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    __extension__ typedef unsigned __int128 wide;
    uint64_t reject = (0 - n) % n; /* 2^64 mod n */
    for (;;) {
        wide product = (wide)rng_next(r) * n;
        if ((uint64_t)product >= reject)
            return (uint64_t)(product >> 64);
    }
}

/* Natural logarithm of a positive normal number, from IEEE operations only: x = m 2^e with m around
 * 1, log m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.1716, as its series to s^25. */
static double log_ieee(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, sizeof(m));
    if (m > 0x1.6a09e667f3bcdp+0) { /* sqrt(2) */
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 25; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return exponent * 0x1.62e42fefa39efp-1 + 2 * s * sum;
}

static double ratio_of_polynomials(const double top[8], const double bottom[8], double x)
{
    double a = top[7], b = bottom[7];
    for (int i = 6; i >= 0; i--) {
        a = a * x + top[i];
        b = b * x + bottom[i];
    }
    return a / b;
}

/* Quantile of the standard normal distribution, 0 < p < 1: algorithm AS 241, PPND16 (Wichura,
 * Applied Statistics 37, 1988), relative accuracy about 1e-16. sqrt is exactly rounded by IEEE 754.
 */
double rng_normal_quantile(double p)
{
    static const double middle_top[8] = {3.3871328727963666080e0, 1.3314166789178437745e2,
        1.9715909503065514427e3, 1.3731693765509461125e4, 4.5921953931549871457e4,
        6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double middle_bottom[8] = {1, 4.2313330701600911252e1, 6.8718700749205790830e2,
        5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
        2.8729085735721942674e4, 5.2264952788528545610e3};
    static const double side_top[8] = {1.42343711074968357734e0, 4.63033784615654529590e0,
        5.76949722146069140550e0, 3.64784832476320460504e0, 1.27045825245236838258e0,
        2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double side_bottom[8] = {1, 2.05319162663775882187e0, 1.67638483018380384940e0,
        6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
        5.47593808499534494600e-4, 1.05075007164441684324e-9};
    static const double tail_top[8] = {6.65790464350110377720e0, 5.46378491116411436990e0,
        1.78482653991729133580e0, 2.96560571828504891230e-1, 2.65321895265761230930e-2,
        1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double tail_bottom[8] = {1, 5.99832206555887937690e-1, 1.36929880922735805310e-1,
        1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
        1.42151175831644588870e-7, 2.04426310338993978564e-15};
    double q = p - 0.5;
    if (q >= -0.425 && q <= 0.425)
        return q * ratio_of_polynomials(middle_top, middle_bottom, 0.180625 - q * q);
    double r = __builtin_sqrt(-log_ieee(q < 0 ? p : 1 - p));
    double z = r <= 5 ? ratio_of_polynomials(side_top, side_bottom, r - 1.6)
                      : ratio_of_polynomials(tail_top, tail_bottom, r - 5);
    return q < 0 ? -z : z;
}

double rng_normal(struct rng *r)
{
    /* The middles of 2^52 equal slices: never 0 or 1, and exact in a double. */
    return rng_normal_quantile(((double)(rng_next(r) >> 12) + 0.5) * 0x1p-52);
}

/* A Feistel network over the 2 * half_bits bits that hold 0..n-1. A value outside walks on along
 * its cycle, which ends inside because it began there; fewer than 4 rounds of it are expected. */
uint64_t rng_permute(const struct rng_key *key, uint64_t n, uint64_t i)
{
    assert(i < n);
    int half_bits = 1;
    while (half_bits < 32 && (n - 1) >> (2 * half_bits) != 0)
        half_bits++;
    uint64_t mask = ((uint64_t)1 << half_bits) - 1;
    do {
        uint64_t left = i >> half_bits, right = i & mask;
        for (uint64_t round = 0; round < PERMUTE_ROUNDS; round++) {
            uint64_t mixed = left ^ (block_u64(key, round << 32 | right, n) & mask);
            left = right;
            right = mixed;
        }
        i = left << half_bits | right;
    } while (i >= n);
    /* A Feistel network is always an even permutation; a rotation reaches the odd ones too. */
    uint64_t shift = block_u64(key, (uint64_t)PERMUTE_ROUNDS << 32, n) % n;
    return i >= n - shift ? i - (n - shift) : i + shift;
}
