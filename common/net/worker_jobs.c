/* worker_jobs.c: polls, heartbeats, the held leases and the outbox of results. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/worker_impl.h"

enum {
    EMPTY_GRANT_PAUSE_MS = 50
}; /* a learner that answers at once with nothing is not asked faster */

static struct held_lease *held_find(struct worker *w, uint64_t lease)
{
    for (size_t i = 0; i < w->held_count; i++) {
        if (w->held[i].lease == lease)
            return &w->held[i];
    }
    return NULL;
}

static void held_remove(struct worker *w, uint64_t lease)
{
    struct held_lease *h = held_find(w, lease);
    if (h != NULL)
        *h = w->held[--w->held_count];
}

static size_t held_list(const struct worker *w, uint64_t out[LIMIT_LEASES_PER_WORKER])
{
    for (size_t i = 0; i < w->held_count; i++)
        out[i] = w->held[i].lease;
    return w->held_count;
}

/* ---- outbox ---- */

static void outgoing_free(struct outgoing *o)
{
    buf_done(&o->payload);
    free(o);
}

static void outbox_unlink(struct worker *w, struct outgoing *o)
{
    struct outgoing **p = &w->outbox;
    while (*p != o)
        p = &(*p)->next;
    *p = o->next;
}

static void outbox_add(struct worker *w, uint64_t lease, enum frame_type type, struct buf *payload,
    void (*on_done)(void *arg, uint64_t lease, const struct msg_submit_reply *reply))
{
    struct outgoing *o = mem_alloc(sizeof(*o));
    *o = (struct outgoing){
        .worker = w, .lease = lease, .type = type, .payload = *payload, .on_done = on_done};
    *payload = (struct buf){0};
    struct outgoing **end = &w->outbox;
    while (*end != NULL)
        end = &(*end)->next;
    *end = o;
    worker_kick(w);
}

static void outgoing_answered(struct outgoing *o, const struct msg_submit_reply *reply)
{
    struct worker *w = o->worker;
    outbox_unlink(w, o);
    held_remove(w, o->lease);
    if (o->on_done != NULL)
        o->on_done(w->arg, o->lease, reply);
    outgoing_free(o);
    worker_kick(w);
}

static void outgoing_later(struct outgoing *o, uint32_t ms)
{
    o->not_before_ms = clock_mono_ms() + ms;
    worker_kick(o->worker);
}

/* An answer that says it was not understood is final: sending the same bytes again would not help.
 */
static void outgoing_nacked(struct outgoing *o, const struct msg_nack *nack)
{
    struct msg_submit_reply bad = {.status = SUBMIT_BAD, .message = nack->message};
    if (nack->code == NACK_RETRY)
        outgoing_later(o, TIMING_RETRY_MS);
    else
        outgoing_answered(o, &bad);
}

static void on_outgoing_reply(void *arg, const struct frame *reply)
{
    struct outgoing *o = arg;
    struct worker *w = o->worker;
    struct msg m;
    o->request = 0;
    enum frame_type expected = o->type == MSG_RELEASE ? MSG_RELEASED : MSG_SUBMIT_REPLY;
    if (!worker_read(w, reply, expected, &m))
        outgoing_later(o, TIMING_RETRY_MS);
    else if (m.type == MSG_NACK)
        outgoing_nacked(o, &m.nack);
    else if (m.type == MSG_SUBMIT_REPLY && m.submit_reply.status == SUBMIT_RETRY)
        outgoing_later(o, m.submit_reply.retry_ms > 0 ? m.submit_reply.retry_ms : TIMING_RETRY_MS);
    else
        outgoing_answered(o, m.type == MSG_SUBMIT_REPLY ? &m.submit_reply : NULL);
}

static void outbox_turn(struct worker *w, uint64_t now_ms)
{
    for (struct outgoing *o = w->outbox; o != NULL; o = o->next) {
        if (o->request != 0)
            continue;
        if (o->not_before_ms > now_ms)
            worker_wake_at(w, o->not_before_ms);
        else
            o->request = worker_send(w, w->ctl, o->type, &o->payload, 0, 0, on_outgoing_reply, o);
    }
}

