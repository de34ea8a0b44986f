/* learning_fixture.h: a small recipe with its model in a fresh directory, and groups made by hand.
 */
#ifndef COHORT_TESTS_LEARNING_FIXTURE_H
#define COHORT_TESTS_LEARNING_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/recipe/recipe_files.h"
#include "learner/group.h"
#include "learner/trainer.h"
#include "tests/assert_ok.h"

/* A pretrain stage "base" (index 0) and a grpo stage "zero" (index 1) on a small generated task. */
extern const char small_recipe[];

struct fixture {
    char dir[64]; /* removed by fixture_close */
    struct config *config;
    struct recipe recipe;
    struct recipe_model model;
};

/* sets: assignments over small_recipe, NULL at the end; may be NULL. */
void fixture_open(struct fixture *f, const char *const *sets);
void fixture_close(struct fixture *f);

struct trainer *fixture_trainer(
    const struct fixture *f, unsigned threads, unsigned shards, uint32_t rows_max);

/* Stored groups by hand; everything lives until stored_done. */
struct stored_set {
    struct stored_groups set;
    size_t rewards;
};
void stored_open(struct stored_set *s, size_t groups, size_t rewards);
void stored_done(struct stored_set *s);
/* Random ids below vocab under a key. */
void stored_group_random(struct stored_set *s, size_t at, uint64_t seed, uint32_t prompt_len,
    uint32_t n, uint32_t len_max, uint32_t vocab);

#endif
