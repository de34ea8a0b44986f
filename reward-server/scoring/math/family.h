/* family.h: names that may be called differently: parameters ("k in Z"), arguments in a definition
 * (f(x) = ..., f(t) = ...), constants of integration.
 */
#ifndef COHORT_SCORING_MATH_FAMILY_H
#define COHORT_SCORING_MATH_FAMILY_H

#include "reward-server/scoring/math/compare.h"

/* A list with declarations in it, or one alone. */
bool family_is(const struct math_node *x);

/* One of them is a family. Without a declaration on the other side the names must be the same. */
enum math_answer family_compare(
    struct math_work *w, const struct math_node *a, const struct math_node *b);

/* b with the arguments that it defines a function of called as those of a, or b itself. */
const struct math_node *family_rename_arguments(
    struct math_work *w, const struct math_node *a, const struct math_node *b);

/* Both with their constants of integration called alike, in the order in which they come, b's
 * turned by some: C, c, C_1 ..., beside them on one side also A, B, K ...; false when there are
 * none, they differ in number, or turn is not less than that. */
enum { FAMILY_TURNS = 4 };
bool family_rename_constants(
    struct math_work *w, const struct math_node **a, const struct math_node **b, unsigned turn);

#endif
