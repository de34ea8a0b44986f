/* Each preset from its name in a run file to the gradients at the log-probs, against its paper's
 * formula written again here: rewards, advantages, weights, ratios, KL. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/recipe/presets.h"
#include "tests/learner/learning_fixture.h"

enum { GROUPS = 3, G = 4, LEN_MAX = 300, MAX_TOKENS = 320 };

static const struct ops *ops;

static const char base[] = "[reward accuracy]\nscorer = exact\n[data tasks]\ngenerator = modsum\n"
                           "[sampling]\nmax-tokens = 320\n"
                           "[stage base]\nkind = pretrain\ndata = tasks\nsteps = 1\nlr = 1e-3\n"
                           "[stage zero]\nkind = grpo\ndata = tasks\nsteps = 3\n";

static struct config *config_of(const char *preset, const char *const *sets, size_t n)
{
    struct err err;
    struct config *c = config_new(recipe_options);
    CLEANUP_FREE char *set = mem_printf("learner.preset=%s", preset);
    assert_ok(config_read_text(c, "test.conf", base, strlen(base), &err));
    assert_ok(config_set(c, set, &err));
    for (size_t i = 0; i < n; i++)
        assert_ok(config_set(c, sets[i], &err));
    assert_ok(recipe_check(c, &err));
    return c;
}

/* One completion of the step, in the paper's words. */
struct sample {
    double r, A; /* reward, advantage */
    double weight;
    size_t n;                                    /* tokens */
    double l[LEN_MAX], lo[LEN_MAX], lr[LEN_MAX]; /* now, as sampled, of the reference */
};

/* What a paper's formulas say of one token: d loss / d l. */
struct method {
    const char *name;
    double noise; /* of log-ratios: enough that clips bind */
    void (*advantages)(struct sample *all);
    double (*weight)(const struct sample *all, const struct sample *s);
    double (*slope)(const struct sample *s, size_t t); /* of the loss of a token of weight 1 */
    bool tied_left_out;
};

static void moments(const struct sample *s, size_t n, double *mean, double *std)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += s[i].r;
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (s[i].r - *mean) * (s[i].r - *mean);
    *std = sqrt(squares / (double)(n - 1));
}

static void group_std(struct sample *all)
{
    for (size_t i = 0; i < GROUPS * G; i++) {
        double mean, std;
        moments(all + i / G * G, G, &mean, &std);
        all[i].A = (all[i].r - mean) / (std + 1e-6);
    }
}

static void group_mean(struct sample *all)
{
    for (size_t i = 0; i < GROUPS * G; i++) {
        double mean, std;
        moments(all + i / G * G, G, &mean, &std);
        all[i].A = all[i].r - mean;
    }
}

static double log_ratio_sum(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t t = 0; t < n; t++)
        sum += a[t] - b[t];
    return sum;
}

/* r - beta sum k1, by the policy that sampled. */
static void take_kl(struct sample *all, double beta)
{
    for (size_t i = 0; i < GROUPS * G; i++)
        all[i].r -= beta * log_ratio_sum(all[i].lo, all[i].lr, all[i].n);
}

static void leave_one_out(struct sample *all)
{
    take_kl(all, 0.05);
    for (size_t i = 0; i < GROUPS * G; i++) {
        double others = 0;
        for (size_t k = i / G * G; k < i / G * G + G; k++)
            others += k == i ? 0 : all[k].r / (G - 1);
        all[i].A = all[i].r - others;
    }
}

static void whole_batch(struct sample *all)
{
    double mean, std;
    take_kl(all, 0.01);
    moments(all, GROUPS * G, &mean, &std);
    for (size_t i = 0; i < GROUPS * G; i++)
        all[i].A = (all[i].r - mean) / (std + 1e-6);
}

static double tokens_of(const struct sample *all, size_t groups)
{
    double tokens = 0;
    for (size_t i = 0; i < groups * G; i++)
        tokens += (double)all[i].n;
    return tokens;
}

/* The last group is tied: with tied groups left out it counts nowhere. */
static double token_mean_untied(const struct sample *all, const struct sample *s)
{
    (void)s;
    return 1 / tokens_of(all, GROUPS - 1);
}

static double token_mean(const struct sample *all, const struct sample *s)
{
    (void)s;
    return 1 / tokens_of(all, GROUPS);
}

static double sequence_mean(const struct sample *all, const struct sample *s)
{
    (void)all;
    return 1 / (GROUPS * G * (double)s->n);
}

static double sequence_mean_untied(const struct sample *all, const struct sample *s)
{
    (void)all;
    return 1 / ((GROUPS - 1) * G * (double)s->n);
}

static double constant(const struct sample *all, const struct sample *s)
{
    (void)all;
    (void)s;
    return 1 / (GROUPS * G * (double)MAX_TOKENS);
}

static double ppo(const struct sample *s, double rho, double low, double high)
{
    return (s->A > 0 && rho > 1 + high) || (s->A < 0 && rho < 1 - low) ? 0 : -s->A * rho;
}

