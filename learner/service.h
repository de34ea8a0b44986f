/* service.h: the learner's service side: sockets, hub and store, as the stage thread sees them.
 *
 * How it works. Three kinds of threads share a learner. The loop thread (libuv, main thread) owns
 * the sockets and the hub, a pure state machine of jobs, leases and workers. The store thread owns
 * the only connection to run.db and the segment files; it applies batches of row effects in order,
 * one batch in flight while the next fills, and replies leave when their batch is durable (G1). The
 * stage thread runs the recipe: it plans groups, waits for their scores, computes, and commits.
 * Everything it wants of the others goes through the calls below. Each blocks until its effects are
 * durable, survives transient store errors (disk full: it waits and tries again, with an alarm),
 * and answers ERR_INTERRUPTED once service_stop was called. They belong to the stage thread; the
 * others are marked.
 */
#ifndef COHORT_LEARNER_SERVICE_H
#define COHORT_LEARNER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/words.h"
#include "common/recipe/recipe.h"
#include "common/text/dataset.h"
#include "common/text/tokenizer.h"
#include "learner/words.h"

struct service;

struct service_options {
    const char *run_dir;
    const struct recipe *recipe;
    const char *config_text; /* effective, with origins: run.config */
    const struct tokenizer *tokenizer;
    const char *model_config; /* config.json */
    struct hash numerics_id;
    const char *training_id;
    bool accept_training_id; /* go on with another numerics id than the run's; an alarm event says
                                so */
};

/* Loop thread. Opens or creates run.db, takes back leases and jobs, binds the sockets under the
 * address directory and writes RUN/address. The caller holds the lock on RUN. */
int service_start(
    const struct service_options *o, struct service **ret, struct err *e) ERR_WARN_UNUSED;
/* Loop thread: serves until service_stop was called and the last replies left. */
void service_run(struct service *s);
/* The loop that service_run turns, for handles of the caller's own (signals, a control pipe). They
 * do not keep service_run from returning, and must be closed before service_close. */
struct uv_loop_s *service_loop(struct service *s);
/* Any thread, once: wakes blocked calls with ERR_INTERRUPTED; state is 'stopped', 'finished' or
 * 'failed' (why is stored). Workers are told to drain when the run is finished or failed. */
void service_stop(struct service *s, const char *state, const char *why);
/* Loop thread, after service_run returned and the stage thread was joined. */
void service_close(struct service *s);

/* ---- planning ---- */

/* A group to sample. (stage, step, purpose, mode, wave, slot) names it for ever. */
struct plan_item {
    enum purpose purpose;
    enum sample_mode mode;
    uint32_t stage, step, wave, slot;
    const char *data; /* [data NAME] */
    uint64_t row;
    const struct dataset_row *task; /* borrowed */
    const uint32_t *prompt;         /* rendered and encoded; borrowed */
    uint32_t prompt_len;
    uint64_t ordinal; /* of the RNG key; its domain follows from purpose, its stage is `stage` for
                         train, 0 for eval */
    uint64_t version;
    uint32_t n, max_tokens;
    float temperature; /* 0 for greedy */
    enum weights_type weights_type;
};

/* ---- one transaction ---- */

struct commit_version {
    uint64_t version;
    uint32_t updates;
    struct hash digest;
    const char *path; /* relative to RUN; complete and durable already */
    uint64_t bytes;
};

struct commit_step {
    uint32_t step, updates, groups;
    uint64_t tokens, wall_ms;
    struct hash digest;
};

struct commit_group { /* of the step */
    uint64_t group;
    int32_t minibatch; /* -1: tied and skipped */
    uint32_t lag;
    const double *advantage; /* n, NAN where there is none */
    uint32_t n;
};

struct commit_checkpoint {
    uint32_t updates, step; /* step: steps of the stage done */
    const char *path;
    struct hash manifest, digest;
};

struct commit_metric {
    const char *name;
    double value;
};

