/* ball.h: values with proven error bounds, by Arb: the only user of FLINT and Arb.
 *
 * Names are given real points, positive ones first; equality must hold at all of them, and at
 * negative points where both sides are real. A ball that does not hold zero proves a difference.
 * Equality is taken when the difference at 512 bits is under 2^-300 of the values' size, which no
 * two different expressions of MATH_TEXT_MAX bytes from practice come near.
 */
#ifndef COHORT_SCORING_MATH_BALL_H
#define COHORT_SCORING_MATH_BALL_H

#include "reward-server/scoring/math/field.h"

enum math_answer ball_compare(
    struct math_work *w, const struct math_node *a, const struct math_node *b);

/* Of two real constants: whether |a - b| <= unit x 10^-places / 2 (unit 1 or 2), proven. */
bool ball_near(struct math_work *w, const struct math_node *a, const struct math_node *b,
    long places, unsigned unit);

/* -1, 0, 1 for a < b, equal or undecided, a > b; false when they are not real. */
bool ball_order(
    struct math_work *w, const struct math_node *a, const struct math_node *b, int *ret);

/* The whole number that a value may be, a name in it standing at one point; nothing is proven. */
bool ball_whole(struct math_work *w, const struct math_node *x, long *ret);

/* The sign of (a0 - a1) / (b0 - b1) at a positive point, 0 when it is not known. */
int ball_ratio_sign(
    struct math_work *w, const struct math_node *const a[2], const struct math_node *const b[2]);

/* Frees what the calling thread's arithmetic keeps; before a thread ends. */
void ball_thread_done(void);

#endif
