/* scoring_cases.h: scoring one text with one scorer, for tables of cases. */
#ifndef TESTS_SCORING_CASES_H
#define TESTS_SCORING_CASES_H

#include <stddef.h>

#include "reward-server/scoring/scoring.h"

/* The struct that a case is scored into; strings live in an arena that the next call clears. */
struct score_result score_text(
    const char *kind, const char *params, const char *task_json, const void *text, size_t n);

/* One line of a table: text scored against a task must give the verdict and, when says is not NULL,
 * a reason that contains it; value must be 1 for pass and 0 otherwise. Fails the running test with
 * `where`. */
struct score_case {
    const char *task_json, *text;
    enum verdict verdict;
    const char *extracted; /* NULL: not looked at */
    const char *says;
};
void check_cases(const char *kind, const char *params, const struct score_case *cases, size_t n);

/* What must hold of any result, whatever the text: bounds, display text, value and verdict that
 * agree. */
void check_result(const struct score_result *r);

#endif
