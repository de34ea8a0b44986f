/* oracle_sample.h: sampling and scoring of the oracle: an engine and the scoring library in one
 * process. */
#ifndef COHORT_TESTS_ORACLE_SAMPLE_H
#define COHORT_TESTS_ORACLE_SAMPLE_H

#include "common/model/engine.h"
#include "learner/corpus.h"
#include "learner/service.h"
#include "reward-server/scoring/scoring.h"

struct oracle_sampler {
    const struct recipe *recipe;
    const struct tokenizer *tokenizer;
    const struct model_config *model;
    struct engine *engine;
    struct scoring *scoring; /* NULL without rewards */
};

/* What to sample: slot i is row[i] of the corpus under ordinal[i]. */
struct oracle_plan {
    const struct corpus *corpus;
    enum purpose purpose;
    uint32_t stage, step, count, n, max_tokens;
    uint64_t version, first_id; /* ids count up from it */
    float temperature;          /* 0: greedy */
    const uint64_t *rows, *ordinals;
};

/* The groups as service_read_groups would give them, scored. Free with stored_groups_free's rule:
 * the arena owns all. */
int oracle_sample(struct oracle_sampler *s, const struct params *p, const struct oracle_plan *plan,
    struct stored_groups *ret, struct err *e) ERR_WARN_UNUSED;

#endif
