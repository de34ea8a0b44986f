/* forward.h: the one forward over spans and its backward (DESIGN 8.1).
 *
 * An acts is the working memory of one thread: the residual stream before each half layer, what the
 * backward needs, scratch; its rows are the batch's. A forward alone has one layer's memory, used
 * over and over. So has recomputation, which keeps the residual stream before each layer and
 * forwards a layer again just before its backward: the same rows through the same operations, hence
 * the same bits.
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

enum acts_keep { ACTS_FORWARD, ACTS_RECOMPUTE, ACTS_KEEP };

struct acts {
    const struct ops *ops;
    struct model_config config;
    float *block; /* owned: everything below lies in it */
    size_t block_floats;
    size_t cap; /* rows */
    enum acts_keep keep;
    float *x;            /* residual stream: arrays of cap x hidden (forward.c) */
    float *kept;         /* attention's and feed-forward's kept rows of each layer, or of one */
    float *hidden;       /* cap x hidden: after the final norm, what the head reads */
    float *rstd;         /* cap: of the final norm */
    float *dx, *dhidden; /* cap x hidden, with a backward only */
    float *scratch, *page_scratch;
    float *pack;           /* borrowed: for weights that are a view; else NULL */
    float **page, **dpage; /* owned: room for the pages of one sequence */
    struct team team;      /* alone, unless a copy of this struct is one member's view */
};

void acts_init(struct acts *a, const struct ops *ops, const struct model_config *c);
void acts_done(struct acts *a);

/* Room for so many rows, and for what is kept of them; what was there may be lost. */
int acts_reserve(struct acts *a, size_t rows, enum acts_keep keep, struct err *e) ERR_WARN_UNUSED;
size_t acts_bytes(const struct acts *a);
/* Floats that acts_reserve takes. */
size_t acts_floats(const struct model_config *c, enum acts_keep keep, size_t rows);

/* Forwards b: fills a->hidden and the pages of the spans. The members of a team each call it and
 * model_logits with their own copy of one acts, in which page, pack and team are the member's. */
void model_forward(
    struct acts *a, const struct weights *w, const struct kv *kv, const struct batch *b);

/* z[t] = head applied to rows hidden[t]: T x vocab. */
void model_logits(
    const struct acts *a, const struct weights *w, float *z, const float *hidden, size_t T);

/* Given a->dhidden, adds the parameter gradients of the batch just forwarded. */
void model_backward(struct acts *a, const struct weights *w, const struct kv *kv,
    const struct batch *b, struct gradient g);

#endif
