/* hub_model.h: run.db as a few arrays in memory: applies batches like the store, and checks with
 * every row what the tables' constraints and the guarantees G1 and G2 demand. What breaks one ends
 * the test. */
#ifndef COHORT_TESTS_HUB_MODEL_H
#define COHORT_TESTS_HUB_MODEL_H

#include "learner/idmap.h"
#include "learner/rows.h"
#include "learner/snapshot.h"

struct model_group {
    struct row_group row;
    uint32_t *prompt; /* owned */
    uint32_t prompt_len;
    enum group_state state;
    uint32_t jobs;
    double *reward;      /* owned; n */
    bool *settled;       /* owned; n */
    uint32_t *scores;    /* owned; n: score rows */
    struct hash sampled; /* of the first completion's tokens: what was stored */
    bool in_step;
};

struct model_job {
    uint64_t id;
    enum job_kind kind;
    enum job_state state;
    uint32_t attempts, faults;
    uint32_t *members; /* owned; NULL: all */
    uint32_t member_count;
    uint64_t live; /* lease, 0: none */
};

struct model_lease {
    uint64_t id, job;
    char *worker; /* owned */
    enum lease_outcome outcome;
    struct hash result;
};

struct model_task {
    uint32_t *prompt; /* owned */
    uint32_t prompt_len;
};

struct model {
    uint32_t epoch, scorers;
    uint64_t commits, last_group, last_task, last_lease;
    uint64_t submitted, ended; /* leases, for the story at the end */
    struct idmap groups, jobs, leases, tasks, versions, workers; /* owned values */
};

void model_init(struct model *m, uint32_t scorers);
void model_done(struct model *m);
void model_apply(struct model *m, const struct batch *b);
struct snapshot model_snapshot(const struct model *m);
struct model_group *model_group(const struct model *m, uint64_t id);
struct model_lease *model_lease(const struct model *m, uint64_t id);

#endif
