/* dataset.h: rows of a JSONL file as tasks or demonstrations.
 *
 * Formats (DESIGN section 11): gsm8k, math, humaneval, mbpp, apps, livecodebench, countdown, tasks,
 * and demos ({"prompt", "completion"}, for pretrain and sft). Detected from the first row when the
 * format is "auto". A bad row stops the load: ERR_DATA with file, line, what was found and
 * expected. Immutable after loading; any thread.
 *
 * The task for the scorers (json) is one object:
 * - answer (gsm8k, math, tasks): the reference answer as text;
 * - nums, target (countdown);
 * - language, tests (humaneval, mbpp, apps, livecodebench, tasks): a list of {"stdin", "stdout"},
 *   {"args", "kwargs", "expected" or "expected_any", a list of what will do}, {"assert"} or, for
 *   humaneval, {"check"}, code that defines check(candidate);
 * - entry_point, setup: where the row names them;
 * - solution: a program that passes, where the row has one (humaneval: canonical_solution, mbpp:
 *   code);
 * - prefix: what stands before the completion in the program (humaneval: the prompt; apps and
 *   livecodebench: the imports of their harness, where a function is called);
 * - scorer (tasks): where the row names one;
 * - think_language: where the row names the language that the reasoning should be in;
 * - choices (tasks): where the row has the texts of options A, B, ...; the prompt must show them.
 */
#ifndef COHORT_TEXT_DATASET_H
#define COHORT_TEXT_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"

enum dataset_split { SPLIT_ALL, SPLIT_TRAIN, SPLIT_HELDOUT };

struct dataset_row {
    const char *key;        /* task_id, id, unique_id or the 0-based number in the file; unique */
    const char *prompt;     /* the question, before any template */
    const char *completion; /* demos only, else NULL */
    const char *answer;     /* reference answer as text; NULL for demos, countdown and tests */
    const char *json;       /* the task for the scorers; "{}" for demos */
};

struct dataset;

/* format: a name above or "auto". Rows outside the split are checked and dropped: a row is held out
 * when hash_u64(prompt) mod 1000 < heldout_permille. A split without rows is ERR_DATA. Lines of
 * white space are skipped. */
int dataset_load(const char *path, const char *format, enum dataset_split split,
    unsigned heldout_permille, struct dataset **ret, struct err *e) ERR_WARN_UNUSED;
/* The same from memory; origin names it in errors. */
int dataset_parse(const char *text, size_t n, const char *origin, const char *format,
    enum dataset_split split, unsigned heldout_permille, struct dataset **ret,
    struct err *e) ERR_WARN_UNUSED;
void dataset_free(struct dataset *d);
size_t dataset_count(const struct dataset *d);
const struct dataset_row *dataset_row(const struct dataset *d, size_t i);
const char *dataset_format(const struct dataset *d);
int dataset_is_heldout(const char *prompt, unsigned heldout_permille);

#endif