void worker_submit(struct worker *w, uint64_t lease, enum frame_type type, struct buf *payload,
    void (*on_done)(void *arg, uint64_t lease, const struct msg_submit_reply *reply))
{
    assert(type == MSG_SUBMIT_GROUP || type == MSG_SUBMIT_SCORES);
    if (w->state >= WORKER_ENDING) {
        buf_done(payload);
        return;
    }
    if (payload->len > frame_payload_max(type)) {
        struct msg_submit_reply bad = {
            .status = SUBMIT_BAD, .message = "the result exceeds the limit of a submission"};
        buf_done(payload);
        worker_release(w, lease, bad.message);
        if (on_done != NULL)
            on_done(w->arg, lease, &bad);
        return;
    }
    struct held_lease *h = held_find(w, lease);
    assert(h == NULL || !h->submitted);
    if (h != NULL)
        h->submitted = true;
    outbox_add(w, lease, type, payload, on_done);
}

void worker_release(struct worker *w, uint64_t lease, const char *why)
{
    held_remove(w, lease);
    if (w->state >= WORKER_ENDING)
        return;
    struct msg m = {
        .type = MSG_RELEASE, .release = {.leases = &lease, .lease_count = 1, .why = why}};
    struct buf payload = {0};
    msg_pack(&payload, &m);
    outbox_add(w, lease, MSG_RELEASE, &payload, NULL);
}

void worker_progress(struct worker *w, uint64_t tokens)
{
    w->tokens = tokens;
}

bool worker_jobs_submitting(const struct worker *w)
{
    for (const struct outgoing *o = w->outbox; o != NULL; o = o->next) {
        if (o->type != MSG_RELEASE)
            return true;
    }
    return false;
}

/* ---- leases ---- */

/* A lease whose result is in the outbox is only forgotten: the answer to the result will tell. */
static void leases_revoke(struct worker *w, const uint64_t *leases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct held_lease *h = held_find(w, leases[i]);
        if (h == NULL)
            continue;
        bool submitted = h->submitted;
        held_remove(w, leases[i]);
        if (!submitted)
            w->events.revoked(w->arg, leases[i]);
    }
}

/* Takes a lease on, or gives it back at once when it was not asked for. */
static bool lease_accept(struct worker *w, uint64_t lease, enum frame_role role)
{
    if (held_find(w, lease) != NULL)
        return false;
    if (w->role != role || w->held_count >= w->slots || w->draining) {
        worker_release(w, lease, w->role != role ? "not a job for this role" : "no free slot");
        return false;
    }
    w->held[w->held_count++] = (struct held_lease){.lease = lease};
    return true;
}

static void on_grant(struct worker *w, const struct msg_grant *g)
{
    uint64_t now_ms = clock_mono_ms();
    leases_revoke(w, g->revoked, g->revoked_count);
    for (size_t i = 0; i < g->sample_count; i++) {
        if (lease_accept(w, g->sample[i].lease, ROLE_ACTOR))
            w->events.sample(w->arg, &g->sample[i]);
    }
    for (size_t i = 0; i < g->grade_count; i++) {
        if (lease_accept(w, g->grade[i].lease, ROLE_REWARD))
            w->events.grade(w->arg, &g->grade[i]);
    }
    if (g->retry_ms > 0)
        w->poll_not_before_ms = now_ms + g->retry_ms;
    else if (g->sample_count + g->grade_count == 0)
        w->poll_not_before_ms = w->poll_sent_ms + EMPTY_GRANT_PAUSE_MS;
    if (g->drain)
        worker_start_drain(w, UINT64_MAX);
}

static void on_poll_reply(void *arg, const struct frame *reply)
{
    struct worker *w = arg;
    struct msg m;
    w->poll = 0;
    if (worker_read(w, reply, MSG_GRANT, &m) && m.type == MSG_GRANT)
        on_grant(w, &m.grant);
    else
        w->poll_not_before_ms = clock_mono_ms() + TIMING_RETRY_MS;
    worker_kick(w);
}

