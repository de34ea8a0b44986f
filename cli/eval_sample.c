/* eval_sample.c: see eval_sample.h.
 *
 * The engine asks for the next task whenever it has room and calls back when a task's completions
 * are there; these are judged at once, since scoring costs next to nothing beside sampling.
 */
#include "cli/eval_sample.h"

#include <stdlib.h>

struct prompts {
    struct buf ids;  /* u32, one prompt after the other */
    size_t *offsets; /* owned; tasks + 1, in ids */
};

struct sampler {
    const struct cli_model *m;
    const struct dataset *d;
    const struct judge *judge;
    const struct eval_options *o;
    struct prompts prompts;
    struct eval_result *result;
    struct arena *scratch; /* owned; of one completion's scores */
    size_t next, done;
};

/* ---- prompts ---- */

static int encode_prompt(const struct sampler *s, const struct template *t, size_t task,
    struct prompts *p, struct err *e)
{
    const struct dataset_row *row = dataset_row(s->d, task);
    uint32_t context = s->m->table->config.context;
    CLEANUP_BUF struct buf text = {0};
    template_render(t, row->prompt, &text);
    size_t before = p->ids.len;
    if (tokenizer_encode(s->m->tokenizer, text.data, text.len, &p->ids, e) < 0)
        return err_ctx(e, "row '%.64s'", row->key);
    size_t tokens = (p->ids.len - before) / sizeof(uint32_t);
    uint32_t more = s->o->max_tokens > 0 ? s->o->max_tokens : 1;
    if (tokens == 0)
        return err_set(e, ERR_DATA, "row '%.64s': an empty prompt", row->key);
    if (tokens + more > context)
        return err_set(e, ERR_DATA,
            "row '%.64s': a prompt of %zu tokens and %u more do not fit the model's context of %u",
            row->key, tokens, more, context);
    p->offsets[task + 1] = p->ids.len / sizeof(uint32_t);
    return 0;
}

static int encode_prompts(
    const struct sampler *s, const struct template *t, struct prompts *p, struct err *e)
{
    p->offsets = mem_array(s->o->tasks + 1, sizeof(*p->offsets));
    for (size_t i = 0; i < s->o->tasks; i++)
        if (encode_prompt(s, t, i, p, e) < 0)
            return e->code;
    return 0;
}

/* ---- the engine's calls ---- */

static bool on_next(void *arg, struct sample_request *ret)
{
    struct sampler *s = arg;
    if (s->next == s->o->tasks)
        return false;
    size_t task = s->next++, from = s->prompts.offsets[task];
    const struct model_config *c = &s->m->table->config;
    uint32_t prompt_len = (uint32_t)(s->prompts.offsets[task + 1] - from);
    *ret = (struct sample_request){.tag = task,
        .prompt = (const uint32_t *)(const void *)s->prompts.ids.data + from,
        .prompt_len = prompt_len,
        .n = s->o->k,
        .params = {.temperature = s->o->temperature,
            .max_tokens =
                s->o->max_tokens > 0 ? s->o->max_tokens : cli_model_max_tokens(s->m, prompt_len),
            .vocab = tokenizer_size(s->m->tokenizer),
            .top_p = 1,
            .stop = c->eos,
            .stop_count = c->eos_count},
        .key = {.seed = s->o->seed, .domain = RNG_USER, .ordinal = task}};
    return true;
}

static void judge_one(struct sampler *s, size_t task, const struct sampled *c, size_t at)
{
    const struct dataset_row *row = dataset_row(s->d, task);
    struct score_result results[LIMIT_SCORERS];
    CLEANUP_BUF struct buf text = {0};
    uint32_t shown = c->stop == STOP_EOS && c->len > 0 ? c->len - 1 : c->len;
    tokenizer_decode(s->m->tokenizer, c->tokens, shown, &text);
    const struct grade_text completion = {.tokens = c->len,
        .text = text.data,
        .text_len = text.len,
        .truncated = c->stop == STOP_LENGTH};
    struct grade_input in = scoring_row_input(row, &completion);
    in.group = task;
    in.seed = s->o->seed;
    arena_clear(s->scratch);
    const struct panel *panel = judge_panel(s->judge, task);
    scoring_score(panel_set(panel), &in, 0, s->scratch, results);
    struct judgement sum = panel_sum(panel, results);
    struct eval_result *r = s->result;
    r->completions[at] = (struct eval_completion){.scored = sum.scored,
        .truncated = completion.truncated,
        .verdict = sum.primary->verdict,
        .tokens = c->len,
        .extracted = arena_strdup(r->arena, sum.primary->extracted)};
    r->reasons[at] = arena_strdup(r->arena, sum.primary->reason);
    if (s->o->keep_texts) {
        r->texts[at] = arena_alloc(r->arena, text.len + 1); /* zeroed: terminated */
        memcpy(r->texts[at], text.len > 0 ? (const char *)text.data : "", text.len);
        r->text_lens[at] = text.len;
    }
}

static void on_done(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    struct sampler *s = arg;
    for (uint32_t i = 0; i < n; i++)
        judge_one(s, tag, &completions[i], tag * s->o->k + i);
    s->done++;
    if (s->o->progress != NULL)
        s->o->progress(s->o->arg, s->done);
}

int eval_sample(const struct cli_model *m, const struct dataset *d, const struct template *t,
    const struct judge *judge, const struct eval_options *o, struct eval_result *ret, struct err *e)
{
    size_t n = o->tasks * o->k;
    struct eval_result result = {.completions = mem_array(n, sizeof(*result.completions)),
        .texts = mem_array(n, sizeof(*result.texts)),
        .text_lens = mem_array(n, sizeof(*result.text_lens)),
        .reasons = mem_array(n, sizeof(*result.reasons)),
        .arena = arena_new(0)};
    struct sampler s = {
        .m = m, .d = d, .judge = judge, .o = o, .result = &result, .scratch = arena_new(0)};
    const struct engine_source source = {.next = on_next, .done = on_done, .arg = &s};
    int rc = encode_prompts(&s, t, &s.prompts, e);
    if (rc == 0)
        rc = engine_run(m->engine, &source, e);
    buf_done(&s.prompts.ids);
    free(s.prompts.offsets);
    arena_free(s.scratch);
    if (rc < 0) {
        eval_result_done(&result);
        return rc;
    }
    *ret = result;
    return 0;
}

void eval_result_done(struct eval_result *r)
{
    free(r->completions);
    free(r->texts);
    free(r->text_lens);
    free(r->reasons);
    arena_free(r->arena);
    *r = (struct eval_result){0};
}
