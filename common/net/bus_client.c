/* bus_client.c: the workers' side of the bus: requests that are repeated until they are answered.
 *
 * A request goes out at once or when the socket becomes writable. It goes out again when its timer
 * expires, when a connection was made since (the server restarted and lost it), and when the socket
 * was reopened. All times come from one timer, armed for whatever is due first.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/net/bus.h"
#include "common/net/bus_socket.h"
#include "proto/limits.h"

enum {
    WATCH_MS = 200,         /* between looks at the connection while an answer is awaited */
    SILENT_REPEATS_MAX = 3, /* then the socket is reopened */
    REPLY_BODY_MAX = FRAME_HEADER_BYTES + LIMIT_CHUNK_BYTES + LIMIT_CHUNK_OVERHEAD_BYTES +
                     FRAME_TAG_BYTES, /* the largest reply of any type */
};

struct request {
    struct request *next; /* owned by the list */
    uint64_t id;
    struct buf frame;     /* the same bytes each time */
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint64_t repeat_ms;   /* when to send again */
    uint32_t interval_ms, extra_wait_ms;
    bool sent;            /* handed to the present socket */
    uint64_t connections; /* of the socket when it was sent */
    bus_reply_fn *on_reply;
    void *arg; /* borrowed */
};

struct bus_client {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct bus_socket *socket; /* owned; NULL when it could not be reopened yet */
    char *address;             /* owned */
    struct request *requests;  /* owned; oldest first */
    uint64_t next_id;
    struct rng jitter;
    uint32_t repeats_silent; /* in a row; those due together count once */
    uint32_t first_ms, max_ms;
};

static void on_message(
    void *arg, const uint8_t *route, size_t route_len, const uint8_t *body, size_t n);
static void on_writable(void *arg);

static const struct bus_socket_events client_events = {on_message, on_writable};

/* Three to five quarters of ms, so that workers do not come back in step after a restart. */
static uint64_t jittered(struct bus_client *c, uint32_t ms)
{
    return ms - ms / 4 + rng_below(&c->jitter, ms / 2 + 1);
}

static void arm(struct bus_client *c);

static void on_timer(uv_timer_t *timer);

static int socket_open(struct bus_client *c, struct err *e)
{
    return bus_socket_open(
        c->loop, BUS_REQUESTER, c->address, REPLY_BODY_MAX, &client_events, c, &c->socket, e);
}

int bus_client_open(uv_loop_t *loop, const char *address, struct bus_client **ret, struct err *e)
{
    struct bus_client *c = mem_alloc(sizeof(*c));
    c->loop = loop;
    c->address = mem_strdup(address);
    c->first_ms = TIMING_REQUEST_MS;
    c->max_ms = TIMING_REQUEST_MAX_MS;
    int r = socket_open(c, e);
    if (r != 0) {
        free(c->address);
        free(c);
        return r;
    }
    uint64_t seed = clock_mono_ns();
    (void)uv_random(NULL, NULL, &seed, sizeof(seed), 0, NULL); /* the clock will do without it */
    c->jitter = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    c->next_id = rng_next(&c->jitter) >> 1; /* ids of an earlier process are not met again */
    (void)uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    *ret = c;
    return 0;
}

void bus_client_set_retry(struct bus_client *c, uint32_t first_ms, uint32_t max_ms)
{
    c->first_ms = first_ms;
    c->max_ms = max_ms;
}

static bool try_send(struct bus_client *c, struct request *q)
{
    uint8_t id[4];
    uint32_t number = 0x80000000u | (uint32_t)q->id; /* the top bit ends the stack of hops */
    for (int i = 0; i < 4; i++)
        id[i] = (uint8_t)(number >> (24 - 8 * i));
    uint64_t connections = c->socket != NULL ? bus_socket_connections(c->socket) : 0;
    if (c->socket == NULL ||
        !bus_socket_send(c->socket, id, sizeof(id), q->frame.data, q->frame.len))
        return false;
    q->sent = true;
    q->connections = connections;
    return true;
}

/* Sends what waits, in order, as far as the socket takes it. */
static void send_waiting(struct bus_client *c)
{
    bool blocked = false;
    for (struct request *q = c->requests; q != NULL && !blocked; q = q->next)
        blocked = !q->sent && !try_send(c, q);
    if (c->socket != NULL)
        bus_socket_want_write(c->socket, blocked);
}

static void on_writable(void *arg)
{
    send_waiting(arg);
}

static struct request *take(struct bus_client *c, uint64_t id)
{
    for (struct request **p = &c->requests; *p != NULL; p = &(*p)->next) {
        struct request *q = *p;
        if (q->id == id) {
            *p = q->next;
            return q;
        }
    }
    return NULL;
}

static void request_free(struct request *q)
{
    buf_done(&q->frame);
    free(q);
}

