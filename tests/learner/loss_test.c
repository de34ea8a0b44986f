/* The objective: every option against finite differences of a loss written again from the formulas,
 * and closed forms at the corners. */
#include "learner/loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

enum { N = 5, TOKENS = 700 };

static const struct ops *ops;

static int select_ops(void **state)
{
    (void)state;
    struct err e;
    return ops_select("portable", &ops, &e);
}

/* ---- the loss again, in double and from the formulas ---- */

struct naive {
    double A, lo, lb, lr, H;
    double now; /* l, where the objective takes the ratio for a constant */
};

static double clipped(const struct recipe_loss *o, double rho)
{
    return fmin(fmax(rho, 1 - o->clip_low), 1 + o->clip_high);
}

static double naive_token(const struct recipe_loss *o, const struct naive *n, double l)
{
    double A = n->A, lo = n->lo, lr = n->lr;
    double u = fmin(exp(lo - n->lb), o->importance_cap);
    double rho = exp(l - lo);
    double s = fmin(rho * A, clipped(o, rho) * A);
    if (o->objective == OBJECTIVE_CISPO)
        s = clipped(o, exp(n->now - lo)) * A * l;
    else if (o->dual_clip > 0 && A < 0)
        s = fmax(s, o->dual_clip * A);
    double k = o->kl == KL_K1   ? l - lr
               : o->kl == KL_K2 ? (l - lr) * (l - lr) / 2
                                : exp(lr - l) - (lr - l) - 1;
    return -u * s + (o->kl_in_reward ? 0 : o->kl_coef) * k - o->entropy_coef * n->H;
}

struct case_data {
    struct loss_completion completions[N];
    float logp[TOKENS], old[TOKENS], behaviour[TOKENS], ref[TOKENS], entropy[TOKENS];
};

/* Lengths cross the chunk of 256 tokens; log ratios reach far beyond every clip. */
static void fill(struct case_data *d, uint64_t seed)
{
    static const uint32_t len[N] = {1, 256, 257, 3, 183};
    static const double advantage[N] = {1.5, -0.7, 0, -2, 0.3};
    struct rng r = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (int i = 0; i < N; i++)
        d->completions[i] =
            (struct loss_completion){len[i], advantage[i], i == 3 ? 0 : 0.01 * (i + 1)};
    for (int t = 0; t < TOKENS; t++) {
        d->logp[t] = (float)(-3 * rng_next_uniform(&r));
        d->old[t] = d->logp[t] + (float)(0.7 * rng_normal(&r));
        d->behaviour[t] = d->old[t] + (float)(0.4 * rng_normal(&r));
        d->ref[t] = d->logp[t] + (float)(0.5 * rng_normal(&r));
        d->entropy[t] = (float)rng_next_uniform(&r);
    }
}

/* What weights a token needs: with sampled, the two policies before the update are different. */
static void check_case(const struct recipe_loss *o, bool sampled, uint64_t seed)
{
    static struct case_data d;
    float dlogp[TOKENS], dentropy[TOKENS];
    struct loss_parts p;
    fill(&d, seed);
    struct loss_tokens in = {.logp = d.logp,
        .old = d.old,
        .behaviour = sampled ? d.behaviour : NULL,
        .entropy = d.entropy,
        .reference = d.ref};
    loss_policy(o, ops, d.completions, N, &in, dlogp, dentropy, &p);
    double loss = 0, h = 1e-6;
    size_t trained = 0;
    for (int i = 0, t = 0; i < N; i++) {
        const struct loss_completion *c = &d.completions[i];
        for (uint32_t k = 0; k < c->len; k++, t++) {
            double l = d.logp[t], rho = exp(l - d.old[t]);
            const struct naive n = {.A = c->advantage,
                .lo = d.old[t],
                .lb = sampled ? d.behaviour[t] : d.old[t],
                .lr = d.ref[t],
                .H = d.entropy[t],
                .now = l};
            double up = naive_token(o, &n, l + h), down = naive_token(o, &n, l - h);
            loss += c->weight * naive_token(o, &n, l);
            double slope = c->weight * (up - down) / (2 * h);
            bool kink = fabs(rho - 1 + o->clip_low) < 1e-4 || fabs(rho - 1 - o->clip_high) < 1e-4 ||
                        fabs(rho - o->dual_clip) < 1e-4;
            if (!kink && !(fabs(dlogp[t] - slope) <= 1e-6 + 2e-5 * fabs(slope)))
                fail_msg("seed %lu, token %d: dlogp %.9g, finite difference %.9g",
                    (unsigned long)seed, t, dlogp[t], slope);
            assert_true(dentropy[t] == (float)(-c->weight * o->entropy_coef));
            trained += c->weight > 0;
        }
    }
    assert_true(fabs(p.loss - loss) <= 1e-5 * (1 + fabs(loss)));
    assert_true(fabs(p.loss - (p.surrogate + p.kl + p.entropy)) <= 1e-12);
    assert_true(p.tokens == (double)trained);
}

