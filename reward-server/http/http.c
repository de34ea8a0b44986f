/* http.c: the life of the HTTP face, and how libmicrohttpd turns with the loop. http.h says how it
 * works. */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "reward-server/http/http_impl.h"
#include "reward-server/judge/panel.h"

enum { TICK_MS = 500 };

/* ---- turning ---- */

static void on_timeout(uv_timer_t *timer)
{
    http_turn(timer->data);
}

static void finish(struct http *h, int code, const char *why)
{
    if (h->ended)
        return;
    h->ended = true;
    h->o.ended(h->o.arg, code, why);
}

void http_turn(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (h->mhd == NULL)
        return;
    (void)MHD_run(h->mhd); /* fails only when it has no epoll descriptor */
    if (MHD_get_timeout(h->mhd, &wait_ms) == MHD_YES)
        uv_timer_start(&h->timeout, on_timeout, wait_ms, 0);
    else
        uv_timer_stop(&h->timeout);
    if (h->draining && h->connection_count == 0)
        finish(h, 0, "drained");
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    http_turn(poll->data);
}

static void on_tick(uv_timer_t *timer)
{
    struct http *h = timer->data;
    connections_sweep(h, clock_mono_ns());
    http_turn(h);
    if (h->draining && clock_mono_ms() >= h->drain_by_ms)
        finish(h, ERR_INTERRUPTED, "stopped with requests under way");
}

/* ---- calls that come back ---- */

static void on_called(void *arg)
{
    struct exchange *x = arg;
    struct http *h = x->h;
    h->inside--;
    h->body_bytes -= x->body_bytes;
    x->body_bytes = 0;
    x->called = true;
    figures_call(&h->figures, &x->call.tally);
    MHD_resume_connection(x->mhd);
    http_turn(h);
}

/* On a thread of the queue. */
static void on_queue_done(void *arg, struct scoring_job *job)
{
    struct http *h = arg;
    loop_mail_post(h->mail, on_called, job->tag);
}

/* ---- life ---- */

static int check_scorers(const struct http_options *o, struct err *e)
{
    struct panel *panel = NULL;
    if (o->scorer_count == 0)
        return 0;
    int r = panel_open(o->scorers, o->scorer_count, &panel, e);
    panel_close(panel);
    return r < 0 ? err_ctx(e, "--scorer") : 0;
}

static int start_mhd(struct http *h, struct err *e)
{
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, h->listener.fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_HEAD_BYTES_MAX, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)connection_notified, h},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_completed, h},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)request_line, h},
        {MHD_OPTION_END, 0, NULL},
    };
    h->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, request_turn,
        h, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (h->mhd == NULL)
        return err_sys(e, ERR_FAIL, "starting the HTTP server");
    h->listener.fd = -1;
    return 0;
}

static int watch_mhd(struct http *h, uv_loop_t *loop, struct err *e)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    int r = info != NULL ? uv_poll_init(loop, &h->poll, info->epoll_fd) : UV_EBADF;
    if (r == 0) {
        h->poll.data = h;
        h->handles_open++;
        r = uv_poll_start(&h->poll, UV_READABLE, on_poll);
    }
    return r < 0 ? err_set(e, ERR_FAIL, "watching the HTTP server: %s", uv_strerror(r)) : 0;
}

int http_open(uv_loop_t *loop, const struct http_options *o, struct http **ret, struct err *e)
{
    struct http *h = mem_alloc(sizeof(*h));
    h->o = *o;
    h->listener = *o->listener;
    *o->listener = (struct listener){.fd = -1};
    h->gate = (struct gate){o->wants_token, o->token, o->names, o->name_count};
    h->setup = (struct call_setup){o->scorers, o->scorer_count, o->box, 0};
    h->started_ms = clock_mono_ms();
    (void)uv_timer_init(loop, &h->timeout); /* cannot fail */
    (void)uv_timer_init(loop, &h->tick);
    h->timeout.data = h->tick.data = h;
    h->handles_open = 2;
    if (check_scorers(o, e) < 0 || loop_mail_open(loop, &h->mail, e) < 0 ||
        scoring_queue_open(o->workers, o->queue_max, on_queue_done, h, &h->queue, e) < 0 ||
        start_mhd(h, e) < 0 || watch_mhd(h, loop, e) < 0) {
        http_close(h);
        return e->code;
    }
    uv_timer_start(&h->tick, on_tick, TICK_MS, TICK_MS);
    http_turn(h);
    log_info("http", "listening", LOG_STR("address", h->listener.shown),
        LOG_STR("token", o->wants_token ? "yes" : "no"), LOG_U64("workers", o->workers));
    *ret = h;
    return 0;
}

void http_drain(struct http *h, uint32_t grace_ms)
{
    if (h->draining)
        return;
    h->draining = true;
    h->drain_by_ms = clock_mono_ms() + grace_ms;
    int fd = MHD_quiesce_daemon(h->mhd);
    if (fd >= 0)
        (void)close(fd);
    listener_close(&h->listener);
    for (struct connection *c = h->connections; c != NULL; c = c->next) {
        if (c->phase == PHASE_IDLE)
            connection_end(c);
    }
    uv_timer_start(&h->timeout, on_timeout, 0, 0); /* ended() must not come from within */
}

static void on_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;
    if (--h->handles_open == 0)
        free(h);
}

/* Suspended connections would make libmicrohttpd end the process. */
static void stop_mhd(struct http *h)
{
    for (struct connection *c = h->connections; c != NULL; c = c->next) {
        if (c->phase == PHASE_WORKING && !c->exchange->called)
            MHD_resume_connection(c->exchange->mhd);
    }
    struct MHD_Daemon *mhd = h->mhd;
    h->mhd = NULL;
    MHD_stop_daemon(mhd);
}

void http_close(struct http *h)
{
    if (h == NULL)
        return;
    h->ended = true;
    for (struct connection *c = h->connections; c != NULL; c = c->next) {
        if (c->phase == PHASE_WORKING)
            atomic_store(&c->exchange->call.given_up, true);
    }
    scoring_queue_close(h->queue);
    loop_mail_close(h->mail); /* runs on_called for what came back */
    if (h->poll.data != NULL)
        uv_close((uv_handle_t *)&h->poll, on_closed); /* before its descriptor goes */
    if (h->mhd != NULL)
        stop_mhd(h);
    listener_close(&h->listener);
    uv_close((uv_handle_t *)&h->timeout, on_closed);
    uv_close((uv_handle_t *)&h->tick, on_closed);
}
