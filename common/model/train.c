/* train.c: packed training. See train.h.
 *
 * How it works. train_rows lays out the micro-batch: prompts, then what continues them, in one
 * batch through the one forward. The head reads log-probs from the hidden rows. Backward: the head
 * fills the gradient of the rows; layer by layer completions go first and leave in the gradient
 * pages what they owe to their prompt, then the prompts go.
 */
#include "common/model/train.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/block.h"
#include "common/model/forward.h"
#include "common/model/head.h"
#include "common/model/train_rows.h"
#include "common/model/weights.h"

struct train_ctx {
    const struct param_table *table; /* borrowed */
    enum acts_keep keep;             /* how a forward with keep keeps */
    struct acts acts;
    struct kv kv;
    struct train_rows rows;
    struct head head;
    float *pack; /* owned: what op_linear asks for */
    bool kept;   /* a forward with keep is waiting for its backward */
    float *lse, *entropy;
    size_t token_cap;
};

/* ---- life ---- */

int train_ctx_new(const struct param_table *t, const struct train_options *o,
    struct train_ctx **ret, struct err *e)
{
    const struct ops *ops;
    int r = ops_select(o->isa, &ops, e);
    if (r < 0)
        return r;
    struct train_ctx *c = mem_alloc(sizeof(*c));
    c->table = t;
    c->keep = o->recompute ? ACTS_RECOMPUTE : ACTS_KEEP;
    acts_init(&c->acts, ops, &t->config);
    c->pack = mem_big(linear_pack_floats(&t->config), sizeof(float), "packed weights", e);
    if (!c->pack || head_init(&c->head, ops, &t->config, e) < 0) {
        train_ctx_free(c);
        return ERR_FAIL;
    }
    c->acts.pack = c->pack;
    *ret = c;
    return 0;
}

static void release(struct train_ctx *c)
{
    train_rows_release(&c->rows, &c->kv);
    c->kept = false;
}

void train_ctx_free(struct train_ctx *c)
{
    if (!c)
        return;
    release(c);
    train_rows_done(&c->rows);
    head_done(&c->head);
    acts_done(&c->acts);
    kv_done(&c->kv);
    mem_big_free(c->pack);
    free(c->lse);
    free(c->entropy);
    free(c);
}

/* ---- memory ---- */

static size_t page_floats(const struct model_config *c)
{
    return attention_kind_of(c)->page_floats(c);
}

static size_t bytes_of(const struct model_config *c, size_t acts_floats, size_t pages)
{
    size_t page_bytes = pages * page_floats(c) * sizeof(float); /* of one layer */
    return mem_big_bytes(acts_floats * sizeof(float)) + mem_big_bytes(page_bytes * c->layers) +
           mem_big_bytes(page_bytes) + mem_big_bytes(linear_pack_floats(c) * sizeof(float)) +
           mem_big_bytes(head_bytes(c));
}

size_t train_ctx_bytes(const struct train_ctx *c)
{
    return bytes_of(&c->table->config, c->acts.block_floats, c->kv.total);
}

size_t train_bytes(
    const struct param_table *t, const struct train_options *o, const struct micro_batch *b)
{
    size_t floats =
        acts_floats(&t->config, o->recompute ? ACTS_RECOMPUTE : ACTS_KEEP, micro_batch_rows(b));
    return bytes_of(&t->config, floats, train_rows_pages(b));
}

static int need_pages(struct train_ctx *c, size_t pages, bool gradients, struct err *e)
{
    const struct model_config *config = &c->table->config;
    int r = 0;
    if (pages > c->kv.total) {
        kv_done(&c->kv);
        r = kv_init(&c->kv, config->layers, page_floats(config), pages, e);
    }
    return r == 0 && gradients ? kv_need_gradients(&c->kv, e) : r;
}

static int make_room(struct train_ctx *c, const struct micro_batch *b, bool keep, struct err *e)
{
    size_t tokens = micro_batch_tokens(b);
    int r = acts_reserve(&c->acts, micro_batch_rows(b), keep ? c->keep : ACTS_FORWARD, e);
    if (r == 0)
        r = need_pages(c, train_rows_pages(b), keep, e);
    if (r == 0 && tokens > c->token_cap) {
        c->lse = mem_grow(c->lse, tokens, sizeof(*c->lse));
        c->entropy = mem_grow(c->entropy, tokens, sizeof(*c->entropy));
        c->token_cap = tokens;
    }
    return r;
}

/* ---- forward and backward ---- */

static struct head_tokens tokens_of(const struct train_ctx *c, const struct micro_batch *b)
{
    return (struct head_tokens){.count = c->rows.tokens,
        .source = c->rows.source,
        .target = c->rows.target,
        .vocab = b->vocab,
        .inv_T = 1.0f / b->temperature,
        .lse = c->lse,
        .entropy = c->entropy};
}

static int check_finite(const struct train_ctx *c, const float *logp, struct err *e)
{
    for (size_t t = 0; t < c->rows.tokens; t++) {
        if (!isfinite(logp[t]) || !isfinite(c->lse[t]))
            return err_set(e, ERR_DATA,
                "log-probability of token %zu of the micro-batch is not finite (%g)", t,
                (double)logp[t]);
    }
    return 0;
}

int train_forward(struct train_ctx *c, const struct weights *w, const struct micro_batch *b,
    int keep, float *logp, float *entropy, struct err *e)
{
    release(c);
    int r = train_rows_check(b, &c->table->config, e);
    if (r == 0)
        r = make_room(c, b, keep, e);
    if (r < 0)
        return r;
    train_rows_fill(&c->rows, &c->kv, b);
    struct batch batch = train_rows_batch(&c->rows);
    struct head_tokens tokens = tokens_of(c, b);
    model_forward(&c->acts, w, &c->kv, &batch);
    head_forward(&c->head, c->pack, w, c->acts.hidden, &tokens, logp);
    r = check_finite(c, logp, e);
    if (r == 0 && entropy)
        memcpy(entropy, c->entropy, c->rows.tokens * sizeof(*entropy));
    c->kept = keep && r == 0;
    return r;
}

int train_backward(struct train_ctx *c, const struct weights *w, const struct params *p,
    const struct micro_batch *b, const float *dlogp, const float *dentropy, float *grads,
    struct err *e)
{
    if (!c->kept || micro_batch_rows(b) != c->rows.rows || micro_batch_tokens(b) != c->rows.tokens)
        return err_set(e, ERR_FAIL, "backward without a kept forward of the same micro-batch");
    struct gradient g = {.params = p->data, .grads = grads};
    struct batch batch = train_rows_batch(&c->rows);
    struct head_tokens tokens = tokens_of(c, b);
    memset(c->acts.dhidden, 0, c->rows.rows * c->table->config.hidden * sizeof(float));
    head_backward(
        &c->head, c->pack, w, c->acts.hidden, &tokens, dlogp, dentropy, &g, c->acts.dhidden);
    model_backward(&c->acts, w, &c->kv, &batch, g);
    release(c);
    return 0;
}
