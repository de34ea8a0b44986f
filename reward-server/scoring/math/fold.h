/* fold.h: one spelling for what Unicode has several of. */
#ifndef COHORT_SCORING_MATH_FOLD_H
#define COHORT_SCORING_MATH_FOLD_H

#include "reward-server/scoring/scorer.h"

/* A character becomes at most MATH_FOLD_GROWTH times its bytes. */
enum { MATH_FOLD_GROWTH = 8 };

/* The text in a, or the text itself when it is ASCII. */
struct span math_fold(struct arena *a, struct span s);

#endif
