/* gold.h: gold answers before their own judge.
 *
 * The first tasks of a stage, in plan order, are answered by their reference, in the form that the
 * primary scorer looks for (inside its tag, or boxed), and that text is scored as a completion
 * would be. Where a scorer's gold text cannot be made from the reference (countdown), only whether
 * it can judge the task is asked. Scorers that look at the completion alone are left out, and those
 * that run programs: a learner runs none, `cohort run` does before it starts one (cli/gold.h).
 * Scored in this process: no worker takes part and nothing is stored.
 */
#ifndef COHORT_LEARNER_GOLD_H
#define COHORT_LEARNER_GOLD_H

#include "learner/corpus.h"
#include "learner/preflight.h"

/* tasks: of [stage]'s training data. */
int gold_check(const struct recipe *r, uint32_t stage, const struct corpus *tasks,
    struct preflight_gold *ret, struct err *e) ERR_WARN_UNUSED;

#endif
