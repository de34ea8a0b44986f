/* run.c: see run.h. */
#include "reward-server/box/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "reward-server/box/filter.h"

enum {
    POLL_MS = 20, /* how often the accounting is looked at */
    READ_BYTES = 64 << 10,
    SOURCES = RUN_STREAMS + 2, /* what is polled: streams, the zygote's messages, violations */
};

/* ---- start ---- */

void run_init(struct run *r, const struct box_request *q, const struct cgroup *group,
    const char *isolation, struct box_result *ret)
{
    *r = (struct run){.q = q,
        .result = ret,
        .group = group,
        .fds = {-1, -1, -1},
        .theirs = {-1, -1, -1, -1, -1},
        .over = BOX_END_COUNT,
        .start_ns = clock_mono_ns()};
    *ret = (struct box_result){0};
    (void)snprintf(ret->isolation, sizeof(ret->isolation), "%s", isolation);
}

bool run_open_streams(struct run *r)
{
    int pair[2];
    for (int i = 0; i < RUN_STREAMS; i++) {
        if (pipe2(pair, O_CLOEXEC) < 0)
            return false;
        bool input = i == RUN_IN;
        r->fds[i] = pair[input];
        r->theirs[i] = pair[!input];
        (void)fcntl(r->fds[i], F_SETFL, O_NONBLOCK); /* a fresh pipe: cannot fail */
    }
    return true;
}

void run_close_theirs(struct run *r)
{
    for (int i = 0; i < LAUNCH_STREAMS; i++)
        file_close(&r->theirs[i]);
}

void run_fail(struct run *r, const char *what, int code)
{
    if (!r->failed)
        (void)snprintf(
            r->result->message, sizeof(r->result->message), "%s: %s", what, strerror(code));
    r->result->end = BOX_FAULT;
    r->failed = true;
}

/* ---- streams ---- */

static void feed(struct run *r)
{
    const uint8_t *data = r->q->input;
    while (r->sent < r->q->input_len) {
        ssize_t n = write(r->fds[RUN_IN], data + r->sent, r->q->input_len - r->sent);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break; /* it reads no more */
        r->sent += (size_t)n;
    }
    file_close(&r->fds[RUN_IN]);
}

static void drain(struct run *r, enum run_stream stream)
{
    struct buf *b = stream == RUN_OUT ? &r->out : &r->err;
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

static void take_message(struct run *r)
{
    struct launch_report report;
    if (!zygote_receive(r->zygote, &report)) {
        r->lost = true;
        run_fail(r, "the process that starts programs ended", ECHILD);
    } else if (report.kind == LAUNCH_FAILED) {
        run_fail(r, report.what, report.status);
    } else if (report.kind == LAUNCH_ENDED) {
        r->end = report;
        r->ended = true;
    }
}

static void take_violation(struct run *r)
{
    char name[sizeof(r->result->refused)];
    if (!filter_violation(r->zygote->listener, name, sizeof(name)) || r->over != BOX_END_COUNT)
        return;
    r->over = BOX_VIOLATION;
    (void)snprintf(r->result->refused, sizeof(r->result->refused), "%s", name);
}

static void handle(struct run *r, int source)
{
    if (source == RUN_IN)
        feed(r);
    else if (source < RUN_STREAMS)
        drain(r, (enum run_stream)source);
    else if (source == RUN_STREAMS)
        take_message(r);
    else
        take_violation(r);
}

/* ---- limits ---- */

/* The program, as seen from here; 0 when there is none. */
static pid_t find_program(const struct run *r)
{
    char path[64];
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    int zygote = (int)r->zygote->pid;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", zygote, zygote);
    bool there = file_read(path, 4096, &text, &e) == 0 && text.len > 0;
    return there ? (pid_t)strtol((const char *)text.data, NULL, 10) : 0;
}

/* Time that the program, in its first thread, waited for a processor, for which its other threads
 * and processes are not to blame: they were in its way no longer than they used one. */
static uint64_t waited_us(pid_t program, uint64_t cpu_us)
{
    char path[64], *rest;
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    (void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)program);
    if (file_read(path, 4096, &text, &e) < 0 || text.len == 0)
        return 0;
    uint64_t ran_us = strtoull((const char *)text.data, &rest, 10) / 1000;
    uint64_t waited = strtoull(rest, NULL, 10) / 1000;
    uint64_t others_us = cpu_us > ran_us ? cpu_us - ran_us : 0;
    return waited > others_us ? waited - others_us : 0;
}

