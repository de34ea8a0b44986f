/* schedule.h: the learning rate of an update. Pure; any thread.
 *
 * Schedules count the optimiser updates of their stage, from 0. IEEE operations only: the same rate
 * on each build and host.
 */
#ifndef COHORT_LEARNER_SCHEDULE_H
#define COHORT_LEARNER_SCHEDULE_H

#include "common/recipe/recipe.h"

/* lr rises linearly over the first `warmup` updates (update 0 already learns: lr / warmup), then
 * stays, or falls to lr * lr_final at update total - 1 along a line or half a cosine. total:
 * updates of the stage if no minibatch is empty; later updates keep the final rate. */
double schedule_lr(const struct recipe_optim *o, uint64_t update, uint64_t total);

#endif
