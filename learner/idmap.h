/* idmap.h: a hash map from 64-bit ids to pointers. It owns no values. One thread at a time. */
#ifndef COHORT_LEARNER_IDMAP_H
#define COHORT_LEARNER_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idmap_slot {
    uint64_t id;
    void *value; /* borrowed; NULL: empty */
};

struct idmap {
    struct idmap_slot *slots; /* owned */
    size_t count, cap;        /* cap is a power of two or 0 */
};

void idmap_done(struct idmap *m);
void *idmap_get(const struct idmap *m, uint64_t id);       /* NULL when absent */
void idmap_put(struct idmap *m, uint64_t id, void *value); /* value not NULL; replaces */
void *idmap_take(struct idmap *m, uint64_t id);            /* removes; NULL when absent */
/* The value of the next occupied slot at or after *at, which moves behind it; NULL at the end. The
 * order is arbitrary but the same for the same history. Do not change the map on the way. */
void *idmap_next(const struct idmap *m, size_t *at);

#endif
