/* worker.c: a worker's life: address, session, drain, end. */
#include "common/net/worker.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/net/bus_socket.h"
#include "common/net/worker_impl.h"

enum {
    ADDRESS_WAIT_MS = 50,    /* first look for an address that is not there; doubles ... */
    ADDRESS_CHECK_MS = 1000, /* ... up to this, which is also the pace of later looks */
    ADDRESS_BYTES_MAX = 4096,
    SESSION_SHORT_MS =
        1000, /* a session that ended sooner is not followed at once by another Hello */
    BYE_MS = 2 * TIMING_REQUEST_MS,
    LEASE_BEATS = 3, /* at least so many heartbeats while a lease lasts */
};

static void turn(struct worker *w);

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

void worker_kick(struct worker *w)
{
    if (w->state != WORKER_STOPPED)
        (void)uv_timer_start(&w->timer, on_timer, 0, 0);
}

void worker_wake_at(struct worker *w, uint64_t at_ms)
{
    if (at_ms < w->wake_ms)
        w->wake_ms = at_ms;
}

/* ---- messages ---- */

uint64_t worker_send(struct worker *w, struct bus_client *c, enum frame_type type,
    const struct buf *payload, uint32_t deadline_ms, uint32_t extra_wait_ms, bus_reply_fn *fn,
    void *arg)
{
    struct frame f = {
        .type = (uint16_t)type,
        .role = (uint8_t)w->role,
        .epoch = w->session != 0 ? w->epoch : 0,
        .session = w->session,
        .sequence = ++w->sequence,
        .payload = payload->data,
        .payload_bytes = (uint32_t)payload->len,
    };
    return bus_client_request(c, &f, deadline_ms, extra_wait_ms, fn, arg);
}

uint64_t worker_send_msg(struct worker *w, struct bus_client *c, const struct msg *m,
    uint32_t deadline_ms, uint32_t extra_wait_ms, bus_reply_fn *fn, void *arg)
{
    buf_clear(&w->scratch);
    msg_pack(&w->scratch, m);
    return worker_send(w, c, m->type, &w->scratch, deadline_ms, extra_wait_ms, fn, arg);
}

/* Requests of the old session are forgotten; leases, results and fetches go on in the next one. */
static void session_lost(struct worker *w, const char *why)
{
    if (w->state != WORKER_LIVE)
        return;
    uint64_t now_ms = clock_mono_ms();
    log_info("worker", "session lost, saying Hello again", LOG_STR("why", why),
        LOG_U64("leases", w->held_count));
    worker_jobs_session_lost(w);
    worker_fetch_session_lost(w);
    w->state = WORKER_SEEKING;
    w->session = 0;
    if (now_ms - w->session_start_ms < SESSION_SHORT_MS)
        w->hello_not_before_ms = now_ms + TIMING_RETRY_MS;
    worker_kick(w);
}

/* The Nacks that mean the same whatever was asked. True when m was one of them. */
static bool nack_ends(struct worker *w, const struct frame *f, const struct msg *m)
{
    if (m->type != MSG_NACK)
        return false;
    if (m->nack.code == NACK_UNKNOWN_SESSION) {
        session_lost(w, m->nack.message);
        return true;
    }
    if (m->nack.code == NACK_ENDED) {
        worker_end(w, 0, m->nack.message);
        return true;
    }
    if (m->nack.code == NACK_REFUSED) {
        worker_end(w, ERR_FAIL, m->nack.message);
        return true;
    }
    if (m->nack.code == NACK_BAD_FRAME || m->nack.code == NACK_UNSUPPORTED)
        log_warn("worker", "the learner does not take a message", LOG_STR("why", m->nack.message));
    return false;
}

bool worker_read(struct worker *w, const struct frame *f, enum frame_type expected, struct msg *ret)
{
    struct err e = {0};
    struct msg m;
    arena_clear(w->arena);
    int r = msg_unpack(f, w->arena, &m, &e);
    if (r == 0 && m.type != expected && m.type != MSG_NACK)
        r = err_set(
            &e, ERR_LIMIT, "%s, expected %s", frame_type_name(m.type), frame_type_name(expected));
    if (r != 0) {
        log_warn("worker", "unreadable reply, retrying", LOG_ERR(&e));
        return false;
    }
    if (nack_ends(w, f, &m))
        return false;
    if (w->state == WORKER_LIVE && f->epoch != 0 && f->epoch != w->epoch) {
        session_lost(w, "the learner has restarted");
        return false;
    }
    *ret = m;
    return true;
}

