/* pool.h: a fixed set of threads that run one function over task indices.
 *
 * pool_run gives task i to thread i mod threads: which thread runs what never depends on timing.
 * The caller is thread 0. One caller at a time. Functions must not call pool_run themselves.
 */
#ifndef COHORT_TENSOR_POOL_H
#define COHORT_TENSOR_POOL_H

#include <stddef.h>

#include "common/base/err.h"

struct pool;

int pool_new(unsigned threads, struct pool **ret, struct err *e) ERR_WARN_UNUSED; /* 1..256 */
void pool_free(struct pool *p);
unsigned pool_threads(const struct pool *p);
void pool_run(
    struct pool *p, size_t tasks, void (*fn)(void *arg, size_t task, unsigned thread), void *arg);
/* For tasks of one pool_run of 2 .. threads tasks, each of which calls it equally often: returns
 * when all have called it; what they wrote before is then seen by all. */
void pool_meet(struct pool *p, unsigned tasks);

#endif
