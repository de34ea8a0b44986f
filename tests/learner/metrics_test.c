/* Figures, metrics and the gate against values counted by hand. */
#include <math.h>
#include <string.h>

#include "common/base/stats.h"
#include "learner/eval.h"
#include "learner/metrics.h"
#include "tests/learner/learning_fixture.h"

static void complete(struct stored_set *s, size_t g, uint32_t i, double reward,
    enum verdict verdict, uint32_t len, uint32_t think)
{
    struct stored_completion *c = &s->set.groups[g].completions[i];
    double *component = (double *)c->component;
    c->reward = reward;
    c->verdict = verdict;
    c->len = len;
    c->think_tokens = think;
    component[0] = verdict == VERDICT_PASS;
    component[1] = isnan(reward) ? NAN : reward - component[0];
}

/* Group 0: 1, 0, 0.5, unscored. Group 1: all right. Group 2: none right, tied, one truncated. */
static void fill(struct stored_set *s)
{
    stored_open(s, 3, 2);
    for (size_t g = 0; g < 3; g++)
        stored_group_random(s, g, 4, 3, 4, 16, 19);
    complete(s, 0, 0, 1, VERDICT_PASS, 10, 4);
    complete(s, 0, 1, 0, VERDICT_WRONG, 6, 0);
    complete(s, 0, 2, 0.5, VERDICT_WRONG, 8, 2);
    complete(s, 0, 3, NAN, VERDICT_JUDGE_FAULT, 4, 0);
    s->set.groups[0].completions[3].scored = false;
    ((double *)s->set.groups[0].completions[3].component)[0] = NAN;
    for (uint32_t i = 0; i < 4; i++) {
        complete(s, 1, i, 1, VERDICT_PASS, 12, 6);
        complete(s, 2, i, 0, VERDICT_NO_ANSWER, 16, 0);
    }
    s->set.groups[2].completions[1].stop = STOP_LENGTH;
}

static void near_(const struct metric_list *l, const char *name, double expected)
{
    double v = metric_value(l, name);
    if (isnan(expected) ? !isnan(v) : !(fabs(v - expected) < 1e-12))
        fail_msg("%s is %.15g, expected %.15g", name, v, expected);
}

static struct recipe two_rewards(void)
{
    struct recipe r = {.seed = 1, .reward_count = 2, .format_reward = "format", .stage_count = 1};
    r.rewards[0].spec.name = "accuracy";
    r.rewards[1].spec.name = "format";
    r.stages[0] = (struct recipe_stage){.name = "zero", .minibatches = 1, .max_tokens = 16};
    return r;
}

static void training_metrics(void **state)
{
    (void)state;
    struct stored_set s;
    struct step_groups sg;
    struct metric_list l = {0};
    struct recipe r = two_rewards();
    struct step_times times = {1, 2, NAN};
    struct step_result result = {.updates = 1,
        .loss = 0.5,
        .grad_norm = 2,
        .update_ratio = 0.1,
        .lr = 1e-3,
        .logp_gap = 0,
        .parts = {.tokens = 24,
            .sum_entropy = 12,
            .clipped_low = 6,
            .clipped_high = 3,
            .sum_kl_old = 2.4,
            .ratio_max = 1.5}};
    fill(&s);
    s.set.groups[0].version = 4;
    s.set.groups[1].version = 5;
    s.set.groups[2].version = 6;
    step_groups_make(&r, 0, 0, s.set.groups, 3, NULL, &sg);
    metrics_of_grpo(&l, &r, &sg, 6, &result, &times);
    near_(&l, "reward", 5.5 / 11);
    near_(&l, "reward_std", 0.5 / 3); /* std of 1, 0, 0.5 is 0.5, the others are tied */
    near_(&l, "rewards/accuracy", 5.0 / 11);
    near_(&l, "rewards/format", 0.5 / 11);
    near_(&l, "pass@1", 5.0 / 11);
    near_(&l, "pass@G", 2.0 / 3);
    near_(&l, "tied", 2.0 / 3);
    near_(&l, "tied_right", 1.0 / 3);
    near_(&l, "tied_wrong", 1.0 / 3);
    near_(&l, "unscored", 1.0 / 12);
    near_(&l, "length", (28 + 48 + 64) / 12.0);
    near_(&l, "length_right", (10 + 48) / 5.0);
    near_(&l, "length_wrong", (6 + 8 + 64) / 6.0);
    near_(&l, "think_length", (6 + 24) / 6.0); /* six of the twelve think */
    near_(&l, "truncated", 1.0 / 12);
    near_(&l, "entropy", 0.5);
    near_(&l, "clip_low", 0.25);
    near_(&l, "clip_high", 0.125);
    near_(&l, "kl_old", 0.1);
    near_(&l, "kl_ref", NAN);
    near_(&l, "ratio_max", 1.5);
    near_(&l, "staleness", 1);
    near_(&l, "tokens_sampled", 140);
    near_(&l, "tokens_trained", 24);
    near_(&l, "tokens_wasted", 116);
    near_(&l, "logp_gap", 0);
    near_(&l, "seconds/train", 2);
    near_(&l, "seconds/publish", NAN);
    near_(&l, "seconds/wait_share", 1.0 / 3);
    metric_list_done(&l);
    step_groups_done(&sg);
    stored_done(&s);
}

