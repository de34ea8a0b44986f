/* loss.h: objectives: from log-probs to d loss / d logp and d loss / d entropy (DESIGN section 9).
 *
 * The model lies behind it (DESIGN 8.2, seam 5): nothing here knows parameters. Per completion
 * token t of completion i, with l = log pi, lo = log pi_old, lb = log-prob of the policy that
 * sampled, lr = log pi of the reference, A = advantage of i, H = entropy of the distribution at t,
 * w = weight of a token of i:
 *
 *     rho  = exp(clamp(l - lo, -20, 20))
 *     u    = min(exp(clamp(lo - lb, -20, 20)), C), a constant; 1 where pi_old is what sampled
 *            with RATIO_SEQUENCE both differences are their means over the completion
 *     clip = clamp(rho, 1 - clip_low, 1 + clip_high)
 *     s    = OBJECTIVE_CLIP: min(rho A, clip A); with a dual clip c > 0 and A < 0: max(s, c A)
 *            OBJECTIVE_CISPO: clip A l, where clip is a constant
 *     k    = k1: l - lr    k2: (l - lr)^2 / 2    k3: r - (lr - l) - 1
 *            with r = exp(clamp(lr - l, -20, 20))
 *     loss += w (-u s + kl_coef k - entropy_coef H)   without k when the KL is in the reward
 *
 *     dlogp    = w (-A u rho active + kl_coef k'),   k' = k1: 1    k2: l - lr    k3: 1 - r
 *     active   = not (A > 0 and rho > 1 + clip_high, or A < 0 and rho < 1 - clip_low,
 *                or A < 0 and rho > c);  OBJECTIVE_CISPO: clip instead of rho active
 *     dentropy = -w entropy_coef
 *
 * With RATIO_SEQUENCE the sum over a completion of n tokens is n w (-u s), and d rho / dl = rho / n
 * at each of them: the gradient has the same form. (Shao et al. 2024, eq. 3 and 4; Schulman 2020
 * for k1 to k3; Ye et al. 2020 for the dual clip; Yao et al. 2025 for u, truncated importance
 * sampling; Zheng et al. 2025 for the sequence's ratio; MiniMax 2025 for CISPO.) A completion of
 * weight 0 is loss-masked: its gradients are exact zeros and it counts in no figure. Sums in
 * double, in token order. Pure; any thread.
 */
#ifndef COHORT_LEARNER_LOSS_H
#define COHORT_LEARNER_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "common/recipe/recipe.h"
#include "common/tensor/ops.h"

/* What the denominators of one update count: every scored completion of its groups, loss-masked
 * ones too. */
struct loss_count {
    double tokens, completions;
    uint32_t max_tokens; /* of the stage, for NORMALISE_FIXED */
};

/* Weight of a token of a completion of len tokens:
 *     NORMALISE_TOKEN     1 / tokens                      every token counts the same
 *     NORMALISE_SEQUENCE  1 / (completions len)           every completion counts the same
 *     NORMALISE_FIXED     1 / (completions max_tokens)    the sum over tokens, in units of the
 * limit */
double loss_weight(enum normalise_kind kind, const struct loss_count *c, uint32_t len);

struct loss_completion {
    uint32_t len;
    double advantage, weight;
};

/* Arrays over the completion tokens, in order. */
struct loss_tokens {
    const float *logp;
    const float *old;       /* NULL: logp itself, the first update of a step */
    const float *behaviour; /* NULL: it is old, and u is 1 */
    const float *entropy;   /* NULL: not measured; needed when entropy_coef is not 0 */
    const float *reference; /* NULL: no KL; needed when kl_coef is not 0 */
};

/* Parts of the loss as they enter it, and sums over trained tokens behind the metrics. Adding the
 * structs of the slices of a batch field by field (..._max: maximum) gives the batch's. */
struct loss_parts {
    double surrogate, kl, entropy, loss;        /* weighted; loss = their sum */
    double tokens;                              /* trained: weight > 0 */
    double sum_entropy, sum_kl_old, sum_kl_ref; /* kl_old: lo - l; kl_ref: k3 whatever the option */
    double clipped_low, clipped_high, ratio_max; /* tokens; ratio_max 0 without tokens */
    double sum_gap, gap_max;       /* |lo - lb|; 0 where u is 1 by definition, as the next two */
    double sum_importance, capped; /* of u; tokens whose u is C */
};

void loss_parts_add(struct loss_parts *to, const struct loss_parts *from);

/* dlogp and dentropy are overwritten; dentropy may be NULL when entropy_coef is 0. */
void loss_policy(const struct recipe_loss *o, const struct ops *ops,
    const struct loss_completion *completions, size_t n, const struct loss_tokens *in, float *dlogp,
    float *dentropy, struct loss_parts *ret);

/* What the KL takes from a completion's reward: kl_coef times the sum of k over its n tokens. */
double loss_kl_penalty(const struct recipe_loss *o, const struct ops *ops, const float *logp,
    const float *reference, size_t n);

/* Next-token likelihood, for pretraining: loss = -weight sum logp. sum_entropy, ratio and clip stay
 * 0. */
void loss_likelihood(const struct loss_completion *completions, size_t n, const float *logp,
    float *dlogp, struct loss_parts *ret);

#endif
