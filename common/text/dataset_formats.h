/* dataset_formats.h: the published row layouts, as a table. Used by dataset.c alone. Pure. */
#ifndef COHORT_TEXT_DATASET_FORMATS_H
#define COHORT_TEXT_DATASET_FORMATS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/mem.h"

/* A row under construction. */
struct row_draft {
    struct buf prompt, completion, answer; /* owned; answer is NUL-terminated when has_answer */
    bool has_completion, has_answer;
    json_t *task; /* owned; what the scorers get; "answer" is added by dataset.c */
};

struct dataset_format {
    const char *name;
    bool (*matches)(const json_t *row);
    int (*convert)(const json_t *row, struct row_draft *draft, struct err *e);
};

/* NULL when unknown. */
const struct dataset_format *dataset_format_named(const char *name);
/* By the fields of a row; NULL when none fits. */
const struct dataset_format *dataset_format_of(const json_t *row);
/* "gsm8k, math, ..." for messages. */
const char *dataset_format_names(void);

#endif