static void on_message(
    void *arg, const uint8_t *route, size_t route_len, const uint8_t *body, size_t n)
{
    struct bus_client *c = arg;
    struct frame f;
    (void)route; /* the frame's own id has 64 bits and decides */
    (void)route_len;
    if (frame_parse(body, n, &f, NULL) != 0 || f.role != ROLE_LEARNER)
        return;
    c->repeats_silent = 0;
    struct request *q = take(c, f.request_id);
    if (q == NULL)
        return; /* the answer to a repeat, or to what was cancelled */
    q->on_reply(q->arg, &f);
    request_free(q);
    arm(c);
}

uint64_t bus_client_request(struct bus_client *c, const struct frame *f, uint32_t deadline_ms,
    uint32_t extra_wait_ms, bus_reply_fn *on_reply, void *arg)
{
    uint64_t now_ms = clock_mono_ms();
    struct request *q = mem_alloc(sizeof(*q));
    struct frame copy = *f;
    q->id = copy.request_id = ++c->next_id;
    frame_write(&q->frame, &copy);
    q->deadline_ms = deadline_ms > 0 ? now_ms + deadline_ms : UINT64_MAX;
    q->interval_ms = c->first_ms;
    q->extra_wait_ms = extra_wait_ms;
    q->repeat_ms = now_ms + jittered(c, q->interval_ms) + extra_wait_ms;
    q->on_reply = on_reply;
    q->arg = arg;
    struct request **end = &c->requests;
    while (*end != NULL)
        end = &(*end)->next;
    *end = q;
    uint64_t id = q->id;
    send_waiting(c);
    arm(c);
    return id;
}

void bus_client_cancel(struct bus_client *c, uint64_t request_id)
{
    struct request *q = take(c, request_id);
    if (q != NULL)
        request_free(q);
}

static void reopen(struct bus_client *c)
{
    bus_socket_close(steal(&c->socket));
    for (struct request *q = c->requests; q != NULL; q = q->next)
        q->sent = false;
    c->repeats_silent = 0;
    if (socket_open(c, NULL) != 0)
        c->socket = NULL; /* tried again at the next look at the connection */
    send_waiting(c);
}

void bus_client_set_address(struct bus_client *c, const char *address)
{
    if (strcmp(address, c->address) == 0)
        return;
    free(c->address);
    c->address = mem_strdup(address);
    reopen(c);
    arm(c);
}

/* Ends the requests whose deadline has passed. The callbacks may add and cancel requests, so the
 * list is walked from its start after each. */
static void end_overdue(struct bus_client *c, uint64_t now_ms)
{
    struct request *q = c->requests;
    while (q != NULL) {
        if (q->deadline_ms > now_ms) {
            q = q->next;
            continue;
        }
        (void)take(c, q->id);
        q->on_reply(q->arg, NULL);
        request_free(q);
        q = c->requests;
    }
}

/* Marks for sending what is due again, or was sent over a connection that is gone. */
static void mark_repeats(struct bus_client *c, uint64_t now_ms)
{
    uint64_t connections = c->socket != NULL ? bus_socket_connections(c->socket) : 0;
    bool any_due = false;
    for (struct request *q = c->requests; q != NULL; q = q->next) {
        if (q->sent && q->connections != connections)
            q->sent = false;
        if (q->repeat_ms > now_ms)
            continue;
        q->sent = false;
        any_due = true;
        q->interval_ms = q->interval_ms < c->max_ms / 2 ? 2 * q->interval_ms : c->max_ms;
        q->repeat_ms = now_ms + jittered(c, q->interval_ms) + q->extra_wait_ms;
    }
    c->repeats_silent += any_due;
}

static void on_timer(uv_timer_t *timer)
{
    struct bus_client *c = timer->data;
    uint64_t now_ms = clock_mono_ms();
    end_overdue(c, now_ms);
    mark_repeats(c, now_ms);
    if (c->socket == NULL || c->repeats_silent >= SILENT_REPEATS_MAX)
        reopen(c);
    else
        send_waiting(c);
    arm(c);
}

static void arm(struct bus_client *c)
{
    if (uv_is_closing((uv_handle_t *)&c->timer))
        return;
    if (c->requests == NULL) {
        (void)uv_timer_stop(&c->timer);
        return;
    }
    uint64_t now_ms = clock_mono_ms(), due_ms = now_ms + WATCH_MS;
    for (const struct request *q = c->requests; q != NULL; q = q->next) {
        due_ms = q->repeat_ms < due_ms ? q->repeat_ms : due_ms;
        due_ms = q->deadline_ms < due_ms ? q->deadline_ms : due_ms;
    }
    uv_update_time(c->loop); /* a callback may have taken long */
    (void)uv_timer_start(&c->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 1, 0);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void bus_client_close(struct bus_client *c)
{
    if (c == NULL)
        return;
    bus_socket_close(steal(&c->socket));
    while (c->requests != NULL)
        request_free(take(c, c->requests->id));
    free(steal(&c->address));
    (void)uv_timer_stop(&c->timer);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}
