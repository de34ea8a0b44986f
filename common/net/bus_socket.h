/* bus_socket.h: one raw nanomsg socket bound to a libuv loop. Private to the bus.
 *
 * nanomsg tells readiness by eventfds that stay readable while the condition holds; both are polled
 * for reading and never read. A socket lives until its poll handles have closed, so it may be
 * closed inside its own callbacks. Loop thread only.
 */
#ifndef COHORT_NET_BUS_SOCKET_H
#define COHORT_NET_BUS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"

enum bus_side { BUS_REQUESTER, BUS_REPLIER };

enum {
    BUS_ROUTE_BYTES_MAX = 64, /* pipe, at most 8 hops and the request's id take 40 */
    BUS_DRAIN_MAX = 64,       /* messages handled before the loop turns to others */
};

struct bus_socket;

struct bus_socket_events {
    /* route: how a replier sends back; a requester sees the id it sent. Valid during the call. */
    void (*message)(
        void *arg, const uint8_t *route, size_t route_len, const uint8_t *body, size_t n);
    void (*writable)(void *arg); /* after bus_socket_want_write; NULL for a replier */
};

/* Refuses what nanomsg would abort on or destroy: paths over 107 bytes, and paths of something that
 * is not a socket. tcp:// is refused because frames carry no key yet. */
int bus_address_check(const char *address, struct err *e) ERR_WARN_UNUSED;
const char *bus_address_path(const char *address); /* of one that was checked */

/* A replier binds, in a directory that only its owner may enter; a requester connects in the
 * background and goes on trying. Messages over body_max are refused before memory is allocated for
 * them. */
int bus_socket_open(uv_loop_t *loop, enum bus_side side, const char *address, size_t body_max,
    const struct bus_socket_events *events, void *arg, struct bus_socket **ret,
    struct err *e) ERR_WARN_UNUSED;

/* Takes the message or returns false at once: no peer, or its pipe is busy. */
bool bus_socket_send(
    struct bus_socket *s, const uint8_t *route, size_t route_len, const uint8_t *body, size_t n);
void bus_socket_want_write(struct bus_socket *s, bool want);

/* Connections made since the socket was opened: a larger number than before means that what was
 * sent before may be lost. */
uint64_t bus_socket_connections(const struct bus_socket *s);

void bus_socket_close(struct bus_socket *s); /* NULL is fine */

#endif
