/* actor_test.c: an actor against a scripted learner: groups come out as one engine alone would
 * sample them, whatever is leased together, revoked, refused or broken. */
#include "actor/actor.h"

#include <stdlib.h>
#include <string.h>

#include "common/net/bus.h"
#include "tests/actor/fixture.h"

enum { VERSIONS = 2, LEASES_MAX = 8, WATCHDOG_MS = 60000, SESSION = 77, EPOCH = 5 };

/* A lease the fake learner grants, and what became of it. */
struct lease {
    uint64_t version;
    uint32_t prompt[4];
    uint32_t prompt_len, n, max_tokens, vocab;
    float temperature;
    bool granted, submitted, released, revoke, revoked;
};

struct state {
    uv_loop_t loop;
    uv_timer_t watchdog;
    char dir[64], address[80];
    struct model_config config;
    struct param_table *table;
    struct fixture_version v[VERSIONS];
    struct buf model; /* config.json */
    struct engine *engine;
    struct hash numerics;
    struct bus_server *ctl, *bulk;
    struct actor *actor;
    struct lease leases[LEASES_MAX];
    size_t lease_count;
    bool drain, garbage_model, flip_weights, bye, ended;
    int code;
    char why[256];
};

static void on_watchdog(uv_timer_t *timer)
{
    (void)fprintf(stderr, "the test waits for something that does not come\n");
    abort();
}

/* ---- the scripted learner ---- */

static void reply(struct bus_server *server, const struct bus_route *to,
    const struct frame *request, struct msg *m)
{
    CLEANUP_BUF struct buf payload = {0};
    msg_pack(&payload, m);
    struct frame f = {.type = (uint16_t)m->type,
        .role = ROLE_LEARNER,
        .epoch = EPOCH,
        .session = SESSION,
        .request_id = request->request_id,
        .payload = payload.data,
        .payload_bytes = (uint32_t)payload.len};
    bus_server_reply(server, to, &f);
}

static struct sample_lease sample_of(struct state *s, size_t i)
{
    const struct lease *l = &s->leases[i];
    static const uint32_t stop[] = {0};
    return (struct sample_lease){.lease = 100 + i,
        .job = (i + 1) * 64,
        .group = i + 1,
        .lease_ms = 60000,
        .version = l->version,
        .weights = s->v[l->version].digest,
        .prompt = l->prompt,
        .prompt_len = l->prompt_len,
        .n = l->n,
        .max_tokens = l->max_tokens,
        .vocab = l->vocab,
        .temperature = l->temperature,
        .seed = 9,
        .domain = RNG_TRAIN,
        .stage = 1,
        .ordinal = i,
        .stop = stop,
        .stop_count = 1};
}

static void answer_poll(struct state *s, const struct bus_route *from, const struct frame *f,
    const struct msg_poll *poll)
{
    struct sample_lease leases[LEASES_MAX];
    uint64_t revoked[LEASES_MAX];
    struct msg m = {.type = MSG_GRANT};
    m.grant.sample = leases;
    m.grant.revoked = revoked;
    for (size_t i = 0; i < s->lease_count; i++) {
        struct lease *l = &s->leases[i];
        if (l->granted && l->revoke && !l->revoked) {
            revoked[m.grant.revoked_count++] = 100 + i;
            l->revoked = true;
        }
        if (!l->granted && m.grant.sample_count < poll->max_jobs) {
            leases[m.grant.sample_count++] = sample_of(s, i);
            l->granted = true;
        }
    }
    m.grant.drain = s->drain;
    m.grant.retry_ms = 20;
    reply(s->ctl, from, f, &m);
}

