/* recipe_files.h: what a recipe's names become on disk: its model and its datasets. */
#ifndef COHORT_RECIPE_FILES_H
#define COHORT_RECIPE_FILES_H

#include "common/base/err.h"
#include "common/model/params.h"
#include "common/recipe/recipe.h"
#include "common/text/dataset.h"
#include "common/text/template.h"
#include "common/text/tokenizer.h"

/* The model a run starts from: read from model.path, or initialised from (model section, seed). */
struct recipe_model {
    struct tokenizer *tokenizer; /* owned */
    struct param_table *table;   /* owned */
    struct params params;        /* owned */
};
int recipe_model_open(
    const struct recipe *r, struct recipe_model *ret, struct err *e) ERR_WARN_UNUSED;
void recipe_model_done(struct recipe_model *m);

/* That model's tokenizer alone. */
int recipe_tokenizer_open(
    const struct recipe *r, struct tokenizer **ret, struct err *e) ERR_WARN_UNUSED;

/* A dataset: read from its path, or generated into DIR/NAME.jsonl (when that is not there yet) and
 * read from there, so that a person can look at it. Relative paths are relative to the working
 * directory. */
int recipe_dataset_open(const struct recipe *r, size_t data, const char *dir, struct dataset **ret,
    struct err *e) ERR_WARN_UNUSED;

/* Prompt ids of a row: template, then tokenizer. ERR_DATA naming dataset and row; ERR_LIMIT over
 * LIMIT_PROMPT_TOKENS. Appends u32 to out. */
int recipe_prompt_ids(const struct recipe *r, size_t data, const struct template *t,
    const struct tokenizer *tok, const struct dataset_row *row, struct buf *out,
    struct err *e) ERR_WARN_UNUSED;

#endif
