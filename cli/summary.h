/* summary.h: what a run has shown, read from its database: figures before and after, an example. */
#ifndef COHORT_CLI_SUMMARY_H
#define COHORT_CLI_SUMMARY_H

#include <stdio.h>

#include "cli/rundb.h"

/* The state of the run ("running", "stopped", "finished", "failed") and, of a failure, why. Both
 * are the caller's (free). */
int summary_state(
    struct rundb *db, char **ret_state, char **ret_why, struct err *e) ERR_WARN_UNUSED;

/* Compares the evaluations around the last stage that has any. program is how `cohort` was called,
 * for the commands it proposes. */
int summary_print(struct rundb *db, const char *program, FILE *out, struct err *e) ERR_WARN_UNUSED;

#endif
