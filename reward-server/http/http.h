/* http.h: the reward server's HTTP face, for trainers of all kinds.
 *
 * How it works. libmicrohttpd has no thread of its own here: the loop watches its epoll descriptor
 * and turns it. A request goes through phases, each with a deadline:
 *
 *   loop     headers: the gate (gate.h) decides, and a refused body is read but not kept
 *   loop     body: kept, within the limits below
 *   queue    the connection is suspended; a thread of the scoring queue runs the call (call.h)
 *   loop     by mail: the connection is resumed and the answer sent
 *
 * So nothing waits in the loop, there is no thread for a connection, and each buffer has one owner:
 * the exchange in the loop, the call on its thread, libmicrohttpd for the bytes of the answer. A
 * client that goes away, or a deadline, makes the call skip what it has not begun.
 *
 * Everything is of the loop's thread; calls run on the queue's.
 */
#ifndef COHORT_HTTP_H
#define COHORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "reward-server/http/listen.h"

struct box;
struct http;

enum {
    HTTP_CONNECTIONS_MAX = 512, /* more wait in the kernel */
    HTTP_HEADERS_MAX = 64,
    HTTP_HEAD_BYTES_MAX = 32 << 10,    /* request line and headers */
    HTTP_BODIES_BYTES_MAX = 256 << 20, /* of all requests together */
    HTTP_IDLE_FACTOR = 2,              /* time-outs from the last answer to the next request line */
    HTTP_WORK_MS = 600000,             /* from a whole request to its answer */
};

struct http_options {
    struct listener *listener; /* its socket is taken over */
    bool wants_token;
    struct hash token;
    const char *const *names; /* borrowed; further names in Host */
    size_t name_count;
    const char *const *scorers; /* borrowed; for requests that name none */
    size_t scorer_count;
    unsigned workers;
    size_t queue_max;    /* requests that may wait */
    size_t body_max;     /* bytes of one */
    uint64_t timeout_ms; /* for a request to come whole, and for its answer to be taken */
    struct box *box;     /* borrowed; NULL: no programs run */
    /* Drained, or (ERR_INTERRUPTED) the grace is over and threads still work: http_close waits for
     * them. Call it then, not from within. */
    void (*ended)(void *arg, int code, const char *why);
    void *arg;
};

/* ERR_USAGE for scorers that cannot be. */
int http_open(uv_loop_t *loop, const struct http_options *o, struct http **ret,
    struct err *e) ERR_WARN_UNUSED;
/* Takes no more requests; `ended` comes when those that are here are answered, or after grace_ms.
 */
void http_drain(struct http *h, uint32_t grace_ms);
void http_close(struct http *h); /* NULL is fine; its handles close in the next turns of the loop */

#endif
