/* main.c: the daemon cohort-reward-server: options, wiring, end. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/daemon/daemon.h"
#include "common/daemon/user.h"
#include "reward-server/box/box.h"
#include "reward-server/grader.h"
#include "reward-server/http/http.h"
#include "reward-server/http/options.h"
#include "reward-server/scoring/math/pool.h"
#include "reward-server/scoring/scoring.h"

static const char doc[] =
    "Grades completions: for a learner, which it asks for work and hands the scores back to, or "
    "for "
    "any trainer that asks over HTTP, or for both.\v"
    "For a learner, start as many as you like; they may come and go at any time. `cohort run` "
    "starts its own.\n\n"
    "Alone:\n"
    "  cohort-reward-server --http 127.0.0.1:8080\n"
    "  curl -H \"Authorization: Bearer $(cat ~/.config/cohort/http-token)\" \\\n"
    "      -H \"Content-Type: application/json\" http://127.0.0.1:8080/v1/score \\\n"
    "      -d '{\"items\": [{\"task\": {\"prompt\": \"2+2\", \"answer\": \"4\"}, "
    "\"response\": \"4\"}]}'\n\n"
    "POST /v1/score grades rows of any dataset, /run_code speaks as SandboxFusion does (verl), "
    "/get_reward as OpenRLHF's remote reward model, /slime and /test_program for slime and "
    "open-instruct; GET /health and /metrics. Clients that know a URL only give the token in it: "
    "http://any:TOKEN@127.0.0.1:8080/run_code.";

enum { DRAIN_MS = 10000 };

struct server {
    uv_loop_t loop;
    struct grader *grader; /* owned; NULL without a learner */
    struct http *http;     /* owned; NULL without an address */
    unsigned serving;      /* how many of the two have not ended */
    int code;
    bool forced; /* threads still work on what nobody waits for */
};

static void ended(struct server *s, int code)
{
    if (code < 0)
        s->code = code;
    if (--s->serving == 0)
        uv_stop(&s->loop);
}

static void on_grader_ended(void *arg, int code, const char *why)
{
    if (code < 0)
        log_error("grader", "ended", LOG_STR("why", why));
    else
        log_info("grader", "ended", LOG_STR("why", why));
    ended(arg, code);
}

static void on_http_ended(void *arg, int code, const char *why)
{
    struct server *s = arg;
    log_info("http", "ended", LOG_STR("why", why));
    s->forced = code < 0;
    ended(s, code);
}

static void on_signal(void *arg)
{
    struct server *s = arg;
    if (s->grader != NULL)
        grader_drain(s->grader, DRAIN_MS);
    if (s->http != NULL)
        http_drain(s->http, DRAIN_MS);
}

static int open_grader(struct server *s, const struct daemon_options *d, struct err *e)
{
    const struct grader_options o = {
        .name = d->name,
        .run_dir = d->run_dir,
        .address = d->connect,
        .slots = (uint32_t)config_int(d->config, "reward-server", "slots"),
        .threads = (unsigned)config_int(d->config, "reward-server", "threads"),
        .ended = on_grader_ended,
        .arg = s,
    };
    s->serving++;
    return grader_open(&s->loop, &o, &s->grader, e);
}

/* The socket and the token, before the process gives up rights. */
static int open_door(
    const struct http_args *a, struct listener *l, struct http_options *o, struct err *e)
{
    CLEANUP_FREE char *path = NULL;
    if (listener_open(a->address, l, e) < 0)
        return e->code;
    o->wants_token = l->tcp || a->token_file != NULL;
    if (!o->wants_token)
        return 0;
    int r = token_load(a->token_file, &o->token, &path, e);
    if (r == 0)
        log_info("http", "requests need the token", LOG_STR("file", path));
    return r;
}

static int open_http(struct server *s, const struct http_args *a, struct listener *l,
    const struct http_options *door, struct box *box, struct err *e)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct http_options o = *door;
    o.listener = l;
    o.names = a->names;
    o.name_count = a->name_count;
    o.scorers = a->scorers;
    o.scorer_count = a->scorer_count;
    o.workers = a->workers > 0 ? a->workers : processors > 0 ? (unsigned)processors : 1;
    o.queue_max = a->queue_max;
    o.body_max = a->body_max;
    o.timeout_ms = a->timeout_ms;
    o.box = box;
    o.ended = on_http_ended;
    o.arg = s;
    s->serving++;
    return http_open(&s->loop, &o, &s->http, e);
}

