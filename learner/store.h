/* store.h: RUN/run.db and RUN/samples: the only user of SQLite in the learner.
 *
 * One read-write connection, which also checkpoints the WAL (two writers may corrupt it in
 * SQLite 3.40, and closing a second handle would drop the first one's locks); everybody else opens
 * run.db read-only. store_apply is G1's order: append to the segment, sync, commit; the caller
 * replies afterwards.
 *
 * After any failure the connection and the segment are closed, and the next call opens them again
 * by the code of a restart: nothing of a failed attempt is trusted. ERR_RETRY: disk full, I/O
 * error, locked by somebody: the same call may succeed later. Other codes: it never will.
 *
 * Owner: one thread at a time (store_open's, then the store thread). Blocking.
 */
#ifndef COHORT_LEARNER_STORE_H
#define COHORT_LEARNER_STORE_H

#include "common/text/tokenizer.h"
#include "learner/rows.h"
#include "learner/service.h"
#include "learner/snapshot.h"

enum {
    STORE_APPLICATION_ID = 0x436f4852, /* "CoHR": file(1) and sqlite3 tell whose database it is */
    STORE_WAL_ALARM_MIB = 256,         /* a reader that holds an old snapshot lets the WAL grow */
    STORE_WAL_KEEP_MIB = 16,           /* what a checkpoint leaves of the file */
    STORE_CHECKPOINT_PAGES = 1000,     /* of the WAL, between automatic checkpoints */
    STORE_BUSY_MS = 2000,              /* somebody else holds a lock */
};

struct store_stage {
    const char *name, *kind;
    uint32_t steps;
};

struct store_options { /* everything is copied but the tokenizer */
    const char *run_dir;
    const char *name;
    uint64_t seed;
    const char *config, *build, *model_config, *training_id;
    struct hash numerics_id;
    bool accept_numerics;              /* another numerics id than the run's becomes the run's */
    const struct tokenizer *tokenizer; /* borrowed */
    const struct store_stage *stages;
    size_t stage_count;
    const char *const *scorers; /* names, in recipe order */
    size_t scorer_count;
    const struct scorer_spec *scorer_specs; /* borrowed; for grade inputs */
    uint32_t wal_alarm_mib;                 /* 0: STORE_WAL_ALARM_MIB */
    uint64_t segment_bytes;                 /* 0: SEGMENT_BYTES_MAX */
    bool prune_samples;                     /* of steps before the oldest kept checkpoint */
};

struct store;

/* Opens or creates. A new run gets its rows; an old one must agree with the options (ERR_CONFIG
 * naming both values). Counts the epoch up and sets the state to running. */
int store_open(const struct store_options *o, struct store **ret, struct err *e) ERR_WARN_UNUSED;
void store_close(struct store *s);

int store_apply(struct store *s, const struct batch *b, struct err *e) ERR_WARN_UNUSED;
int store_snapshot(struct store *s, struct snapshot *ret, struct err *e) ERR_WARN_UNUSED;

/* ---- reading, for the stage thread ---- */

/* Ids of the groups and tasks that a plan names already, 0 where there is none. A planned group
 * whose other fields differ from the item is ERR_FAIL. */
int store_find_plan(struct store *s, const struct plan_item *plan, size_t n, uint64_t *ret_groups,
    uint64_t *ret_tasks, struct err *e) ERR_WARN_UNUSED;
int store_read_groups(struct store *s, const uint64_t *groups, size_t n, struct stored_groups **ret,
    struct err *e) ERR_WARN_UNUSED;
int store_find_groups(struct store *s, uint32_t stage, uint32_t step, enum purpose purpose,
    enum sample_mode mode, uint64_t **ret, size_t *ret_count, struct err *e) ERR_WARN_UNUSED;
int store_resume_state(struct store *s, struct resume_state *ret, struct err *e) ERR_WARN_UNUSED;
int store_stage_row(
    struct store *s, uint32_t stage, struct stage_row *ret, struct err *e) ERR_WARN_UNUSED;
int store_step_row(struct store *s, uint32_t stage, uint32_t step, struct step_row *ret,
    struct err *e) ERR_WARN_UNUSED;
int store_metric(struct store *s, uint32_t stage, uint32_t step, const char *name, double *ret,
    struct err *e) ERR_WARN_UNUSED; /* 1: found, 0: none */
int store_versions(
    struct store *s, struct version_row **ret, size_t *ret_count, struct err *e) ERR_WARN_UNUSED;

/* ---- reading, for blobs ---- */

/* Packs the grade input of a job: the task, the scorers and the exact texts of its completions. */
int store_grade_input(
    struct store *s, uint64_t job, struct buf *out, struct err *e) ERR_WARN_UNUSED;

/* A version's file as the tables know it. ERR_LIMIT when there is none (any more). */
struct version_file {
    char path[256]; /* relative to RUN */
    struct hash digest;
    uint64_t bytes;
};
int store_version_file(
    struct store *s, uint64_t version, struct version_file *ret, struct err *e) ERR_WARN_UNUSED;

#endif
