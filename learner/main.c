/* main.c: the daemon cohort-learner: options, wiring, threads, end. */
#include <argp.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/daemon/daemon.h"
#include "common/daemon/line.h"
#include "common/model/engine.h"
#include "common/net/work.h"
#include "common/tensor/ops.h"
#include "learner/rundir.h"
#include "learner/service.h"
#include "learner/stages.h"

static const char doc[] = "Owns a run: plans what is sampled, hands it to actors and reward "
                          "servers, computes the updates, "
                          "publishes the weights, and keeps everything in RUN/run.db.\v"
                          "Started again on the same directory it continues where it was. `cohort "
                          "run` starts one together "
                          "with its workers. Exit status: 0 finished, 1 failed, 2 usage, 3 "
                          "configuration, 4 data, 5 stopped "
                          "with its state saved.";

/* ---- options ---- */

enum { KEY_RUN = 'r', KEY_CONF = 1000, KEY_ACCEPT };

static const struct argp_option argp_options[] = {
    {"run", KEY_RUN, "DIR", 0, "run directory; made when it is not there", 0},
    {"conf", KEY_CONF, "FILE", 0, "run file; default: RUN/run.conf of a run that exists", 0},
    {"accept-training-id", KEY_ACCEPT, NULL, 0,
        "go on although the checkpoint's arithmetic was another; bits may then differ", 0},
    {0},
};

