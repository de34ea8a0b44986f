/* idmap.c: open addressing with linear probing; removal shifts the rest of the run back. */
#include "learner/idmap.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { IDMAP_CAP_MIN = 64 };

/* Ids count up, so their low bits alone would do; the multiplication (Fibonacci hashing) also
 * spreads hashes of names and session ids that share low bits. */
static size_t home(const struct idmap *m, uint64_t id)
{
    return (size_t)((id * 0x9e3779b97f4a7c15u) >> 32) & (m->cap - 1);
}

/* Slot that holds id, or the empty one where it would go. */
static size_t find(const struct idmap *m, uint64_t id)
{
    size_t i = home(m, id);
    while (m->slots[i].value && m->slots[i].id != id)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static void grow(struct idmap *m)
{
    struct idmap old = *m;
    m->cap = old.cap ? 2 * old.cap : IDMAP_CAP_MIN;
    m->slots = mem_array(m->cap, sizeof(*m->slots));
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].value)
            m->slots[find(m, old.slots[i].id)] = old.slots[i];
    }
    free(old.slots);
}

void idmap_done(struct idmap *m)
{
    free(m->slots);
    *m = (struct idmap){0};
}

void *idmap_get(const struct idmap *m, uint64_t id)
{
    return m->cap ? m->slots[find(m, id)].value : NULL;
}

void idmap_put(struct idmap *m, uint64_t id, void *value)
{
    if (2 * (m->count + 1) > m->cap)
        grow(m);
    size_t i = find(m, id);
    if (!m->slots[i].value)
        m->count++;
    m->slots[i] = (struct idmap_slot){id, value};
}

void *idmap_take(struct idmap *m, uint64_t id)
{
    if (!m->cap)
        return NULL;
    size_t hole = find(m, id), mask = m->cap - 1;
    void *value = m->slots[hole].value;
    if (!value)
        return NULL;
    m->count--;
    /* An entry may fill the hole unless its home lies behind the hole, cyclically. */
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        if (((i - home(m, m->slots[i].id)) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].value = NULL;
    return value;
}

void *idmap_next(const struct idmap *m, size_t *at)
{
    while (*at < m->cap) {
        struct idmap_slot *s = &m->slots[(*at)++];
        if (s->value)
            return s->value;
    }
    return NULL;
}
