/* bus_socket.c: the only file that calls nanomsg. */
#include "common/net/bus_socket.h"

#include <assert.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"

enum {
    RECONNECT_MS = 100, /* doubles ... */
    RECONNECT_MAX_MS = 1000,
    SP_HEADER_BYTES_MAX = BUS_ROUTE_BYTES_MAX, /* nanomsg counts it against its receive limit */
};

static const char ipc_scheme[] = "ipc://";

struct bus_socket {
    uv_poll_t readable, writable;
    int handles; /* of the two, open or closing; the last one to close frees */
    int sock;    /* -1 once closed */
    bool wants_write;
    const struct bus_socket_events *events; /* borrowed */
    void *arg;                              /* borrowed */
};

const char *bus_address_path(const char *address)
{
    return address + sizeof(ipc_scheme) - 1;
}

int bus_address_check(const char *address, struct err *e)
{
    struct sockaddr_un un;
    if (strncmp(address, "tcp://", 6) == 0)
        return err_set(e, ERR_CONFIG,
            "address '%.200s': tcp needs a key, and frames cannot carry one yet; use ipc://PATH",
            address);
    if (strncmp(address, ipc_scheme, sizeof(ipc_scheme) - 1) != 0)
        return err_set(e, ERR_CONFIG, "address '%.200s': expected ipc://PATH", address);
    const char *path = bus_address_path(address);
    if (path[0] != '/')
        return err_set(e, ERR_CONFIG, "address '%.200s': the path must be absolute", address);
    if (strlen(path) >= sizeof(un.sun_path))
        return err_set(e, ERR_CONFIG,
            "address '%.200s': a path of %zu bytes, a socket's may have %zu; use a shorter "
            "directory",
            address, strlen(path), sizeof(un.sun_path) - 1);
    struct stat st;
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return err_set(
            e, ERR_CONFIG, "address '%.200s': the path exists and is not a socket", address);
    return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct bus_socket *s = poll->data;
    if (status == 0 && (events & UV_READABLE) != 0 && s->sock >= 0)
        s->events->writable(s->arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct bus_socket *s = handle->data;
    if (--s->handles == 0)
        free(s);
}

static int set_int(int sock, int option, int value)
{
    return nn_setsockopt(sock, NN_SOL_SOCKET, option, &value, sizeof(value));
}

static int configure(struct bus_socket *s, const char *address, size_t body_max, struct err *e)
{
    assert(body_max <= INT32_MAX - SP_HEADER_BYTES_MAX);
    if (set_int(s->sock, NN_RCVMAXSIZE, (int)body_max + SP_HEADER_BYTES_MAX) != 0 ||
        set_int(s->sock, NN_RECONNECT_IVL, RECONNECT_MS) != 0 ||
        set_int(s->sock, NN_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) != 0)
        return err_set(
            e, ERR_FAIL, "address '%s': socket options: %s", address, nn_strerror(nn_errno()));
    return 0;
}

static int poll_init(struct bus_socket *s, uv_loop_t *loop, uv_poll_t *poll, int option,
    const char *address, struct err *e)
{
    int fd;
    size_t n = sizeof(fd);
    if (nn_getsockopt(s->sock, NN_SOL_SOCKET, option, &fd, &n) != 0)
        return err_set(
            e, ERR_FAIL, "address '%s': event descriptor: %s", address, nn_strerror(nn_errno()));
    int r = uv_poll_init(loop, poll, fd);
    if (r != 0)
        return err_set(e, ERR_FAIL, "address '%s': cannot poll: %s", address, uv_strerror(r));
    poll->data = s;
    s->handles++;
    return 0;
}

static int attach(struct bus_socket *s, enum bus_side side, const char *address, struct err *e)
{
    int r = side == BUS_REPLIER ? nn_bind(s->sock, address) : nn_connect(s->sock, address);
    if (r >= 0)
        return 0;
    if (nn_errno() == EADDRINUSE)
        return err_set(e, ERR_CONFIG, "address '%s': in use by another process", address);
    return err_set(e, ERR_FAIL, "address '%s': %s", address, nn_strerror(nn_errno()));
}

static int open_parts(struct bus_socket *s, uv_loop_t *loop, enum bus_side side,
    const char *address, size_t body_max, struct err *e)
{
    s->sock = nn_socket(AF_SP_RAW, side == BUS_REPLIER ? NN_REP : NN_REQ);
    if (s->sock < 0)
        return err_set(
            e, ERR_RETRY, "address '%s': no socket: %s", address, nn_strerror(nn_errno()));
    int r = configure(s, address, body_max, e);
    if (r == 0)
        r = poll_init(s, loop, &s->readable, NN_RCVFD, address, e);
    if (r == 0 && side == BUS_REQUESTER)
        r = poll_init(s, loop, &s->writable, NN_SNDFD, address, e);
    if (r == 0)
        r = attach(s, side, address, e);
    return r;
}

int bus_socket_open(uv_loop_t *loop, enum bus_side side, const char *address, size_t body_max,
    const struct bus_socket_events *events, void *arg, struct bus_socket **ret, struct err *e)
{
    int r = bus_address_check(address, e);
    if (r != 0)
        return r;
    struct bus_socket *s = mem_alloc(sizeof(*s));
    s->events = events;
    s->arg = arg;
    r = open_parts(s, loop, side, address, body_max, e);
    if (r == 0) {
        r = uv_poll_start(&s->readable, UV_READABLE, on_readable);
        if (r != 0)
            r = err_set(e, ERR_FAIL, "address '%s': cannot poll: %s", address, uv_strerror(r));
    }
    if (r != 0) {
        bus_socket_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* Handles first: closing one takes its descriptor out of the loop, and after nn_close that number
 * may be another's already. The memory goes with the last handle, in a later turn of the loop. */
void bus_socket_close(struct bus_socket *s)
{
    if (s == NULL)
        return;
    int handles = s->handles, sock = s->sock;
    s->sock = -1;
    if (handles > 1)
        uv_close((uv_handle_t *)&s->writable, on_handle_closed);
    if (handles > 0)
        uv_close((uv_handle_t *)&s->readable, on_handle_closed);
    if (sock >= 0)
        (void)nn_close(sock); /* what it may say changes nothing now */
    if (handles == 0)
        free(s);
}

/* The SP header is a length as size_t and then the bytes, inside the control message. */
static bool take_route(const struct nn_msghdr *msg, const uint8_t **ret, size_t *ret_len)
{
    for (struct nn_cmsghdr *c = NN_CMSG_FIRSTHDR(msg); c != NULL; c = NN_CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != PROTO_SP || c->cmsg_type != SP_HDR)
            continue;
        const uint8_t *p = NN_CMSG_DATA(c);
        size_t n;
        memcpy(&n, p, sizeof(n));
        *ret = p + sizeof(n);
        *ret_len = n;
        return n > 0 && n <= BUS_ROUTE_BYTES_MAX;
    }
    return false;
}

/* False when nothing was received: nothing is there, or nanomsg threw away a malformed message. */
static bool receive_one(struct bus_socket *s)
{
    void *body = NULL, *control = NULL;
    struct nn_iovec iov = {.iov_base = &body, .iov_len = NN_MSG};
    struct nn_msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = NN_MSG};
    int n = nn_recvmsg(s->sock, &msg, NN_DONTWAIT);
    if (n < 0)
        return false;
    const uint8_t *route;
    size_t route_len;
    if (control != NULL && take_route(&msg, &route, &route_len))
        s->events->message(s->arg, route, route_len, body, (size_t)n);
    nn_freemsg(body);
    if (control != NULL)
        nn_freemsg(control);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct bus_socket *s = poll->data;
    if (status != 0 || (events & UV_READABLE) == 0)
        return;
    for (int i = 0; i < BUS_DRAIN_MAX && s->sock >= 0; i++) {
        if (!receive_one(s))
            return;
    }
}

bool bus_socket_send(
    struct bus_socket *s, const uint8_t *route, size_t route_len, const uint8_t *body, size_t n)
{
    union {
        struct nn_cmsghdr align;
        uint8_t bytes[NN_CMSG_SPACE(sizeof(size_t) + BUS_ROUTE_BYTES_MAX)];
    } control = {.bytes = {0}};
    assert(route_len <= BUS_ROUTE_BYTES_MAX);
    struct nn_cmsghdr *c = &control.align;
    c->cmsg_len = NN_CMSG_LEN(sizeof(size_t) + route_len);
    c->cmsg_level = PROTO_SP;
    c->cmsg_type = SP_HDR;
    memcpy(NN_CMSG_DATA(c), &route_len, sizeof(route_len));
    memcpy(NN_CMSG_DATA(c) + sizeof(route_len), route, route_len);
    struct nn_iovec iov = {.iov_base = (void *)body, .iov_len = n};
    struct nn_msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = NN_CMSG_SPACE(sizeof(size_t) + route_len),
    };
    return nn_sendmsg(s->sock, &msg, NN_DONTWAIT) >= 0;
}

void bus_socket_want_write(struct bus_socket *s, bool want)
{
    if (want == s->wants_write)
        return;
    s->wants_write = want;
    if (want)
        (void)uv_poll_start(&s->writable, UV_READABLE, on_writable);
    else
        (void)uv_poll_stop(&s->writable);
}

uint64_t bus_socket_connections(const struct bus_socket *s)
{
    return nn_get_statistic(s->sock, NN_STAT_ESTABLISHED_CONNECTIONS);
}
