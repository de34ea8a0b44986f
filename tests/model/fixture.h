/* fixture.h: small models with random weights, and one place where tests get their numbers from.
 *
 * A test program takes a seed as its argument and prints the one it used.
 */
#ifndef COHORT_TESTS_MODEL_FIXTURE_H
#define COHORT_TESTS_MODEL_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/engine.h"
#include "common/model/params.h"
#include "common/model/train.h"
#include "common/model/weights.h"
#include "tests/assert_ok.h"

void fixture_start(int argc, char **argv); /* reads or sets the seed, prints it */
struct rng fixture_rng(uint64_t test);     /* the numbers of one test under this seed */
uint32_t pick(struct rng *r, uint32_t low, uint32_t high); /* inclusive */

/* A model with everything that is made from its parameters. */
struct model {
    struct model_config config;
    struct param_table *table;
    struct params params;
    struct weights *weights;
    enum weights_type type; /* of weights: f32, or what model_round made of them */
};

/* The three families at the smallest size where heads, groups and layers all differ. */
struct model_config config_of(const char *type, bool tied);
struct model_config random_config(struct rng *r);

/* Weights far from their usual start, so that every part of the network matters for every output.
 */
void model_init(struct model *m, const struct model_config *c, struct rng *r);
void model_round(struct model *m, enum weights_type type); /* packs its weights as that */
void model_done(struct model *m);

enum { ISAS_MAX = 6 };

/* Names of the instruction sets that this machine has, at most ISAS_MAX; the first is "auto". */
const char *const *isas(size_t *ret_count);

/* Groups with random prompts and completions. */
struct groups {
    struct train_group *groups; /* owned, with all that they point to */
    size_t count;
};

void groups_init(struct groups *g, size_t count);
void groups_done(struct groups *g);
void groups_random(struct groups *g, size_t at, struct rng *r, uint32_t prompt_len, uint32_t n,
    uint32_t len, uint32_t vocab);

#endif
