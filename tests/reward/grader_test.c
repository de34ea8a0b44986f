/* grader_test.c: a reward server against a scripted learner: scores come out as the library gives
 * them, and what cannot be graded goes back. */
#include "reward-server/grader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/net/bus.h"
#include "reward-server/scoring/scoring.h"
#include "reward-server/set_cache.h"

enum { LEASES_MAX = 24, COMPLETIONS = 3, WATCHDOG_MS = 60000, SESSION = 5, EPOCH = 2 };

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, err.msg);                                                    \
    } while (0)

enum blob { BLOB_GOOD, BLOB_GARBAGE, BLOB_TRUNCATED, BLOB_UNKNOWN_KIND, BLOB_REFUSED };

struct lease {
    enum blob blob;
    bool granted, submitted, released, revoke, revoked;
    unsigned asked; /* fetches of its input */
};

struct state {
    uv_loop_t loop;
    uv_timer_t watchdog;
    char dir[64], address[80];
    struct bus_server *ctl, *bulk;
    struct grader *grader;
    struct lease leases[LEASES_MAX];
    size_t lease_count;
    bool drain, bye, ended;
    int code;
};

static const struct scorer_spec good_specs[] = {
    {.name = "accuracy", .kind = "math", .params_json = "{\"tag\":\"answer\"}"},
    {.name = "form", .kind = "format", .params_json = "{}"},
};
static const struct scorer_spec unknown_specs[] = {
    {.name = "soul", .kind = "beauty", .params_json = "{}"},
};

static const char *const texts[COMPLETIONS] = {
    "<think>2+2</think><answer>4</answer>",
    "<think>2+2</think><answer>5</answer>",
    "four",
};

static void on_watchdog(uv_timer_t *timer)
{
    (void)fprintf(stderr, "the test waits for something that does not come\n");
    abort();
}

/* ---- the scripted learner ---- */

static struct grade_input input_of(size_t i, struct grade_text completions[COMPLETIONS])
{
    for (uint32_t k = 0; k < COMPLETIONS; k++)
        completions[k] = (struct grade_text){.index = k,
            .tokens = 9,
            .text = (const uint8_t *)texts[k],
            .text_len = strlen(texts[k])};
    return (struct grade_input){.group = i + 1,
        .row_key = "row",
        .prompt = (const uint8_t *)"2+2=",
        .prompt_len = 4,
        .task_json = "{\"answer\":\"4\"}",
        .scorers = good_specs,
        .scorer_count = ARRAY_LEN(good_specs),
        .completions = completions,
        .completion_count = COMPLETIONS,
        .seed = 1};
}

static void blob_of(struct state *s, size_t i, struct buf *out)
{
    struct grade_text completions[COMPLETIONS];
    struct grade_input in = input_of(i, completions);
    if (s->leases[i].blob == BLOB_GARBAGE) {
        buf_puts(out, "\xff\xff\xff garbage");
        return;
    }
    if (s->leases[i].blob == BLOB_UNKNOWN_KIND) {
        in.scorers = unknown_specs;
        in.scorer_count = ARRAY_LEN(unknown_specs);
    }
    grade_input_pack(out, &in);
    if (s->leases[i].blob == BLOB_TRUNCATED)
        out->len -= 7;
}

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

static void answer_poll(struct state *s, const struct bus_route *from, const struct frame *f,
    const struct msg_poll *poll)
{
    struct grade_lease leases[LEASES_MAX];
    uint64_t revoked[LEASES_MAX];
    struct msg m = {.type = MSG_GRANT};
    m.grant.grade = leases;
    m.grant.revoked = revoked;
    for (size_t i = 0; i < s->lease_count; i++) {
        struct lease *l = &s->leases[i];
        if (l->granted && l->revoke && !l->revoked && !l->submitted) {
            revoked[m.grant.revoked_count++] = 100 + i;
            l->revoked = true;
        }
        if (l->granted || m.grant.grade_count >= poll->max_jobs)
            continue;
        CLEANUP_BUF struct buf blob = {0};
        blob_of(s, i, &blob);
        leases[m.grant.grade_count++] = (struct grade_lease){.lease = 100 + i,
            .job = (i + 1) * 64 + 1,
            .group = i + 1,
            .lease_ms = 60000,
            .input = {.kind = BLOB_GRADE_INPUT,
                .id = (i + 1) * 64 + 1,
                .bytes = blob.len,
                .hash = hash_of(blob.data, blob.len)}};
        l->granted = true;
    }
    m.grant.drain = s->drain;
    m.grant.retry_ms = 20;
    reply(s->ctl, from, f, &m);
}

