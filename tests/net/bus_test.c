/* bus_test.c: requests that are answered exactly once whatever is lost; addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "tests/net/bus_pair.h"

enum { NEVER_MS = 3600 * 1000 };

/* ---- the normal way ---- */

static void test_request_and_reply(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.s.reply_bytes = 77;
    uint64_t id = ask(&p, 100, 0);
    harness_until(&p.h, &p.a.reached);
    assert_true(p.a.ids[0] == id && p.s.ids[0] == id);
    assert_int_equal(p.a.bytes, 77);
    assert_int_equal(p.s.payloads[0].bytes, 100);
    assert_int_equal(p.s.payloads[0].crc, crc32c(0, bus_bytes, 100));
    struct bus_server_stats st = bus_server_stats(p.s.server);
    assert_true(st.received == 1 && st.sent == 1 && st.rejected == 0 && st.dropped == 0);
    pair_done(&p);
}

static void test_answers_in_any_order(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    uint64_t ids[8];
    p.s.hold = true;
    p.s.wanted = p.a.wanted = 8;
    for (int i = 0; i < 8; i++)
        ids[i] = ask(&p, 10, 0);
    harness_until(&p.h, &p.s.reached);
    for (size_t i = 8; i-- > 0;)
        fake_answer(&p.s, &p.s.routes[i], p.s.ids[i]);
    harness_until(&p.h, &p.a.reached);
    for (int i = 0; i < 8; i++)
        assert_true(p.a.ids[i] == ids[7 - i]);
    pair_done(&p);
}

static void test_large_messages(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct frame f = {.type = MSG_SUBMIT_GROUP,
        .role = ROLE_ACTOR,
        .payload = bus_bytes,
        .payload_bytes = LIMIT_SUBMIT_BYTES};
    p.s.reply_bytes = LIMIT_CHUNK_BYTES;
    for (size_t i = 1; i <= 3; i++) {
        p.a.reached = false;
        p.a.wanted = i;
        (void)bus_client_request(p.c, &f, 0, 0, answers_add, &p.a);
        harness_until(&p.h, &p.a.reached);
        assert_int_equal(p.s.payloads[i - 1].crc, crc32c(0, bus_bytes, LIMIT_SUBMIT_BYTES));
        assert_int_equal(p.a.bytes, LIMIT_CHUNK_BYTES);
    }
    assert_int_equal(p.s.seen, 3);
    pair_done(&p);
}

/* ---- loss ---- */

static void test_dropped_replies_are_asked_for_again(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    bus_client_set_retry(p.c, 4, 8);
    p.s.ignore = 2;
    uint64_t id = ask(&p, 50, 0);
    harness_until(&p.h, &p.a.reached);
    assert_true(p.s.seen >= 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(p.s.ids[i] == id);
        assert_int_equal(p.s.payloads[i].crc, p.s.payloads[0].crc);
    }
    pair_done(&p);
}

static void test_duplicate_replies_count_once(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.s.copies = 3;
    uint64_t first = ask(&p, 1, 0);
    harness_until(&p.h, &p.a.reached);
    p.a.reached = false;
    p.a.wanted = 2;
    uint64_t second = ask(&p, 1, 0);
    harness_until(&p.h, &p.a.reached);
    harness_settle(&p.h);
    assert_int_equal(p.a.count, 2);
    assert_true(p.a.ids[0] == first && p.a.ids[1] == second);
    pair_done(&p);
}

/* The timers are an hour: only the new connection makes the client send again. */
static void test_server_restart(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    bus_client_set_retry(p.c, NEVER_MS, NEVER_MS);
    p.s.hold = true;
    uint64_t id = ask(&p, 9, 0);
    harness_until(&p.h, &p.s.reached);
    bus_server_close(p.s.server);
    harness_settle(&p.h);
    p.s.hold = false;
    fake_open(&p.s, &p.h, p.h.address);
    harness_until(&p.h, &p.a.reached);
    assert_int_equal(p.a.count, 1);
    assert_true(p.a.ids[0] == id);
    pair_done(&p);
}

static void test_request_before_the_server_exists(void **state)
{
    (void)state;
    struct pair p = {.s = {.copies = 1, .wanted = 1}, .a = {.wanted = 2}};
    struct err e;
    harness_init(&p.h);
    assert_int_equal(bus_client_open(&p.h.loop, p.h.address, &p.c, &e), 0);
    bus_client_set_retry(p.c, NEVER_MS, NEVER_MS);
    (void)ask(&p, 5, 0);
    (void)ask(&p, 6, 0);
    harness_settle(&p.h);
    fake_open(&p.s, &p.h, p.h.address);
    harness_until(&p.h, &p.a.reached);
    assert_int_equal(p.a.count, 2);
    assert_int_equal(p.s.seen, 2);
    pair_done(&p);
}

