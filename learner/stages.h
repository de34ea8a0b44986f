/* stages.h: a run's recipe, executed: the work of the stage thread.
 *
 * How it works. The stages of the recipe run in order. A stage begins with a commit that marks it
 * started and plans its first groups; each step computes new parameters, makes the weights file
 * (and a checkpoint, when due) durable, and commits steps, groups, metrics, version, checkpoint and
 * the next plan at once; a stage ends when its evaluations are stored, its gate is passed and
 * RUN/models/STAGE is written. A resume loads the newest sound checkpoint and computes the
 * committed steps after it again from stored groups, comparing each digest with the committed one
 * (G4); nothing that is stored is sampled or evaluated again.
 *
 * One thread calls stages_run; stages_request_stop is for any thread.
 */
#ifndef COHORT_LEARNER_STAGES_H
#define COHORT_LEARNER_STAGES_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/recipe/recipe_files.h"
#include "learner/service.h"

struct stages;

struct stages_options { /* all borrowed */
    const char *run_dir;
    const struct recipe *recipe;
    const struct recipe_model *model; /* its parameters are version 0; read by stages_new alone */
    struct service *service;
    struct hash numerics_id;
    const char *training_id;
    bool accept_training_id;    /* go on from a checkpoint of another training id */
    const char *const *changes; /* options that changed since the last start: one event each */
    size_t change_count;
};

int stages_new(const struct stages_options *o, struct stages **ret, struct err *e) ERR_WARN_UNUSED;
void stages_free(struct stages *s);

/* Stage thread. 0: every stage is finished. ERR_INTERRUPTED: asked to stop, everything committed is
 * durable. Other codes: the run failed, the message says why. */
int stages_run(struct stages *s, struct err *e) ERR_WARN_UNUSED;

/* Any thread. The stage thread will stop at the next step boundary, with a checkpoint. Returns true
 * when it waits for workers now and would not get there: then service_stop ends the wait, and
 * nothing is lost. */
bool stages_request_stop(struct stages *s);

#endif
