/* forward.h: the one forward over spans and its backward (DESIGN 8.1).
 *
 * An acts is the working memory of one thread: the residual stream before each half layer, what the
 * backward needs, scratch. Rows are numbered in it; a batch takes `rows` of them from row0 on, so
 * that prompts and completions of a micro-batch lie side by side and are forwarded one batch after
 * the other. Without keep there is one layer's memory, used over and over.
 */
#ifndef COHORT_MODEL_FORWARD_H
#define COHORT_MODEL_FORWARD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "common/model/batch.h"
#include "common/model/kv.h"
#include "common/model/packed.h"
#include "common/tensor/ops.h"

struct acts {
    const struct ops *ops;
    struct model_config config;
    float *block; /* owned: everything below lies in it */
    size_t block_floats;
    size_t cap; /* rows */
    bool keep;
    float
        *x; /* residual stream before each half layer, and after the last: arrays of cap x hidden */
    float *kept;         /* attention's and feed-forward's kept rows of each layer */
    float *hidden;       /* cap x hidden: after the final norm, what the head reads */
    float *rstd;         /* cap: of the final norm */
    float *dx, *dhidden; /* cap x hidden, with keep only */
    float *scratch, *page_scratch;
    float **page, **dpage; /* owned: room for the pages of one sequence */
};

void acts_init(struct acts *a, const struct ops *ops, const struct model_config *c);
void acts_done(struct acts *a);

/* Room for so many rows, and for a backward of them when keep; what was there may be lost. */
int acts_reserve(struct acts *a, size_t rows, bool keep, struct err *e) ERR_WARN_UNUSED;
size_t acts_bytes(const struct acts *a);

/* Forwards b into rows row0 ..: fills a->hidden of these rows and the pages of the spans. */
void model_forward(struct acts *a, const struct weights *w, const struct kv *kv,
    const struct batch *b, size_t row0);

/* z[t] = head applied to rows hidden[t]: T x vocab. */
void model_logits(
    const struct acts *a, const struct weights *w, float *z, const float *hidden, size_t T);

/* Given a->dhidden of the batch's rows and the gradient pages of the sequences that continue it,
 * adds the parameter gradients and this batch's part of the gradient pages. */
void model_backward(struct acts *a, const struct weights *w, const struct kv *kv,
    const struct batch *b, size_t row0, struct gradient g);

#endif
