/* acts.c: the memory of a forward, one block cut into arrays. See forward.h. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/block.h"
#include "common/model/forward.h"

enum { ROW_ALIGN = 16 }; /* floats of a cache line: arrays of whole lines, whatever their width */

void acts_init(struct acts *a, const struct ops *ops, const struct model_config *c)
{
    size_t pages = kv_pages_for(c->context);
    *a = (struct acts){.ops = ops, .config = *c};
    a->page = mem_array(pages, sizeof(float *));
    a->dpage = mem_array(pages, sizeof(float *));
}

void acts_done(struct acts *a)
{
    mem_big_free(a->block);
    free(a->page);
    free(a->dpage);
    *a = (struct acts){0};
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t layer_kept_floats(const struct model_config *c)
{
    return attention_kind_of(c)->kept_floats(c) + ffn_kind_of(c)->kept_floats(c);
}

/* Cuts `floats` from the block; with no block it only counts. */
static float *cut(float *block, size_t *used, size_t floats)
{
    float *p = block ? block + *used : NULL;
    *used += floats;
    return p;
}

/* Arrays of the residual stream, in the order of forward.c's stream(). */
static size_t acts_streams(const struct acts *a)
{
    static const size_t fixed[] = {[ACTS_FORWARD] = 2, [ACTS_RECOMPUTE] = 2, [ACTS_KEEP] = 1};
    static const size_t of_layer[] = {[ACTS_FORWARD] = 0, [ACTS_RECOMPUTE] = 1, [ACTS_KEEP] = 2};
    return fixed[a->keep] + of_layer[a->keep] * a->config.layers;
}

/* Sets the arrays of a for its cap and keep; returns the floats they take. */
static size_t lay_out(struct acts *a)
{
    const struct model_config *c = &a->config;
    size_t used = 0, rows = a->cap, wide = rows * c->hidden;
    bool backward = a->keep != ACTS_FORWARD;
    size_t scratch =
        larger(attention_kind_of(c)->scratch_floats(c), ffn_kind_of(c)->scratch_floats(c));
    a->x = cut(a->block, &used, acts_streams(a) * wide);
    a->kept =
        cut(a->block, &used, (a->keep == ACTS_KEEP ? c->layers : 1) * rows * layer_kept_floats(c));
    a->hidden = cut(a->block, &used, wide);
    a->rstd = cut(a->block, &used, rows);
    a->dx = cut(a->block, &used, backward ? wide : 0);
    a->dhidden = cut(a->block, &used, backward ? wide : 0);
    a->scratch = cut(a->block, &used, rows * scratch);
    a->page_scratch = cut(a->block, &used, backward ? 4 * (size_t)KV_PAGE * (c->head_dim + 16) : 0);
    return used;
}

static size_t whole_lines(size_t rows)
{
    return (rows + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
}

size_t acts_floats(const struct model_config *c, enum acts_keep keep, size_t rows)
{
    struct acts a = {.config = *c, .keep = keep, .cap = whole_lines(rows)};
    return lay_out(&a);
}

int acts_reserve(struct acts *a, size_t rows, enum acts_keep keep, struct err *e)
{
    if (rows <= a->cap && keep <= a->keep)
        return 0;
    mem_big_free(a->block);
    a->block = NULL;
    a->keep = keep > a->keep ? keep : a->keep;
    a->cap = whole_lines(larger(rows, a->cap));
    a->block_floats = lay_out(a);
    a->block = mem_big(a->block_floats, sizeof(float), "activations", e);
    if (!a->block) {
        a->cap = 0;
        a->block_floats = 0;
        return ERR_FAIL;
    }
    lay_out(a);
    return 0;
}

size_t acts_bytes(const struct acts *a)
{
    return a->block_floats * sizeof(float);
}
