/* bus_test.c: requests that are answered exactly once whatever is lost, and peers that are not
 * ours. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/rng.h"
#include "common/net/bus.h"
#include "proto/limits.h"
#include "tests/net/harness.h"

enum { SEEN_MAX = 64, NEVER_MS = 3600 * 1000 };

/* A server that does what the test says, and remembers what it saw. */
struct fake {
    struct bus_server *server;
    size_t seen;
    uint64_t ids[SEEN_MAX];
    struct bus_route routes[SEEN_MAX];
    struct hash_of_payload {
        uint32_t bytes, crc;
    } payloads[SEEN_MAX];
    size_t ignore; /* so many requests are not answered */
    size_t copies; /* replies for each request */
    bool hold;     /* the test answers by itself */
    uint32_t reply_bytes;
    size_t wanted; /* reached is set when so many were seen */
    bool reached;
};

static uint8_t big[LIMIT_SUBMIT_BYTES];

static void answer(struct fake *s, const struct bus_route *to, uint64_t id)
{
    struct frame reply = {.type = MSG_BLOB_CHUNK,
        .role = ROLE_LEARNER,
        .request_id = id,
        .payload = big,
        .payload_bytes = s->reply_bytes};
    bus_server_reply(s->server, to, &reply);
}

static void on_request(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct fake *s = arg;
    assert_true(s->seen < SEEN_MAX);
    s->ids[s->seen] = f->request_id;
    s->routes[s->seen] = *from;
    s->payloads[s->seen].bytes = f->payload_bytes;
    s->payloads[s->seen].crc = crc32c(0, f->payload, f->payload_bytes);
    s->seen++;
    if (s->seen >= s->wanted)
        s->reached = true;
    if (s->hold || s->seen <= s->ignore)
        return;
    for (size_t i = 0; i < s->copies; i++)
        answer(s, from, f->request_id);
}

static void fake_open(struct fake *s, struct harness *h, const char *address)
{
    struct err e = {0};
    if (bus_server_open(&h->loop, address, LIMIT_SUBMIT_BYTES, on_request, s, &s->server, &e) != 0)
        fail_msg("%s", e.msg);
}

/* What a client's callback saw. */
struct answers {
    size_t count, nulls, wanted;
    uint64_t ids[SEEN_MAX];
    uint32_t bytes;
    bool reached;
};

static void on_reply(void *arg, const struct frame *reply)
{
    struct answers *a = arg;
    if (reply == NULL) {
        a->nulls++;
    } else {
        assert_true(a->count < SEEN_MAX);
        a->ids[a->count++] = reply->request_id;
        a->bytes = reply->payload_bytes;
    }
    if (a->count + a->nulls >= a->wanted)
        a->reached = true;
}

static struct frame a_poll(uint32_t payload_bytes)
{
    return (struct frame){.type = MSG_POLL,
        .role = ROLE_ACTOR,
        .epoch = 1,
        .session = 2,
        .sequence = 3,
        .payload = big,
        .payload_bytes = payload_bytes};
}

struct pair {
    struct harness h;
    struct fake s;
    struct bus_client *c;
    struct answers a;
};

static void pair_init(struct pair *p)
{
    *p = (struct pair){.s = {.copies = 1, .wanted = 1}, .a = {.wanted = 1}};
    struct err e = {0};
    harness_init(&p->h);
    fake_open(&p->s, &p->h, p->h.address);
    if (bus_client_open(&p->h.loop, p->h.address, &p->c, &e) != 0)
        fail_msg("%s", e.msg);
}

static void pair_done(struct pair *p)
{
    bus_client_close(p->c);
    bus_server_close(p->s.server);
    harness_done(&p->h);
}

