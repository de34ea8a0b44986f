/* main.c: the daemon cohort-actor: options, wiring, end. */
#include <stdio.h>

#include "actor/actor.h"
#include "common/base/log.h"
#include "common/daemon/daemon.h"

static const char doc[] =
    "Samples groups of completions for a learner: asks it for work, fetches and verifies the "
    "weights of the version it is asked for, samples, and hands the group back.\v"
    "Start as many as you like; they may come and go at any time. `cohort run` starts its own.";

enum { DRAIN_MS = 10000 };

struct ending {
    uv_loop_t *loop;
    struct actor *actor;
    int code;
};

static void on_ended(void *arg, int code, const char *why)
{
    struct ending *end = arg;
    end->code = code;
    if (code < 0)
        log_error("actor", "ended", LOG_STR("why", why));
    else
        log_info("actor", "ended", LOG_STR("why", why));
    uv_stop(end->loop);
}

static void on_signal(void *arg)
{
    struct ending *end = arg;
    actor_drain(end->actor, DRAIN_MS);
}

static int serve(const struct daemon_options *d, struct err *e)
{
    const struct config *c = d->config;
    uv_loop_t loop;
    struct daemon_watch watch;
    struct ending end = {.loop = &loop};
    struct actor_options o = {
        .name = d->name,
        .run_dir = d->run_dir,
        .address = d->connect,
        .slots = (uint32_t)config_int(c, "actor", "slots"),
        .engine = {.threads = (unsigned)config_int(c, "actor", "threads"),
            .isa = config_str(c, "engine", "isa"),
            .kv_bytes_max = (size_t)config_int(c, "actor", "kv-mib") << 20,
            .batch_max = (uint32_t)config_int(c, "actor", "batch")},
        .use_files = 1,
        .ended = on_ended,
        .arg = &end,
    };
    if (numerics_id(o.engine.isa, &o.numerics_id, e) < 0)
        return err_ctx(e, "numerics self-test");
    if (uv_loop_init(&loop) < 0)
        return err_set(e, ERR_FAIL, "event loop: no file descriptors or memory left");
    if (daemon_watch_open(&watch, &loop, d->parent_fd, on_signal, &end, e) < 0 ||
        actor_open(&loop, &o, &end.actor, e) < 0)
        return e->code; /* the process ends here, and its handles with it */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    actor_close(end.actor);
    daemon_watch_close(&watch);
    daemon_loop_close(&loop);
    return end.code;
}

int main(int argc, char **argv)
{
    struct daemon_options d;
    struct err e = {0};
    log_setup(LOG_INFO, "");
    int r = daemon_options_parse(argc, argv, "actor", doc, NULL, &d, &e);
    if (r == 0) {
        r = serve(&d, &e);
        daemon_options_done(&d);
    }
    if (e.code < 0)
        fprintf(stderr, "cohort-actor: %s\n", e.msg);
    return err_exit_status(r);
}
