/* presets.h: published methods by name, as defaults of the options that a grpo stage has.
 *
 * A preset says what its method's objective is and no more: an option that the run file gives wins,
 * and --print-config shows "preset NAME" as the origin of the others. r1-zero is the exception that
 * DESIGN section 9 asks for: the paper's batch and learning rate come with it. Pure; any thread.
 */
#ifndef COHORT_RECIPE_PRESETS_H
#define COHORT_RECIPE_PRESETS_H

#include "common/recipe/recipe.h"

enum { PRESET_NOTES_MAX = 2 };

/* Before config_check: suggests the defaults of the preset that [learner] names, to [sampling] and
 * to every grpo stage. A name that is none is left for config_check to refuse. */
void preset_apply(struct config *c);

/* Where a recipe with this preset differs from the published method, each as half a sentence;
 * returns how many. A person is told at the start. */
size_t preset_notes(const struct recipe *r, const char *ret[PRESET_NOTES_MAX]);

#endif
