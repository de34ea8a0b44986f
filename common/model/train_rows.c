/* train_rows.c: see train_rows.h. */
#include "common/model/train_rows.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* ---- sizes ---- */

static size_t completion_rows(const struct train_completion *c)
{
    return c->len > 0 ? c->len - 1 : 0;
}

size_t train_group_rows(const struct train_group *g)
{
    size_t n = g->prompt_len;
    for (uint32_t i = 0; i < g->n; i++)
        n += completion_rows(&g->completions[i]);
    return n;
}

size_t micro_batch_rows(const struct micro_batch *b)
{
    size_t n = 0;
    for (size_t g = 0; g < b->group_count; g++)
        n += train_group_rows(&b->groups[g]);
    return n;
}

size_t micro_batch_tokens(const struct micro_batch *b)
{
    size_t n = 0;
    for (size_t g = 0; g < b->group_count; g++) {
        for (uint32_t i = 0; i < b->groups[g].n; i++)
            n += b->groups[g].completions[i].len;
    }
    return n;
}

static size_t sequences(const struct micro_batch *b)
{
    size_t n = b->group_count;
    for (size_t g = 0; g < b->group_count; g++)
        n += b->groups[g].n;
    return n;
}

/* Pages that a completion does not share with its prompt. */
static size_t own_pages(const struct train_group *g, const struct train_completion *c)
{
    size_t rows = completion_rows(c);
    return rows == 0 ? 0 : kv_pages_for(g->prompt_len + rows) - g->prompt_len / KV_PAGE;
}

size_t train_rows_pages(const struct micro_batch *b)
{
    size_t n = 0;
    for (size_t g = 0; g < b->group_count; g++) {
        n += kv_pages_for(b->groups[g].prompt_len);
        for (uint32_t i = 0; i < b->groups[g].n; i++)
            n += own_pages(&b->groups[g], &b->groups[g].completions[i]);
    }
    return n;
}

/* ---- checks ---- */

static int check_ids(
    const uint32_t *ids, size_t n, uint32_t bound, const char *what, size_t group, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= bound)
            return err_set(e, ERR_DATA, "group %zu: %s token %zu is id %u, expected below %u",
                group, what, i, ids[i], bound);
    }
    return 0;
}

static int check_group(
    const struct micro_batch *b, size_t at, const struct model_config *config, struct err *e)
{
    const struct train_group *g = &b->groups[at];
    if (g->prompt_len == 0 || g->prompt_len > config->context)
        return err_set(e, ERR_DATA, "group %zu: the prompt has %u tokens, expected 1 to %u", at,
            g->prompt_len, config->context);
    int r = check_ids(g->prompt, g->prompt_len, config->vocab, "prompt", at, e);
    for (uint32_t i = 0; i < g->n && r == 0; i++) {
        const struct train_completion *t = &g->completions[i];
        if (t->len > 0 && g->prompt_len + completion_rows(t) > config->context)
            return err_set(e, ERR_DATA,
                "group %zu: completion %u of %u tokens after a prompt of %u is over the context of "
                "%u",
                at, i, t->len, g->prompt_len, config->context);
        r = check_ids(t->tokens, t->len, b->vocab, "completion", at, e);
    }
    return r;
}

int train_rows_check(const struct micro_batch *b, const struct model_config *c, struct err *e)
{
    if (!(b->temperature > 0 && isfinite(b->temperature)))
        return err_set(e, ERR_DATA, "temperature is %g, expected above 0", (double)b->temperature);
    if (b->vocab == 0 || b->vocab > c->vocab)
        return err_set(e, ERR_DATA, "%u allowed ids, expected 1 to %u", b->vocab, c->vocab);
    int r = 0;
    for (size_t g = 0; g < b->group_count && r == 0; g++)
        r = check_group(b, g, c, e);
    return r;
}

/* ---- taking in ---- */

