/* daemon.c: options, control pipe and signals of a worker daemon. */
#include "common/daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/daemon/args.h"
#include "common/recipe/recipe.h"

/* Where the command line puts what the options need in their turn. */
struct line {
    const char *conf, *log_level, *fault;
    struct arg_list sets;
    int64_t parent_fd;
};

static int parse_line(int argc, char **argv, const char *doc, struct daemon_options *o,
    struct line *line, struct err *e)
{
    const struct arg table[] = {
        {"run", 'r', ARG_STRING, &o->run_dir, "DIR",
            "run directory on this host: its file `address` says where"},
        {"connect", 'c', ARG_STRING, &o->connect, "ipc://DIR",
            "directory of the learner's sockets, instead of --run"},
        {"name", 'n', ARG_STRING, &o->name, "NAME",
            "of this worker, [a-z0-9._-]{1,64}; made up when absent"},
        {"conf", 0, ARG_STRING, &line->conf, "FILE",
            "run file whose live options of this daemon apply"},
        {"set", 0, ARG_LIST, &line->sets, "SECTION.KEY=VALUE", "one option, over the file's"},
        {"log-level", 0, ARG_STRING, &line->log_level, "LEVEL", "debug, info, warn or error"},
        {"parent-fd", 0, ARG_INT, &line->parent_fd, "N", NULL, .min = 0, .max = 65535},
        {"fault", 0, ARG_STRING, &line->fault, "SITE:NTH:ACTION", NULL},
        {0},
    };
    CLEANUP_FREE char *usage = mem_printf("%s --run DIR | --connect ipc://DIR [OPTION]...",
        strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0]);
    const struct args args = {.usage = usage, .intro = doc, .table = table};
    int r = args_parse(argc, argv, &args, NULL, e);
    if (r != 0)
        return r;
    if ((o->run_dir == NULL) == (o->connect == NULL))
        return err_set(e, ERR_USAGE, "say where the learner is: --run DIR or --connect ipc://DIR");
    return 0;
}

/* What takes effect at once. */
static int apply_line(const struct line *line, struct err *e)
{
    enum log_level level = LOG_INFO;
    if (line->log_level != NULL && log_level_parse(line->log_level, &level, e) < 0)
        return err_set(e, ERR_USAGE, "--log-level: %s", e->msg);
    log_setup(level, "");
    if (line->fault != NULL && fault_arm(line->fault, e) < 0)
        return err_set(e, ERR_USAGE, "--fault: %s", e->msg);
    return 0;
}

static int read_config(const struct line *line, struct config *c, struct err *e)
{
    if (line->conf != NULL && config_read_file(c, line->conf, e) < 0)
        return e->code;
    for (size_t i = 0; i < line->sets.count; i++)
        if (config_set(c, line->sets.items[i], e) < 0)
            return e->code;
    return config_check(c, e);
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
    struct daemon_options *ret, struct err *e)
{
    struct daemon_options o = {.name = NULL, .parent_fd = -1};
    struct line line = {.parent_fd = -1};
    int r = parse_line(argc, argv, doc, &o, &line, e);
    if (r != 0)
        return r;
    o.parent_fd = (int)line.parent_fd;
    o.name = o.name != NULL ? mem_strdup(o.name) : make_name(kind);
    o.config = config_new(recipe_options);
    if (apply_line(&line, e) < 0 || read_config(&line, o.config, e) < 0) {
        daemon_options_done(&o);
        return e->code;
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
