/* service_fake.h: service.h over tables in memory, for tests of the stages without sockets or a
 * database.
 *
 * Groups are "sampled" when they are waited for: tokens, log-probs and rewards are a pure function
 * of the group's key and version. Every commit is checked against the rules that the real service
 * relies on; a broken one fails the test. A crash can be arranged before or after the n-th commit;
 * the tables stay, so that a second stages object over the same fake is the restarted learner.
 */
#ifndef COHORT_TESTS_SERVICE_FAKE_H
#define COHORT_TESTS_SERVICE_FAKE_H

#include "learner/service.h"

struct fake_group {
    struct plan_item item; /* its prompt borrowed from memory of its own */
    uint32_t *prompt;
    uint64_t id;
    bool scored, consumed;
};

struct fake_version {
    uint64_t version;
    struct hash digest;
    bool pruned;
};

struct fake_step {
    uint32_t stage, step;
    struct step_row row;
};

struct fake_metric {
    uint32_t stage, step;
    char name[64];
    double value;
};

struct fake_stage {
    struct stage_row row;
};

struct service {
    const char *dir;
    const struct recipe *recipe;
    uint32_t vocab;
    struct fake_group *groups;
    size_t group_count;
    struct fake_version *versions;
    size_t version_count;
    struct fake_step *steps;
    size_t step_count;
    struct fake_metric *metrics;
    size_t metric_count;
    struct fake_stage stages[RECIPE_STAGES_MAX];
    struct resume_state *checkpoints; /* only the checkpoint fields */
    size_t checkpoint_count;
    char (*events)[64]; /* kinds */
    size_t event_count;

    size_t commits;          /* so far */
    size_t crash_at;         /* 0: never; else this commit fails for ever ... */
    bool crash_after;        /* ... after it took effect */
    double greedy_share[64]; /* of greedy evaluations after so many steps; < 0: by chance */
};

void fake_open(struct service *s, const char *dir, const struct recipe *r, uint32_t vocab);
void fake_done(struct service *s);
size_t fake_events(const struct service *s, const char *kind);
/* Fails the test when steps, groups, versions or metrics (seconds left out) of the two differ. */
void fake_compare(const struct service *a, const struct service *b);

#endif
