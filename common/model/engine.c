/* engine.c: sampling with continuous batching. See engine.h.
 *
 * How it works. A group is opened when its prompt and one completion fit into the cache beside all
 * that is there; the prompt's pages are reserved. When nothing runs, the newest open group can
 * therefore always start a completion, so the engine never locks up. Each step forwards the next
 * PREFILL_ROWS rows of unfinished prompts and one row of every running sequence. In a small model
 * spans are dealt to threads in contiguous runs that cost about the same; a thread takes its spans
 * through the whole network, then samples: there is no barrier inside a step. A large model's
 * weights come from memory; where a thread's own rows are few or uneven, all threads take all rows
 * through each layer together, as a team (team.h), and read the weights once. A step allocates
 * nothing. When a prompt is through, the first token of all its completions is sampled from its
 * last row; completions of one token are finished with that, the others wait for a slot and pages,
 * oldest group first; no group is opened while others wait.
 *
 * What a thread writes in a step: its own activations, pages that its sequences own, and the tokens
 * of its sequences. Everything else happens between steps on the calling thread.
 */
#include "common/model/engine.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/block.h"
#include "common/model/engine_parts.h"
#include "common/model/weights.h"

enum {
    KV_BYTES_DEFAULT = 256 << 20,
    BATCH_DEFAULT = 64,
    BATCH_MAX = 4096,
};

/* ---- life ---- */

static int worker_init(struct engine *en, struct worker *w, const struct ops *ops, struct err *e)
{
    const struct model_config *c = &en->config;
    acts_init(&w->acts, ops, c);
    sampler_init(&w->sampler, ops, c->vocab);
    int r = acts_reserve(&w->acts, PREFILL_ROWS + en->batch_max, ACTS_FORWARD, e);
    if (r < 0)
        return r;
    w->gathered =
        mem_big((size_t)LOGIT_ROWS * ((size_t)c->hidden + c->vocab), sizeof(float), "logits", e);
    if (!w->gathered)
        return ERR_FAIL;
    w->z = w->gathered + (size_t)LOGIT_ROWS * c->hidden;
    return 0;
}

/* As many pages as the limit allows, and no more than a full batch could ever use. */
static int make_pages(struct engine *en, size_t bytes_max, struct err *e)
{
    const struct model_config *c = &en->config;
    size_t layer_floats = attention_kind_of(c)->page_floats(c);
    size_t page_bytes = layer_floats * c->layers * sizeof(float);
    size_t pages = (bytes_max > 0 ? bytes_max : KV_BYTES_DEFAULT) / page_bytes;
    size_t useful = 2 * (size_t)en->batch_max * kv_pages_for(c->context);
    if (pages == 0)
        return err_set(e, ERR_CONFIG, "a cache of %zu bytes holds no page, one takes %zu",
            bytes_max, page_bytes);
    return kv_init(&en->kv, c->layers, layer_floats, pages < useful ? pages : useful, e);
}

static struct step_costs costs_of(const struct param_table *t)
{
    enum { ATTENTION = 2 }; /* one of its multiply-adds takes as long as two of a product */
    const struct model_config *c = &t->config;
    size_t logits = (size_t)c->vocab * c->hidden;
    size_t tables = c->tied ? 1 : 2;
    return (struct step_costs){.row = t->floats - tables * logits,
        .position = (size_t)2 * ATTENTION * c->layers * c->heads * c->head_dim,
        .logits = logits};
}

static int build(struct engine *en, const struct engine_options *o, struct err *e)
{
    const struct ops *ops;
    size_t spans = PREFILL_ROWS + en->batch_max;
    int r = ops_select(o->isa ? o->isa : "auto", &ops, e);
    if (r == 0)
        r = param_table_new(&en->config, &en->table, e);
    if (r == 0)
        r = pool_new(o->threads, &en->pool, e);
    if (r == 0)
        r = make_pages(en, o->kv_bytes_max, e);
    if (r < 0)
        return r;
    en->large = en->table->floats * sizeof(float) > LARGE_BYTES;
    en->costs = costs_of(en->table);
    en->inputs = mem_array(spans, sizeof(*en->inputs));
    en->spans = mem_array(spans, sizeof(*en->spans));
    en->goals = mem_array(spans, sizeof(*en->goals));
    en->slots = mem_array(en->batch_max, sizeof(*en->slots));
    for (uint32_t i = 0; i < en->batch_max; i++)
        kv_seq_init(&en->slots[i].pages, (uint32_t)kv_pages_for(en->config.context));
    en->workers = mem_array(o->threads, sizeof(*en->workers));
    for (unsigned i = 0; i < o->threads && r == 0; i++)
        r = worker_init(en, &en->workers[i], ops, e);
    return r;
}

