/* launch.c: see launch.h. */
#include "reward-server/box/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 64 << 20, HERE_FDS_MAX = LAUNCH_STREAMS + 2 };

/* What the zygote is at; of this process alone. */
static struct {
    struct launch_order order;
    int streams[LAUNCH_STREAMS]; /* -1: none */
} now;

/* ---- messages ---- */

void launch_send(const struct launch_report *r)
{
    (void)send(LAUNCH_SOCKET, r, sizeof(*r), MSG_NOSIGNAL); /* without a slot we end anyway */
}

static void tell_failure(const char *what)
{
    struct launch_report r = {.kind = LAUNCH_FAILED, .status = errno};
    (void)snprintf(r.what, sizeof(r.what), "%s", what);
    launch_send(&r);
}

void launch_fail(const char *what)
{
    tell_failure(what);
    _exit(127);
}

void launch_ready(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    launch_send(&(struct launch_report){.kind = LAUNCH_READY});
}

/* The next order, and the number of descriptors that came with it. */
static size_t receive(int fds[HERE_FDS_MAX])
{
    char control[CMSG_SPACE(HERE_FDS_MAX * sizeof(int))];
    struct iovec io = {&now.order, sizeof(now.order)};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(LAUNCH_SOCKET, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = n == (ssize_t)sizeof(now.order) ? CMSG_FIRSTHDR(&m) : NULL;
    if (c == NULL || c->cmsg_type != SCM_RIGHTS)
        _exit(0); /* the slot is gone */
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    return count;
}

/* ---- a run, seen from the zygote ---- */

static void close_streams(void)
{
    for (int i = 0; i < LAUNCH_STREAMS; i++) {
        if (now.streams[i] >= 0)
            (void)close(now.streams[i]);
        now.streams[i] = -1;
    }
}

static void clear_run(void)
{
    close_streams();
    (void)umount2("/box", LAUNCH_UMOUNT); /* not mounted when that is what failed */
}

static int move_to(int from, int to)
{
    int r = dup3(from, to, O_CLOEXEC);
    (void)close(from);
    return r;
}

/* What the kernel counts on top of a process's size when memory is short. */
static void set_oom_score(const char *text)
{
    (void)!write(LAUNCH_OOM, text, strlen(text)); /* a host that refuses kills whom it likes */
}

/* The namespace that the next child will be in, and its work directory. Of all processes of the
 * machine the program is to go first when memory is short, and never the zygote, which is in the
 * same control group: a child begins with its parent's score, and nobody in a box can lower it. */
static bool prepare(void)
{
    int r = setns(LAUNCH_PID_NS, CLONE_NEWPID);
    if (r == 0)
        r = (int)syscall(SYS_move_mount, LAUNCH_WORK, "", AT_FDCWD, "/box", 4 /* empty path */);
    if (r < 0)
        tell_failure("entering the box");
    (void)close(LAUNCH_PID_NS);
    (void)close(LAUNCH_WORK);
    set_oom_score("1000");
    return r == 0;
}

static bool take_order(void)
{
    int fds[HERE_FDS_MAX];
    size_t count = receive(fds), used = 2;
    for (int i = 0; i < LAUNCH_STREAMS; i++)
        now.streams[i] = now.order.streams[i] && used < count ? fds[used++] : -1;
    if (used != count || move_to(fds[0], LAUNCH_PID_NS) < 0 || move_to(fds[1], LAUNCH_WORK) < 0)
        launch_fail("an order that cannot be read");
    return prepare();
}

static void report_end(int status, const struct rusage *u)
{
    struct launch_report r = {.kind = LAUNCH_ENDED,
        .status = status,
        .cpu_us = (uint64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000 +
                  (uint64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec),
        .memory_bytes = (uint64_t)u->ru_maxrss << 10};
    clear_run();
    launch_send(&r);
}

void launch_next(void)
{
    static const struct rusage none;
    while (!take_order())
        report_end(0, &none);
}

void launch_lost(int error)
{
    static const struct rusage none;
    set_oom_score("0");
    errno = error;
    tell_failure("a process for the program");
    report_end(0, &none);
}

void launch_watch(pid_t child)
{
    int status = 0;
    struct rusage usage = {0};
    set_oom_score("0");
    close_streams(); /* so that their ends are seen outside */
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    report_end(status, &usage);
}

/* ---- the program ---- */

static void limit(int what, uint64_t value)
{
    struct rlimit r = {value, value};
    LAUNCH_MUST(setrlimit((enum __rlimit_resource)what, &r));
}

static void set_limits(void)
{
    const struct box_limits *l = &now.order.limits;
    limit(RLIMIT_CPU, l->cpu_ms / 1000 + 2); /* the accounting comes first */
    limit(RLIMIT_FSIZE, l->work_bytes);
    limit(RLIMIT_NOFILE, LAUNCH_FILES_MAX);
    limit(RLIMIT_STACK, STACK_BYTES);
    limit(RLIMIT_MEMLOCK, 1 << 20);
    limit(RLIMIT_MSGQUEUE, 0);
    if (!now.order.groups) {
        limit(RLIMIT_NPROC, l->processes + now.order.more_tasks);
        limit(RLIMIT_AS, l->memory_bytes);
    }
}

static void set_streams(void)
{
    for (int i = 0; i < LAUNCH_STREAMS; i++) {
        if (now.streams[i] >= 0)
            LAUNCH_MUST(dup2(now.streams[i], i));
        else
            (void)close(i);
    }
    LAUNCH_MUST(close_range(LAUNCH_STREAMS, LAUNCH_SOCKET - 1, 0));
    LAUNCH_MUST(close_range(LAUNCH_SOCKET + 1, ~0U, 0));
}

/* Threads alone: what holds a program without control groups. Architectures and the flags that no
 * program may give are the matter of the first filter, which lets this one in by its flag. */
static void forbid_processes(void)
{
    static const unsigned passed = CLONE_THREAD | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                   CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                   CLONE_PARENT;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_fork
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fork, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_vfork, 3, 0),
#endif
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, passed, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    LAUNCH_MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, LAUNCH_FILTER_FLAGS, &program));
}

void launch_enter(int last)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    LAUNCH_MUST(setsid());
    set_streams();
    LAUNCH_MUST(chdir("/box"));
    set_limits();
    LAUNCH_MUST(syscall(SYS_capset, &head, none));
    if (!now.order.may_fork)
        forbid_processes();
    if (last)
        (void)close(LAUNCH_SOCKET);
}