static void evaluation_metrics(void **state)
{
    (void)state;
    struct stored_set s, g;
    struct metric_list l = {0};
    struct recipe r = two_rewards();
    fill(&s);
    fill(&g);
    for (size_t i = 0; i < 3; i++)
        g.set.groups[i].n = 1;
    metrics_of_eval(&l, &r, &s.set, &g.set, 4, 3.5);
    double low, high;
    stats_wilson(5, 11, &low, &high);
    near_(&l, "eval/pass@1", 5.0 / 11);
    near_(&l, "eval/pass@1_low", low);
    near_(&l, "eval/pass@1_high", high);
    near_(&l, "eval/pass@k", 0.5); /* of the two tasks with four scored samples */
    near_(&l, "eval/greedy", 2.0 / 3);
    near_(&l, "eval/greedy_length", (10 + 12 + 16) / 3.0);
    near_(&l, "eval/tasks", 3);
    near_(&l, "seconds/eval", 3.5);
    metric_list_done(&l);
    stored_done(&s);
    stored_done(&g);
}

/* A mean over nothing is left out, never 0 or NaN. */
static void nothing_scored_leaves_means_out(void **state)
{
    (void)state;
    struct stored_set s;
    struct metric_list l = {0};
    struct recipe r = two_rewards();
    fill(&s);
    for (int k = 0; k < 12; k++)
        s.set.groups[k / 4].completions[k % 4].scored = false;
    struct stored_groups none = {0};
    metrics_of_eval(&l, &r, &s.set, &none, 4, NAN);
    near_(&l, "eval/pass@1", NAN);
    near_(&l, "eval/pass@1_low", NAN);
    near_(&l, "eval/pass@k", NAN);
    near_(&l, "eval/greedy", NAN);
    near_(&l, "eval/unscored", 1);
    for (size_t i = 0; i < l.count; i++)
        assert_true(isfinite(l.items[i].value));
    metric_list_done(&l);
    stored_done(&s);
}

static void every_definition_is_complete_and_named_once(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_def *d = metric_definition(i);
        assert_true(
            d->name[0] && d->unit[0] && d->formula[0] && d->denominator[0] && d->samples[0]);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(d->name, metric_definition(k)->name);
    }
}

static void gate_says_which_value_and_range(void **state)
{
    (void)state;
    struct recipe_stage st = {.name = "base",
        .gate = {.has_sampled = true,
            .sampled_low = 0.15,
            .sampled_high = 0.6,
            .has_greedy = true,
            .greedy_low = 0,
            .greedy_high = 0.3}};
    const struct {
        double sampled, greedy;
        const char *says;
    } cases[] = {{0.15, 0.3, NULL}, {0.6, 0, NULL},
        {0.14, 0.2, "eval/pass@1 is 0.140, gate-sampled allows 0.15..0.6"},
        {0.7, 0.2, "right already"}, {0.3, 0.31, "eval/greedy is 0.310"},
        {0.3, NAN, "no eval/greedy"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct metric_list l = {0};
        struct err err = {0};
        metric_add(&l, METRIC_EVAL_PASS_1, cases[i].sampled);
        metric_add(&l, METRIC_EVAL_GREEDY, cases[i].greedy);
        int r = eval_gate(&st, &l, &err);
        assert_int_equal(r, cases[i].says ? ERR_FAIL : 0);
        if (cases[i].says && !strstr(err.msg, cases[i].says))
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].says);
        metric_list_done(&l);
    }
}

static void evaluations_are_due_when_the_recipe_says(void **state)
{
    (void)state;
    struct recipe_stage st = {.steps = 10, .eval = {.data = 0, .every = 4, .before = true}};
    static const bool due[] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1};
    for (uint32_t i = 0; i <= 10; i++)
        assert_int_equal(eval_due(&st, i), due[i]);
    st.eval.before = false;
    assert_false(eval_due(&st, 0));
    st.eval.every = 0;
    assert_false(eval_due(&st, 4));
    assert_true(eval_due(&st, 10));
    st.eval.data = -1;
    assert_false(eval_due(&st, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_metrics),
        cmocka_unit_test(evaluation_metrics),
        cmocka_unit_test(nothing_scored_leaves_means_out),
        cmocka_unit_test(every_definition_is_complete_and_named_once),
        cmocka_unit_test(gate_says_which_value_and_range),
        cmocka_unit_test(evaluations_are_due_when_the_recipe_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
