/* launcher.c: starts, watches, restarts and stops the children of `cohort run`. */
#include "cli/launcher.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

enum {
    CONTROL_FD = 3,           /* of a child: the read end of its control pipe */
    LOG_BYTES_MAX = 64 << 20, /* a longer log is set aside as NAME.log.1 before a start */
    LAUNCHER_HANDLES = 1,     /* the stop timer */
};

const struct launcher_timing launcher_timing_default = {
    .restart_ms = 100,
    .restart_ms_max = 5000,
    .young_ms = 5000,
    .young_deaths_max = 6,
    .drain_ms = 2000,
    .exit_ms = 3000,
};

enum child_state {
    CHILD_RUNNING,
    CHILD_PAUSED, /* dead, its timer will start it again */
    CHILD_OVER,   /* ended by itself with success, or the launcher is closing */
    CHILD_GIVEN_UP,
};

struct child {
    struct launcher *l; /* borrowed */
    enum child_role role;
    char *name;        /* owned */
    char **argv;       /* owned; "--parent-fd 3" included */
    char **first_argv; /* owned; for the first start, or NULL */
    char *log_path;    /* owned */
    uv_process_t process;
    uv_timer_t restart;
    enum child_state state;
    bool process_open; /* the handle is not closed yet */
    int control;       /* write end of the control pipe, or -1 */
    unsigned young_deaths;
    uint64_t started_ms, log_offset;
};

enum launcher_state {
    LAUNCHER_RUNNING,
    LAUNCHER_STOPPING, /* asked to: the learner got SIGTERM */
    LAUNCHER_DRAINING, /* the learner has ended; workers may end by themselves */
    LAUNCHER_CLOSING,  /* control pipes are closed */
    LAUNCHER_KILLED,   /* what was still there got SIGKILL */
    LAUNCHER_ENDED,
};

struct launcher {
    uv_loop_t *loop; /* borrowed */
    struct launcher_timing timing;
    struct launcher_events events;
    void *arg;
    struct child *children; /* owned */
    size_t count;
    uv_timer_t stop_timer;
    enum launcher_state state;
    struct launcher_result result;
    bool decided; /* result has its status */
    size_t handles_open;
};

static void child_start(struct child *c, bool first);
static void end_when_quiet(struct launcher *l);

__attribute__((format(printf, 2, 3))) static void note(struct launcher *l, const char *fmt, ...)
{
    char line[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    l->events.note(l->arg, line);
}

/* ---- ending ---- */

static void decide(struct launcher *l, struct child *c, int status, const char *why)
{
    if (l->decided)
        return;
    l->decided = true;
    l->result.status = status;
    l->result.child = c != NULL ? c->name : "";
    l->result.log_path = c != NULL ? c->log_path : "";
    l->result.log_offset = c != NULL ? c->log_offset : 0;
    snprintf(l->result.why, sizeof(l->result.why), "%s", why);
}

static void signal_all(struct launcher *l, int number)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->children[i].state == CHILD_RUNNING)
            (void)uv_process_kill(&l->children[i].process, number); /* it may be gone already */
}

static void on_stop_timer(uv_timer_t *timer)
{
    struct launcher *l = timer->data;
    if (l->state == LAUNCHER_DRAINING) {
        l->state = LAUNCHER_CLOSING;
        for (size_t i = 0; i < l->count; i++)
            file_close(&l->children[i].control);
        uv_timer_start(timer, on_stop_timer, l->timing.exit_ms, 0);
    } else {
        l->state = LAUNCHER_KILLED;
        signal_all(l, SIGKILL);
    }
}

/* The learner is gone for good: nothing that a worker still holds is of use. One that finished has
 * told its workers to drain; one that failed may never have met them. */