static uint64_t ask(struct pair *p, uint32_t payload_bytes, uint32_t deadline_ms)
{
    struct frame f = a_poll(payload_bytes);
    return bus_client_request(p->c, &f, deadline_ms, 0, on_reply, &p->a);
}

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
    assert_int_equal(p.s.payloads[0].crc, crc32c(0, big, 100));
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
        answer(&p.s, &p.s.routes[i], p.s.ids[i]);
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
        .payload = big,
        .payload_bytes = LIMIT_SUBMIT_BYTES};
    p.s.reply_bytes = LIMIT_CHUNK_BYTES;
    for (size_t i = 1; i <= 3; i++) {
        p.a.reached = false;
        p.a.wanted = i;
        (void)bus_client_request(p.c, &f, 0, 0, on_reply, &p.a);
        harness_until(&p.h, &p.a.reached);
        assert_int_equal(p.s.payloads[i - 1].crc, crc32c(0, big, LIMIT_SUBMIT_BYTES));
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
        answer(&p.s, &p.s.routes[0], p.s.ids[0]);
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
        answer(&p.s, &p.s.routes[i], p.s.ids[i]);
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
    answer(&p.s, &p.s.routes[p.s.seen - 1], id);
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

/* ---- peers that are not ours ---- */

static int raw_connect(const struct harness *h)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/ctl", h->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

static void raw_send(int fd, const void *data, size_t n)
{
    ssize_t sent = send(fd, data, n, MSG_NOSIGNAL); /* the server may have hung up: that is fine */
    (void)sent;
}

/* 8 bytes that nanomsg exchanges first: this one says REQ. */
static const uint8_t sp_header[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

/* ipc messages are: 1, length as big-endian u64, bytes. */
static void raw_message(int fd, uint64_t announced, const void *data, size_t n)
{
    uint8_t head[9] = {1};
    for (int i = 0; i < 8; i++)
        head[1 + i] = (uint8_t)(announced >> (56 - 8 * i));
    raw_send(fd, head, sizeof(head));
    raw_send(fd, data, n);
}

static void test_garbage_on_the_socket(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    const uint64_t seed = 77;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rng rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    static const uint64_t announced[] = {
        0, 1, 3, 4, 1ull << 31, 1ull << 40, 1ull << 60, UINT64_MAX};
    int fds[32];
    size_t n = 0;
    fds[n] = raw_connect(&p.h);
    raw_send(fds[n++], "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    fds[n] = raw_connect(&p.h);
    raw_send(fds[n++], sp_header, 5);
    for (size_t i = 0; i < ARRAY_LEN(announced); i++) {
        fds[n] = raw_connect(&p.h);
        raw_send(fds[n], sp_header, sizeof(sp_header));
        raw_message(fds[n++], announced[i], "\x80\0\0\1", 4);
    }
    /* Stacks of hops without an end, and a frame cut short. */
    uint8_t hops[1200] = {0};
    fds[n] = raw_connect(&p.h);
    raw_send(fds[n], sp_header, sizeof(sp_header));
    raw_message(fds[n++], sizeof(hops), hops, sizeof(hops));
    fds[n] = raw_connect(&p.h);
    raw_send(fds[n], sp_header, sizeof(sp_header));
    raw_message(fds[n++], 90, "\x80\0\0\1cohr\1\0", 10);
    for (int i = 0; i < 8; i++) {
        uint8_t noise[64];
        for (size_t k = 0; k < sizeof(noise); k++)
            noise[k] = (uint8_t)rng_next(&rng);
        fds[n] = raw_connect(&p.h);
        raw_send(fds[n], sp_header, sizeof(sp_header));
        raw_send(fds[n++], noise, sizeof(noise));
    }
    (void)ask(&p, 20, 0);
    harness_until(&p.h, &p.a.reached);
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    p.a = (struct answers){.wanted = 1};
    (void)ask(&p, 20, 0);
    harness_until(&p.h, &p.a.reached);
    assert_int_equal(p.s.seen, 2); /* nothing of it was taken for a request */
    pair_done(&p);
}

/* A foreign program with nanomsg of its own, in a thread since its sends wait for our loop. */
struct stranger {
    const char *address;
    struct buf good; /* a valid Poll */
    int sock;
};

static void stranger_send(const struct stranger *x, const void *data, size_t n)
{
    CLEANUP_BUF struct buf b = {0};
    buf_append(&b, "\x80\0\0\1", 4); /* the request id that REP peers expect in front */
    buf_append(&b, data, n);
    assert_int_equal(nn_send(x->sock, b.data, b.len, 0), (int)b.len);
}

static void stranger_main(void *arg)
{
    struct stranger *x = arg;
    uint8_t *frame = x->good.data;
    assert_int_equal(nn_send(x->sock, "no id in front", 14, 0), 14); /* thrown away by nanomsg */
    stranger_send(x, "hello", 5);
    stranger_send(x, "", 0);
    stranger_send(x, frame, x->good.len - 1);
    frame[10] = ROLE_LEARNER; /* no learner polls */
    stranger_send(x, frame, x->good.len);
    frame[10] = ROLE_ACTOR;
    stranger_send(x, frame, x->good.len);
}

static void test_foreign_nanomsg_peer(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct stranger x = {.address = p.h.address, .sock = nn_socket(AF_SP_RAW, NN_REQ)};
    assert_true(x.sock >= 0);
    assert_true(nn_connect(x.sock, p.h.address) >= 0);
    struct frame f = a_poll(10);
    f.request_id = 4711;
    frame_write(&x.good, &f);
    uv_thread_t thread;
    assert_int_equal(uv_thread_create(&thread, stranger_main, &x), 0);
    harness_until(&p.h, &p.s.reached); /* the last one is a proper Poll */
    uv_thread_join(&thread);
    assert_int_equal(p.s.seen, 1);
    struct bus_server_stats st = bus_server_stats(p.s.server);
    assert_true(st.rejected == 4 && st.received == 5);
    assert_int_equal(nn_close(x.sock), 0);
    buf_done(&x.good);
    (void)ask(&p, 20, 0);
    harness_until(&p.h, &p.a.reached);
    pair_done(&p);
}

/* As the test above needs the loop to turn, so does the end of a connection to be seen. */
struct watcher {
    uv_poll_t poll;
    int fd;
    bool closed;
};

static void on_watched(uv_poll_t *poll, int status, int events)
{
    struct watcher *w = poll->data;
    uint8_t bytes[64];
    (void)status;
    (void)events;
    ssize_t n = recv(w->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0 || (n < 0 && errno == EAGAIN))
        return; /* the server's own handshake */
    (void)uv_poll_stop(poll);
    w->closed = true;
}

static void watch(struct watcher *w, struct harness *h, int fd)
{
    w->fd = fd;
    w->poll.data = w;
    assert_int_equal(uv_poll_init(&h->loop, &w->poll, fd), 0);
    assert_int_equal(uv_poll_start(&w->poll, UV_READABLE, on_watched), 0);
}

/* Each of these is cut off and counted; nanomsg by itself would abort on a head that is not 1. */
static void test_bad_heads_are_cut_off_and_counted(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[32];
        size_t n;
    } bad[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18}, {"\0SQ", 3}, {"\0SP\0\0\x31\0\0", 8}, /* a REP peer */
        {"\0SP\0\0\x30\0\0\0", 9},                                            /* head 0 */
        {"\0SP\0\0\x30\0\0\2", 9},                    /* head 2: shared memory */
        {"\0SP\0\0\x30\0\0\1\0\0\0\0\x10\0\0\0", 17}, /* 2^28 bytes */
        {"\0SP\0\0\x30\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff", 17},
        {"\0SP\0\0\x30\0\0\1\0\0\0\0\0\0\0\2xx\7", 20}, /* a good message, then head 7 */
    };
    struct pair p;
    pair_init(&p);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct watcher *w = mem_alloc(sizeof(*w));
        int fd = raw_connect(&p.h);
        raw_send(fd, bad[i].bytes, bad[i].n);
        watch(w, &p.h, fd);
        harness_until(&p.h, &w->closed);
        assert_true(bus_server_stats(p.s.server).rejected == i + 1);
        uv_close((uv_handle_t *)&w->poll, NULL);
        harness_settle(&p.h);
        (void)close(fd);
        free(w);
    }
    (void)ask(&p, 20, 0);
    harness_until(&p.h, &p.a.reached);
    assert_int_equal(p.s.seen, 1);
    pair_done(&p);
}