static void poll_turn(struct worker *w, uint64_t now_ms)
{
    size_t room = w->slots > w->held_count && !w->draining ? w->slots - w->held_count : 0;
    if (w->poll != 0 || (room == 0 && !w->offer))
        return;
    if (w->poll_not_before_ms > now_ms) {
        worker_wake_at(w, w->poll_not_before_ms);
        return;
    }
    uint64_t leases[LIMIT_LEASES_PER_WORKER];
    struct msg m = {.type = MSG_POLL};
    m.poll.max_jobs = (uint32_t)(room < LIMIT_GRANT ? room : LIMIT_GRANT);
    m.poll.wait_ms = room > 0 ? TIMING_POLL_MS : 0;
    m.poll.leases = leases;
    m.poll.lease_count = held_list(w, leases);
    m.poll.tokens = w->tokens;
    w->offer = false;
    w->poll_sent_ms = now_ms;
    w->heartbeat_due_ms = now_ms + w->heartbeat_ms; /* a poll says all that one says */
    w->poll = worker_send_msg(w, w->ctl, &m, 0, m.poll.wait_ms, on_poll_reply, w);
}

static void on_heartbeat_reply(void *arg, const struct frame *reply)
{
    struct worker *w = arg;
    struct msg m;
    w->heartbeat = 0;
    w->heartbeat_due_ms = clock_mono_ms() + w->heartbeat_ms;
    if (worker_read(w, reply, MSG_HEARTBEAT_REPLY, &m) && m.type == MSG_HEARTBEAT_REPLY) {
        leases_revoke(w, m.heartbeat_reply.revoked, m.heartbeat_reply.revoked_count);
        if (m.heartbeat_reply.drain)
            worker_start_drain(w, UINT64_MAX);
    }
    worker_kick(w);
}

/* Also while a poll waits for its answer: that may take longer than a short lease lasts. */
static void heartbeat_turn(struct worker *w, uint64_t now_ms)
{
    if (w->held_count == 0 || w->heartbeat != 0)
        return;
    if (w->heartbeat_due_ms > now_ms) {
        worker_wake_at(w, w->heartbeat_due_ms);
        return;
    }
    uint64_t leases[LIMIT_LEASES_PER_WORKER];
    struct msg m = {.type = MSG_HEARTBEAT};
    m.heartbeat.leases = leases;
    m.heartbeat.lease_count = held_list(w, leases);
    m.heartbeat.tokens = w->tokens;
    w->heartbeat = worker_send_msg(w, w->ctl, &m, 0, 0, on_heartbeat_reply, w);
}

void worker_jobs_turn(struct worker *w, uint64_t now_ms)
{
    outbox_turn(w, now_ms);
    poll_turn(w, now_ms);
    heartbeat_turn(w, now_ms);
}

void worker_jobs_session_lost(struct worker *w)
{
    bus_client_cancel(w->ctl, w->poll);
    bus_client_cancel(w->ctl, w->heartbeat);
    w->poll = 0;
    w->heartbeat = 0;
    for (struct outgoing *o = w->outbox; o != NULL; o = o->next) {
        bus_client_cancel(w->ctl, o->request);
        o->request = 0;
    }
}

/* What is not finished goes back to the learner, with the Bye that follows; what is finished but
 * unanswered is forgotten: the learner has it, or has the job done again. */
void worker_jobs_abandon(struct worker *w)
{
    for (struct outgoing *o = w->outbox, *next; o != NULL; o = next) {
        next = o->next;
        if (o->type == MSG_RELEASE)
            continue;
        if (o->request != 0)
            bus_client_cancel(w->ctl, o->request);
        held_remove(w, o->lease);
        outbox_unlink(w, o);
        outgoing_free(o);
    }
    while (w->held_count > 0) {
        uint64_t lease = w->held[0].lease;
        held_remove(w, lease);
        w->events.revoked(w->arg, lease);
    }
}

void worker_jobs_done(struct worker *w)
{
    while (w->outbox != NULL) {
        struct outgoing *o = w->outbox;
        w->outbox = o->next;
        outgoing_free(o);
    }
    w->held_count = 0;
}