int engine_new(const struct model_config *c, const struct engine_options *o, struct engine **ret,
    struct err *e)
{
    uint32_t batch_max = o->batch_max > 0 ? o->batch_max : BATCH_DEFAULT;
    if (batch_max > BATCH_MAX)
        return err_set(e, ERR_CONFIG, "a batch of %u sequences, at most %d", batch_max, BATCH_MAX);
    struct engine *en = mem_alloc(sizeof(*en));
    en->config = *c;
    en->batch_max = batch_max;
    en->groups_end = &en->groups;
    int r = build(en, o, e);
    if (r < 0) {
        engine_free(en);
        return err_ctx(e, "engine");
    }
    *ret = en;
    return 0;
}

void engine_free(struct engine *en)
{
    if (!en)
        return;
    assert(!en->groups);
    for (unsigned i = 0; en->workers && i < pool_threads(en->pool); i++) {
        acts_done(&en->workers[i].acts);
        sampler_done(&en->workers[i].sampler);
        mem_big_free(en->workers[i].gathered);
    }
    for (uint32_t i = 0; en->slots && i < en->batch_max; i++)
        kv_seq_done(&en->slots[i].pages);
    free(en->workers);
    free(en->slots);
    free(en->inputs);
    free(en->spans);
    free(en->goals);
    kv_done(&en->kv);
    if (en->pool)
        pool_free(en->pool);
    weights_free(en->weights);
    param_table_free(en->table);
    free(en);
}

/* Tables of the same model are equal in every name and shape. */
static int check_table(
    const struct param_table *own, const struct param_table *given, struct err *e)
{
    if (given->param_count != own->param_count)
        return err_set(e, ERR_FAIL, "%zu tensors, the engine's model has %zu", given->param_count,
            own->param_count);
    for (size_t i = 0; i < own->param_count; i++) {
        const struct param *a = &own->params[i], *b = &given->params[i];
        if (strcmp(a->name, b->name) != 0 || a->count != b->count || a->shape[0] != b->shape[0])
            return err_set(e, ERR_FAIL,
                "tensor '%s' of %zu numbers, the engine's model has '%s' of %zu", b->name, b->count,
                a->name, a->count);
    }
    return 0;
}

struct packing {
    struct engine *engine;
    const struct params *params;
};

static void pack_share(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    struct packing *p = arg;
    struct pool *pool = p->engine->pool;
    struct team team = {.pool = pool, .index = (unsigned)task, .size = pool_threads(pool)};
    weights_pack_share(p->engine->weights, p->params, &team);
}

int engine_load(struct engine *en, const struct params *p, enum weights_type type, struct err *e)
{
    assert(!en->groups);
    int r = check_table(en->table, p->table, e);
    if (r == 0 && en->weights && en->weights->type != type) {
        weights_free(en->weights);
        en->weights = NULL;
    }
    if (r == 0 && !en->weights)
        r = weights_new(en->table, type, &en->weights, e);
    if (r < 0)
        return err_ctx(e, "load weights");
    struct packing packing = {en, p};
    pool_run(en->pool, pool_threads(en->pool), pack_share, &packing);
    return 0;
}

struct engine_stats engine_stats(const struct engine *en)
{
    struct engine_stats s = en->stats;
    s.pages_used = en->kv.used;
    s.pages_total = en->kv.total;
    return s;
}

/* ---- groups ---- */

static size_t own_pages_of(const struct sample_request *r)
{
    if (r->params.max_tokens == 1)
        return 0;
    /* The last token is never an input. */
    return kv_pages_for((size_t)r->prompt_len + r->params.max_tokens - 1) - r->prompt_len / KV_PAGE;
}

static int check_params(const struct engine *en, const struct sample_params *p, struct err *e)
{
    if (!(p->temperature >= 0 && isfinite(p->temperature)))
        return err_set(
            e, ERR_LIMIT, "temperature is %g, expected 0 or more", (double)p->temperature);
    if (!(p->top_p > 0 && p->top_p <= 1))
        return err_set(
            e, ERR_LIMIT, "top_p is %g, expected above 0 and at most 1", (double)p->top_p);
    if (!(p->min_p >= 0 && p->min_p <= 1))
        return err_set(e, ERR_LIMIT, "min_p is %g, expected 0 to 1", (double)p->min_p);
    if (p->vocab == 0 || p->vocab > en->config.vocab)
        return err_set(
            e, ERR_LIMIT, "%u allowed ids, expected 1 to %u", p->vocab, en->config.vocab);
    if (p->max_tokens == 0)
        return err_set(e, ERR_LIMIT, "max_tokens is 0");
    return 0;
}