/* All that is set becomes durable together or not at all. NULL and 0 leave a part out. */
struct commit {
    uint32_t stage;
    enum stage_mark mark;
    const struct commit_version *version;
    const struct commit_step *step;
    const struct commit_group *groups;
    size_t group_count;
    const struct commit_checkpoint *checkpoint;
    uint32_t metrics_step; /* row key of the metrics */
    const struct commit_metric *metrics;
    size_t metric_count;
    const struct plan_item *plan;
    size_t plan_count;
    const uint64_t *pruned_versions; /* files already unlinked */
    size_t pruned_version_count;
    const uint32_t *pruned_checkpoints;
    size_t pruned_checkpoint_count;
    const char *event_level, *event_kind, *event_message; /* one event, or NULL */
};

/* Ids of planned groups (plan_count of them) go to ret_groups when not NULL; a group that is
 * already planned keeps its id, its other fields must agree (ERR_FAIL otherwise). */
int service_commit(
    struct service *s, const struct commit *c, uint64_t *ret_groups, struct err *e) ERR_WARN_UNUSED;

/* ---- waiting and reading ---- */

/* Blocks until every group is scored (or unscored for good). */
int service_wait_scored(
    struct service *s, const uint64_t *groups, size_t n, struct err *e) ERR_WARN_UNUSED;

struct stored_completion {
    const uint32_t *tokens;
    const float *logp;
    uint32_t len, think_tokens;
    enum stop_reason stop;
    bool scored; /* false: reward is NULL */
    double reward;
    enum verdict verdict;
    const double *component; /* one for each [reward NAME] in recipe order; NAN when NULL */
};

struct stored_group {
    uint64_t id, ordinal, version;
    uint32_t stage, step, slot;
    const uint32_t *prompt;
    uint32_t prompt_len, n;
    uint64_t task;
    struct stored_completion *completions;
    uint64_t sample_us;
};

struct stored_groups {
    struct stored_group *groups; /* in the order asked for */
    size_t count;
    struct arena *arena; /* owns everything above */
};

int service_read_groups(struct service *s, const uint64_t *groups, size_t n,
    struct stored_groups **ret, struct err *e) ERR_WARN_UNUSED;
void stored_groups_free(struct stored_groups *g);

/* Ids of the planned groups of (stage, step, purpose, mode) in (wave, slot) order: 0 of them when
 * not planned. */
int service_find_groups(struct service *s, uint32_t stage, uint32_t step, enum purpose purpose,
    enum sample_mode mode, uint64_t **ret, size_t *ret_count, struct err *e) ERR_WARN_UNUSED;

/* What a resume starts from. */
struct resume_state {
    uint32_t epoch;
    bool has_version;
    uint64_t last_version;
    bool has_checkpoint;
    uint32_t checkpoint_updates, checkpoint_stage, checkpoint_step;
    char checkpoint_path[256];
    struct hash checkpoint_manifest, checkpoint_digest;
};
int service_resume_state(
    struct service *s, struct resume_state *ret, struct err *e) ERR_WARN_UNUSED;

struct stage_row {
    bool started, finished, failed; /* failed: its gate was not passed */
    uint64_t first_version;
};
int service_stage(
    struct service *s, uint32_t stage, struct stage_row *ret, struct err *e) ERR_WARN_UNUSED;

struct step_row {
    bool committed, has_version;
    uint64_t version;
    uint32_t updates;
    struct hash digest;
};
int service_step(struct service *s, uint32_t stage, uint32_t step, struct step_row *ret,
    struct err *e) ERR_WARN_UNUSED;

/* Metrics of an evaluation already stored: returns 1 and the value, 0 when there is none. */
int service_metric(struct service *s, uint32_t stage, uint32_t step, const char *name, double *ret,
    struct err *e) ERR_WARN_UNUSED;

/* Versions with a file, oldest first, and whether a live lease or unfinished group needs each. */
struct version_row {
    uint64_t version;
    bool needed;
    char path[256];
};
int service_versions(
    struct service *s, struct version_row **ret, size_t *ret_count, struct err *e) ERR_WARN_UNUSED;

#endif
