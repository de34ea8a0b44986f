/* bus_server.c: the learner's side of the bus: checks each frame, remembers the way back. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/net/bus.h"
#include "common/net/bus_gate.h"
#include "common/net/bus_socket.h"

struct bus_server {
    struct bus_gate *gate;     /* owned; where peers connect */
    struct bus_socket *socket; /* owned; behind the gate */
    size_t payload_max;
    bus_request_fn *on_request;
    void *arg; /* borrowed */
    struct bus_server_stats stats;
    struct buf frame; /* of the reply that is being sent */
};

_Static_assert(BUS_ROUTE_BYTES_MAX == sizeof(((struct bus_route *)0)->bytes), "a route must fit");

static int check_frame(
    const struct bus_server *s, const uint8_t *body, size_t n, struct frame *ret, struct err *e)
{
    int r = frame_parse(body, n, ret, e);
    if (r == 0 && ret->role == ROLE_LEARNER)
        r = err_set(e, ERR_LIMIT, "frame: %s from a learner", frame_type_name(ret->type));
    if (r == 0 && ret->payload_bytes > s->payload_max)
        r = err_set(e, ERR_LIMIT, "frame: a payload of %u bytes, this socket takes %zu",
            ret->payload_bytes, s->payload_max);
    return r;
}

static void on_message(
    void *arg, const uint8_t *route, size_t route_len, const uint8_t *body, size_t n)
{
    struct bus_server *s = arg;
    struct frame f;
    struct err e = {0};
    s->stats.received++;
    if (check_frame(s, body, n, &f, &e) != 0) {
        /* The first, the second, the fourth ...: a flood must not become one of lines. */
        uint64_t so_far = ++s->stats.rejected;
        if ((so_far & (so_far - 1)) == 0)
            log_warn("bus", "refused a frame", LOG_ERR(&e), LOG_U64("so_far", so_far));
        return;
    }
    struct bus_route from = {.len = (uint32_t)route_len};
    memcpy(from.bytes, route, route_len);
    s->on_request(s->arg, &from, &f);
}

static const struct bus_socket_events server_events = {.message = on_message};

static int open_parts(struct bus_server *s, uv_loop_t *loop, const char *address, struct err *e)
{
    size_t body_max = FRAME_HEADER_BYTES + s->payload_max + FRAME_TAG_BYTES;
    int r = bus_address_check(address, e);
    if (r == 0)
        r = bus_gate_new(
            loop, bus_address_path(address), body_max + BUS_ROUTE_BYTES_MAX, &s->gate, e);
    if (r == 0)
        r = bus_socket_open(loop, BUS_REPLIER, bus_gate_inner_address(s->gate), body_max,
            &server_events, s, &s->socket, e);
    if (r == 0)
        r = bus_gate_listen(s->gate, e);
    return r;
}

int bus_server_open(uv_loop_t *loop, const char *address, size_t payload_max,
    bus_request_fn *on_request, void *arg, struct bus_server **ret, struct err *e)
{
    struct bus_server *s = mem_alloc(sizeof(*s));
    s->payload_max = payload_max;
    s->on_request = on_request;
    s->arg = arg;
    int r = open_parts(s, loop, address, e);
    if (r != 0) {
        bus_server_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void bus_server_limit(struct bus_server *s, size_t connections_max)
{
    bus_gate_limit(s->gate, connections_max);
}

size_t bus_server_connections_max(const struct bus_server *s)
{
    return bus_gate_connections_max(s->gate);
}

void bus_server_reply(struct bus_server *s, const struct bus_route *to, const struct frame *f)
{
    assert(to->len <= sizeof(to->bytes));
    buf_clear(&s->frame);
    frame_write(&s->frame, f);
    if (bus_socket_send(s->socket, to->bytes, to->len, s->frame.data, s->frame.len))
        s->stats.sent++;
    else
        s->stats.dropped++;
}

struct bus_server_stats bus_server_stats(const struct bus_server *s)
{
    struct bus_server_stats stats = s->stats;
    stats.rejected += bus_gate_rejected(s->gate);
    return stats;
}

void bus_server_close(struct bus_server *s)
{
    if (s == NULL)
        return;
    bus_gate_close(s->gate);
    bus_socket_close(s->socket);
    buf_done(&s->frame);
    free(s);
}
