/* set_cache.h: the scoring sets in use, by what their specs say. One thread owns a cache.
 *
 * A run has one set, so a few places are enough; a set that a job uses stays.
 */
#ifndef COHORT_REWARD_SET_CACHE_H
#define COHORT_REWARD_SET_CACHE_H

#include "reward-server/scoring/scoring.h"

enum { SET_CACHE_MAX = 8 };

struct set_cache {
    struct set_cache_entry {
        struct hash key;
        struct scoring *set; /* owned; NULL: free place */
        unsigned users;
        uint64_t used_at;
    } entries[SET_CACHE_MAX];
    uint64_t clock;
};

/* The set for these specs, made when it is new, with a reference taken. ERR_RETRY when all places
 * are in use; ERR_CONFIG when a spec is refused. */
int set_cache_get(struct set_cache *c, const struct scorer_spec *specs, size_t n,
    const struct scoring **ret, struct err *e) ERR_WARN_UNUSED;
void set_cache_release(struct set_cache *c, const struct scoring *set);
void set_cache_done(struct set_cache *c);

#endif
