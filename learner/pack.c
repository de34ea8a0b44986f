/* pack.c: micro-batches in plan order. */
#include "learner/pack.h"

#include <stdlib.h>

#include "common/base/mem.h"

static size_t tokens_of(const struct train_group *g)
{
    size_t tokens = 0;
    for (uint32_t i = 0; i < g->n; i++)
        tokens += g->completions[i].len;
    return tokens;
}

/* Adds a part of a group to the last slice, after opening a new one when rows do not fit. */
static void add_part(
    struct packed *p, const struct train_group *part, size_t rows_max, size_t *rows_open)
{
    size_t tokens = tokens_of(part), rows = part->prompt_len + tokens;
    if (p->slice_count == 0 || *rows_open + rows > rows_max) {
        p->slices = mem_grow(p->slices, p->slice_count + 1, sizeof(*p->slices));
        p->slices[p->slice_count++] = (struct pack_slice){
            .group = p->group_count, .completion = p->completions, .token = p->tokens};
        *rows_open = 0;
    }
    p->groups = mem_grow(p->groups, p->group_count + 1, sizeof(*p->groups));
    p->groups[p->group_count++] = *part;
    struct pack_slice *s = &p->slices[p->slice_count - 1];
    s->group_count++;
    s->completion_count += part->n;
    s->token_count += tokens;
    p->tokens += tokens;
    p->completions += part->n;
    *rows_open += rows;
}

/* Number of completions of g from `first` on that fit below rows_max with the prompt; at least one.
 */
static uint32_t part_size(const struct train_group *g, uint32_t first, size_t rows_max)
{
    size_t rows = g->prompt_len;
    uint32_t n = 0;
    while (first + n < g->n) {
        rows += g->completions[first + n].len;
        if (rows > rows_max && n > 0)
            break;
        n++;
    }
    return n;
}

void pack_batch(
    const struct train_group *groups, size_t group_count, size_t rows_max, struct packed *ret)
{
    struct packed p = {0};
    size_t rows_open = 0;
    for (size_t i = 0; i < group_count; i++) {
        for (uint32_t first = 0; first < groups[i].n;) {
            struct train_group part = groups[i];
            part.completions += first;
            part.n = part_size(&groups[i], first, rows_max);
            add_part(&p, &part, rows_max, &rows_open);
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