static double ratio(const struct sample *s, size_t t)
{
    return exp(s->l[t] - s->lo[t]);
}

static double slope_r1_zero(const struct sample *s, size_t t)
{
    return ppo(s, ratio(s, t), 10, 10) + 0.001 * (1 - exp(s->lr[t] - s->l[t]));
}

static double slope_dapo(const struct sample *s, size_t t)
{
    return ppo(s, ratio(s, t), 0.2, 0.28);
}

static double slope_ppo(const struct sample *s, size_t t)
{
    return ppo(s, ratio(s, t), 0.2, 0.2);
}

static double slope_gspo(const struct sample *s, size_t t)
{
    (void)t;
    return ppo(s, exp(log_ratio_sum(s->l, s->lo, s->n) / (double)s->n), 3e-4, 4e-4);
}

static double slope_cispo(const struct sample *s, size_t t)
{
    return -s->A * fmin(ratio(s, t), 5);
}

static const struct method methods[] = {
    {"r1-zero", 2, group_std, sequence_mean, slope_r1_zero, false},
    {"dapo", 0.5, group_std, token_mean_untied, slope_dapo, true},
    {"dr-grpo", 0.5, group_mean, constant, slope_ppo, false},
    {"gspo", 3e-3, group_std, sequence_mean_untied, slope_gspo, true},
    {"cispo", 2, group_std, token_mean_untied, slope_cispo, true},
    {"rloo", 0.5, leave_one_out, constant, slope_ppo, false},
    {"reinforce++", 0.5, whole_batch, token_mean, slope_ppo, false},
};

/* Random log-probs; rewards 0 and 1, all 1 in the last group. */
static void draw(const struct method *m, struct stored_set *set, struct sample *all, float *logp,
    float *reference)
{
    struct rng r = rng_stream((struct rng_key){.seed = 11, .domain = RNG_USER});
    stored_open(set, GROUPS, 0);
    for (size_t i = 0, at = 0; i < GROUPS * G; i++) {
        if (i % G == 0)
            stored_group_random(set, i / G, 3, 4, G, LEN_MAX, 19);
        struct stored_completion *c = &set->set.groups[i / G].completions[i % G];
        c->reward = i >= (GROUPS - 1) * G || i % G < 1 + i / G;
        all[i] = (struct sample){.r = c->reward, .n = c->len};
        for (size_t t = 0; t < c->len; t++, at++) {
            logp[at] = c->logp[t] + (float)(m->noise * rng_normal(&r));
            reference[at] = c->logp[t] + (float)(0.3 * rng_normal(&r));
            all[i].l[t] = logp[at];
            all[i].lo[t] = c->logp[t];
            all[i].lr[t] = reference[at];
        }
    }
}

/* The penalties of the KL, as step_groups_open makes them. */
static struct step_kl kl_of(const struct recipe_loss *o, const struct stored_set *set,
    const float *reference, size_t tokens)
{
    struct step_kl kl = {
        mem_array(GROUPS * G, sizeof(double)), mem_dup(reference, tokens * sizeof(*reference))};
    for (size_t i = 0, at = 0; i < GROUPS * G; i++) {
        const struct stored_completion *c = &set->set.groups[i / G].completions[i % G];
        kl.penalty[i] = loss_kl_penalty(o, ops, c->logp, reference + at, c->len);
        at += c->len;
    }
    return kl;
}

static void compare(const struct method *m, const struct sample *all, const struct minibatch *mb,
    const float *dlogp)
{
    size_t at = 0, zeros = 0, completions = (GROUPS - (size_t)m->tied_left_out) * G;
    assert_int_equal(mb->completion_count, completions);
    for (size_t i = 0; i < completions; i++) {
        const struct sample *s = &all[i];
        for (size_t t = 0; t < s->n; t++, at++) {
            double expected = m->weight(all, s) * m->slope(s, t);
            zeros += expected == 0;
            if (!(fabs(dlogp[at] - expected) <= 1e-8 + 2e-4 * fabs(expected)))
                fail_msg("%s: completion %zu token %zu: %.9g, expected %.9g", m->name, i, t,
                    dlogp[at], expected);
        }
    }
    bool clips = strcmp(m->name, "cispo") != 0 && strcmp(m->name, "r1-zero") != 0;
    assert_true(clips == (zeros > 0)); /* else the noise or the case is not what it should be */
}

