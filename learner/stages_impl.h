/* stages_impl.h: the state of the stage thread, shared by the files stages*.c alone. */
#ifndef COHORT_LEARNER_STAGES_IMPL_H
#define COHORT_LEARNER_STAGES_IMPL_H

#include <stdatomic.h>

#include "learner/checkpoint.h"
#include "learner/corpus.h"
#include "learner/metrics.h"
#include "learner/preflight.h"
#include "learner/stages.h"
#include "learner/step.h"

struct stages {
    struct stages_options o;
    struct trainer *trainer; /* owned */
    struct params scratch;   /* owned: for reading weights files */
    uint64_t updates;        /* over the run, behind the trainer's parameters */

    bool has_version; /* some version is committed; last_version is the newest one */
    uint64_t last_version;
    uint64_t *checkpoints; /* owned: updates of those committed and on disk, ascending */
    size_t checkpoint_count;
    bool has_checkpoint_version; /* the newest checkpoint's parameters are this version */
    uint64_t checkpoint_version;

    int stop_fd; /* eventfd, readable once a stop was asked for */
    atomic_bool stop, waiting;

    /* the stage that runs */
    uint32_t stage;
    const struct recipe_stage *st;
    uint64_t first_version;     /* B: what it started at */
    struct corpus *data, *eval; /* owned; eval NULL without evaluation */
    double best_greedy;         /* of its evaluations so far; NAN before the first */
    struct step_context context;
    struct preflight_data preflight;
    double completions_per_s; /* of the last wait for workers; NAN before one */
};

/* ---- stages.c ---- */

/* Asked to stop? Fills e with ERR_INTERRUPTED when so. */
bool stages_stopping(struct stages *s, struct err *e);

/* Waits for groups in such a way that stages_request_stop knows of it. */
int stages_wait(struct stages *s, const uint64_t *groups, size_t n, struct err *e) ERR_WARN_UNUSED;

/* Remembers how fast `completions` came in a wait of `seconds`; one that was over at once says
 * nothing. */
void stages_note_speed(struct stages *s, double completions, double seconds);

/* After a transient failure of the disk: logs it and waits a little; 0 to try again. */
int stages_pause(struct stages *s, const struct err *failure, struct err *e) ERR_WARN_UNUSED;

int stages_event(struct stages *s, const char *level, const char *kind, const char *message,
    struct err *e) ERR_WARN_UNUSED;

/* ---- stages_resume.c ---- */

/* Puts the trainer where the newest sound checkpoint is, or where the run begins. ret_stage and
 * ret_step: the first step to do. */
int stages_resume(
    struct stages *s, uint32_t *ret_stage, uint32_t *ret_step, struct err *e) ERR_WARN_UNUSED;

/* ---- stages_step.c ---- */

int stages_begin(
    struct stages *s, struct err *e) ERR_WARN_UNUSED; /* the commit that starts the stage */
int stages_step(struct stages *s, uint32_t step, struct err *e) ERR_WARN_UNUSED;
/* Version of the parameters after `done` steps of the stage. */
int stages_version_after(
    struct stages *s, uint32_t done, uint64_t *ret, struct err *e) ERR_WARN_UNUSED;

/* ---- stages_files.c ----
 *
 * What is written is the trainer's parameters. While the disk is full these wait and try again. */

/* The weights file of a version; digest: of the parameters. */
int stages_publish(struct stages *s, uint64_t version, const struct hash *digest,
    uint64_t *ret_bytes, struct err *e) ERR_WARN_UNUSED;
/* Writes the weights file of a version again when the database names it and it is gone. */
int stages_ensure_file(struct stages *s, uint64_t version, struct err *e) ERR_WARN_UNUSED;
/* After `done` steps of the stage. */
int stages_write_checkpoint(struct stages *s, uint32_t done, const struct hash *digest,
    struct hash *ret_manifest, struct err *e) ERR_WARN_UNUSED;
/* The stage's result as a model directory. */
int stages_write_model(struct stages *s, struct err *e) ERR_WARN_UNUSED;
/* Removes the weights that nothing needs once `newest` is committed, for the commit that says so;
 * the caller frees *ret. */
int stages_prune_versions(struct stages *s, uint64_t newest, uint64_t **ret, size_t *ret_count,
    struct err *e) ERR_WARN_UNUSED;
/* Removes the oldest checkpoint beyond the number to keep, for the commit that says so: *ret_count
 * is 0 or 1. */
int stages_prune_checkpoint(
    struct stages *s, uint32_t *ret, size_t *ret_count, struct err *e) ERR_WARN_UNUSED;

/* ---- stages_summary.c ---- */

/* What the trainer holds when it steps over the stage's largest batches, and the copy of the
 * parameters for reading weights files. */
struct trainer_memory stages_memory(const struct stages *s);
void stages_log_summary(const struct stages *s, uint32_t from);

/* ---- stages_preflight.c ---- */

/* Before a grpo stage plans anything: what needs no worker. Nothing once its first step is done. */
int stages_preflight_data(struct stages *s, struct err *e) ERR_WARN_UNUSED;
/* On the scored groups of its first step, before the first update. */
int stages_preflight_groups(struct stages *s, const struct stored_group *groups, size_t count,
    struct err *e) ERR_WARN_UNUSED;

/* ---- stages_eval.c ---- */

/* The evaluation after `done` steps, unless it is not due or stored already. */
int stages_evaluate(struct stages *s, uint32_t done, struct err *e) ERR_WARN_UNUSED;
/* Best greedy accuracy of the stage's evaluations before `done`, for the alarm. */
int stages_recall_best(struct stages *s, uint32_t done, struct err *e) ERR_WARN_UNUSED;
/* Gate, model directory, mark. */
int stages_finish(struct stages *s, struct err *e) ERR_WARN_UNUSED;

#endif
