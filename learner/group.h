/* group.h: from the stored groups of a step to training data (DESIGN section 9).
 *
 * The rules, pinned by tests:
 * - unscored completions (a permanent fault of the judge) are out of mean, std and every
 * denominator;
 * - with the KL in the reward, the advantage is that of the rewards less their penalties; what is
 * tied is decided by the task's rewards all the same;
 * - a tied group (max = min of the reward over its scored completions) has advantage exactly 0; it
 * is left out (no forward, no denominator), or kept when keep_tied; one without a scored completion
 * is always out. Kept ones may have an advantage by their penalties, or against the whole step
 * (ADVANTAGE_BATCH);
 * - a truncated completion keeps its reward in mean and std; with mask_truncated it is loss-masked:
 * no gradient, but the denominators keep its count. Pure; what it makes borrows from the stored
 * groups.
 */
#ifndef COHORT_LEARNER_GROUP_H
#define COHORT_LEARNER_GROUP_H

#include <stdint.h>

#include "common/base/mem.h"
#include "common/model/train.h"
#include "learner/advantage.h"
#include "learner/loss.h"
#include "learner/service.h"

struct step_group {
    const struct stored_group *stored; /* borrowed */
    struct advantage_stats stats;
    double *advantage;      /* stored->n; NAN where unscored */
    int32_t minibatch;      /* -1: left out */
    const float *reference; /* log-probs of its tokens, or NULL; of step_groups.reference */
};

/* What the KL to the reference takes from the rewards of a step. */
struct step_kl {
    double *penalty;  /* of each completion, in order; owned */
    float *reference; /* log-prob of each of their tokens, in order; owned */
};

struct step_groups {
    struct step_group *groups; /* in plan order */
    size_t count, used;        /* used: minibatch >= 0 */
    uint32_t minibatches;
    struct arena *arena; /* owns all of it but */
    float *reference;    /* of the KL in the reward, owned; NULL without */
};

/* kl: NULL when the KL is not in the reward; else it is emptied. */
void step_groups_make(const struct recipe *r, uint32_t stage, uint32_t step,
    const struct stored_group *groups, size_t count, struct step_kl *kl, struct step_groups *ret);
void step_groups_done(struct step_groups *s);

/* One update's data: the completions that are forwarded, in plan order. */
struct minibatch {
    struct train_group *groups;
    size_t group_count;
    struct loss_completion *completions; /* of all groups, in order */
    size_t completion_count;
    float *behaviour; /* log-probs of all tokens as sampled, in order */
    float *old;       /* of pi_old: behaviour, or NULL when it is to be recomputed */
    float *reference; /* of the reference, or NULL when it is to be computed if needed */
    size_t token_count;
    struct loss_count count; /* the denominators */
};

/* Memory comes from s->arena. group_count 0: nothing to learn from, no update. */
void minibatch_make(const struct recipe_stage *st, const struct step_groups *s, int32_t number,
    struct minibatch *ret);

#endif
