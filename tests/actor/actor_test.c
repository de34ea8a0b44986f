/* actor_test.c: an actor against a scripted learner: groups come out as one engine alone would
 * sample them, whatever is leased together, revoked, refused or broken. */
#include "actor/actor.h"

#include <string.h>

#include "tests/actor/fixture.h"
#include "tests/net/scripted_learner.h"

enum { VERSIONS = 2 };

/* What a lease asks for. */
struct request {
    uint64_t version;
    uint32_t prompt[4];
    uint32_t prompt_len, n, max_tokens, vocab;
    float temperature;
};

struct state {
    struct scripted_learner learner;
    struct request requests[SCRIPTED_LEASES]; /* of the learner's leases */
    struct model_config config;
    struct param_table *table;
    struct fixture_version v[VERSIONS];
    struct engine *engine;
    struct hash numerics;
    struct actor *actor;
    bool flip_weights;
};

/* ---- the learner's script ---- */

static void check_hello(void *arg, const struct msg_hello *hello)
{
    const struct state *s = arg;
    assert_string_equal(hello->name, "actor-1");
    assert_true(hash_equal(&hello->numerics_id, &s->numerics));
}

static struct sample_lease sample_of(void *arg, size_t i)
{
    const struct state *s = arg;
    const struct request *r = &s->requests[i];
    static const uint32_t stop[] = {0};
    return (struct sample_lease){.lease = SCRIPTED_FIRST + i,
        .job = (i + 1) * 64,
        .group = i + 1,
        .lease_ms = 60000,
        .version = r->version,
        .weights = s->v[r->version].digest,
        .prompt = r->prompt,
        .prompt_len = r->prompt_len,
        .n = r->n,
        .max_tokens = r->max_tokens,
        .vocab = r->vocab,
        .temperature = r->temperature,
        .seed = 9,
        .domain = RNG_TRAIN,
        .stage = 1,
        .ordinal = i,
        .stop = stop,
        .stop_count = 1};
}

static void check_group(void *arg, size_t i, const struct msg *result)
{
    struct state *s = arg;
    struct err err = {0};
    assert_int_equal(result->type, MSG_SUBMIT_GROUP);
    const struct msg_submit_group *g = &result->submit_group;
    struct sample_lease l = sample_of(s, i);
    struct sample_request r = {.prompt = l.prompt,
        .prompt_len = (uint32_t)l.prompt_len,
        .n = l.n,
        .params = {.temperature = l.temperature,
            .max_tokens = l.max_tokens,
            .vocab = l.vocab,
            .top_p = 1,
            .stop = l.stop,
            .stop_count = 1},
        .key = {.seed = l.seed, .domain = l.domain, .stage = l.stage, .ordinal = l.ordinal}};
    struct sampled *expected;
    assert_ok(engine_load(s->engine, &s->v[l.version].params, WEIGHTS_F32, &err));
    assert_ok(engine_sample(s->engine, &r, &expected, &err));
    assert_true(hash_equal(&g->weights, &l.weights));
    assert_true(hash_equal(&g->numerics_id, &s->numerics));
    assert_int_equal(g->completion_count, l.n);
    for (uint32_t k = 0; k < l.n; k++) {
        const struct completion *c = &g->completions[k];
        assert_int_equal(c->len, expected[k].len);
        assert_int_equal(c->stop, expected[k].stop);
        assert_memory_equal(c->tokens, expected[k].tokens, c->len * sizeof(uint32_t));
        assert_memory_equal(c->logp, expected[k].logp, c->len * sizeof(float));
    }
    sampled_free(expected, l.n);
}

static bool blob_of(void *arg, size_t i, const struct msg_get_blob *g, struct buf *out)
{
    const struct state *s = arg;
    assert_in_range(g->id, 0, VERSIONS - 1);
    const struct fixture_version *v = &s->v[g->id];
    if (g->kind == BLOB_WEIGHTS_MANIFEST) {
        weights_manifest_pack(out, &v->manifest);
        return true;
    }
    assert_int_equal(g->kind, BLOB_WEIGHTS);
    buf_append(out, v->file.data, v->file.len);
    out->data[300] ^= s->flip_weights;
    return true;
}

static const struct learner_script script = {.role = ROLE_ACTOR,
    .check_hello = check_hello,
    .sample_lease = sample_of,
    .check_result = check_group,
    .blob = blob_of};

/* ---- the test's side ---- */

static struct request *add_lease(struct state *s, uint64_t version, uint32_t n, uint32_t max_tokens)
{
    assert_true(s->learner.lease_count < SCRIPTED_LEASES);
    struct request *r = &s->requests[s->learner.lease_count++];
    *r = (struct request){.version = version,
        .prompt = {3, 4, (uint32_t)s->learner.lease_count},
        .prompt_len = 3,
        .n = n,
        .max_tokens = max_tokens,
        .vocab = s->config.vocab,
        .temperature = 1};
    return r;
}

static void start(struct state *s)
{
    struct err err = {0};
    const struct actor_options o = {.name = "actor-1",
        .address = s->learner.h.base,
        .slots = 4,
        .engine = {.threads = 1, .isa = "auto", .kv_bytes_max = 1 << 20, .batch_max = 8},
        .numerics_id = s->numerics,
        .ended = scripted_learner_on_ended,
        .arg = &s->learner};
    assert_ok(actor_open(&s->learner.h.loop, &o, &s->actor, &err));
}

