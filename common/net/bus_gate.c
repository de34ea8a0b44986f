/* bus_gate.c: see bus_gate.h. */
#include "common/net/bus_gate.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "proto/limits.h"

enum {
    GATE_BACKLOG = 128,
    GATE_COPY_BYTES = 64 << 10, /* moved at a time in each direction */
    GATE_FDS_KEPT = 128,        /* for all else in the process */
    GATE_FDS_EACH = 6,          /* a worker connects to two gates, each connection takes three */
    HANDSHAKE_BYTES = 8,
    HEAD_BYTES = 9, /* of a message: 1, and its length as big-endian u64 */
    HEAD_NORMAL = 1,
};

/* What nanomsg's peers exchange first; 0x30 is the REQ protocol. */
static const uint8_t handshake[HANDSHAKE_BYTES] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

struct door;

/* One direction of a connection: reads, writes what was read, reads again. */
struct lane {
    struct door *door;
    uv_stream_t *from, *to;
    uv_write_t write;
    uint8_t *bytes; /* owned; while they are read and written */
};

/* A connection: the peer's pipe and ours to nanomsg. */
struct door {
    struct bus_gate *gate; /* borrowed */
    struct door *prev, *next;
    uv_pipe_t peer, inner;
    uv_connect_t connect;
    struct lane in, out;
    int handles; /* the last one to close frees */
    bool closing;
    size_t handshake_len; /* bytes of it seen */
    uint8_t head[HEAD_BYTES];
    size_t head_len;
    uint64_t body_left;
};

struct bus_gate {
    uv_loop_t *loop;
    uv_pipe_t listener;
    int handles;          /* the listener and each door; the last one to close frees */
    char *path;           /* owned; public */
    char *name;           /* owned; of nanomsg's socket in the directory */
    char *inner;          /* owned; its address */
    char *inner_open;     /* owned; the path by which the gate reaches it */
    int dir_fd, inner_fd; /* owned */
    size_t message_max;
    struct door *doors; /* owned */
    size_t door_count, doors_max;
    uint64_t rejected;
};

static void gate_release(struct bus_gate *g)
{
    if (--g->handles > 0)
        return;
    file_close(&g->dir_fd);
    file_close(&g->inner_fd);
    free(g->path);
    free(g->name);
    free(g->inner);
    free(g->inner_open);
    free(g);
}

/* ---- one connection ---- */

static void on_door_closed(uv_handle_t *handle)
{
    struct door *d = handle->data;
    if (--d->handles > 0)
        return;
    struct bus_gate *g = d->gate;
    free(d->in.bytes);
    free(d->out.bytes);
    free(d);
    gate_release(g);
}

static void door_close(struct door *d)
{
    if (d->closing)
        return;
    d->closing = true;
    struct bus_gate *g = d->gate;
    if (d->prev != NULL)
        d->prev->next = d->next;
    else
        g->doors = d->next;
    if (d->next != NULL)
        d->next->prev = d->prev;
    g->door_count--;
    uv_close((uv_handle_t *)&d->peer, on_door_closed);
    uv_close((uv_handle_t *)&d->inner, on_door_closed);
}

