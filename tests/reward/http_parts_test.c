/* http_parts_test.c: what the HTTP face decides without a socket: base64, bounds of JSON, the gate,
 * and calls from body to answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs those before it */
#include <cmocka.h>

#include "common/base/base64.h"
#include "reward-server/http/body.h"
#include "reward-server/http/gate.h"
#include "reward-server/http/routes.h"

/* ---- base64 ---- */

static void test_base64_vectors(void **state)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}}; /* RFC 4648 */
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP_BUF struct buf text = {0}, bytes = {0};
        base64_put(&text, pairs[i][0], strlen(pairs[i][0]));
        assert_int_equal(text.len, strlen(pairs[i][1]));
        assert_memory_equal(text.len > 0 ? (char *)text.data : "", pairs[i][1], text.len);
        assert_true(base64_get(&bytes, pairs[i][1], strlen(pairs[i][1])));
        assert_int_equal(bytes.len, strlen(pairs[i][0]));
        assert_memory_equal(bytes.len > 0 ? (char *)bytes.data : "", pairs[i][0], bytes.len);
    }
}

static void test_base64_refuses(void **state)
{
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "=",
        "====", "Zh==", "Zm9=", "Z===", "Zg==Zg==", "Zm9v\n", " Zm9", "Zm9-", "Zm9_",
        "Zm\xff=", "Z=g="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP_BUF struct buf bytes = {0};
        buf_puts(&bytes, "kept");
        assert_false(base64_get(&bytes, bad[i], strlen(bad[i])));
        assert_int_equal(bytes.len, 4);
    }
}

/* ---- bounds of JSON ---- */

static int parse(const char *text, size_t n)
{
    struct err e = {0};
    json_t *root = NULL;
    int r = body_parse(text, n, &root, &e);
    json_decref(root);
    if (r < 0)
        assert_non_null(strstr(e.msg, "JSON"));
    return r;
}

static void nested(struct buf *out, int depth)
{
    buf_puts(out, "{\"a\":");
    for (int i = 1; i < depth; i++)
        buf_puts(out, "[");
    for (int i = 1; i < depth; i++)
        buf_puts(out, "]");
    buf_puts(out, "}");
}

static void test_body_depth(void **state)
{
    CLEANUP_BUF struct buf just = {0}, over = {0};
    nested(&just, BODY_DEPTH_MAX);
    nested(&over, BODY_DEPTH_MAX + 1);
    assert_int_equal(parse((char *)just.data, just.len), 0);
    assert_int_equal(parse((char *)over.data, over.len), ERR_LIMIT);
}

static void test_body_values(void **state)
{
    for (int more = 0; more < 2; more++) {
        CLEANUP_BUF struct buf text = {0};
        buf_puts(&text, "{\"a\":["); /* the object, the member, the list: 4 marks and the root */
        for (int i = 0; i < BODY_VALUES_MAX - 4 + more; i++)
            buf_puts(&text, "0,");
        buf_puts(&text, "0]}");
        assert_int_equal(parse((char *)text.data, text.len), more ? ERR_LIMIT : 0);
    }
}

static void test_body_text_is_not_counted(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    buf_puts(&text, "{\"a\":\"");
    for (int i = 0; i < BODY_VALUES_MAX; i++)
        buf_puts(&text, "[,\\\"{:");
    buf_puts(&text, "\"}");
    assert_int_equal(parse((char *)text.data, text.len), 0);
}

