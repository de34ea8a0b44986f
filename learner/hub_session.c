/* hub_session.c: who talks to the hub: Hello, sessions, and the table of what each role may say.
 *
 * A session belongs to a worker name. A new Hello with the same name ends the session before it:
 * its leases stay when the new one lists them in its first poll, and are lost otherwise (lease.c).
 */
#include "learner/hub_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- replies ---- */

struct msg *hub_reply(const struct request *r, enum frame_type type, struct batch *out)
{
    struct msg *m = batch_alloc(out, sizeof(*m));
    m->type = type;
    struct out *o = batch_out(out, OUT_REPLY);
    o->reply.peer = *r->peer;
    o->reply.session = r->frame->session;
    o->reply.sequence = r->frame->sequence;
    o->reply.msg = m;
    return m;
}

void hub_nack(const struct request *r, enum nack_code code, struct batch *out, const char *fmt, ...)
{
    char text[LIMIT_TEXT];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args); /* a message that is too long is cut */
    va_end(args);
    struct msg *m = hub_reply(r, MSG_NACK, out);
    m->nack.code = code;
    m->nack.message = batch_strdup(out, text);
}

/* ---- workers and sessions ---- */

struct worker *hub_worker(struct hub *h, const char *name, enum frame_role role)
{
    uint64_t key = hash_u64(name, strlen(name));
    struct worker *w = idmap_get(&h->workers, key);
    if (w)
        return strcmp(w->name, name) == 0 ? w : NULL;
    w = mem_alloc(sizeof(*w));
    w->role = role;
    (void)snprintf(w->name, sizeof(w->name), "%s", name); /* its length was checked */
    idmap_put(&h->workers, key, w);
    return w;
}

static void list_remove(struct hub *h, struct session *s)
{
    *(s->prev ? &s->prev->next : &h->sessions) = s->next;
    *(s->next ? &s->next->prev : &h->sessions_tail) = s->prev;
    s->next = s->prev = NULL;
}

static void list_append(struct hub *h, struct session *s)
{
    s->prev = h->sessions_tail;
    *(s->prev ? &s->prev->next : &h->sessions) = s;
    h->sessions_tail = s;
}

void hub_session_last(struct hub *h, struct session *s)
{
    list_remove(h, s);
    list_append(h, s);
}

static void session_forget(struct hub *h, struct session *s)
{
    list_remove(h, s);
    idmap_take(&h->sessions_by_id, s->id);
    s->worker->session = NULL;
    h->session_count--;
    free(s);
}

static void worker_seen(const struct worker *w, enum worker_state state, struct batch *out)
{
    batch_row(out, ROW_WORKER_SEEN)->worker_seen =
        (struct row_worker_seen){.name = batch_strdup(out, w->name), .state = state};
}

void hub_session_drop(struct hub *h, struct session *s, enum worker_state state, struct batch *out)
{
    worker_seen(s->worker, state, out);
    session_forget(h, s);
}

/* A lost worker's leases run to their deadlines: it may only be slow, and their job would not be
 * done faster by another before that. Its session goes when it holds nothing any more. */
void hub_sessions_tick(struct hub *h, uint64_t now_ms, struct batch *out)
{
    for (struct session *s = h->sessions, *next; s; s = next) {
        next = s->next;
        if (!s->lost && !s->parked && s->seen_ms + HUB_LOST_MS <= now_ms) {
            s->lost = true;
            worker_seen(s->worker, WORKER_LOST, out);
            batch_event(out, EVENT_WARN, "worker.lost", s->worker->name,
                "no message for %d ms; it holds %u leases", (int)HUB_LOST_MS,
                s->worker->lease_count);
        }
        if (s->lost && s->worker->lease_count == 0)
            session_forget(h, s);
    }
}

/* ---- Hello ---- */

/* Name of the first kind that the recipe needs and the reward server lacks, or NULL. */
static const char *missing_kind(const struct hub *h, const struct msg_hello *m)
{
    for (size_t i = 0; i < h->o.scorer_count; i++) {
        bool found = false;
        for (size_t k = 0; k < m->scorer_count && !found; k++)
            found = strcmp(m->scorers[k], h->o.scorers[i].kind) == 0;
        if (!found)
            return h->o.scorers[i].kind;
    }
    return NULL;
}

