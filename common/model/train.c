/* train.c: packed training. See train.h.
 *
 * How it works. The prompts of all groups come first, one span each, then every completion, one
 * span each: two batches through the one forward, with kv_fork between them, as sampling does it. A
 * completion's last token is never an input. The log-prob of token j is read from the row of token
 * j - 1, that of token 0 from the prompt's last row: source[] says which. Logits exist for
 * HEAD_ROWS rows at a time, in the forward and again in the backward.
 *
 * Backward: the head fills the gradient of the rows, completions go back through all layers and
 * leave in the gradient pages what they owe to their prompt; the copies of the page in which a
 * prompt ends are added to the prompt's own in completion order; then the prompts go back.
 */
#include "common/model/train.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/block.h"
#include "common/model/forward.h"
#include "common/model/weights.h"

enum { HEAD_ROWS = 64 };

struct train_ctx {
    const struct param_table *table; /* borrowed */
    struct acts acts;
    struct kv kv;
    bool kept; /* a forward with keep is waiting for its backward */

    /* Of the micro-batch, grown on demand. Sequences: prompts, then completions. */
    struct kv_seq *seqs;
    struct span *spans; /* of the sequences that have rows: all prompts, most completions */
    size_t seq_count, span_count, seq_cap, prompt_count;
    uint32_t *inputs; /* row -> token id */
    size_t rows, prompt_rows, row_cap;
    size_t *source;   /* token -> row that its logits come from */
    uint32_t *target; /* token -> its id */
    float *lse, *entropy;
    size_t tokens, token_cap;

    float *gathered, *dgathered; /* HEAD_ROWS x hidden */
    float *z, *dz;               /* HEAD_ROWS x vocab */
};

/* ---- sizes ---- */

static size_t completion_rows(const struct train_completion *c)
{
    return c->len > 0 ? c->len - 1 : 0;
}

