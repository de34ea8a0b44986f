/* logprob.c: log-softmax of one row of logits, its gradient, and drawing a token from it.
 *
 * The vocabulary is reduced in blocks of 256 in id order with a running maximum (Milakov and
 * Gimelshein 2018); inside a block ids lie over 16 lanes and one fixed tree.
 */
#include "common/tensor/kernels.h"

enum { VOCAB_BLOCK = OPS_VOCAB_BLOCK };

/* exp of anything below is 0; keeps -inf out of products with that 0. */
#define LOG_ZERO -128.0f

/* The sums of one block, n <= VOCAB_BLOCK ids. */
VINLINE struct logprob_sums block_sums(const float *z, size_t n, v16 inv_T)
{
    const v16 low = v16_set1(-INFINITY);
    v16 top = low;
    for (size_t i = 0; i < n; i += 16) {
        v16 t = v16_mul(v16_load_first(z + i, n - i), inv_T);
        top = v16_max(n - i < 16 ? v16_select(m16_first(n - i), t, low) : t, top);
    }
    struct logprob_sums s = {.max = v16_reduce_max(top)};
    v16 base = v16_set1(s.max == -INFINITY ? 0.0f : s.max); /* a block of -inf alone has sum 0 */
    v16 sum = v16_zero(), dot = v16_zero();
    for (size_t i = 0; i < n; i += 16) {
        v16 t = v16_mul(v16_load_first(z + i, n - i), inv_T);
        v16 d = v16_max(v16_sub(t, base), v16_set1(LOG_ZERO));
        v16 e = v16_exp(v16_sub(t, base));
        if (n - i < 16)
            e = v16_select(m16_first(n - i), e, v16_zero());
        sum = v16_add(sum, e);
        dot = v16_fma(e, d, dot);
    }
    s.sum = v16_reduce_sum(sum);
    s.dot = v16_reduce_sum(dot);
    return s;
}

/* The sums of a relative to a larger maximum: each term shrinks by exp(a.max - max). */
VINLINE struct logprob_sums sums_rebase(struct logprob_sums a, float max)
{
    if (a.sum == 0.0f)
        return (struct logprob_sums){max, 0.0f, 0.0f};
    float shift = a.max - max;
    float factor = vmath_exp1(shift);
    if (shift < LOG_ZERO)
        shift = LOG_ZERO;
    float dot = fmaf(a.sum, shift, a.dot) * factor;
    return (struct logprob_sums){max, a.sum * factor, dot};
}

void OPS_FN(logprob_add)(struct logprob_sums *s, const float *z, size_t n, float inv_T, int first)
{
    v16 scale = v16_set1(inv_T);
    for (size_t i = 0; i < n; i += VOCAB_BLOCK) {
        struct logprob_sums b = block_sums(z + i, n - i < VOCAB_BLOCK ? n - i : VOCAB_BLOCK, scale);
        if (first && i == 0) {
            *s = b;
            continue;
        }
        float max = b.max > s->max ? b.max : s->max;
        *s = sums_rebase(*s, max);
        b = sums_rebase(b, max);
        s->sum += b.sum;
        s->dot += b.dot;
    }
}

void OPS_FN(logprob_end)(float *logp, float *lse, float *entropy, const struct logprob_sums *s,
    float chosen, float inv_T)
{
    float log_sum = vmath_log1(s->sum);
    float total = s->max + log_sum;
    float l = chosen * inv_T - total;
    *lse = total;
    *logp = l > 0.0f ? 0.0f : l;
    if (entropy)
        *entropy = log_sum - s->dot / s->sum;
}

void OPS_FN(logprob)(
    float *logp, float *lse, float *entropy, const float *z, size_t V, uint32_t id, float inv_T)
{
    struct logprob_sums s;
    OPS_FN(logprob_add)(&s, z, V, inv_T, 1);
    OPS_FN(logprob_end)(logp, lse, entropy, &s, z[id], inv_T);
}

void OPS_FN(logprob_bwd)(float *dz, const float *z, size_t V, ptrdiff_t id, float inv_T, float lse,
    float entropy, float dlogp, float dentropy)
{
    const v16 g = v16_set1(dlogp * inv_T), ge = v16_set1(dentropy * inv_T);
    for (size_t i = 0; i < V; i += 16) {
        v16 t = v16_mul(v16_load_first(z + i, V - i), v16_set1(inv_T));
        v16 log_p = v16_sub(t, v16_set1(lse));
        v16 p = v16_exp(log_p);
        log_p = v16_max(log_p, v16_set1(LOG_ZERO));
        v16 chosen = v16_onehot(id - (ptrdiff_t)i);
        v16 d = v16_mul(g, v16_sub(chosen, p));
        d = v16_fnma(ge, v16_mul(p, v16_add(log_p, v16_set1(entropy))), d);
        v16_store_first(dz + i, V - i, d);
    }
}

/* The lowest id with the largest logit; NaN never is. 0 when all are NaN. */
static uint32_t arg_max(const float *z, size_t V)
{
    v16 top = v16_set1(-INFINITY);
    for (size_t i = 0; i < V; i += 16) {
        v16 t = v16_load_first(z + i, V - i);
        top = v16_max(V - i < 16 ? v16_select(m16_first(V - i), t, top) : t, top);
    }
    float max = v16_reduce_max(top);
    for (size_t i = 0; i < V; i++)
        if (z[i] == max)
            return (uint32_t)i;
    return 0;
}

/* Sum of the block's probabilities, which go to p. */
VINLINE float block_probabilities(float *p, const float *z, size_t n, float inv_T, float lse)
{
    v16 sum = v16_zero();
    for (size_t i = 0; i < n; i += 16) {
        v16 t = v16_mul(v16_load_first(z + i, n - i), v16_set1(inv_T));
        v16 e = v16_exp(v16_sub(t, v16_set1(lse)));
        if (n - i < 16)
            e = v16_select(m16_first(n - i), e, v16_zero());
        v16_store(p + i, e);
        sum = v16_add(sum, e);
    }
    return v16_reduce_sum(sum);
}

/* The last id that has a probability: the answer when rounding leaves the total at or below u. */
static uint32_t last_possible(const float *z, size_t V, float inv_T, float lse)
{
    for (size_t i = V; i-- > 0;)
        if (vmath_exp1(z[i] * inv_T - lse) > 0.0f)
            return (uint32_t)i;
    return 0;
}

/* A block whose sum cannot reach u is passed over by its sum alone; in others ids are added one by
 * one, in double. */
uint32_t OPS_FN(sample)(const float *z, size_t V, float inv_T, float lse, double u)
{
    float p[VOCAB_BLOCK];
    double before = 0;
    if (inv_T <= 0.0f)
        return arg_max(z, V);
    for (size_t base = 0; base < V; base += VOCAB_BLOCK) {
        size_t n = V - base < VOCAB_BLOCK ? V - base : VOCAB_BLOCK;
        double sum = (double)block_probabilities(p, z + base, n, inv_T, lse);
        double cumulative = before;
        before += sum;
        if (before <= u && base + n < V)
            continue;
        for (size_t i = 0; i < n; i++) {
            cumulative += (double)p[i];
            if (cumulative > u)
                return (uint32_t)(base + i);
        }
    }
    return last_possible(z, V, inv_T, lse);
}
