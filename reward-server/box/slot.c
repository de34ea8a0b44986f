/* slot.c: see slot.h.
 *
 * The order at the end of a run matters: kill the first process, which ends all others of its pid
 * namespace; wait for it, which the kernel lets us only when the namespace is empty; only then
 * read the accounting, and decide.
 */
#include "reward-server/box/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "reward-server/box/inside.h"

enum {
    UID_FIRST = 61000, /* of programs, when we are root; one for each slot */
    UID_INSIDE = 1000, /* of programs in a user namespace */
    POLL_MS = 20,      /* how often the accounting is looked at */
    READ_BYTES = 64 << 10,
    NAMESPACES =
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
};

enum stream { STREAM_IN, STREAM_OUT, STREAM_ERR, STREAM_REPORT, STREAMS };

struct run {
    const struct box_request *q; /* borrowed */
    struct box_result *result;   /* borrowed */
    struct cgroup *group;        /* borrowed */
    unsigned uid;                /* of the program, when we are root */
    pid_t first, program;        /* of the box; seen from outside */
    int fds[STREAMS];            /* our ends; owned */
    int theirs[INSIDE_FDS], their_report, go[2];
    size_t sent;
    struct buf out, err; /* owned */
    struct inside_report report;
    bool reported, starved, stopped; /* stopped: ended with the other of a pair */
    enum box_end over;               /* a limit that was hit: BOX_END_COUNT when none */
    uint64_t start_ns;
};

/* ---- start ---- */

static bool make_pipes(struct run *r)
{
    int pair[2];
    for (int i = 0; i < STREAMS; i++) {
        if (pipe2(pair, O_CLOEXEC) < 0)
            return false;
        bool input = i == STREAM_IN;
        r->fds[i] = pair[input];
        *(i == STREAM_REPORT ? &r->their_report : &r->theirs[i]) = pair[!input];
        (void)fcntl(r->fds[i], F_SETFL, O_NONBLOCK); /* a fresh pipe: cannot fail */
    }
    return pipe2(r->go, O_CLOEXEC) == 0;
}

static bool write_proc(pid_t pid, const char *name, const char *text)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    file_close(&fd);
    return ok;
}

static bool map_ids(pid_t pid)
{
    char uid[64], gid[64];
    (void)snprintf(uid, sizeof(uid), "%d %u 1", UID_INSIDE, (unsigned)geteuid());
    (void)snprintf(gid, sizeof(gid), "%d %u 1", UID_INSIDE, (unsigned)getegid());
    return write_proc(pid, "setgroups", "deny") && write_proc(pid, "gid_map", gid) &&
           write_proc(pid, "uid_map", uid);
}

/* A fork into new namespaces: the raw call, as there is no other stack to give. */
static pid_t clone_into(unsigned long long flags)
{
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void close_theirs(struct run *r)
{
    for (int i = 0; i < INSIDE_FDS; i++)
        file_close(&r->theirs[i]);
    file_close(&r->their_report);
    file_close(&r->go[0]);
}

static bool start(const struct slot *s, struct run *r, const struct language *language)
{
    struct inside in = {.request = r->q,
        .uid = s->privileged ? r->uid : UID_INSIDE,
        .userns = !s->privileged,
        .cgroup = r->group->on};
    if (r->q->phase != BOX_PROBE)
        in.phase = r->q->phase == BOX_RUN ? &language->run : &language->compile;
    if (!make_pipes(r))
        return false;
    r->first = clone_into(NAMESPACES | (s->privileged ? 0 : CLONE_NEWUSER));
    if (r->first == 0) {
        memcpy(in.fds, r->theirs, sizeof(in.fds));
        in.report_fd = r->their_report;
        in.go_fd = r->go[0];
        inside_main(&in);
    }
    if (r->first < 0)
        return false;
    close_theirs(r);
    if (r->group->on && !cgroup_add(r->group, r->first))
        return false;
    if (!s->privileged && !map_ids(r->first))
        return false;
    return write(r->go[1], "g", 1) == 1;
}

/* ---- streams ---- */

static void feed(struct run *r)
{
    const uint8_t *data = r->q->input;
    while (r->sent < r->q->input_len) {
        ssize_t n = write(r->fds[STREAM_IN], data + r->sent, r->q->input_len - r->sent);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break; /* it reads no more */
        r->sent += (size_t)n;
    }
    file_close(&r->fds[STREAM_IN]);
}

static void drain(struct run *r, enum stream stream)
{
    struct buf *b = stream == STREAM_OUT ? &r->out : &r->err;
    for (;;) {
        uint8_t *at = buf_extend(b, READ_BYTES);
        ssize_t n = read(r->fds[stream], at, READ_BYTES);
        b->len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            file_close(&r->fds[stream]);
            return;
        }
        if (b->len > r->q->limits.output_bytes) {
            b->len = r->q->limits.output_bytes;
            if (r->over == BOX_END_COUNT)
                r->over = BOX_OUTPUT;
            file_close(&r->fds[stream]);
            return;
        }
    }
}

