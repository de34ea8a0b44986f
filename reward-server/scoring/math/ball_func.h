/* ball_func.h: functions of complex balls, with arguments bounded before Arb sees them. */
#ifndef COHORT_SCORING_MATH_BALL_FUNC_H
#define COHORT_SCORING_MATH_BALL_FUNC_H

#include <acb.h>

#include "reward-server/scoring/math/tree.h"

size_t ball_func_cost(int func, slong prec); /* steps */
/* False where the function has no value or its argument is too large to compute with. */
bool ball_func(acb_t r, enum math_func func, acb_t args[2], slong prec);
bool ball_power(acb_t r, const acb_t base, const acb_t exponent, slong prec);

#endif