static bool numerics_agree(const struct hub *h, const struct request *r, struct batch *out)
{
    const struct msg_hello *m = &r->msg->hello;
    char theirs[HASH_HEX], ours[HASH_HEX];
    if (m->has_numerics && hash_equal(&m->numerics_id, &h->o.numerics_id))
        return true;
    hub_nack(r, NACK_REFUSED, out, "worker %s computes with numerics id %s, the run with %s",
        m->name, m->has_numerics ? hash_hex(&m->numerics_id, theirs) : "none",
        hash_hex(&h->o.numerics_id, ours));
    batch_event(out, EVENT_WARN, "worker.refused", m->name, "numerics id %s, the run's is %s",
        m->has_numerics ? theirs : "none", ours);
    return false;
}

/* Answers a Hello that may not become a session; false when it may. */
static bool hello_refused(struct hub *h, const struct request *r, struct batch *out)
{
    const struct msg_hello *m = &r->msg->hello;
    const char *missing = r->frame->role == ROLE_REWARD ? missing_kind(h, m) : NULL;
    if (m->protocol != PROTOCOL_VERSION)
        hub_nack(
            r, NACK_UNSUPPORTED, out, "protocol %u, expected %u", m->protocol, PROTOCOL_VERSION);
    else if (h->stopped)
        hub_nack(r, h->draining ? NACK_ENDED : NACK_RETRY, out, "run %s has %s", h->o.run,
            h->draining ? "ended" : "stopped");
    else if (missing)
        hub_nack(
            r, NACK_REFUSED, out, "reward server %s has no scorer of kind %s", m->name, missing);
    else if (h->session_count >= LIMIT_WORKERS || h->workers.count >= HUB_NAMES_MAX)
        hub_nack(r, NACK_RETRY, out, "%zu workers are here, %zu names are known", h->session_count,
            h->workers.count);
    else if (r->frame->role == ROLE_ACTOR)
        return !numerics_agree(h, r, out);
    else
        return false;
    return true;
}

static void welcome(
    struct hub *h, const struct request *r, const struct session *s, struct batch *out)
{
    struct msg *m = hub_reply(r, MSG_WELCOME, out);
    m->welcome = (struct msg_welcome){.session = s->id,
        .epoch = h->epoch,
        .heartbeat_ms = TIMING_HEARTBEAT_MS,
        .lease_ms = h->o.lease_ms,
        .run = batch_strdup(out, h->o.run),
        .model = h->o.model};
}

/* Leases of another role under the same name belong to a worker that is no more. */
static void change_role(struct hub *h, struct worker *w, enum frame_role role, struct batch *out)
{
    while (w->role != role && w->lease_count)
        lease_end(h, w->leases[0], LEASE_LOST, NULL, out);
    w->role = role;
}

static void hello(struct hub *h, const struct request *r, struct batch *out)
{
    const struct msg_hello *m = &r->msg->hello;
    if (hello_refused(h, r, out))
        return;
    struct worker *w = hub_worker(h, m->name, r->frame->role);
    if (!w || w->bad > HUB_BAD_MAX) {
        hub_nack(r, NACK_REFUSED, out, "worker %s: %s", m->name,
            w ? "too many broken results" : "take another name");
        return;
    }
    struct session *old = w->session;
    if (old && old->silent && old->hello_request == r->peer->request_id &&
        w->role == r->frame->role) {
        welcome(h, r, old, out); /* the same Hello again: its answer was lost */
        return;
    }
    if (old)
        session_forget(h, old);
    change_role(h, w, r->frame->role, out);
    struct session *s = mem_alloc(sizeof(*s));
    *s = (struct session){.id = h->next_session++,
        .worker = w,
        .hello_request = r->peer->request_id,
        .seen_ms = r->now_ms,
        .silent = true};
    list_append(h, s);
    idmap_put(&h->sessions_by_id, s->id, s);
    w->session = s;
    h->session_count++;
    batch_row(out, ROW_WORKER_UP)->worker_up =
        (struct row_worker_up){.name = batch_strdup(out, m->name),
            .host = batch_strdup(out, m->host),
            .build = batch_strdup(out, m->build),
            .role = r->frame->role,
            .has_numerics = m->has_numerics,
            .numerics_id = m->numerics_id};
    batch_event(out, EVENT_INFO, "worker.joined", m->name, "%s on %s, %u slots",
        r->frame->role == ROLE_ACTOR ? "actor" : "reward server", m->host, m->slots);
    welcome(h, r, s, out);
}

static void bye(struct hub *h, const struct request *r, struct batch *out)
{
    struct session *s = r->session;
    while (s->worker->lease_count)
        lease_end(h, s->worker->leases[0], LEASE_RELEASED, NULL, out);
    (void)hub_reply(r, MSG_BYE, out);
    batch_event(out, EVENT_INFO, "worker.left", s->worker->name, "it said goodbye");
    hub_session_drop(h, s, WORKER_GONE, out);
}

