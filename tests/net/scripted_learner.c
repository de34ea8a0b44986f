/* scripted_learner.c: see scripted_learner.h. */
#include "tests/net/scripted_learner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { SESSION = 77, EPOCH = 5 };

static size_t index_of(const struct scripted_learner *l, uint64_t lease)
{
    assert_in_range(lease, SCRIPTED_FIRST, SCRIPTED_FIRST + l->lease_count - 1);
    return (size_t)(lease - SCRIPTED_FIRST);
}

static void unpack(const struct frame *f, struct arena *a, struct msg *ret)
{
    struct err e = {0};
    if (msg_unpack(f, a, ret, &e) != 0)
        fail_msg("%s", e.msg);
}

static void reply(struct bus_server *server, const struct bus_route *to,
    const struct frame *request, const struct msg *m)
{
    CLEANUP_BUF struct buf payload = {0};
    msg_pack(&payload, m);
    struct frame f = {.type = (uint16_t)m->type,
        .role = ROLE_LEARNER,
        .epoch = EPOCH,
        .session = SESSION,
        .request_id = request->request_id,
        .payload = payload.data,
        .payload_bytes = (uint32_t)payload.len};
    bus_server_reply(server, to, &f);
}

static struct msg welcome(const struct scripted_learner *l)
{
    return (struct msg){.type = MSG_WELCOME,
        .welcome = {.session = SESSION,
            .epoch = EPOCH,
            .heartbeat_ms = 200,
            .lease_ms = 60000,
            .run = "test",
            .model = {.kind = BLOB_MODEL_CONFIG,
                .bytes = l->model.len,
                .hash = hash_of(l->model.data, l->model.len)}}};
}

static struct msg grant(struct scripted_learner *l, uint32_t max_jobs, struct arena *a)
{
    bool actor = l->script->role == ROLE_ACTOR;
    struct sample_lease *samples = arena_alloc(a, SCRIPTED_LEASES * sizeof(*samples));
    struct grade_lease *grades = arena_alloc(a, SCRIPTED_LEASES * sizeof(*grades));
    uint64_t *revoked = arena_alloc(a, SCRIPTED_LEASES * sizeof(*revoked));
    size_t n = 0, revoked_count = 0;
    for (size_t i = 0; i < l->lease_count; i++) {
        struct scripted_lease *lease = &l->leases[i];
        lease->revoked = lease->told;
        if (lease->granted && lease->revoke && !lease->told && !lease->submitted) {
            revoked[revoked_count++] = SCRIPTED_FIRST + i;
            lease->told = true;
        }
        if (lease->granted || n >= max_jobs)
            continue;
        if (actor)
            samples[n++] = l->script->sample_lease(l->arg, i);
        else
            grades[n++] = l->script->grade_lease(l->arg, i);
        lease->granted = true;
    }
    return (struct msg){.type = MSG_GRANT,
        .grant = {.sample = samples,
            .sample_count = actor ? n : 0,
            .grade = grades,
            .grade_count = actor ? 0 : n,
            .revoked = revoked,
            .revoked_count = revoked_count,
            .drain = l->drain,
            .retry_ms = 1}};
}

static struct msg take_result(struct scripted_learner *l, uint64_t lease, const struct msg *result)
{
    size_t i = index_of(l, lease);
    assert_false(l->leases[i].submitted);
    assert_false(l->leases[i].revoked);
    l->script->check_result(l->arg, i, result);
    l->leases[i].submitted = true;
    return (struct msg){.type = MSG_SUBMIT_REPLY, .submit_reply.message = ""};
}

static struct msg answer(struct scripted_learner *l, const struct msg *in, struct arena *a)
{
    switch (in->type) {
    case MSG_HELLO:
        l->script->check_hello(l->arg, &in->hello);
        return welcome(l);
    case MSG_POLL:
        return grant(l, in->poll.max_jobs, a);
    case MSG_HEARTBEAT:
        return (struct msg){.type = MSG_HEARTBEAT_REPLY};
    case MSG_SUBMIT_GROUP:
        return take_result(l, in->submit_group.lease, in);
    case MSG_SUBMIT_SCORES:
        return take_result(l, in->submit_scores.lease, in);
    case MSG_RELEASE:
        for (size_t i = 0; i < in->release.lease_count; i++)
            l->leases[index_of(l, in->release.leases[i])].released = true;
        return (struct msg){.type = MSG_RELEASED};
    case MSG_BYE:
        l->bye = true;
        return (struct msg){.type = MSG_BYE};
    default:
        fail_msg("unexpected %s", frame_type_name(in->type));
        return (struct msg){0};
    }
}

static void on_ctl(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct scripted_learner *l = arg;
    struct arena *a = arena_new(0);
    struct msg in;
    unpack(f, a, &in);
    assert_int_equal(f->role, l->script->role);
    struct msg out = answer(l, &in, a);
    reply(l->ctl, from, f, &out);
    arena_free(a);
}

static bool blob_of(struct scripted_learner *l, const struct msg_get_blob *g, struct buf *out)
{
    if (g->kind == BLOB_MODEL_CONFIG) {
        assert_int_equal(l->script->role, ROLE_ACTOR);
        buf_append(out, l->model.data, l->model.len);
        return true;
    }
    size_t i = index_of(l, g->lease);
    l->leases[i].fetches++;
    return l->script->blob(l->arg, i, g, out);
}

static void on_bulk(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct scripted_learner *l = arg;
    struct arena *a = arena_new(0);
    CLEANUP_BUF struct buf bytes = {0};
    struct msg in,
        out = {.type = MSG_NACK, .nack = {.code = NACK_NOT_FOUND, .message = "no such blob"}};
    unpack(f, a, &in);
    assert_int_equal(in.type, MSG_GET_BLOB);
    const struct msg_get_blob *g = &in.get_blob;
    if (blob_of(l, g, &bytes)) {
        assert_true(g->offset <= bytes.len);
        size_t left = bytes.len - g->offset;
        out = (struct msg){.type = MSG_BLOB_CHUNK,
            .blob_chunk = {.total = bytes.len,
                .data = bytes.data + g->offset,
                .data_len = left < g->bytes ? left : g->bytes}};
    }
    reply(l->bulk, from, f, &out);
    arena_free(a);
}

void scripted_learner_init(
    struct scripted_learner *l, const struct learner_script *script, void *arg)
{
    struct err e = {0};
    *l = (struct scripted_learner){.script = script, .arg = arg};
    harness_init(&l->h);
    CLEANUP_FREE char *bulk = mem_printf("%s/bulk", l->h.base);
    uv_loop_t *loop = &l->h.loop;
    if (bus_server_open(loop, l->h.address, LIMIT_SUBMIT_BYTES, on_ctl, l, &l->ctl, &e) != 0 ||
        bus_server_open(loop, bulk, LIMIT_CONTROL_BYTES, on_bulk, l, &l->bulk, &e) != 0)
        fail_msg("%s", e.msg);
}

void scripted_learner_on_ended(void *arg, int code, const char *why)
{
    struct scripted_learner *l = arg;
    assert_false(l->ended);
    l->ended = true;
    l->code = code;
    (void)snprintf(l->why, sizeof(l->why), "%s", why);
}

void scripted_learner_drain(struct scripted_learner *l)
{
    l->drain = true;
    HARNESS_UNTIL(&l->h, l->ended);
    assert_int_equal(l->code, 0);
    assert_true(l->bye);
}

void scripted_learner_done(struct scripted_learner *l)
{
    bus_server_close(l->ctl);
    bus_server_close(l->bulk);
    harness_done(&l->h);
    buf_done(&l->model);
}
