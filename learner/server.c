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

enum { PEER_BYTES = LIMIT_SUBMIT_BYTES + LIMIT_CONTROL_BYTES + 4096 }; /* frames around them */

int server_limit(struct server *s, uint64_t receive_bytes, unsigned workers, struct err *e)
{
    enum { SPARE = 2 }; /* a worker that was killed and its successor overlap */
    uint64_t hold = receive_bytes / PEER_BYTES, wanted = (uint64_t)workers + SPARE;
    if (hold < wanted)
        return err_set(e, ERR_CONFIG,
            "%ju MiB for what peers send hold %ju of them (each %d MiB at most), %ju are needed "
            "for "
            "%u workers: raise [net] receive-mib, or start fewer workers",
            (uintmax_t)receive_bytes >> 20, (uintmax_t)hold, PEER_BYTES >> 20, (uintmax_t)wanted,
            workers);
    for (size_t i = 0; i < ARRAY_LEN(s->bus); i++)
        bus_server_limit(s->bus[i], hold < LIMIT_WORKERS ? (size_t)hold : LIMIT_WORKERS);
    size_t allowed = bus_server_connections_max(s->bus[SERVER_CTL]);
    if (allowed < wanted)
        return err_set(e, ERR_CONFIG,
            "the limit of file descriptors (ulimit -n) allows %zu peers, %ju are needed for %u "
            "workers",
            allowed, (uintmax_t)wanted, workers);
    log_info("server", "peers are limited", LOG_U64("peers", allowed),
        LOG_U64("receive_mib", receive_bytes >> 20));
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
