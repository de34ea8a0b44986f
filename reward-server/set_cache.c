/* set_cache.c: see set_cache.h. */
#include "reward-server/set_cache.h"

#include <assert.h>

#include "common/base/hash.h"

static struct hash key_of(const struct scorer_spec *specs, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_add_u64(&h, n);
    for (size_t i = 0; i < n; i++) {
        hasher_add_str(&h, specs[i].name);
        hasher_add_str(&h, specs[i].kind);
        hasher_add_str(&h, specs[i].params_json);
    }
    return hasher_done(&h);
}

/* A free place, else the unused set that was not asked for longest. */
static struct set_cache_entry *make_room(struct set_cache *c)
{
    struct set_cache_entry *best = NULL;
    for (size_t i = 0; i < SET_CACHE_MAX; i++) {
        struct set_cache_entry *n = &c->entries[i];
        if (n->users == 0 && (best == NULL || n->used_at < best->used_at))
            best = n;
    }
    if (best != NULL) {
        scoring_close(best->set);
        *best = (struct set_cache_entry){0};
    }
    return best;
}

int set_cache_get(struct set_cache *c, const struct scorer_spec *specs, size_t n,
    const struct scoring **ret, struct err *e)
{
    struct hash key = key_of(specs, n);
    struct set_cache_entry *entry = NULL;
    for (size_t i = 0; i < SET_CACHE_MAX && entry == NULL; i++)
        if (c->entries[i].set != NULL && hash_equal(&c->entries[i].key, &key))
            entry = &c->entries[i];
    if (entry == NULL) {
        struct scoring *set;
        if (scoring_open(specs, n, &set, e) < 0)
            return err_ctx(e, "making the scorers of a job");
        entry = make_room(c);
        if (entry == NULL) {
            scoring_close(set);
            return err_set(e, ERR_RETRY, "%d scoring sets are in use", SET_CACHE_MAX);
        }
        entry->key = key;
        entry->set = set;
    }
    entry->users++;
    entry->used_at = ++c->clock;
    *ret = entry->set;
    return 0;
}

void set_cache_release(struct set_cache *c, const struct scoring *set)
{
    for (size_t i = 0; i < SET_CACHE_MAX; i++) {
        if (set == NULL || c->entries[i].set != set)
            continue;
        assert(c->entries[i].users > 0);
        c->entries[i].users--;
    }
}

void set_cache_done(struct set_cache *c)
{
    for (size_t i = 0; i < SET_CACHE_MAX; i++)
        scoring_close(c->entries[i].set);
    *c = (struct set_cache){0};
}
