/* main.c: the daemon cohort-reward-server: options, wiring, end. */
#include <stdio.h>

#include "common/base/log.h"
#include "common/daemon/daemon.h"
#include "reward-server/box/box.h"
#include "reward-server/grader.h"
#include "reward-server/scoring/math/pool.h"
#include "reward-server/scoring/scoring.h"

static const char doc[] =
    "Grades completions for a learner: asks it for work, fetches what is to be graded, scores it "
    "with the scorers the run names, and hands the scores back.\v"
    "Start as many as you like; they may come and go at any time. `cohort run` starts its own.";

enum { DRAIN_MS = 10000 };

struct ending {
    uv_loop_t *loop;
    struct grader *grader;
    int code;
};

static void on_ended(void *arg, int code, const char *why)
{
    struct ending *end = arg;
    end->code = code;
    if (code < 0)
        log_error("grader", "ended", LOG_STR("why", why));
    else
        log_info("grader", "ended", LOG_STR("why", why));
    uv_stop(end->loop);
}

static void on_signal(void *arg)
{
    struct ending *end = arg;
    grader_drain(end->grader, DRAIN_MS);
}

static int serve(const struct daemon_options *d, struct err *e)
{
    uv_loop_t loop;
    struct daemon_watch watch;
    struct ending end = {.loop = &loop};
    const struct grader_options o = {
        .name = d->name,
        .run_dir = d->run_dir,
        .address = d->connect,
        .slots = (uint32_t)config_int(d->config, "reward-server", "slots"),
        .threads = (unsigned)config_int(d->config, "reward-server", "threads"),
        .ended = on_ended,
        .arg = &end,
    };
    if (uv_loop_init(&loop) < 0)
        return err_set(e, ERR_FAIL, "event loop: no file descriptors or memory left");
    if (daemon_watch_open(&watch, &loop, d->parent_fd, on_signal, &end, e) < 0 ||
        grader_open(&loop, &o, &end.grader, e) < 0)
        return e->code; /* the process ends here, and its handles with it */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    grader_close(end.grader);
    daemon_watch_close(&watch);
    daemon_loop_close(&loop);
    return end.code;
}

/* Boxes for the code scorer, before any thread exists. A host that cannot make them grades all
 * else. */
static struct box *open_boxes(void)
{
    struct box *b = NULL;
    struct err e = {0};
    if (box_open(NULL, &b, &e) < 0) {
        log_warn("box", "no sandbox, not offering the code scorer", LOG_ERR(&e));
        return NULL;
    }
    log_info("box", "sandbox is tested", LOG_STR("isolation", box_isolation(b)));
    scoring_use_box(b);
    return b;
}

/* Processes for the math scorer. */
static int open_workers(struct math_pool **ret, struct err *e)
{
    int r = math_pool_open(NULL, MATH_POOL_DEADLINE_MS, ret, e);
    if (r == 0)
        scoring_use_math(*ret);
    return r;
}

int main(int argc, char **argv)
{
    struct daemon_options d;
    struct err e = {0};
    log_setup(LOG_INFO, "");
    int r = daemon_options_parse(argc, argv, "reward", doc, &d, &e);
    if (r == 0) {
        struct math_pool *workers = NULL;
        struct box *b = open_boxes();
        r = open_workers(&workers, &e);
        if (r == 0)
            r = serve(&d, &e);
        math_pool_close(workers);
        box_close(b);
        daemon_options_done(&d);
    }
    if (e.code < 0)
        fprintf(stderr, "cohort-reward-server: %s\n", e.msg);
    return err_exit_status(r);
}
