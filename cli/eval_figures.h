/* eval_figures.h: what an evaluation reports, from its verdicts. Pure; any thread.
 *
 * - A completion that a judge's fault left unscored counts nowhere but in `unscored`.
 * - pass@1 is passes over scored completions, with its 95 % Wilson interval.
 * - pass@k is the unbiased estimator (Chen et al. 2021), over the tasks with k scored completions.
 * - maj@k: the answer that most of a task's scored completions give (the one seen first among
 *   equals) is right. Answers are compared as they were extracted, letter by letter; a completion
 *   without one has no vote. A task with scored completions and no vote counts as not right.
 * - Lengths are over all completions.
 */
#ifndef COHORT_CLI_EVAL_FIGURES_H
#define COHORT_CLI_EVAL_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/words.h"

struct eval_completion {
    bool scored, truncated;
    enum verdict verdict;
    uint32_t tokens;
    const char *extracted; /* borrowed, never NULL */
};

struct eval_figures {
    size_t tasks, completions, unscored, unscored_tasks; /* the last: no completion is scored */
    size_t verdicts[VERDICT_COUNT];
    double pass_1, low, high; /* NAN without a scored completion */
    double pass_k;            /* NAN without a task that has k scored */
    double maj_k;             /* NAN when no answer was extracted at all */
    double length, length_right, length_wrong, length_median; /* NAN over nothing */
    uint32_t length_max;
    double truncated; /* share */
};

/* completions: tasks x k, task by task. */
void eval_figures_of(
    const struct eval_completion *completions, size_t tasks, unsigned k, struct eval_figures *ret);

#endif
