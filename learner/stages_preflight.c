/* stages_preflight.c: the looks before a grpo stage learns: facts gathered, judged, stored as
 * events. */
#include <math.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "learner/eval.h"
#include "learner/gold.h"
#include "learner/stages_impl.h"

/* Forward and backward take about three times a forward; a reference is one forward more. */
static const double TRAIN_FORWARDS = 3;

/* ---- what is found ---- */

static int store_finding(
    struct stages *s, bool stops, const struct preflight_finding *f, struct err *e)
{
    CLEANUP_FREE char *text = mem_printf("stage '%s': %s", s->st->name, f->text);
    log_warn("stages", "preflight", LOG_STR("found", text));
    return stages_event(s, stops ? "alarm" : "warn", "preflight", text, e);
}

/* Stores every finding; the first that says that the stage cannot work is the error. */
static int settle(struct stages *s, const struct preflight_findings *found, struct err *e)
{
    const struct preflight_finding *worst = NULL;
    bool stops = s->st->preflight == PREFLIGHT_STOP;
    for (size_t i = 0; i < found->count; i++) {
        const struct preflight_finding *f = &found->list[i];
        int r = store_finding(s, stops && f->code != 0, f, e);
        if (r != 0)
            return r;
        if (f->code != 0 && worst == NULL)
            worst = f;
    }
    if (worst == NULL || !stops)
        return 0;
    return err_set(e, worst->code,
        "preflight of stage '%s': %s (to go on all the same: --set \"stage %s.preflight=warn\")",
        s->st->name, worst->text, s->st->name);
}

/* ---- before anything is planned ---- */

static bool can_end(const struct stages *s)
{
    const struct model_config *m = &s->o.model->table->config;
    for (uint32_t i = 0; i < m->eos_count; i++) {
        if (m->eos[i] < tokenizer_size(s->o.model->tokenizer))
            return true;
    }
    return false;
}

/* What training holds, a step's groups, and what peers send. */
static uint64_t learner_bytes(const struct stages *s)
{
    const struct recipe_stage *st = s->st;
    uint64_t tokens = (uint64_t)st->groups * st->group_size * st->max_tokens;
    struct trainer_memory m = stages_memory(s);
    return m.parameters + m.activations + tokens * 2 * sizeof(uint32_t);
}

/* Keys and values of the longest prompt with a whole completion, in pages. */
static uint64_t completion_cache_bytes(const struct stages *s)
{
    const struct model_config *m = &s->o.model->table->config;
    uint64_t longest = 0;
    for (size_t i = 0; i < corpus_count(s->data); i++) {
        uint32_t len;
        (void)corpus_prompt(s->data, i, &len);
        longest = len > longest ? len : longest;
    }
    uint64_t pages = (longest + s->st->max_tokens + KV_PAGE - 1) / KV_PAGE;
    return pages * KV_PAGE * 2 * m->layers * m->kv_heads * m->head_dim * sizeof(float);
}

static bool is_wanted(const struct stages *s)
{
    return s->st->kind == STAGE_GRPO && s->st->steps > 0 && s->st->preflight != PREFLIGHT_OFF;
}

int stages_preflight_data(struct stages *s, struct err *e)
{
    struct step_row first = {0};
    int r = is_wanted(s) ? service_step(s->o.service, s->stage, 0, &first, e) : 0;
    if (r != 0 || !is_wanted(s) || first.committed)
        return r;
    const struct recipe *recipe = s->o.recipe;
    struct preflight_data *d = &s->preflight;
    *d = (struct preflight_data){.scorer = recipe->rewards[recipe->primary].spec.name,
        .ends = can_end(s),
        .memory_bytes = learner_bytes(s),
        .memory_max = machine_memory_bytes(),
        .cache_bytes = recipe->actors > 0 ? completion_cache_bytes(s) : 0,
        .cache_max = (uint64_t)recipe->actor_kv_mib << 20};
    struct preflight_findings found;
    r = gold_check(recipe, s->stage, s->data, &d->gold, e);
    if (r != 0)
        return err_ctx(e, "preflight of stage '%s'", s->st->name);
    preflight_judge_data(s->st, d, &found);
    return settle(s, &found, e);
}

/* ---- the groups of the first step ---- */

static double expected_seconds(
    const struct stages *s, const struct figures *f, double forward_seconds, double forward_tokens)
{
    const struct recipe_stage *st = s->st;
    double forwards = TRAIN_FORWARDS + (st->loss.kl_coef != 0);
    double train = forward_seconds / forward_tokens * f->tokens * forwards;
    double sample = f->completions / s->completions_per_s; /* NAN: nobody was waited for */
    double evaluated = 0;
    for (uint32_t done = 1; done <= st->steps; done++)
        evaluated += eval_due(st, done) ? st->eval.tasks * (1.0 + st->eval.samples) : 0;
    return st->steps * (st->lag > 0 ? fmax(train, sample) : train + sample) +
           evaluated / s->completions_per_s;
}

int stages_preflight_groups(
    struct stages *s, const struct stored_group *groups, size_t count, struct err *e)
{
    if (!is_wanted(s))
        return 0;
    size_t looked = count < PREFLIGHT_GAP_GROUPS ? count : PREFLIGHT_GAP_GROUPS;
    struct preflight_groups g = {0};
    figures_of(groups, count, s->o.recipe->reward_count, 1, &g.figures);
    size_t tokens = 0;
    for (size_t i = 0; i < looked; i++) {
        g.gap_completions += groups[i].n;
        for (uint32_t k = 0; k < groups[i].n; k++)
            tokens += groups[i].completions[k].len;
    }
    uint64_t begin = clock_mono_ns();
    int r = step_gap_now(&s->context, groups, looked, &g.gap, e);
    if (r != 0)
        return err_ctx(e, "preflight");
    double seconds = (double)(clock_mono_ns() - begin) / 1e9;
    g.expect_seconds = expected_seconds(s, &g.figures, seconds, (double)tokens);
    s->preflight.memory_bytes = learner_bytes(s); /* activations have their room now */
    struct preflight_findings found;
    preflight_judge_groups(s->st, &g, &found);
    r = settle(s, &found, e);
    if (r != 0)
        return r;
    CLEANUP_BUF struct buf report = {0};
    preflight_report(s->st, &s->preflight, &g, &report);
    log_info("stages", "preflight", LOG_STR("report", (const char *)report.data));
    return stages_event(s, "info", "preflight", (const char *)report.data, e);
}
