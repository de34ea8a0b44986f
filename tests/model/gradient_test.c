/* gradient_test.c: values and gradients of the packed forward against the double-precision oracle,
 * for every tensor of every family, tied and untied. The loss is a random weighting of the
 * log-probs and entropies of a micro-batch whose prompts end before, at and after a page. */
#include "tests/model/fixture.h"
#include "tests/model/oracle.h"

#include <math.h>
#include <stdlib.h>

enum { ELEMENTS_PER_TENSOR = 6 };

struct problem {
    struct model model;
    struct groups groups;
    struct micro_batch batch;
    size_t tokens;
    float *dlogp, *dentropy;
};

static void problem_init(struct problem *p, const struct model_config *c, struct rng *r)
{
    static const struct {
        uint32_t prompt, n, len;
    } shapes[] = {{65, 2, 3}, {3, 3, 4}, {64, 1, 2}, {1, 1, 1}, {5, 1, 0}};
    model_init(&p->model, c, r);
    groups_init(&p->groups, ARRAY_LEN(shapes));
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        groups_random(&p->groups, i, r, shapes[i].prompt, shapes[i].n, shapes[i].len, c->vocab - 2);
    p->batch = (struct micro_batch){p->groups.groups, p->groups.count, 0.8f, c->vocab - 2};
    p->tokens = micro_batch_tokens(&p->batch);
    p->dlogp = mem_array(p->tokens, sizeof(float));
    p->dentropy = mem_array(p->tokens, sizeof(float));
    for (size_t i = 0; i < p->tokens; i++) {
        p->dlogp[i] = (float)rng_normal(r);
        p->dentropy[i] = (float)rng_normal(r);
    }
}

static void problem_done(struct problem *p)
{
    groups_done(&p->groups);
    model_done(&p->model);
    free(p->dlogp);
    free(p->dentropy);
}

static double loss(const struct problem *p, const struct oracle *o)
{
    double *logp = mem_array(2 * p->tokens, sizeof(double)), *entropy = logp + p->tokens, sum = 0;
    oracle_forward(o, &p->batch, logp, entropy);
    for (size_t i = 0; i < p->tokens; i++)
        sum += (double)p->dlogp[i] * logp[i] + (double)p->dentropy[i] * entropy[i];
    free(logp);
    return sum;
}

static void check_values(
    const struct problem *p, const struct oracle *o, const float *logp, const float *entropy)
{
    double *expected = mem_array(2 * p->tokens, sizeof(double));
    oracle_forward(o, &p->batch, expected, expected + p->tokens);
    for (size_t i = 0; i < p->tokens; i++) {
        if (fabs((double)logp[i] - expected[i]) > 2e-4 ||
            fabs((double)entropy[i] - expected[p->tokens + i]) > 2e-4)
            fail_msg("token %zu: logp %g expected %g, entropy %g expected %g", i, (double)logp[i],
                expected[i], (double)entropy[i], expected[p->tokens + i]);
    }
    free(expected);
}

static double largest(const float *x, size_t n)
{
    double m = 0;
    for (size_t i = 0; i < n; i++)
        m = fmax(m, fabs((double)x[i]));
    return m;
}

static double difference(const struct problem *p, struct oracle *o, double *at)
{
    const double step = 1e-5, was = *at;
    *at = was + step;
    double up = loss(p, o);
    *at = was - step;
    double down = loss(p, o);
    *at = was;
    return (up - down) / (2 * step);
}

static void check_tensor(const struct problem *p, struct oracle *o, const struct param *t,
    const float *grad, struct rng *r)
{
    double scale = largest(grad, t->count);
    if (scale == 0)
        fail_msg("%s: the whole gradient is zero", t->name);
    for (int i = 0; i < ELEMENTS_PER_TENSOR; i++) {
        size_t at = pick(r, 0, (uint32_t)t->count - 1);
        double expected = difference(p, o, o->data + t->offset + at);
        double off = fabs((double)grad[at] - expected);
        if (!(off <= 3e-4 * fabs(expected) + 1e-4 * scale))
            fail_msg("%s[%zu]: gradient %.8g, finite difference %.8g", t->name, at,
                (double)grad[at], expected);
    }
}

static void check_family(const char *type, bool tied)
{
    struct err err;
    struct rng r = fixture_rng(tied);
    struct model_config c = config_of(type, tied);
    struct problem p;
    struct oracle o;
    struct train_ctx *ctx;
    problem_init(&p, &c, &r);
    oracle_init(&o, &p.model.params);
    float *logp = mem_array(2 * p.tokens, sizeof(float));
    float *grads = mem_array(p.model.table->floats, sizeof(float));
    assert_ok(train_ctx_new(p.model.table, &(struct train_options){.isa = "auto"}, &ctx, &err));
    assert_ok(train_forward(ctx, p.model.weights, &p.batch, 1, logp, logp + p.tokens, &err));
    check_values(&p, &o, logp, logp + p.tokens);
    assert_ok(train_backward(
        ctx, p.model.weights, &p.model.params, &p.batch, p.dlogp, p.dentropy, grads, &err));
    for (size_t i = 0; i < p.model.table->param_count; i++) {
        const struct param *t = &p.model.table->params[i];
        check_tensor(&p, &o, t, grads + t->offset, &r);
    }
    train_ctx_free(ctx);
    free(logp);
    free(grads);
    oracle_done(&o);
    problem_done(&p);
}

static void llama(void **state)
{
    (void)state;
    check_family("llama", false);
    check_family("llama", true);
}

static void qwen2(void **state)
{
    (void)state;
    check_family("qwen2", false);
    check_family("qwen2", true);
}

static void qwen3(void **state)
{
    (void)state;
    check_family("qwen3", false);
    check_family("qwen3", true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama),
        cmocka_unit_test(qwen2),
        cmocka_unit_test(qwen3),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