size_t micro_batch_rows(const struct micro_batch *b)
{
    size_t n = 0;
    for (size_t g = 0; g < b->group_count; g++) {
        n += b->groups[g].prompt_len;
        for (uint32_t i = 0; i < b->groups[g].n; i++)
            n += completion_rows(&b->groups[g].completions[i]);
    }
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

static size_t pages_needed(const struct micro_batch *b)
{
    size_t n = 0;
    for (size_t g = 0; g < b->group_count; g++) {
        n += kv_pages_for(b->groups[g].prompt_len);
        for (uint32_t i = 0; i < b->groups[g].n; i++)
            n += own_pages(&b->groups[g], &b->groups[g].completions[i]);
    }
    return n;
}

/* ---- life ---- */

int train_ctx_new(
    const struct param_table *t, const char *isa, struct train_ctx **ret, struct err *e)
{
    const struct ops *ops;
    int r = ops_select(isa, &ops, e);
    if (r < 0)
        return r;
    ops_blas_setup();
    struct train_ctx *c = mem_alloc(sizeof(*c));
    c->table = t;
    acts_init(&c->acts, ops, &t->config);
    size_t wide = (size_t)HEAD_ROWS * t->config.hidden, vocab = (size_t)HEAD_ROWS * t->config.vocab;
    c->gathered = mem_big(2 * wide + 2 * vocab, sizeof(float), "logits", e);
    if (!c->gathered) {
        train_ctx_free(c);
        return ERR_FAIL;
    }
    c->dgathered = c->gathered + wide;
    c->z = c->dgathered + wide;
    c->dz = c->z + vocab;
    *ret = c;
    return 0;
}

static void release_sequences(struct train_ctx *c)
{
    for (size_t i = 0; i < c->seq_count; i++) {
        kv_release(&c->kv, &c->seqs[i]);
        kv_seq_done(&c->seqs[i]);
    }
    c->seq_count = 0;
    c->kept = false;
}

void train_ctx_free(struct train_ctx *c)
{
    if (!c)
        return;
    release_sequences(c);
    acts_done(&c->acts);
    kv_done(&c->kv);
    free(c->seqs);
    free(c->spans);
    free(c->inputs);
    free(c->source);
    free(c->target);
    free(c->lse);
    free(c->entropy);
    mem_big_free(c->gathered);
    free(c);
}

size_t train_ctx_bytes(const struct train_ctx *c)
{
    size_t pages = c->kv.total * c->kv.page_floats * (c->kv.gradients ? 2 : 1);
    size_t head = 2 * (size_t)HEAD_ROWS * (c->table->config.hidden + c->table->config.vocab);
    return acts_bytes(&c->acts) + (pages + head) * sizeof(float);
}

/* ---- taking in a micro-batch ---- */

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
    const struct train_ctx *c, const struct micro_batch *b, size_t at, struct err *e)
{
    const struct train_group *g = &b->groups[at];
    const struct model_config *config = &c->table->config;
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

static int check_batch(const struct train_ctx *c, const struct micro_batch *b, struct err *e)
{
    if (!(b->temperature > 0 && isfinite(b->temperature)))
        return err_set(e, ERR_DATA, "temperature is %g, expected above 0", (double)b->temperature);
    if (b->vocab == 0 || b->vocab > c->table->config.vocab)
        return err_set(
            e, ERR_DATA, "%u allowed ids, expected 1 to %u", b->vocab, c->table->config.vocab);
    int r = 0;
    for (size_t g = 0; g < b->group_count && r == 0; g++)
        r = check_group(c, b, g, e);
    return r;
}

static int need_pages(struct train_ctx *c, size_t pages, bool gradients, struct err *e)
{
    const struct model_config *config = &c->table->config;
    int r = 0;
    if (pages > c->kv.total) {
        kv_done(&c->kv);
        r = kv_init(
            &c->kv, config->layers, attention_kind_of(config)->page_floats(config), pages, e);
    }
    return r == 0 && gradients ? kv_need_gradients(&c->kv, e) : r;
}

static int make_room(struct train_ctx *c, const struct micro_batch *b, bool keep, struct err *e)
{
    size_t rows = micro_batch_rows(b), tokens = micro_batch_tokens(b), seqs = sequences(b);
    int r = acts_reserve(&c->acts, rows, keep, e);
    if (r == 0)
        r = need_pages(c, pages_needed(b), keep, e);
    if (r < 0)
        return r;
    if (seqs > c->seq_cap) {
        c->seqs = mem_grow(c->seqs, seqs, sizeof(*c->seqs));
        c->spans = mem_grow(c->spans, seqs, sizeof(*c->spans));
        c->seq_cap = seqs;
    }
    if (rows > c->row_cap) {
        c->inputs = mem_grow(c->inputs, rows, sizeof(*c->inputs));
        c->row_cap = rows;
    }
    if (tokens > c->token_cap) {
        c->source = mem_grow(c->source, tokens, sizeof(*c->source));
        c->target = mem_grow(c->target, tokens, sizeof(*c->target));
        c->lse = mem_grow(c->lse, tokens, sizeof(*c->lse));
        c->entropy = mem_grow(c->entropy, tokens, sizeof(*c->entropy));
        c->token_cap = tokens;
    }
    return 0;
}

/* The next sequence, which will take so many pages, and its span of `rows` inputs. Rows of a span
 * count from its batch's first row: batch_row0. */
static struct kv_seq *add_sequence(
    struct train_ctx *c, const uint32_t *tokens, struct span span, size_t batch_row0, size_t pages)
{
    struct kv_seq *s = &c->seqs[c->seq_count++];
    kv_seq_init(s, (uint32_t)kv_pages_for(span.pos0 + span.rows));
    bool fits = kv_reserve(&c->kv, s, pages);
    assert(fits);
    if (span.rows > 0) {
        span.row0 = c->rows - batch_row0;
        span.pages = s->pages;
        c->spans[c->span_count++] = span;
        memcpy(c->inputs + c->rows, tokens, span.rows * sizeof(*tokens));
        c->rows += span.rows;
    }
    return s;
}

static void add_prompts(struct train_ctx *c, const struct micro_batch *b)
{
    for (size_t i = 0; i < b->group_count; i++) {
        const struct train_group *g = &b->groups[i];
        struct span span = {.rows = g->prompt_len};
        struct kv_seq *s = add_sequence(c, g->prompt, span, 0, kv_pages_for(g->prompt_len));
        kv_extend(&c->kv, s, g->prompt_len);
    }
    c->prompt_count = c->seq_count;
    c->prompt_rows = c->rows;
}

/* Lists each token's row and id; gives completions of more than one token their span. Their pages
 * come after the prompts' forward, which fills what they copy. */
static void add_completions(struct train_ctx *c, const struct micro_batch *b)
{
    for (size_t i = 0; i < b->group_count; i++) {
        const struct train_group *g = &b->groups[i];
        size_t prompt_last = c->spans[i].row0 + g->prompt_len - 1;
        for (uint32_t k = 0; k < g->n; k++) {
            const struct train_completion *t = &g->completions[k];
            for (uint32_t j = 0; j < t->len; j++) {
                c->source[c->tokens] = j == 0 ? prompt_last : c->rows + j - 1;
                c->target[c->tokens++] = t->tokens[j];
            }
            struct span span = {.rows = completion_rows(t), .pos0 = g->prompt_len};
            (void)add_sequence(c, t->tokens, span, c->prompt_rows, own_pages(g, t));
        }
    }
}

static void fork_completions(struct train_ctx *c, const struct micro_batch *b)
{
    size_t at = c->prompt_count;
    for (size_t i = 0; i < b->group_count; i++) {
        const struct train_group *g = &b->groups[i];
        for (uint32_t k = 0; k < g->n; k++, at++) {
            size_t rows = completion_rows(&g->completions[k]);
            if (rows == 0)
                continue;
            kv_fork(&c->kv, &c->seqs[at], &c->seqs[i], g->prompt_len);
            kv_extend(&c->kv, &c->seqs[at], g->prompt_len + rows);
        }
    }
}

/* ---- forward ---- */

/* The two batches: prompts, then completions. */
static struct batch prompt_batch(const struct train_ctx *c)
{
    return (struct batch){.tokens = c->inputs,
        .spans = c->spans,
        .rows = c->prompt_rows,
        .span_count = c->prompt_count};
}

static struct batch completion_batch(const struct train_ctx *c)
{
    return (struct batch){.tokens = c->inputs + c->prompt_rows,
        .spans = c->spans + c->prompt_count,
        .rows = c->rows - c->prompt_rows,
        .span_count = c->span_count - c->prompt_count};
}

/* The hidden rows of tokens first .. first + n - 1, and their logits. */
static void head_block(struct train_ctx *c, const struct weights *w, size_t first, size_t n)
{
    size_t C = c->table->config.hidden;
    for (size_t i = 0; i < n; i++)
        memcpy(c->gathered + i * C, c->acts.hidden + c->source[first + i] * C, C * sizeof(float));
    model_logits(&c->acts, w, c->z, c->gathered, n);
}

static size_t block_size(size_t first, size_t total)
{
    return total - first < HEAD_ROWS ? total - first : HEAD_ROWS;
}

static int head_forward(struct train_ctx *c, const struct weights *w, const struct micro_batch *b,
    float *logp, float *entropy, struct err *e)
{
    size_t V = c->table->config.vocab;
    for (size_t first = 0, n; first < c->tokens; first += n) {
        n = block_size(first, c->tokens);
        head_block(c, w, first, n);
        for (size_t i = 0; i < n; i++) {
            size_t t = first + i;
            c->acts.ops->logprob(&logp[t], &c->lse[t], &c->entropy[t], c->z + i * V, b->vocab,
                c->target[t], 1.0f / b->temperature);
            if (!isfinite(logp[t]) || !isfinite(c->lse[t]))
                return err_set(e, ERR_DATA,
                    "log-probability of token %zu of the micro-batch is not finite (%g)", t,
                    (double)logp[t]);
        }
    }
    if (entropy)
        memcpy(entropy, c->entropy, c->tokens * sizeof(*entropy));
    return 0;
}

int train_forward(struct train_ctx *c, const struct weights *w, const struct micro_batch *b,
    int keep, float *logp, float *entropy, struct err *e)
{
    release_sequences(c);
    c->rows = c->tokens = c->span_count = 0;
    int r = check_batch(c, b, e);
    if (r == 0)
        r = make_room(c, b, keep, e);
    if (r < 0)
        return r;
    add_prompts(c, b);
    add_completions(c, b);
    struct batch prompts = prompt_batch(c), completions = completion_batch(c);
    model_forward(&c->acts, w, &c->kv, &prompts, 0);
    fork_completions(c, b);
    model_forward(&c->acts, w, &c->kv, &completions, c->prompt_rows);
    r = head_forward(c, w, b, logp, entropy, e);
    c->kept = keep && r == 0;
    return r;
}

/* ---- backward ---- */

static void head_backward(struct train_ctx *c, const struct weights *w, const struct micro_batch *b,
    const float *dlogp, const float *dentropy, const struct gradient *g)
{
    size_t C = c->table->config.hidden, V = c->table->config.vocab;
    const struct ops *ops = c->acts.ops;
    memset(c->acts.dhidden, 0, c->rows * C * sizeof(float));
    for (size_t first = 0, n; first < c->tokens; first += n) {
        n = block_size(first, c->tokens);
        head_block(c, w, first, n);
        for (size_t i = 0; i < n; i++) {
            size_t t = first + i;
            float *dz = c->dz + i * V;
            ops->logprob_bwd(dz, c->z + i * V, b->vocab, c->target[t], 1.0f / b->temperature,
                c->lse[t], c->entropy[t], dlogp[t], dentropy ? dentropy[t] : 0.0f);
            memset(dz + b->vocab, 0, (V - b->vocab) * sizeof(float));
        }
        op_linear_bwd(c->dgathered, g, c->dz, c->gathered, &w->head, n, 0);
        for (size_t i = 0; i < n; i++)
            ops->add(c->acts.dhidden + c->source[first + i] * C, C, c->dgathered + i * C, C, 1, C);
    }
}

/* Adds the gradients of the copies of each prompt's last page to the prompt's own, in completion
 * order. A copy also holds gradients of the completion's own positions; they land in positions
 * after the prompt's end, which nobody reads. */
static void join_copies(struct train_ctx *c, const struct micro_batch *b)
{
    size_t at = c->prompt_count, n = c->kv.page_floats;
    for (size_t i = 0; i < b->group_count; i++) {
        const struct train_group *g = &b->groups[i];
        size_t full = g->prompt_len / KV_PAGE;
        for (uint32_t k = 0; k < g->n; k++, at++) {
            if (g->prompt_len % KV_PAGE == 0 || completion_rows(&g->completions[k]) == 0)
                continue;
            float *to = kv_gradient(&c->kv, c->seqs[i].pages[full]);
            c->acts.ops->add(to, n, kv_gradient(&c->kv, c->seqs[at].pages[full]), n, 1, n);
        }
    }
}

int train_backward(struct train_ctx *c, const struct weights *w, const struct params *p,
    const struct micro_batch *b, const float *dlogp, const float *dentropy, float *grads,
    struct err *e)
{
    if (!c->kept || sequences(b) != c->seq_count || micro_batch_tokens(b) != c->tokens)
        return err_set(e, ERR_FAIL, "backward without a kept forward of the same micro-batch");
    struct gradient g = {.params = p->data, .grads = grads};
    struct batch prompts = prompt_batch(c), completions = completion_batch(c);
    head_backward(c, w, b, dlogp, dentropy, &g);
    model_backward(&c->acts, w, &c->kv, &completions, c->prompt_rows, g);
    join_copies(c, b);
    model_backward(&c->acts, w, &c->kv, &prompts, 0, g);
    release_sequences(c);
    return 0;
}
