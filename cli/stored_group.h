/* stored_group.h: one group as a run stored it: its row, its task's prompt, and its samples out of
 * RUN/samples. One thread.
 */
#ifndef COHORT_CLI_STORED_GROUP_H
#define COHORT_CLI_STORED_GROUP_H

#include "cli/stored_run.h"
#include "common/base/rng.h"
#include "common/base/words.h"
#include "proto/codec.h"

struct stored_place {
    uint32_t segment;
    uint64_t offset, length;
};

struct stored_group {
    uint64_t id, task, ordinal, version;
    enum purpose purpose;
    bool greedy, sampled, scored, pruned; /* pruned: place is no more */
    uint32_t stage, step, slot, n, max_tokens;
    float temperature;
    enum weights_type weights_type;
    char *stage_name;       /* owned */
    char *worker;           /* owned; "" before it is sampled */
    const uint32_t *prompt; /* in arena */
    uint32_t prompt_len;
    struct rng_key key;
    struct hash weights, numerics_id; /* when sampled */
    struct stored_place place;        /* when sampled */
    struct completion *completions;   /* n, after stored_group_samples; stop is from the tables */
    struct arena *arena;              /* owned */
};

/* ERR_DATA when there is no such group; the message says which there are. */
int stored_group_open(const struct stored_run *r, uint64_t id, struct stored_group *ret,
    struct err *e) ERR_WARN_UNUSED;
void stored_group_close(struct stored_group *g);

/* Reads the group's record and its stop reasons. ERR_DATA when it is not there any more, or is not
 * what was written. */
int stored_group_samples(
    const struct stored_run *r, struct stored_group *g, struct err *e) ERR_WARN_UNUSED;

#endif
