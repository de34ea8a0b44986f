/* dataset_fields.h: fields of a row, checked. Used by the files of row layouts alone. Pure. */
#ifndef COHORT_TEXT_DATASET_FIELDS_H
#define COHORT_TEXT_DATASET_FIELDS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/err.h"
#include "common/text/dataset_formats.h"

bool row_has(const json_t *row, const char *name);
/* ERR_DATA with what v is; NULL is nothing. */
int row_wrong_field(const json_t *v, const char *name, const char *expected, struct err *e);

/* Text that must be there and not be empty; borrowed from row. */
int row_text(const json_t *row, const char *name, const char **ret, struct err *e);
/* Text that may be absent, null or empty: *ret is "" then. */
int row_optional_text(const json_t *row, const char *name, const char **ret, struct err *e);
/* A list with at least one item; borrowed from row. */
int row_list(const json_t *row, const char *name, json_t **ret, struct err *e);

/* Appends a text field to the prompt. */
int row_take_prompt(const json_t *row, const char *name, struct row_draft *d, struct err *e);
/* Copies a text field into the task when the row has it. */
int row_copy_text(const json_t *row, const char *name, struct row_draft *d, struct err *e);
/* A program that passes the tests, where the publisher gives one. */
int row_take_solution(const json_t *row, const char *name, struct row_draft *d, struct err *e);

#endif
