/* main.c: the program cohort-box: runs programs that nobody trusts, each in a box of its own.
 *
 * How it works. Five kinds of processes, none of them with threads:
 *
 *   the user (a reward server, `cohort grade`)
 *     | control socket, descriptor 3: each message is one connection, as a descriptor
 *   supervisor: forks a slot for each connection, and waits for slots
 *     | the connection: requests and results (wire.h), one at a time
 *   slot: makes one run after the other, feeds and reads the program's pipes, keeps the limits
 *     |-- zygote: one for each phase of a language, made when first needed, in namespaces and under
 *     |     a root of its own, with the program's user, system call filter and control groups; all
 *     |     that it may still do is to enter a pid namespace and put a directory in place
 *     |     | fork for each run, into the pid namespace; limits, the last right given up; exec
 *     |   the program
 *     `-- first process of a pid namespace, new for each run; does nothing
 *
 * A zygote is this program again, which execs the program; or a Python interpreter with the usual
 * modules imported, whose fork goes on in it (python/warm.py), which saves what a cold start costs.
 * Either way the program begins in a copy of a process that never ran another.
 *
 * What the program sees: a read-only root in memory with the files of its language (language.c) and
 * three devices; an empty network; no /proc; its own work directory /box in memory, made for this
 * run and gone with it; the descriptors 0, 1 and 2, which are pipes; itself, as process 2. It has
 * no capabilities, and the system calls of filter.c. What it writes is bytes to us; nothing outside
 * opens a file that it can name, but those of the work directory that the user wants back: when the
 * last process is gone, and if they are regular files there. Network, ipc, uts and mount namespaces
 * last as long as the zygote: a program can change nothing in them, for want of rights and of
 * system calls, and so nothing of one run is seen in the next.
 *
 * Two boxes can be made as a pair, for a test that is code of its own: the test in one, the program
 * in the other, with a pipe each way. What comes through it is for the test to check.
 *
 * Who judges: the slot (run.c). Only what the zygote saw of the program itself counts, not what the
 * program's children did. CPU time is that of all processes, from the accounting of the control
 * group or of the kernel's wait; wall time is a ceiling, and when the program spent it waiting for
 * a processor the host is at fault (BOX_STARVED). Memory is that of the control group.
 *
 * The end of a run: the first process is killed, and the kernel ends every process of its pid
 * namespace before it can be waited for; the control group must hold its zygotes alone then.
 * Nothing survives: a zygote ends with its slot (PR_SET_PDEATHSIG), the first process when the
 * slot's end of a pipe is gone, a slot with its connection or the supervisor. A zygote that dies
 * while it has a program makes the run a fault, and its slot ends; there is a new one for the next.
 *
 * Without writable control groups the program may have threads but no processes, so that
 * RLIMIT_AS, RLIMIT_CPU and RLIMIT_NPROC bound all of it; compilers alone may. The result names
 * what held the program. At start a box is made in which we try to break out; when that fails to
 * fail, or a box cannot be made, cohort-box ends, and there is no other way to run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reward-server/box/filter.h"
#include "reward-server/box/slot.h"
#include "reward-server/box/wire.h"

enum { KEPT_BYTES_MAX = 1 << 20 }; /* of a slot's memory for messages */

static pid_t slots[BOX_SLOTS_MAX]; /* 0: free. Of the supervisor alone */

/* ---- a slot ---- */

static bool serve_one(struct slot *s, const struct box_request *requests, size_t count)
{
    struct box_result results[BOX_PAIR];
    CLEANUP_BUF struct buf reply = {0};
    struct err e;
    bool go_on = slot_run(s, requests, count, results);
    wire_parts_begin(&reply, count);
    for (size_t i = 0; i < count; i++) {
        wire_result_add(&reply, &results[i]);
        box_result_done(&results[i]);
    }
    return wire_write(s->client, &reply, &e) == 0 && go_on && !s->broken;
}

static void serve(struct slot *s)
{
    CLEANUP_BUF struct buf message = {0};
    struct err e;
    bool go_on = true;
    while (go_on && wire_read(s->client, &message, &e) == 1) {
        struct box_request requests[BOX_PAIR];
        struct wire_lists lists[BOX_PAIR];
        size_t count = wire_requests_unpack(message.data, message.len, requests, lists);
        go_on = count > 0 && serve_one(s, requests, count);
        if (message.cap > KEPT_BYTES_MAX)
            buf_done(&message); /* processes fork faster from a small one */
        if (go_on)
            slot_prepare(s);
    }
}