static void take_report(struct run *r)
{
    r->reported =
        read(r->fds[STREAM_REPORT], &r->report, sizeof(r->report)) == (ssize_t)sizeof(r->report);
    file_close(&r->fds[STREAM_REPORT]);
}

static void handle(struct run *r, enum stream stream)
{
    switch (stream) {
    case STREAM_IN:
        feed(r);
        return;
    case STREAM_OUT:
    case STREAM_ERR:
        drain(r, stream);
        return;
    default:
        take_report(r);
    }
}

/* ---- limits ---- */

/* The program, as seen from here; 0 while there is none. */
static pid_t find_program(struct run *r)
{
    char path[64];
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)r->first, (int)r->first);
    if (r->program == 0 && file_read(path, 4096, &text, &e) == 0 && text.len > 0)
        r->program = (pid_t)strtol((const char *)text.data, NULL, 10);
    return r->program;
}

/* Time that the program waited for a processor, of its first thread. */
static uint64_t waited_us(struct run *r)
{
    char path[64], *rest;
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    (void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)find_program(r));
    if (file_read(path, 4096, &text, &e) < 0 || text.len == 0)
        return 0;
    (void)strtoull((const char *)text.data, &rest, 10);
    return strtoull(rest, NULL, 10) / 1000;
}

/* Processor time so far. Without a group the program is one process, with a clock of its own. */
static uint64_t used_us(struct run *r)
{
    clockid_t id;
    struct timespec t;
    if (r->group->on)
        return cgroup_cpu_us(r->group);
    if (find_program(r) <= 0 || clock_getcpuclockid(r->program, &id) != 0 ||
        clock_gettime(id, &t) < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void check_limits(struct run *r)
{
    const struct box_limits *l = &r->q->limits;
    uint64_t wall_us = (clock_mono_ns() - r->start_ns) / 1000;
    uint64_t cpu_us = used_us(r);
    if (cpu_us > l->cpu_ms * 1000) {
        r->over = BOX_CPU;
    } else if (wall_us > l->wall_ms * 1000) {
        r->over = BOX_WALL;
        r->starved = cpu_us + waited_us(r) > l->cpu_ms * 1000;
    } else if (r->group->on && cgroup_out_of_memory(r->group)) {
        r->over = BOX_MEMORY;
    }
}

static bool is_running(const struct run *r)
{
    return r->fds[STREAM_REPORT] >= 0 && r->over == BOX_END_COUNT;
}

/* Whether there is more to wait for: the first run, or the second when the first has lost it. */
static bool go_on(const struct run *runs, size_t count)
{
    if (is_running(&runs[0]))
        return true;
    bool lost = runs[0].reported && WIFEXITED(runs[0].report.status) &&
                WEXITSTATUS(runs[0].report.status) == BOX_PEER_LOST;
    return count > 1 && lost && is_running(&runs[1]);
}

/* False when the client went away; it has nothing to say during a run. */
static bool wait_streams(int client, struct run *runs, size_t count)
{
    struct pollfd p[BOX_PAIR * STREAMS + 1];
    for (size_t i = 0; i < count * STREAMS; i++) {
        bool input = i % STREAMS == STREAM_IN;
        p[i] = (struct pollfd){runs[i / STREAMS].fds[i % STREAMS], input ? POLLOUT : POLLIN, 0};
    }
    p[count * STREAMS] = (struct pollfd){client, POLLIN, 0};
    (void)poll(p, count * STREAMS + 1, POLL_MS); /* a failure is seen as a limit, in time */
    for (size_t i = 0; i < count * STREAMS; i++) {
        if (p[i].fd >= 0 && p[i].revents != 0)
            handle(&runs[i / STREAMS], (enum stream)(i % STREAMS));
    }
    return client < 0 || p[count * STREAMS].revents == 0;
}

static bool watch(int client, struct run *runs, size_t count)
{
    uint64_t looked_ns = clock_mono_ns();
    while (go_on(runs, count)) {
        if (!wait_streams(client, runs, count))
            return false;
        bool look = clock_mono_ns() - looked_ns >= POLL_MS * 1000000ULL;
        for (size_t i = 0; i < count; i++) {
            if (look && is_running(&runs[i]))
                check_limits(&runs[i]);
            if (runs[i].over != BOX_END_COUNT)
                (void)kill(runs[i].first, SIGKILL); /* the other of a pair sees it */
        }
        if (look)
            looked_ns = clock_mono_ns();
    }
    return true;
}

/* ---- the end ---- */

/* Ends the box and waits until it is empty. */
static void end_box(struct run *r, struct rusage *usage)
{
    int status;
    if (!r->reported || r->report.kind == INSIDE_FAILED)
        (void)kill(r->first, SIGKILL);
    while (wait4(r->first, &status, 0, usage) < 0 && errno == EINTR)
        ;
    for (int i = STREAM_OUT; i <= STREAM_ERR; i++) {
        if (r->fds[i] >= 0)
            drain(r, (enum stream)i);
    }
}

static void account(struct run *r, const struct rusage *u)
{
    uint64_t used = (uint64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000 +
                    (uint64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
    r->result->cpu_us = r->group->on ? cgroup_cpu_us(r->group) : used;
    r->result->memory_bytes =
        r->group->on ? cgroup_memory_peak(r->group) : (uint64_t)u->ru_maxrss << 10;
    r->result->wall_us = (clock_mono_ns() - r->start_ns) / 1000;
}

static enum box_end decide(const struct run *r, int *ret_detail)
{
    const struct box_limits *l = &r->q->limits;
    const struct box_result *res = r->result;
    bool bad = !r->reported || r->report.status != 0;
    if (r->group->on && bad && cgroup_out_of_memory(r->group))
        return BOX_MEMORY;
    if (res->cpu_us > l->cpu_ms * 1000)
        return BOX_CPU;
    if (r->over != BOX_END_COUNT)
        return r->over == BOX_WALL && r->starved ? BOX_STARVED : r->over;
    if (r->stopped)
        return BOX_STOPPED;
    if (!r->reported || r->report.kind == INSIDE_FAILED)
        return BOX_FAULT;
    if (WIFEXITED(r->report.status)) {
        *ret_detail = WEXITSTATUS(r->report.status);
    } else {
        *ret_detail = WTERMSIG(r->report.status);
        if (*ret_detail == SIGSYS)
            return BOX_VIOLATION;
    }
    /* without a group the limit is one of address space, which shows as a failed allocation */
    if (!r->group->on && bad && res->memory_bytes > l->memory_bytes / 2)
        return BOX_MEMORY;
    return WIFEXITED(r->report.status) ? BOX_EXITED : BOX_SIGNALLED;
}

static void fault(struct box_result *ret, const char *what, int code)
{
    ret->end = BOX_FAULT;
    (void)snprintf(ret->message, sizeof(ret->message), "%s: %s", what, strerror(code));
}

static void run_close(struct run *r)
{
    for (int i = 0; i < STREAMS; i++)
        file_close(&r->fds[i]);
    close_theirs(r);
    file_close(&r->go[1]);
    r->result->output = r->out.data;
    r->result->output_len = r->out.len;
    r->result->errors = r->err.data;
    r->result->errors_len = r->err.len;
}

/* ---- runs ---- */

static void run_init(const struct slot *s, struct run *r, struct cgroup *group, size_t i,
    const struct box_request *q, struct box_result *ret)
{
    *r = (struct run){.q = q,
        .result = ret,
        .group = group,
        .uid = UID_FIRST + s->number + (unsigned)i * BOX_SLOTS_MAX,
        .fds = {-1, -1, -1, -1},
        .theirs = {-1, -1, -1, -1, -1},
        .their_report = -1,
        .go = {-1, -1},
        .over = BOX_END_COUNT,
        .start_ns = clock_mono_ns()};
    *ret = (struct box_result){0};
    (void)snprintf(ret->isolation, sizeof(ret->isolation), "namespaces%s,seccomp,%s",
        s->privileged ? "" : "+user", group->on ? "cgroup1" : "rlimits");
}

static bool connect_pair(struct run *runs)
{
    int there[2], back[2];
    if (pipe2(there, O_CLOEXEC) < 0)
        return false;
    runs[0].theirs[INSIDE_TO] = there[1];
    runs[1].theirs[INSIDE_FROM] = there[0];
    if (pipe2(back, O_CLOEXEC) < 0)
        return false;
    runs[0].theirs[INSIDE_FROM] = back[0];
    runs[1].theirs[INSIDE_TO] = back[1];
    return true;
}

/* False with the fault in the result. */
static bool begin(const struct slot *s, struct run *r)
{
    const struct language *language = language_find(r->q->language);
    const struct box_limits *l = &r->q->limits;
    if (language == NULL && r->q->phase != BOX_PROBE)
        fault(r->result, "unknown language", EINVAL);
    else if (!r->group->on && language != NULL && language->wide)
        fault(r->result, "this language needs control groups", ENOTSUP);
    else if (r->group->on && !cgroup_reset(r->group, l->memory_bytes, l->processes + 2))
        fault(r->result, "limits of the control group", errno);
    else if (!start(s, r, language))
        fault(r->result, "making a box", errno);
    else
        return true;
    return false;
}

static void finish(struct run *r)
{
    struct rusage usage = {0};
    bool begun = r->first > 0, failed = r->result->end == BOX_FAULT;
    if (begun) {
        r->stopped = is_running(r);
        end_box(r, &usage);
        account(r, &usage);
    }
    if (!begun && !failed)
        fault(r->result, "the other box of the pair was not made", ECANCELED);
    if (begun && !failed)
        r->result->end = decide(r, &r->result->detail);
    if (begun && !failed && r->result->end == BOX_FAULT)
        fault(
            r->result, r->reported ? r->report.what : "the box ended by itself", r->report.status);
    if (r->group->on && !cgroup_empty(r->group))
        fault(r->result, "processes are left in the control group", EBUSY); /* never seen */
    run_close(r);
}

bool slot_run(
    struct slot *s, const struct box_request *requests, size_t count, struct box_result *results)
{
    struct run runs[BOX_PAIR];
    bool ok = true, client_there = true;
    for (size_t i = 0; i < count; i++)
        run_init(s, &runs[i], &s->groups[i], i, &requests[i], &results[i]);
    if (count > 1 && !connect_pair(runs)) {
        fault(&results[0], "pipes of a pair", errno);
        ok = false;
    }
    for (size_t i = 0; i < count && ok; i++)
        ok = begin(s, &runs[i]);
    if (ok)
        client_there = watch(s->client, runs, count);
    for (size_t i = 0; i < count; i++)
        finish(&runs[i]);
    return client_there;
}

/* ---- a slot ---- */

void slot_open(struct slot *s, unsigned number, int client)
{
    *s = (struct slot){.number = number, .privileged = geteuid() == 0, .client = client};
    for (unsigned i = 0; i < BOX_PAIR; i++)
        cgroup_open(&s->groups[i], number * BOX_PAIR + i);
}

void slot_close(struct slot *s)
{
    for (unsigned i = 0; i < BOX_PAIR; i++) {
        if (s->groups[i].on)
            cgroup_close(&s->groups[i]);
    }
}
