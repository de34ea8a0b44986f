/* sampler.c: see sampler.h. */
#include "common/model/sampler.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/base/mem.h"

void sampler_init(struct sampler *s, const struct ops *ops, uint32_t vocab)
{
    *s = (struct sampler){.ops = ops,
        .p = mem_array(vocab, sizeof(float)),
        .heap = mem_array(vocab, sizeof(uint32_t))};
}

void sampler_done(struct sampler *s)
{
    free(s->p);
    free(s->heap);
    *s = (struct sampler){0};
}

/* Higher probability first, lower id first among equal ones: one order on every machine. */
static bool before(const struct sampler *s, uint32_t a, uint32_t b)
{
    return s->p[a] > s->p[b] || (s->p[a] == s->p[b] && a < b);
}

static void sift_down(struct sampler *s, size_t at, size_t n)
{
    uint32_t id = s->heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s, s->heap[child], id))
            break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = id;
}

/* Takes the most probable of n ids off the heap and puts it into the place that becomes free. */
static uint32_t pop(struct sampler *s, size_t n)
{
    uint32_t top = s->heap[0];
    s->heap[0] = s->heap[n - 1];
    sift_down(s, 0, n - 1);
    s->heap[n - 1] = top;
    return top;
}

/* Ids in order of probability: the first top_k, of these as many as reach top_p of their mass, of
 * these the ones of at least min_p times the best. They come to lie at the end of the heap, best
 * last. Returns how many they are; *ret_mass is their probability. */
static size_t filter(struct sampler *s, const struct sample_params *params, double *ret_mass)
{
    size_t V = params->vocab, k = params->top_k > 0 && params->top_k < V ? params->top_k : V;
    for (size_t i = 0; i < V; i++)
        s->heap[i] = (uint32_t)i;
    for (size_t i = V / 2; i-- > 0;)
        sift_down(s, i, V);
    double mass = 0, kept = 0;
    size_t popped = 0, count = 0;
    float least = 0;
    /* Without top_k the mass is that of all ids, and pops can stop as soon as top_p is reached. */
    for (size_t i = 0; k == V && i < V; i++)
        mass += (double)s->p[i];
    for (; k < V && popped < k; popped++)
        mass += (double)s->p[pop(s, V - popped)];
    for (; count < k; count++) {
        if (popped == count)
            (void)pop(s, V - popped++);
        float p = s->p[s->heap[V - 1 - count]];
        if (count == 0)
            least = params->min_p * p;
        else if (p < least || kept >= (double)params->top_p * mass)
            break;
        kept += (double)p;
    }
    *ret_mass = kept;
    return count;
}

static uint32_t pick_filtered(struct sampler *s, const struct sample_params *params, const float *z,
    float inv_T, float lse, double u)
{
    size_t V = params->vocab;
    for (size_t i = 0; i < V; i++)
        s->p[i] = z[i] * inv_T - lse;
    s->ops->vexp(s->p, s->p, V);
    double mass, sum = 0;
    size_t n = filter(s, params, &mass);
    for (size_t i = 0; i < n; i++) {
        sum += (double)s->p[s->heap[V - 1 - i]];
        if (sum > u * mass)
            return s->heap[V - 1 - i];
    }
    return s->heap[V - n]; /* rounding: the last one kept */
}

uint32_t sampler_pick(struct sampler *s, const struct sample_params *params, const float *z,
    double u, float *ret_logp)
{
    size_t V = params->vocab;
    bool greedy = params->temperature == 0;
    float inv_T = greedy ? 1.0f : 1.0f / params->temperature;
    float lse;
    uint32_t id;
    struct logprob_sums sums;
    s->ops->logprob_add(&sums, z, V, inv_T, 1);
    s->ops->logprob_end(ret_logp, &lse, NULL, &sums, z[0], inv_T);
    if (greedy) {
        id = s->ops->sample(z, V, 0, 0, 0);
    } else {
        bool all = params->top_k == 0 && params->top_p >= 1 && params->min_p <= 0;
        id = all ? s->ops->sample(z, V, inv_T, lse, u) : pick_filtered(s, params, z, inv_T, lse, u);
    }
    s->ops->logprob_end(ret_logp, &lse, NULL, &sums, z[id], inv_T);
    return id;
}
