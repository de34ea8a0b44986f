/* rows.h: effects on the tables, as plain structs: what the hub decides and the store applies.
 *
 * A batch collects the rows and the outputs of several hub steps. Its rows become durable together;
 * only then do its outputs (replies, wake-ups) leave (G1). Everything a row points to lives in the
 * batch's arena. Pure; a batch belongs to one thread at a time.
 */
#ifndef COHORT_LEARNER_ROWS_H
#define COHORT_LEARNER_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/words.h"
#include "learner/words.h"
#include "proto/codec.h"

/* ---- rows ---- */

enum row_kind {
    ROW_RUN_STATE,
    ROW_RUN_COMMITS,
    ROW_STAGE_MARK,
    ROW_VERSION,
    ROW_VERSION_PRUNED,
    ROW_STEP,
    ROW_STEP_GROUP,
    ROW_CHECKPOINT,
    ROW_CHECKPOINT_PRUNED,
    ROW_METRIC,
    ROW_TASK,
    ROW_GROUP,
    ROW_GROUP_SAMPLED,
    ROW_GROUP_SCORED,
    ROW_JOB,
    ROW_JOB_STATE,
    ROW_LEASE,
    ROW_LEASE_END,
    ROW_WORKER_UP,
    ROW_WORKER_SEEN,
    ROW_REWARD,
    ROW_SCORE,
    ROW_EVENT,
    ROW_KIND_COUNT
};

struct row_run_state {
    const char *state, *why;
};

struct row_stage_mark {
    uint32_t stage;
    enum stage_mark mark;
    bool has_version;
    uint64_t first_version;
};

struct row_version {
    uint64_t version;
    uint32_t stage, updates;
    bool has_step;
    uint32_t step;
    struct hash digest;
    const char *path;
    uint64_t bytes;
};

struct row_step {
    uint32_t stage, step, updates, groups;
    bool has_version;
    uint64_t version, tokens, wall_ms;
    struct hash digest;
};

struct row_step_group {
    uint64_t group;
    uint32_t stage, step, lag;
    int32_t minibatch;
    const double *advantage; /* n, NAN where there is none */
    uint32_t n;
};

struct row_checkpoint {
    uint32_t updates, stage, step;
    const char *path;
    struct hash manifest, digest;
};

struct row_metric {
    uint32_t stage, step;
    const char *name;
    double value;
};

struct row_task {
    uint64_t id, row;
    const char *data, *row_key, *prompt, *answer, *json; /* answer may be NULL */
    const uint32_t *prompt_ids;
    uint32_t prompt_len;
};

struct row_group {
    uint64_t id, task, ordinal, version;
    enum purpose purpose;
    enum sample_mode mode;
    uint32_t stage, step, wave, slot, n, max_tokens;
    float temperature;
    enum weights_type weights_type;
};

struct row_group_sampled {
    uint64_t group;
    const char *worker;
    struct hash weights, numerics_id;
    const struct completion *completions;
    uint32_t n;
    uint64_t sample_us;
};

struct row_group_scored {
    uint64_t group;
    uint32_t scored;  /* completions with a reward */
    double mean, std; /* NAN with fewer than 1, 2 of them */
    bool tied;
};

struct row_job { /* a new one is ready, with no attempts */
    uint64_t id, group;
    enum job_kind kind;
    const uint32_t *members; /* member_count, or all when 0 */
    uint32_t member_count, faults;
};

struct row_job_state {
    uint64_t id;
    enum job_state state;
    uint32_t attempts, faults;
    const uint32_t *members; /* the new ones; NULL: as before */
    uint32_t member_count;
};

struct row_lease {
    uint64_t id, job;
    const char *worker;
    uint32_t epoch;
};

struct row_lease_end {
    uint64_t id;
    enum lease_outcome outcome;
    struct hash result; /* LEASE_SUBMITTED */
};

struct row_worker_up {
    const char *name, *host, *build;
    enum frame_role role;
    bool has_numerics;
    struct hash numerics_id;
};

struct row_worker_seen {
    const char *name;
    enum worker_state state;
    uint32_t jobs;   /* submitted since the last such row */
    uint64_t tokens; /* sampled since then */
};

struct row_reward {
    uint64_t group;
    uint32_t index;
    double reward; /* NAN: unscored */
    enum verdict verdict;
};

struct row_score {
    uint64_t group, lease, wall_us;
    uint32_t index;
    const char *scorer, *worker, *reason, *extracted, *isolation;
    double value; /* NAN: none */
    enum verdict verdict;
    enum score_fault fault;
};

struct row_event {
    enum event_level level;
    const char *kind, *subject, *message;
};

struct row {
    enum row_kind kind;
    union {
        struct row_run_state run_state;
        uint64_t run_commits;
        struct row_stage_mark stage_mark;
        struct row_version version;
        uint64_t version_pruned;
        struct row_step step;
        struct row_step_group step_group;
        struct row_checkpoint checkpoint;
        uint32_t checkpoint_pruned;
        struct row_metric metric;
        struct row_task task;
        struct row_group group;
        struct row_group_sampled group_sampled;
        struct row_group_scored group_scored;
        struct row_job job;
        struct row_job_state job_state;
        struct row_lease lease;
        struct row_lease_end lease_end;
        struct row_worker_up worker_up;
        struct row_worker_seen worker_seen;
        struct row_reward reward;
        struct row_score score;
        struct row_event event;
    };
};

/* ---- outputs ---- */

/* The way back to the peer that sent a request. The hub copies it and never looks inside. */
struct hub_peer {
    uint32_t len;
    uint8_t bytes[64];
    uint64_t request_id;
};

enum out_kind {
    OUT_REPLY,      /* msg to peer */
    OUT_COMMITTED,  /* the stage thread's commit; groups: ids of its plan */
    OUT_SCORED,     /* every group that the stage thread waits for is scored */
    OUT_FAILED,     /* the stage thread's request breaks a rule; text says which */
    OUT_INPUT_WANT, /* build the grade input of job */
    OUT_INPUT_DROP, /* the grade input of job is not needed any more */
    OUT_DRAINED,    /* the last session said goodbye while draining */
};

struct out {
    enum out_kind kind;
    union {
        struct {
            struct hub_peer peer;
            uint64_t session, sequence;
            const struct msg *msg;
        } reply;
        struct {
            const uint64_t *groups;
            size_t count;
        } committed;
        const char *failed;
        uint64_t job;
    };
};

struct batch {
    struct arena *arena; /* owned */
    struct row *rows;    /* owned */
    size_t row_count, row_cap;
    struct out *outs; /* owned */
    size_t out_count, out_cap;
};

void batch_init(struct batch *b);
void batch_done(struct batch *b);
bool batch_empty(const struct batch *b);

/* A new zeroed row or output of that kind, valid until the next one is added. */
struct row *batch_row(struct batch *b, enum row_kind kind);
struct out *batch_out(struct batch *b, enum out_kind kind);
void batch_event(struct batch *b, enum event_level level, const char *kind, const char *subject,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void *batch_alloc(struct batch *b, size_t bytes);
void *batch_dup(struct batch *b, const void *p, size_t bytes); /* NULL for no bytes */
const char *batch_strdup(struct batch *b, const char *s);      /* NULL stays NULL */

#endif
