/* batch.h: spans, the only input of a forward (DESIGN 8.2, seam 1).
 *
 * A span is a run of consecutive positions of one sequence, with the pages that hold the sequence's
 * keys and values. Prefill is one span per prompt, decode one row per sequence, training one span
 * per prompt and then one per completion. Spans of one batch must not read each other's rows: a
 * prompt and what continues it go in two batches.
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
};

struct batch {
    const uint32_t *tokens;   /* rows of them */
    const struct span *spans; /* cover the rows in order */
    size_t rows, span_count;
};

#endif