static void gradients_match_finite_differences(void **state)
{
    (void)state;
    for (int k = 0; k < 192; k++) {
        struct recipe_loss o = {.clip_low = k & 1 ? 0.2 : 10,
            .clip_high = k & 1 ? 0.28 : 10,
            .dual_clip = k & 2 ? 3 : 0,
            .kl_coef = k & 4 ? 0.3 : 0,
            .kl = (enum kl_kind)(k % 48 / 16),
            .kl_in_reward = k % 5 == 0,
            .objective = k < 96 ? OBJECTIVE_CLIP : OBJECTIVE_CISPO,
            .importance_cap = k & 1 ? 1.3 : 2,
            .entropy_coef = k & 8 ? 0.05 : 0};
        check_case(&o, k % 96 >= 48, 100 + (uint64_t)k);
    }
}

/* The surrogate of a whole completion by the geometric mean of its ratios, one of its
 * log-probs (whichever) moved by h. */
static double naive_sequence(const struct recipe_loss *o, const struct case_data *d,
    const struct loss_completion *c, size_t first, double h)
{
    double log_rho = h, log_u = 0, n = c->len, A = c->advantage;
    for (size_t t = first; t < first + c->len; t++) {
        log_rho += (double)d->logp[t] - d->old[t];
        log_u += (double)d->old[t] - d->behaviour[t];
    }
    double rho = exp(log_rho / n), s = fmin(rho * A, clipped(o, rho) * A);
    return -c->weight * n * fmin(exp(log_u / n), o->importance_cap) * s;
}

static void sequence_gradients_match_finite_differences(void **state)
{
    (void)state;
    static struct case_data d;
    float dlogp[TOKENS];
    struct loss_parts p;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct recipe_loss o = {.ratio = RATIO_SEQUENCE,
            .clip_low = seed % 2 ? 0.05 : 10,
            .clip_high = seed % 2 ? 0.03 : 10,
            .importance_cap = seed % 4 < 2 ? 1.02 : 2};
        fill(&d, 500 + seed);
        struct loss_tokens in = {.logp = d.logp, .old = d.old, .behaviour = d.behaviour};
        loss_policy(&o, ops, d.completions, N, &in, dlogp, NULL, &p);
        double loss = 0, h = 1e-5;
        for (size_t i = 0, t = 0; i < N; i++) {
            const struct loss_completion *c = &d.completions[i];
            size_t first = t;
            loss += naive_sequence(&o, &d, c, first, 0);
            double slope =
                (naive_sequence(&o, &d, c, first, h) - naive_sequence(&o, &d, c, first, -h)) /
                (2 * h);
            for (; t < first + c->len; t++) {
                if (!(fabs(dlogp[t] - slope) <= 1e-6 + 2e-5 * fabs(slope)))
                    fail_msg("seed %lu, token %zu: dlogp %.9g, finite difference %.9g",
                        (unsigned long)seed, t, dlogp[t], slope);
            }
        }
        assert_true(fabs(p.loss - loss) <= 1e-5 * (1 + fabs(loss)));
    }
}

/* The penalty of a completion is the sum of the estimates, across chunks. */
static void penalties_are_sums_of_the_estimates(void **state)
{
    (void)state;
    static struct case_data d;
    fill(&d, 900);
    for (int kl = KL_K1; kl <= KL_K3; kl++) {
        struct recipe_loss o = {.kl_coef = 0.3, .kl = (enum kl_kind)kl};
        double expected = 0;
        for (size_t t = 0; t < TOKENS; t++) {
            double k = (double)d.logp[t] - d.ref[t];
            k = kl == KL_K1 ? k : kl == KL_K2 ? k * k / 2 : exp(-k) + k - 1;
            expected += 0.3 * k;
        }
        double got = loss_kl_penalty(&o, ops, d.logp, d.ref, TOKENS);
        assert_true(fabs(got - expected) <= 1e-5 * (1 + fabs(expected)));
    }
}

