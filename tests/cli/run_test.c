/* run_test.c: `cohort run` as a user meets it, with scripts in place of the daemons: what it says,
 * how it ends. The program under test is the first argument; it is copied beside the scripts, where
 * it looks. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/cli/fake_run.h"

enum { ARGS_MAX = 12, PROGRAM_BYTES_MAX = 256 << 20 };

static const char *cohort_path; /* of the program under test */

#define OBEY "cat <&3 >/dev/null; exit 0\n"

static const char conf[] =
    "[run]\nname = tiny\nseed = 3\n"
    "[model]\nhidden = 16\nlayers = 1\nheads = 2\nffn = 16\ncontext = 32\n"
    "[sampling]\nmax-tokens = 8\ngroup = 4\n"
    "[reward right]\nscorer = math\n"
    "[data tasks]\ngenerator = modsum\ncount = 8\n"
    "[stage zero]\nkind = grpo\ndata = tasks\nsteps = 3\ngroups = 2\nlr = 1e-3\n";

struct state {
    struct fake_run run; /* its directory is the run directory */
    char dir[64];        /* bin/, tiny.conf */
    char *out, *err;     /* of the last command */
    int status;
};

static char *in_dir(const char *dir, const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

static void write_file(const char *dir, const char *name, const char *text, size_t n, mode_t mode)
{
    struct err err = {0};
    CLEANUP_FREE char *path = in_dir(dir, name);
    assert_int_equal(file_write_atomic(path, text, n, &err), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void script(struct state *s, const char *daemon, const char *body)
{
    CLEANUP_FREE char *text = mem_printf("#!/bin/sh\n%s", body);
    CLEANUP_FREE char *name = mem_printf("bin/cohort-%s", daemon);
    write_file(s->dir, name, text, strlen(text), 0755);
}

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    struct err err = {0};
    CLEANUP_BUF struct buf program = {0};
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/cohort-run-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    CLEANUP_FREE char *bin = in_dir(s->dir, "bin");
    assert_int_equal(mkdir(bin, 0755), 0);
    assert_int_equal(file_read(cohort_path, PROGRAM_BYTES_MAX, &program, &err), 0);
    write_file(s->dir, "bin/cohort", (const char *)program.data, program.len, 0755);
    write_file(s->dir, "tiny.conf", conf, strlen(conf), 0644);
    fake_run_init(&s->run);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    struct err err = {0};
    fake_run_done(&s->run);
    assert_int_equal(file_remove_tree(s->dir, &err), 0);
    free(s->out);
    free(s->err);
    mem_free_ptr(state);
    return 0;
}

static char *read_text(const char *dir, const char *name)
{
    struct err err = {0};
    struct buf b = {0};
    CLEANUP_FREE char *path = in_dir(dir, name);
    assert_int_equal(file_read(path, 1 << 20, &b, &err), 0);
    return b.data != NULL ? (char *)b.data : mem_strdup("");
}

static int redirect(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
}

/* Starts "cohort run tiny.conf --run DIR" with more words. */
static pid_t begin(struct state *s, const char *const *more)
{
    CLEANUP_FREE char *program = in_dir(s->dir, "bin/cohort");
    CLEANUP_FREE char *file = in_dir(s->dir, "tiny.conf");
    CLEANUP_FREE char *out = in_dir(s->dir, "out");
    CLEANUP_FREE char *err = in_dir(s->dir, "err");
    const char *argv[ARGS_MAX] = {program, "run", file, "--run", s->run.dir};
    for (size_t i = 0; more != NULL && more[i] != NULL; i++)
        argv[5 + i] = more[i];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (dup2(redirect(out), STDOUT_FILENO) >= 0 && dup2(redirect(err), STDERR_FILENO) >= 0)
            execv(program, (char *const *)argv);
        _exit(99);
    }
    return pid;
}

static void finish(struct state *s, pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    s->status = WEXITSTATUS(status);
    free(s->out);
    free(s->err);
    s->out = read_text(s->dir, "out");
    s->err = read_text(s->dir, "err");
}

static void run(struct state *s, const char *const *more)
{
    finish(s, begin(s, more));
}

static void assert_has(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("no '%s' in:\n%s", what, text);
}

static void workers(struct state *s)
{
    script(s, "actor", OBEY);
    script(s, "reward-server", OBEY);
}

static bool there(struct state *s, const char *name)
{
    CLEANUP_FREE char *path = in_dir(s->run.dir, name);
    return file_exists(path);
}

static void test_dry_run_starts_nothing(void **state)
{
    struct state *s = *state;
    run(s, (const char *const[]){"--dry-run", NULL});
    assert_int_equal(s->status, 0);
    assert_has(s->out, "3 steps x 2 tasks of 'tasks' x 4 completions = 24 completions, 3 updates");
    assert_has(s->out, "at most 8 tokens each, 192 in all");
    assert_false(there(s, "log"));
}

static void test_print_config_has_origins(void **state)
{
    struct state *s = *state;
    run(s, (const char *const[]){
               "--print-config", "--set", "stage zero.steps=8", "--actors", "7", NULL});
    assert_int_equal(s->status, 0);
    assert_has(s->out, "steps = 8");
    assert_has(s->out, "count = 7");
    assert_has(s->out, "--set");
    assert_has(s->out, "tiny.conf:3");
    assert_has(s->out, "default");
}

static void test_bad_configuration(void **state)
{
    struct state *s = *state;
    run(s, (const char *const[]){"--set", "stage zero.stepz=8", NULL});
    assert_int_equal(s->status, 3);
    assert_has(s->err, "unknown key 'stepz'");
    run(s, (const char *const[]){"--actors", "many", NULL});
    assert_int_equal(s->status, 2);
    assert_has(s->err, "--actors many");
    run(s, (const char *const[]){"--nonsense", NULL});
    assert_int_equal(s->status, 2);
    run(s, (const char *const[]){"another.conf", NULL});
    assert_int_equal(s->status, 2);
    assert_false(there(s, "log"));
}

static void test_missing_program(void **state)
{
    struct state *s = *state;
    script(s, "learner", "exit 0\n");
    run(s, NULL);
    assert_int_equal(s->status, 1);
    assert_has(s->err, "cohort-actor");
    assert_has(s->err, "install or build");
}

static void test_learner_that_fails(void **state)
{
    struct state *s = *state;
    workers(s);
    script(s, "learner",
        "echo old news >&2; printf 'cohort-learner: \\033[2Jno such data\\n' >&2; exit 4\n");
    run(s, NULL);
    assert_int_equal(s->status, 4);
    assert_has(s->err, "tiny has failed: learner ended with exit status 4");
    assert_has(s->err, "  cohort-learner: \\x1b[2Jno such data\n"); /* shown, not obeyed */
}

static void test_stored_reason_is_shown(void **state)
{
    struct state *s = *state;
    workers(s);
    fake_run_create(&s->run);
    fake_run_sql(&s->run, "DELETE FROM run");
    fake_run_sql(&s->run,
        "INSERT INTO run (id, name, seed, created_ms, config, build, model_config, "
        "tokenizer, numerics_id, training_id, epoch, state, why) VALUES (1, 'tiny', "
        "3, 0, '', '', '{}', x'00', x'00', '', 1, 'failed', 'the gate said no')");
    script(s, "learner", "exit 1\n");
    /* An empty stored configuration differs in nothing that has a default: give it the file's. */
    CLEANUP_FREE char *sql = mem_printf("UPDATE run SET config = '%s'", conf);
    fake_run_sql(&s->run, sql);
    run(s, NULL);
    assert_int_equal(s->status, 1);
    assert_has(s->err, "tiny has failed: the gate said no");
}

static void test_interrupt(void **state)
{
    struct state *s = *state;
    workers(s);
    script(s, "learner",
        "trap 'exit 5' TERM; >$2/ready; cat <&3 >/dev/null & wait $!; exit 0\n"); /* $2: --run's */
    pid_t pid = begin(s, NULL);
    while (!there(s, "ready"))
        (void)sched_yield();
    assert_int_equal(kill(pid, SIGINT), 0);
    finish(s, pid);
    assert_int_equal(s->status, 5);
    assert_has(s->out, "stopping");
    assert_has(s->err, "To continue, run again:\n");
    assert_has(s->err, "/bin/cohort run ");
    assert_has(s->err, "tiny.conf --run ");
}

static void test_one_launcher_at_a_time(void **state)
{
    struct state *s = *state;
    workers(s);
    script(s, "learner", "trap 'exit 5' TERM; >$2/ready; cat <&3 >/dev/null & wait $!; exit 0\n");
    pid_t first = begin(s, NULL);
    while (!there(s, "ready"))
        (void)sched_yield();
    run(s, NULL);
    assert_int_equal(s->status, 1);
    assert_has(s->err, "another `cohort run` is working on");
    assert_int_equal(kill(first, SIGTERM), 0);
    assert_int_equal(waitpid(first, NULL, 0), first);
}

/* A run that is stored as finished, made from this very configuration. */
static void finished_run(struct state *s)
{
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    fake_run_eval(&s->run, 1, 3, 0.75);
    CLEANUP_FREE char *sql = mem_printf("UPDATE run SET state = 'finished', config = '%s'", conf);
    fake_run_sql(&s->run, sql);
}

static void test_finished_run_prints_its_summary(void **state)
{
    struct state *s = *state;
    finished_run(s);
    run(s, NULL); /* there are no daemons to start */
    assert_int_equal(s->status, 0);
    assert_has(s->out, "tiny is finished.");
    assert_has(s->out, "75.0% [73.0, 77.0]");
    run(s, (const char *const[]){"--set", "learner.threads=7", NULL}); /* live: no difference */
    assert_int_equal(s->status, 0);
    assert_has(s->out, "tiny is finished.");
}

static void test_identity_may_not_change(void **state)
{
    struct state *s = *state;
    finished_run(s);
    run(s, (const char *const[]){"--set", "run.seed=4", NULL});
    assert_int_equal(s->status, 3);
    assert_has(s->err, "seed");
    assert_has(s->err, "'3'");
    assert_has(s->err, "'4'");
}

static void test_more_steps_continue_a_finished_run(void **state)
{
    struct state *s = *state;
    finished_run(s);
    workers(s);
    script(s, "learner", "echo started; exit 0\n");
    run(s, (const char *const[]){"--set", "stage zero.steps=9", NULL});
    assert_int_equal(s->status, 0);
    CLEANUP_FREE char *log = read_text(s->run.dir, "log/learner.log");
    assert_string_equal(log, "started\n");
}

static void test_no_run_directory(void **state)
{
    struct state *s = *state;
    CLEANUP_FREE char *path = in_dir(s->run.dir, "run.db");
    struct err err = {0};
    assert_int_equal(
        file_write_atomic(path, "not a database, but long enough to be looked at", 47, &err), 0);
    run(s, NULL);
    assert_int_equal(s->status, 4);
    assert_has(s->err, "run.db");
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_dry_run_starts_nothing),
        TEST(test_print_config_has_origins),
        TEST(test_bad_configuration),
        TEST(test_missing_program),
        TEST(test_learner_that_fails),
        TEST(test_stored_reason_is_shown),
        TEST(test_interrupt),
        TEST(test_one_launcher_at_a_time),
        TEST(test_finished_run_prints_its_summary),
        TEST(test_identity_may_not_change),
        TEST(test_more_steps_continue_a_finished_run),
        TEST(test_no_run_directory),
    };
    if (argc != 2) {
        (void)fprintf(stderr, "usage: run_test PATH-OF-COHORT\n");
        return 2;
    }
    cohort_path = argv[1];
    return cmocka_run_group_tests_name("cli/run", tests, NULL, NULL);
}
