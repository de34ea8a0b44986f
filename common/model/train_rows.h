/* train_rows.h: a micro-batch as the forward takes it: rows, spans, and which row answers for which
 * token.
 *
 * The prompts of all groups come first, one span each, then every completion, one span each. A
 * completion's last token is never an input. The log-prob of token j is read from the row of token
 * j - 1, that of token 0 from the prompt's last row. One thread's memory, which grows to the
 * largest micro-batch seen.
 */
#ifndef COHORT_MODEL_TRAIN_ROWS_H
#define COHORT_MODEL_TRAIN_ROWS_H

#include "common/model/batch.h"
#include "common/model/kv.h"
#include "common/model/model_config.h"
#include "common/model/train.h"

struct train_rows {
    struct kv_seq *seqs; /* owned, as all arrays here: prompts, then completions */
    struct span *spans;  /* of the sequences that have rows: all prompts, most completions */
    size_t seq_count, span_count, seq_cap, prompt_count;
    uint32_t *inputs; /* row -> token id */
    size_t rows, row_cap;
    size_t *source;   /* token -> row that its logits come from */
    uint32_t *target; /* token -> its id */
    size_t tokens, token_cap;
};

/* Lengths, ids, temperature; ERR_DATA says which group and token. */
int train_rows_check(
    const struct micro_batch *b, const struct model_config *c, struct err *e) ERR_WARN_UNUSED;

size_t train_rows_pages(const struct micro_batch *b); /* pages of keys and values it takes */

/* kv has that many pages free. What was filled before must have been released. */
void train_rows_fill(struct train_rows *t, struct kv *kv, const struct micro_batch *b);
void train_rows_release(struct train_rows *t, struct kv *kv);
void train_rows_done(struct train_rows *t);

struct batch train_rows_batch(const struct train_rows *t);

#endif