static void check_scores(struct state *s, const struct msg_submit_scores *m)
{
    struct err err = {0};
    struct arena *a = arena_new(0);
    struct scoring *set;
    struct grade_text completions[COMPLETIONS];
    struct score_result expected[ARRAY_LEN(good_specs)];
    size_t i = m->lease - 100, n = ARRAY_LEN(good_specs);
    assert_in_range(m->lease, 100, 100 + s->lease_count - 1);
    assert_false(s->leases[i].submitted);
    assert_int_equal(s->leases[i].blob, BLOB_GOOD);
    s->leases[i].submitted = true;
    struct grade_input in = input_of(i, completions);
    assert_ok(scoring_open(good_specs, n, &set, &err));
    assert_int_equal(m->result_count, COMPLETIONS * n);
    for (size_t k = 0; k < COMPLETIONS; k++) {
        scoring_score(set, &in, k, a, expected);
        for (size_t j = 0; j < n; j++) {
            const struct score_result *r = &m->results[k * n + j];
            assert_int_equal(r->index, k);
            assert_string_equal(r->scorer, good_specs[j].name);
            assert_true(r->has_value && r->value == expected[j].value);
            assert_int_equal(r->verdict, expected[j].verdict);
            assert_int_equal(r->fault, SCORE_FAULT_NONE);
            assert_string_equal(r->reason, expected[j].reason);
            assert_string_equal(r->extracted, expected[j].extracted);
        }
    }
    scoring_close(set);
    arena_free(a);
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
        assert_int_equal(f->role, ROLE_REWARD);
        assert_true(in.hello.scorer_count >= 5);
        out.type = MSG_WELCOME;
        out.welcome = (struct msg_welcome){.session = SESSION,
            .epoch = EPOCH,
            .heartbeat_ms = 200,
            .lease_ms = 60000,
            .run = "test",
            .model = {.kind = BLOB_MODEL_CONFIG, .bytes = 1, .hash = hash_of("x", 1)}};
        break;
    case MSG_POLL:
        answer_poll(s, from, f, &in.poll);
        arena_free(a);
        return;
    case MSG_HEARTBEAT:
        out.type = MSG_HEARTBEAT_REPLY;
        break;
    case MSG_SUBMIT_SCORES:
        check_scores(s, &in.submit_scores);
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
    const struct msg_get_blob *g = &in.get_blob;
    assert_int_equal(g->kind, BLOB_GRADE_INPUT);
    size_t i = g->lease - 100;
    assert_int_equal(g->id, (i + 1) * 64 + 1);
    s->leases[i].asked++;
    blob_of(s, i, &bytes);
    out.blob_chunk = (struct msg_blob_chunk){
        .total = bytes.len, .data = bytes.data + g->offset, .data_len = bytes.len - g->offset};
    if (s->leases[i].blob == BLOB_REFUSED)
        out = (struct msg){
            .type = MSG_NACK, .nack = {.code = NACK_NOT_FOUND, .message = "no such job"}};
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
    uv_stop(&s->loop);
}

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    struct err err = {0};
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(uv_timer_init(&s->loop, &s->watchdog), 0);
    assert_int_equal(uv_timer_start(&s->watchdog, on_watchdog, WATCHDOG_MS, 0), 0);
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/cohort-grader-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->address, sizeof(s->address), "ipc://%s", s->dir);
    CLEANUP_FREE char *ctl = mem_printf("%s/ctl", s->address);
    CLEANUP_FREE char *bulk = mem_printf("%s/bulk", s->address);
    assert_ok(bus_server_open(&s->loop, ctl, LIMIT_SUBMIT_BYTES, on_ctl, s, &s->ctl, &err));
    assert_ok(bus_server_open(&s->loop, bulk, LIMIT_CONTROL_BYTES, on_bulk, s, &s->bulk, &err));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    struct err err = {0};
    grader_close(s->grader);
    bus_server_close(s->ctl);
    bus_server_close(s->bulk);
    uv_close((uv_handle_t *)&s->watchdog, NULL);
    while (uv_run(&s->loop, UV_RUN_DEFAULT) != 0)
        continue; /* uv_stop may have been called by the last message */
    assert_int_equal(uv_loop_close(&s->loop), 0);
    assert_ok(file_remove_tree(s->dir, &err));
    mem_free_ptr(state);
    return 0;
}

