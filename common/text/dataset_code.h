/* dataset_code.h: row layouts whose tasks are programs; lines of the table in dataset_formats.c. */
#ifndef COHORT_TEXT_DATASET_CODE_H
#define COHORT_TEXT_DATASET_CODE_H

#include "common/text/dataset_formats.h"

bool dataset_humaneval_matches(const json_t *row);
int dataset_humaneval_convert(const json_t *row, struct row_draft *d, struct err *e);
bool dataset_mbpp_matches(const json_t *row);
int dataset_mbpp_convert(const json_t *row, struct row_draft *d, struct err *e);
bool dataset_apps_matches(const json_t *row);
int dataset_apps_convert(const json_t *row, struct row_draft *d, struct err *e);
bool dataset_livecodebench_matches(const json_t *row);
int dataset_livecodebench_convert(const json_t *row, struct row_draft *d, struct err *e);

#endif