/* ---- dispatch ---- */

enum { ROLE_BIT_ACTOR = 1 << ROLE_ACTOR, ROLE_BIT_REWARD = 1 << ROLE_REWARD };

struct handler {
    void (*fn)(struct hub *h, const struct request *r, struct batch *out);
    unsigned roles;
    bool needs_session;
};

static const struct handler handlers[MSG_TYPE_COUNT] = {
    [MSG_HELLO] = {hello, ROLE_BIT_ACTOR | ROLE_BIT_REWARD, false},
    [MSG_POLL] = {lease_poll, ROLE_BIT_ACTOR | ROLE_BIT_REWARD, true},
    [MSG_HEARTBEAT] = {lease_heartbeat, ROLE_BIT_ACTOR | ROLE_BIT_REWARD, true},
    [MSG_SUBMIT_GROUP] = {submit_group, ROLE_BIT_ACTOR, true},
    [MSG_SUBMIT_SCORES] = {submit_scores, ROLE_BIT_REWARD, true},
    [MSG_RELEASE] = {lease_release, ROLE_BIT_ACTOR | ROLE_BIT_REWARD, true},
    [MSG_BYE] = {bye, ROLE_BIT_ACTOR | ROLE_BIT_REWARD, true},
};

static void session_alive(struct hub *h, struct session *s, uint64_t now_ms, struct batch *out)
{
    (void)h;
    s->seen_ms = now_ms;
    s->silent = false;
    if (s->lost) {
        s->lost = false;
        worker_seen(s->worker, WORKER_UP, out);
    }
}

void hub_message(struct hub *h, const struct hub_event *ev, uint64_t now_ms, struct batch *out)
{
    struct request r = {.peer = ev->message.peer,
        .frame = ev->message.frame,
        .msg = ev->message.msg,
        .now_ms = now_ms};
    const struct frame *f = r.frame;
    const struct handler *handler = f->type < MSG_TYPE_COUNT ? &handlers[f->type] : NULL;
    if (!handler || !handler->fn) {
        hub_nack(&r, NACK_UNSUPPORTED, out, "the learner takes no %s", frame_type_name(f->type));
        return;
    }
    if (f->role > ROLE_REWARD || !(handler->roles & 1u << f->role)) {
        hub_nack(&r, NACK_REFUSED, out, "not for this role: %s", frame_type_name(f->type));
        return;
    }
    if (!handler->needs_session) {
        handler->fn(h, &r, out);
        return;
    }
    r.session = idmap_get(&h->sessions_by_id, f->session);
    if (!r.session && f->type == MSG_BYE) {
        (void)hub_reply(&r, MSG_BYE, out); /* it left already: the first answer was lost */
        return;
    }
    if (!r.session || f->epoch != h->epoch) {
        hub_nack(&r, NACK_UNKNOWN_SESSION, out, "session %ju of epoch %u", (uintmax_t)f->session,
            f->epoch);
        return;
    }
    if (r.session->worker->role != (enum frame_role)f->role) {
        hub_nack(&r, NACK_REFUSED, out, "the session has another role");
        return;
    }
    session_alive(h, r.session, now_ms, out);
    handler->fn(h, &r, out);
}

/* ---- blobs ---- */

/* NULL when the lease authorises the blob. */
static const char *lease_refusal(const struct lease *l, bool actor, const struct msg_get_blob *g)
{
    if (!l)
        return "no live lease of this worker";
    if (g->kind == BLOB_GRADE_INPUT)
        return !actor && l->job->id == g->id ? NULL : "the lease is not on this job";
    if (g->kind == BLOB_WEIGHTS || g->kind == BLOB_WEIGHTS_MANIFEST)
        return actor && l->job->group->version == g->id ? NULL : "the lease is not on this version";
    return "unknown kind of blob";
}

int hub_blob_refusal(
    const struct hub *h, const struct frame *f, const struct msg_get_blob *g, const char **ret_why)
{
    const struct session *s = idmap_get(&h->sessions_by_id, f->session);
    bool actor = f->role == ROLE_ACTOR;
    if (!s || s->worker->role != (enum frame_role)f->role) {
        *ret_why = "unknown session";
        return NACK_UNKNOWN_SESSION;
    }
    if (g->kind == BLOB_MODEL_CONFIG)
        *ret_why = actor ? NULL : "the model is for actors";
    else
        *ret_why = lease_refusal(lease_of(h, g->lease, s->worker), actor, g);
    return *ret_why ? NACK_NOT_FOUND : 0;
}
