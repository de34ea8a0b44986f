/* block.h: the two halves of a transformer layer as kinds (DESIGN 8.2, seam 4).
 *
 * Each kind is y = x + f(norm(x)) over the rows of a batch. It names its parameters, says how much
 * of each row the backward needs (kept), how much scratch it works in, and for attention how large
 * one layer's part of a KV page is: the layout of the page is its own business.
 */
#ifndef COHORT_MODEL_BLOCK_H
#define COHORT_MODEL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/batch.h"
#include "common/model/kv.h"
#include "common/model/packed.h"

/* What a forward or a backward of one batch works with. */
struct pass {
    const struct ops *ops;
    const struct weights *w;
    const struct kv *kv;
    const struct batch *batch;
    struct team team;         /* forward only */
    bool keep;                /* the forward fills what only the backward reads */
    float *pack;              /* what op_linear asks for */
    float *scratch;           /* rows x scratch_floats */
    float *page_scratch;      /* what ops' attention_bwd asks for */
    float **page, **dpage;    /* room for the pages of one sequence */
    struct gradient gradient; /* backward only */
};

/* Kept rows: arrays of cap rows one after the other. */
struct kept {
    float *base;
    size_t cap;
};

/* The next array, of `width` floats a row; a kind takes its arrays in the same order each time. */
static inline float *kept_next(struct kept *k, size_t width)
{
    float *p = k->base;
    k->base += k->cap * width;
    return p;
}

struct block_kind {
    /* Adds the tensors of the layer whose names start with prefix, and finds them again. */
    void (*params)(struct param_table *t, const char *prefix);
    void (*bind)(struct weights *w, const char *prefix, struct layer_weights *ret);

    size_t (*page_floats)(const struct model_config *c); /* attention only */
    size_t (*kept_floats)(const struct model_config *c);
    size_t (*scratch_floats)(const struct model_config *c);

    /* y, x: rows x hidden, not aliased. y NULL: only what the backward reads is wanted, again. */
    void (*forward)(struct pass *p, const struct layer_weights *l, uint32_t layer, struct kept kept,
        float *y, const float *x);
    /* dx holds the gradient of y and becomes the gradient of x. */
    void (*backward)(struct pass *p, const struct layer_weights *l, uint32_t layer,
        struct kept kept, float *dx, const float *x);
};

extern const struct block_kind
    attention_gqa; /* grouped queries, RoPE, optional biases and QK norm */
extern const struct block_kind ffn_swiglu;

const struct block_kind *attention_kind_of(const struct model_config *c);
const struct block_kind *ffn_kind_of(const struct model_config *c);

/* For the kinds: adds a tensor to the table (params.c). */
void param_add_matrix(
    struct param_table *t, const char *prefix, const char *name, uint32_t outputs, uint32_t inputs);
void param_add_norm(struct param_table *t, const char *prefix, const char *name, uint32_t channels);
void param_add_bias(struct param_table *t, const char *prefix, const char *name, uint32_t outputs);

#endif
