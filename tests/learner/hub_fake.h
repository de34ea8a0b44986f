/* hub_fake.h: a learner without a model, for the tests of hub, store and service: a recipe of two
 * scorers, a "training" of a few steps that commits like the real one, actors whose tokens come
 * from the RNG, and reward servers whose scores are a function of the text. Everything it stores is
 * a pure function of the seed, whatever the workers and the kills: that is what the tests compare.
 */
#ifndef COHORT_TESTS_HUB_FAKE_H
#define COHORT_TESTS_HUB_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/rng.h"
#include "common/recipe/recipe.h"
#include "common/text/tokenizer.h"
#include "learner/service.h"
#include "learner/store.h"
#include "proto/codec.h"

enum {
    FAKE_GROUPS = 6, /* per step */
    FAKE_EVALS = 2,  /* planned with each step */
    FAKE_SIZE = 4,   /* completions of a group */
    FAKE_MAX_TOKENS = 24,
    FAKE_SCORERS = 2,
    FAKE_STOP = 0, /* id of the end-of-text token */
};

struct fake_run {
    struct recipe recipe;
    struct tokenizer *tokenizer; /* owned */
    struct buf model_config;     /* owned */
    struct hash numerics_id;
    uint32_t steps;
    uint32_t stop_ms; /* 0: never; the learner is asked to stop so long after its start */
};

void fake_run_init(struct fake_run *f, uint64_t seed, uint32_t steps);
void fake_run_done(struct fake_run *f);
struct store_options fake_store_options(const struct fake_run *f, const char *run_dir);

/* What an actor samples for a lease, and what a reward server makes of a text: NAN with probability
 * `faulty` of a transient fault the first time. */
void fake_sample(const struct rng_key *key, uint32_t n, uint32_t max_tokens, uint32_t vocab,
    struct arena *a, struct completion *ret);
double fake_score(const char *scorer, const uint8_t *text, size_t n);

/* One item of the plan: task (purpose, step, slot) of the fake run. Strings and prompt live in the
 * arena. */
struct plan_item fake_plan_item(
    enum purpose purpose, uint32_t step, uint32_t slot, uint64_t version, struct arena *a);

/* Starts a service on run_dir, runs the stages in a thread and the loop in the calling one, until
 * the run is finished or the service ends by itself. Returns 0 or an err_code. */
int fake_learner(const struct fake_run *f, const char *run_dir, struct err *e);

/* A worker in a thread of its own. */
struct fake_worker;
struct fake_worker_options {
    enum frame_role role;
    const char *name, *run_dir;
    struct hash numerics_id;
    uint32_t slots;
    unsigned faulty_permille; /* reward: transient judge faults */
    unsigned lazy_permille;   /* releases instead of results */
    uint64_t seed;            /* of the two above */
};
struct fake_worker *fake_worker_start(const struct fake_worker_options *o);
/* Waits for the end of the worker (drained or refused) and returns its code. stop: end it now. */
int fake_worker_join(struct fake_worker *w, bool stop);

/* The tables of a run as text, without what may differ between two runs: times, workers, leases.
 * Opens run.db read-only. To be freed. */
char *fake_tables(const char *run_dir);

/* A fresh directory under TMPDIR or /tmp, to be removed with file_remove_tree and freed. */
char *fake_dir(void);

#endif
