/* train_test.c: packing does not change the result. Shared prompt against unshared, one micro-batch
 * against many, identical completions; and what train_forward refuses. */
#include "tests/model/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const types[] = {"llama", "qwen2", "qwen3"};

static void make_model(struct model *m, const char *type, struct rng *r)
{
    struct model_config c = config_of(type, pick(r, 0, 1));
    model_init(m, &c, r);
}

static struct train_ctx *make_ctx(const struct model *m)
{
    struct err err;
    struct train_ctx *ctx;
    assert_ok(train_ctx_new(m->table, &(struct train_options){.isa = "auto"}, &ctx, &err));
    return ctx;
}

/* Forward and backward of one micro-batch with given weights of its tokens; grads are added. */
static void run(const struct model *m, struct train_ctx *ctx, const struct micro_batch *b,
    const float *dlogp, const float *dentropy, float *logp, float *entropy, float *grads)
{
    struct err err;
    assert_ok(train_forward(ctx, m->weights, b, 1, logp, entropy, &err));
    assert_ok(train_backward(ctx, m->weights, &m->params, b, dlogp, dentropy, grads, &err));
}

static void assert_near(
    const struct param_table *t, const float *a, const float *b, double tolerance)
{
    for (size_t i = 0; i < t->param_count; i++) {
        const struct param *p = &t->params[i];
        double scale = 0;
        for (size_t k = 0; k < p->count; k++)
            scale = fmax(scale, fabs((double)a[p->offset + k]));
        for (size_t k = 0; k < p->count; k++) {
            double off = fabs((double)a[p->offset + k] - (double)b[p->offset + k]);
            if (!(off <= tolerance * scale))
                fail_msg("%s[%zu]: %g and %g", p->name, k, (double)a[p->offset + k],
                    (double)b[p->offset + k]);
        }
    }
}

static float *random_weights(struct rng *r, size_t n)
{
    float *x = mem_array(n > 0 ? n : 1, sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(r);
    return x;
}

/* One completion with nothing shared: the prompt's first token is the prompt, the rest of it is
 * part of the completion with weight zero. */
struct unshared {
    struct train_group group;
    struct train_completion completion;
    uint32_t ids[400];
    float dlogp[400], dentropy[400], logp[400], entropy[400];
    size_t skip; /* tokens that belong to the prompt */
};

static void unshared_init(struct unshared *u, const struct train_group *g,
    const struct train_completion *c, const float *dlogp, const float *dentropy)
{
    memset(u, 0, sizeof(*u));
    u->skip = g->prompt_len - 1;
    memcpy(u->ids, g->prompt, g->prompt_len * sizeof(uint32_t));
    memcpy(u->ids + g->prompt_len, c->tokens, c->len * sizeof(uint32_t));
    memcpy(u->dlogp + u->skip, dlogp, c->len * sizeof(float));
    memcpy(u->dentropy + u->skip, dentropy, c->len * sizeof(float));
    u->completion = (struct train_completion){u->ids + 1, (uint32_t)u->skip + c->len};
    u->group = (struct train_group){u->ids, 1, &u->completion, 1};
}

/* Groups of one prompt length in one micro-batch against every completion with nothing shared. The
 * log-probs are the same to the bit, the gradients to rounding. */
static void check_sharing(const struct model *m, struct rng *r, uint32_t prompt_len)
{
    struct groups g;
    groups_init(&g, 2);
    for (size_t k = 0; k < g.count; k++)
        groups_random(&g, k, r, prompt_len, pick(r, 1, 4), pick(r, 1, 70), m->config.vocab);
    struct micro_batch b = {g.groups, g.count, 1.3f, m->config.vocab};
    size_t n = micro_batch_tokens(&b), at = 0;
    float *dlogp = random_weights(r, n), *dentropy = random_weights(r, n);
    float *logp = mem_array(n, sizeof(float)), *entropy = mem_array(n, sizeof(float));
    float *grads = mem_array(m->table->floats, sizeof(float));
    float *sum = mem_array(m->table->floats, sizeof(float));
    struct unshared *u = mem_alloc(sizeof(*u));
    struct train_ctx *ctx = make_ctx(m);
    run(m, ctx, &b, dlogp, dentropy, logp, entropy, grads);
    for (size_t k = 0; k < g.count; k++) {
        for (uint32_t c = 0; c < g.groups[k].n; c++) {
            const struct train_completion *t = &g.groups[k].completions[c];
            unshared_init(u, &g.groups[k], t, dlogp + at, dentropy + at);
            struct micro_batch alone = {&u->group, 1, 1.3f, m->config.vocab};
            run(m, ctx, &alone, u->dlogp, u->dentropy, u->logp, u->entropy, sum);
            assert_memory_equal(logp + at, u->logp + u->skip, t->len * sizeof(float));
            assert_memory_equal(entropy + at, u->entropy + u->skip, t->len * sizeof(float));
            at += t->len;
        }
    }
    assert_near(m->table, grads, sum, 5e-5);
    train_ctx_free(ctx);
    free(u);
    free(dlogp);
    free(dentropy);
    free(logp);
    free(entropy);
    free(grads);
    free(sum);
    groups_done(&g);
}

static void shared_prompt_against_unshared(void **state)
{
    (void)state;
    static const uint32_t prompts[] = {1, 63, 64, 65, 128, 130};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct rng r = fixture_rng(i);
        struct model m;
        make_model(&m, types[i], &r);
        for (size_t k = 0; k < ARRAY_LEN(prompts); k++)
            check_sharing(&m, &r, prompts[k]);
        model_done(&m);
    }
}