static void gradients_are_the_papers(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.minibatches=1", "stage zero.groups=3",
        "stage zero.lr=1e-3", "sampling.group=4"};
    static struct sample all[GROUPS * G];
    static float logp[GROUPS * G * LEN_MAX], reference[GROUPS * G * LEN_MAX];
    static float dlogp[GROUPS * G * LEN_MAX];
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const struct method *m = &methods[i];
        struct err err;
        struct recipe r;
        struct config *c = config_of(m->name, sets, ARRAY_LEN(sets));
        assert_ok(recipe_make(c, &r, &err));
        const struct recipe_loss *o = &r.stages[1].loss;
        struct stored_set set;
        draw(m, &set, all, logp, reference);
        m->advantages(all);
        struct step_kl kl = kl_of(o, &set, reference, (size_t)tokens_of(all, GROUPS));
        struct step_groups sg;
        struct minibatch mb;
        step_groups_make(&r, 1, 0, set.set.groups, GROUPS, o->kl_in_reward ? &kl : NULL, &sg);
        minibatch_make(&r.stages[1], &sg, 0, &mb);
        if (o->kl_in_reward)
            assert_memory_equal(mb.reference, reference, mb.token_count * sizeof(float));
        struct loss_tokens in = {.logp = logp, .old = mb.behaviour, .reference = reference};
        struct loss_parts p;
        loss_policy(o, ops, mb.completions, mb.completion_count, &in, dlogp, NULL, &p);
        compare(m, all, &mb, dlogp);
        assert_true(!o->kl_in_reward || p.kl == 0);
        assert_true(p.sum_kl_ref > 0); /* measured wherever it enters */
        step_groups_done(&sg);
        stored_done(&set);
        free(kl.penalty); /* NULL where it was taken */
        free(kl.reference);
        recipe_done(&r);
        config_free(c);
    }
}

static void origin_is(const struct config *c, const char *section, const char *key,
    const char *text, const char *from)
{
    const struct config_value *v = config_value(c, section, key);
    if (strcmp(v->text, text) != 0 || strcmp(v->origin, from) != 0)
        fail_msg("[%s] %s = %s from %s, expected %s from %s", section, key, v->text, v->origin,
            text, from);
}

/* Explicit values win; stages of other kinds keep the table's defaults. */
static void values_say_where_they_are_from(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.clip-high=0.3", "sampling.group=8"};
    struct config *c = config_of("r1-zero", sets, ARRAY_LEN(sets));
    origin_is(c, "stage zero", "clip-high", "0.3", "--set");
    origin_is(c, "stage zero", "clip-low", "10", "preset r1-zero");
    origin_is(c, "stage zero", "lr", "3e-6", "preset r1-zero");
    origin_is(c, "stage zero", "dual-clip", "0", "default");
    origin_is(c, "stage base", "clip-low", "0.2", "default");
    origin_is(c, "sampling", "group", "8", "--set");
    config_free(c);
    static const char *const lr[] = {"stage zero.lr=1e-3"};
    c = config_of("gspo", lr, 1); /* so narrow that random ratios say little about them */
    origin_is(c, "stage zero", "clip-low", "3e-4", "preset gspo");
    origin_is(c, "stage zero", "clip-high", "4e-4", "preset gspo");
    config_free(c);
}

/* The effective configuration reads back as the same run, and a run may not change its preset. */
static void a_preset_survives_a_resume(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.lr=1e-3"};
    struct err err;
    struct config *c = config_of("gspo", sets, 1), *again = config_new(recipe_options);
    struct config *other = config_of("dapo", sets, 1);
    CLEANUP_BUF struct buf text = {0};
    config_print(c, &text, true);
    assert_ok(config_read_text(again, "run.conf", (const char *)text.data, text.len, &err));
    assert_ok(recipe_check(again, &err));
    assert_ok(config_compare(again, c, NULL, NULL, &err)); /* nothing changed: no call */
    assert_int_equal(config_compare(again, other, NULL, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "preset"));
    config_free(c);
    config_free(again);
    config_free(other);
}

/* A person is told what a preset does not have here. */
static void what_is_missing_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *preset, *set, *says[PRESET_NOTES_MAX];
    } cases[] = {
        {"dapo", "reward accuracy.weight=1", {"dynamic sampling", "overlong"}},
        {"dapo", "reward accuracy.scorer=length", {"dynamic sampling", NULL}},
        {"reinforce++", "run.seed=1", {"whole completion", NULL}},
        {"gspo", "run.seed=1", {NULL, NULL}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *sets[] = {"stage zero.lr=1e-3", cases[i].set}, *notes[PRESET_NOTES_MAX];
        struct err err;
        struct recipe r;
        struct config *c = config_of(cases[i].preset, sets, 2);
        assert_ok(recipe_make(c, &r, &err));
        size_t n = preset_notes(&r, notes);
        for (size_t k = 0; k < PRESET_NOTES_MAX; k++) {
            assert_int_equal(k < n, cases[i].says[k] != NULL);
            assert_true(k >= n || strstr(notes[k], cases[i].says[k]) != NULL);
        }
        recipe_done(&r);
        config_free(c);
    }
}

static int setup(void **state)
{
    (void)state;
    struct err e;
    return ops_select("portable", &ops, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_the_papers),
        cmocka_unit_test(values_say_where_they_are_from),
        cmocka_unit_test(a_preset_survives_a_resume),
        cmocka_unit_test(what_is_missing_is_said),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