/* A peer that sends its bytes one by one is still a peer. */
static void test_bytes_one_by_one(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    CLEANUP_BUF struct buf b = {0}, frame = {0};
    struct frame f = a_poll(10);
    f.request_id = 5;
    frame_write(&frame, &f);
    buf_append(&b, sp_header, sizeof(sp_header));
    for (int i = 0; i < 2; i++) {
        buf_append(&b, (uint8_t[]){1, 0, 0, 0, 0, 0, 0, 0, (uint8_t)(4 + frame.len)}, 9);
        buf_append(&b, "\x80\0\0\1", 4);
        buf_append(&b, frame.data, frame.len);
    }
    p.s.wanted = 2;
    int fd = raw_connect(&p.h);
    for (size_t i = 0; i < b.len; i++) {
        raw_send(fd, b.data + i, 1);
        (void)uv_run(&p.h.loop, UV_RUN_NOWAIT);
    }
    harness_until(&p.h, &p.s.reached);
    assert_int_equal(p.s.payloads[1].crc, crc32c(0, big, 10));
    (void)close(fd);
    pair_done(&p);
}

/* Only the public name is left in the directory: nobody can go round the gate. */
static void test_inner_socket_has_no_name(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/.ctl", p.h.dir);
    struct stat st;
    assert_int_equal(lstat(path, &st), -1);
    (void)snprintf(path, sizeof(path), "%s/ctl", p.h.dir);
    assert_int_equal(lstat(path, &st), 0);
    pair_done(&p);
}

