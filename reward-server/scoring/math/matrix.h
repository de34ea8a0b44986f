/* matrix.h: arithmetic of matrices that are written out: sums, products, powers, determinants, as
 * trees of their cells.
 */
#ifndef COHORT_SCORING_MATH_MATRIX_H
#define COHORT_SCORING_MATH_MATRIX_H

#include "reward-server/scoring/math/tree.h"

/* The matrix, or tuple, that a sum or product of matrices, tuples and values is; NULL when it is
 * none, or the shapes do not fit. */
const struct math_node *matrix_fold(struct math_work *w, const struct math_node *x);

/* Of a square matrix of at most MATRIX_DETERMINANT_MAX rows, else NULL. */
enum { MATRIX_DETERMINANT_MAX = 4 };
const struct math_node *matrix_determinant(struct math_work *w, const struct math_node *x);

#endif
