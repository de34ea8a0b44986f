/* engine_step.c: one step of an engine: gather spans, deal them to threads, forward, sample. */
#include "common/model/engine_parts.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    THREAD_ROWS_MIN = 4, /* below it, another thread costs more than it brings */
    OWN_ROWS_MIN = 48,   /* of a large model: below it, a thread waits for weights */
};

static void add_span(struct engine *en, struct span span, const uint32_t *tokens, struct goal goal)
{
    memcpy(en->inputs + en->rows, tokens, span.rows * sizeof(*tokens));
    en->spans[en->span_count] = span;
    en->goals[en->span_count++] = goal;
    en->rows += span.rows;
}

/* The next rows of each unfinished prompt, within PREFILL_ROWS for all of them. */
static void add_prompts(struct engine *en)
{
    size_t left = PREFILL_ROWS;
    for (struct group *g = en->groups; g && left > 0; g = g->next) {
        size_t rows = g->request.prompt_len - g->prefilled;
        if (rows == 0)
            continue;
        bool last = rows <= left;
        rows = last ? rows : left;
        kv_extend(&en->kv, &g->prompt, g->prefilled + rows);
        add_span(en, (struct span){.rows = rows, .pos0 = g->prefilled, .pages = g->prompt.pages},
            g->request.prompt + g->prefilled, (struct goal){.group = last ? g : NULL});
        g->prefilled += (uint32_t)rows;
        left -= rows;
        en->stats.tokens_prefilled += rows;
    }
}

static void add_running(struct engine *en)
{
    for (uint32_t i = 0; i < en->batch_max; i++) {
        struct slot_seq *s = &en->slots[i];
        if (!s->group)
            continue;
        size_t pos = s->group->request.prompt_len + s->out->len - 1;
        kv_extend(&en->kv, &s->pages, pos + 1);
        add_span(en, (struct span){.rows = 1, .pos0 = pos, .pages = s->pages.pages},
            &s->out->tokens[s->out->len - 1], (struct goal){.group = s->group, .seq = s});
    }
}

static void begin_worker(struct worker *w, size_t first_span, size_t first_row)
{
    w->first_span = first_span;
    w->first_row = first_row;
    w->rows = w->span_count = 0;
    w->not_finite = NULL;
}

/* How long a span takes, in multiply-adds of a product. */
static size_t cost_of(const struct engine *en, size_t span)
{
    const struct span *s = &en->spans[span];
    const struct step_costs *c = &en->costs;
    size_t context = s->pos0 + s->rows / 2;
    return s->rows * (c->row + context * c->position) + (en->goals[span].group ? c->logits : 0);
}

/* Deals the spans to workers, in order, so that all take about equally long; returns how many
 * workers there are, of which some may have no span. */
static size_t deal(struct engine *en, size_t workers)
{
    size_t span = 0, row = 0, left = 0;
    for (size_t i = 0; i < en->span_count; i++)
        left += cost_of(en, i);
    for (size_t i = 0; i < workers; i++) {
        struct worker *w = &en->workers[i];
        size_t target = left / (workers - i), cost = 0, next;
        begin_worker(w, span, row);
        for (; span < en->span_count; span++, cost += next) {
            next = cost_of(en, span);
            if (i + 1 < workers && w->rows > 0 && cost + next / 2 > target)
                break;
            en->spans[span].row0 = w->rows;
            w->rows += en->spans[span].rows;
        }
        w->span_count = span - w->first_span;
        row += w->rows;
        left -= cost;
    }
    return workers;
}

/* Gives all spans to the first worker, of whose arrays the others of the team work on shares. */
static size_t gather_team(struct engine *en)
{
    for (size_t i = 0; i < en->team; i++)
        begin_worker(&en->workers[i], 0, 0);
    return deal(en, 1) * en->team;
}

/* Whether each worker has enough rows to use a weight for longer than it takes to arrive, and all
 * have about the same. */
static bool is_even(const struct engine *en, size_t workers)
{
    size_t least = en->rows, most = 0;
    for (size_t i = 0; i < workers; i++) {
        size_t rows = en->workers[i].rows;
        least = rows < least ? rows : least;
        most = rows > most ? rows : most;
    }
    return least >= OWN_ROWS_MIN && most - least <= least / 4;
}

