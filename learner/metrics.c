/* metrics.c: from figures to named values. */
#include "learner/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/stats.h"

static const struct metric_def definitions[METRIC_COUNT] = {
#define METRIC_ROW(id, name, unit, formula, denominator, samples)                                  \
    [id] = {name, unit, formula, denominator, samples},
    METRICS(METRIC_ROW)
#undef METRIC_ROW
};

const struct metric_def *metric_definition(enum metric m)
{
    return &definitions[m];
}

void metric_list_done(struct metric_list *l)
{
    free(l->items);
    arena_free(l->names);
    *l = (struct metric_list){0};
}

static void add_named(struct metric_list *l, const char *name, double value)
{
    if (!isfinite(value))
        return;
    l->items = mem_grow(l->items, l->count + 1, sizeof(*l->items));
    l->items[l->count++] = (struct commit_metric){name, value};
}

void metric_add(struct metric_list *l, enum metric m, double value)
{
    add_named(l, definitions[m].name, value);
}

void metric_add_of(struct metric_list *l, enum metric m, const char *reward, double value)
{
    if (l->names == NULL)
        l->names = arena_new(0);
    CLEANUP_FREE char *name = mem_printf("%s%s", definitions[m].name, reward);
    add_named(l, arena_strdup(l->names, name), value);
}

double metric_value(const struct metric_list *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->items[i].name, name) == 0)
            return l->items[i].value;
    }
    return NAN;
}

/* 0/0 is NaN: a mean over nothing leaves itself out. */
static void add_mean(struct metric_list *l, enum metric m, double sum, double count)
{
    metric_add(l, m, count > 0 ? sum / count : NAN);
}

static void add_times(struct metric_list *l, const struct step_times *t)
{
    metric_add(l, METRIC_SECONDS_WAIT, t->wait);
    metric_add(l, METRIC_SECONDS_TRAIN, t->train);
    metric_add(l, METRIC_SECONDS_PUBLISH, t->publish);
    double all = t->wait + t->train + (isfinite(t->publish) ? t->publish : 0);
    metric_add(l, METRIC_WAIT_SHARE, t->wait / all); /* not finite without a wait: left out */
}

static void add_updates(struct metric_list *l, const struct step_result *r)
{
    metric_add(l, METRIC_LOSS, r->loss);
    metric_add(l, METRIC_GRAD_NORM, r->grad_norm);
    metric_add(l, METRIC_UPDATE_RATIO, r->update_ratio);
    metric_add(l, METRIC_LR, r->lr);
    metric_add(l, METRIC_TOKENS_TRAINED, r->parts.tokens);
}

void metrics_of_pretrain(
    struct metric_list *l, const struct step_result *r, const struct step_times *t)
{
    add_updates(l, r);
    add_times(l, t);
}

static void add_groups(struct metric_list *l, const struct recipe *recipe, const struct figures *f)
{
    add_mean(l, METRIC_REWARD, f->reward, f->scored);
    add_mean(l, METRIC_REWARD_STD, f->reward_std, f->groups);
    for (size_t i = 0; i < recipe->reward_count; i++)
        metric_add_of(l, METRIC_REWARDS, recipe->rewards[i].spec.name,
            f->component_count[i] > 0 ? f->component[i] / f->component_count[i] : NAN);
    add_mean(l, METRIC_PASS_1, f->right, f->scored);
    add_mean(l, METRIC_PASS_G, f->groups_right, f->groups);
    add_mean(l, METRIC_TIED, f->tied, f->groups);
    add_mean(l, METRIC_TIED_RIGHT, f->tied_right, f->groups);
    add_mean(l, METRIC_TIED_WRONG, f->tied_wrong, f->groups);
    add_mean(l, METRIC_UNSCORED, f->unscored, f->completions);
    add_mean(l, METRIC_LENGTH, f->tokens, f->completions);
    add_mean(l, METRIC_LENGTH_RIGHT, f->tokens_right, f->right);
    add_mean(l, METRIC_LENGTH_WRONG, f->tokens_wrong, f->scored - f->right);
    add_mean(l, METRIC_THINK_LENGTH, f->think_tokens, f->thinking);
    add_mean(l, METRIC_TRUNCATED, f->truncated, f->completions);
    metric_add(l, METRIC_SECONDS_SAMPLE, f->sample_us / 1e6);
}

static void add_importance(struct metric_list *l, const struct loss_parts *p)
{
    add_mean(l, METRIC_SAMPLER_GAP_MEAN, p->sum_gap, p->tokens);
    metric_add(l, METRIC_SAMPLER_GAP_MAX, p->gap_max);
    add_mean(l, METRIC_IMPORTANCE_MEAN, p->sum_importance, p->tokens);
    add_mean(l, METRIC_IMPORTANCE_CAPPED, p->capped, p->tokens);
}