static void slot_main(unsigned number, int client)
{
    static struct slot s;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)close(WIRE_FD);
    if (slot_open(&s, number, client))
        serve(&s);
    slot_close(&s);
    _exit(0);
}

/* ---- the supervisor ---- */

static void reap(bool all)
{
    int status;
    pid_t pid;
    bool killed = false;
    while ((pid = waitpid(-1, &status, all ? 0 : WNOHANG)) > 0) {
        killed = killed || status != 0;
        for (unsigned i = 0; i < BOX_SLOTS_MAX; i++) {
            if (slots[i] == pid)
                slots[i] = 0;
        }
    }
    if (killed)
        cgroup_sweep(); /* it could not do so itself */
}

static void add_slot(int client)
{
    unsigned i = 0;
    reap(false);
    while (i < BOX_SLOTS_MAX && slots[i] != 0)
        i++;
    pid_t pid = i < BOX_SLOTS_MAX ? fork() : -1;
    if (pid == 0)
        slot_main(i, client);
    if (pid > 0)
        slots[i] = pid;
    (void)close(client); /* the user sees the end when there is no slot */
}

/* A descriptor from the control socket; -1 at its end. */
static int next_client(void)
{
    char byte;
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec io = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(WIRE_FD, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c == NULL || c->cmsg_type != SCM_RIGHTS)
        return -1;
    int fd;
    memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

/* ---- the self-test ---- */

static int self_test(char *isolation, size_t size, struct err *e)
{
    static struct slot s;
    struct box_result r;
    const struct box_request q = {.language = "",
        .phase = BOX_PROBE,
        .limits = {.cpu_ms = 5000,
            .wall_ms = 60000,
            .memory_bytes = 64 << 20,
            .processes = 4,
            .output_bytes = 4096,
            .work_bytes = 1 << 20,
            .work_files = 16}};
    if (!slot_open(&s, 0, -1))
        return err_set(e, ERR_FAIL, "a box cannot be made: %s", strerror(errno));
    (void)slot_run(&s, &q, 1, &r);
    slot_close(&s);
    (void)snprintf(isolation, size, "%s", r.isolation);
    int code = 0;
    if (r.end == BOX_FAULT)
        code = err_set(e, ERR_FAIL, "a box cannot be made: %s", r.message);
    else if (r.end != BOX_VIOLATION || strcmp(r.refused, "unshare") != 0)
        code = err_set(e, ERR_FAIL,
            "the self-test broke out of a box: attempt %d succeeded (end %d, expected a "
            "violation)",
            r.detail, (int)r.end);
    box_result_done(&r);
    return code;
}

/* Tells the user how it went: a result with a message, or with the isolation alone. In a process of
 * its own, as slots are: a slot may have a user namespace. */
static void greet(void)
{
    struct err e;
    struct box_result hello = {0};
    if (filter_make(&e) < 0 || self_test(hello.isolation, sizeof(hello.isolation), &e) < 0) {
        hello.end = BOX_FAULT;
        (void)snprintf(hello.message, sizeof(hello.message),
            "%.160s (boxes need root, or user namespaces: sysctl user.max_user_namespaces)", e.msg);
    }
    CLEANUP_BUF struct buf text = {0};
    wire_parts_begin(&text, 1);
    wire_result_add(&text, &hello);
    _exit(wire_write(WIRE_FD, &text, &e) == 0 && hello.end != BOX_FAULT ? 0 : 1);
}

static bool tested(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        greet();
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char **argv)
{
    struct err e;
    int client;
    if (argc > 1 || fcntl(WIRE_FD, F_GETFD) < 0) {
        fprintf(stderr, "%s: started by other programs of cohort, with a socket as descriptor %d\n",
            argv[0], WIRE_FD);
        return 2;
    }
    (void)fcntl(WIRE_FD, F_SETFD, FD_CLOEXEC);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* what a killed slot leaves comes to us */
    cgroup_find();
    if (!tested() || filter_make(&e) < 0)
        return 1;
    while ((client = next_client()) >= 0)
        add_slot(client);
    reap(true); /* they end with their connections */
    cgroup_sweep();
    return 0;
}
