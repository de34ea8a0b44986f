/* bus_peers_test.c: peers that are not ours, on either side of a socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "tests/net/bus_pair.h"

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

/* ipc messages are: 1, length as bus_bytes-endian u64, bytes. */
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
    assert_int_equal(p.s.payloads[1].crc, crc32c(0, bus_bytes, 10));
    (void)close(fd);
    pair_done(&p);
}

/* More connections than a limit allows: those that are in are served, and there is room again when
 * they leave. */
static void fill_to_the_limit(struct pair *p, size_t allowed)
{
    enum { STRANGERS = 100 };
    (void)ask(p, 20, 0);
    harness_until(&p->h, &p->a.reached);
    int fds[STRANGERS];
    size_t n = 0, in = 0;
    for (; n < STRANGERS && bus_server_stats(p->s.server).rejected == 0; n++) {
        uint8_t bytes[8];
        ssize_t got = -1; /* the server's handshake, or the end of the connection */
        fds[n] = raw_connect(&p->h);
        raw_send(fds[n], sp_header, sizeof(sp_header));
        HARNESS_UNTIL(&p->h,
            (got = recv(fds[n], bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
        in += got > 0;
    }
    assert_true(in == allowed - 1); /* the client has one place */
    assert_true(bus_server_stats(p->s.server).rejected == 1);
    p->a = (struct answers){.wanted = 1};
    (void)ask(p, 20, 0);
    harness_until(&p->h, &p->a.reached);
    while (n > 0)
        (void)close(fds[--n]);
    harness_settle(&p->h);
    struct bus_client *late;
    struct err e;
    p->a = (struct answers){.wanted = 1};
    assert_int_equal(bus_client_open(&p->h.loop, p->h.address, &late, &e), 0);
    struct frame f = a_poll(3);
    (void)bus_client_request(late, &f, 0, 0, answers_add, &p->a);
    harness_until(&p->h, &p->a.reached);
    bus_client_close(late);
}

static void test_limit_of_descriptors(void **state)
{
    (void)state;
    enum { SOFT = 300 };
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    small = before;
    small.rlim_cur = SOFT;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    struct pair p;
    pair_init(&p);
    assert_int_equal(bus_server_connections_max(p.s.server), (SOFT - 128) / 6);
    fill_to_the_limit(&p, (SOFT - 128) / 6);
    pair_done(&p);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_limit_of_memory(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    bus_server_limit(p.s.server, 5);
    bus_server_limit(p.s.server, 500); /* only ever lower */
    assert_int_equal(bus_server_connections_max(p.s.server), 5);
    fill_to_the_limit(&p, 5);
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

int main(void)
{
    log_setup(LOG_ERROR, "");
    bus_bytes_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garbage_on_the_socket),
        cmocka_unit_test(test_foreign_nanomsg_peer),
        cmocka_unit_test(test_bad_heads_are_cut_off_and_counted),
        cmocka_unit_test(test_bytes_one_by_one),
        cmocka_unit_test(test_limit_of_descriptors),
        cmocka_unit_test(test_limit_of_memory),
        cmocka_unit_test(test_inner_socket_has_no_name),
        cmocka_unit_test(test_foreign_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
