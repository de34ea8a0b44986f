/* corpus.h: a dataset as token ids: what a stage trains or is evaluated on.
 *
 * Every row is rendered and encoded when the stage opens, so that a bad row stops the run before
 * the first step and not in the middle. Immutable after opening; any thread.
 */
#ifndef COHORT_LEARNER_CORPUS_H
#define COHORT_LEARNER_CORPUS_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/model/train.h"
#include "common/recipe/recipe_files.h"

struct corpus;

/* dir: where generated data lies. demos: rows must have a completion, to which the end-of-text id
 * is added where it does not already end so. max_tokens: longest completion that will be sampled (0
 * for demos); prompt and completion must fit into the model's context. ERR_DATA names dataset and
 * row. */
struct corpus_options {
    const struct recipe *recipe;
    size_t data;
    const char *dir;
    const struct tokenizer *tokenizer;
    const struct model_config *model;
    bool demos;
    uint32_t max_tokens;
};
int corpus_open(const struct corpus_options *o, struct corpus **ret, struct err *e) ERR_WARN_UNUSED;
void corpus_free(struct corpus *c);

size_t corpus_count(const struct corpus *c);
const struct dataset_row *corpus_row(const struct corpus *c, size_t i);
const uint32_t *corpus_prompt(const struct corpus *c, size_t i, uint32_t *ret_len);
struct train_completion corpus_completion(const struct corpus *c, size_t i);

#endif
