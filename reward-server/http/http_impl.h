/* http_impl.h: what the files of the face share: connections, exchanges, the state of it all.
 *
 * Only http.c, exchange.c and state.c include it.
 */
#ifndef COHORT_HTTP_IMPL_H
#define COHORT_HTTP_IMPL_H

#include <microhttpd.h>

#include "common/net/work.h"
#include "reward-server/http/figures.h"
#include "reward-server/http/gate.h"
#include "reward-server/http/http.h"
#include "reward-server/scoring/scoring.h"

enum phase { PHASE_IDLE, PHASE_RECEIVING, PHASE_WORKING, PHASE_SENDING };

struct connection {
    struct connection *next, *before; /* in the list of the face */
    int fd;                           /* libmicrohttpd's */
    enum phase phase;
    uint64_t since_ns; /* in this phase */
    bool tcp, loopback;
    char address[GATE_ADDRESS_MAX]; /* of our end */
    struct exchange *exchange;      /* borrowed; the request under way */
};

/* One request. Of the loop, but for call while the phase is PHASE_WORKING. */
struct exchange {
    struct http *h;
    struct connection *connection;
    struct MHD_Connection *mhd;
    struct call call;
    const char *content_type;
    bool refused; /* call holds the answer already; the body is read and dropped */
    bool called;  /* the call has come back */
    size_t body_bytes;
    uint64_t started_ns;
    struct scoring_job job;
};

struct http {
    struct http_options o;
    struct listener listener; /* its path is owned; the socket is libmicrohttpd's */
    struct gate gate;
    struct MHD_Daemon *mhd; /* owned */
    uv_poll_t poll;         /* of its epoll descriptor */
    uv_timer_t timeout;     /* when it wants to be turned without an event */
    uv_timer_t tick;
    unsigned handles_open;
    struct loop_mail *mail;      /* owned */
    struct scoring_queue *queue; /* owned */
    struct call_setup setup;
    struct connection *connections; /* owned by libmicrohttpd's connections */
    size_t connection_count;
    size_t inside; /* calls given to the queue and not back */
    size_t body_bytes;
    struct figures figures;
    uint64_t started_ms, drain_by_ms;
    bool draining, ended;
};

/* Turns libmicrohttpd; not from within one of its callbacks. */
void http_turn(struct http *h);

/* ---- exchange.c: libmicrohttpd's callbacks ---- */

void connection_notified(
    void *h, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what);
void *request_line(void *h, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result request_turn(void *h, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_bytes,
    void **exchange);
void request_completed(
    void *h, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode why);

/* Ends connections that are over their deadlines, and calls that nobody waits for. */
void connections_sweep(struct http *h, uint64_t now_ns);
void connection_end(struct connection *c);

/* ---- state.c: the routes that tell about the face itself ---- */

void state_answer(struct http *h, struct exchange *x);

#endif
