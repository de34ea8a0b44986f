/* outline.h: what a run file asks for, before anything is started: stages, completions, memory. */
#ifndef COHORT_CLI_OUTLINE_H
#define COHORT_CLI_OUTLINE_H

#include <stdio.h>

#include "common/recipe/recipe.h"

/* The shape of the model a recipe starts from: read from its config.json, or that of the random
 * model. */
int outline_model(const struct recipe *r, struct model_config *ret, struct err *e) ERR_WARN_UNUSED;

void outline_print(
    const struct recipe *r, const struct model_config *model, const char *run_dir, FILE *out);

#endif
