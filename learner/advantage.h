/* advantage.h: group-relative advantages (DESIGN section 9). Pure; any thread.
 *
 * Sums run in index order in double. Unscored completions take no part: they are out of mean, std
 * and count, and their advantage is NAN.
 */
#ifndef COHORT_LEARNER_ADVANTAGE_H
#define COHORT_LEARNER_ADVANTAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/recipe/recipe.h"

struct advantage_stats {
    size_t scored;    /* completions with a reward */
    double mean, std; /* over the scored; std with n - 1, 0 below two */
    bool tied;        /* max == min over the scored; also with one or none of them */
};

/* ret_advantage[i] of n completions, those of a group, or of a whole step for ADVANTAGE_BATCH:
 * exactly 0 when they are tied, else
 *     ADVANTAGE_STD, ADVANTAGE_BATCH  (r - mean) / (std + 1e-6)
 *     ADVANTAGE_MEAN                  r - mean
 *     ADVANTAGE_LOO                   r - mean of the others = k / (k - 1) (r - mean), k scored */
struct advantage_stats advantage_of_group(enum advantage_kind kind, const double *reward,
    const bool *scored, size_t n, double *ret_advantage);

#endif