struct impostor {
    uv_poll_t poll;
    int sock;
    size_t answered;
};

static void on_impostor(uv_poll_t *poll, int status, int events)
{
    struct impostor *m = poll->data;
    char body[256];
    (void)status;
    (void)events;
    if (nn_recv(m->sock, body, sizeof(body), NN_DONTWAIT) < 0)
        return;
    const char *text = m->answered % 2 == 0 ? "garbage" : "";
    if (nn_send(m->sock, text, strlen(text), NN_DONTWAIT) >= 0)
        m->answered++;
}

/* A server that answers with something that is no frame: the client goes on asking to its deadline.
 */
static void test_foreign_server(void **state)
{
    (void)state;
    struct pair p = {.a = {.wanted = 1}};
    struct impostor m = {.sock = nn_socket(AF_SP, NN_REP)};
    struct err e;
    int fd;
    size_t n = sizeof(fd);
    harness_init(&p.h);
    assert_true(nn_bind(m.sock, p.h.address) >= 0);
    assert_int_equal(nn_getsockopt(m.sock, NN_SOL_SOCKET, NN_RCVFD, &fd, &n), 0);
    assert_int_equal(uv_poll_init(&p.h.loop, &m.poll, fd), 0);
    m.poll.data = &m;
    assert_int_equal(uv_poll_start(&m.poll, UV_READABLE, on_impostor), 0);
    assert_int_equal(bus_client_open(&p.h.loop, p.h.address, &p.c, &e), 0);
    bus_client_set_retry(p.c, 4, 8);
    (void)ask(&p, 5, 500);
    harness_until(&p.h, &p.a.reached);
    assert_int_equal(p.a.nulls, 1);
    assert_int_equal(p.a.count, 0);
    assert_true(m.answered > 0);
    (void)uv_poll_stop(&m.poll);
    assert_int_equal(nn_close(m.sock), 0);
    uv_close((uv_handle_t *)&m.poll, NULL);
    bus_client_close(p.c);
    harness_done(&p.h);
}

/* ---- addresses ---- */

static void check_server_refused(struct harness *h, const char *address, const char *says)
{
    struct err e = {0};
    struct bus_server *s = NULL;
    int r = bus_server_open(&h->loop, address, 1000, on_request, NULL, &s, &e);
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
    assert_int_equal(bus_server_open(&h.loop, path, 1000, on_request, NULL, &s, &e), 0);
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
    assert_int_equal(bus_server_open(&h.loop, h.address, 1000, on_request, NULL, &s, &e), 0);
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
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 2654435761u >> 13);
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
        cmocka_unit_test(test_garbage_on_the_socket),
        cmocka_unit_test(test_foreign_nanomsg_peer),
        cmocka_unit_test(test_bad_heads_are_cut_off_and_counted),
        cmocka_unit_test(test_bytes_one_by_one),
        cmocka_unit_test(test_inner_socket_has_no_name),
        cmocka_unit_test(test_foreign_server),
        cmocka_unit_test(test_addresses_refused),
        cmocka_unit_test(test_what_is_not_a_socket_is_left_alone),
        cmocka_unit_test(test_directory_must_be_private),
        cmocka_unit_test(test_stale_socket_is_replaced),
        cmocka_unit_test(test_close_with_requests_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