/* Whether nanomsg may see these bytes, which follow all that were checked before. */
static bool check_bytes(struct door *d, const uint8_t *p, size_t n)
{
    while (n > 0 && d->handshake_len < HANDSHAKE_BYTES) {
        if (*p++ != handshake[d->handshake_len++])
            return false;
        n--;
    }
    while (n > 0) {
        if (d->body_left > 0) {
            size_t skip = n < d->body_left ? n : (size_t)d->body_left;
            d->body_left -= skip;
            p += skip;
            n -= skip;
            continue;
        }
        d->head[d->head_len++] = *p++;
        n--;
        if (d->head[0] != HEAD_NORMAL)
            return false;
        if (d->head_len < HEAD_BYTES)
            continue;
        d->head_len = 0;
        for (int i = 1; i < HEAD_BYTES; i++)
            d->body_left = d->body_left << 8 | d->head[i];
        if (d->body_left > d->gate->message_max)
            return false;
    }
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct door *d = handle->data;
    struct lane *l = handle == (uv_handle_t *)&d->peer ? &d->in : &d->out;
    (void)suggested;
    if (l->bytes == NULL)
        l->bytes = mem_alloc(GATE_COPY_BYTES);
    *buf = uv_buf_init((char *)l->bytes, GATE_COPY_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *req, int status)
{
    struct lane *l = req->data;
    if (l->door->closing)
        return;
    free(steal(&l->bytes)); /* an idle connection holds no memory */
    if (status != 0 || uv_read_start(l->from, on_alloc, on_read) != 0)
        door_close(l->door);
}

static void door_reject(struct door *d, const char *why)
{
    struct bus_gate *g = d->gate;
    /* The first, the second, the fourth ...: a flood must not become one of lines. */
    uint64_t so_far = ++g->rejected;
    if ((so_far & (so_far - 1)) == 0)
        log_warn("bus", "closed a connection", LOG_STR("why", why), LOG_STR("socket", g->path),
            LOG_U64("so_far", so_far));
    door_close(d);
}

static void on_inner_connected(uv_connect_t *req, int status)
{
    struct door *d = req->data;
    if (d->closing)
        return;
    if (status != 0 || uv_read_start(d->out.from, on_alloc, on_read) != 0)
        door_close(d); /* the peer will come again */
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct door *d = stream->data;
    struct lane *l = stream == d->in.from ? &d->in : &d->out;
    if (n == 0)
        return; /* nothing to read after all */
    if (n < 0) {
        door_close(d);
        return;
    }
    if (l == &d->in && !check_bytes(d, (const uint8_t *)buf->base, (size_t)n)) {
        door_reject(d, "it does not speak nanomsg's REQ");
        return;
    }
    (void)uv_read_stop(stream);
    uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);
    if (uv_write(&l->write, l->to, &out, 1, on_written) != 0)
        door_close(d);
}

static void lane_init(struct lane *l, struct door *d, uv_pipe_t *from, uv_pipe_t *to)
{
    *l = (struct lane){.door = d, .from = (uv_stream_t *)from, .to = (uv_stream_t *)to};
    l->write.data = l;
}

/* nanomsg closes its end when no handshake comes within a second, so a silent peer is not kept.
 * What the peer sends before the inner connection stands waits in libuv's queue. */
static void on_connection(uv_stream_t *listener, int status)
{
    struct bus_gate *g = listener->data;
    if (status != 0)
        return; /* out of descriptors, say: the peer will come again */
    struct door *d = mem_alloc(sizeof(*d));
    (void)uv_pipe_init(g->loop, &d->peer, 0);
    (void)uv_pipe_init(g->loop, &d->inner, 0);
    d->peer.data = d->inner.data = d->connect.data = d;
    d->handles = 2;
    d->gate = g;
    d->next = g->doors;
    if (g->doors != NULL)
        g->doors->prev = d;
    g->doors = d;
    g->door_count++;
    g->handles++;
    lane_init(&d->in, d, &d->peer, &d->inner);
    lane_init(&d->out, d, &d->inner, &d->peer);
    if (uv_accept(listener, d->in.from) != 0) {
        door_close(d);
        return;
    }
    if (g->door_count > g->doors_max) {
        door_reject(d, "there are as many connections as descriptors and memory allow");
        return;
    }
    uv_pipe_connect(&d->connect, &d->inner, g->inner_open, on_inner_connected);
    if (uv_read_start(d->in.from, on_alloc, on_read) != 0)
        door_close(d);
}

/* ---- the gate ---- */

/* Removes a socket that nobody listens on any more. */
static int clear_path(const char *path, struct err *e)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct stat st;
    assert(strlen(path) < sizeof(un.sun_path)); /* bus_address_check */
    memcpy(un.sun_path, path, strlen(path) + 1);
    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_CONFIG, "'%s': exists and is not a socket", path);
    CLEANUP(file_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "socket '%s'", path);
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0 || errno != ECONNREFUSED)
        return err_set(e, ERR_CONFIG, "socket '%s': in use by another process", path);
    if (unlink(path) != 0)
        return err_sys(e, ERR_FAIL, "cannot remove the stale socket '%s'", path);
    return 0;
}

