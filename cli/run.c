/* run.c: `cohort run`: a whole run on one machine.
 *
 * How it works: reads the run file, says what it asks for, starts a learner, actors and reward
 * servers as children (launcher), shows what the database says (progress), and prints what came out
 * (summary). The state of the run belongs to the learner: this process can be killed at any moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <uv.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/daemons.h"
#include "cli/display.h"
#include "cli/figures.h"
#include "cli/gold.h"
#include "cli/launcher.h"
#include "cli/outline.h"
#include "cli/progress.h"
#include "cli/rundb.h"
#include "cli/summary.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/recipe/recipe.h"

enum {
    POLL_MS = 250,
    PLAIN_POLL_MS = 500,
    TAIL_BYTES = 4096,
    TAIL_LINES = 12,
    NAME_BYTES = 32,
    WORKERS_MAX = 1024, /* of a kind, as the options' table has it */
    DISK_FREE_MIN = 256 << 10
};

/* ---- the command line ---- */

struct run_args {
    const char *conf, *run_dir;
    struct args_words sets, faults;
    bool dry_run, print_config, accept_training_id;
    int argc;
    char **argv;
    char actors[NAME_BYTES], reward_servers[NAME_BYTES]; /* as --set assignments; "" : not given */
};

enum {
    KEY_RUN = 'r',
    KEY_SET = 's',
    KEY_ACTORS = 'a',
    KEY_REWARD = 1000,
    KEY_DRY,
    KEY_PRINT,
    KEY_ACCEPT,
    KEY_FAULT
};

static const struct argp_option run_options[] = {
    {"run", KEY_RUN, "DIR", 0, "run directory; default: ./NAME-run, NAME from [run] name", 0},
    {"set", KEY_SET, "SECTION.KEY=VALUE", 0,
        "one option over the file's, e.g. \"stage zero.steps=8\"; may be given again", 0},
    {"actors", KEY_ACTORS, "N", 0, "as --set actor.count=N", 0},
    {"reward-servers", KEY_REWARD, "M", 0, "as --set reward-server.count=M", 0},
    {"dry-run", KEY_DRY, NULL, 0, "say what it would do (stages, completions, memory), then end",
        0},
    {"print-config", KEY_PRINT, NULL, 0, "print every option with its origin, then end", 0},
    {"accept-training-id", KEY_ACCEPT, NULL, 0,
        "continue a run that was trained under other arithmetic; bits may then differ", 0},
    {"fault", KEY_FAULT, "CHILD:SITE:NTH:ACTION", OPTION_HIDDEN,
        "arm a fault point at the first start of a child", 0},
    {0},
};

