/* bits_test.c: the log-prob that the engine reports has the bits that training computes (DESIGN
 * G5): for every family, weights type, prompt length, group size, batch, thread count, division of
 * the work between threads, use of the pages before, instruction set and cut of the micro-batches.
 */
#include "common/model/engine_parts.h"
#include "tests/model/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 5, COMPLETIONS_MAX = 16, TRIALS = 50 };

/* One trial: requests, and what came out of the engine. */
struct trial {
    struct model *model;
    float temperature;
    uint32_t vocab, stop;
    size_t count, next, asked;
    struct sample_request requests[GROUPS_MAX];
    struct groups sampled; /* tokens */
    float *logp[GROUPS_MAX][COMPLETIONS_MAX];
};

static bool next(void *arg, struct sample_request *ret)
{
    struct trial *t = arg;
    if (t->next == t->count)
        return false;
    *ret = t->requests[t->next++];
    return true;
}

static void done(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    struct trial *t = arg;
    struct train_completion *copy = mem_array(n, sizeof(*copy));
    const struct sample_request *r = &t->requests[tag];
    assert_int_equal(n, r->n);
    for (uint32_t i = 0; i < n; i++) {
        const struct sampled *c = &completions[i];
        copy[i].len = c->len;
        copy[i].tokens = mem_dup(c->tokens, c->len * sizeof(uint32_t));
        t->logp[tag][i] = mem_dup(c->logp, c->len * sizeof(float));
        assert_in_range(c->len, 1, r->params.max_tokens);
        assert_true((c->tokens[c->len - 1] == t->stop) == (c->stop == STOP_EOS));
    }
    t->sampled.groups[tag] = (struct train_group){
        mem_dup(r->prompt, r->prompt_len * sizeof(uint32_t)), r->prompt_len, copy, n};
}

static void trial_init(struct trial *t, struct model *m, struct rng *r)
{
    static const uint32_t lengths[] = {1, 2, 62, 63, 64, 65, 127, 128, 129, 192, 256, 257, 300};
    static const float temperatures[] = {1.0f, 0.7f, 1.9f, 0.0f};
    *t = (struct trial){.model = m,
        .temperature = temperatures[pick(r, 0, 3)],
        .vocab = pick(r, 0, 1) ? m->config.vocab : m->config.vocab - pick(r, 0, 5),
        .count = pick(r, 1, GROUPS_MAX)};
    t->stop = pick(r, 0, t->vocab - 1);
    groups_init(&t->sampled, t->count);
    for (size_t g = 0; g < t->count; g++) {
        uint32_t len =
            pick(r, 0, 2) ? lengths[pick(r, 0, (uint32_t)ARRAY_LEN(lengths) - 1)] : pick(r, 1, 200);
        uint32_t *prompt = mem_array(len, sizeof(*prompt));
        for (uint32_t i = 0; i < len; i++)
            prompt[i] = pick(r, 0, m->config.vocab - 1);
        t->requests[g] = (struct sample_request){.tag = g,
            .prompt = prompt,
            .prompt_len = len,
            .n = pick(r, 1, COMPLETIONS_MAX),
            .params = {.temperature = t->temperature,
                .max_tokens = pick(r, 1, pick(r, 0, 1) ? 90 : 8),
                .vocab = t->vocab,
                .top_p = 1,
                .stop = &t->stop,
                .stop_count = 1},
            .key = {.seed = rng_next(r), .domain = RNG_TRAIN, .ordinal = g}};
    }
}

static void trial_done(struct trial *t)
{
    for (size_t g = 0; g < t->count; g++) {
        for (uint32_t i = 0; i < t->requests[g].n; i++)
            free(t->logp[g][i]);
        free((void *)t->requests[g].prompt);
    }
    groups_done(&t->sampled);
}

static bool next_other(void *arg, struct sample_request *ret)
{
    struct trial *t = arg;
    if (t->next == t->count)
        return false;
    *ret = t->requests[t->next++];
    ret->key.seed++;
    return true;
}

static void forget(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    (void)arg;
    (void)tag;
    (void)completions;
    (void)n;
}

/* Some groups, at some step. */
static bool at_times(void *arg, uint64_t tag)
{
    struct trial *t = arg;
    return (tag + t->asked++) % 11 == 10;
}

/* Other completions of the same prompts, some dropped on the way: pages are filled, given back and
 * will be filled again. */
static void use_pages(struct engine *en, const struct trial *t, struct rng *r)
{
    struct err err;
    struct trial other = *t;
    struct engine_source source = {.next = next_other, .done = forget, .arg = &other};
    if (pick(r, 0, 1))
        source.cancelled = at_times;
    assert_ok(engine_run(en, &source, &err));
    assert_int_equal(engine_stats(en).pages_used, 0);
}