static void make_room(struct train_rows *t, const struct micro_batch *b)
{
    size_t rows = micro_batch_rows(b), tokens = micro_batch_tokens(b), seqs = sequences(b);
    if (seqs > t->seq_cap) {
        t->seqs = mem_grow(t->seqs, seqs, sizeof(*t->seqs));
        t->spans = mem_grow(t->spans, seqs, sizeof(*t->spans));
        t->seq_cap = seqs;
    }
    if (rows > t->row_cap) {
        t->inputs = mem_grow(t->inputs, rows, sizeof(*t->inputs));
        t->row_cap = rows;
    }
    if (tokens > t->token_cap) {
        t->source = mem_grow(t->source, tokens, sizeof(*t->source));
        t->target = mem_grow(t->target, tokens, sizeof(*t->target));
        t->token_cap = tokens;
    }
}

/* The next sequence, which will take so many pages. */
static struct kv_seq *add_sequence(
    struct train_rows *t, struct kv *kv, size_t positions, size_t pages)
{
    struct kv_seq *s = &t->seqs[t->seq_count++];
    kv_seq_init(s, (uint32_t)kv_pages_for(positions));
    bool fits = kv_reserve(kv, s, pages);
    assert(fits);
    return s;
}

static void add_span(struct train_rows *t, const uint32_t *tokens, struct span span)
{
    span.row0 = t->rows;
    t->spans[t->span_count++] = span;
    memcpy(t->inputs + t->rows, tokens, span.rows * sizeof(*tokens));
    t->rows += span.rows;
}

static void add_prompt(struct train_rows *t, struct kv *kv, const struct train_group *g)
{
    struct kv_seq *s = add_sequence(t, kv, g->prompt_len, kv_pages_for(g->prompt_len));
    kv_extend(kv, s, g->prompt_len);
    add_span(t, g->prompt, (struct span){.rows = g->prompt_len, .pages = s->pages});
}

/* Lists each token's row and id; a completion of more than one token has a span. What it copies of
 * its prompt's last page is not there yet: each layer's forward copies its part. */
static void add_completion(struct train_rows *t, struct kv *kv, const struct train_group *g,
    const struct train_completion *c, size_t prompt)
{
    const struct span *p = &t->spans[prompt];
    size_t rows = completion_rows(c);
    for (uint32_t j = 0; j < c->len; j++) {
        t->source[t->tokens] = j == 0 ? p->row0 + g->prompt_len - 1 : t->rows + j - 1;
        t->target[t->tokens++] = c->tokens[j];
    }
    struct kv_seq *s = add_sequence(t, kv, g->prompt_len + rows, own_pages(g, c));
    if (rows == 0)
        return;
    kv_fork(kv, s, &t->seqs[prompt], g->prompt_len);
    kv_extend(kv, s, g->prompt_len + rows);
    add_span(t, c->tokens,
        (struct span){.rows = rows,
            .pos0 = g->prompt_len,
            .pages = s->pages,
            .copied = g->prompt_len % KV_PAGE != 0 ? p->pages[g->prompt_len / KV_PAGE] : NULL});
}

void train_rows_fill(struct train_rows *t, struct kv *kv, const struct micro_batch *b)
{
    make_room(t, b);
    t->rows = t->tokens = t->span_count = 0;
    for (size_t i = 0; i < b->group_count; i++)
        add_prompt(t, kv, &b->groups[i]);
    t->prompt_count = t->seq_count;
    for (size_t i = 0; i < b->group_count; i++) {
        for (uint32_t k = 0; k < b->groups[i].n; k++)
            add_completion(t, kv, &b->groups[i], &b->groups[i].completions[k], i);
    }
}

void train_rows_release(struct train_rows *t, struct kv *kv)
{
    for (size_t i = 0; i < t->seq_count; i++) {
        kv_release(kv, &t->seqs[i]);
        kv_seq_done(&t->seqs[i]);
    }
    t->seq_count = 0;
}

void train_rows_done(struct train_rows *t)
{
    free(t->seqs);
    free(t->spans);
    free(t->inputs);
    free(t->source);
    free(t->target);
}

struct batch train_rows_batch(const struct train_rows *t)
{
    return (struct batch){.tokens = t->inputs,
        .spans = t->spans,
        .rows = t->rows,
        .span_count = t->span_count,
        .prompt_count = t->prompt_count};
}
