/* zygote.c: see zygote.h.
 *
 * A zygote starts as a fork of its slot in namespaces of its own: mount, network (empty), ipc, uts,
 * cgroup; they last for its life. Its programs cannot change them, having neither rights nor the
 * system calls, and so what one run sees of them is what all see.
 */
#include "reward-server/box/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "reward-server/box/filter.h"
#include "reward-server/box/root.h"

enum {
    START_MS = 60000,  /* an interpreter with its imports, on a busy host */
    ANSWER_MS = 60000, /* the end of a program that is being killed */
    DUMMY_MIN = 100,   /* descriptor, out of the way of those below */
    NAMESPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
};

static const char *const box_env[] = {
    "PATH=/usr/bin:/bin", "HOME=/box", "TMPDIR=/box", "LANG=C.UTF-8", "PYTHONHASHSEED=0", NULL};

/* ---- in the zygote ---- */

/* The descriptors of launch.h, dummies for those that programs get, and no others. The dummies are
 * pipes, as a program's are: an interpreter looks at them when it starts. */
static void set_fds(int socket)
{
    int dummy[2];
    struct rlimit files = {LAUNCH_FDS_MAX, LAUNCH_FDS_MAX};
    LAUNCH_MUST(setrlimit(RLIMIT_NOFILE, &files));
    LAUNCH_MUST(dup2(socket, LAUNCH_SOCKET));
    int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    LAUNCH_MUST(oom);
    LAUNCH_MUST(dup2(oom, LAUNCH_OOM));
    LAUNCH_MUST(pipe(dummy));
    int reading = fcntl(dummy[0], F_DUPFD, DUMMY_MIN),
        writing = fcntl(dummy[1], F_DUPFD, DUMMY_MIN);
    for (int i = 0; i < LAUNCH_STREAMS; i++)
        LAUNCH_MUST(dup2(i == LAUNCH_IN || i == LAUNCH_FROM ? reading : writing, i));
    LAUNCH_MUST(close_range(LAUNCH_STREAMS, LAUNCH_SOCKET - 1, 0));
    LAUNCH_MUST(close_range(LAUNCH_OOM + 1, ~0U, 0));
}

static void set_caps(uint32_t held, uint32_t inheritable)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{held, held, inheritable}, {0}};
    LAUNCH_MUST(syscall(SYS_capset, &head, data));
}

/* Gives up all but the right to enter namespaces, which survives exec and which the program's
 * process drops (launch_enter). */
static void drop_rights(const struct zygote_setup *w)
{
    static const uint32_t kept = 1U << CAP_SYS_ADMIN;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    LAUNCH_MUST(syscall(SYS_capget, &head, data));
    data[0].inheritable = kept;
    LAUNCH_MUST(syscall(SYS_capset, &head, data));
    for (int cap = 0; cap < 64; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            break; /* beyond the last one of this kernel */
    }
    if (!w->own_user) {
        LAUNCH_MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
        LAUNCH_MUST(setgroups(0, NULL));
        LAUNCH_MUST(setresgid(w->uid, w->uid, w->uid));
        LAUNCH_MUST(setresuid(w->uid, w->uid, w->uid));
    }
    set_caps(kept, kept);
    LAUNCH_MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
    LAUNCH_MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    LAUNCH_MUST(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)); /* a change of user takes it back */
}

/* Of core dumps. One byte is too little for a file, and keeps the kernel from starting the program
 * that the host may have for them, which takes no notice of 0. */
static void forbid_dumps(void)
{
    struct rlimit one = {1, 1};
    LAUNCH_MUST(setrlimit(RLIMIT_CORE, &one));
}

static void set_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
}

static void send_listener(int listener)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct launch_report r = {.kind = LAUNCH_LISTENER};
    struct iovec io = {&r, sizeof(r)};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &listener, sizeof(listener));
    LAUNCH_MUST(sendmsg(LAUNCH_SOCKET, &m, MSG_NOSIGNAL));
    (void)close(listener);
}

/* Tries what no program may do; 0 when nothing succeeded, else the number of the attempt. The
 * last one must end this process. */