/* Processes for the math scorer; of who we are then, as they are ours to kill. */
static int open_workers(struct math_pool **ret, struct err *e)
{
    int r = math_pool_open(NULL, MATH_POOL_DEADLINE_MS, ret, e);
    if (r == 0)
        scoring_use_math(*ret);
    return r;
}

/* Whose files we use: the owner of the run's directory, or of that of our socket, which we remove
 * at the end. */
static char *default_user(const struct daemon_options *d, const char *address)
{
    const char *directory = d->run_dir;
    CLEANUP_FREE char *parent = NULL;
    if (d->connect != NULL && strncmp(d->connect, "ipc://", 6) == 0)
        directory = d->connect + 6;
    if (directory == NULL && address != NULL && strncmp(address, "unix:", 5) == 0)
        directory = dirname(parent = mem_strdup(address + 5));
    char *owner = directory != NULL ? daemon_owner(directory) : NULL;
    return owner != NULL ? owner : mem_strdup("nobody");
}

/* Gives up root's rights, which the boxes' supervisor keeps. Only who was named must be. */
static int change_user(const struct daemon_options *d, const struct http_args *a, struct err *e)
{
    unsigned uid = 0;
    CLEANUP_FREE char *other = default_user(d, a->address);
    const char *name = a->user != NULL ? a->user : other;
    if (geteuid() != 0)
        return 0;
    int r = daemon_become(name, &uid, e);
    if (r == ERR_USAGE && a->user == NULL) {
        log_warn("user", "staying root", LOG_ERR(e));
        *e = (struct err){0};
        return 0;
    }
    if (r == 0 && uid != 0)
        log_info("user", "gave up root", LOG_STR("user", name), LOG_U64("uid", uid));
    return r;
}

static int serve(const struct daemon_options *d, const struct http_args *a, struct listener *l,
    const struct http_options *door, struct box *box, struct err *e)
{
    struct server s = {.code = 0};
    struct daemon_watch watch;
    if (uv_loop_init(&s.loop) < 0)
        return err_set(e, ERR_FAIL, "event loop: no file descriptors or memory left");
    if (daemon_watch_open(&watch, &s.loop, d->parent_fd, on_signal, &s, e) < 0)
        return e->code; /* the process ends here, and its handles with it */
    bool learner = d->run_dir != NULL || d->connect != NULL;
    if ((learner && open_grader(&s, d, e) < 0) ||
        (a->address != NULL && open_http(&s, a, l, door, box, e) < 0))
        return e->code;
    (void)uv_run(&s.loop, UV_RUN_DEFAULT);
    if (s.forced)
        _exit(err_exit_status(s.code)); /* boxes end with their user */
    grader_close(s.grader);
    http_close(s.http);
    daemon_watch_close(&watch);
    daemon_loop_close(&s.loop);
    return s.code;
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

/* What needs root, if root started us: boxes and the address. Then what does not. */
static int run(const struct daemon_options *d, const struct http_args *a, struct err *e)
{
    struct listener listener = {.fd = -1};
    struct http_options door = {0};
    struct math_pool *workers = NULL;
    struct box *b = open_boxes();
    int r = a->address != NULL ? open_door(a, &listener, &door, e) : 0;
    if (r == 0)
        r = change_user(d, a, e);
    if (r == 0)
        r = open_workers(&workers, e);
    if (r == 0)
        r = serve(d, a, &listener, &door, b, e);
    math_pool_close(workers);
    box_close(b);
    return r;
}

int main(int argc, char **argv)
{
    struct daemon_options d;
    struct http_args http;
    struct err e = {0};
    http_args_init(&http);
    const struct daemon_more more = {&http_argp, &http, http_args_alone, "--http ADDRESS"};
    log_setup(LOG_INFO, "");
    int r = daemon_options_parse(argc, argv, "reward", doc, &more, &d, &e);
    if (r == 0) {
        r = run(&d, &http, &e);
        daemon_options_done(&d);
    }
    http_args_done(&http);
    if (e.code < 0)
        fprintf(stderr, "cohort-reward-server: %s\n", e.msg);
    return err_exit_status(r);
}