static void test_deadline(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.s.hold = true;
    p.a.wanted = 1;
    (void)ask(&p, 5, 20);
    harness_until(&p.h, &p.a.reached);
    assert_int_equal(p.a.nulls, 1);
    /* A late answer is no answer. */
    if (p.s.seen > 0)
        fake_answer(&p.s, &p.s.routes[0], p.s.ids[0]);
    harness_settle(&p.h);
    assert_int_equal(p.a.count, 0);
    pair_done(&p);
}

static void test_cancel(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.s.wanted = 2;
    p.s.hold = true;
    uint64_t first = ask(&p, 5, 0), second = ask(&p, 5, 0);
    harness_until(&p.h, &p.s.reached);
    bus_client_cancel(p.c, first);
    bus_client_cancel(p.c, first);
    bus_client_cancel(p.c, 12345);
    for (size_t i = 0; i < 2; i++)
        fake_answer(&p.s, &p.s.routes[i], p.s.ids[i]);
    harness_until(&p.h, &p.a.reached);
    harness_settle(&p.h);
    assert_int_equal(p.a.count, 1);
    assert_true(p.a.ids[0] == second);
    pair_done(&p);
}

static bool same_pipe(const struct bus_route *a, const struct bus_route *b)
{
    return memcmp(a->bytes, b->bytes, 4) == 0; /* the first four bytes are the server's pipe */
}

static void test_socket_is_reopened_after_silence(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    bus_client_set_retry(p.c, 4, 4);
    p.s.hold = true;
    p.s.wanted = 6;
    uint64_t id = ask(&p, 5, 0);
    harness_until(&p.h, &p.s.reached);
    assert_true(same_pipe(&p.s.routes[0], &p.s.routes[1]));
    assert_false(same_pipe(&p.s.routes[0], &p.s.routes[p.s.seen - 1]));
    fake_answer(&p.s, &p.s.routes[p.s.seen - 1], id);
    harness_until(&p.h, &p.a.reached);
    assert_true(p.a.ids[0] == id);
    pair_done(&p);
}

static void test_address_change(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    bus_client_set_retry(p.c, NEVER_MS, NEVER_MS);
    p.s.hold = true;
    uint64_t id = ask(&p, 5, 0);
    harness_until(&p.h, &p.s.reached);
    char other[128];
    (void)snprintf(other, sizeof(other), "%s2", p.h.address);
    struct fake s2 = {.copies = 1, .wanted = 1};
    fake_open(&s2, &p.h, other);
    bus_client_set_address(p.c, p.h.address); /* the same: nothing happens */
    bus_client_set_address(p.c, other);
    harness_until(&p.h, &p.a.reached);
    assert_true(p.a.ids[0] == id && s2.ids[0] == id);
    assert_int_equal(p.s.seen, 1);
    bus_server_close(s2.server);
    pair_done(&p);
}

struct chain {
    struct pair *p;
    int left;
    bool done;
};

static void ask_next(void *arg, const struct frame *reply)
{
    struct chain *c = arg;
    (void)reply;
    if (c->left-- == 0) {
        c->done = true;
        return;
    }
    struct frame f = a_poll(3);
    (void)bus_client_request(c->p->c, &f, 0, 0, ask_next, c);
}

static void test_callback_may_ask_again(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct chain c = {.p = &p, .left = 20};
    ask_next(&c, NULL);
    harness_until(&p.h, &c.done);
    assert_int_equal(p.s.seen, 20);
    pair_done(&p);
}

/* ---- addresses ---- */

static void check_server_refused(struct harness *h, const char *address, const char *says)
{
    struct err e = {0};
    struct bus_server *s = NULL;
    int r = bus_server_open(&h->loop, address, 1000, fake_request, NULL, &s, &e);
    if (r == 0 || strstr(e.msg, says) == NULL)
        fail_msg("'%s': code %d '%s', expected '%s'", address, r, e.msg, says);
    assert_null(s);
}

