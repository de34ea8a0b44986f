/* loss.c: the clipped surrogate with KL and entropy terms, and next-token likelihood. */
#include "learner/loss.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 256 };                  /* tokens for which the two exponentials are taken at once */
static const float LOG_RATIO_MAX = 20; /* keeps exp finite; beyond it every clip has long decided */

double loss_weight(enum normalise_kind kind, const struct loss_count *c, uint32_t len)
{
    switch (kind) {
    case NORMALISE_SEQUENCE:
        return 1 / (c->completions * (double)len);
    case NORMALISE_FIXED:
        return 1 / (c->completions * (double)c->max_tokens);
    case NORMALISE_TOKEN:
        break;
    }
    return 1 / c->tokens;
}

void loss_parts_add(struct loss_parts *to, const struct loss_parts *from)
{
    to->surrogate += from->surrogate;
    to->kl += from->kl;
    to->entropy += from->entropy;
    to->loss += from->loss;
    to->tokens += from->tokens;
    to->sum_entropy += from->sum_entropy;
    to->sum_kl_old += from->sum_kl_old;
    to->sum_kl_ref += from->sum_kl_ref;
    to->clipped_low += from->clipped_low;
    to->clipped_high += from->clipped_high;
    if (from->ratio_max > to->ratio_max)
        to->ratio_max = from->ratio_max;
    to->sum_gap += from->sum_gap;
    to->sum_importance += from->sum_importance;
    to->capped += from->capped;
    if (from->gap_max > to->gap_max)
        to->gap_max = from->gap_max;
}

/* exp(clamp(a - b)) of n <= CHUNK elements. */
static void ratios(const struct ops *ops, float *ratio, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float d = a[i] - b[i];
        ratio[i] = d > LOG_RATIO_MAX ? LOG_RATIO_MAX : d < -LOG_RATIO_MAX ? -LOG_RATIO_MAX : d;
    }
    ops->vexp(ratio, ratio, n);
}

/* n elements of exp(clamp(log_ratio)). */
static void same_ratios(const struct ops *ops, float *ratio, double log_ratio, size_t n)
{
    static const float zero[CHUNK];
    for (size_t i = 0; i < n; i++)
        ratio[i] = (float)log_ratio;
    ratios(ops, ratio, ratio, zero, n);
}

/* -s and its derivative with respect to l, of a log-prob weighted by its clipped ratio. */
static double weighted(const struct recipe_loss *o, double rho, double A, double l,
    double *ret_slope, struct loss_parts *p)
{
    double low = 1 - o->clip_low, high = 1 + o->clip_high;
    p->clipped_high += rho > high;
    p->clipped_low += rho < low;
    *ret_slope = -A * (rho > high ? high : rho < low ? low : rho);
    return *ret_slope * l;
}

/* -s and its derivative with respect to l, unweighted; counts the clips. */
static double surrogate(const struct recipe_loss *o, double rho, double A, double l,
    double *ret_slope, struct loss_parts *p)
{
    if (o->objective == OBJECTIVE_CISPO)
        return weighted(o, rho, A, l, ret_slope, p);
    double low = 1 - o->clip_low, high = 1 + o->clip_high;
    bool over = A > 0 && rho > high, under = A < 0 && rho < low;
    bool dual = A < 0 && o->dual_clip > 0 && rho > o->dual_clip;
    double used = over ? high : under ? low : dual ? o->dual_clip : rho;
    p->clipped_high += over || dual;
    p->clipped_low += under;
    *ret_slope = over || under || dual ? 0 : -A * rho;
    return -used * A;
}

/* KL estimate and its derivative with respect to l; d = l - lr, r = exp(lr - l). */
static double kl_term(enum kl_kind kind, double d, double r, double *ret_slope)
{
    switch (kind) {
    case KL_K1:
        *ret_slope = 1;
        return d;
    case KL_K2:
        *ret_slope = d;
        return d * d / 2;
    case KL_K3:
        break;
    }
    *ret_slope = 1 - r;
    return r + d - 1;
}

/* The means of a completion whose ratio is the sequence's. */
struct sequence {
    double log_ratio, log_importance; /* of l - lo; of lo - lb, 0 where old is what sampled */
};

static double mean_difference(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] - (double)b[i];
    return sum / (double)n;
}

/* The weights of n <= CHUNK tokens, min(exp(old - behaviour), C), and how far the two policies lie
 * apart; 1 where old is what sampled. */
static void importance(const struct recipe_loss *o, const struct ops *ops,
    const struct sequence *seq, float *u, const float *old, const float *behaviour, size_t n,
    struct loss_parts *p)
{
    if (behaviour == NULL) {
        for (size_t i = 0; i < n; i++)
            u[i] = 1;
        return;
    }
    if (seq != NULL)
        same_ratios(ops, u, seq->log_importance, n);
    else
        ratios(ops, u, old, behaviour, n);
    for (size_t i = 0; i < n; i++) {
        double gap = fabs((double)old[i] - (double)behaviour[i]);
        p->sum_gap += gap;
        if (gap > p->gap_max)
            p->gap_max = gap;
        p->capped += u[i] > o->importance_cap;
        if (u[i] > o->importance_cap)
            u[i] = (float)o->importance_cap;
        p->sum_importance += u[i];
    }
}

