/* box.c: the user's side of boxes: starts cohort-box and keeps connections to its slots. */
#include "reward-server/box/box.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "reward-server/box/wire.h"

enum { TRIES = 3 };

struct box {
    char *program; /* owned */
    char isolation[64];
    pthread_mutex_t lock;    /* guards all below */
    pthread_cond_t returned; /* a connection became idle */
    pid_t pid;
    int control;              /* owned */
    int idle[BOX_SLOTS_MAX];  /* owned connections */
    size_t idle_count, count; /* count: idle and in use */
    uint64_t generation;      /* grows when cohort-box is started again */
};

/* ---- starting ---- */

static int spawn(struct box *b, int child_end, struct err *e)
{
    char *const argv[] = {b->program, NULL}, *const env[] = {NULL};
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_RDWR, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, child_end, WIRE_FD);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, WIRE_FD + 1);
    errno = posix_spawn(&b->pid, b->program, &actions, NULL, argv, env);
    (void)posix_spawn_file_actions_destroy(&actions);
    return errno == 0 ? 0 : err_sys(e, ERR_FAIL, "starting '%s'", b->program);
}

static int read_hello(struct box *b, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    struct box_result hello = {0};
    int r = wire_read(b->control, &text, e);
    if (r < 0)
        return r;
    if (r == 0 || !wire_results_unpack(text.data, text.len, &hello, 1))
        return err_set(e, ERR_FAIL, "'%s' ended at its start", b->program);
    if (hello.end == BOX_FAULT)
        r = err_set(e, ERR_FAIL, "%s", hello.message);
    else
        r = 0;
    (void)snprintf(b->isolation, sizeof(b->isolation), "%s", hello.isolation);
    box_result_done(&hello);
    return r;
}

static void stop(struct box *b)
{
    file_close(&b->control);
    for (size_t i = 0; i < b->idle_count; i++)
        file_close(&b->idle[i]);
    b->count -= b->idle_count;
    b->idle_count = 0;
    if (b->pid > 0)
        (void)waitpid(b->pid, NULL, 0);
    b->pid = 0;
}

/* With the lock held, or alone. */
static int start(struct box *b, struct err *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_FAIL, "socket for '%s'", b->program);
    /* the child's end must not be the number it gets there: dup2 onto itself keeps close-on-exec */
    int child_end = fcntl(pair[1], F_DUPFD_CLOEXEC, WIRE_FD + 1);
    (void)close(pair[1]);
    b->control = pair[0];
    b->generation++;
    int r = spawn(b, child_end, e);
    file_close(&child_end);
    if (r == 0)
        r = read_hello(b, e);
    if (r < 0)
        stop(b);
    return r;
}

int box_open(const char *program, struct box **ret, struct err *e)
{
    char *path =
        program != NULL ? mem_strdup(program) : file_program("cohort-box", "reward-server/box", e);
    if (path == NULL)
        return e->code;
    struct box *b = mem_alloc(sizeof(*b));
    b->program = path;
    b->control = -1;
    (void)pthread_mutex_init(&b->lock, NULL); /* these two cannot fail on Linux */
    (void)pthread_cond_init(&b->returned, NULL);
    int r = start(b, e);
    if (r < 0) {
        box_close(b);
        return err_ctx(e, "sandbox");
    }
    *ret = b;
    return 0;
}

void box_close(struct box *b)
{
    if (b == NULL)
        return;
    stop(b);
    (void)pthread_cond_destroy(&b->returned);
    (void)pthread_mutex_destroy(&b->lock);
    free(b->program);
    free(b);
}

const char *box_isolation(const struct box *b)
{
    return b->isolation;
}

bool box_alive(struct box *b)
{
    siginfo_t ended = {0};
    (void)pthread_mutex_lock(&b->lock);
    int r = b->pid > 0 ? waitid(P_PID, (id_t)b->pid, &ended, WEXITED | WNOHANG | WNOWAIT) : -1;
    (void)pthread_mutex_unlock(&b->lock);
    return r == 0 && ended.si_pid == 0;
}

uint64_t box_restarts(struct box *b)
{
    (void)pthread_mutex_lock(&b->lock);
    uint64_t starts = b->generation;
    (void)pthread_mutex_unlock(&b->lock);
    return starts - 1;
}

