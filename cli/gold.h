/* gold.h: reference programs before their own judge, before a run starts.
 *
 * The learner's preflight gives gold answers to the primary scorer itself (learner/gold.h), but
 * runs no programs. `cohort run` can: it has the scorers that its reward servers have, and their
 * boxes. So where a stage's primary scorer runs programs and its rows have solutions, it scores
 * some of them before the learner starts. Nothing is stored. Main thread, while the process has no
 * other.
 */
#ifndef COHORT_CLI_GOLD_H
#define COHORT_CLI_GOLD_H

#include <stdio.h>

#include "common/recipe/recipe.h"

enum {
    GOLD_PROGRAMS_MAX = 64, /* of a stage, spread over its rows */
    GOLD_SECONDS_MAX = 30,  /* of a stage; no program begins later */
};

/* One line to out for each stage looked at. ERR_DATA when more than half of a stage's programs do
 * not pass and its preflight is to stop. Without a sandbox it says so and looks at nothing. */
int gold_programs(const struct recipe *r, FILE *out, struct err *e) ERR_WARN_UNUSED;

#endif
