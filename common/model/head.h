/* head.h: from hidden rows to log-probabilities of chosen tokens and back, the output head of a
 * micro-batch.
 *
 * The vocabulary is never there for all tokens: a block of tokens meets the head's outputs a part
 * at a time (linear_outputs), which gives running sums in the forward; the backward computes the
 * same logits again. So memory does not grow with tokens x vocabulary, and a part of the head is
 * near when it is used three times. A head is one thread's memory.
 */
#ifndef COHORT_MODEL_HEAD_H
#define COHORT_MODEL_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/packed.h"

struct head {
    const struct ops *ops;
    size_t C, outputs; /* hidden; most outputs of a part */
    float *block;      /* owned: everything below */
    size_t block_floats;
    float *gathered, *dgathered; /* tokens of a block x hidden */
    float *z;                    /* tokens of a block x outputs of a part */
};

int head_init(struct head *h, const struct ops *ops, const struct model_config *c,
    struct err *e) ERR_WARN_UNUSED;
void head_done(struct head *h);
size_t head_bytes(const struct model_config *c); /* what head_init takes */

/* The tokens whose log-probability is asked for. */
struct head_tokens {
    size_t count;
    const size_t *source;   /* row of `hidden` that the token's logits come from */
    const uint32_t *target; /* its id, below vocab */
    uint32_t vocab;         /* allowed ids are below it */
    float inv_T;
    float *lse, *entropy; /* set by the forward, read by the backward */
};

/* logp of every token, and lse and entropy of t. */
void head_forward(const struct head *h, float *pack, const struct weights *w, const float *hidden,
    const struct head_tokens *t, float *logp);

/* dhidden[source] += ..., and the gradient of the head's weight is added. dentropy NULL: zeros. */
void head_backward(const struct head *h, float *pack, const struct weights *w, const float *hidden,
    const struct head_tokens *t, const float *dlogp, const float *dentropy,
    const struct gradient *g, float *dhidden);

#endif
