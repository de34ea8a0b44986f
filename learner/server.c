/* server.c: two bus servers, the codec between them and the hub. */
#include "learner/server.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/net/bus.h"

_Static_assert(sizeof(((struct hub_peer *)0)->bytes) == sizeof(((struct bus_route *)0)->bytes),
    "a peer carries a route");

struct server {
    struct bus_server *bus[2]; /* owned */
    uint32_t epoch;
    server_request_fn *on_request;
    void *arg;           /* borrowed */
    struct arena *arena; /* owned; of the request that is being handled */
    struct buf payload;  /* of the reply that is being sent */
    uint64_t refused;    /* frames that the codec did not take */
};

void server_reply(struct server *s, enum server_socket socket, const struct hub_peer *peer,
    uint64_t session, uint64_t sequence, const struct msg *m)
{
    struct bus_route to = {.len = peer->len};
    memcpy(to.bytes, peer->bytes, peer->len);
    buf_clear(&s->payload);
    msg_pack(&s->payload, m);
    struct frame f = {.type = (uint16_t)m->type,
        .role = ROLE_LEARNER,
        .epoch = s->epoch,
        .session = session,
        .sequence = sequence,
        .request_id = peer->request_id,
        .payload = s->payload.data,
        .payload_bytes = (uint32_t)s->payload.len};
    bus_server_reply(s->bus[socket], &to, &f);
    (void)fault_hit(FAULT_REPLY_SENT); /* only its kill means something here */
}

void server_nack(struct server *s, enum server_socket socket, const struct hub_peer *peer,
    const struct frame *f, enum nack_code code, const char *message)
{
    struct msg m = {.type = MSG_NACK, .nack = {.code = code, .message = message}};
    server_reply(s, socket, peer, f->session, f->sequence, &m);
}

static void on_frame(struct server *s, enum server_socket socket, const struct bus_route *from,
    const struct frame *f)
{
    struct hub_peer peer = {.len = from->len, .request_id = f->request_id};
    struct err e = {0};
    struct msg m;
    memcpy(peer.bytes, from->bytes, from->len);
    arena_clear(s->arena);
    if (msg_unpack(f, s->arena, &m, &e)) {
        /* The first, the second, the fourth ...: a flood of garbage must not become one of lines.
         */
        s->refused++;
        if ((s->refused & (s->refused - 1)) == 0)
            log_warn("server", "refused a message", LOG_ERR(&e), LOG_U64("so_far", s->refused));
        server_nack(s, socket, &peer, f, NACK_BAD_FRAME, e.msg);
        return;
    }
    s->on_request(s->arg, socket, &peer, f, &m);
}

static void on_ctl(void *arg, const struct bus_route *from, const struct frame *f)
{
    on_frame(arg, SERVER_CTL, from, f);
}

static void on_bulk(void *arg, const struct bus_route *from, const struct frame *f)
{
    on_frame(arg, SERVER_BULK, from, f);
}

int server_open(uv_loop_t *loop, const char *dir, uint32_t epoch, server_request_fn *on_request,
    void *arg, struct server **ret, struct err *e)
{
    CLEANUP_FREE char *ctl = mem_printf("ipc://%s/ctl", dir);
    CLEANUP_FREE char *bulk = mem_printf("ipc://%s/bulk", dir);
    struct server *s = mem_alloc(sizeof(*s));
    s->epoch = epoch;
    s->on_request = on_request;
    s->arg = arg;
    s->arena = arena_new(0); /* each message has its own bound in the codec */
    int r = bus_server_open(loop, ctl, LIMIT_SUBMIT_BYTES, on_ctl, s, &s->bus[SERVER_CTL], e);
    if (r == 0)
        r = bus_server_open(loop, bulk, LIMIT_CONTROL_BYTES, on_bulk, s, &s->bus[SERVER_BULK], e);
    if (r) {
        server_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void server_close(struct server *s)
{
    if (!s)
        return;
    bus_server_close(s->bus[SERVER_CTL]);
    bus_server_close(s->bus[SERVER_BULK]);
    arena_free(s->arena);
    buf_done(&s->payload);
    free(s);
}