/* One micro-batch against one for each group. */
static void cut_of_micro_batches(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct rng r = fixture_rng(5 + i);
        struct model m;
        struct groups g;
        make_model(&m, types[i], &r);
        groups_init(&g, 6);
        for (size_t k = 0; k < g.count; k++)
            groups_random(
                &g, k, &r, pick(&r, 1, 130), pick(&r, 1, 4), pick(&r, 1, 30), m.config.vocab);
        struct micro_batch b = {g.groups, g.count, 1, m.config.vocab};
        size_t n = micro_batch_tokens(&b), at = 0;
        float *dlogp = random_weights(&r, n), *logp = mem_array(2 * n, sizeof(float));
        float *grads = mem_array(2 * m.table->floats, sizeof(float)),
              *sum = grads + m.table->floats;
        struct train_ctx *ctx = make_ctx(&m);
        run(&m, ctx, &b, dlogp, NULL, logp, NULL, grads);
        for (size_t k = 0; k < g.count; k++) {
            struct micro_batch one = {g.groups + k, 1, 1, m.config.vocab};
            run(&m, ctx, &one, dlogp + at, NULL, logp + n + at, NULL, sum);
            at += micro_batch_tokens(&one);
        }
        assert_memory_equal(logp, logp + n, n * sizeof(float));
        assert_near(m.table, grads, sum, 5e-5);
        train_ctx_free(ctx);
        free(dlogp);
        free(logp);
        free(grads);
        groups_done(&g);
        model_done(&m);
    }
}

/* Weights read in place, and activations computed again, give the same bits as packed weights and
 * kept activations; and the memory that was promised. */