static void test_body_refuses(void **state)
{
    static const char *const bad[] = {"", " ", "1", "[]", "null", "{", "}", "{}x", "{\"a\":1,}",
        "{\"a\":1,\"a\":1}", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\xff\"}", "{\"a\\u0000\":1}", "{]}", "{\"a\":NaN}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], strlen(bad[i])), ERR_LIMIT);
    assert_int_equal(parse("{}\0", 3), ERR_LIMIT);
}

/* ---- the gate ---- */

static unsigned ask(struct gate_request q)
{
    static const char *const names[] = {"rewards.example"};
    const char *why = NULL;
    const struct gate g = {
        .wants_token = true, .token = hash_of("secret", 6), .names = names, .name_count = 1};
    unsigned status = gate_check(&g, &q, &why);
    assert_int_equal(status != 0, why != NULL);
    return status;
}

/* A page learns nothing about the token, and a stranger nothing about types. */
static void test_gate_order(void **state)
{
    struct gate_request q = {.over_tcp = true, .address = "10.0.0.1", .host = "10.0.0.1:80"};
    q.has_body = true;
    assert_int_equal(ask(q), 401);
    q.origin = "null";
    assert_int_equal(ask(q), 403);
    q.origin = NULL;
    q.host = "x";
    assert_int_equal(ask(q), 403);
    q.host = "10.0.0.1";
    q.authorization = "Bearer secret";
    assert_int_equal(ask(q), 415);
    q.content_type = "application/json";
    assert_int_equal(ask(q), 0);
    q.has_body = false;
    q.content_type = NULL;
    assert_int_equal(ask(q), 0);
}

static void test_gate_names(void **state)
{
    static const struct {
        const char *host, *address;
        bool tcp, loopback;
        unsigned status;
    } cases[] = {{NULL, "10.0.0.1", true, false, 403}, {"localhost", "10.0.0.1", true, false, 403},
        {"localhost", "127.0.0.1", true, true, 0},
        {"Rewards.Example:9", "10.0.0.1", true, false, 0},
        {"rewards.example.org", "10.0.0.1", true, false, 403},
        {"[fd00::1]:9", "fd00::1", true, false, 0}, {"[FD00::1]", "fd00::1", true, false, 0},
        {"fd00::1", "fd00::1", true, false, 403}, {"[fd00::1", "fd00::1", true, false, 403},
        {"[fd00::1]x", "fd00::1", true, false, 403}, {"10.0.0.1:8:0", "10.0.0.1", true, false, 403},
        {":80", "", true, false, 403}, {"x", NULL, false, false, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gate_request q = {.authorization = "Bearer secret"};
        q.host = cases[i].host;
        q.address = cases[i].address;
        q.over_tcp = cases[i].tcp;
        q.loopback = cases[i].loopback;
        assert_int_equal(ask(q), cases[i].status);
    }
}

static void test_gate_without_a_token(void **state)
{
    const char *why = NULL;
    const struct gate g = {.wants_token = false};
    assert_int_equal(gate_check(&g, &(struct gate_request){.has_body = false}, &why), 0);
    assert_int_equal(gate_check(&g, &(struct gate_request){.origin = ""}, &why), 403);
}

/* ---- calls ---- */

static const struct route *route(const char *path)
{
    for (size_t i = 0; i < route_count; i++) {
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    }
    fail_msg("no route %s", path);
    return NULL;
}

static json_t *run(struct call *c, const char *path, const char *body, bool given_up)
{
    static struct call_setup setup; /* no scorers, no sandbox */
    *c = (struct call){.route = route(path), .setup = &setup, .given_up = given_up};
    buf_puts(&c->body, body);
    call_run(c);
    json_t *answer = json_loadb(c->answer, c->answer_len, JSON_DECODE_ANY, NULL);
    assert_non_null(answer);
    assert_null(c->body.data);
    call_done(c);
    return answer;
}

static void test_call_faults_are_not_zero(void **state)
{
    struct call c;
    json_t *a = run(&c, "/v1/score",
        "{\"items\":[{\"response\":\"1\",\"task\":{\"prompt\":\"p\",\"language\":\"python\","
        "\"tests\":[{\"stdout\":\"1\"}]}}]}",
        false);
    json_t *item = json_array_get(json_object_get(a, "items"), 0);
    assert_int_equal(c.status, 200);
    assert_true(json_is_null(json_object_get(item, "reward"))); /* there is no sandbox */
    assert_string_equal(json_string_value(json_object_get(item, "verdict")), "judge_fault");
    assert_int_equal(c.tally.faults[SCORE_FAULT_PERMANENT], 1);
    json_decref(a);
    a = run(&c, "/slime",
        "{\"response\":\"1\",\"label\":\"{\\\"prompt\\\":\\\"p\\\",\\\"language\\\":\\\"x\\\","
        "\\\"tests\\\":[{\\\"stdout\\\":\\\"1\\\"}]}\"}",
        false);
    assert_int_equal(c.status, 200);
    assert_true(json_is_null(a));
    json_decref(a);
    a = run(&c, "/run_code", "{\"code\":\"1\",\"language\":\"python\"}", false);
    assert_int_equal(c.status, 422);
    json_decref(a);
}

/* A call that nobody waits for begins nothing, and asks to come again in its client's words. */
static void test_call_given_up(void **state)
{
    struct call c;
    json_t *a = run(&c, "/v1/score",
        "{\"items\":[{\"response\":\"1\",\"task\":{\"prompt\":\"p\",\"answer\":\"1\"}}]}", true);
    assert_int_equal(c.status, 503);
    assert_int_equal(c.tally.verdicts[0][VERDICT_PASS] + c.tally.verdicts[1][VERDICT_PASS], 0);
    json_decref(a);
}

/* What a request holds comes back in errors as display text. */
static void test_call_errors_are_escaped(void **state)
{
    struct call c;
    json_t *a = run(&c, "/run_code", "{\"code\":\"1\",\"language\":\"\\u001b[31mgo\"}", false);
    const char *text = json_string_value(json_object_get(a, "detail"));
    assert_non_null(text);
    assert_null(strchr(text, 0x1b));
    assert_non_null(strstr(text, "\\x1b[31mgo"));
    json_decref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_refuses),
        cmocka_unit_test(test_body_depth),
        cmocka_unit_test(test_body_values),
        cmocka_unit_test(test_body_text_is_not_counted),
        cmocka_unit_test(test_body_refuses),
        cmocka_unit_test(test_gate_order),
        cmocka_unit_test(test_gate_names),
        cmocka_unit_test(test_gate_without_a_token),
        cmocka_unit_test(test_call_faults_are_not_zero),
        cmocka_unit_test(test_call_given_up),
        cmocka_unit_test(test_call_errors_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
