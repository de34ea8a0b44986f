/* kv.h: pages of keys and values, with exact accounting.
 *
 * A page holds KV_PAGE positions of one sequence, for all layers: layer l's part starts at
 * l * layer_floats, and the attention kind alone knows what lies in it. Pages are zeroed when they
 * are allocated. Full pages of a prompt are shared by reference count; the page in which the prompt
 * ends is copied for each completion (kv_fork).
 *
 * Who will need pages reserves them first; kv_extend and kv_fork then take from what their sequence
 * holds, and cannot fail. A cache belongs to one thread for everything in this header; the forward
 * reads and writes page contents from the thread that runs the sequence.
 */
#ifndef COHORT_MODEL_KV_H
#define COHORT_MODEL_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/tensor/ops.h"

struct kv {
    float *data;      /* owned: total pages */
    float *gradients; /* owned: one layer's part of each page; NULL without kv_need_gradients */
    size_t layer_floats, page_floats;
    size_t total, used;
    size_t reserved;   /* promised to sequences and not yet taken; used + reserved <= total */
    uint32_t *free;    /* owned: stack of page numbers, total - used of them */
    uint32_t *holders; /* owned: sequences that refer to the page */
};

/* The pages of one sequence, in order of position. */
struct kv_seq {
    float **pages; /* owned, room for cap */
    uint32_t count, cap;
    size_t reserved; /* pages it may still take */
};

int kv_init(
    struct kv *kv, size_t layers, size_t layer_floats, size_t pages, struct err *e) ERR_WARN_UNUSED;
void kv_done(struct kv *kv);

/* Gives every page room for the gradient of one layer's part: a backward goes from layer to layer
 * and clears it before each. */
int kv_need_gradients(struct kv *kv, struct err *e) ERR_WARN_UNUSED;
void kv_clear_gradients(const struct kv *kv);

static inline size_t kv_pages_for(size_t positions)
{
    return (positions + KV_PAGE - 1) / KV_PAGE;
}

/* Pages that nobody holds or was promised. */
static inline size_t kv_room(const struct kv *kv)
{
    return kv->total - kv->used - kv->reserved;
}

void kv_seq_init(struct kv_seq *s, uint32_t pages_cap);
void kv_seq_done(struct kv_seq *s); /* its pages must have been released */

/* Promises n more pages to s; false when the cache has not that many left. */
bool kv_reserve(struct kv *kv, struct kv_seq *s, size_t n);

/* Takes pages until s covers `positions`. */
void kv_extend(struct kv *kv, struct kv_seq *s, size_t positions);

/* Makes the empty sequence s continue a prompt of prompt_len positions: shares its full pages,
 * copies the one it ends in. */
void kv_fork(struct kv *kv, struct kv_seq *s, const struct kv_seq *prompt, size_t prompt_len);

/* Gives back the pages and what is left of the reservation. */
void kv_release(struct kv *kv, struct kv_seq *s);

/* The gradient of one layer's part of the page. */
float *kv_gradient(const struct kv *kv, const float *page);

#endif
