/* field.h: the normal form of rational expressions, by evaluation: modulo primes of 61 bits at
 * points drawn from a hash, instead of by expansion, so that (x+y+z)^1000 costs as much as x.
 *
 * Two rational expressions that are equal agree at every point; two that differ, of total degree d,
 * agree at one random point with a probability of at most d / 2^60. Roots, functions, e and pi are
 * taken as unknowns of their own, named by their arguments' values: agreement still proves
 * equality, disagreement then proves nothing.
 */
#ifndef COHORT_SCORING_MATH_FIELD_H
#define COHORT_SCORING_MATH_FIELD_H

#include "reward-server/scoring/math/tree.h"

enum math_answer { MATH_DIFFER, MATH_EQUAL, MATH_UNKNOWN };

/* MATH_UNKNOWN when the values differ but hold more than rational operations, or do not exist. */
enum math_answer field_compare(
    struct math_work *w, const struct math_node *a, const struct math_node *b);

/* Whether a0 - a1 and b0 - b1 are proportional and neither is zero: one equation in two forms. */
bool field_proportional(
    struct math_work *w, const struct math_node *const a[2], const struct math_node *const b[2]);

/* Whether x holds rational operations on numbers and names only. */
bool field_is_rational(struct math_work *w, const struct math_node *x);

#endif