void metrics_of_grpo(struct metric_list *l, const struct recipe *recipe,
    const struct step_groups *groups, uint64_t version, const struct step_result *r,
    const struct step_times *t)
{
    struct figures f;
    CLEANUP_FREE struct stored_group *stored = mem_array(groups->count, sizeof(*stored));
    double lag = 0;
    for (size_t i = 0; i < groups->count; i++) {
        stored[i] = *groups->groups[i].stored;
        lag += (double)(version - stored[i].version);
    }
    figures_of(stored, groups->count, recipe->reward_count, 0, &f);
    add_groups(l, recipe, &f);
    const struct loss_parts *p = &r->parts;
    bool trained = p->tokens > 0;
    add_mean(l, METRIC_ENTROPY, p->sum_entropy, p->tokens);
    metric_add(l, METRIC_RATIO_MAX, trained ? p->ratio_max : NAN);
    add_mean(l, METRIC_CLIP_LOW, p->clipped_low, p->tokens);
    add_mean(l, METRIC_CLIP_HIGH, p->clipped_high, p->tokens);
    add_mean(l, METRIC_KL_OLD, p->sum_kl_old, p->tokens);
    if (p->kl != 0 || p->sum_kl_ref != 0)
        add_mean(l, METRIC_KL_REF, p->sum_kl_ref, p->tokens);
    if (p->sum_importance > 0)
        add_importance(l, p);
    add_updates(l, r);
    metric_add(l, METRIC_UPDATES, r->updates);
    add_mean(l, METRIC_STALENESS, lag, (double)groups->count);
    metric_add(l, METRIC_TOKENS_SAMPLED, f.tokens);
    metric_add(l, METRIC_TOKENS_WASTED, f.tokens - p->tokens);
    metric_add(l, METRIC_LOGP_GAP, r->logp_gap);
    add_times(l, t);
}

static double format_mean(const struct recipe *recipe, const struct figures *f)
{
    for (size_t i = 0; i < recipe->reward_count; i++) {
        if (strcmp(recipe->rewards[i].spec.name, recipe->format_reward) == 0)
            return f->component_count[i] > 0 ? f->component[i] / f->component_count[i] : NAN;
    }
    return NAN;
}

static void add_interval(
    struct metric_list *l, enum metric low_metric, enum metric high_metric, const struct figures *f)
{
    double low, high;
    if (f->scored == 0)
        return;
    stats_wilson(f->right, f->scored, &low, &high);
    metric_add(l, low_metric, low);
    metric_add(l, high_metric, high);
}

void metrics_of_eval(struct metric_list *l, const struct recipe *recipe,
    const struct stored_groups *sampled, const struct stored_groups *greedy, unsigned samples,
    double seconds)
{
    struct figures s, g;
    figures_of(sampled->groups, sampled->count, recipe->reward_count, samples, &s);
    figures_of(greedy->groups, greedy->count, recipe->reward_count, 0, &g);
    add_mean(l, METRIC_EVAL_PASS_1, s.right, s.scored);
    add_interval(l, METRIC_EVAL_PASS_1_LOW, METRIC_EVAL_PASS_1_HIGH, &s);
    add_mean(l, METRIC_EVAL_PASS_K, s.pass_at_k, s.pass_at_k_groups);
    add_mean(l, METRIC_EVAL_REWARD, s.reward, s.scored);
    for (size_t i = 0; i < recipe->reward_count; i++)
        metric_add_of(l, METRIC_EVAL_REWARDS, recipe->rewards[i].spec.name,
            s.component_count[i] > 0 ? s.component[i] / s.component_count[i] : NAN);
    metric_add(l, METRIC_EVAL_FORMAT, format_mean(recipe, &s));
    add_mean(l, METRIC_EVAL_LENGTH, s.tokens, s.completions);
    add_mean(l, METRIC_EVAL_THINK_LENGTH, s.think_tokens, s.thinking);
    add_mean(l, METRIC_EVAL_TRUNCATED, s.truncated, s.completions);
    add_mean(l, METRIC_EVAL_UNSCORED, s.unscored, s.completions);
    add_mean(l, METRIC_EVAL_GREEDY, g.right, g.scored);
    add_interval(l, METRIC_EVAL_GREEDY_LOW, METRIC_EVAL_GREEDY_HIGH, &g);
    metric_add(l, METRIC_EVAL_GREEDY_FORMAT, format_mean(recipe, &g));
    add_mean(l, METRIC_EVAL_GREEDY_LENGTH, g.tokens, g.completions);
    add_mean(l, METRIC_EVAL_GREEDY_THINK_LENGTH, g.think_tokens, g.thinking);
    metric_add(l, METRIC_EVAL_TASKS, (double)(sampled->count > 0 ? sampled->count : greedy->count));
    if (sampled->count > 0)
        metric_add(l, METRIC_EVAL_VERSION, (double)sampled->groups[0].version);
    metric_add(l, METRIC_SECONDS_EVAL, seconds);
}