/* ---- address ---- */

static int open_clients(struct worker *w, const char *address, struct err *e)
{
    CLEANUP_FREE char *ctl = mem_printf("%s/ctl", address);
    CLEANUP_FREE char *bulk = mem_printf("%s/bulk", address);
    int r = bus_address_check(bulk, e); /* the longer one */
    if (r == 0)
        r = bus_address_check(ctl, e);
    if (r != 0)
        return r;
    if (w->ctl == NULL)
        r = bus_client_open(w->loop, ctl, &w->ctl, e);
    else
        bus_client_set_address(w->ctl, ctl);
    if (r != 0)
        return r;
    if (w->bulk == NULL)
        r = bus_client_open(w->loop, bulk, &w->bulk, e);
    else
        bus_client_set_address(w->bulk, bulk);
    return r;
}

/* One line, "ipc://DIR". */
static int read_address(const struct worker *w, char **ret, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/address", w->run_dir);
    CLEANUP_BUF struct buf text = {0};
    int r = file_read(path, ADDRESS_BYTES_MAX, &text, e);
    if (r != 0)
        return r;
    size_t n = text.data != NULL ? strcspn((const char *)text.data, "\r\n") : 0;
    if (n == 0)
        return err_set(e, ERR_CONFIG, "'%s': empty, expected ipc://DIR", path);
    *ret = mem_strndup((const char *)text.data, n);
    return 0;
}

/* A run that has finished: another learner may come to make it longer, but not to finish it again.
 */
static void address_ended(struct worker *w, uint64_t now_ms)
{
    if (w->ended_since_ms == 0)
        w->ended_since_ms = now_ms;
    if (now_ms - w->ended_since_ms >= TIMING_ENDED_MS)
        worker_end(w, 0, "the run has ended");
}

/* Follows the address file: a learner that starts anew may have other sockets. Failing is normal
 * while there is no learner, so the reason is said once. */
static void address_turn(struct worker *w, uint64_t now_ms)
{
    if (w->run_dir == NULL)
        return;
    if (w->address_check_ms > now_ms) {
        worker_wake_at(w, w->address_check_ms);
        return;
    }
    CLEANUP_FREE char *address = NULL;
    struct err e = {0};
    int r = read_address(w, &address, &e);
    bool ended = r == 0 && strcmp(address, ADDRESS_ENDED) == 0;
    if (ended)
        address_ended(w, now_ms);
    else
        w->ended_since_ms = 0;
    if (r == 0 && !ended && (w->address == NULL || strcmp(address, w->address) != 0)) {
        r = open_clients(w, address, &e);
        if (r == 0) {
            log_info("worker", "learner's address", LOG_STR("address", address));
            free(w->address);
            w->address = steal(&address);
        }
    }
    if (r != 0 && w->address_wait_ms == ADDRESS_WAIT_MS)
        log_info("worker", "no learner yet, waiting", LOG_ERR(&e));
    if (r == 0)
        w->address_wait_ms = ADDRESS_WAIT_MS;
    else if (w->address_wait_ms < ADDRESS_CHECK_MS)
        w->address_wait_ms *= 2;
    bool settled = r == 0 && !ended;
    w->address_check_ms = now_ms + (settled ? ADDRESS_CHECK_MS : w->address_wait_ms);
    worker_wake_at(w, w->address_check_ms);
}

/* ---- session ---- */

static void begin_session(struct worker *w, const struct msg_welcome *welcome)
{
    w->state = WORKER_LIVE;
    w->session = welcome->session;
    w->epoch = welcome->epoch;
    w->heartbeat_ms = welcome->heartbeat_ms;
    if (w->heartbeat_ms > welcome->lease_ms / LEASE_BEATS)
        w->heartbeat_ms = welcome->lease_ms / LEASE_BEATS + 1;
    w->session_start_ms = clock_mono_ms();
    w->poll_not_before_ms = 0;
    w->heartbeat_due_ms = w->session_start_ms;
    w->offer = w->held_count > 0;
    log_info("worker", "session begins", LOG_STR("run", welcome->run), LOG_U64("epoch", w->epoch),
        LOG_U64("leases", w->held_count));
    w->events.welcomed(w->arg, welcome);
}

