/* reward.h: how the components of a completion become its reward. One rule for the learner,
 * `cohort grade`, `eval` and `explain`.
 *
 * The reward is the weighted sum of the components that count. A component says when it counts:
 * always, or only when the primary scorer's verdict is pass, or only when it is not. So a shaping
 * scorer cannot pay for a wrong answer (Kimi k1.5, arXiv 2501.12599: short answers are rewarded
 * only when right; Yeo et al., arXiv 2502.03373: one length curve for right answers, another for
 * wrong ones). Pure; any thread.
 */
#ifndef COHORT_RECIPE_REWARD_H
#define COHORT_RECIPE_REWARD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/words.h"

enum reward_when { REWARD_ALWAYS, REWARD_PASS, REWARD_FAIL, REWARD_WHEN_COUNT };

const char *reward_when_name(enum reward_when w); /* "always", "pass", "fail" */
int reward_when_parse(const char *name);          /* -1 when unknown */

struct reward_term {
    double weight; /* 0: shown, not counted */
    bool primary;  /* its verdict is the completion's; exactly one of a sum is */
    enum reward_when when;
};

struct reward_part {
    const struct reward_term *term;
    bool has_value; /* false: a judge's fault */
    double value;
    enum verdict verdict;
};

/* Whether a part of the sum counts. The primary always does. */
bool reward_counts(const struct reward_part *part, const struct reward_part *parts, size_t n);

/* The sum in the order of parts, or NAN when a part that matters has no value: the primary, or one
 * that counts with a weight other than 0. */
double reward_sum(const struct reward_part *parts, size_t n);

#endif