static void begin_drain(struct launcher *l)
{
    if (l->state == LAUNCHER_RUNNING && l->result.status != 0)
        signal_all(l, SIGTERM);
    l->state = LAUNCHER_DRAINING;
    for (size_t i = 0; i < l->count; i++) {
        uv_timer_stop(&l->children[i].restart);
        if (l->children[i].state == CHILD_PAUSED)
            l->children[i].state = CHILD_OVER;
    }
    uv_timer_start(&l->stop_timer, on_stop_timer, l->timing.drain_ms, 0);
    end_when_quiet(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct launcher *l = handle->data;
    if (--l->handles_open == 0)
        l->events.ended(l->arg, &l->result);
}

/* When no child runs or will run: closes the timers, then says so. */
static void end_when_quiet(struct launcher *l)
{
    if (l->state < LAUNCHER_DRAINING || l->state == LAUNCHER_ENDED)
        return;
    for (size_t i = 0; i < l->count; i++)
        if (l->children[i].process_open)
            return;
    l->state = LAUNCHER_ENDED;
    l->handles_open = l->count + LAUNCHER_HANDLES;
    l->stop_timer.data = l;
    uv_close((uv_handle_t *)&l->stop_timer, on_closed);
    for (size_t i = 0; i < l->count; i++) {
        file_close(&l->children[i].control);
        l->children[i].restart.data = l;
        uv_close((uv_handle_t *)&l->children[i].restart, on_closed);
    }
}

/* ---- deaths ---- */

static void describe(char *out, size_t n, const struct child *c, int64_t status, int number)
{
    if (number != 0)
        snprintf(out, n, "%s was killed by signal %d (%s)", c->name, number, strsignal(number));
    else
        snprintf(out, n, "%s ended with exit status %lld", c->name, (long long)status);
}

static void on_restart(uv_timer_t *timer)
{
    child_start(timer->data, false);
}

static void restart_later(struct child *c, const char *what)
{
    struct launcher *l = c->l;
    unsigned doublings = c->young_deaths > 0 ? c->young_deaths - 1 : 0;
    uint64_t pause = (uint64_t)l->timing.restart_ms << (doublings < 16 ? doublings : 16);
    if (pause > l->timing.restart_ms_max)
        pause = l->timing.restart_ms_max;
    l->result.restarts++;
    c->state = CHILD_PAUSED;
    note(l, "%s, starting it again", what);
    uv_timer_start(&c->restart, on_restart, pause, 0);
}

/* Whether this death was one too many. SIGKILL is somebody's act (an operator, a test, the kernel
 * out of memory), not a fault of the program: it slows restarts down but never gives up. */
static bool given_up(struct child *c, int number)
{
    if (clock_mono_ms() - c->started_ms >= c->l->timing.young_ms)
        c->young_deaths = 0;
    if (number == SIGKILL) {
        if (c->young_deaths < c->l->timing.young_deaths_max - 1)
            c->young_deaths++;
        return false;
    }
    return ++c->young_deaths >= c->l->timing.young_deaths_max;
}

static void learner_ended(struct child *c, int64_t status, int number, const char *what)
{
    struct launcher *l = c->l;
    c->state = CHILD_OVER;
    bool by_itself = number == 0 && status >= 0 && status <= 5;
    if (by_itself)
        decide(l, c, (int)status, status == 0 ? "" : what);
    else if (l->state == LAUNCHER_STOPPING)
        decide(l, c, 5, what);
    else if (given_up(c, number))
        decide(l, c, 1, what);
    if (l->decided) {
        begin_drain(l);
        return;
    }
    restart_later(c, what);
}

static bool role_is_lost(const struct launcher *l, enum child_role role)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->children[i].role == role && l->children[i].state != CHILD_GIVEN_UP)
            return false;
    return true;
}

static void worker_ended(struct child *c, int64_t status, int number, const char *what)
{
    struct launcher *l = c->l;
    c->state = CHILD_OVER;
    if (l->state != LAUNCHER_RUNNING)
        return;
    if (number == 0 && status == 0) {
        /* Told to drain, by a learner that ends soon. If it does not (it died and came back, or a
         * person stopped the worker) the worker is wanted again. */
        c->state = CHILD_PAUSED;
        uv_timer_start(&c->restart, on_restart, l->timing.restart_ms_max, 0);
        return;
    }
    if (!given_up(c, number)) {
        restart_later(c, what);
        return;
    }
    c->state = CHILD_GIVEN_UP;
    note(l, "%s again and again: it stays down, see %s", what, c->log_path);
    if (!role_is_lost(l, c->role))
        return;
    decide(l, c, 1, what);
    launcher_stop(l);
}

static void on_process_closed(uv_handle_t *handle)
{
    struct child *c = handle->data;
    c->process_open = false;
    end_when_quiet(c->l);
}

static void on_exit_child(uv_process_t *process, int64_t status, int number)
{
    struct child *c = process->data;
    char what[160];
    describe(what, sizeof(what), c, status, number);
    file_close(&c->control);
    uv_close((uv_handle_t *)process, on_process_closed);
    if (c->role == CHILD_LEARNER)
        learner_ended(c, status, number, what);
    else
        worker_ended(c, status, number, what);
}

/* ---- starting ---- */

static int open_log(struct child *c, struct err *e)
{
    struct stat st;
    if (stat(c->log_path, &st) == 0 && st.st_size > LOG_BYTES_MAX) {
        CLEANUP_FREE char *old = mem_printf("%s.1", c->log_path);
        if (rename(c->log_path, old) < 0)
            return err_sys(e, ERR_FAIL, "setting aside '%s'", c->log_path);
    }
    int fd = open(c->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "opening the log '%s'", c->log_path);
    c->log_offset = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    return fd;
}

static int spawn(struct child *c, char **argv, struct err *e)
{
    int pipe_fds[2] = {-1, -1};
    CLEANUP(file_close) int log = open_log(c, e);
    if (log < 0)
        return e->code;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_sys(e, ERR_FAIL, "control pipe of %s", c->name);
    uv_stdio_container_t stdio[CONTROL_FD + 1] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = log},
        {.flags = UV_INHERIT_FD, .data.fd = log},
        {.flags = UV_INHERIT_FD, .data.fd = pipe_fds[0]},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_child,
        .file = argv[0],
        .args = argv,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = ARRAY_LEN(stdio),
        .stdio = stdio,
    };
    int r = uv_spawn(c->l->loop, &c->process, &options);
    c->process.data = c;
    c->process_open = true; /* the handle needs closing even when the spawn failed */
    file_close(&pipe_fds[0]);
    c->control = pipe_fds[1];
    if (r < 0)
        return err_set(e, ERR_FAIL, "starting %s ('%s'): %s", c->name, argv[0], uv_strerror(r));
    return 0;
}