static void on_hello_reply(void *arg, const struct frame *reply)
{
    struct worker *w = arg;
    struct msg m;
    w->hello = 0;
    if (!worker_read(w, reply, MSG_WELCOME, &m))
        w->hello_not_before_ms = clock_mono_ms() + TIMING_RETRY_MS;
    else if (m.type == MSG_WELCOME)
        begin_session(w, &m.welcome);
    else if (m.nack.code == NACK_UNSUPPORTED || m.nack.code == NACK_BAD_FRAME)
        worker_end(w, ERR_FAIL, m.nack.message);
    else
        w->hello_not_before_ms = clock_mono_ms() + TIMING_RETRY_MS;
    worker_kick(w);
}

static void hello_turn(struct worker *w, uint64_t now_ms)
{
    if (w->hello != 0 || w->ctl == NULL || w->bulk == NULL)
        return;
    if (w->hello_not_before_ms > now_ms) {
        worker_wake_at(w, w->hello_not_before_ms);
        return;
    }
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1); /* for people; empty will do */
    struct msg m = {.type = MSG_HELLO};
    m.hello = (struct msg_hello){
        .name = w->name,
        .build = COHORT_BUILD,
        .host = host,
        .protocol = PROTOCOL_VERSION,
        .slots = w->slots,
        .has_numerics = w->has_numerics,
        .numerics_id = w->numerics_id,
        .scorers = (const char **)w->scorers,
        .scorer_count = w->scorer_count,
    };
    worker_boot_id(m.hello.boot_id);
    w->hello = worker_send_msg(w, w->ctl, &m, 0, 0, on_hello_reply, w);
}

/* ---- drain and end ---- */

void worker_end(struct worker *w, int code, const char *why)
{
    if (w->state >= WORKER_ENDING)
        return;
    w->state = WORKER_ENDING;
    w->stop_code = code;
    w->stop_why = mem_strdup(why);
    worker_kick(w);
}

void worker_start_drain(struct worker *w, uint64_t deadline_ms)
{
    if (w->draining && deadline_ms >= w->drain_deadline_ms)
        return;
    w->draining = true;
    w->drain_deadline_ms = deadline_ms;
    if (w->poll != 0) /* what it would grant goes back with Bye */
        bus_client_cancel(w->ctl, w->poll);
    w->poll = 0;
    worker_kick(w);
}

void worker_drain(struct worker *w, uint32_t grace_ms)
{
    worker_start_drain(w, clock_mono_ms() + grace_ms);
}

static void on_bye_reply(void *arg, const struct frame *reply)
{
    struct worker *w = arg;
    (void)reply; /* answered or not: the learner ends the leases of a silent worker anyway */
    w->bye = 0;
    worker_end(w, 0, "drained");
}

static void drain_turn(struct worker *w, uint64_t now_ms)
{
    if (!w->draining || w->state >= WORKER_BYE)
        return;
    if (w->drain_deadline_ms <= now_ms)
        worker_jobs_abandon(w);
    else
        worker_wake_at(w, w->drain_deadline_ms);
    if (w->held_count > 0 || worker_jobs_submitting(w))
        return;
    if (w->state != WORKER_LIVE) {
        worker_end(w, 0, "drained");
        return;
    }
    struct msg m = {.type = MSG_BYE};
    w->state = WORKER_BYE;
    w->bye = worker_send_msg(w, w->ctl, &m, BYE_MS, 0, on_bye_reply, w);
}

/* The last turn. The clients are closed here and not where the end was decided, since that may be
 * one of their callbacks. */
static void finish(struct worker *w)
{
    worker_fetch_fail_all(w, "the worker has stopped");
    bus_client_close(steal(&w->ctl));
    bus_client_close(steal(&w->bulk));
    worker_jobs_done(w);
    w->state = WORKER_STOPPED;
    (void)uv_timer_stop(&w->timer);
    w->events.stopped(w->arg, w->stop_code, w->stop_why);
}

