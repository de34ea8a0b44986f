/* number.h: exact rational numbers out of text, and countdown's expressions over them. The only
 * user of GMP.
 *
 * Bounds: at most NUMBER_DIGITS_MAX digits in a number and NUMBER_EXPONENT_MAX as its power of ten;
 * in an expression at most EXPRESSION_BYTES_MAX bytes, EXPRESSION_DEPTH_MAX open parentheses and as
 * many numbers as the task gives. So every value fits in a few KiB and GMP never meets an
 * allocation that it would abort on.
 */
#ifndef COHORT_SCORING_NUMBER_H
#define COHORT_SCORING_NUMBER_H

#include <gmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reward-server/scoring/scorer.h"

enum {
    NUMBER_DIGITS_MAX = 1000,
    NUMBER_EXPONENT_MAX = 999,
    EXPRESSION_BYTES_MAX = 1024,
    EXPRESSION_DEPTH_MAX = 64,
};

/* The whole of s as one number: [sign], then an integer with optional thousands commas, a decimal,
 * one with an exponent, A/B or \frac{A}{B} (also \dfrac, \tfrac; after an integer: a mixed number).
 * No part of it are white space around it, a pair of dollars, of stars or of braces, the marks of a
 * LaTeX formula, a currency sign and a final full stop. False with *ret_why (a constant) otherwise;
 * ret is initialised by the caller. */
bool number_parse(struct span s, mpq_t ret, const char **ret_why);

/* The last number that stands alone in running text: digits that no letter touches from the left.
 */
bool number_find_last(struct span text, struct span *ret);
/* The number at the start of s after blanks, ':', '=', currency and emphasis; false when something
 * else is. */
bool number_find_first(struct span s, struct span *ret);

enum expression_status { EXPRESSION_OK, EXPRESSION_MALFORMED, EXPRESSION_WRONG };

/* Value of an expression over + - * / ( ) in which each of nums must stand exactly once. *ret_why
 * lives in a. */
enum expression_status expression_value(struct span s, const int64_t *nums, size_t count, mpq_t ret,
    struct arena *a, const char **ret_why);

#endif
