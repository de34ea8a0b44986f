/* batch.h: spans, the only input of a forward (DESIGN 8.2, seam 1).
 *
 * A span (struct span of ops.h) is a run of consecutive positions of one sequence, with the pages
 * that hold the sequence's keys and values. Prefill is one span per prompt, decode one row per
 * sequence, training one span per prompt and then one per completion. A span reads the rows of
 * another one of its batch only when that one comes first, as a prompt does in training: layer by
 * layer, all rows enter their pages in the order of the spans before any is attended.
 */
#ifndef COHORT_MODEL_BATCH_H
#define COHORT_MODEL_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/tensor/ops.h"

struct batch {
    const uint32_t *tokens;   /* rows of them */
    const struct span *spans; /* cover the rows in order */
    size_t rows, span_count;
    size_t prompt_count; /* training: the first so many spans are continued by others */
};

#endif