static void views_and_recomputation_change_no_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct err err;
        struct rng r = fixture_rng(60 + i);
        struct model m;
        struct groups g;
        struct weights *view;
        make_model(&m, types[i], &r);
        assert_ok(weights_view(&m.params, &view, &err));
        groups_init(&g, 4);
        for (size_t k = 0; k < g.count; k++)
            groups_random(
                &g, k, &r, pick(&r, 1, 130), pick(&r, 1, 4), pick(&r, 1, 30), m.config.vocab);
        struct micro_batch b = {g.groups, g.count, 1, m.config.vocab};
        size_t n = micro_batch_tokens(&b), floats = m.table->floats, bytes[3];
        float *dlogp = random_weights(&r, n), *logp = mem_array(3 * n, sizeof(float));
        float *grads = mem_array(3 * floats, sizeof(float));
        for (size_t k = 0; k < 3; k++) {
            const struct weights *w = k == 0 ? m.weights : view;
            struct train_options o = {.isa = "auto", .recompute = k == 2};
            struct train_ctx *ctx;
            assert_ok(train_ctx_new(m.table, &o, &ctx, &err));
            assert_ok(train_forward(ctx, w, &b, 1, logp + k * n, NULL, &err));
            assert_ok(train_backward(ctx, w, &m.params, &b, dlogp, NULL, grads + k * floats, &err));
            bytes[k] = train_bytes(m.table, &o, &b);
            assert_int_equal(bytes[k], train_ctx_bytes(ctx));
            train_ctx_free(ctx);
            assert_memory_equal(logp, logp + k * n, n * sizeof(float));
            assert_memory_equal(grads, grads + k * floats, floats * sizeof(float));
        }
        assert_true(bytes[2] < bytes[1]);
        weights_free(view);
        free(dlogp);
        free(logp);
        free(grads);
        groups_done(&g);
        model_done(&m);
    }
}

/* The same micro-batch twice, in a fresh context and in a used one: the same bits of the gradient.
 */
static void gradient_is_deterministic(void **state)
{
    (void)state;
    struct rng r = fixture_rng(10);
    struct model m;
    struct groups g, other;
    make_model(&m, "qwen3", &r);
    groups_init(&g, 3);
    groups_init(&other, 1);
    groups_random(&other, 0, &r, 200, 5, 50, m.config.vocab);
    for (size_t k = 0; k < g.count; k++)
        groups_random(&g, k, &r, 60 + 3 * (uint32_t)k, 6, 20, m.config.vocab);
    struct micro_batch b = {g.groups, g.count, 1, m.config.vocab},
                       noise = {other.groups, 1, 1, m.config.vocab};
    size_t n = micro_batch_tokens(&b);
    float *dlogp = random_weights(&r, n > 250 ? n : 250);
    float *logp = mem_array(n > 250 ? n : 250, sizeof(float));
    float *grads[2], *unused = mem_array(m.table->floats, sizeof(float));
    for (int i = 0; i < 2; i++) {
        struct train_ctx *ctx = make_ctx(&m);
        grads[i] = mem_array(m.table->floats, sizeof(float));
        if (i == 1)
            run(&m, ctx, &noise, dlogp, NULL, logp, NULL, unused);
        run(&m, ctx, &b, dlogp, NULL, logp, NULL, grads[i]);
        train_ctx_free(ctx);
    }
    assert_memory_equal(grads[0], grads[1], m.table->floats * sizeof(float));
    free(grads[0]);
    free(grads[1]);
    free(unused);
    free(logp);
    free(dlogp);
    groups_done(&g);
    groups_done(&other);
    model_done(&m);
}

/* A policy gradient whose advantages cancel: same tokens, +1 and -1, is exactly nothing. */
static void identical_completions_cancel(void **state)
{
    (void)state;
    struct rng r = fixture_rng(20);
    struct model m;
    struct groups g;
    make_model(&m, "qwen2", &r);
    groups_init(&g, 1);
    groups_random(&g, 0, &r, 70, 2, 9, m.config.vocab);
    memcpy((void *)g.groups[0].completions[1].tokens, g.groups[0].completions[0].tokens,
        9 * sizeof(uint32_t));
    struct micro_batch b = {g.groups, 1, 1, m.config.vocab};
    float dlogp[18], logp[18], *grads = mem_array(m.table->floats, sizeof(float));
    for (int i = 0; i < 18; i++)
        dlogp[i] = i < 9 ? 1 : -1;
    struct train_ctx *ctx = make_ctx(&m);
    run(&m, ctx, &b, dlogp, NULL, logp, NULL, grads);
    assert_memory_equal(logp, logp + 9, 9 * sizeof(float));
    for (size_t i = 0; i < m.table->floats; i++)
        assert_true(fabs((double)grads[i]) < 1e-4);
    /* Zero weights: zero to the last bit. */
    memset(grads, 0, m.table->floats * sizeof(float));
    memset(dlogp, 0, sizeof(dlogp));
    run(&m, ctx, &b, dlogp, NULL, logp, NULL, grads);
    for (size_t i = 0; i < m.table->floats; i++)
        assert_true(grads[i] == 0);
    train_ctx_free(ctx);
    free(grads);
    groups_done(&g);
    model_done(&m);
}