/* Time since the program began, 0 when that is not known. */
static uint64_t age_us(pid_t program)
{
    char path[64];
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    struct timespec now;
    uint64_t began_ticks = 0, tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)program);
    bool there = file_read(path, 4096, &text, &e) == 0 && text.len > 0;
    char *at = there ? strrchr((char *)text.data, ')') : NULL; /* the end of its name */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        began_ticks = strtoull(at, NULL, 10);
    if (began_ticks == 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return 0;
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    return now_us - began_ticks * tick_us;
}

/* Processor time so far. Without a group the program is one process, with a clock of its own. */
static uint64_t used_us(const struct run *r)
{
    clockid_t id;
    struct timespec t;
    if (r->group->on)
        return cgroup_cpu_us(r->group);
    pid_t program = find_program(r);
    if (program <= 0 || clock_getcpuclockid(program, &id) != 0 || clock_gettime(id, &t) < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Idle time so far of the processors that we may use. */
static uint64_t idle_us(void)
{
    cpu_set_t ours;
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    uint64_t ticks = 0, idle;
    unsigned cpu;
    if (sched_getaffinity(0, sizeof(ours), &ours) < 0 ||
        file_read("/proc/stat", 4 << 20, &text, &e) < 0 || text.len == 0)
        return 0;
    char *rest = (char *)text.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (sscanf(line, "cpu%u %*u %*u %*u %" SCNu64, &cpu, &idle) == 2 && cpu < CPU_SETSIZE &&
            CPU_ISSET(cpu, &ours))
            ticks += idle;
    }
    return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Whether the host is at fault that a program did not come to its end in time: the program would
 * have used more than its limit had it begun at once and not waited for a processor, and the
 * processors had no time to spare. */
static bool is_starved(const struct run *r, uint64_t wall_us, uint64_t cpu_us)
{
    uint64_t limit_us = r->q->limits.cpu_ms * 1000;
    pid_t program = find_program(r);
    uint64_t age = program > 0 ? age_us(program) : 0, late_us = wall_us > age ? wall_us - age : 0;
    return late_us + cpu_us + waited_us(program, cpu_us) > limit_us &&
           idle_us() - r->idle_us < limit_us - cpu_us;
}

static void check_limits(struct run *r)
{
    const struct box_limits *l = &r->q->limits;
    uint64_t wall_us = (clock_mono_ns() - r->start_ns) / 1000;
    uint64_t cpu_us = used_us(r);
    if (r->idle_us == 0)
        r->idle_us = idle_us();
    if (cpu_us > l->cpu_ms * 1000) {
        r->over = BOX_CPU;
    } else if (wall_us > l->wall_ms * 1000) {
        r->over = BOX_WALL;
        r->starved = is_starved(r, wall_us, cpu_us);
    } else if (r->group->on && cgroup_out_of_memory(r->group)) {
        r->over = BOX_MEMORY;
    }
}

bool run_is_running(const struct run *r)
{
    return !r->ended && !r->lost && r->over == BOX_END_COUNT;
}

/* Whether there is more to wait for: the first run, or the second when the first has lost it. */
static bool go_on(const struct run *runs, size_t count)
{
    if (run_is_running(&runs[0]))
        return true;
    bool lost = runs[0].ended && WIFEXITED(runs[0].end.status) &&
                WEXITSTATUS(runs[0].end.status) == BOX_PEER_LOST;
    return count > 1 && lost && run_is_running(&runs[1]);
}

static void list_sources(const struct run *r, struct pollfd *p)
{
    bool running = run_is_running(r);
    for (int i = 0; i < RUN_STREAMS; i++)
        p[i] = (struct pollfd){r->fds[i], i == RUN_IN ? POLLOUT : POLLIN, 0};
    p[RUN_STREAMS] = (struct pollfd){running ? r->zygote->socket : -1, POLLIN, 0};
    p[RUN_STREAMS + 1] = (struct pollfd){running ? r->zygote->listener : -1, POLLIN, 0};
}

/* False when the client went away. */
static bool wait_sources(int client, struct run *runs, size_t count)
{
    struct pollfd p[BOX_PAIR * SOURCES + 1];
    for (size_t i = 0; i < count; i++)
        list_sources(&runs[i], p + i * SOURCES);
    p[count * SOURCES] = (struct pollfd){client, POLLIN, 0};
    (void)poll(p, count * SOURCES + 1, POLL_MS); /* a failure is seen as a limit, in time */
    for (size_t i = 0; i < count * SOURCES; i++) {
        /* of a listener whose zygote died nothing more can be read: older kernels would wait */
        bool hung_up = i % SOURCES == RUN_STREAMS + 1 && (p[i].revents & POLLIN) == 0;
        if (p[i].fd >= 0 && p[i].revents != 0 && !hung_up)
            handle(&runs[i / SOURCES], (int)(i % SOURCES));
    }
    return client < 0 || p[count * SOURCES].revents == 0;
}

bool run_watch(int client, struct run *runs, size_t count)
{
    uint64_t looked_ns = clock_mono_ns();
    while (go_on(runs, count)) {
        if (!wait_sources(client, runs, count))
            return false;
        bool look = clock_mono_ns() - looked_ns >= POLL_MS * 1000000ULL;
        for (size_t i = 0; i < count; i++) {
            if (look && run_is_running(&runs[i]))
                check_limits(&runs[i]);
            if (runs[i].over != BOX_END_COUNT)
                (void)kill(runs[i].init, SIGKILL); /* the other of a pair sees it */
        }
        if (look)
            looked_ns = clock_mono_ns();
    }
    return true;
}

/* ---- the end ---- */

void run_stop(struct run *r)
{
    r->stopped = run_is_running(r);
    if (!r->ended)
        (void)kill(r->init, SIGKILL);
    while (!r->ended && !r->lost)
        take_message(r);
}

bool run_ended_by_kill(const struct run *r)
{
    return r->ended && !r->stopped && r->over == BOX_END_COUNT && WIFSIGNALED(r->end.status) &&
           WTERMSIG(r->end.status) == SIGKILL;
}

static void account(struct run *r)
{
    bool group = r->group->on;
    r->result->cpu_us = group ? cgroup_cpu_us(r->group) : r->end.cpu_us;
    r->result->memory_bytes = group ? cgroup_memory_peak(r->group) : 0;
    if (r->result->memory_bytes == 0)
        r->result->memory_bytes = r->end.memory_bytes;
    r->result->wall_us = (clock_mono_ns() - r->start_ns) / 1000;
}

/* The kernel counts in a group what it kills for want of memory in the group or in the host; in the
 * second case the program is not to blame. */
static enum box_end decide_memory(const struct run *r)
{
    uint64_t peak = cgroup_memory_peak(r->group), limit = r->q->limits.memory_bytes;
    return peak != 0 && peak < limit - limit / 4 ? BOX_STARVED : BOX_MEMORY;
}

static enum box_end decide(const struct run *r, int *ret_detail)
{
    const struct box_limits *l = &r->q->limits;
    const struct box_result *res = r->result;
    bool bad = r->end.status != 0;
    if (r->group->on && bad && cgroup_out_of_memory(r->group))
        return decide_memory(r);
    if (res->cpu_us > l->cpu_ms * 1000)
        return BOX_CPU;
    if (r->over != BOX_END_COUNT)
        return r->over == BOX_WALL && r->starved ? BOX_STARVED : r->over;
    if (r->stopped)
        return BOX_STOPPED;
    bool exited = WIFEXITED(r->end.status);
    *ret_detail = exited ? WEXITSTATUS(r->end.status) : WTERMSIG(r->end.status);
    if (!exited && *ret_detail == SIGSYS)
        return BOX_VIOLATION; /* of a foreign architecture: no name */
    /* without a group the limit is one of address space, which shows as a failed allocation */
    if (!r->group->on && bad && res->memory_bytes > l->memory_bytes / 2)
        return BOX_MEMORY;
    return exited ? BOX_EXITED : BOX_SIGNALLED;
}

void run_finish(struct run *r)
{
    if (r->init > 0) {
        for (int i = RUN_OUT; i <= RUN_ERR; i++) {
            if (r->fds[i] >= 0)
                drain(r, (enum run_stream)i);
        }
        account(r);
    }
    if (r->init > 0 && !r->failed)
        r->result->end = decide(r, &r->result->detail);
    if (r->result->end == BOX_VIOLATION)
        r->result->detail = SIGSYS;
    for (int i = 0; i < RUN_STREAMS; i++)
        file_close(&r->fds[i]);
    run_close_theirs(r);
    r->result->output = r->out.data;
    r->result->output_len = r->out.len;
    r->result->errors = r->err.data;
    r->result->errors_len = r->err.len;
}