static const char run_doc[] =
    "Trains on this machine: one learner, actors and reward servers as separate processes. "
    "Everything "
    "a run has is in its directory. Ctrl-C stops cleanly; the same command continues. A finished "
    "run "
    "prints its summary again."
    "\vThe run file CONF is INI: [run] [model] [sampling] [learner] [actor] [reward NAME] [data "
    "NAME] "
    "[stage NAME]; examples are in examples/. The output of the processes is in RUN/log/. Exit "
    "status: 0 finished, 1 failed, 2 wrong usage, 3 configuration, 4 data, 5 interrupted with the "
    "state saved.";

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct run_args *a = state->input;
    switch (key) {
    case KEY_RUN:
        a->run_dir = arg;
        break;
    case KEY_SET:
        args_words_add(&a->sets, arg);
        break;
    case KEY_ACTORS:
        (void)snprintf(a->actors, sizeof(a->actors), "actor.count=%u",
            (unsigned)args_integer(arg, "--actors", 0, WORKERS_MAX, state));
        break;
    case KEY_REWARD:
        (void)snprintf(a->reward_servers, sizeof(a->reward_servers), "reward-server.count=%u",
            (unsigned)args_integer(arg, "--reward-servers", 0, WORKERS_MAX, state));
        break;
    case KEY_DRY:
        a->dry_run = true;
        break;
    case KEY_PRINT:
        a->print_config = true;
        break;
    case KEY_ACCEPT:
        a->accept_training_id = true;
        break;
    case KEY_FAULT:
        args_words_add(&a->faults, arg);
        break;
    case ARGP_KEY_ARG:
        if (a->conf != NULL)
            argp_error(state, "one CONF, found also '%s'", arg);
        a->conf = arg;
        break;
    case ARGP_KEY_END:
        if (a->conf == NULL)
            argp_error(state, "a run file is needed, e.g. examples/quickstart.conf");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void parse_args(int argc, char **argv, struct run_args *a)
{
    static const struct argp argp = {run_options, on_option, "CONF", run_doc, NULL, NULL, NULL};
    *a = (struct run_args){.argc = argc, .argv = argv};
    args_parse(&argp, argc, argv, a);
    if (a->actors[0])
        args_words_add(&a->sets, a->actors);
    if (a->reward_servers[0])
        args_words_add(&a->sets, a->reward_servers);
}

/* ---- a run that is there already ---- */

enum known_run { RUN_NEW, RUN_UNFINISHED, RUN_FINISHED };

static void on_changed(void *arg, const struct config_value *was, const struct config_value *is)
{
    if (is->option->class == OPT_EXTEND)
        *(bool *)arg = true;
}

/* Compares what is asked for with what the run was made from: an identity option that differs is
 * exit 3 with both values. *ret_extended: a stage may have grown. */
static int compare_config(
    struct rundb *db, const struct config *now, bool *ret_extended, struct err *e)
{
    CLEANUP_FREE char *text = NULL;
    int r = rundb_one_text(db, "SELECT config FROM run", NULL, 0, &text, e);
    if (r <= 0)
        return r;
    struct config *stored = config_new(recipe_options);
    r = config_read_text(stored, "the stored run", text, strlen(text), e);
    if (r == 0)
        r = recipe_check(stored, e);
    if (r == 0)
        r = config_compare(stored, now, on_changed, ret_extended, e);
    config_free(stored);
    return r < 0 ? err_ctx(e, "%s", rundb_dir(db)) : 0;
}

static int look_at_run(
    const char *dir, const struct config *now, enum known_run *ret, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/run.db", dir);
    CLEANUP(rundb_close_at) struct rundb *db = NULL;
    CLEANUP_FREE char *state = NULL, *why = NULL;
    *ret = RUN_NEW;
    if (!file_exists(path))
        return 0;
    int r = rundb_open(dir, &db, e);
    if (r == 0)
        r = summary_state(db, &state, &why, e);
    if (r == ERR_RETRY) { /* a learner died while it made the database: it makes it again */
        *e = (struct err){0};
        return 0;
    }
    bool extended = false;
    if (r < 0 || compare_config(db, now, &extended, e) < 0)
        return e->code;
    *ret = strcmp(state, "finished") == 0 && !extended ? RUN_FINISHED : RUN_UNFINISHED;
    return 0;
}

/* ---- the loop ---- */

struct run_loop {
    uv_loop_t loop;
    uv_timer_t poll;
    uv_signal_t signals[3];
    struct launcher *launcher; /* owned */
    struct progress *progress; /* owned */
    uint64_t started_ms;
    const char *run_dir; /* borrowed */
    bool stopping, ended, disk_full;
    int status;
    char child[NAME_BYTES], why[1000];
    char log_path[PATH_MAX];
    uint64_t log_offset;
};

static void show(struct run_loop *l)
{
    const struct progress_children c = {
        .actors = launcher_running(l->launcher, CHILD_ACTOR),
        .reward_servers = launcher_running(l->launcher, CHILD_REWARD),
        .restarts = launcher_restarts(l->launcher),
        .seconds = (double)(clock_mono_ms() - l->started_ms) / 1000,
        .stopping = l->stopping,
    };
    progress_poll(l->progress, &c);
}

/* The learner waits while it can store nothing, and its alarm is stored only when it can again. */
static void look_at_disk(struct run_loop *l)
{
    struct statvfs fs;
    if (statvfs(l->run_dir, &fs) < 0)
        return; /* seen by the learner too, which says more */
    bool full = (uint64_t)fs.f_bavail * fs.f_frsize < DISK_FREE_MIN;
    if (full && !l->disk_full)
        progress_note(l->progress,
            "the disk of the run directory is full: the run waits until there is room");
    l->disk_full = full;
}

static void on_poll(uv_timer_t *timer)
{
    look_at_disk(timer->data);
    show(timer->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run_loop *l = handle->data;
    if (l->ended)
        return;
    progress_note(l->progress, l->stopping
                                   ? "killing the processes"
                                   : "stopping: the learner saves its state (once more: kill)");
    l->stopping = true;
    launcher_stop(l->launcher);
}

static void on_note(void *arg, const char *line)
{
    struct run_loop *l = arg;
    progress_note(l->progress, line);
}

static void on_ended(void *arg, const struct launcher_result *r)
{
    struct run_loop *l = arg;
    l->ended = true;
    l->status = r->status;
    (void)snprintf(l->child, sizeof(l->child), "%s", r->child);
    (void)snprintf(l->why, sizeof(l->why), "%s", r->why);
    (void)snprintf(l->log_path, sizeof(l->log_path), "%s", r->log_path);
    l->log_offset = r->log_offset;
    uv_close((uv_handle_t *)&l->poll, NULL);
    for (size_t i = 0; i < ARRAY_LEN(l->signals); i++)
        uv_close((uv_handle_t *)&l->signals[i], NULL);
}

/* Runs the children to their end. l->status has how it went. */
static int run_children(struct run_loop *l, const char *run_dir, const struct daemon_children *c,
    bool resumed, struct err *e)
{
    static const int numbers[ARRAY_LEN(l->signals)] = {SIGINT, SIGTERM, SIGHUP};
    static const struct launcher_events events = {.note = on_note, .ended = on_ended};
    CLEANUP_FREE char *log_dir = mem_printf("%s/log", run_dir);
    const struct progress_options view = {.run_dir = run_dir,
        .out = stdout,
        .terminal = isatty(STDOUT_FILENO),
        .width = (int)display_terminal_width()};
    if (uv_loop_init(&l->loop) < 0)
        return err_set(e, ERR_FAIL, "event loop: no file descriptors or memory left");
    l->started_ms = clock_mono_ms();
    l->run_dir = run_dir;
    l->progress = progress_new(&view);
    if (resumed)
        progress_skip_past(l->progress);
    signal(SIGPIPE, SIG_IGN);
    (void)uv_timer_init(&l->loop, &l->poll); /* these cannot fail on a fresh loop */
    l->poll.data = l;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)uv_signal_init(&l->loop, &l->signals[i]);
        l->signals[i].data = l;
        (void)uv_signal_start(&l->signals[i], on_signal, numbers[i]);
    }
    if (launcher_start(&l->loop, log_dir, c->specs, c->count, &launcher_timing_default, &events, l,
            &l->launcher, e) < 0)
        return e->code;
    uint64_t poll_ms = view.terminal ? POLL_MS : PLAIN_POLL_MS;
    uv_timer_start(&l->poll, on_poll, poll_ms, poll_ms);
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    show(l);
    progress_free(l->progress);
    launcher_free(l->launcher);
    (void)uv_loop_close(&l->loop); /* all handles have closed */
    return 0;
}