struct options {
    struct rundir_args run;
    struct line line;
    bool accept_training_id;
};

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case KEY_RUN:
        o->run.path = arg;
        break;
    case KEY_CONF:
        o->run.conf = arg;
        break;
    case KEY_ACCEPT:
        o->accept_training_id = true;
        break;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->line;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        break;
    case ARGP_KEY_END:
        if (o->run.path == NULL)
            argp_error(state, "--run DIR is needed");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static int parse_options(int argc, char **argv, struct options *o, struct err *e)
{
    static const struct argp_child children[] = {{&line_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argp_options, .parser = on_option, .doc = doc, .children = children};
    int r = line_parse(&argp, argc, argv, o, &o->line, e);
    o->run.sets = o->line.sets;
    o->run.set_count = o->line.set_count;
    return r;
}

/* ---- threads ----
 *
 * How it works. The main thread runs the service's loop. The stage thread runs the recipe and ends
 * the service when it is through. The watch thread has a small loop for signals and the control
 * pipe: a signal asks the stage thread to stop at its next step boundary, or ends its wait for
 * workers at once. */

struct learner {
    struct rundir dir;
    struct recipe recipe;
    struct recipe_model model;
    struct service *service;
    struct stages *stages;
    atomic_flag stopped; /* service_stop may be called once */
    struct err result;   /* the stage thread's; read after it has ended */

    uv_loop_t watch_loop;
    uv_async_t watch_end;
    struct daemon_watch watch;
};

static void stop_service(struct learner *l, const char *state, const char *why)
{
    if (!atomic_flag_test_and_set(&l->stopped))
        service_stop(l->service, state, why);
}

static void run_stages(void *arg)
{
    struct learner *l = arg;
    int r = stages_run(l->stages, &l->result);
    if (r == 0)
        stop_service(l, "finished", "");
    else if (r == ERR_INTERRUPTED)
        stop_service(l, "stopped", "");
    else
        stop_service(l, "failed", l->result.msg);
}

static void on_signal(void *arg)
{
    struct learner *l = arg;
    if (stages_request_stop(l->stages))
        stop_service(l, "stopped", "");
}

static void run_watch(void *arg)
{
    struct learner *l = arg;
    (void)uv_run(&l->watch_loop, UV_RUN_DEFAULT); /* until on_watch_end closes what it waits for */
}

static void on_watch_end(uv_async_t *async)
{
    struct learner *l = async->data;
    daemon_watch_close(&l->watch);
    uv_close((uv_handle_t *)async, NULL);
}

static int open_watch(struct learner *l, int parent_fd, struct err *e)
{
    if (uv_loop_init(&l->watch_loop) < 0 ||
        uv_async_init(&l->watch_loop, &l->watch_end, on_watch_end) < 0)
        return err_set(e, ERR_FAIL, "event loop: no file descriptors or memory left");
    l->watch_end.data = l;
    return daemon_watch_open(&l->watch, &l->watch_loop, parent_fd, on_signal, l, e);
}

/* Starts the two threads, serves until the service is stopped, and joins them. */
static int run_threads(struct learner *l, int parent_fd, struct err *e)
{
    struct work *stage_thread = NULL, *watch_thread = NULL;
    int r = open_watch(l, parent_fd, e);
    if (r == 0)
        r = work_start("watch", 1, &watch_thread, e);
    if (r == 0)
        r = work_start("stages", 1, &stage_thread, e);
    if (r != 0)
        return r; /* the process ends here, and its threads with it */
    work_post(watch_thread, run_watch, l);
    work_post(stage_thread, run_stages, l);
    service_run(l->service);
    work_stop(stage_thread);
    (void)uv_async_send(&l->watch_end); /* cannot fail on an open handle */
    work_stop(watch_thread);
    daemon_loop_close(&l->watch_loop);
    *e = l->result;
    return e->code;
}

/* ---- wiring ---- */

static int open_learner(struct learner *l, struct err *e)
{
    int r = recipe_make(l->dir.config, &l->recipe, e);
    if (r == 0)
        r = recipe_model_open(&l->recipe, &l->model, e);
    if (r == 0)
        r = rundir_tokenizer(&l->dir, l->model.tokenizer, e);
    if (r == 0)
        r = rundir_data(&l->dir, &l->recipe, e);
    return r;
}

static int serve(struct learner *l, const struct options *o, struct err *e)
{
    struct hash numerics, training;
    char training_hex[HASH_HEX];
    int r = open_learner(l, e);
    if (r == 0)
        r = numerics_id(l->recipe.isa, &numerics, e);
    if (r == 0)
        r = training_id(l->recipe.isa, &training, e);
    if (r != 0)
        return r;
    hash_hex(&training, training_hex);
    log_info("learner", "training", LOG_STR("training_id", training_hex));
    CLEANUP_BUF struct buf model_config = {0};
    model_config_print(&l->model.table->config, &model_config);
    struct service_options so = {.run_dir = o->run.path,
        .recipe = &l->recipe,
        .config_text = l->dir.config_text,
        .tokenizer = l->model.tokenizer,
        .model_config = (const char *)model_config.data,
        .numerics_id = numerics,
        .training_id = training_hex,
        .accept_training_id = o->accept_training_id};
    if ((r = service_start(&so, &l->service, e)) != 0)
        return r;
    struct stages_options st = {.run_dir = o->run.path,
        .recipe = &l->recipe,
        .model = &l->model,
        .service = l->service,
        .numerics_id = numerics,
        .training_id = training_hex,
        .accept_training_id = o->accept_training_id,
        .changes = (const char *const *)l->dir.changes,
        .change_count = l->dir.change_count};
    r = stages_new(&st, &l->stages, e);
    params_done(&l->model.params); /* the trainer has its own */
    if (r == 0)
        r = run_threads(l, o->line.parent_fd, e);
    stages_free(l->stages);
    service_close(l->service);
    return r;
}

int main(int argc, char **argv)
{
    struct options o = {.line = LINE_NONE};
    struct learner l = {.dir = {.lock_fd = -1}, .stopped = ATOMIC_FLAG_INIT};
    struct err e = {0};
    log_setup(LOG_INFO, "");
    int r = parse_options(argc, argv, &o, &e);
    if (r == 0)
        r = rundir_open(&o.run, &l.dir, &e);
    if (r == 0) {
        r = serve(&l, &o, &e);
        recipe_model_done(&l.model);
        recipe_done(&l.recipe);
        rundir_close(&l.dir);
    }
    line_done(&o.line);
    if (r != 0)
        fprintf(stderr, "cohort-learner: %s\n", e.msg);
    return err_exit_status(r);
}
