/* pool.h: grading in processes that may die.
 *
 * How it works: FLINT and Arb are libraries that we do not control, and abort when they run out of
 * memory. So a program that serves starts workers (the program cohort-math, worker.c), each at one
 * end of a socket pair, and gives each completion to an idle one. A worker that ends, answers
 * nonsense or does not answer in time is killed, and the completion goes once more to a new one;
 * then it is a transient fault of the judge. Workers are started when there is none idle, so there
 * are as many as threads ever graded at the same time.
 *
 * math_pool_grade is for any thread. A worker's steps are bounded (tree.h): the deadline is for
 * faults only and never decides a verdict.
 */
#ifndef COHORT_SCORING_MATH_POOL_H
#define COHORT_SCORING_MATH_POOL_H

#include "reward-server/scoring/math/grade.h"

enum { MATH_POOL_DEADLINE_MS = 10000 };

struct math_pool;

/* program: path of cohort-math, or NULL to look beside this program and in the build tree. Starts
 * one worker, so that a program that is missing or does not answer is known at once. */
int math_pool_open(const char *program, unsigned deadline_ms, struct math_pool **ret,
    struct err *e) ERR_WARN_UNUSED;
void math_pool_close(struct math_pool *p); /* NULL is fine; no math_pool_grade may be under way */

/* As math_grade; ret->why lives in a. ERR_RETRY when two workers in a row failed. */
int math_pool_grade(struct math_pool *p, const struct math_request *q, struct arena *a,
    struct math_outcome *ret, struct err *e) ERR_WARN_UNUSED;

#endif