static bool all_submitted(const struct scripted_learner *l)
{
    for (size_t i = 0; i < l->lease_count; i++)
        if (!l->leases[i].submitted)
            return false;
    return true;
}

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    struct err err = {0};
    const struct engine_options o = {.threads = 1, .isa = "auto", .kv_bytes_max = 1 << 20};
    s->config = fixture_config();
    scripted_learner_init(&s->learner, &script, s);
    model_config_print(&s->config, &s->learner.model);
    assert_ok(param_table_new(&s->config, &s->table, &err));
    for (uint64_t i = 0; i < VERSIONS; i++)
        fixture_version_init(&s->v[i], s->table, s->learner.h.dir, i);
    assert_ok(engine_new(&s->config, &o, &s->engine, &err));
    assert_ok(numerics_id("auto", &s->numerics, &err));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    actor_close(s->actor);
    scripted_learner_done(&s->learner);
    engine_free(s->engine);
    for (int i = 0; i < VERSIONS; i++)
        fixture_version_done(&s->v[i]);
    param_table_free(s->table);
    mem_free_ptr(state);
    return 0;
}

static void test_groups_of_two_versions(void **state)
{
    struct state *s = *state;
    struct scripted_learner *l = &s->learner;
    for (uint32_t i = 0; i < 6; i++)
        add_lease(s, i % 2, 1 + i, 4 + i);
    s->requests[5].temperature = 0;
    start(s);
    HARNESS_UNTIL(&l->h, all_submitted(l) || l->ended);
    assert_false(l->ended);
    scripted_learner_drain(l);
}

static void test_sigterm_drains(void **state)
{
    struct state *s = *state;
    struct scripted_learner *l = &s->learner;
    add_lease(s, 0, 4, 20);
    start(s);
    HARNESS_UNTIL(&l->h, l->leases[0].fetches > 0); /* the actor holds the lease */
    actor_drain(s->actor, 30000);
    HARNESS_UNTIL(&l->h, l->ended);
    assert_int_equal(l->code, 0);
    assert_true(l->leases[0].submitted);
    assert_true(l->bye);
}

static void test_revoked_is_not_submitted(void **state)
{
    struct state *s = *state;
    struct scripted_lease *l = s->learner.leases;
    add_lease(s, 0, 2, 5);
    start(s);
    HARNESS_UNTIL(&s->learner.h, l[0].submitted); /* the next is sampled as soon as granted */
    add_lease(s, 0, 1000, 40);
    l[1].revoke = true;
    add_lease(s, 1, 2, 5);
    add_lease(s, 1, 2, 5);
    HARNESS_UNTIL(
        &s->learner.h, l[2].submitted && l[3].submitted && (l[1].revoked || l[1].submitted));
    scripted_learner_drain(&s->learner); /* it refuses a revoked lease's group */
}

static void test_impossible_lease_is_given_back(void **state)
{
    struct state *s = *state;
    const struct scripted_lease *l = s->learner.leases;
    add_lease(s, 0, 2, s->config.context); /* prompt and completion exceed the context */
    add_lease(s, 0, 2, 4)->prompt[0] = s->config.vocab;
    add_lease(s, 0, 2, 4)->vocab = s->config.vocab + 1;
    add_lease(s, 0, 2, 4);
    start(s);
    HARNESS_UNTIL(&s->learner.h, l[0].released && l[1].released && l[2].released && l[3].submitted);
    assert_false(s->learner.ended);
}

static void test_wrong_weights_are_never_sampled(void **state)
{
    struct state *s = *state;
    struct scripted_learner *l = &s->learner;
    add_lease(s, 0, 2, 4);
    s->flip_weights = true;
    start(s);
    HARNESS_UNTIL(&l->h, l->ended);
    assert_int_equal(l->code, ERR_DATA);
    assert_non_null(strstr(l->why, "chunk 0 of"));
    assert_false(l->leases[0].submitted);
}

static void test_closed_while_sampling(void **state)
{
    struct state *s = *state;
    for (uint32_t i = 0; i < 4; i++)
        add_lease(s, i % 2, 200, 40);
    start(s);
    HARNESS_UNTIL(&s->learner.h, s->learner.leases[3].granted);
    /* The teardown closes the actor with jobs that wait for weights, wait for their turn, or run.
     */
}

static void test_garbage_model(void **state)
{
    struct state *s = *state;
    struct scripted_learner *l = &s->learner;
    buf_clear(&l->model);
    buf_puts(&l->model, "{\"model_type\": 7}");
    start(s);
    HARNESS_UNTIL(&l->h, l->ended);
    assert_true(l->code < 0);
    assert_non_null(strstr(l->why, "config.json"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_groups_of_two_versions),
        TEST(test_sigterm_drains),
        TEST(test_revoked_is_not_submitted),
        TEST(test_impossible_lease_is_given_back),
        TEST(test_wrong_weights_are_never_sampled),
        TEST(test_closed_while_sampling),
        TEST(test_garbage_model),
    };
    return cmocka_run_group_tests_name("actor/actor", tests, NULL, NULL);
}