/* Tokens first .. first + n - 1 of a completion that is not masked; seq: NULL for RATIO_TOKEN. */
static void policy_chunk(const struct recipe_loss *o, const struct ops *ops,
    const struct loss_completion *c, const struct sequence *seq, const struct loss_tokens *in,
    size_t first, size_t n, float *dlogp, float *dentropy, struct loss_parts *p)
{
    float rho[CHUNK], r[CHUNK], u[CHUNK];
    const float *old = in->old != NULL ? in->old : in->logp;
    double kl_coef = o->kl_in_reward ? 0 : o->kl_coef;
    if (seq != NULL)
        same_ratios(ops, rho, seq->log_ratio, n);
    else
        ratios(ops, rho, in->logp + first, old + first, n);
    importance(o, ops, seq, u, old + first, in->behaviour ? in->behaviour + first : NULL, n, p);
    if (in->reference != NULL)
        ratios(ops, r, in->reference + first, in->logp + first, n);
    for (size_t i = 0; i < n; i++) {
        double l = in->logp[first + i], slope, unused, slope_kl = 0;
        p->surrogate += c->weight * u[i] * surrogate(o, rho[i], c->advantage, l, &slope, p);
        if (in->reference != NULL) {
            double d = l - in->reference[first + i];
            p->kl += c->weight * kl_coef * kl_term(o->kl, d, r[i], &slope_kl);
            p->sum_kl_ref += kl_term(KL_K3, d, r[i], &unused);
        }
        dlogp[first + i] = (float)(c->weight * (u[i] * slope + kl_coef * slope_kl));
        if (in->entropy != NULL) {
            p->entropy -= c->weight * o->entropy_coef * in->entropy[first + i];
            p->sum_entropy += in->entropy[first + i];
        }
        if (dentropy != NULL)
            dentropy[first + i] = (float)(-c->weight * o->entropy_coef);
        p->sum_kl_old += old[first + i] - l;
        if (rho[i] > p->ratio_max)
            p->ratio_max = rho[i];
    }
    p->tokens += (double)n;
}

/* The completion of n tokens that begins at token `first`. */
static struct sequence sequence_of(const struct loss_tokens *in, size_t first, size_t n)
{
    const float *old = in->old != NULL ? in->old : in->logp;
    struct sequence s = {.log_ratio = mean_difference(in->logp + first, old + first, n)};
    if (in->behaviour != NULL)
        s.log_importance = mean_difference(old + first, in->behaviour + first, n);
    return s;
}

void loss_policy(const struct recipe_loss *o, const struct ops *ops,
    const struct loss_completion *completions, size_t n, const struct loss_tokens *in, float *dlogp,
    float *dentropy, struct loss_parts *ret)
{
    assert(o->kl_coef == 0 || in->reference != NULL);
    assert(o->entropy_coef == 0 || (in->entropy != NULL && dentropy != NULL));
    struct loss_parts p = {0};
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct loss_completion *c = &completions[i];
        size_t end = at + c->len;
        if (c->weight == 0) {
            memset(dlogp + at, 0, c->len * sizeof(*dlogp));
            if (dentropy != NULL)
                memset(dentropy + at, 0, c->len * sizeof(*dentropy));
            at = end;
        }
        struct sequence seq = {0};
        bool whole = o->ratio == RATIO_SEQUENCE;
        if (whole && at < end)
            seq = sequence_of(in, at, c->len);
        while (at < end) {
            size_t chunk = end - at < CHUNK ? end - at : CHUNK;
            policy_chunk(o, ops, c, whole ? &seq : NULL, in, at, chunk, dlogp, dentropy, &p);
            at += chunk;
        }
    }
    p.loss = p.surrogate + p.kl + p.entropy;
    *ret = p;
}

double loss_kl_penalty(const struct recipe_loss *o, const struct ops *ops, const float *logp,
    const float *reference, size_t n)
{
    float r[CHUNK];
    double sum = 0, unused;
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t chunk = n - first < CHUNK ? n - first : CHUNK;
        ratios(ops, r, reference + first, logp + first, chunk);
        for (size_t i = 0; i < chunk; i++) {
            double d = (double)logp[first + i] - (double)reference[first + i];
            sum += kl_term(o->kl, d, r[i], &unused);
        }
    }
    return o->kl_coef * sum;
}

void loss_likelihood(const struct loss_completion *completions, size_t n, const float *logp,
    float *dlogp, struct loss_parts *ret)
{
    struct loss_parts p = {0};
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct loss_completion *c = &completions[i];
        for (uint32_t t = 0; t < c->len; t++, at++) {
            p.surrogate -= c->weight * logp[at];
            dlogp[at] = (float)-c->weight;
        }
        p.tokens += c->weight > 0 ? c->len : 0;
    }
    p.loss = p.surrogate;
    *ret = p;
}
