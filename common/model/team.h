/* team.h: threads that run one forward together.
 *
 * A large model's weights come from memory; threads that each took their own rows through the whole
 * network would each read all of them. The members of a team run the same forward over the same
 * rows in the same arrays. Each does its share of every operation, of the outputs of a product, of
 * the rows of a norm, of the spans of an attention, and they meet before one reads what another
 * wrote. Rows and outputs do not depend on each other, so a team of any size gives the same bits.
 */
#ifndef COHORT_MODEL_TEAM_H
#define COHORT_MODEL_TEAM_H

#include <stddef.h>

#include "common/tensor/pool.h"

struct team {
    struct pool *pool;    /* borrowed; runs one task for each member. Not read when alone */
    unsigned index, size; /* size 0 or 1: alone, every share is all there is */
};

struct share {
    size_t first, count;
};

/* The member's share of n items, in whole runs of `unit` items but for the last. */
static inline struct share team_share(const struct team *t, size_t n, size_t unit)
{
    if (t->size <= 1)
        return (struct share){0, n};
    size_t units = (n + unit - 1) / unit;
    size_t first = units * t->index / t->size * unit, end = units * (t->index + 1) / t->size * unit;
    end = end < n ? end : n;
    return (struct share){first, first < end ? end - first : 0};
}

/* Returns when all members have come here; what they wrote before is seen. */
static inline void team_meet(const struct team *t)
{
    if (t->size > 1)
        pool_meet(t->pool, t->size);
}

#endif