static int probe(void)
{
    struct stat st;
    if (stat("/etc", &st) == 0 || stat("/home", &st) == 0 || stat("/proc/self", &st) == 0)
        return 1;
    if (open("/new", O_CREAT | O_WRONLY, 0600) >= 0 || open("/dev/zero2", O_CREAT, 0600) >= 0)
        return 2;
    if (syscall(SYS_socket, 2, 1, 0) >= 0 || syscall(SYS_socket, 16, 3, 0) >= 0)
        return 3;
    if (setuid(0) == 0 || getuid() == 0 || mkdir("../out", 0700) == 0)
        return 4;
    if (getppid() != 0 || kill(-1, 0) == 0)
        return 5;           /* the pid namespace holds more than this process and its first one */
    (void)kill(1, SIGKILL); /* which does not die of this, or else we do */
    int fd = open("/box/mine", O_CREAT | O_RDWR | O_EXCL, 0600);
    if (fd < 0 || fd > LAUNCH_FROM || write(fd, "x", 1) != 1)
        return 6; /* a descriptor from outside is open, or the work directory is not ours */
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 7;
    if (syscall(SYS_setns, LAUNCH_PID_NS, CLONE_NEWPID) == 0 || umount2("/box", LAUNCH_UMOUNT) == 0)
        return 8; /* a zygote's rights */
    (void)syscall(SYS_unshare, CLONE_NEWUSER);
    return 9;
}

static void serve_cold(const struct language_phase *phase)
{
    (void)fcntl(LAUNCH_SOCKET, F_SETFD, FD_CLOEXEC);
    launch_ready();
    for (;;) {
        launch_next();
        pid_t child = phase == NULL ? fork() : vfork();
        if (child == 0 && phase == NULL) {
            launch_enter(1);
            _exit(probe());
        }
        if (child == 0) {
            launch_enter(0);
            (void)execve(phase->argv[0], (char *const *)phase->argv, (char *const *)box_env);
            if (strncmp(phase->argv[0], "/box/", 5) != 0)
                launch_fail("starting the language's program");
            static const char text[] = "the compiled program cannot be started\n";
            (void)!write(LAUNCH_ERR, text, strlen(text));
            _exit(126); /* the source's fault: what is run came out of the compiler */
        }
        if (child < 0)
            launch_lost(errno);
        else
            launch_watch(child);
    }
}

static void zygote_main(const struct zygote_setup *w, int socket)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    set_fds(socket);
    forbid_dumps();
    set_signals();
    root_make(w->phase, w->warm);
    LAUNCH_MUST(chdir("/box"));
    drop_rights(w);
    int listener = filter_load(!w->groups);
    LAUNCH_MUST(listener);
    send_listener(listener);
    if (!w->warm)
        serve_cold(w->phase);
    (void)execve(w->phase->argv[0], (char *const *)w->phase->argv, (char *const *)box_env);
    launch_fail("starting the interpreter");
}

/* ---- in the slot ---- */

static bool receive(const struct zygote *z, int timeout_ms, struct launch_report *ret, int *ret_fd)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec io = {ret, sizeof(*ret)};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct pollfd p = {z->socket, POLLIN, 0};
    if (poll(&p, 1, timeout_ms) != 1 ||
        recvmsg(z->socket, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*ret))
        return false;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c != NULL && c->cmsg_type == SCM_RIGHTS && ret_fd != NULL)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
    return true;
}

static bool await(struct zygote *z, enum launch_kind kind, int *ret_fd, char *what, size_t size)
{
    struct launch_report r = {0};
    bool ok = receive(z, START_MS, &r, ret_fd);
    if (ok && r.kind == kind)
        return true;
    (void)snprintf(what, size, "%s", ok ? r.what : "a zygote ended at its start");
    errno = ok ? r.status : ECHILD;
    return false;
}

bool zygote_open(struct zygote *z, const struct zygote_setup *w, char *what, size_t size)
{
    int pair[2];
    struct clone_args args = {.flags = NAMESPACES, .exit_signal = SIGCHLD};
    (void)snprintf(what, size, "a zygote");
    *z = (struct zygote){.phase = w->phase, .socket = -1, .listener = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    z->socket = pair[0];
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        zygote_main(w, pair[1]);
    (void)close(pair[1]);
    z->pid = pid > 0 ? pid : 0;
    bool ok = pid > 0 && await(z, LAUNCH_LISTENER, &z->listener, what, size) &&
              await(z, LAUNCH_READY, NULL, what, size);
    int code = errno;
    if (!ok)
        zygote_close(z);
    errno = code;
    return ok;
}

void zygote_close(struct zygote *z)
{
    if (z->pid > 0) {
        (void)kill(z->pid, SIGKILL);
        while (waitpid(z->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    file_close(&z->socket);
    file_close(&z->listener);
    *z = (struct zygote){.socket = -1, .listener = -1};
}

bool zygote_send(const struct zygote *z, const struct launch_order *o, const int *fds, size_t count)
{
    char control[CMSG_SPACE((LAUNCH_STREAMS + 2) * sizeof(int))] = {0};
    struct iovec io = {(void *)(uintptr_t)o, sizeof(*o)};
    struct msghdr m = {.msg_iov = &io,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    return sendmsg(z->socket, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*o);
}

bool zygote_receive(const struct zygote *z, struct launch_report *ret)
{
    return receive(z, ANSWER_MS, ret, NULL);
}