/* ---- the end ---- */

/* The last lines of a child's log since its last start. */
static void print_tail(const char *path, uint64_t from)
{
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (end < 0 || (uint64_t)end <= from)
        return;
    uint64_t begin = (uint64_t)end - from > TAIL_BYTES ? (uint64_t)end - TAIL_BYTES : from;
    char text[TAIL_BYTES];
    ssize_t n = pread(fd, text, sizeof(text), (off_t)begin);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    ssize_t start = n;
    for (int lines = 0; start > 0; start--)
        if (text[start - 1] == '\n' && ++lines == TAIL_LINES)
            break;
    fprintf(stderr, "The end of %s:\n", path);
    for (ssize_t i = start, stop; i < n; i = stop + 1) {
        CLEANUP_BUF struct buf line = {0};
        const char *newline = memchr(text + i, '\n', (size_t)(n - i));
        stop = newline != NULL ? newline - text : n;
        text_escape(&line, text + i, (size_t)(stop - i));
        fprintf(stderr, "  %s\n", line.data != NULL ? (const char *)line.data : "");
    }
}

static void print_command(FILE *out, const struct run_args *a)
{
    figure_word(out, command_program());
    for (int i = 0; i < a->argc; i++) {
        fputc(' ', out);
        figure_word(out, a->argv[i]);
    }
    fputc('\n', out);
}

static int print_summary(const struct recipe *r, const char *run_dir, struct err *e)
{
    CLEANUP(rundb_close_at) struct rundb *db = NULL;
    if (rundb_open(run_dir, &db, e) < 0)
        return e->code;
    printf("\n%s is finished.\n", r->name);
    return summary_print(db, command_program(), stdout, e);
}

/* What the learner has stored about a failure; NULL when it has stored none. */
static char *stored_why(const char *run_dir)
{
    struct err e = {0};
    CLEANUP(rundb_close_at) struct rundb *db = NULL;
    CLEANUP_FREE char *state = NULL;
    char *why = NULL;
    if (rundb_open(run_dir, &db, &e) < 0 || summary_state(db, &state, &why, &e) < 0)
        return NULL;
    if (strcmp(state, "failed") == 0 && why[0])
        return why;
    free(why);
    return NULL;
}

