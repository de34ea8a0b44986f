/* engine_test.c: what an engine accepts and refuses, cancelling, stopping, accounting of pages, new
 * weights, and the numerics id. That its bits are right is bits_test's subject. */
#include "tests/model/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct sample_request request_of(
    const uint32_t *prompt, uint32_t len, uint32_t n, uint32_t max_tokens)
{
    return (struct sample_request){.tag = 40 + n,
        .prompt = prompt,
        .prompt_len = len,
        .n = n,
        .params = {.temperature = 1, .max_tokens = max_tokens, .vocab = 23, .top_p = 1},
        .key = {.seed = 3, .domain = RNG_USER}};
}

static void setup(struct model *m, struct engine **ret, struct engine_options o)
{
    struct err err;
    struct rng r = fixture_rng(0);
    struct model_config c = config_of("qwen3", true);
    model_init(m, &c, &r);
    assert_ok(engine_new(&c, &o, ret, &err));
    assert_ok(engine_load(*ret, &m->params, WEIGHTS_F32, &err));
}

static void refuse(struct engine *en, struct sample_request r, const char *expected)
{
    struct err err;
    struct sampled *out = NULL;
    int code = engine_sample(en, &r, &out, &err);
    if (code != ERR_LIMIT || !strstr(err.msg, expected) || !strstr(err.msg, "request 4"))
        fail_msg("%d \"%s\" lacks \"%s\"", code, code < 0 ? err.msg : "", expected);
    assert_null(out);
    assert_int_equal(engine_stats(en).pages_used, 0);
}

static void limits(void **state)
{
    (void)state;
    struct model m;
    struct engine *en;
    struct err err;
    struct sampled *out;
    uint32_t prompt[300] = {0}, bad = 23;
    size_t page = 2 * 2 * 2 * 6 * 64 * sizeof(float);
    setup(&m, &en,
        (struct engine_options){.threads = 1, .isa = "auto", .kv_bytes_max = 3 * page + 1});
    assert_int_equal(engine_stats(en).pages_total, 3);
    refuse(en, request_of(prompt, 200, 1, 57), "over the context of 256");
    refuse(en, request_of(prompt, 257, 1, 1), "over the context of 256");
    refuse(en, request_of(prompt, UINT32_MAX, 1, UINT32_MAX), "over the context of 256");
    refuse(en, request_of(prompt, 0, 1, 5), "0 prompt tokens");
    refuse(en, request_of(prompt, 5, 0, 5), "0 completions");
    refuse(en, request_of(prompt, 5, 1, 0), "max_tokens");
    refuse(en, request_of(&bad, 1, 1, 5), "prompt token 0 is id 23");
    /* Three pages hold a prompt of one and a bit with its copy, and not one row more. */
    refuse(en, request_of(prompt, 65, 1, 65), "4 pages, the cache has 3");
    struct sample_request most = request_of(prompt, 65, 4, 64);
    assert_ok(engine_sample(en, &most, &out, &err));
    for (int i = 0; i < 4; i++)
        assert_int_equal(out[i].len, 64);
    sampled_free(out, 4);
    struct sample_request whole = request_of(prompt, 192, 1, 1);
    assert_ok(engine_sample(en, &whole, &out, &err));
    sampled_free(out, 1);
    struct sample_request r = request_of(prompt, 5, 1, 5);
    r.params.temperature = -1;
    refuse(en, r, "temperature");
    r.params.temperature = NAN;
    refuse(en, r, "temperature");
    r = request_of(prompt, 5, 1, 5);
    r.params.vocab = 24;
    refuse(en, r, "allowed ids");
    r.params.vocab = 0;
    refuse(en, r, "allowed ids");
    r = request_of(prompt, 5, 1, 5);
    r.params.top_p = 0;
    refuse(en, r, "top_p");
    r.params.top_p = 1;
    r.params.min_p = 1.5f;
    refuse(en, r, "min_p");
    engine_free(en);
    model_done(&m);
}

/* Prompt and completion fill the context to its last position. */
static void whole_context(void **state)
{
    (void)state;
    static const uint32_t prompts[] = {1, 128, 192, 255};
    struct model m;
    struct engine *en;
    struct err err;
    struct sampled *out;
    uint32_t prompt[256] = {0};
    setup(&m, &en, (struct engine_options){.threads = 1, .isa = "auto"});
    for (size_t i = 0; i < ARRAY_LEN(prompts); i++) {
        struct sample_request r = request_of(prompt, prompts[i], 2, 256 - prompts[i]);
        assert_ok(engine_sample(en, &r, &out, &err));
        assert_int_equal(out[1].len, 256 - prompts[i]);
        sampled_free(out, 2);
    }
    engine_free(en);
    model_done(&m);
}