/* Three tokens of one completion: one sampled too seldom, one too often, one exactly. */
static void importance_is_truncated(void **state)
{
    (void)state;
    const struct recipe_loss o = {.clip_low = 0.2, .clip_high = 0.28, .importance_cap = 2};
    const struct loss_completion c = {3, 1.5, 0.25};
    const float logp[] = {-1, -2, -3}, behaviour[] = {-1 - logf(5), -2 + logf(4), -3};
    const struct loss_tokens in = {.logp = logp, .behaviour = behaviour};
    float dlogp[3];
    struct loss_parts p;
    loss_policy(&o, ops, &c, 1, &in, dlogp, NULL, &p);
    const double u[] = {2, 0.25, 1};
    for (int t = 0; t < 3; t++)
        assert_true(fabs(dlogp[t] + 0.25 * u[t] * 1.5) < 1e-6); /* rho is exactly 1: old is logp */
    assert_true(p.capped == 1 && p.ratio_max == 1 && p.clipped_high == 0);
    assert_true(fabs(p.sum_importance - 3.25) < 1e-6);
    assert_true(fabs(p.gap_max - log(5)) < 1e-6);
    assert_true(fabs(p.sum_gap - log(20)) < 1e-6);
}

static struct loss_parts one_token(
    const struct recipe_loss *o, double A, float l, float old, float *dlogp)
{
    struct loss_completion c = {1, A, 1};
    struct loss_tokens in = {.logp = &l, .old = &old};
    struct loss_parts p;
    loss_policy(o, ops, &c, 1, &in, dlogp, NULL, &p);
    return p;
}

/* On policy the ratio is exactly 1 and the gradient is REINFORCE's, to the bit. */
static void on_policy_is_reinforce(void **state)
{
    (void)state;
    struct recipe_loss o = {.clip_low = 0.2, .clip_high = 0.28};
    float g;
    for (float l = -20; l <= 0; l += 0.37f) {
        struct loss_parts p = one_token(&o, 0.625, l, l, &g);
        assert_true(g == -0.625f && p.surrogate == -0.625 && p.ratio_max == 1);
        assert_true(p.clipped_low == 0 && p.clipped_high == 0 && p.sum_kl_old == 0);
    }
}

