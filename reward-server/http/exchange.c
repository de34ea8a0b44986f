/* exchange.c: connections and the requests on them, as libmicrohttpd tells of them. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "reward-server/http/http_impl.h"

/* ---- connections ---- */

static void set_phase(struct connection *c, enum phase phase)
{
    c->phase = phase;
    c->since_ns = clock_mono_ns();
}

/* Our end of the connection, for the check of Host. */
static void find_address(struct connection *c)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);
    const struct sockaddr_in *four = (const struct sockaddr_in *)&a;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&a;
    c->tcp = true; /* what cannot be found out is treated as what is checked most */
    if (getsockname(c->fd, (struct sockaddr *)&a, &n) < 0)
        return;
    c->tcp = a.ss_family != AF_UNIX;
    if (c->tcp)
        (void)getnameinfo(
            (struct sockaddr *)&a, n, c->address, sizeof(c->address), NULL, 0, NI_NUMERICHOST);
    if (a.ss_family == AF_INET)
        c->loopback = ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    else if (a.ss_family == AF_INET6)
        c->loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

void connection_notified(
    void *arg, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct http *h = arg;
    struct connection *c = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        c = mem_alloc(sizeof(*c));
        c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        set_phase(c, PHASE_IDLE);
        find_address(c);
        c->next = h->connections;
        if (c->next != NULL)
            c->next->before = c;
        h->connections = c;
        h->connection_count++;
        h->figures.connections++;
        *context = c;
        return;
    }
    if (c->before != NULL)
        c->before->next = c->next;
    else
        h->connections = c->next;
    if (c->next != NULL)
        c->next->before = c->before;
    h->connection_count--;
    free(c);
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void connection_end(struct connection *c)
{
    (void)shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees the end, and closes */
}

/* Nothing more will come. libmicrohttpd does not look at the socket of a suspended connection, and
 * in 0.9.75 it overlooks an end that came together with the last bytes. */
static bool client_left(const struct connection *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void connections_sweep(struct http *h, uint64_t now_ns)
{
    const uint64_t most_ms[] = {[PHASE_IDLE] = h->o.timeout_ms * HTTP_IDLE_FACTOR,
        [PHASE_RECEIVING] = h->o.timeout_ms,
        [PHASE_WORKING] = HTTP_WORK_MS,
        [PHASE_SENDING] = h->o.timeout_ms};
    for (struct connection *c = h->connections; c != NULL; c = c->next) {
        bool late = (now_ns - c->since_ns) / 1000000 >= most_ms[c->phase];
        if (!late && (c->phase == PHASE_SENDING || !client_left(c)))
            continue;
        if (c->phase == PHASE_WORKING)
            atomic_store(&c->exchange->call.given_up, true);
        else
            connection_end(c);
    }
}

/* ---- a request begins ---- */

void *request_line(void *arg, const char *uri, struct MHD_Connection *mhd)
{
    struct connection *c = connection_of(mhd);
    set_phase(c, PHASE_RECEIVING);
    return NULL; /* the exchange is made when the headers are there */
}

struct headers {
    struct gate_request gate;
    const char *length;
    bool expects_continue, doubled;
    size_t count;
};

static enum MHD_Result on_header(
    void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct headers *all = arg;
    const struct {
        const char *name;
        const char **at;
    } wanted[] = {{"Host", &all->gate.host}, {"Origin", &all->gate.origin},
        {"Content-Type", &all->gate.content_type}, {"Authorization", &all->gate.authorization},
        {"Content-Length", &all->length}};
    all->count++;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (strcasecmp(key, wanted[i].name) != 0)
            continue;
        all->doubled |= *wanted[i].at != NULL;
        *wanted[i].at = value != NULL ? value : "";
    }
    all->expects_continue |= strcasecmp(key, "Expect") == 0;
    return MHD_YES;
}

static void refuse(struct exchange *x, unsigned status, const char *why)
{
    x->refused = true;
    buf_done(&x->call.body);
    x->h->body_bytes -= x->body_bytes;
    x->body_bytes = 0;
    call_refuse(&x->call, status, why);
}

static void refuse_busy(struct exchange *x, const char *why)
{
    x->h->figures.refused_busy++;
    refuse(x, x->call.route->busy, why);
}

static bool find_route(struct exchange *x, const char *url, const char *method)
{
    bool path = false;
    for (size_t i = 0; i < route_count; i++) {
        if (strcmp(url, routes[i].path) != 0)
            continue;
        path = true;
        if (strcmp(method, routes[i].method) == 0)
            x->call.route = &routes[i];
    }
    if (x->call.route == NULL && path)
        refuse(x, 405, "this path knows another method");
    else if (x->call.route == NULL)
        refuse(x, 404, "no such path; GET /health lists those that there are");
    return x->call.route != NULL;
}