static int report(const struct run_args *a, const struct recipe *r, const char *run_dir,
    const struct run_loop *l, struct err *e)
{
    if (l->status == 0)
        return print_summary(r, run_dir, e);
    if (l->status == 5) {
        fflush(stdout);
        fprintf(stderr,
            "\n%s is interrupted, its state is saved in %s. To continue, run again:\n  ", r->name,
            run_dir);
        print_command(stderr, a);
        return ERR_INTERRUPTED;
    }
    CLEANUP_FREE char *why = stored_why(run_dir);
    if (why != NULL) {
        CLEANUP_BUF struct buf shown = {0};
        text_escape(&shown, why, strlen(why));
        fprintf(stderr, "\n%s has failed: %s\n", r->name, (const char *)shown.data);
        return -l->status;
    }
    fprintf(stderr, "\n%s has failed: %s\n", r->name, l->why);
    print_tail(l->log_path, l->log_offset);
    return -l->status;
}

/* ---- wiring ---- */

/* Held for the life of this process: workers of a second launcher would take the names of the
 * first's. */
static int lock_run(const char *run_dir, int *ret_fd, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/launch.lock", run_dir);
    if (file_mkdirs(run_dir, 0755, e) < 0)
        return e->code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "opening '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *ret_fd = fd;
        return 0;
    }
    int r = errno == EWOULDBLOCK
                ? err_set(e, ERR_FAIL, "another `cohort run` is working on %s", run_dir)
                : err_sys(e, ERR_FAIL, "locking '%s'", path);
    close(fd);
    return r;
}

static int start(const struct run_args *a, const struct recipe *r, const char *run_dir,
    bool resumed, struct err *e)
{
    const struct daemon_line line = {.run_dir = run_dir,
        .conf = a->conf,
        .sets = &a->sets,
        .accept_training_id = a->accept_training_id,
        .faults = &a->faults};
    CLEANUP(daemon_children_done) struct daemon_children c = {0};
    CLEANUP(file_close) int lock = -1;
    if (daemon_children_add(&c, &line, CHILD_LEARNER, 1, e) < 0 ||
        daemon_children_add(&c, &line, CHILD_ACTOR, r->actors, e) < 0 ||
        daemon_children_add(&c, &line, CHILD_REWARD, r->reward_servers, e) < 0 ||
        lock_run(run_dir, &lock, e) < 0)
        return e->code;
    struct run_loop l = {0};
    if (run_children(&l, run_dir, &c, resumed, e) < 0)
        return e->code;
    return report(a, r, run_dir, &l, e);
}

static int run(const struct run_args *a, const struct config *c, struct err *e)
{
    CLEANUP(recipe_done) struct recipe r = {0};
    struct model_config model;
    enum known_run known;
    if (recipe_make(c, &r, e) < 0)
        return e->code;
    CLEANUP_FREE char *run_dir =
        a->run_dir != NULL ? mem_strdup(a->run_dir) : mem_printf("./%s-run", r.name);
    if (outline_model(&r, &model, e) < 0)
        return e->code;
    if (a->dry_run) {
        outline_print(&r, &model, run_dir, stdout);
        return 0;
    }
    if (look_at_run(run_dir, c, &known, e) < 0)
        return e->code;
    if (known == RUN_FINISHED)
        return print_summary(&r, run_dir, e);
    outline_print(&r, &model, run_dir, stdout);
    fflush(stdout);
    if (known == RUN_NEW && gold_programs(&r, stdout, e) < 0)
        return e->code;
    fflush(stdout);
    return start(a, &r, run_dir, known == RUN_UNFINISHED, e);
}

int cmd_run(int argc, char **argv)
{
    struct run_args a;
    struct err e = {0};
    parse_args(argc, argv, &a);
    struct config *c = config_new(recipe_options);
    int r = recipe_read(c, a.conf, a.sets.items, a.sets.count, &e);
    if (r == 0 && a.print_config) {
        CLEANUP_BUF struct buf text = {0};
        config_print(c, &text, true);
        (void)fwrite(text.data, 1, text.len, stdout); /* a closed pipe is the reader's wish */
    } else if (r == 0) {
        r = run(&a, c, &e);
    }
    config_free(c);
    args_words_done(&a.sets);
    args_words_done(&a.faults);
    return e.code < 0 ? command_failed("run", &e) : err_exit_status(r);
}
