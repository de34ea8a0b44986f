/* plan.h: which task, at which version, with which key: the pure part of planning (DESIGN section
 * 4, 1).
 *
 * Everything here is a function of (seed, stage, position) and the size of the data, so that a
 * resumed learner, an oracle and any number of actors agree. Pure; any thread.
 */
#ifndef COHORT_LEARNER_PLAN_H
#define COHORT_LEARNER_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* Row of the dataset of `rows` rows (> 0) that position `ordinal` of a stage gets: an epoch shows
 * each row once, in an order keyed by (seed, stage, epoch). */
uint64_t plan_row(uint64_t seed, uint32_t stage, uint64_t rows, uint64_t ordinal);

/* Ordinal of (step, slot), also the ordinal of its RNG key. */
uint64_t plan_ordinal(uint32_t step, uint32_t groups, uint32_t slot);

/* Ordinal of the RNG key of an evaluation's task: the same at every evaluation, so that figures of
 * two versions differ by the model alone. */
uint64_t plan_eval_ordinal(uint32_t data, uint64_t row);

/* Exact order (G3): step s of a stage that starts at version B uses groups of version B + max(0, s
 * - lag). */
uint64_t plan_version(uint64_t first_version, uint32_t lag, uint32_t step);

/* Steps whose groups are planned in the commit after which `done` steps of the stage are done (0:
 * its start). Returns how many, from *ret_first on; the pipeline drains at the stage's end. */
uint32_t plan_steps_after(uint32_t steps, uint32_t lag, uint32_t done, uint32_t *ret_first);

/* Minibatch of each of `used` groups (in plan order): whole groups by a keyed shuffle, sizes
 * differing by one at most. Some are empty when used < minibatches. */
void plan_minibatches(uint64_t seed, uint32_t stage, uint32_t step, uint32_t minibatches,
    size_t used, int32_t *ret_minibatch);

/* Slot of the one group of a step whose log-probs are compared under its own version. */
size_t plan_gap_group(uint64_t seed, uint32_t stage, uint32_t step, size_t groups);

#endif