static void sample_all(struct trial *t, struct rng *r)
{
    struct err err;
    size_t n;
    const char *const *names = isas(&n);
    struct engine_options o = {.threads = pick(r, 1, 3),
        .isa = names[pick(r, 0, (uint32_t)n - 1)],
        .batch_max = pick(r, 1, 64),
        .kv_bytes_max = pick(r, 0, 1) ? 0 : 2 << 20};
    struct engine *en;
    struct engine_source source = {.next = next, .done = done, .arg = t};
    assert_ok(engine_new(&t->model->config, &o, &en, &err));
    en->large = pick(r, 0, 1); /* threads share each layer, as for models of more than 16 MiB */
    assert_ok(engine_load(en, &t->model->params, t->model->type, &err));
    if (pick(r, 0, 3) == 0)
        use_pages(en, t, r);
    assert_ok(engine_run(en, &source, &err));
    assert_int_equal(engine_stats(en).pages_used, 0);
    engine_free(en);
}

static void assert_same_bits(
    const float *expected, const float *found, size_t n, size_t group, size_t completion)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&expected[i], &found[i], sizeof(float)) != 0)
            fail_msg("group %zu completion %zu token %zu: engine %a, training %a", group,
                completion, i, (double)expected[i], (double)found[i]);
    }
}

/* Forwards completions first .. first + n - 1 of some consecutive groups as one micro-batch. */
static void compare(struct trial *t, struct train_ctx *ctx, const struct train_group *groups,
    size_t first_group, size_t count, uint32_t first_completion, int keep)
{
    struct err err;
    struct micro_batch b = {.groups = groups,
        .group_count = count,
        .temperature = t->temperature > 0 ? t->temperature : 1,
        .vocab = t->vocab};
    float *logp = mem_array(micro_batch_tokens(&b), sizeof(float)), *at = logp;
    assert_ok(train_forward(ctx, t->model->weights, &b, keep, logp, NULL, &err));
    for (size_t g = 0; g < count; g++) {
        for (uint32_t i = 0; i < groups[g].n; i++) {
            uint32_t len = groups[g].completions[i].len;
            assert_same_bits(t->logp[first_group + g][first_completion + i], at, len,
                first_group + g, first_completion + i);
            at += len;
        }
    }
    free(logp);
}

static void compare_all(struct trial *t, struct rng *r)
{
    struct err err;
    size_t n;
    const char *const *names = isas(&n);
    struct train_ctx *ctx;
    assert_ok(train_ctx_new(t->model->table,
        &(struct train_options){.isa = names[pick(r, 0, (uint32_t)n - 1)]}, &ctx, &err));
    /* Whole groups, some at a time. */
    for (size_t g = 0, count; g < t->count; g += count) {
        count = pick(r, 1, (uint32_t)(t->count - g));
        compare(t, ctx, t->sampled.groups + g, g, count, 0, (int)pick(r, 0, 1));
    }
    /* A part of one group's completions. */
    size_t g = pick(r, 0, (uint32_t)t->count - 1);
    struct train_group part = t->sampled.groups[g];
    uint32_t first = pick(r, 0, part.n - 1);
    part.completions += first;
    part.n = pick(r, 1, part.n - first);
    compare(t, ctx, &part, g, 1, first, 0);
    train_ctx_free(ctx);
}

static void engine_and_training_agree(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < TRIALS; i++) {
        struct rng r = fixture_rng(i);
        struct model m;
        struct trial t;
        struct model_config c = random_config(&r);
        model_init(&m, &c, &r);
        model_round(&m, (enum weights_type)(i % WEIGHTS_TYPE_COUNT));
        trial_init(&t, &m, &r);
        print_message("trial %llu: %s, %u layers, hidden %u, %u/%u heads of %u, %zu groups\n",
            (unsigned long long)i, c.type, c.layers, c.hidden, c.heads, c.kv_heads, c.head_dim,
            t.count);
        sample_all(&t, &r);
        compare_all(&t, &r);
        trial_done(&t);
        model_done(&m);
    }
}

/* The same requests, whatever else is in the batch: same tokens, same bits. */
static void company_does_not_matter(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < TRIALS / 4; i++) {
        struct rng r = fixture_rng(1000 + i), again;
        struct model m;
        struct trial together;
        struct model_config c = random_config(&r);
        model_init(&m, &c, &r);
        model_round(&m, (enum weights_type)(i % WEIGHTS_TYPE_COUNT));
        again = r;
        trial_init(&together, &m, &r);
        sample_all(&together, &r);
        for (size_t g = 0; g < together.count; g++) {
            struct trial alone;
            struct rng same = again;
            trial_init(&alone, &m, &same);
            alone.next = g;
            alone.count = g + 1;
            sample_all(&alone, &r);
            for (uint32_t k = 0; k < alone.requests[g].n; k++) {
                const struct train_completion *a = &alone.sampled.groups[g].completions[k];
                const struct train_completion *b = &together.sampled.groups[g].completions[k];
                assert_int_equal(a->len, b->len);
                assert_memory_equal(a->tokens, b->tokens, a->len * sizeof(uint32_t));
                assert_same_bits(together.logp[g][k], alone.logp[g][k], a->len, g, k);
            }
            alone.count = together.count;
            trial_done(&alone);
        }
        trial_done(&together);
        model_done(&m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_and_training_agree),
        cmocka_unit_test(company_does_not_matter),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