/* Each corner of min(rho A, clip(rho) A) and of the dual clip: gradient and which counter. */
static void clips_cut_where_they_should(void **state)
{
    (void)state;
    struct recipe_loss o = {.clip_low = 0.2, .clip_high = 0.28, .dual_clip = 3};
    const struct {
        double A;
        float log_ratio;
        bool active;
        double low, high;
    } cases[] = {
        {1, 0.5f, false, 0, 1},
        {1, 0.2f, true, 0, 0},
        {1, -3, true, 0, 0},
        {-1, -0.5f, false, 1, 0},
        {-1, -0.2f, true, 0, 0},
        {-1, 0.5f, true, 0, 0},
        {-1, 1.2f, false, 0, 1},
        {0, 5, true, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        float g;
        struct loss_parts p = one_token(&o, cases[i].A, -1 + cases[i].log_ratio, -1, &g);
        double rho = exp((double)cases[i].log_ratio);
        double expected = cases[i].active ? -cases[i].A * rho : 0;
        assert_true(fabs(g - expected) <= 1e-5 * (1 + fabs(expected)));
        assert_true(p.clipped_low == cases[i].low && p.clipped_high == cases[i].high);
    }
}

/* Far apart policies: everything stays finite. */
static void extreme_ratios_stay_finite(void **state)
{
    (void)state;
    struct recipe_loss o = {.clip_low = 1e9, .clip_high = 1e9, .kl_coef = 1, .kl = KL_K3};
    for (float l = -1000; l <= 0; l += 1000) {
        float old = -1000 - l, ref = old, g;
        struct loss_completion c = {1, -1, 1};
        struct loss_tokens in = {.logp = &l, .old = &old, .reference = &ref};
        struct loss_parts p;
        loss_policy(&o, ops, &c, 1, &in, &g, NULL, &p);
        assert_true(isfinite(g) && isfinite(p.loss) && isfinite(p.ratio_max));
    }
}

static void weight_zero_is_exactly_masked(void **state)
{
    (void)state;
    struct recipe_loss o = {.clip_low = 0.2, .clip_high = 0.2, .kl_coef = 1, .entropy_coef = 1};
    float logp[3] = {-1, -2, -3}, old[3] = {0, -5, -1}, ref[3] = {-4, 0, 0}, H[3] = {1, 1, 1};
    float g[3] = {9, 9, 9}, dh[3] = {9, 9, 9};
    struct loss_completion c[2] = {{2, 5, 0}, {1, 0, 0}};
    struct loss_tokens in = {.logp = logp, .old = old, .entropy = H, .reference = ref};
    struct loss_parts p;
    loss_policy(&o, ops, c, 2, &in, g, dh, &p);
    for (int t = 0; t < 3; t++)
        assert_true(g[t] == 0 && dh[t] == 0);
    assert_true(p.loss == 0 && p.tokens == 0 && p.ratio_max == 0 && p.sum_entropy == 0);
    loss_policy(&o, ops, c, 0, &in, g, dh, &p);
    assert_true(p.loss == 0);
}

static void weights_are_the_three_normalisations(void **state)
{
    (void)state;
    struct loss_count c = {.tokens = 120, .completions = 8, .max_tokens = 64};
    assert_true(loss_weight(NORMALISE_TOKEN, &c, 10) == 1.0 / 120);
    assert_true(loss_weight(NORMALISE_SEQUENCE, &c, 10) == 1.0 / 80);
    assert_true(loss_weight(NORMALISE_FIXED, &c, 10) == 1.0 / 512);
}

static void likelihood_is_the_weighted_mean(void **state)
{
    (void)state;
    struct loss_completion c[2] = {{2, 0, 0.25}, {2, 0, 0.25}};
    float logp[4] = {-1, -2, -3, -4}, g[4];
    struct loss_parts p;
    loss_likelihood(c, 2, logp, g, &p);
    assert_true(p.loss == 2.5 && p.tokens == 4);
    for (int t = 0; t < 4; t++)
        assert_true(g[t] == -0.25f);
}

/* The figures behind the metrics. */
static void sums_behind_the_metrics(void **state)
{
    (void)state;
    struct recipe_loss o = {.clip_low = 0.2, .clip_high = 0.2};
    float logp[2] = {-1, -2}, old[2] = {-1.5f, -1}, ref[2] = {-1, -3}, H[2] = {0.5f, 0.25f}, g[2];
    struct loss_completion c = {2, 1, 0.5};
    struct loss_tokens in = {.logp = logp, .old = old, .entropy = H, .reference = ref};
    struct loss_parts p, sum = {0};
    loss_policy(&o, ops, &c, 1, &in, g, NULL, &p);
    loss_parts_add(&sum, &p);
    loss_parts_add(&sum, &p);
    assert_true(sum.tokens == 4 && sum.sum_entropy == 1.5);
    assert_true(sum.sum_kl_old == 2 * (-0.5 + 1));
    assert_true(fabs(sum.sum_kl_ref - 2 * (exp(-1) + 1 - 1)) < 1e-6);
    assert_true(fabs(sum.ratio_max - exp(0.5)) < 1e-6);
    assert_true(sum.clipped_high == 2 && sum.clipped_low == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_finite_differences),
        cmocka_unit_test(sequence_gradients_match_finite_differences),
        cmocka_unit_test(penalties_are_sums_of_the_estimates),
        cmocka_unit_test(importance_is_truncated),
        cmocka_unit_test(on_policy_is_reinforce),
        cmocka_unit_test(clips_cut_where_they_should),
        cmocka_unit_test(extreme_ratios_stay_finite),
        cmocka_unit_test(weight_zero_is_exactly_masked),
        cmocka_unit_test(weights_are_the_three_normalisations),
        cmocka_unit_test(likelihood_is_the_weighted_mean),
        cmocka_unit_test(sums_behind_the_metrics),
    };
    return cmocka_run_group_tests(tests, select_ops, NULL);
}
