/* sampler_test.c: which token is picked, against a plain computation in double. */
#include "tests/model/fixture.h"

#include <math.h>
#include <stdlib.h>

#include "common/model/sampler.h"

enum { V = 60, PADDED = 64 };

static const struct sample_params PLAIN = {
    .temperature = 1, .max_tokens = 1, .vocab = V, .top_p = 1};

struct logits {
    float z[PADDED];
    double p[V];      /* softmax of z/T over V */
    uint32_t by_p[V]; /* ids, most probable first, lower id first among equals */
};

static void sort(struct logits *l)
{
    for (uint32_t i = 0; i < V; i++) {
        uint32_t at = i;
        for (; at > 0 && l->p[l->by_p[at - 1]] < l->p[i]; at--)
            l->by_p[at] = l->by_p[at - 1];
        l->by_p[at] = i;
    }
}

static struct logits random_logits(struct rng *r, double T)
{
    struct logits l;
    double sum = 0;
    for (int i = 0; i < PADDED; i++)
        l.z[i] = i < V ? (float)(2 * rng_normal(r))
                       : 1000; /* ids beyond the vocabulary must not count */
    for (int i = 0; i < V; i++)
        sum += l.p[i] = exp((double)l.z[i] / T);
    for (int i = 0; i < V; i++)
        l.p[i] /= sum;
    sort(&l);
    return l;
}

static struct sampler make(const char *isa)
{
    struct err err;
    const struct ops *ops;
    struct sampler s;
    assert_ok(ops_select(isa, &ops, &err));
    sampler_init(&s, ops, V);
    return s;
}

static void greedy_is_the_largest(void **state)
{
    (void)state;
    struct sampler s = make("auto");
    struct sample_params p = PLAIN;
    struct rng r = fixture_rng(0);
    p.temperature = 0;
    for (int i = 0; i < 200; i++) {
        struct logits l = random_logits(&r, 1);
        float logp;
        assert_int_equal(sampler_pick(&s, &p, l.z, 0.99, &logp), l.by_p[0]);
        assert_true(fabs((double)logp - log(l.p[l.by_p[0]])) < 1e-5);
        /* Of two largest the lower id. */
        uint32_t twin = pick(&r, 0, V - 1), lower = twin < l.by_p[0] ? twin : l.by_p[0];
        l.z[twin] = l.z[l.by_p[0]];
        assert_int_equal(sampler_pick(&s, &p, l.z, 0, &logp), lower);
    }
    sampler_done(&s);
}

/* Over a grid of u each id comes as often as its probability says. */
static void shares_match_probabilities(void **state)
{
    (void)state;
    enum { GRID = 4000 };
    struct sampler s = make("auto");
    struct rng r = fixture_rng(1);
    for (int i = 0; i < 5; i++) {
        struct sample_params p = PLAIN;
        double T = (double)(p.temperature = 0.5f + 0.3f * (float)i), count[V] = {0};
        struct logits l = random_logits(&r, T);
        for (int k = 0; k < GRID; k++) {
            float logp;
            uint32_t id = sampler_pick(&s, &p, l.z, (k + 0.5) / GRID, &logp);
            assert_in_range(id, 0, V - 1);
            assert_true(fabs((double)logp - log(l.p[id])) < 1e-4);
            count[id]++;
        }
        for (int v = 0; v < V; v++)
            assert_true(fabs(count[v] / GRID - l.p[v]) < 2.0 / GRID);
    }
    sampler_done(&s);
}

/* The ids that a filter keeps, by the definition: top_k, then top_p of what it left, then min_p. */
static size_t kept_by_definition(
    const struct logits *l, const struct sample_params *p, double *ret_mass)
{
    size_t k = p->top_k > 0 && p->top_k < V ? p->top_k : V, n = 0;
    double mass = 0, kept = 0;
    for (size_t i = 0; i < k; i++)
        mass += l->p[l->by_p[i]];
    while (n < k && (n == 0 || (kept < (double)p->top_p * mass &&
                                   l->p[l->by_p[n]] >= (double)p->min_p * l->p[l->by_p[0]])))
        kept += l->p[l->by_p[n++]];
    *ret_mass = kept;
    return n;
}