static void check_group(struct state *s, const struct msg_submit_group *g)
{
    struct err err = {0};
    size_t i = g->lease - 100;
    assert_in_range(g->lease, 100, 100 + s->lease_count - 1);
    assert_false(s->leases[i].submitted);
    assert_false(s->leases[i].revoked);
    s->leases[i].submitted = true;
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

static void on_ctl(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct state *s = arg;
    struct arena *a = arena_new(0);
    struct err err = {0};
    struct msg in, out = {0};
    assert_ok(msg_unpack(f, a, &in, &err));
    switch (in.type) {
    case MSG_HELLO:
        assert_int_equal(f->role, ROLE_ACTOR);
        assert_string_equal(in.hello.name, "actor-1");
        assert_true(hash_equal(&in.hello.numerics_id, &s->numerics));
        out.type = MSG_WELCOME;
        out.welcome = (struct msg_welcome){.session = SESSION,
            .epoch = EPOCH,
            .heartbeat_ms = 200,
            .lease_ms = 60000,
            .run = "test",
            .model = {.kind = BLOB_MODEL_CONFIG,
                .bytes = s->model.len,
                .hash = hash_of(s->model.data, s->model.len)}};
        break;
    case MSG_POLL:
        answer_poll(s, from, f, &in.poll);
        arena_free(a);
        return;
    case MSG_HEARTBEAT:
        out.type = MSG_HEARTBEAT_REPLY;
        break;
    case MSG_SUBMIT_GROUP:
        check_group(s, &in.submit_group);
        out.type = MSG_SUBMIT_REPLY;
        out.submit_reply.message = "";
        break;
    case MSG_RELEASE:
        for (size_t i = 0; i < in.release.lease_count; i++)
            s->leases[in.release.leases[i] - 100].released = true;
        out.type = MSG_RELEASED;
        break;
    case MSG_BYE:
        s->bye = true;
        out.type = MSG_BYE;
        break;
    default:
        fail_msg("unexpected %s", frame_type_name(in.type));
    }
    reply(s->ctl, from, f, &out);
    arena_free(a);
    uv_stop(&s->loop);
}

static void on_bulk(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct state *s = arg;
    struct arena *a = arena_new(0);
    CLEANUP_BUF struct buf bytes = {0};
    struct err err = {0};
    struct msg in, out = {.type = MSG_BLOB_CHUNK};
    assert_ok(msg_unpack(f, a, &in, &err));
    assert_int_equal(in.type, MSG_GET_BLOB);
    const struct msg_get_blob *g = &in.get_blob;
    if (g->kind == BLOB_MODEL_CONFIG)
        buf_append(&bytes, s->model.data, s->model.len);
    else if (g->kind == BLOB_WEIGHTS_MANIFEST)
        weights_manifest_pack(&bytes, &s->v[g->id].manifest);
    else
        buf_append(&bytes, s->v[g->id].file.data, s->v[g->id].file.len);
    if (g->kind == BLOB_WEIGHTS)
        bytes.data[300] ^= s->flip_weights;
    if (g->kind != BLOB_MODEL_CONFIG)
        assert_in_range(g->lease, 100, 100 + s->lease_count - 1);
    assert_true(g->offset <= bytes.len);
    out.blob_chunk = (struct msg_blob_chunk){
        .total = bytes.len, .data = bytes.data + g->offset, .data_len = bytes.len - g->offset};
    if (out.blob_chunk.data_len > g->bytes)
        out.blob_chunk.data_len = g->bytes;
    reply(s->bulk, from, f, &out);
    arena_free(a);
}

/* ---- the test's side ---- */

static void on_ended(void *arg, int code, const char *why)
{
    struct state *s = arg;
    assert_false(s->ended);
    s->ended = true;
    s->code = code;
    (void)snprintf(s->why, sizeof(s->why), "%s", why);
    uv_stop(&s->loop);
}

static struct lease *add_lease(struct state *s, uint64_t version, uint32_t n, uint32_t max_tokens)
{
    struct lease *l = &s->leases[s->lease_count++];
    assert_true(s->lease_count <= LEASES_MAX);
    *l = (struct lease){.version = version,
        .prompt = {3, 4, (uint32_t)s->lease_count},
        .prompt_len = 3,
        .n = n,
        .max_tokens = max_tokens,
        .vocab = s->config.vocab,
        .temperature = 1};
    return l;
}

static void start(struct state *s)
{
    struct err err = {0};
    CLEANUP_FREE char *ctl = mem_printf("%s/ctl", s->address);
    CLEANUP_FREE char *bulk = mem_printf("%s/bulk", s->address);
    assert_ok(bus_server_open(&s->loop, ctl, LIMIT_SUBMIT_BYTES, on_ctl, s, &s->ctl, &err));
    assert_ok(bus_server_open(&s->loop, bulk, LIMIT_CONTROL_BYTES, on_bulk, s, &s->bulk, &err));
    if (s->garbage_model) {
        buf_clear(&s->model);
        buf_puts(&s->model, "{\"model_type\": 7}");
    }
    const struct actor_options o = {.name = "actor-1",
        .address = s->address,
        .slots = 4,
        .engine = {.threads = 1, .isa = "auto", .kv_bytes_max = 1 << 20, .batch_max = 8},
        .numerics_id = s->numerics,
        .ended = on_ended,
        .arg = s};
    assert_ok(actor_open(&s->loop, &o, &s->actor, &err));
}

static void run_to_end(struct state *s)
{
    while (!s->ended)
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
}

static bool all_submitted(const struct state *s)
{
    for (size_t i = 0; i < s->lease_count; i++)
        if (!s->leases[i].submitted)
            return false;
    return true;
}

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    struct err err = {0};
    const struct engine_options o = {.threads = 1, .isa = "auto", .kv_bytes_max = 1 << 20};
    s->config = fixture_config();
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(uv_timer_init(&s->loop, &s->watchdog), 0);
    assert_int_equal(uv_timer_start(&s->watchdog, on_watchdog, WATCHDOG_MS, 0), 0);
    fixture_dir_init(s->dir);
    (void)snprintf(s->address, sizeof(s->address), "ipc://%s", s->dir);
    assert_ok(param_table_new(&s->config, &s->table, &err));
    for (uint64_t i = 0; i < VERSIONS; i++)
        fixture_version_init(&s->v[i], s->table, s->dir, i);
    model_config_print(&s->config, &s->model);
    assert_ok(engine_new(&s->config, &o, &s->engine, &err));
    assert_ok(numerics_id("auto", &s->numerics, &err));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    actor_close(s->actor);
    bus_server_close(s->ctl);
    bus_server_close(s->bulk);
    uv_close((uv_handle_t *)&s->watchdog, NULL);
    while (uv_run(&s->loop, UV_RUN_DEFAULT) != 0)
        continue; /* uv_stop may have been called by the last message */
    assert_int_equal(uv_loop_close(&s->loop), 0);
    engine_free(s->engine);
    for (int i = 0; i < VERSIONS; i++)
        fixture_version_done(&s->v[i]);
    buf_done(&s->model);
    param_table_free(s->table);
    fixture_dir_done(s->dir);
    mem_free_ptr(state);
    return 0;
}

