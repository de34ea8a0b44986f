/* bus.h: frames over nanomsg, bound to a libuv loop. The only user of nanomsg.
 *
 * AF_SP_RAW REP on the learner's side, AF_SP_RAW REQ on the workers', with request ids and retry
 * timers of our own (reference: nanomsg drops a raw REP's reply when the peer's pipe is busy, so
 * every request is retried by id until it is answered). Everything here belongs to the loop's
 * thread; callbacks run on it. Addresses: ipc://PATH only, until keys exist; tcp:// is refused with
 * that reason.
 */
#ifndef COHORT_NET_BUS_H
#define COHORT_NET_BUS_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "proto/frame.h"

/* ---- server ---- */

/* Way back to the peer that sent a request; copy it to answer later. Opaque bytes. */
struct bus_route {
    uint32_t len;
    uint8_t bytes[64];
};

struct bus_server;

struct bus_server_stats {
    uint64_t received, rejected, sent,
        dropped; /* frames; rejected: not of ours, and connections closed for what they sent */
};

/* A checked frame arrived; f and its payload are valid during the call. */
typedef void bus_request_fn(void *arg, const struct bus_route *from, const struct frame *f);

int bus_server_open(uv_loop_t *loop, const char *address, size_t payload_max,
    bus_request_fn *on_request, void *arg, struct bus_server **ret, struct err *e) ERR_WARN_UNUSED;
/* Bounds the connections, and with them the memory that peers can make this process take: each
 * holds at most one message of payload_max. More than descriptors allow are never let in anyway. */
void bus_server_limit(struct bus_server *s, size_t connections_max);
size_t bus_server_connections_max(const struct bus_server *s);
/* Never blocks; a busy or vanished peer loses the reply and will ask again. */
void bus_server_reply(struct bus_server *s, const struct bus_route *to, const struct frame *f);
struct bus_server_stats bus_server_stats(const struct bus_server *s);
void bus_server_close(struct bus_server *s); /* frees when its handles have closed */

/* ---- client ---- */

struct bus_client;

/* reply is NULL when the deadline passed; its payload is valid during the call. The callback may
 * send further requests but not close the client. */
typedef void bus_reply_fn(void *arg, const struct frame *reply);

int bus_client_open(
    uv_loop_t *loop, const char *address, struct bus_client **ret, struct err *e) ERR_WARN_UNUSED;
/* Sends f (its request_id is set here) and repeats the same bytes after TIMING_REQUEST_MS, doubling
 * with jitter, until a frame with that request id answers or deadline_ms have passed (0: no
 * deadline). The socket is reopened after three repeats in a row without any answer. extra_wait_ms
 * is added to each timer, for long polls. What was sent over a connection that has been
 * replaced since is sent again at once. Returns the request id. Never calls back before it returns.
 */
uint64_t bus_client_request(struct bus_client *c, const struct frame *f, uint32_t deadline_ms,
    uint32_t extra_wait_ms, bus_reply_fn *on_reply, void *arg);
void bus_client_cancel(struct bus_client *c, uint64_t request_id); /* no callback */
/* An address that differs from the present one reopens the socket at once. */
void bus_client_set_address(struct bus_client *c, const char *address);
/* Replaces TIMING_REQUEST_MS and TIMING_REQUEST_MAX_MS for later requests. */
void bus_client_set_retry(struct bus_client *c, uint32_t first_ms, uint32_t max_ms);
void bus_client_close(struct bus_client *c); /* cancels all without callbacks */

#endif
