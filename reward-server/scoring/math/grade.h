/* grade.h: one completion against one reference: where its answer stands, and whether it is the
 * reference. What a worker process does for each request (worker.c), and a program without workers
 * by itself.
 */
#ifndef COHORT_SCORING_MATH_GRADE_H
#define COHORT_SCORING_MATH_GRADE_H

#include "reward-server/scoring/math/check.h"

struct math_request {
    struct span reference; /* an answer, or a solution that has it in a box or after a mark */
    struct span text;      /* a completion, or the inside of its tag */
    bool tagged;           /* the text is the inside of a tag: all of it, when it has no box */
};

struct math_outcome {
    bool found;            /* an answer; else all below is zero and "" */
    struct span extracted; /* within the text */
    enum math_answer answer;
    const char *why; /* a constant, or lives in the arena */
};

/* Pure, as math_check_pair; any thread. */
void math_grade(const struct math_request *q, struct math_outcome *ret);

#endif
