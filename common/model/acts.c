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

/* Sets the arrays of a for its cap and keep; returns the floats they take. */
static size_t lay_out(struct acts *a)
{
    const struct model_config *c = &a->config;
    size_t used = 0, rows = a->cap, wide = rows * c->hidden;
    size_t halves = a->keep ? 2 * (size_t)c->layers + 1 : 2;
    size_t scratch =
        larger(attention_kind_of(c)->scratch_floats(c), ffn_kind_of(c)->scratch_floats(c));
    a->x = cut(a->block, &used, halves * wide);
    a->kept = cut(a->block, &used, (a->keep ? c->layers : 1) * rows * layer_kept_floats(c));
    a->hidden = cut(a->block, &used, wide);
    a->rstd = cut(a->block, &used, rows);
    a->dx = cut(a->block, &used, a->keep ? wide : 0);
    a->dhidden = cut(a->block, &used, a->keep ? wide : 0);
    a->scratch = cut(a->block, &used, rows * scratch);
    a->page_scratch = cut(a->block, &used, a->keep ? 4 * (size_t)KV_PAGE * (c->head_dim + 16) : 0);
    return used;
}

int acts_reserve(struct acts *a, size_t rows, bool keep, struct err *e)
{
    if (rows <= a->cap && (a->keep || !keep))
        return 0;
    mem_big_free(a->block);
    a->block = NULL;
    a->keep = keep || a->keep;
    a->cap = (larger(rows, a->cap) + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
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