/* Whether the request could run if it were alone. */
static int check_request(const struct engine *en, const struct sample_request *r, struct err *e)
{
    const struct model_config *c = &en->config;
    int code = check_params(en, &r->params, e);
    if (code < 0)
        return code;
    if (r->prompt_len == 0 || r->n == 0)
        return err_set(e, ERR_LIMIT, "%u prompt tokens and %u completions, at least one of each",
            r->prompt_len, r->n);
    if ((uint64_t)r->prompt_len + r->params.max_tokens > c->context)
        return err_set(e, ERR_LIMIT, "a prompt of %u and %u more tokens are over the context of %u",
            r->prompt_len, r->params.max_tokens, c->context);
    for (uint32_t i = 0; i < r->prompt_len; i++) {
        if (r->prompt[i] >= c->vocab)
            return err_set(e, ERR_LIMIT, "prompt token %u is id %u, expected below %u", i,
                r->prompt[i], c->vocab);
    }
    size_t pages = kv_pages_for(r->prompt_len) + own_pages_of(r);
    if (pages > en->kv.total)
        return err_set(e, ERR_LIMIT,
            "a prompt of %u and %u more tokens take %zu pages, the cache has %zu", r->prompt_len,
            r->params.max_tokens, pages, en->kv.total);
    return 0;
}

static void group_free(struct group *g)
{
    kv_seq_done(&g->prompt);
    free(g->completions);
    mem_big_free(g->tokens);
    mem_big_free(g->logp);
    free(g);
}

static int group_new(const struct sample_request *r, struct group **ret, struct err *e)
{
    struct group *g = mem_alloc(sizeof(*g));
    size_t max = r->params.max_tokens;
    g->request = *r;
    g->own_pages = own_pages_of(r);
    kv_seq_init(&g->prompt, (uint32_t)kv_pages_for(r->prompt_len));
    g->completions = mem_array(r->n, sizeof(*g->completions));
    g->tokens = mem_big(r->n * max, sizeof(uint32_t), "tokens", e);
    g->logp = mem_big(r->n * max, sizeof(float), "log-probabilities", e);
    if (!g->tokens || !g->logp) {
        group_free(g);
        return ERR_FAIL;
    }
    for (uint32_t i = 0; i < r->n; i++)
        g->completions[i] =
            (struct sampled){.tokens = g->tokens + i * max, .logp = g->logp + i * max};
    *ret = g;
    return 0;
}

/* Takes g out of the list with all it holds. */
static void close_group(struct engine *en, struct group *g)
{
    struct group **at = &en->groups;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    if (en->groups_end == &g->next)
        en->groups_end = at;
    for (uint32_t i = 0; i < en->batch_max; i++) {
        struct slot_seq *s = &en->slots[i];
        if (s->group == g) {
            kv_release(&en->kv, &s->pages);
            s->group = NULL;
            en->running--;
        }
    }
    en->waiting -= g->request.n - g->started;
    kv_release(&en->kv, &g->prompt);
    group_free(g);
}

static void open_group(struct engine *en, struct group *g)
{
    *en->groups_end = g;
    en->groups_end = &g->next;
    en->waiting += g->request.n;
}

static void drop_cancelled(
    struct engine *en, const struct engine_source *source, struct group **pending)
{
    for (struct group *g = en->groups, *next; g && source->cancelled; g = next) {
        next = g->next;
        if (source->cancelled(source->arg, g->request.tag))
            close_group(en, g);
    }
    if (*pending && source->cancelled && source->cancelled(source->arg, (*pending)->request.tag))
        group_free(steal(pending));
}

/* Opens groups while the batch has room beyond what open groups will fill. *pending holds a request
 * that was taken from the source and must wait for pages. */
static int admit(
    struct engine *en, const struct engine_source *source, struct group **pending, struct err *e)
{
    while (en->running + en->waiting < en->batch_max) {
        if (!*pending) {
            struct sample_request r;
            if (!source->next(source->arg, &r))
                return 0;
            int code = check_request(en, &r, e);
            if (code == 0)
                code = group_new(&r, pending, e);
            if (code < 0)
                return err_ctx(e, "request %llu", (unsigned long long)r.tag);
        }
        size_t prompt_pages = kv_pages_for((*pending)->request.prompt_len);
        if (kv_room(&en->kv) < prompt_pages + (*pending)->own_pages)
            return 0;
        bool fits = kv_reserve(&en->kv, &(*pending)->prompt, prompt_pages);
        assert(fits);
        open_group(en, steal(pending));
    }
    return 0;
}

/* ---- completions ---- */

static bool is_stop(const struct sample_params *p, uint32_t id)
{
    for (uint32_t i = 0; i < p->stop_count; i++) {
        if (p->stop[i] == id)
            return true;
    }
    return false;
}