static void turn(struct worker *w)
{
    uint64_t now_ms = clock_mono_ms();
    w->wake_ms = now_ms + ADDRESS_CHECK_MS;
    drain_turn(w, now_ms);
    if (w->state == WORKER_ENDING) {
        finish(w);
        return;
    }
    address_turn(w, now_ms);
    if (w->state == WORKER_SEEKING)
        hello_turn(w, now_ms);
    if (w->state == WORKER_LIVE) {
        worker_jobs_turn(w, now_ms);
        worker_fetch_turn(w, now_ms);
    }
    uv_update_time(w->loop);
    (void)uv_timer_start(&w->timer, on_timer, w->wake_ms > now_ms ? w->wake_ms - now_ms : 0, 0);
}

/* ---- open and close ---- */

static int check_options(const struct worker_options *o, struct err *e)
{
    size_t n = strlen(o->name);
    if (n == 0 || n > LIMIT_NAME || strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n)
        return err_set(
            e, ERR_CONFIG, "worker name '%.100s': expected [a-z0-9._-]{1,%d}", o->name, LIMIT_NAME);
    if (o->slots < 1 || o->slots > LIMIT_LEASES_PER_WORKER)
        return err_set(e, ERR_CONFIG, "worker '%s': %u slots, expected 1 to %d", o->name, o->slots,
            LIMIT_LEASES_PER_WORKER);
    if (o->scorer_count > LIMIT_SCORER_KINDS)
        return err_set(e, ERR_CONFIG, "worker '%s': %zu scorers, the limit is %d", o->name,
            o->scorer_count, LIMIT_SCORER_KINDS);
    if (o->run_dir == NULL && o->address == NULL)
        return err_set(e, ERR_CONFIG, "worker '%s': no run directory and no address", o->name);
    return 0;
}

static void worker_free(struct worker *w)
{
    worker_jobs_done(w);
    worker_fetch_done(w);
    for (size_t i = 0; i < w->scorer_count; i++)
        free(w->scorers[i]);
    free(w->scorers);
    free(w->name);
    free(w->run_dir);
    free(w->address);
    free(w->stop_why);
    arena_free(w->arena);
    buf_done(&w->scratch);
    free(w);
}

static struct worker *worker_new(uv_loop_t *loop, const struct worker_options *o)
{
    struct worker *w = mem_alloc(sizeof(*w));
    w->loop = loop;
    w->role = o->role;
    w->name = mem_strdup(o->name);
    w->run_dir = mem_strdup(o->run_dir);
    w->slots = o->slots;
    if (o->numerics_id != NULL) {
        w->has_numerics = true;
        w->numerics_id = *o->numerics_id;
    }
    w->scorer_count = o->scorer_count;
    w->scorers = mem_array(o->scorer_count, sizeof(*w->scorers));
    for (size_t i = 0; i < o->scorer_count; i++)
        w->scorers[i] = mem_strdup(o->scorers[i]);
    w->arena = arena_new(0); /* each reply has its own bound in the codec */
    w->address_wait_ms = ADDRESS_WAIT_MS;
    return w;
}

int worker_open(uv_loop_t *loop, const struct worker_options *o, const struct worker_events *ev,
    void *arg, struct worker **ret, struct err *e)
{
    int r = check_options(o, e);
    if (r != 0)
        return r;
    struct worker *w = worker_new(loop, o);
    w->events = *ev;
    w->arg = arg;
    if (w->run_dir == NULL) {
        w->address = mem_strdup(o->address);
        r = open_clients(w, o->address, e);
        if (r != 0) {
            bus_client_close(w->ctl);
            bus_client_close(w->bulk);
            worker_free(w);
            return err_ctx(e, "worker '%s'", o->name);
        }
    }
    (void)uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    worker_kick(w);
    *ret = w;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    worker_free(handle->data);
}

void worker_close(struct worker *w)
{
    if (w == NULL)
        return;
    bus_client_close(steal(&w->ctl));
    bus_client_close(steal(&w->bulk));
    w->state = WORKER_STOPPED;
    uv_close((uv_handle_t *)&w->timer, on_closed);
}

void worker_boot_id(uint8_t out[16])
{
    CLEANUP_BUF struct buf text = {0};
    memset(out, 0, 16);
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL) != 0)
        return;
    size_t digits = 0;
    uint8_t id[16] = {0};
    for (size_t i = 0; i < text.len && digits < 32; i++) {
        int c = text.data[i];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value >= 0) {
            id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | value);
            digits++;
        }
    }
    if (digits == 32)
        memcpy(out, id, 16);
}
