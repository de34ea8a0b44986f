/* batch.h: spans, the only input of a forward (DESIGN 8.2, seam 1).
 *
 * A span is a run of consecutive positions of one sequence, with the pages that hold the sequence's
 * keys and values. Prefill is one span per prompt, decode one row per sequence, training one span
 * per prompt and then one per completion. A span reads the rows of another one of its batch only
 * when that one comes first, as a prompt does in training: layer by layer, spans are taken in
 * order.
 */
#ifndef COHORT_MODEL_BATCH_H
#define COHORT_MODEL_BATCH_H

#include <stddef.h>
#include <stdint.h>

struct span {
    size_t row0; /* first row, counted from the batch's first */
    size_t rows;
    size_t pos0;         /* position of the first row */
    float *const *pages; /* borrowed: pages of positions 0 .. pos0 + rows - 1 */
    /* Training: the page in which the prompt ends, which the page of pos0 begins as a copy of; NULL
     * when pos0 begins a page, and in sampling, where the copy was made before. */
    const float *copied;
};

struct batch {
    const uint32_t *tokens;   /* rows of them */
    const struct span *spans; /* cover the rows in order */
    size_t rows, span_count;
    size_t prompt_count; /* training: the first so many spans are continued by others */
};

#endif
