/* train.h: log-probabilities and gradients of packed sequences, the learner's side of the one
 * forward.
 *
 * The loss lies outside: train_forward gives logp and entropy of every completion token, the caller
 * turns them into dlogp and dentropy, train_backward adds the parameter gradients (DESIGN 8.2, seam
 * 5). A micro-batch is a list of groups; a group's prompt is computed once for all its completions,
 * with exact gradients. Rows run through the same spans, pages and operations as sampling, so that
 * logp has the bits that the actor reported.
 *
 * A train_ctx is one worker's memory: one thread at a time, any number of contexts over one
 * weights.
 */
#ifndef COHORT_MODEL_TRAIN_H
#define COHORT_MODEL_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/params.h"

struct weights; /* packed set of one version: weights.h */
struct train_ctx;

struct train_completion {
    const uint32_t *tokens;
    uint32_t len;
};

struct train_group {
    const uint32_t *prompt; /* at least one token */
    uint32_t prompt_len;
    const struct train_completion *completions;
    uint32_t n;
};

struct micro_batch {
    const struct train_group *groups;
    size_t group_count;
    float temperature; /* > 0 */
    uint32_t vocab;    /* allowed ids are below it */
};

/* Forward rows: a prompt once, and completion tokens but the last of each. */
size_t train_group_rows(const struct train_group *g);
size_t micro_batch_rows(const struct micro_batch *b);
/* Completion tokens: length of logp and entropy. */
size_t micro_batch_tokens(const struct micro_batch *b);

struct train_options {
    const char *isa;
    bool recompute; /* keep one layer's activations and compute each again in the backward: a
                       fraction of the memory for a third more time, the same bits */
};

int train_ctx_new(const struct param_table *t, const struct train_options *o,
    struct train_ctx **ret, struct err *e) ERR_WARN_UNUSED;
void train_ctx_free(struct train_ctx *c);

/* logp, entropy: micro_batch_tokens(b) each, groups in order, completions in order, tokens in
 * order; entropy may be NULL. keep: activations stay for train_backward. Memory grows to the
 * largest batch seen. */
int train_forward(struct train_ctx *c, const struct weights *w, const struct micro_batch *b,
    int keep, float *logp, float *entropy, struct err *e) ERR_WARN_UNUSED;

/* grads (layout of the table) += d loss / d parameter, given dlogp and dentropy (NULL: zeros) of
 * the batch just forwarded with keep. */
int train_backward(struct train_ctx *c, const struct weights *w, const struct params *p,
    const struct micro_batch *b, const float *dlogp, const float *dentropy, float *grads,
    struct err *e) ERR_WARN_UNUSED;

size_t train_ctx_bytes(const struct train_ctx *c); /* held now */
/* What a context holds after forward and backward of a micro-batch of these lengths. */
size_t train_bytes(
    const struct param_table *t, const struct train_options *o, const struct micro_batch *b);

#endif