/* Without a key, whoever can reach the socket is trusted with it: the directory is the lock. */
static int open_private_dir(struct bus_gate *g, struct err *e)
{
    CLEANUP_FREE char *dir = mem_strdup(g->path);
    char *slash = strrchr(dir, '/');
    g->name = mem_printf(".%s", slash + 1);
    slash[slash == dir ? 1 : 0] = '\0';
    struct stat st;
    g->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (g->dir_fd < 0 || fstat(g->dir_fd, &st) != 0)
        return err_sys(e, ERR_CONFIG, "socket '%s': its directory", g->path);
    if (st.st_uid != geteuid() || (st.st_mode & 0777) != 0700)
        return err_set(e, ERR_CONFIG,
            "socket '%s': directory of user %u with mode %04o, expected user %u and mode 0700",
            g->path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777), (unsigned)geteuid());
    /* What a killed process left there under this name would make nanomsg abort or fail. */
    if (unlinkat(g->dir_fd, g->name, 0) != 0 && errno != ENOENT)
        return err_sys(
            e, ERR_CONFIG, "socket '%s': cannot remove '%s' beside it", g->path, g->name);
    g->inner = mem_printf("ipc:///proc/self/fd/%d/%s", g->dir_fd, g->name);
    return 0;
}

/* nanomsg spins when accept finds no descriptor, so the gate keeps well below the limit. */
static size_t doors_max(void)
{
    struct rlimit fds = {0};
    if (getrlimit(RLIMIT_NOFILE, &fds) != 0 || fds.rlim_cur <= GATE_FDS_KEPT)
        return 1;
    rlim_t max = (fds.rlim_cur - GATE_FDS_KEPT) / GATE_FDS_EACH;
    return max < LIMIT_WORKERS ? (size_t)max : LIMIT_WORKERS;
}

static void on_gate_handle_closed(uv_handle_t *handle)
{
    gate_release(handle->data);
}

int bus_gate_new(
    uv_loop_t *loop, const char *path, size_t message_max, struct bus_gate **ret, struct err *e)
{
    assert(path != NULL && path[0] == '/');
    struct bus_gate *g = mem_alloc(sizeof(*g));
    *g = (struct bus_gate){.loop = loop,
        .dir_fd = -1,
        .inner_fd = -1,
        .message_max = message_max,
        .handles = 1,
        .doors_max = doors_max()};
    g->path = mem_strdup(path);
    (void)signal(SIGPIPE, SIG_IGN); /* libuv writes to peers that may be gone, and gets EPIPE */
    int r = open_private_dir(g, e);
    if (r == 0)
        r = clear_path(path, e);
    if (r != 0) {
        gate_release(g);
        return r;
    }
    (void)uv_pipe_init(loop, &g->listener, 0);
    g->listener.data = g;
    *ret = g;
    return 0;
}

const char *bus_gate_inner_address(const struct bus_gate *g)
{
    return g->inner;
}

int bus_gate_listen(struct bus_gate *g, struct err *e)
{
    g->inner_fd = openat(g->dir_fd, g->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (g->inner_fd < 0 || unlinkat(g->dir_fd, g->name, 0) != 0)
        return err_sys(e, ERR_FAIL, "socket '%s': cannot hide '%s'", g->path, g->name);
    g->inner_open = mem_printf("/proc/self/fd/%d", g->inner_fd);
    int r = uv_pipe_bind(&g->listener, g->path);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&g->listener, GATE_BACKLOG, on_connection);
    if (r != 0)
        return err_set(e, ERR_FAIL, "socket '%s': cannot listen: %s", g->path, uv_strerror(r));
    return 0;
}

void bus_gate_limit(struct bus_gate *g, size_t connections_max)
{
    if (connections_max < g->doors_max)
        g->doors_max = connections_max;
}

size_t bus_gate_connections_max(const struct bus_gate *g)
{
    return g->doors_max;
}

uint64_t bus_gate_rejected(const struct bus_gate *g)
{
    return g->rejected;
}

void bus_gate_close(struct bus_gate *g)
{
    if (g == NULL)
        return;
    while (g->doors != NULL)
        door_close(g->doors);
    uv_close((uv_handle_t *)&g->listener, on_gate_handle_closed);
}
