/* bpe.c: see bpe.h.
 *
 * A word is a list of symbols; a heap has the pairs that could be merged. A merge makes its left
 * symbol the merged one and takes the right one out. Pairs of the heap that are no more are not
 * looked for: they are found stale when they come up.
 */
#include "common/text/bpe.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum {
    SMALL = 32,      /* symbols of a word that needs no memory of its own */
    HEAP_FACTOR = 3, /* a pair for each symbol, and two for each merge */
    NONE = -1,
};

struct merge {
    uint64_t pair;
    uint32_t rank, merged;
};

struct bpe {
    struct merge *slots; /* owned; by hash, NO_PAIR: free */
    size_t mask;
    uint32_t count; /* ranks so far */
};

static const uint64_t NO_PAIR = UINT64_MAX;

static size_t slot_of(const struct bpe *b, uint64_t pair)
{
    uint64_t h = pair * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h >> 20) & b->mask;
    while (b->slots[i].pair != NO_PAIR && b->slots[i].pair != pair)
        i = (i + 1) & b->mask;
    return i;
}

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

struct bpe *bpe_new(size_t merges_max)
{
    struct bpe *b = mem_alloc(sizeof(*b));
    size_t cap = 16;
    while (cap < 2 * merges_max)
        cap *= 2;
    b->slots = mem_array(cap, sizeof(*b->slots));
    b->mask = cap - 1;
    for (size_t i = 0; i < cap; i++)
        b->slots[i].pair = NO_PAIR;
    return b;
}

void bpe_free(struct bpe *b)
{
    if (b != NULL)
        free(b->slots);
    free(b);
}

void bpe_add(struct bpe *b, uint32_t left, uint32_t right, uint32_t merged)
{
    uint64_t pair = pair_of(left, right);
    b->slots[slot_of(b, pair)] = (struct merge){pair, b->count++, merged};
}

/* ---- a word ---- */

struct symbol {
    uint32_t id;
    bool gone;          /* into the symbol before it */
    int64_t prev, next; /* NONE at the ends */
};

/* A pair by its left symbol. */
struct candidate {
    uint32_t rank, merged;
    int64_t at;
};

struct word {
    const struct bpe *b;
    struct symbol *symbols;
    struct candidate *heap; /* the least first */
    size_t heap_count;
};

static bool is_less(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct word *w, struct candidate c)
{
    size_t i = w->heap_count++;
    while (i > 0 && is_less(&c, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = c;
}

static struct candidate heap_pop(struct word *w)
{
    struct candidate top = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < w->heap_count) {
        if (child + 1 < w->heap_count && is_less(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!is_less(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* The merge of the symbol with the one after it; NULL when there is none. */
static const struct merge *merge_at(const struct word *w, int64_t at)
{
    const struct symbol *left = &w->symbols[at];
    if (left->next == NONE)
        return NULL;
    uint64_t pair = pair_of(left->id, w->symbols[left->next].id);
    const struct merge *m = &w->b->slots[slot_of(w->b, pair)];
    return m->pair == pair ? m : NULL;
}

static void consider(struct word *w, int64_t at)
{
    const struct merge *m = at != NONE ? merge_at(w, at) : NULL;
    if (m != NULL)
        heap_push(w, (struct candidate){m->rank, m->merged, at});
}

/* Whether the pair is still there as it was: its left symbol may be gone, or have grown. */
static bool is_fresh(const struct word *w, const struct candidate *c)
{
    const struct merge *m = w->symbols[c->at].gone ? NULL : merge_at(w, c->at);
    return m != NULL && m->rank == c->rank;
}

static void merge_all(struct word *w)
{
    while (w->heap_count > 0) {
        struct candidate c = heap_pop(w);
        if (!is_fresh(w, &c))
            continue;
        struct symbol *left = &w->symbols[c.at];
        struct symbol *right = &w->symbols[left->next];
        right->gone = true;
        left->id = c.merged;
        left->next = right->next;
        if (left->next != NONE)
            w->symbols[left->next].prev = c.at;
        consider(w, left->prev);
        consider(w, c.at);
    }
}

static size_t merge_word(struct word *w, uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w->symbols[i] =
            (struct symbol){ids[i], false, (int64_t)i - 1, i + 1 < n ? (int64_t)i + 1 : NONE};
    for (size_t i = 0; i < n; i++)
        consider(w, (int64_t)i);
    merge_all(w);
    size_t count = 0;
    for (int64_t at = 0; at != NONE; at = w->symbols[at].next)
        ids[count++] = w->symbols[at].id;
    return count;
}

size_t bpe_merge(const struct bpe *b, uint32_t *ids, size_t n)
{
    struct symbol few[SMALL];
    struct candidate few_pairs[HEAP_FACTOR * SMALL];
    if (n < 2)
        return n;
    if (n <= SMALL) {
        struct word w = {b, few, few_pairs, 0};
        return merge_word(&w, ids, n);
    }
    CLEANUP_FREE struct symbol *symbols = mem_array(n, sizeof(*symbols));
    CLEANUP_FREE struct candidate *heap = mem_array(HEAP_FACTOR * n, sizeof(*heap));
    struct word w = {b, symbols, heap, 0};
    return merge_word(&w, ids, n);
}
