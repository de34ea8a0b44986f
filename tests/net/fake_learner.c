/* fake_learner.c: see fake_learner.h. */
#include "tests/net/fake_learner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void reply(struct learner *l, struct bus_server *s, const struct bus_route *to, uint64_t id,
    const struct msg *m)
{
    CLEANUP_BUF struct buf b = {0};
    msg_pack(&b, m);
    struct frame f = {.type = (uint16_t)m->type,
        .role = ROLE_LEARNER,
        .epoch = l->epoch,
        .session = l->session,
        .request_id = id,
        .payload = b.data,
        .payload_bytes = (uint32_t)b.len};
    bus_server_reply(s, to, &f);
}

static void nack(struct learner *l, struct bus_server *s, const struct bus_route *to, uint64_t id,
    enum nack_code code, const char *message)
{
    struct msg m = {.type = MSG_NACK, .nack = {.code = code, .message = message}};
    reply(l, s, to, id, &m);
}

static void answer_hello(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    l->hellos++;
    l->hello = in->hello;
    (void)snprintf(l->hello_name, sizeof(l->hello_name), "%s", in->hello.name);
    if (l->hello_nack != 0 && l->hello_nacks > 0) {
        l->hello_nacks--;
        nack(l, l->ctl, from, f->request_id, l->hello_nack, "the learner says no");
        return;
    }
    l->session++;
    struct msg m = {.type = MSG_WELCOME};
    m.welcome = (struct msg_welcome){.session = l->session,
        .epoch = l->epoch,
        .heartbeat_ms = l->heartbeat_ms,
        .lease_ms = l->lease_ms,
        .run = "test"};
    reply(l, l->ctl, from, f->request_id, &m);
}

static const uint32_t prompt[] = {1, 2, 3};

static struct sample_lease sample_of(uint64_t id)
{
    return (struct sample_lease){.lease = id,
        .job = id,
        .group = id,
        .lease_ms = 30000,
        .version = 1,
        .prompt = prompt,
        .prompt_len = 3,
        .n = 2,
        .max_tokens = 8,
        .vocab = 16,
        .domain = 1};
}

static struct grade_lease grade_of(uint64_t id)
{
    return (struct grade_lease){.lease = id,
        .job = id,
        .group = id,
        .lease_ms = 30000,
        .input = {.kind = BLOB_GRADE_INPUT, .id = id, .bytes = 10}};
}

static void take_leases(struct learner *l, const uint64_t *leases, size_t n, uint64_t tokens)
{
    if (n > 0)
        memcpy(l->held, leases, n * sizeof(*leases));
    l->held_count = n;
    l->tokens = tokens;
}

static void grant(struct learner *l, const struct bus_route *to, uint64_t id)
{
    struct sample_lease samples[LIMIT_GRANT];
    struct grade_lease grades[LIMIT_GRANT];
    struct msg m = {.type = MSG_GRANT};
    size_t n = 0;
    for (; n < l->max_jobs && l->grant_count > 0; n++, l->grant_count--) {
        samples[n] = sample_of(l->to_grant[l->grant_first]);
        grades[n] = grade_of(l->to_grant[l->grant_first++]);
    }
    m.grant = (struct msg_grant){.sample = samples,
        .sample_count = l->grade ? 0 : n,
        .grade = grades,
        .grade_count = l->grade ? n : 0,
        .revoked = l->revoke,
        .revoked_count = l->revoke_count,
        .drain = l->drain};
    l->revoke_count = 0;
    l->parked = false;
    reply(l, l->ctl, to, id, &m);
}

static bool something_to_say(const struct learner *l)
{
    return (l->grant_count > 0 && l->max_jobs > 0) || l->revoke_count > 0 || l->drain ||
           l->wait_ms == 0;
}

static void answer_poll(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    l->polls++;
    take_leases(l, in->poll.leases, in->poll.lease_count, in->poll.tokens);
    l->max_jobs = in->poll.max_jobs;
    l->wait_ms = in->poll.wait_ms;
    if (l->poll_nack != 0) {
        nack(l, l->ctl, from, f->request_id, l->poll_nack, "not now");
        l->poll_nack = 0;
        return;
    }
    l->parked_route = *from;
    l->parked_id = f->request_id;
    l->parked = true;
    if (something_to_say(l))
        grant(l, from, f->request_id);
}

void learner_wake(struct learner *l)
{
    if (l->parked && something_to_say(l))
        grant(l, &l->parked_route, l->parked_id);
}

