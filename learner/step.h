/* step.h: what one step computes: from data to updated parameters, without I/O.
 *
 * The stages, the resume and the oracle of the tests go through the same two functions. Everything
 * they yield but durations follows from the trainer's state, the recipe and the arguments.
 */
#ifndef COHORT_LEARNER_STEP_H
#define COHORT_LEARNER_STEP_H

#include <stdint.h>

#include "common/base/hash.h"
#include "learner/corpus.h"
#include "learner/group.h"
#include "learner/trainer.h"

struct step_context {
    const struct recipe *recipe;
    uint32_t stage;
    struct trainer
        *trainer; /* its optimiser was reset when the stage began: its count is the stage's */
};

struct step_result {
    uint32_t
        updates; /* optimiser updates of this step: minibatches that held something to learn from */
    uint32_t groups; /* trained on */
    struct hash digest;
    struct loss_parts parts;              /* of all updates together */
    double loss, grad_norm, update_ratio; /* means over the updates; NAN without any */
    double lr;                            /* of the last update; NAN without any */
    double logp_gap; /* max |behaviour - recomputed|, groups of the step's own version; else NAN */
};

/* Reference and optimiser as they are when a stage begins. */
int step_begin_stage(const struct step_context *c, struct err *e) ERR_WARN_UNUSED;

/* One update on `batch` rows of demonstrations by next-token likelihood of the completions. */
int step_pretrain(const struct step_context *c, uint32_t step, const struct corpus *demos,
    struct step_result *ret, struct err *e) ERR_WARN_UNUSED;

/* The groups of a step with their advantages; with the KL in the reward that asks the reference. */
int step_groups_open(const struct step_context *c, uint32_t step, const struct stored_group *groups,
    size_t count, struct step_groups *ret, struct err *e) ERR_WARN_UNUSED;

/* Updates on the groups of a step. version: of the parameters as the step begins. */
int step_grpo(const struct step_context *c, uint32_t step, const struct step_groups *groups,
    uint64_t version, struct step_result *ret, struct err *e) ERR_WARN_UNUSED;

/* max |behaviour - recomputed| over one group under the parameters it was sampled from, rounded as
 * they were then. */
int step_gap(const struct step_context *c, const struct stored_group *group,
    const struct params *version, double *ret, struct err *e) ERR_WARN_UNUSED;

/* The same over groups that were sampled from the parameters as they are now. */
int step_gap_now(const struct step_context *c, const struct stored_group *groups, size_t count,
    double *ret, struct err *e) ERR_WARN_UNUSED;

#endif
