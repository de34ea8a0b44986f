/* snapshot.h: what the hub starts from: the unfinished part of the tables, and the counters.
 *
 * Made by the store at start and again after a failed commit (the same code), and by the simulation
 * from its in-memory tables. Plain data, owned by one arena.
 */
#ifndef COHORT_LEARNER_SNAPSHOT_H
#define COHORT_LEARNER_SNAPSHOT_H

#include "learner/rows.h"

/* Ended leases that the hub remembers, to tell "the same result again" from "another result". As
 * many as can be live at once; of an older one only STALE_LEASE is known. */
enum { LEASES_REMEMBERED = LIMIT_WORKERS * LIMIT_LEASES_PER_WORKER };

struct snapshot_group { /* not scored yet */
    uint64_t id, ordinal, version;
    enum purpose purpose;
    uint32_t stage, n, max_tokens;
    float temperature;
    enum weights_type weights_type;
    enum group_state state;
    uint32_t jobs; /* numbers given to its jobs so far */
    const uint32_t *prompt;
    uint32_t prompt_len;
    const double *reward; /* n when sampled, NAN where there is none; else NULL */
};

struct snapshot_job { /* not done yet */
    uint64_t id;
    enum job_kind kind;
    uint32_t attempts, faults;
    const uint32_t *members; /* member_count, or all when 0 */
    uint32_t member_count;
};

struct snapshot_lease { /* live, or among the last LEASES_REMEMBERED */
    uint64_t id, job;
    const char *worker;
    enum lease_outcome outcome;
    struct hash result;
};

struct snapshot_version {
    uint64_t version;
    struct hash digest;
};

struct snapshot_worker {
    const char *name;
    enum frame_role role;
};

struct snapshot {
    struct arena *arena; /* owned */
    uint32_t epoch;
    uint64_t commits; /* of the stage thread, over the whole run */
    uint64_t last_group, last_task, last_lease;
    const struct snapshot_group *groups; /* by id */
    size_t group_count;
    const struct snapshot_job *jobs; /* by id */
    size_t job_count;
    const struct snapshot_lease *leases; /* by id */
    size_t lease_count;
    const struct snapshot_version *versions; /* ascending; those with a file */
    size_t version_count;
    const struct snapshot_worker *workers; /* all */
    size_t worker_count;
};

void snapshot_done(struct snapshot *s);

#endif