static void options(void **state)
{
    (void)state;
    struct err err;
    struct engine *en = NULL;
    struct model_config c = config_of("llama", false);
    struct engine_options o = {.threads = 1, .isa = "sse9"};
    assert_int_equal(engine_new(&c, &o, &en, &err), ERR_CONFIG);
    o = (struct engine_options){.threads = 1, .isa = "auto", .kv_bytes_max = 100};
    assert_int_equal(engine_new(&c, &o, &en, &err), ERR_CONFIG);
    o = (struct engine_options){.threads = 1, .isa = "auto", .batch_max = 1000000};
    assert_int_equal(engine_new(&c, &o, &en, &err), ERR_CONFIG);
    o = (struct engine_options){.threads = 0, .isa = "auto"};
    assert_true(engine_new(&c, &o, &en, &err) < 0);
    o = (struct engine_options){.threads = 1, .isa = "auto"};
    c.heads = 3;
    assert_int_equal(engine_new(&c, &o, &en, &err), ERR_DATA);
    c.heads = 4;
    assert_ok(engine_new(&c, &o, &en, &err));
    uint32_t prompt = 1;
    struct sampled *out;
    struct sample_request r = request_of(&prompt, 1, 1, 1);
    assert_int_equal(engine_sample(en, &r, &out, &err), ERR_FAIL); /* no weights yet */
    engine_free(en);
    engine_free(NULL);
    sampled_free(NULL, 0);
}

/* Another model's parameters are refused; new ones of the same shape replace the old. */
static void loading(void **state)
{
    (void)state;
    struct err err;
    struct model m, other, wrong;
    struct engine *en;
    struct rng r = fixture_rng(5);
    struct model_config c = config_of("llama", false);
    setup(&m, &en, (struct engine_options){.threads = 1, .isa = "auto"});
    model_init(&wrong, &c, &r);
    assert_true(engine_load(en, &wrong.params, WEIGHTS_F32, &err) < 0);
    model_init(&other, &m.config, &r);
    uint32_t prompt[] = {3, 1, 4};
    struct sampled *out[3];
    struct sample_request q = request_of(prompt, 3, 2, 20);
    assert_ok(engine_sample(en, &q, &out[0], &err));
    assert_ok(engine_load(en, &other.params, WEIGHTS_F32, &err));
    assert_ok(engine_sample(en, &q, &out[1], &err));
    assert_ok(engine_load(en, &m.params, WEIGHTS_F32, &err));
    assert_ok(engine_sample(en, &q, &out[2], &err));
    assert_memory_not_equal(out[0][0].logp, out[1][0].logp, sizeof(float));
    assert_memory_equal(out[0][1].logp, out[2][1].logp, 20 * sizeof(float));
    assert_memory_equal(out[0][1].tokens, out[2][1].tokens, 20 * sizeof(uint32_t));
    for (int i = 0; i < 3; i++)
        sampled_free(out[i], 2);
    engine_free(en);
    model_done(&m);
    model_done(&other);
    model_done(&wrong);
}

static void not_finite(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct engine *en;
    uint32_t prompt[] = {3, 1, 4};
    struct sampled *out;
    setup(&m, &en, (struct engine_options){.threads = 2, .isa = "auto"});
    const struct param *p = param_find(m.table, "model.layers.1.mlp.up_proj.weight");
    m.params.data[p->offset] = INFINITY;
    assert_ok(engine_load(en, &m.params, WEIGHTS_F32, &err));
    struct sample_request q = request_of(prompt, 3, 20, 20);
    assert_int_equal(engine_sample(en, &q, &out, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "request 60"));
    assert_int_equal(engine_stats(en).pages_used, 0);
    engine_free(en);
    model_done(&m);
}

/* Greedy completions of a group are all alike, and each token is the most probable one: no sample
 * at temperature 1 had a higher log-prob for the first token. */
static void greedy(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct engine *en;
    uint32_t prompt[] = {7, 7};
    struct sampled *best, *some;
    setup(&m, &en, (struct engine_options){.threads = 1, .isa = "auto"});
    struct sample_request q = request_of(prompt, 2, 3, 30), free_run = request_of(prompt, 2, 64, 1);
    q.params.temperature = 0;
    assert_ok(engine_sample(en, &q, &best, &err));
    assert_ok(engine_sample(en, &free_run, &some, &err));
    for (int i = 1; i < 3; i++) {
        assert_memory_equal(best[0].tokens, best[i].tokens, 30 * sizeof(uint32_t));
        assert_memory_equal(best[0].logp, best[i].logp, 30 * sizeof(float));
    }
    bool varied = false;
    for (int i = 0; i < 64; i++) {
        assert_true(some[i].logp[0] <= best[0].logp[0]);
        varied = varied || some[i].tokens[0] != some[0].tokens[0];
    }
    assert_true(varied);
    sampled_free(best, 3);
    sampled_free(some, 64);
    engine_free(en);
    model_done(&m);
}