static void child_start(struct child *c, bool first)
{
    struct launcher *l = c->l;
    struct err e = {0};
    if (c->process_open) { /* its handle of the last life closes in this turn of the loop */
        uv_timer_start(&c->restart, on_restart, 1, 0);
        return;
    }
    c->started_ms = clock_mono_ms();
    c->state = CHILD_RUNNING;
    if (spawn(c, first && c->first_argv != NULL ? c->first_argv : c->argv, &e) == 0)
        return;
    file_close(&c->control);
    if (c->process_open)
        uv_close((uv_handle_t *)&c->process, on_process_closed);
    if (c->role == CHILD_LEARNER) {
        c->state = CHILD_OVER;
        decide(l, c, 1, e.msg);
        begin_drain(l);
        return;
    }
    worker_ended(c, 1, 0, e.msg);
}

/* ---- life ---- */

static size_t args_count(const char *const *args)
{
    size_t n = 0;
    while (args != NULL && args[n] != NULL)
        n++;
    return n;
}

static char **args_join(const char *const *args, const char *const *more)
{
    size_t n = args_count(args), m = args_count(more);
    char **all = mem_array(n + m + 3, sizeof(*all));
    for (size_t i = 0; i < n; i++)
        all[i] = mem_strdup(args[i]);
    all[n] = mem_strdup("--parent-fd");
    all[n + 1] = mem_printf("%d", CONTROL_FD);
    for (size_t i = 0; i < m; i++)
        all[n + 2 + i] = mem_strdup(more[i]);
    return all;
}

static void args_free(char **args)
{
    for (char **p = args; p != NULL && *p != NULL; p++)
        free(*p);
    free(args);
}

static void child_init(
    struct child *c, struct launcher *l, const char *log_dir, const struct child_spec *spec)
{
    *c = (struct child){.l = l, .role = spec->role, .control = -1, .state = CHILD_OVER};
    c->name = mem_strdup(spec->name);
    c->argv = args_join(spec->argv, NULL);
    c->first_argv = spec->first_args != NULL ? args_join(spec->argv, spec->first_args) : NULL;
    c->log_path = mem_printf("%s/%s.log", log_dir, spec->name);
    (void)uv_timer_init(l->loop, &c->restart); /* cannot fail */
    c->restart.data = c;
}

int launcher_start(uv_loop_t *loop, const char *log_dir, const struct child_spec *specs,
    size_t count, const struct launcher_timing *timing, const struct launcher_events *events,
    void *arg, struct launcher **ret, struct err *e)
{
    if (file_mkdirs(log_dir, 0755, e) < 0)
        return e->code;
    struct launcher *l = mem_alloc(sizeof(*l));
    *l = (struct launcher){
        .loop = loop, .timing = *timing, .events = *events, .arg = arg, .count = count};
    assert(timing->young_deaths_max > 0);
    l->children = mem_array(count, sizeof(*l->children));
    (void)uv_timer_init(loop, &l->stop_timer); /* cannot fail */
    l->stop_timer.data = l;
    for (size_t i = 0; i < count; i++)
        child_init(&l->children[i], l, log_dir, &specs[i]);
    *ret = l;
    for (size_t i = 0; i < count && !l->decided; i++)
        child_start(&l->children[i], true);
    return 0;
}

void launcher_stop(struct launcher *l)
{
    if (l->state == LAUNCHER_ENDED)
        return;
    if (l->state != LAUNCHER_RUNNING) {
        decide(l, NULL, 5, "killed");
        l->state = LAUNCHER_KILLED;
        signal_all(l, SIGKILL);
        end_when_quiet(l);
        return;
    }
    l->state = LAUNCHER_STOPPING;
    signal_all(l, SIGTERM);
    for (size_t i = 0; i < l->count; i++) {
        struct child *c = &l->children[i];
        uv_timer_stop(&c->restart);
        if (c->state == CHILD_PAUSED)
            c->state = CHILD_OVER;
        if (c->role == CHILD_LEARNER && c->state == CHILD_OVER) {
            decide(l, c, 5, "interrupted while the learner was down");
            begin_drain(l);
        }
    }
}

unsigned launcher_running(const struct launcher *l, enum child_role role)
{
    unsigned n = 0;
    for (size_t i = 0; i < l->count; i++)
        n += l->children[i].role == role && l->children[i].state == CHILD_RUNNING;
    return n;
}

unsigned launcher_restarts(const struct launcher *l)
{
    return l->result.restarts;
}

void launcher_free(struct launcher *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->count; i++) {
        struct child *c = &l->children[i];
        free(c->name);
        args_free(c->argv);
        args_free(c->first_argv);
        free(c->log_path);
    }
    free(l->children);
    free(l);
}
