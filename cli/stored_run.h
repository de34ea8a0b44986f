/* stored_run.h: what a run's row says about the run: its recipe, model, tokenizer. For the commands
 * that tell the story of its samples. One thread.
 */
#ifndef COHORT_CLI_STORED_RUN_H
#define COHORT_CLI_STORED_RUN_H

#include "cli/rundb.h"
#include "common/base/hash.h"
#include "common/recipe/recipe.h"
#include "common/text/tokenizer.h"

struct stored_run {
    struct rundb *db; /* owned */
    uint64_t seed;
    struct hash tokenizer_hash;
    char *model_config;    /* owned; config.json */
    struct config *config; /* owned; the run file as it was in effect */
    struct recipe recipe;  /* owned; borrows from config */
};

int stored_run_open(const char *run_dir, struct stored_run *ret, struct err *e) ERR_WARN_UNUSED;
void stored_run_close(struct stored_run *r);

/* RUN/tokenizer.json, which must have the hash that the run was made with: ERR_DATA. */
int stored_run_tokenizer(
    const struct stored_run *r, struct tokenizer **ret, struct err *e) ERR_WARN_UNUSED;

/* A column that must hold a hash. */
int stored_hash(struct rundb_query *q, int column, const char *what, struct hash *ret,
    struct err *e) ERR_WARN_UNUSED;

#endif