/* Lengths 0 and 1 have no row of their own; a batch of nothing else is fine too. */
static void short_completions(void **state)
{
    (void)state;
    struct rng r = fixture_rng(30);
    struct model m;
    make_model(&m, "llama", &r);
    const uint32_t ids[] = {1, 2, 3};
    const struct train_completion none[] = {{NULL, 0}, {NULL, 0}},
                                  mixed[] = {{NULL, 0}, {ids, 1}, {ids, 3}};
    const struct train_group groups[] = {{ids, 3, none, 2}, {ids, 1, mixed, 3}, {ids, 2, NULL, 0}};
    const struct micro_batch first = {groups, 1, 1, m.config.vocab},
                             all = {groups, 3, 1, m.config.vocab};
    const struct micro_batch empty = {NULL, 0, 1, m.config.vocab};
    const float ones[] = {1, 1, 1, 1};
    float logp[4] = {1, 1, 1, 1}, *grads = mem_array(m.table->floats, sizeof(float));
    struct train_ctx *ctx = make_ctx(&m);
    assert_int_equal(micro_batch_rows(&all), 3 + 1 + 2 + 2);
    assert_int_equal(micro_batch_tokens(&all), 4);
    run(&m, ctx, &first, NULL, NULL, NULL, NULL, grads);
    run(&m, ctx, &empty, NULL, NULL, NULL, NULL, grads);
    for (size_t i = 0; i < m.table->floats; i++)
        assert_true(grads[i] == 0);
    run(&m, ctx, &all, ones, NULL, logp, NULL, grads);
    for (int i = 0; i < 4; i++)
        assert_true(logp[i] < 0);
    assert_true(logp[0] == logp[1]); /* the same token after the same prompt */
    assert_true(train_ctx_bytes(ctx) > 0);
    train_ctx_free(ctx);
    free(grads);
    model_done(&m);
}

static void refuse(
    struct train_ctx *ctx, const struct model *m, struct micro_batch b, const char *expected)
{
    struct err err;
    float logp[512];
    int code = train_forward(ctx, m->weights, &b, 1, logp, NULL, &err);
    if (code != ERR_DATA || !strstr(err.msg, expected))
        fail_msg("%d \"%s\" lacks \"%s\"", code, code < 0 ? err.msg : "", expected);
    assert_int_equal(
        train_backward(ctx, m->weights, &m->params, &b, logp, NULL, logp, &err), ERR_FAIL);
}

