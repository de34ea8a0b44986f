/* dataset.h: rows of a JSONL file as tasks or demonstrations.
 *
 * Formats (DESIGN section 11): gsm8k, math, humaneval, mbpp, countdown, tasks, and demos ({"prompt",
 * "completion"}, for pretrain and sft). Detected from the first row when the format is "auto". A bad row
 * stops the load: ERR_DATA with file, line, what was found and expected. Immutable after loading.
 */
#ifndef COHORT_TEXT_DATASET_H
#define COHORT_TEXT_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"

enum dataset_split { SPLIT_ALL, SPLIT_TRAIN, SPLIT_HELDOUT };

struct dataset_row {
    const char *key;        /* the row's id field (task_id, id, unique_id) or its 0-based index as text */
    const char *prompt;     /* the question, before any template */
    const char *completion; /* demos only, else NULL */
    const char *answer;     /* reference answer as text; NULL when tests check instead */
    const char *json;       /* the task for the scorers: one JSON object with at least "answer" or "tests" */
};

struct dataset;

/* format: a name above or "auto". Rows outside the split are dropped: a row is held out when
 * hash_u64(prompt) mod 1000 < heldout_permille. */
int dataset_load(const char *path, const char *format, enum dataset_split split, unsigned heldout_permille,
    struct dataset **ret, struct err *e) ERR_WARN_UNUSED;
void dataset_free(struct dataset *d);
size_t dataset_count(const struct dataset *d);
const struct dataset_row *dataset_row(const struct dataset *d, size_t i);
const char *dataset_format(const struct dataset *d);
int dataset_is_heldout(const char *prompt, unsigned heldout_permille);

#endif
