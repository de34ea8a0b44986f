/* pool.c: the user's side of the workers. */
#include "reward-server/scoring/math/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "reward-server/scoring/math/frame.h"

enum { TRIES = 2, IDLE_MAX = 256 };

struct worker {
    pid_t pid;
    int fd; /* owned */
};

struct math_pool {
    char *program; /* owned */
    unsigned deadline_ms;
    pthread_mutex_t lock; /* guards what follows */
    struct worker idle[IDLE_MAX];
    size_t idle_count;
};

/* ---- workers ---- */

/* Its end of the pair is its standard input, both ways; what it says goes to our standard error. */
static int worker_spawn(const char *program, int child_end, pid_t *ret, struct err *e)
{
    char *const argv[] = {(char *)program, NULL}, *const env[] = {NULL};
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, child_end, FRAME_FD);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_RDWR, 0);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    errno = posix_spawn(ret, program, &actions, NULL, argv, env);
    (void)posix_spawn_file_actions_destroy(&actions);
    return errno == 0 ? 0 : err_sys(e, ERR_RETRY, "starting '%s'", program);
}

static int worker_start(const struct math_pool *p, struct worker *ret, struct err *e)
{
    int pair[2];
    struct timeval deadline = {p->deadline_ms / 1000, (p->deadline_ms % 1000) * 1000};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_RETRY, "socket for '%s'", p->program);
    /* the child's end must not be the number it gets there: dup2 onto itself keeps close-on-exec */
    int child_end = fcntl(pair[1], F_DUPFD_CLOEXEC, 3), r = ERR_RETRY;
    (void)close(pair[1]);
    if (child_end < 0 ||
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) < 0 ||
        setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)) < 0)
        (void)err_sys(e, ERR_RETRY, "socket for '%s'", p->program);
    else
        r = worker_spawn(p->program, child_end, &ret->pid, e);
    file_close(&child_end);
    ret->fd = pair[0];
    if (r < 0)
        file_close(&ret->fd);
    return r;
}

/* It may be in the middle of something that never ends. */
static void worker_end(struct worker *w)
{
    (void)kill(w->pid, SIGKILL);
    (void)waitpid(w->pid, NULL, 0);
    file_close(&w->fd);
}

/* ---- one request ---- */

static bool send_all(int fd, struct iovec *io, size_t n)
{
    struct msghdr m = {.msg_iov = io, .msg_iovlen = n};
    while (m.msg_iovlen > 0) {
        ssize_t sent = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        for (; m.msg_iovlen > 0 && (size_t)sent >= m.msg_iov->iov_len; m.msg_iovlen--)
            sent -= (ssize_t)m.msg_iov++->iov_len;
        if (m.msg_iovlen > 0) {
            m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + sent;
            m.msg_iov->iov_len -= (size_t)sent;
        }
    }
    return true;
}

static bool receive_all(int fd, void *data, size_t n)
{
    for (size_t have = 0; have < n;) {
        ssize_t got = recv(fd, (char *)data + have, n - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

/* False when the worker is to be ended. What it says is checked: a process gone astray must not
 * make this one read beyond the text. */
static bool ask(int fd, const struct math_request *q, struct arena *a, struct math_outcome *ret)
{
    struct frame_request head = {
        FRAME_MAGIC, (uint32_t)q->reference.n, (uint32_t)q->text.n, q->tagged};
    struct iovec io[] = {{&head, sizeof(head)}, {(void *)q->reference.at, q->reference.n},
        {(void *)q->text.at, q->text.n}};
    struct frame_reply reply;
    if (!send_all(fd, io, ARRAY_LEN(io)) || !receive_all(fd, &reply, sizeof(reply)))
        return false;
    if (reply.magic != FRAME_MAGIC || reply.begin > q->text.n ||
        reply.n > q->text.n - reply.begin || reply.answer > MATH_UNKNOWN ||
        memchr(reply.why, '\0', sizeof(reply.why)) == NULL)
        return false;
    const char *why = arena_dup(a, reply.why, strlen(reply.why) + 1);
    *ret = (struct math_outcome){.found = reply.found != 0,
        .extracted = {q->text.at + reply.begin, reply.n},
        .answer = (enum math_answer)reply.answer,
        .why = why != NULL ? why : ""};
    return true;
}

/* ---- the pool ---- */

static int take(struct math_pool *p, struct worker *ret, struct err *e)
{
    (void)pthread_mutex_lock(&p->lock);
    bool idle = p->idle_count > 0;
    if (idle)
        *ret = p->idle[--p->idle_count];
    (void)pthread_mutex_unlock(&p->lock);
    return idle ? 0 : worker_start(p, ret, e);
}

static void give(struct math_pool *p, struct worker w)
{
    (void)pthread_mutex_lock(&p->lock);
    bool room = p->idle_count < IDLE_MAX;
    if (room)
        p->idle[p->idle_count++] = w;
    (void)pthread_mutex_unlock(&p->lock);
    if (!room)
        worker_end(&w);
}

int math_pool_grade(struct math_pool *p, const struct math_request *q, struct arena *a,
    struct math_outcome *ret, struct err *e)
{
    if (q->reference.n > FRAME_REFERENCE_MAX || q->text.n > FRAME_TEXT_MAX)
        return err_set(e, ERR_LIMIT,
            "a text of %zu and a reference of %zu bytes, at most %d and %d", q->text.n,
            q->reference.n, FRAME_TEXT_MAX, FRAME_REFERENCE_MAX);
    for (int i = 0; i < TRIES; i++) {
        struct worker w;
        int r = take(p, &w, e);
        if (r < 0)
            return r;
        if (ask(w.fd, q, a, ret)) {
            give(p, w);
            return 0;
        }
        worker_end(&w);
    }
    return err_set(e, ERR_RETRY,
        "two workers in a row ended, or did not answer in %u ms, on this answer", p->deadline_ms);
}

int math_pool_open(const char *program, unsigned deadline_ms, struct math_pool **ret, struct err *e)
{
    static const char one[] = "1";
    const struct math_request probe = {{one, 1}, {one, 1}, true};
    struct math_outcome outcome;
    char *path = program != NULL ? mem_strdup(program)
                                 : file_program("cohort-math", "reward-server/scoring", e);
    if (path == NULL)
        return e->code;
    struct math_pool *p = mem_alloc(sizeof(*p));
    p->program = path;
    p->deadline_ms = deadline_ms;
    (void)pthread_mutex_init(&p->lock, NULL); /* cannot fail on Linux */
    struct arena *a = arena_new(1 << 12);
    int r = math_pool_grade(p, &probe, a, &outcome, e);
    if (r == 0 && outcome.answer != MATH_EQUAL)
        r = err_set(e, ERR_FAIL, "'%s' says that 1 is not 1", path);
    arena_free(a);
    if (r < 0) {
        math_pool_close(p);
        return err_ctx(e, "math workers");
    }
    *ret = p;
    return 0;
}

void math_pool_close(struct math_pool *p)
{
    if (p == NULL)
        return;
    while (p->idle_count > 0)
        worker_end(&p->idle[--p->idle_count]);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->program);
    free(p);
}