static void refused(void **state)
{
    (void)state;
    struct rng r = fixture_rng(40);
    struct model m;
    struct groups g;
    make_model(&m, "llama", &r);
    uint32_t V = m.config.vocab, bad = V, last = V - 1;
    struct train_ctx *ctx = make_ctx(&m);
    groups_init(&g, 3);
    groups_random(&g, 0, &r, 10, 2, 5, V);
    groups_random(&g, 1, &r, m.config.context - 3, 1, 4, V);
    groups_random(&g, 2, &r, m.config.context - 3, 1, 5, V);
    struct micro_batch b = {g.groups, 1, 1, V};
    float logp[10];
    struct err err;
    assert_ok(train_forward(ctx, m.weights, &b, 1, logp, NULL, &err));
    refuse(ctx, &m, (struct micro_batch){g.groups, 1, 0, V}, "temperature");
    refuse(ctx, &m, (struct micro_batch){g.groups, 1, NAN, V}, "temperature");
    refuse(ctx, &m, (struct micro_batch){g.groups, 1, 1, V + 1}, "allowed ids");
    refuse(ctx, &m, (struct micro_batch){g.groups, 1, 1, 0}, "allowed ids");
    const struct train_completion outside = {&bad, 1}, masked = {&last, 1};
    const struct train_group bad_prompt = {&bad, 1, NULL, 0},
                             bad_completion = {&last, 1, &outside, 1};
    const struct train_group no_prompt = {&last, 0, NULL, 0}, masked_id = {&last, 1, &masked, 1};
    refuse(ctx, &m, (struct micro_batch){&bad_prompt, 1, 1, V}, "prompt token 0 is id 23");
    refuse(ctx, &m, (struct micro_batch){&bad_completion, 1, 1, V}, "completion token 0 is id 23");
    refuse(ctx, &m, (struct micro_batch){&masked_id, 1, 1, V - 1}, "completion token 0 is id 22");
    refuse(ctx, &m, (struct micro_batch){&no_prompt, 1, 1, V}, "0 tokens");
    /* The last token is never an input, so context + 1 tokens are the most that fit. */
    b = (struct micro_batch){g.groups + 1, 1, 1, V};
    assert_ok(train_forward(ctx, m.weights, &b, 1, logp, NULL, &err));
    refuse(ctx, &m, (struct micro_batch){g.groups + 2, 1, 1, V}, "over the context");
    m.params.data[0] = NAN;
    weights_pack(m.weights, &m.params);
    const uint32_t zero = 0;
    const struct train_completion of_zero = {&zero, 1};
    const struct train_group poisoned = {&zero, 1, &of_zero, 1};
    refuse(ctx, &m, (struct micro_batch){&poisoned, 1, 1, V}, "not finite");
    train_ctx_free(ctx);
    train_ctx_free(NULL);
    assert_int_equal(
        train_ctx_new(m.table, &(struct train_options){.isa = "sse9"}, &ctx, &err), ERR_CONFIG);
    groups_done(&g);
    model_done(&m);
}

/* Backward needs a forward of the same batch that kept its rows, and uses it up. */
static void backward_needs_its_forward(void **state)
{
    (void)state;
    struct rng r = fixture_rng(50);
    struct model m;
    struct groups g;
    struct err err;
    make_model(&m, "llama", &r);
    groups_init(&g, 2);
    groups_random(&g, 0, &r, 10, 2, 5, m.config.vocab);
    groups_random(&g, 1, &r, 10, 3, 5, m.config.vocab);
    struct micro_batch a = {g.groups, 1, 1, m.config.vocab},
                       b = {g.groups + 1, 1, 1, m.config.vocab};
    float logp[15], *grads = mem_array(m.table->floats, sizeof(float));
    struct train_ctx *ctx = make_ctx(&m);
    assert_int_equal(
        train_backward(ctx, m.weights, &m.params, &a, logp, NULL, grads, &err), ERR_FAIL);
    assert_ok(train_forward(ctx, m.weights, &a, 0, logp, NULL, &err));
    assert_int_equal(
        train_backward(ctx, m.weights, &m.params, &a, logp, NULL, grads, &err), ERR_FAIL);
    assert_ok(train_forward(ctx, m.weights, &a, 1, logp, NULL, &err));
    assert_int_equal(
        train_backward(ctx, m.weights, &m.params, &b, logp, NULL, grads, &err), ERR_FAIL);
    assert_ok(train_backward(ctx, m.weights, &m.params, &a, logp, NULL, grads, &err));
    assert_int_equal(
        train_backward(ctx, m.weights, &m.params, &a, logp, NULL, grads, &err), ERR_FAIL);
    train_ctx_free(ctx);
    free(grads);
    groups_done(&g);
    model_done(&m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_prompt_against_unshared),
        cmocka_unit_test(cut_of_micro_batches),
        cmocka_unit_test(views_and_recomputation_change_no_bit),
        cmocka_unit_test(gradient_is_deterministic),
        cmocka_unit_test(identical_completions_cancel),
        cmocka_unit_test(short_completions),
        cmocka_unit_test(refused),
        cmocka_unit_test(backward_needs_its_forward),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