/* ---- connections ---- */

static bool send_end(int control, int fd)
{
    char control_data[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec io = {(void *)"c", 1};
    struct msghdr m = {.msg_iov = &io,
        .msg_iovlen = 1,
        .msg_control = control_data,
        .msg_controllen = sizeof(control_data)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(control, &m, MSG_NOSIGNAL) == 1;
}

/* A new slot. With the lock held. */
static int connect_slot(struct box *b, int *ret, struct err *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_RETRY, "socket for a box");
    bool sent = b->control >= 0 && send_end(b->control, pair[1]);
    if (!sent) {
        stop(b);
        int r = start(b, e);
        sent = r == 0 && send_end(b->control, pair[1]);
    }
    (void)close(pair[1]);
    if (!sent) {
        (void)close(pair[0]);
        return err_set(e, ERR_RETRY, "the sandbox ended and does not start again");
    }
    b->count++;
    *ret = pair[0];
    return 0;
}

static int take(struct box *b, int *ret, uint64_t *ret_generation, struct err *e)
{
    int r = 0;
    (void)pthread_mutex_lock(&b->lock);
    while (b->idle_count == 0 && b->count >= BOX_SLOTS_MAX)
        (void)pthread_cond_wait(&b->returned, &b->lock);
    if (b->idle_count > 0)
        *ret = b->idle[--b->idle_count];
    else
        r = connect_slot(b, ret, e);
    *ret_generation = b->generation;
    (void)pthread_mutex_unlock(&b->lock);
    return r;
}

static void give_back(struct box *b, int fd, uint64_t generation, bool good)
{
    (void)pthread_mutex_lock(&b->lock);
    if (good && generation == b->generation) {
        b->idle[b->idle_count++] = fd;
    } else {
        (void)close(fd);
        b->count--;
    }
    (void)pthread_cond_signal(&b->returned);
    (void)pthread_mutex_unlock(&b->lock);
}

static int check_request(const struct box_request *q, struct err *e)
{
    size_t bytes = q->input_len;
    for (size_t i = 0; i < q->file_count && i < BOX_FILES_MAX; i++)
        bytes += q->file_count <= BOX_FILES_MAX ? q->files[i].n : 0;
    if (q->fetch_count > BOX_FILES_MAX)
        return err_set(e, ERR_LIMIT, "box: %zu files are wanted back, at most %d", q->fetch_count,
            BOX_FILES_MAX);
    if (bytes <= BOX_FILE_BYTES_MAX && q->file_count <= BOX_FILES_MAX)
        return 0;
    return err_set(e, ERR_LIMIT, "box: %zu bytes in %zu files, at most %d in %d", bytes,
        q->file_count, BOX_FILE_BYTES_MAX, BOX_FILES_MAX);
}

static int run_once(
    struct box *b, const struct box_request *q, struct box_result *ret, size_t count, struct err *e)
{
    int fd = -1;
    uint64_t generation;
    CLEANUP_BUF struct buf reply = {0};
    int r = take(b, &fd, &generation, e);
    if (r < 0)
        return r;
    r = wire_write_requests(fd, q, count, e);
    if (r == 0)
        r = wire_read(fd, &reply, e);
    bool good = r == 1 && wire_results_unpack(reply.data, reply.len, ret, count);
    give_back(b, fd, generation, good);
    return good ? 0 : err_set(e, ERR_RETRY, "a box ended while it ran a program");
}

/* A slot that was killed, perhaps while it was idle, is one more try; a run has no effects. */
static int run(
    struct box *b, const struct box_request *q, struct box_result *ret, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (check_request(&q[i], e) < 0)
            return e->code;
    }
    int r = ERR_RETRY;
    for (int i = 0; i < TRIES && r == ERR_RETRY; i++)
        r = run_once(b, q, ret, count, e);
    return r;
}

int box_run(struct box *b, const struct box_request *q, struct box_result *ret, struct err *e)
{
    return run(b, q, ret, 1, e);
}

int box_run_pair(struct box *b, const struct box_request q[BOX_PAIR],
    struct box_result ret[BOX_PAIR], struct err *e)
{
    return run(b, q, ret, BOX_PAIR, e);
}