static void test_addresses_refused(void **state)
{
    (void)state;
    struct harness h;
    struct err e = {0};
    struct bus_client *c = NULL;
    harness_init(&h);
    check_server_refused(&h, "tcp://127.0.0.1:5555", "tcp needs a key");
    assert_int_equal(bus_client_open(&h.loop, "tcp://127.0.0.1:5555", &c, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "tcp needs a key"));
    check_server_refused(&h, "", "expected ipc://PATH");
    check_server_refused(&h, "inproc://x", "expected ipc://PATH");
    check_server_refused(&h, "ipc://", "must be absolute");
    check_server_refused(&h, "ipc://relative/path", "must be absolute");
    check_server_refused(&h, "ipc:///no-such-directory-here/ctl", "its directory");

    char path[512];
    int n = snprintf(path, sizeof(path), "%s/", h.base);
    memset(path + n, 'x', sizeof(path) - (size_t)n - 1);
    path[6 + 108] = '\0'; /* one byte more than sun_path holds with its NUL */
    check_server_refused(&h, path, "a path of 108 bytes");
    assert_int_equal(bus_client_open(&h.loop, path, &c, &e), ERR_CONFIG);
    path[6 + 107] = '\0'; /* the longest that is allowed */
    struct bus_server *s;
    assert_int_equal(bus_server_open(&h.loop, path, 1000, fake_request, NULL, &s, &e), 0);
    check_server_refused(&h, path, "in use by another process");
    bus_server_close(s);
    harness_done(&h);
}

/* nanomsg would unlink a file and abort on a directory. */
static void test_what_is_not_a_socket_is_left_alone(void **state)
{
    (void)state;
    struct harness h;
    struct err e = {0};
    harness_init(&h);
    char path[128], address[160];
    (void)snprintf(path, sizeof(path), "%s/file", h.dir);
    (void)snprintf(address, sizeof(address), "ipc://%s", path);
    assert_int_equal(file_write_atomic(path, "x", 1, &e), 0);
    check_server_refused(&h, address, "is not a socket");
    assert_true(file_exists(path));
    (void)snprintf(path, sizeof(path), "%s/sub", h.dir);
    (void)snprintf(address, sizeof(address), "ipc://%s", path);
    assert_int_equal(mkdir(path, 0700), 0);
    check_server_refused(&h, address, "is not a socket");
    harness_done(&h);
}

static void test_directory_must_be_private(void **state)
{
    (void)state;
    struct harness h;
    struct err e;
    struct bus_server *s;
    harness_init(&h);
    static const mode_t open_modes[] = {0755, 0750, 0701, 0770, 0777};
    for (size_t i = 0; i < ARRAY_LEN(open_modes); i++) {
        assert_int_equal(chmod(h.dir, open_modes[i]), 0);
        check_server_refused(&h, h.address, "expected user");
    }
    assert_int_equal(chmod(h.dir, 0700), 0);
    assert_int_equal(bus_server_open(&h.loop, h.address, 1000, fake_request, NULL, &s, &e), 0);
    bus_server_close(s);
    harness_done(&h);
}

static void test_stale_socket_is_replaced(void **state)
{
    (void)state;
    struct pair p = {.s = {.copies = 1, .wanted = 1}, .a = {.wanted = 1}};
    struct err e;
    harness_init(&p.h);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/ctl", p.h.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    (void)close(fd); /* as a killed learner leaves it */
    fake_open(&p.s, &p.h, p.h.address);
    assert_int_equal(bus_client_open(&p.h.loop, p.h.address, &p.c, &e), 0);
    (void)ask(&p, 5, 0);
    harness_until(&p.h, &p.a.reached);
    pair_done(&p);
}

static void test_close_with_requests_on_their_way(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.s.hold = true;
    for (int i = 0; i < 5; i++)
        (void)ask(&p, 5, 1);
    pair_done(&p); /* no callback comes: p.a would be touched after the test */
    assert_int_equal(p.a.count + p.a.nulls, 0);
    bus_client_close(NULL);
    bus_server_close(NULL);
}

int main(void)
{
    log_setup(LOG_ERROR, "");
    bus_bytes_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_and_reply),
        cmocka_unit_test(test_answers_in_any_order),
        cmocka_unit_test(test_large_messages),
        cmocka_unit_test(test_dropped_replies_are_asked_for_again),
        cmocka_unit_test(test_duplicate_replies_count_once),
        cmocka_unit_test(test_server_restart),
        cmocka_unit_test(test_request_before_the_server_exists),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_socket_is_reopened_after_silence),
        cmocka_unit_test(test_address_change),
        cmocka_unit_test(test_callback_may_ask_again),
        cmocka_unit_test(test_addresses_refused),
        cmocka_unit_test(test_what_is_not_a_socket_is_left_alone),
        cmocka_unit_test(test_directory_must_be_private),
        cmocka_unit_test(test_stale_socket_is_replaced),
        cmocka_unit_test(test_close_with_requests_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
