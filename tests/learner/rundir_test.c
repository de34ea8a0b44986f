/* The run directory: one learner at a time, what may change between two starts, what is noticed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "learner/address.h"
#include "learner/rundir.h"
#include "tests/learner/learning_fixture.h"

static struct fixture f;
static char run_dir[96], conf[96];

static int open_fixture(void **state)
{
    (void)state;
    struct err err = {0};
    fixture_open(&f, NULL);
    (void)snprintf(run_dir, sizeof(run_dir), "%s/a/run", f.dir);
    (void)snprintf(conf, sizeof(conf), "%s/small.conf", f.dir);
    assert_ok(file_write_atomic(conf, small_recipe, strlen(small_recipe), &err));
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

/* One start with assignments over the run file. */
static int start(const char *file, const char *const *sets, struct rundir *r, struct err *e)
{
    struct rundir_args a = {.path = run_dir, .conf = file, .sets = sets};
    while (sets != NULL && sets[a.set_count] != NULL)
        a.set_count++;
    *e = (struct err){0};
    return rundir_open(&a, r, e);
}

static void refused(const char *const *sets, int code, const char *a, const char *b)
{
    struct rundir r;
    struct err err;
    int rc = start(conf, sets, &r, &err);
    if (rc != code || strstr(err.msg, a) == NULL || strstr(err.msg, b) == NULL)
        fail_msg("%d: %s", rc, err.msg);
}

static void an_empty_name_makes_nothing(void **state)
{
    (void)state;
    struct rundir r;
    struct err err;
    assert_int_equal(start(NULL, NULL, &r, &err), ERR_USAGE);
    assert_false(file_exists(run_dir));
}

static void the_stored_configuration_is_enough(void **state)
{
    (void)state;
    struct rundir r;
    struct err err;
    assert_ok(start(conf, NULL, &r, &err));
    struct buf first = {0}, second = {0};
    char *path = mem_printf("%s/run.conf", run_dir);
    assert_int_equal(config_int(r.config, "stage zero", "steps"), 5);
    rundir_close(&r);
    assert_ok(file_read(path, 1 << 20, &first, &err));
    assert_ok(start(NULL, NULL, &r, &err));
    assert_int_equal(r.change_count, 0);
    assert_int_equal(config_int(r.config, "stage zero", "steps"), 5);
    rundir_close(&r);
    assert_ok(start(NULL, NULL, &r, &err));
    assert_ok(file_read(path, 1 << 20, &second, &err));
    rundir_close(&r);
    assert_true(first.len > 1000 && second.len > 1000);
    buf_done(&first);
    buf_done(&second);
    free(path);
}

static void what_may_change_between_two_starts(void **state)
{
    (void)state;
    static const char *const live[] = {"learner.threads=3", NULL};
    static const char *const grown[] = {"stage zero.steps=7", NULL};
    static const char *const shrunk[] = {"stage zero.steps=6", NULL};
    static const char *const identity[] = {"stage zero.steps=7", "stage zero.lr=0.5", NULL};
    static const char *const unknown[] = {"stage zero.stepz=6", NULL};
    struct rundir r;
    struct err err;
    assert_ok(start(conf, NULL, &r, &err));
    rundir_close(&r);
    assert_ok(start(conf, live, &r, &err));
    assert_int_equal(r.change_count, 1);
    assert_string_equal(r.changes[0], "[learner] threads: was 1, is 3 (--set)");
    rundir_close(&r);
    assert_ok(start(conf, grown, &r, &err));
    assert_int_equal(r.change_count, 2); /* and the threads are back */
    rundir_close(&r);
    refused(shrunk, ERR_CONFIG, "steps = 6", "7");
    refused(identity, ERR_CONFIG, "1e-3", "0.5");
    refused(unknown, ERR_CONFIG, "stepz", "steps");
    assert_ok(start(NULL, NULL, &r, &err)); /* refusals changed nothing */
    assert_int_equal(config_int(r.config, "stage zero", "steps"), 7);
    rundir_close(&r);
}

static void a_schedule_that_depends_on_the_length_fixes_it(void **state)
{
    (void)state;
    static const char *const linear[] = {"stage zero.schedule=linear", NULL};
    static const char *const grown[] = {"stage zero.schedule=linear", "stage zero.steps=7", NULL};
    struct rundir r;
    struct err err;
    assert_ok(start(conf, linear, &r, &err));
    rundir_close(&r);
    refused(grown, ERR_CONFIG, "schedule = linear", "steps = 7");
}

/* The lock is flock's: another process sees it, and it goes with its holder. */
static void a_second_learner_is_refused(void **state)
{
    (void)state;
    struct rundir r, second;
    struct err err;
    assert_ok(start(conf, NULL, &r, &err));
    pid_t pid = fork();
    if (pid == 0)
        _exit(start(conf, NULL, &second, &err) == ERR_FAIL && strstr(err.msg, "another learner")
                  ? 0
                  : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    rundir_close(&r);
    assert_ok(start(conf, NULL, &r, &err));
    rundir_close(&r);
}

static void another_tokenizer_is_noticed(void **state)
{
    (void)state;
    struct rundir r;
    struct err err;
    assert_ok(start(conf, NULL, &r, &err));
    assert_ok(rundir_tokenizer(&r, f.model.tokenizer, &err));
    assert_ok(rundir_tokenizer(&r, f.model.tokenizer, &err));
    char *path = mem_printf("%s/tokenizer.json", run_dir);
    assert_ok(file_write_atomic(path, "{}", 2, &err));
    assert_int_equal(rundir_tokenizer(&r, f.model.tokenizer, &err), ERR_DATA);
    free(path);
    rundir_close(&r);
}

static void a_bad_row_stops_the_start(void **state)
{
    (void)state;
    struct rundir r;
    struct err err;
    assert_ok(start(conf, NULL, &r, &err));
    assert_ok(rundir_data(&r, &f.recipe, &err));
    char *path = mem_printf("%s/data/tasks.jsonl", run_dir);
    static const char rows[] = "{\"prompt\":\"111=\",\"answer\":\"3\"}\n{\"prompt\":\"111=\"\n";
    assert_ok(file_write_atomic(path, rows, sizeof(rows) - 1, &err));
    assert_int_equal(rundir_data(&r, &f.recipe, &err), ERR_DATA);
    if (strstr(err.msg, "tasks") == NULL || strstr(err.msg, "2") == NULL)
        fail_msg("%s", err.msg);
    free(path);
    rundir_close(&r);
}

static void a_start_takes_back_that_the_run_has_ended(void **state)
{
    (void)state;
    struct rundir r;
    struct err err;
    CLEANUP_FREE char *path = mem_printf("%s/address", run_dir);
    assert_ok(start(conf, NULL, &r, &err));
    rundir_close(&r);
    address_set_ended(run_dir);
    assert_true(file_exists(path));
    assert_ok(start(conf, NULL, &r, &err));
    assert_false(file_exists(path));
    rundir_close(&r);
    assert_ok(address_write(run_dir, "/tmp/x", &err));
    assert_ok(start(conf, NULL, &r, &err));
    assert_true(file_exists(path)); /* where its sockets were */
    rundir_close(&r);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_name_makes_nothing),
        TEST(the_stored_configuration_is_enough),
        TEST(what_may_change_between_two_starts),
        TEST(a_schedule_that_depends_on_the_length_fixes_it),
        TEST(a_second_learner_is_refused),
        TEST(another_tokenizer_is_noticed),
        TEST(a_start_takes_back_that_the_run_has_ended),
        TEST(a_bad_row_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