static void answer_heartbeat(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    l->heartbeats++;
    take_leases(l, in->heartbeat.leases, in->heartbeat.lease_count, in->heartbeat.tokens);
    struct msg m = {.type = MSG_HEARTBEAT_REPLY};
    m.heartbeat_reply = (struct msg_heartbeat_reply){
        .revoked = l->revoke, .revoked_count = l->revoke_count, .drain = l->drain};
    l->revoke_count = 0;
    reply(l, l->ctl, from, f->request_id, &m);
}

static void answer_submit(
    struct learner *l, const struct bus_route *from, const struct frame *f, uint64_t lease)
{
    assert_true(l->submits < MANY);
    l->submitted[l->submits] = lease;
    size_t i = l->submits++;
    if (l->mute_submits)
        return;
    struct msg m = {.type = MSG_SUBMIT_REPLY};
    m.submit_reply.status = i < l->submit_count ? l->submit[i] : SUBMIT_OK;
    m.submit_reply.message = "as the script says";
    m.submit_reply.retry_ms = 1;
    reply(l, l->ctl, from, f->request_id, &m);
}

static void answer_blob(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    const struct msg_get_blob *g = &in->get_blob;
    l->chunks++;
    if (l->mute_chunks_after > 0 && l->chunks > l->mute_chunks_after)
        return;
    if (l->blob == NULL) {
        nack(l, l->bulk, from, f->request_id, NACK_NOT_FOUND, "no such blob");
        return;
    }
    uint64_t left = l->blob_bytes - g->offset;
    uint64_t n = left < g->bytes ? left : g->bytes;
    struct msg m = {.type = MSG_BLOB_CHUNK};
    m.blob_chunk.total = l->blob_claimed != 0 ? l->blob_claimed : l->blob_bytes;
    m.blob_chunk.data = l->blob + g->offset;
    m.blob_chunk.data_len = (size_t)(n < l->chunk_max ? n : l->chunk_max);
    reply(l, l->bulk, from, f->request_id, &m);
}

static void on_request(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct learner *l = arg;
    struct bus_server *s = f->type == MSG_GET_BLOB ? l->bulk : l->ctl;
    struct arena *a = arena_new(0);
    struct err e = {0};
    struct msg m;
    if (msg_unpack(f, a, &m, &e) != 0)
        fail_msg("%s", e.msg);
    if (m.type == MSG_HELLO) {
        answer_hello(l, from, f, &m);
    } else if (f->session != l->session || f->epoch != l->epoch) {
        l->stale++;
        nack(l, s, from, f->request_id, NACK_UNKNOWN_SESSION, "who are you");
    } else if (m.type == MSG_POLL) {
        answer_poll(l, from, f, &m);
    } else if (m.type == MSG_HEARTBEAT) {
        answer_heartbeat(l, from, f, &m);
    } else if (m.type == MSG_SUBMIT_GROUP) {
        answer_submit(l, from, f, m.submit_group.lease);
    } else if (m.type == MSG_SUBMIT_SCORES) {
        answer_submit(l, from, f, m.submit_scores.lease);
    } else if (m.type == MSG_GET_BLOB) {
        answer_blob(l, from, f, &m);
    } else if (m.type == MSG_RELEASE) {
        assert_true(l->releases < MANY);
        l->released[l->releases++] = m.release.leases[0];
        reply(l, s, from, f->request_id, &(struct msg){.type = MSG_RELEASED});
    } else {
        l->byes++;
        reply(l, s, from, f->request_id, &(struct msg){.type = MSG_BYE});
    }
    arena_free(a);
}

void learner_open(struct learner *l)
{
    struct err e = {0};
    CLEANUP_FREE char *ctl = mem_printf("%s/ctl", l->base);
    CLEANUP_FREE char *bulk = mem_printf("%s/bulk", l->base);
    uv_loop_t *loop = &l->h->loop;
    if (bus_server_open(loop, ctl, LIMIT_SUBMIT_BYTES, on_request, l, &l->ctl, &e) != 0 ||
        bus_server_open(loop, bulk, LIMIT_CONTROL_BYTES, on_request, l, &l->bulk, &e) != 0)
        fail_msg("%s", e.msg);
    l->epoch++;
    l->session = 1000 * l->epoch;
    l->parked = false;
}

void learner_close(struct learner *l)
{
    bus_server_close(l->ctl);
    bus_server_close(l->bulk);
    l->ctl = l->bulk = NULL;
}