static void filters_keep_the_right_ids(void **state)
{
    (void)state;
    enum { GRID = 500 };
    struct sampler s = make("auto");
    struct rng r = fixture_rng(2);
    for (int i = 0; i < 300; i++) {
        struct logits l = random_logits(&r, 1);
        struct sample_params p = PLAIN;
        double mass, count[V] = {0};
        if (pick(&r, 0, 1))
            p.top_k = pick(&r, 1, V + 5);
        if (pick(&r, 0, 1))
            p.top_p = (float)(0.01 + 0.98 * rng_next_uniform(&r));
        if (pick(&r, 0, 1))
            p.min_p = (float)(0.3 * rng_next_uniform(&r));
        size_t n = kept_by_definition(&l, &p, &mass);
        for (int k = 0; k < GRID; k++) {
            float logp;
            uint32_t id = sampler_pick(&s, &p, l.z, (k + 0.5) / GRID, &logp);
            assert_true(fabs((double)logp - log(l.p[id])) < 1e-4);
            count[id]++;
        }
        for (size_t k = 0; k < V; k++) {
            double expected = k < n ? l.p[l.by_p[k]] / mass : 0;
            assert_true(fabs(count[l.by_p[k]] / GRID - expected) < 2.5 / GRID);
        }
    }
    sampler_done(&s);
}

/* u close to one, one id, equal probabilities. */
static void edges(void **state)
{
    (void)state;
    struct sampler s = make("auto");
    float z[PADDED] = {0}, logp;
    struct sample_params p = PLAIN;
    assert_int_equal(sampler_pick(&s, &p, z, 0, &logp), 0);
    assert_in_range(sampler_pick(&s, &p, z, 1 - 0x1p-53, &logp), V - 2, V - 1);
    p.top_k = 3;
    assert_int_equal(sampler_pick(&s, &p, z, 0, &logp), 0);
    assert_int_equal(sampler_pick(&s, &p, z, 1 - 0x1p-53, &logp), 2);
    p.top_k = 1;
    z[17] = 5;
    assert_int_equal(sampler_pick(&s, &p, z, 1 - 0x1p-53, &logp), 17);
    p.top_k = 0;
    p.vocab = 1;
    assert_int_equal(sampler_pick(&s, &p, z, 0.5, &logp), 0);
    assert_true(logp == 0);
    sampler_done(&s);
}

static void same_on_every_isa(void **state)
{
    (void)state;
    size_t n;
    const char *const *names = isas(&n);
    struct sampler all[ISAS_MAX];
    struct rng r = fixture_rng(3);
    for (size_t i = 0; i < n; i++)
        all[i] = make(names[i]);
    for (int k = 0; k < 2000; k++) {
        struct logits l = random_logits(&r, 1);
        struct sample_params p = PLAIN;
        p.temperature = (float)(0.2 + rng_next_uniform(&r));
        p.top_k = pick(&r, 0, 1) ? pick(&r, 1, V) : 0;
        p.top_p = pick(&r, 0, 1) ? (float)(0.1 + 0.9 * rng_next_uniform(&r)) : 1;
        double u = rng_next_uniform(&r);
        float expected, found;
        uint32_t id = sampler_pick(&all[0], &p, l.z, u, &expected);
        for (size_t i = 1; i < n; i++) {
            assert_int_equal(sampler_pick(&all[i], &p, l.z, u, &found), id);
            assert_memory_equal(&found, &expected, sizeof(float));
        }
    }
    for (size_t i = 0; i < n; i++)
        sampler_done(&all[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_is_the_largest),
        cmocka_unit_test(shares_match_probabilities),
        cmocka_unit_test(filters_keep_the_right_ids),
        cmocka_unit_test(edges),
        cmocka_unit_test(same_on_every_isa),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
