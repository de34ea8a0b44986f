/* boxed.h: the LaTeX convention for final answers: \boxed{...}. Datasets and scorers share this
 * rule.
 *
 * Linear in the text, constant memory: boxes nested deeper than BOXED_DEPTH_MAX are not seen. Pure.
 */
#ifndef COHORT_TEXT_BOXED_H
#define COHORT_TEXT_BOXED_H

#include <stdbool.h>
#include <stddef.h>

enum { BOXED_DEPTH_MAX = 64, BOXED_ROW_MAX = 16 };

/* Content of the \boxed{...} or \fbox{...} that opens last among those whose braces balance;
 * escaped braces do not count. "\boxed 7" without braces holds what follows up to '$', a line's end
 * or a brace. False when there is none. */
bool boxed_last(const char *text, size_t n, size_t *ret_begin, size_t *ret_len);

/* "\boxed{1} and \boxed{2}": two boxes or more, BOXED_ROW_MAX at most, that end with the last one,
 * with a comma, "and" or "or" and little else between them; from the first one's backslash to the
 * last one's brace. False when there is no such row. */
bool boxed_row(const char *text, size_t n, size_t *ret_begin, size_t *ret_len);

#endif
