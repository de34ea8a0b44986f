/* figures.h: counts and sums over scored groups: what the metrics of training and evaluation
 * divide.
 *
 * Sums run in group and completion order, in double. "Right" is a completion whose primary verdict
 * is pass; unscored completions count in `completions` and `unscored` only. Pure; any thread.
 */
#ifndef COHORT_LEARNER_FIGURES_H
#define COHORT_LEARNER_FIGURES_H

#include <stddef.h>

#include "learner/service.h"

struct figures {
    double completions, unscored, tokens;
    double thinking,
        think_tokens; /* completions with something between the think tags; tokens there */
    double truncated; /* stopped by max-tokens */
    double scored, reward;
    double right, tokens_right, tokens_wrong;
    double component[RECIPE_REWARDS_MAX],
        component_count[RECIPE_REWARDS_MAX]; /* values that are not NULL */

    double groups;       /* with at least one scored completion; what follows is over these */
    double groups_right; /* some completion right */
    double reward_std;   /* sum of the groups' n - 1 stds */
    double tied, tied_right, tied_wrong; /* all rewards equal; and all right; and none right */
    double pass_at_k; /* sum of unbiased pass@k, k = k of the call, groups with k scored */
    double pass_at_k_groups;
    double sample_us; /* time of the actors */
};

void figures_of(const struct stored_group *groups, size_t count, size_t rewards, unsigned k,
    struct figures *ret);

#endif