/* All that can be said before the body comes. */
static void admit(struct exchange *x, struct headers *all, const char *url, const char *method)
{
    struct http *h = x->h;
    const char *why = "";
    bool found = find_route(x, url, method);
    all->gate.has_body = found && x->call.route->answer != NULL;
    all->gate.over_tcp = x->connection->tcp;
    all->gate.loopback = x->connection->loopback;
    all->gate.address = x->connection->address;
    unsigned status = gate_check(&h->gate, &all->gate, &why);
    if (all->count > HTTP_HEADERS_MAX)
        refuse(x, 431, "too many headers");
    else if (all->doubled)
        refuse(x, 400, "a header that may stand once stands twice");
    else if (status != 0)
        refuse(x, status, why); /* before the path: strangers learn nothing */
    else if (found && all->length != NULL && strtoull(all->length, NULL, 10) > h->o.body_max)
        refuse(x, 413, "the body is too long");
}

static struct exchange *begin(
    struct http *h, struct MHD_Connection *mhd, const char *url, const char *method)
{
    struct connection *c = connection_of(mhd);
    struct exchange *x = mem_alloc(sizeof(*x));
    x->h = h;
    x->connection = c;
    x->mhd = mhd;
    x->call.setup = &h->setup;
    x->content_type = "application/json";
    x->started_ns = c->since_ns;
    c->exchange = x;
    return x;
}

/* ---- its answer ---- */

static enum MHD_Result send_answer(struct exchange *x)
{
    struct call *c = &x->call;
    size_t n = c->answer_len;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(n, steal(&c->answer), MHD_RESPMEM_MUST_FREE);
    if (r == NULL)
        return MHD_NO;
    /* these fail for lack of memory only; the answer is as good without them */
    (void)MHD_add_response_header(r, "Content-Type", x->content_type);
    (void)MHD_add_response_header(r, "Cache-Control", "no-store");
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (c->status == 401)
        (void)MHD_add_response_header(r, "WWW-Authenticate", "Bearer realm=\"cohort\"");
    if (c->status == 503 || c->status == 504)
        (void)MHD_add_response_header(r, "Retry-After", "1");
    if (x->h->draining)
        (void)MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result done = MHD_queue_response(x->mhd, c->status, r);
    MHD_destroy_response(r);
    set_phase(x->connection, PHASE_SENDING);
    double seconds = (double)(x->connection->since_ns - x->started_ns) / 1e9;
    figures_request(&x->h->figures, c->route, c->status, seconds);
    log_debug("http", "answered", LOG_STR("route", c->route != NULL ? c->route->path : "other"),
        LOG_U64("status", c->status), LOG_F64("seconds", seconds));
    return done;
}

/* ---- its body ---- */

static void keep_body(struct exchange *x, const char *data, size_t n)
{
    struct http *h = x->h;
    if (x->refused)
        return;
    if (x->call.body.len + n > h->o.body_max) {
        refuse(x, 413, "the body is too long");
    } else if (h->body_bytes + n > HTTP_BODIES_BYTES_MAX) {
        refuse_busy(x, "too many bytes of requests are in memory, try again later");
    } else {
        buf_append(&x->call.body, data, n);
        x->body_bytes += n;
        h->body_bytes += n;
    }
}

static void run_call(struct scoring_job *job)
{
    struct exchange *x = job->tag;
    call_run(&x->call);
}

/* All of it has come: the call goes to the queue. */
static enum MHD_Result submit(struct exchange *x)
{
    struct http *h = x->h;
    struct err e = {0};
    x->job = (struct scoring_job){.tag = x, .run = run_call};
    if (scoring_queue_submit(h->queue, &x->job, &e) < 0) {
        refuse_busy(x, "too many requests wait, try again later");
        return send_answer(x);
    }
    h->inside++;
    set_phase(x->connection, PHASE_WORKING);
    MHD_suspend_connection(x->mhd);
    return MHD_YES;
}

enum MHD_Result request_turn(void *arg, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_bytes,
    void **exchange)
{
    struct http *h = arg;
    struct exchange *x = *exchange;
    if (x == NULL) {
        struct headers all = {0};
        *exchange = x = begin(h, mhd, url, method);
        (void)MHD_get_connection_values(mhd, MHD_HEADER_KIND, on_header, &all);
        admit(x, &all, url, method);
        /* Without "Expect" the body is on its way: an answer now would be lost with it. */
        return x->refused && all.expects_continue ? send_answer(x) : MHD_YES;
    }
    if (*upload_bytes > 0) {
        keep_body(x, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (x->refused || x->called)
        return send_answer(x);
    if (x->call.route->answer != NULL)
        return submit(x);
    state_answer(h, x);
    return send_answer(x);
}

void request_completed(
    void *arg, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode why)
{
    struct http *h = arg;
    struct exchange *x = *exchange;
    struct connection *c = connection_of(mhd);
    set_phase(c, PHASE_IDLE);
    c->exchange = NULL;
    if (x != NULL) {
        h->body_bytes -= x->body_bytes;
        call_done(&x->call);
        free(x);
        *exchange = NULL;
    }
    if (h->draining)
        connection_end(c);
}