/* Sets the step's team; returns how many workers run. */
static size_t divide(struct engine *en)
{
    size_t threads = pool_threads(en->pool), workers = en->rows / THREAD_ROWS_MIN;
    workers = workers < threads ? workers : threads;
    workers = deal(en, workers > 0 ? workers : 1);
    en->team = 1;
    if (!en->large || threads == 1 || (workers == threads && is_even(en, workers)))
        return workers;
    en->team = (unsigned)threads;
    return gather_team(en);
}

static void sample_token(struct worker *w, const struct group *g, uint32_t index, const float *z)
{
    struct sampled *c = &g->completions[index];
    struct rng_key key = g->request.key;
    key.completion = index;
    float *logp = &c->logp[c->len];
    c->tokens[c->len] =
        sampler_pick(&w->sampler, &g->request.params, z, rng_uniform(&key, c->len), logp);
    if (!isfinite(*logp) && !w->not_finite)
        w->not_finite = g;
    c->len++;
}

static void sample_goal(struct worker *w, const struct goal *goal, const float *z)
{
    if (goal->seq) {
        sample_token(w, goal->group, goal->seq->index, z);
        return;
    }
    for (uint32_t i = 0; i < goal->group->request.n; i++)
        sample_token(w, goal->group, i, z);
}

/* A worker's own arrays, or as a member its view of the first worker's. */
static struct acts acts_of(const struct engine *en, size_t task)
{
    const struct acts *own = &en->workers[task].acts;
    struct acts a = en->workers[en->team > 1 ? 0 : task].acts;
    a.page = own->page;
    a.pack = own->pack;
    a.team = (struct team){.pool = en->pool, .index = (unsigned)task, .size = en->team};
    return a;
}

/* The hidden row that a goal waits for. */
struct waiting {
    const struct goal *goal;
    const float *hidden;
};

/* Logits and tokens for up to LOGIT_ROWS goals. w holds the arrays, own what this member finds. */
static void sample_goals(struct engine *en, const struct acts *a, struct worker *w,
    struct worker *own, const struct waiting *waiting, size_t n)
{
    size_t C = en->config.hidden, V = en->config.vocab;
    struct share mine = team_share(&a->team, n, 1);
    for (size_t k = mine.first; k < mine.first + mine.count; k++)
        memcpy(w->gathered + k * C, waiting[k].hidden, C * sizeof(float));
    team_meet(&a->team);
    model_logits(a, en->weights, w->z, w->gathered, n);
    for (size_t k = mine.first; k < mine.first + mine.count; k++)
        sample_goal(own, waiting[k].goal, w->z + k * V);
    team_meet(&a->team);
}

/* One worker's part of a step: forward, then logits and tokens for LOGIT_ROWS goals at a time. */
static void run_worker(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    struct engine *en = arg;
    struct worker *own = &en->workers[task], *w = en->team > 1 ? &en->workers[0] : own;
    struct acts a = acts_of(en, task);
    struct batch b = {.tokens = en->inputs + w->first_row,
        .spans = en->spans + w->first_span,
        .rows = w->rows,
        .span_count = w->span_count};
    struct waiting waiting[LOGIT_ROWS];
    size_t n = 0;
    model_forward(&a, en->weights, &en->kv, &b);
    for (size_t i = 0; i < b.span_count; i++) {
        const struct goal *goal = &en->goals[w->first_span + i];
        size_t last = b.spans[i].row0 + b.spans[i].rows - 1;
        if (goal->group)
            waiting[n++] = (struct waiting){goal, a.hidden + last * en->config.hidden};
        if (n == LOGIT_ROWS || (n > 0 && i + 1 == b.span_count)) {
            sample_goals(en, &a, w, own, waiting, n);
            n = 0;
        }
    }
}

int engine_step(struct engine *en, struct err *e)
{
    en->span_count = en->rows = 0;
    add_prompts(en);
    add_running(en);
    assert(en->rows > 0);
    size_t workers = divide(en);
    pool_run(en->pool, workers, run_worker, en);
    en->stats.decode_steps++;
    for (size_t i = 0; i < workers; i++) {
        const struct group *g = en->workers[i].not_finite;
        if (g)
            return err_set(e, ERR_DATA, "request %llu: a log-probability is not finite",
                (unsigned long long)g->request.tag);
    }
    for (size_t i = 0; i < en->span_count; i++) {
        const struct goal *goal = &en->goals[i];
        if (goal->group)
            en->stats.tokens_sampled += goal->seq ? 1 : goal->group->request.n;
    }
    return 0;
}