/* Whether the last token ends the completion; records why. */
static bool is_over(const struct group *g, struct sampled *c)
{
    if (is_stop(&g->request.params, c->tokens[c->len - 1]))
        c->stop = STOP_EOS;
    else if (c->len == g->request.params.max_tokens)
        c->stop = STOP_LENGTH;
    else
        return false;
    return true;
}

static struct slot_seq *free_slot(struct engine *en)
{
    for (uint32_t i = 0; i < en->batch_max && en->running < en->batch_max; i++) {
        if (!en->slots[i].group)
            return &en->slots[i];
    }
    return NULL;
}

/* Starts the group's next completion, or finishes it when its first token was its last. False when
 * it must wait for a slot or for pages. */
static bool start_completion(struct engine *en, struct group *g)
{
    struct sampled *c = &g->completions[g->started];
    if (is_over(g, c)) {
        g->finished++;
    } else {
        struct slot_seq *s = free_slot(en);
        if (!s || !kv_reserve(&en->kv, &s->pages, g->own_pages))
            return false;
        kv_fork(&en->kv, &s->pages, &g->prompt, g->request.prompt_len);
        s->group = g;
        s->out = c;
        s->index = g->started;
        en->running++;
    }
    g->started++;
    en->waiting--;
    return true;
}

/* Starts what can be started, oldest group first; false when a completion had to be left waiting.
 */
static bool start_waiting(struct engine *en)
{
    bool all = true;
    for (struct group *g = en->groups; g; g = g->next) {
        if (g->prefilled < g->request.prompt_len)
            continue;
        while (g->started < g->request.n && start_completion(en, g))
            ;
        all = all && g->started == g->request.n;
    }
    return all;
}

static void end_completions(struct engine *en)
{
    for (uint32_t i = 0; i < en->batch_max; i++) {
        struct slot_seq *s = &en->slots[i];
        if (!s->group || !is_over(s->group, s->out))
            continue;
        s->group->finished++;
        kv_release(&en->kv, &s->pages);
        s->group = NULL;
        en->running--;
    }
}

static void deliver(struct engine *en, const struct engine_source *source)
{
    for (struct group *g = en->groups, *next; g; g = next) {
        next = g->next;
        if (g->finished < g->request.n)
            continue;
        source->done(source->arg, g->request.tag, g->completions, g->request.n);
        close_group(en, g);
    }
}

/* ---- the loop ---- */

static int run(
    struct engine *en, const struct engine_source *source, struct group **pending, struct err *e)
{
    for (;;) {
        drop_cancelled(en, source, pending);
        bool none_waits = start_waiting(en);
        deliver(en, source);
        int r = none_waits ? admit(en, source, pending, e) : 0;
        if (r < 0)
            return r;
        if (!en->groups)
            return 0;
        r = engine_step(en, e);
        if (r < 0)
            return r;
        end_completions(en);
    }
}

int engine_run(struct engine *en, const struct engine_source *source, struct err *e)
{
    if (!en->weights)
        return err_set(e, ERR_FAIL, "the engine has no weights yet");
    struct group *pending = NULL;
    int r = run(en, source, &pending, e);
    if (pending)
        group_free(pending);
    while (en->groups)
        close_group(en, en->groups);
    assert(en->kv.used == 0 && en->kv.reserved == 0);
    return r;
}

/* ---- one group ---- */

struct single {
    const struct sample_request *request; /* NULL once taken */
    struct sampled *ret;
};

static bool single_next(void *arg, struct sample_request *ret)
{
    struct single *s = arg;
    if (!s->request)
        return false;
    *ret = *s->request;
    s->request = NULL;
    return true;
}

static void single_done(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    (void)tag;
    struct single *s = arg;
    s->ret = mem_array(n, sizeof(*s->ret));
    for (uint32_t i = 0; i < n; i++) {
        const struct sampled *c = &completions[i];
        s->ret[i] = *c;
        s->ret[i].tokens = mem_dup(c->tokens, c->len * sizeof(*c->tokens));
        s->ret[i].logp = mem_dup(c->logp, c->len * sizeof(*c->logp));
    }
}

int engine_sample(
    struct engine *en, const struct sample_request *r, struct sampled **ret, struct err *e)
{
    struct single s = {.request = r};
    struct engine_source source = {.next = single_next, .done = single_done, .arg = &s};
    int code = engine_run(en, &source, e);
    if (code == 0)
        *ret = s.ret;
    return code;
}

void sampled_free(struct sampled *s, uint32_t n)
{
    for (uint32_t i = 0; s && i < n; i++) {
        free(s[i].tokens);
        free(s[i].logp);
    }
    free(s);
}
