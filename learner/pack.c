/* pack.c: micro-batches in plan order. */
#include "learner/pack.h"

#include <stdlib.h>

#include "common/base/mem.h"

/* A batch on its way into slices. */
struct packing {
    struct packed *out;
    size_t rows_max;
    size_t rows_open; /* of the last slice */
    size_t rows_left; /* of the batch, behind the last slice's first row */
    size_t slices_left;
};

static size_t tokens_of(const struct train_group *g)
{
    size_t tokens = 0;
    for (uint32_t i = 0; i < g->n; i++)
        tokens += g->completions[i].len;
    return tokens;
}

/* Whether the open slice is nearer to its share of what is left without these rows than with them,
 * or has no room for them. */
static bool is_full(const struct packing *k, size_t rows)
{
    size_t share = (k->rows_left + k->slices_left - 1) / k->slices_left;
    return k->rows_open > 0 &&
           (k->rows_open + rows > k->rows_max || k->rows_open + rows / 2 >= share);
}

static void open_slice(struct packing *k)
{
    struct packed *p = k->out;
    if (p->slice_count > 0) {
        k->rows_left -= k->rows_open < k->rows_left ? k->rows_open : k->rows_left;
        k->slices_left -= k->slices_left > 1;
    }
    p->slices = mem_grow(p->slices, p->slice_count + 1, sizeof(*p->slices));
    p->slices[p->slice_count++] = (struct pack_slice){
        .group = p->group_count, .completion = p->completions, .token = p->tokens};
    k->rows_open = 0;
}

/* Adds a part of a group to the last slice, after opening a new one when that is full. */
static void add_part(struct packing *k, const struct train_group *part)
{
    struct packed *p = k->out;
    size_t tokens = tokens_of(part), rows = train_group_rows(part);
    if (p->slice_count == 0 || is_full(k, rows))
        open_slice(k);
    p->groups = mem_grow(p->groups, p->group_count + 1, sizeof(*p->groups));
    p->groups[p->group_count++] = *part;
    struct pack_slice *s = &p->slices[p->slice_count - 1];
    s->group_count++;
    s->completion_count += part->n;
    s->token_count += tokens;
    p->tokens += tokens;
    p->completions += part->n;
    k->rows_open += rows;
}

/* Number of completions of g from `first` on whose rows fit into rows_max with the prompt's; at
 * least one. */
static uint32_t part_size(const struct train_group *g, uint32_t first, size_t rows_max)
{
    struct train_group part = *g;
    part.completions += first;
    part.n = 1;
    while (first + part.n < g->n) {
        part.n++;
        if (train_group_rows(&part) > rows_max)
            return part.n - 1;
    }
    return part.n;
}

void pack_batch(const struct train_group *groups, size_t group_count, const struct pack_rule *rule,
    struct packed *ret)
{
    struct packed p = {0};
    struct packing k = {.out = &p, .rows_max = rule->rows_max};
    for (size_t i = 0; i < group_count; i++)
        k.rows_left += groups[i].n > 0 ? train_group_rows(&groups[i]) : 0;
    size_t slices = (k.rows_left + rule->rows_max - 1) / rule->rows_max;
    k.slices_left = (slices + rule->shards - 1) / rule->shards * rule->shards;
    for (size_t i = 0; i < group_count; i++) {
        for (uint32_t first = 0; first < groups[i].n;) {
            struct train_group part = groups[i];
            part.completions += first;
            part.n = part_size(&groups[i], first, rule->rows_max);
            add_part(&k, &part);
            first += part.n;
        }
    }
    *ret = p;
}

void packed_done(struct packed *p)
{
    free(p->groups);
    free(p->slices);
    *p = (struct packed){0};
}