static void stop_ids(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct engine *en;
    uint32_t prompt[] = {7, 7}, stops[] = {2, 11, 5};
    struct sampled *out;
    setup(&m, &en, (struct engine_options){.threads = 2, .isa = "auto", .batch_max = 7});
    struct sample_request q = request_of(prompt, 2, 50, 12);
    q.params.stop = stops;
    q.params.stop_count = 3;
    assert_ok(engine_sample(en, &q, &out, &err));
    int ended = 0;
    for (int i = 0; i < 50; i++) {
        for (uint32_t t = 0; t < out[i].len; t++) {
            uint32_t id = out[i].tokens[t];
            bool stop = id == 2 || id == 11 || id == 5, last = t + 1 == out[i].len;
            assert_true(!stop || last);
            if (last)
                assert_int_equal(out[i].stop, stop ? STOP_EOS : STOP_LENGTH);
            ended += stop;
        }
        assert_true(out[i].stop == STOP_EOS || out[i].len == 12);
    }
    assert_true(ended > 0);
    sampled_free(out, 50);
    engine_free(en);
    model_done(&m);
}

/* ---- a source that cancels ---- */

struct feed {
    uint32_t prompt[70];
    uint32_t left, given, done, asked;
    uint32_t cancel_after; /* questions; 0: never */
    bool refuse_third;
};

static bool feed_next(void *arg, struct sample_request *ret)
{
    struct feed *f = arg;
    if (f->left == 0)
        return false;
    f->left--;
    *ret = request_of(f->prompt, f->refuse_third && f->given == 2 ? 1000 : 70, 3, 20);
    ret->tag = f->given++;
    return true;
}

static void feed_done(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    struct feed *f = arg;
    (void)tag;
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(completions[i].len, 20);
    f->done++;
}

static bool feed_cancelled(void *arg, uint64_t tag)
{
    struct feed *f = arg;
    return f->cancel_after > 0 && ++f->asked > f->cancel_after && tag % 2 == 0;
}

static void cancelling(void **state)
{
    (void)state;
    static const uint32_t after[] = {0, 1, 2, 15, 16, 17, 40, 100};
    struct model m;
    struct engine *en;
    setup(&m, &en, (struct engine_options){.threads = 2, .isa = "auto", .batch_max = 8});
    for (size_t i = 0; i < ARRAY_LEN(after); i++) {
        struct err err;
        struct feed f = {.left = 10, .cancel_after = after[i]};
        struct engine_source source = {feed_next, feed_done, feed_cancelled, &f};
        assert_ok(engine_run(en, &source, &err));
        assert_int_equal(f.given, 10);
        assert_in_range(f.done, after[i] == 0 ? 10 : 5, after[i] == 0 || after[i] == 100 ? 10 : 9);
        assert_int_equal(engine_stats(en).pages_used, 0);
    }
    engine_free(en);
    model_done(&m);
}

/* A request that can never fit ends the run, and the groups before it leave no page behind. */
static void refusal_in_company(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct engine *en;
    struct feed f = {.left = 10, .refuse_third = true};
    struct engine_source source = {feed_next, feed_done, NULL, &f};
    setup(&m, &en, (struct engine_options){.threads = 1, .isa = "auto"});
    assert_int_equal(engine_run(en, &source, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "request 2"));
    assert_int_equal(engine_stats(en).pages_used, 0);
    f = (struct feed){.left = 4};
    assert_ok(engine_run(en, &source, &err));
    assert_int_equal(f.done, 4);
    engine_free(en);
    model_done(&m);
}

/* A cache that holds little more than one sequence: everything still gets done, in turns. */
static void small_cache(void **state)
{
    (void)state;
    size_t page = 2 * 2 * 2 * 6 * 64 * sizeof(float);
    for (size_t pages = 3; pages < 12; pages++) {
        struct err err;
        struct model m;
        struct engine *en;
        struct feed f = {.left = 6};
        struct engine_source source = {feed_next, feed_done, NULL, &f};
        setup(&m, &en,
            (struct engine_options){
                .threads = 1, .isa = "auto", .kv_bytes_max = pages * page, .batch_max = 9});
        assert_ok(engine_run(en, &source, &err));
        assert_int_equal(f.done, 6);
        assert_int_equal(engine_stats(en).tokens_sampled, 6 * 3 * 20);
        assert_int_equal(engine_stats(en).tokens_prefilled, 6 * 70);
        engine_free(en);
        model_done(&m);
    }
}

static void numerics(void **state)
{
    (void)state;
    size_t n;
    const char *const *names = isas(&n);
    struct hash first, other, training;
    struct err err;
    assert_ok(numerics_id(names[0], &first, &err));
    assert_ok(training_id(names[0], &training, &err));
    assert_false(hash_is_zero(&first));
    assert_false(hash_equal(&first, &training));
    for (size_t i = 1; i < n; i++) {
        assert_ok(numerics_id(names[i], &other, &err));
        assert_true(hash_equal(&first, &other));
        assert_ok(training_id(names[i], &other, &err));
        assert_true(hash_equal(&training, &other));
    }
    assert_int_equal(numerics_id("sse9", &other, &err), ERR_CONFIG);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits),
        cmocka_unit_test(whole_context),
        cmocka_unit_test(options),
        cmocka_unit_test(loading),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(greedy),
        cmocka_unit_test(stop_ids),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(refusal_in_company),
        cmocka_unit_test(small_cache),
        cmocka_unit_test(numerics),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
