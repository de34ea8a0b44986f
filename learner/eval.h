/* eval.h: planning and reading an evaluation of held-out tasks.
 *
 * An evaluation samples `samples` completions of each task and one greedy one, pinned to one
 * version, with keys that do not depend on the step. It is never an input to training (a trigger of
 * the database and the domain of the keys see to it). Pure but for the service.
 */
#ifndef COHORT_LEARNER_EVAL_H
#define COHORT_LEARNER_EVAL_H

#include "learner/corpus.h"
#include "learner/metrics.h"
#include "learner/service.h"

/* Whether the stage is evaluated when `done` of its steps are done: 0 is before it. */
bool eval_due(const struct recipe_stage *st, uint32_t done);

/* Groups of the evaluation after `done` steps, sampled ones first: free() the list; it borrows from
 * the corpus and the recipe. */
struct plan_item *eval_plan(const struct recipe *r, uint32_t stage, uint32_t done,
    const struct corpus *tasks, uint64_t version, size_t *ret_count);

/* Reads the scored groups of ids (in the order of eval_plan) and adds the metrics. seconds: that
 * the wait for them took. */
int eval_collect(struct service *s, const struct recipe *r, uint32_t stage, const uint64_t *ids,
    size_t count, double seconds, struct metric_list *l, struct err *e) ERR_WARN_UNUSED;

/* Checks the gate of a stage on its metrics: ERR_FAIL says which value, its range and what it
 * means. */
int eval_gate(
    const struct recipe_stage *st, const struct metric_list *l, struct err *e) ERR_WARN_UNUSED;

#endif