static void start(struct state *s)
{
    struct err err = {0};
    const struct grader_options o = {.name = "reward-1",
        .address = s->address,
        .slots = 6,
        .threads = 2,
        .ended = on_ended,
        .arg = s};
    assert_ok(grader_open(&s->loop, &o, &s->grader, &err));
}

static void drain(struct state *s)
{
    s->drain = true;
    while (!s->ended)
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->code, 0);
    assert_true(s->bye);
}

static void test_scores_of_many_leases(void **state)
{
    struct state *s = *state;
    s->lease_count = LEASES_MAX;
    start(s);
    for (size_t i = 0; i < LEASES_MAX; i++)
        while (!s->leases[i].submitted)
            (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    drain(s);
}

static void test_what_cannot_be_graded_goes_back(void **state)
{
    struct state *s = *state;
    static const enum blob blobs[] = {
        BLOB_GARBAGE, BLOB_TRUNCATED, BLOB_UNKNOWN_KIND, BLOB_REFUSED, BLOB_GOOD};
    s->lease_count = ARRAY_LEN(blobs);
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
        s->leases[i].blob = blobs[i];
    start(s);
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
        while (!s->leases[i].submitted && !s->leases[i].released)
            (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
        assert_int_equal(s->leases[i].submitted, blobs[i] == BLOB_GOOD);
        assert_int_equal(s->leases[i].released, blobs[i] != BLOB_GOOD);
    }
    drain(s);
}

static void test_revoked_leases(void **state)
{
    struct state *s = *state;
    s->lease_count = 12;
    for (size_t i = 0; i < 12; i += 2)
        s->leases[i].revoke = true;
    start(s);
    for (size_t i = 0; i < 12; i++)
        while (!s->leases[i].submitted && !s->leases[i].revoked)
            (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    drain(s);
}

static void test_closed_while_working(void **state)
{
    struct state *s = *state;
    s->lease_count = 6;
    start(s);
    while (s->leases[0].asked == 0)
        (void)uv_run(&s->loop, UV_RUN_ONCE);
    /* The teardown closes the grader with jobs in every state. */
}

/* ---- the cache of scoring sets ---- */

static void get_set(struct set_cache *c, const char *tag, const struct scoring **ret, int expected)
{
    struct err err = {0};
    CLEANUP_FREE char *params = mem_printf("{\"tag\":\"%s\"}", tag);
    const struct scorer_spec spec = {.name = "right", .kind = "exact", .params_json = params};
    assert_int_equal(set_cache_get(c, &spec, 1, ret, &err), expected);
}

static void test_set_cache(void **state)
{
    struct set_cache c = {0};
    const struct scoring *sets[SET_CACHE_MAX], *again = NULL, *more = NULL;
    char tag[] = "a";
    for (size_t i = 0; i < SET_CACHE_MAX; i++, tag[0]++)
        get_set(&c, tag, &sets[i], 0);
    get_set(&c, "c", &again, 0);
    assert_ptr_equal(again, sets[2]);
    get_set(&c, "z", &more, ERR_RETRY); /* every place is in use */
    set_cache_release(&c, sets[2]);
    get_set(&c, "z", &more, ERR_RETRY); /* used twice */
    set_cache_release(&c, sets[2]);
    get_set(&c, "z", &more, 0);
    get_set(&c, "a", &again, 0);
    assert_ptr_equal(again, sets[0]);
    set_cache_done(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_scores_of_many_leases),
        TEST(test_what_cannot_be_graded_goes_back),
        TEST(test_revoked_leases),
        TEST(test_closed_while_working),
        cmocka_unit_test(test_set_cache),
    };
    return cmocka_run_group_tests_name("reward/grader", tests, NULL, NULL);
}
