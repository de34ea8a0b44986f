/* oracle_sample.c: groups from the engine, rewards from the scoring library. */
#include "tests/learner/oracle_sample.h"

#include <math.h>
#include <stdlib.h>

struct source {
    struct oracle_sampler *s;
    const struct oracle_plan *plan;
    struct stored_groups *out;
    uint32_t next;
};

static bool source_next(void *arg, struct sample_request *ret)
{
    struct source *src = arg;
    const struct oracle_plan *p = src->plan;
    if (src->next == p->count)
        return false;
    uint32_t slot = src->next++;
    *ret = (struct sample_request){.tag = slot,
        .n = p->n,
        .params = {.temperature = p->temperature,
            .max_tokens = p->max_tokens,
            .vocab = tokenizer_size(src->s->tokenizer),
            .top_p = 1,
            .stop = src->s->model->eos,
            .stop_count = src->s->model->eos_count},
        .key = {.seed = src->s->recipe->seed,
            .domain = p->purpose == PURPOSE_TRAIN ? RNG_TRAIN : RNG_EVAL,
            .stage = p->purpose == PURPOSE_TRAIN ? p->stage : 0,
            .ordinal = p->ordinals[slot]}};
    ret->prompt = corpus_prompt(p->corpus, p->rows[slot], &ret->prompt_len);
    return true;
}

/* Tokens between the think tags, 0 without both. */
static uint32_t think_tokens(const struct tokenizer *t, const struct sampled *c)
{
    int64_t open = tokenizer_id(t, "<think>"), close = tokenizer_id(t, "</think>");
    for (uint32_t i = 0; i < c->len; i++) {
        if (c->tokens[i] != open)
            continue;
        for (uint32_t k = i + 1; k < c->len; k++) {
            if (c->tokens[k] == close)
                return k - i - 1;
        }
    }
    return 0;
}

static void source_done(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    struct source *src = arg;
    struct arena *a = src->out->arena;
    struct stored_group *g = &src->out->groups[tag];
    g->completions = arena_alloc(a, n * sizeof(*g->completions));
    for (uint32_t i = 0; i < n; i++) {
        const struct sampled *c = &completions[i];
        g->completions[i] = (struct stored_completion){.len = c->len,
            .stop = c->stop,
            .think_tokens = think_tokens(src->s->tokenizer, c),
            .tokens = arena_dup(a, c->tokens, c->len * sizeof(*c->tokens)),
            .logp = arena_dup(a, c->logp, c->len * sizeof(*c->logp))};
    }
}

static void score_completion(struct oracle_sampler *s, const struct grade_input *in, uint32_t i,
    struct arena *a, struct stored_completion *c)
{
    const struct recipe *r = s->recipe;
    struct score_result results[RECIPE_REWARDS_MAX] = {0};
    double *component = arena_alloc(a, r->reward_count * sizeof(*component));
    scoring_score(s->scoring, in, i, a, results);
    struct reward_part parts[RECIPE_REWARDS_MAX];
    for (size_t k = 0; k < r->reward_count; k++) {
        component[k] = results[k].has_value ? results[k].value : NAN;
        parts[k] = (struct reward_part){
            &r->rewards[k].term, results[k].has_value, results[k].value, results[k].verdict};
    }
    double reward = reward_sum(parts, r->reward_count);
    c->scored = !isnan(reward);
    c->reward = c->scored ? reward : 0;
    c->verdict = results[r->primary].verdict;
    c->component = component;
}

static void score_group(struct oracle_sampler *s, const struct oracle_plan *p, uint64_t row,
    struct arena *a, struct stored_group *g)
{
    const struct dataset_row *task = corpus_row(p->corpus, row);
    struct grade_text *texts = arena_alloc(a, g->n * sizeof(*texts));
    for (uint32_t i = 0; i < g->n; i++) {
        const struct stored_completion *c = &g->completions[i];
        struct buf text = {0};
        tokenizer_decode(s->tokenizer, c->tokens, c->len - (c->stop == STOP_EOS), &text);
        texts[i] = (struct grade_text){.index = i,
            .tokens = c->len,
            .text = arena_dup(a, text.data, text.len),
            .text_len = text.len,
            .truncated = c->stop == STOP_LENGTH};
        buf_done(&text);
    }
    struct buf prompt = {0};
    tokenizer_decode(s->tokenizer, g->prompt, g->prompt_len, &prompt);
    struct grade_input in = {.group = g->id,
        .seed = s->recipe->seed,
        .row_key = task->key,
        .prompt = prompt.data,
        .prompt_len = prompt.len,
        .task_json = task->json,
        .completions = texts,
        .completion_count = g->n};
    for (uint32_t i = 0; i < g->n; i++)
        score_completion(s, &in, i, a, &g->completions[i]);
    buf_done(&prompt);
}

int oracle_sample(struct oracle_sampler *s, const struct params *p, const struct oracle_plan *plan,
    struct stored_groups *ret, struct err *e)
{
    struct stored_groups out = {.count = plan->count, .arena = arena_new(0)};
    out.groups = arena_alloc(out.arena, plan->count * sizeof(*out.groups));
    for (uint32_t i = 0; i < plan->count; i++) {
        struct stored_group *g = &out.groups[i];
        *g = (struct stored_group){.id = plan->first_id + i,
            .ordinal = plan->ordinals[i],
            .version = plan->version,
            .stage = plan->stage,
            .step = plan->step,
            .slot = i,
            .n = plan->n,
            .task = plan->rows[i]};
        g->prompt = corpus_prompt(plan->corpus, plan->rows[i], &g->prompt_len);
    }
    struct source src = {s, plan, &out, 0};
    struct engine_source source = {.next = source_next, .done = source_done, .arg = &src};
    int r = engine_load(s->engine, p, WEIGHTS_F32, e);
    if (r == 0)
        r = engine_run(s->engine, &source, e);
    if (r != 0) {
        arena_free(out.arena);
        return r;
    }
    for (uint32_t i = 0; i < plan->count; i++)
        score_group(s, plan, plan->rows[i], out.arena, &out.groups[i]);
    *ret = out;
    return 0;
}
