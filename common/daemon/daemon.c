/* daemon.c: options, control pipe and signals of a worker daemon. */
#include "common/daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/daemon/line.h"
#include "common/recipe/recipe.h"

enum { KEY_RUN = 'r', KEY_CONNECT = 'c', KEY_NAME = 'n', KEY_CONF = 1000 };

static const struct argp_option argp_options[] = {
    {"run", KEY_RUN, "DIR", 0, "run directory on this host: its file `address` says where", 0},
    {"connect", KEY_CONNECT, "ipc://DIR", 0, "directory of the learner's sockets, instead of --run",
        0},
    {"name", KEY_NAME, "NAME", 0, "of this worker, [a-z0-9._-]{1,64}; made up when absent", 0},
    {"conf", KEY_CONF, "FILE", 0, "run file whose live options of this daemon apply", 0},
    {0},
};

/* Where the command line puts what the options need in their turn. */
struct worker_line {
    struct daemon_options *o;
    const struct daemon_more *more;
    struct line line;
    const char *conf;
};

/* Two learners are too many, and none is too few unless the daemon serves somebody else. */
static void check_learner(const struct worker_line *line, struct argp_state *state)
{
    const struct daemon_more *more = line->more;
    bool alone = more != NULL && more->alone(more->input);
    if (line->o->run_dir != NULL && line->o->connect != NULL)
        argp_error(state, "say where the learner is once: --run DIR or --connect ipc://DIR");
    else if (line->o->run_dir == NULL && line->o->connect == NULL && !alone)
        argp_error(state, "say where the learner is: --run DIR or --connect ipc://DIR%s%s",
            more != NULL ? "; or serve without one: " : "", more != NULL ? more->alone_option : "");
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct worker_line *line = state->input;
    switch (key) {
    case KEY_RUN:
        line->o->run_dir = arg;
        break;
    case KEY_CONNECT:
        line->o->connect = arg;
        break;
    case KEY_NAME:
        line->o->name = arg;
        break;
    case KEY_CONF:
        line->conf = arg;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        break;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &line->line;
        if (line->more != NULL)
            state->child_inputs[1] = line->more->input;
        break;
    case ARGP_KEY_END:
        check_learner(line, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Two workers of one name cannot serve a run at once, so the made-up name has host and process. */
static char *make_name(const char *kind)
{
    char host[40] = "";
    (void)gethostname(host, sizeof(host) - 1); /* without one the name is still unique here */
    char *name = mem_printf("%s-%s-%ld", kind, host, (long)getpid());
    for (char *p = name; *p; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
        else if (strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", *p) == NULL)
            *p = '-';
    }
    return name;
}

int daemon_options_parse(int argc, char **argv, const char *kind, const char *doc,
    const struct daemon_more *more, struct daemon_options *ret, struct err *e)
{
    struct daemon_options o = {.name = NULL};
    struct worker_line line = {.o = &o, .more = more, .line = LINE_NONE};
    const struct argp_child children[] = {
        {&line_argp, 0, NULL, 0}, {more != NULL ? more->argp : NULL, 0, NULL, 0}, {0}};
    const struct argp argp = {
        .options = argp_options, .parser = on_option, .doc = doc, .children = children};
    o.config = config_new(recipe_options);
    int r = line_parse(&argp, argc, argv, &line, &line.line, e);
    o.name = o.name != NULL ? mem_strdup(o.name) : make_name(kind);
    o.parent_fd = line.line.parent_fd;
    if (r == 0)
        r = recipe_read(o.config, line.conf, line.line.sets, line.line.set_count, e);
    line_done(&line.line);
    if (r < 0) {
        daemon_options_done(&o);
        return r;
    }
    *ret = o;
    return 0;
}

void daemon_options_done(struct daemon_options *o)
{
    free((char *)o->name); /* made by daemon_options_parse */
    config_free(o->config);
    *o = (struct daemon_options){.parent_fd = -1};
}

/* ---- watching ---- */

static void on_parent(uv_poll_t *poll, int status, int events)
{
    char byte[64];
    ssize_t n =
        status < 0 ? 0 : read(((struct daemon_watch *)poll->data)->parent_fd, byte, sizeof(byte));
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    _exit(5); /* at once: nobody is left who would want what this process holds */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon_watch *w = handle->data;
    if (w->signalled)
        _exit(5);
    w->signalled = true;
    log_info("daemon", "asked to stop", LOG_I64("signal", number));
    w->on_signal(w->arg);
}

static int watch_signal(
    struct daemon_watch *w, uv_loop_t *loop, uv_signal_t *handle, int number, struct err *e)
{
    (void)uv_signal_init(loop, handle); /* cannot fail after the loop's own pipe exists */
    handle->data = w;
    int r = uv_signal_start(handle, on_signal, number);
    if (r < 0)
        return err_set(e, ERR_FAIL, "watching signal %d: %s", number, uv_strerror(r));
    uv_unref((uv_handle_t *)handle);
    return 0;
}

int daemon_watch_open(struct daemon_watch *w, uv_loop_t *loop, int parent_fd,
    void (*signalled)(void *arg), void *arg, struct err *e)
{
    *w = (struct daemon_watch){.on_signal = signalled, .arg = arg, .parent_fd = parent_fd};
    signal(SIGPIPE, SIG_IGN);
    if (watch_signal(w, loop, &w->term, SIGTERM, e) < 0 ||
        watch_signal(w, loop, &w->interrupt, SIGINT, e) < 0)
        return e->code;
    if (parent_fd < 0)
        return 0;
    int r = uv_poll_init(loop, &w->parent, parent_fd);
    if (r < 0)
        return err_set(e, ERR_USAGE, "--parent-fd %d: %s", parent_fd, uv_strerror(r));
    w->parent.data = w;
    w->has_parent = true;
    r = uv_poll_start(&w->parent, UV_READABLE | UV_DISCONNECT, on_parent);
    if (r < 0)
        return err_set(e, ERR_USAGE, "--parent-fd %d: %s", parent_fd, uv_strerror(r));
    uv_unref((uv_handle_t *)&w->parent);
    return 0;
}

void daemon_watch_close(struct daemon_watch *w)
{
    uv_close((uv_handle_t *)&w->term, NULL);
    uv_close((uv_handle_t *)&w->interrupt, NULL);
    if (w->has_parent)
        uv_close((uv_handle_t *)&w->parent, NULL);
}

void daemon_loop_close(uv_loop_t *loop)
{
    (void)uv_run(loop, UV_RUN_DEFAULT); /* only handles that are closing are left */
    if (uv_loop_close(loop) != 0)
        log_warn("daemon", "the loop still had open handles, ignoring");
}