static void test_groups_of_two_versions(void **state)
{
    struct state *s = *state;
    for (uint32_t i = 0; i < 6; i++)
        add_lease(s, i % 2, 1 + i, 4 + i);
    s->leases[5].temperature = 0;
    start(s);
    while (!all_submitted(s) && !s->ended)
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_false(s->ended);
    s->drain = true;
    run_to_end(s);
    assert_int_equal(s->code, 0);
    assert_true(s->bye);
}

static void test_sigterm_drains(void **state)
{
    struct state *s = *state;
    add_lease(s, 0, 4, 20);
    start(s);
    while (!s->leases[0].granted)
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    actor_drain(s->actor, 30000);
    run_to_end(s);
    assert_int_equal(s->code, 0);
    assert_true(s->leases[0].submitted);
    assert_true(s->bye);
}

static void test_revoked_is_not_submitted(void **state)
{
    struct state *s = *state;
    struct lease *l = add_lease(s, 0, 64, 40);
    l->revoke = true;
    add_lease(s, 1, 2, 5);
    add_lease(s, 1, 2, 5);
    start(s);
    while (!s->leases[1].submitted || !s->leases[2].submitted || (!l->revoked && !l->submitted))
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    s->drain = true;
    run_to_end(s); /* check_group fails on a revoked lease */
    assert_int_equal(s->code, 0);
}

static void test_impossible_lease_is_given_back(void **state)
{
    struct state *s = *state;
    add_lease(s, 0, 2, s->config.context); /* prompt and completion exceed the context */
    add_lease(s, 0, 2, 4)->prompt[0] = s->config.vocab;
    add_lease(s, 0, 2, 4)->vocab = s->config.vocab + 1;
    struct lease *good = add_lease(s, 0, 2, 4);
    start(s);
    while (!good->submitted || !s->leases[0].released || !s->leases[1].released ||
           !s->leases[2].released)
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_false(s->ended);
}

static void test_wrong_weights_are_never_sampled(void **state)
{
    struct state *s = *state;
    add_lease(s, 0, 2, 4);
    s->flip_weights = true;
    start(s);
    run_to_end(s);
    assert_int_equal(s->code, ERR_DATA);
    assert_non_null(strstr(s->why, "chunk 0 of"));
    assert_false(s->leases[0].submitted);
}

static void test_closed_while_sampling(void **state)
{
    struct state *s = *state;
    for (uint32_t i = 0; i < 4; i++)
        add_lease(s, i % 2, 200, 40);
    start(s);
    while (!s->leases[3].granted)
        (void)uv_run(&s->loop, UV_RUN_ONCE);
    /* The teardown closes the actor with jobs that wait for weights, wait for their turn, or run.
     */
}

static void test_garbage_model(void **state)
{
    struct state *s = *state;
    s->garbage_model = true;
    start(s);
    run_to_end(s);
    assert_true(s->code < 0);
    assert_non_null(strstr(s->why, "config.json"));
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
