/* launcher_test.c: children that die, fail, hang or finish, played by small shell scripts. */
#include "cli/launcher.h"

#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

enum { CHILDREN_MAX = 4, WATCHDOG_MS = 60000, NOTES_BYTES = 4000 };

/* Waits for the end of the control pipe, which is fd 3. */
#define OBEY "cat <&3 >/dev/null; exit 0\n"
/* As OBEY, and ends with 5 at SIGTERM, as a learner does. */
#define OBEY_TERM "trap 'exit 5' TERM; cat <&3 >/dev/null & wait $!; exit 0\n"
/* Lines of the script's own counter file: how often it was started before. */
#define STARTS "n=$(cat $0.starts 2>/dev/null | wc -l); echo x >>$0.starts; "

static const struct launcher_timing timing = {
    .restart_ms = 1,
    .restart_ms_max = 4,
    .young_ms = 3600 * 1000,
    .young_deaths_max = 3,
    .drain_ms = 20,
    .exit_ms = 20000,
};

struct state {
    uv_loop_t loop;
    uv_timer_t watchdog;
    char dir[64];
    struct launcher *launcher;
    struct child_spec specs[CHILDREN_MAX];
    const char *argv[CHILDREN_MAX][3];
    char paths[CHILDREN_MAX][128];
    size_t count;
    struct launcher_result result;
    char child[32], why[1000], log_path[256], notes[NOTES_BYTES];
    const char *stop_at; /* launcher_stop when a note holds this */
    bool ended;
};

static void on_watchdog(uv_timer_t *timer)
{
    (void)fprintf(stderr, "the test waits for something that does not come\n");
    abort();
}

static void on_note(void *arg, const char *line)
{
    struct state *s = arg;
    size_t n = strlen(s->notes);
    (void)snprintf(s->notes + n, sizeof(s->notes) - n, "%s\n", line);
}

static void on_ended(void *arg, const struct launcher_result *r)
{
    struct state *s = arg;
    assert_false(s->ended);
    s->ended = true;
    s->result = *r;
    (void)snprintf(s->child, sizeof(s->child), "%s", r->child);
    (void)snprintf(s->why, sizeof(s->why), "%s", r->why);
    (void)snprintf(s->log_path, sizeof(s->log_path), "%s", r->log_path);
}

static struct child_spec *add(
    struct state *s, enum child_role role, const char *name, const char *script)
{
    struct err err = {0};
    size_t i = s->count++;
    CLEANUP_FREE char *text = mem_printf("#!/bin/sh\n%s", script);
    (void)snprintf(s->paths[i], sizeof(s->paths[i]), "%s/%s.sh", s->dir, name);
    assert_int_equal(file_write_atomic(s->paths[i], text, strlen(text), &err), 0);
    assert_int_equal(chmod(s->paths[i], 0755), 0);
    s->argv[i][0] = s->paths[i];
    s->argv[i][1] = "argument";
    s->specs[i] = (struct child_spec){.role = role, .name = name, .argv = s->argv[i]};
    return &s->specs[i];
}

static void start(struct state *s)
{
    static const struct launcher_events events = {.note = on_note, .ended = on_ended};
    struct err err = {0};
    CLEANUP_FREE char *log = mem_printf("%s/log", s->dir);
    assert_int_equal(
        launcher_start(&s->loop, log, s->specs, s->count, &timing, &events, s, &s->launcher, &err),
        0);
}

static void run_to_end(struct state *s)
{
    uv_unref((uv_handle_t *)&s->watchdog);
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_true(s->ended);
}

/* The lines that a script has written into FILE of the directory. */
static char *content(struct state *s, const char *file)
{
    struct err err = {0};
    struct buf b = {0};
    CLEANUP_FREE char *path = mem_printf("%s/%s", s->dir, file);
    assert_int_equal(file_read(path, 1 << 20, &b, &err), 0);
    return b.data != NULL ? (char *)b.data : mem_strdup("");
}

static void assert_lines(struct state *s, const char *file, size_t lines)
{
    CLEANUP_FREE char *text = content(s, file);
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    assert_int_equal(n, lines);
}

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(uv_timer_init(&s->loop, &s->watchdog), 0);
    assert_int_equal(uv_timer_start(&s->watchdog, on_watchdog, WATCHDOG_MS, 0), 0);
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/cohort-launcher-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    struct err err = {0};
    launcher_free(s->launcher);
    uv_close((uv_handle_t *)&s->watchdog, NULL);
    assert_int_equal(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    assert_int_equal(file_remove_tree(s->dir, &err), 0);
    mem_free_ptr(state);
    return 0;
}

static void test_finished(void **state)
{
    struct state *s = *state;
    add(s, CHILD_LEARNER, "learner", "echo \"$@\"; exit 0\n");
    add(s, CHILD_ACTOR, "actor-1", OBEY);
    add(s, CHILD_REWARD, "reward-1", OBEY);
    start(s);
    run_to_end(s);
    assert_int_equal(s->result.status, 0);
    assert_int_equal(s->result.restarts, 0);
    assert_string_equal(s->why, "");
    CLEANUP_FREE char *log = content(s, "log/learner.log");
    assert_string_equal(log, "argument --parent-fd 3\n");
}

static void test_killed_learner_is_restarted(void **state)
{
    struct state *s = *state;
    add(s, CHILD_LEARNER, "learner", STARTS "[ $n -lt 5 ] && kill -KILL $$; exit 0\n");
    add(s, CHILD_ACTOR, "actor-1", OBEY);
    start(s);
    run_to_end(s);
    assert_int_equal(s->result.status, 0);
    assert_int_equal(
        s->result.restarts, 5); /* more than young_deaths_max: SIGKILL never gives up */
    assert_lines(s, "learner.sh.starts", 6);
    assert_non_null(strstr(s->notes, "learner was killed by signal 9 (Killed), starting it again"));
}

static void test_crashing_learner_is_given_up(void **state)
{
    struct state *s = *state;
    add(s, CHILD_LEARNER, "learner", STARTS "kill -SEGV $$\n");
    add(s, CHILD_ACTOR, "actor-1", OBEY);
    start(s);
    run_to_end(s);
    assert_int_equal(s->result.status, 1);
    assert_lines(s, "learner.sh.starts", 3);
    assert_string_equal(s->child, "learner");
    assert_non_null(strstr(s->why, "signal 11"));
}

static void test_learner_that_gives_up_is_not_restarted(void **state)
{
    for (int status = 1; status <= 5; status++) {
        void *inner;
        (void)state;
        setup(&inner);
        struct state *s = inner;
        CLEANUP_FREE char *script = mem_printf(STARTS "echo reason; exit %d\n", status);
        add(s, CHILD_LEARNER, "learner", script);
        add(s, CHILD_ACTOR, "actor-1", OBEY);
        start(s);
        run_to_end(s);
        assert_int_equal(s->result.status, status);
        assert_int_equal(s->result.restarts, 0);
        assert_lines(s, "learner.sh.starts", 1);
        assert_non_null(strstr(s->log_path, "log/learner.log"));
        assert_int_equal(s->result.log_offset, 0);
        teardown(&inner);
    }
}

static void test_failing_only_actor_stops_the_run(void **state)
{
    struct state *s = *state;
    add(s, CHILD_LEARNER, "learner", OBEY_TERM);
    add(s, CHILD_ACTOR, "actor-1", STARTS "echo no weights; exit 4\n");
    add(s, CHILD_REWARD, "reward-1", OBEY);
    start(s);
    run_to_end(s);
    assert_int_equal(s->result.status, 1);
    assert_string_equal(s->child, "actor-1");
    assert_non_null(strstr(s->why, "exit status 4"));
    assert_lines(s, "actor-1.sh.starts", 3);
    /* The log offset is that of the last start, so that only its lines are shown. */
    assert_int_equal(s->result.log_offset, 2 * strlen("no weights\n"));
}

static void test_one_failing_actor_of_two(void **state)
{
    struct state *s = *state;
    add(s, CHILD_LEARNER, "learner",
        "while [ \"$(cat ${0%/*}/actor-1.sh.starts 2>/dev/null | wc -l)\" -lt 3 ]; do :; done\n"
        "exit 0\n");
    add(s, CHILD_ACTOR, "actor-1", STARTS "exit 1\n");
    add(s, CHILD_ACTOR, "actor-2", OBEY);
    start(s);
    run_to_end(s);
    assert_int_equal(s->result.status, 0);
}

/* A worker that was told to drain is wanted again while the learner goes on. */
static void test_drained_worker_returns(void **state)
{
    struct state *s = *state;
    add(s, CHILD_LEARNER, "learner",
        "while [ \"$(cat ${0%/*}/actor-1.sh.starts 2>/dev/null | wc -l)\" -lt 5 ]; do :; done\n"
        "exit 0\n");
    add(s, CHILD_ACTOR, "actor-1", STARTS "[ $n -ge 4 ] && cat <&3 >/dev/null; exit 0\n");
    start(s);
    run_to_end(s);
    assert_int_equal(s->result.status, 0);
    assert_lines(s, "actor-1.sh.starts", 5);
    assert_string_equal(s->notes, "");
}

static void stop_soon(uv_timer_t *timer)
{
    struct state *s = timer->data;
    launcher_stop(s->launcher);
    if (s->stop_at != NULL) /* twice */
        launcher_stop(s->launcher);
    uv_close((uv_handle_t *)timer, NULL);
}

/* Stops once the learner's script has said that it is ready. */
static void poll_ready(uv_timer_t *timer)
{
    struct state *s = timer->data;
    CLEANUP_FREE char *path = mem_printf("%s/ready", s->dir);
    if (file_exists(path)) {
        uv_timer_stop(timer);
        stop_soon(timer);
    }
}

static void stop_when_ready(struct state *s, uv_timer_t *timer)
{
    assert_int_equal(uv_timer_init(&s->loop, timer), 0);
    timer->data = s;
    assert_int_equal(uv_timer_start(timer, poll_ready, 1, 1), 0);
}

static void test_stop(void **state)
{
    struct state *s = *state;
    uv_timer_t timer;
    add(s, CHILD_LEARNER, "learner",
        "trap 'exit 5' TERM; >${0%/*}/ready; cat <&3 >/dev/null & wait $!; exit 0\n");
    add(s, CHILD_ACTOR, "actor-1", OBEY);
    start(s);
    stop_when_ready(s, &timer);
    run_to_end(s);
    assert_int_equal(s->result.status, 5);
    assert_int_equal(s->result.restarts, 0);
}

static void test_second_stop_kills(void **state)
{
    struct state *s = *state;
    uv_timer_t timer;
    add(s, CHILD_LEARNER, "learner", "trap '' TERM; >${0%/*}/ready; " OBEY);
    add(s, CHILD_ACTOR, "actor-1", "trap '' TERM; " OBEY);
    s->stop_at = "twice";
    start(s);
    stop_when_ready(s, &timer);
    run_to_end(s);
    assert_int_equal(s->result.status, 5);
}

static void test_missing_program(void **state)
{
    struct state *s = *state;
    add(s, CHILD_LEARNER, "learner", OBEY);
    add(s, CHILD_ACTOR, "actor-1", OBEY);
    assert_int_equal(unlink(s->paths[0]), 0);
    start(s);
    run_to_end(s);
    assert_int_equal(s->result.status, 1);
    assert_non_null(strstr(s->why, "starting learner"));
}

static void test_first_arguments_only_once(void **state)
{
    struct state *s = *state;
    static const char *const fault[] = {"--fault", "store.commit:1:kill", NULL};
    struct child_spec *learner = add(s, CHILD_LEARNER, "learner",
        "echo \"$@\"; case \"$*\" in *--fault*) kill -KILL $$;; esac; exit 0\n");
    learner->first_args = fault;
    start(s);
    run_to_end(s);
    CLEANUP_FREE char *log = content(s, "log/learner.log");
    assert_string_equal(log, "argument --parent-fd 3 --fault store.commit:1:kill\n"
                             "argument --parent-fd 3\n");
}

/* kill -9 of the launcher leaves nothing behind: every child sees the end of its control pipe. */
static void test_killed_launcher(void **state)
{
    struct state *s = *state;
    int alive[2];
    char byte;
    add(s, CHILD_LEARNER, "learner", "echo x; >${0%/*}/ready; " OBEY);
    add(s, CHILD_ACTOR, "actor-1", OBEY);
    assert_int_equal(pipe(alive), 0); /* without close-on-exec: every child holds its other end */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(alive[0]);
        if (uv_loop_init(&s->loop) == 0) { /* the parent's own loop stays the parent's */
            start(s);
            (void)uv_run(&s->loop, UV_RUN_DEFAULT);
        }
        _exit(9);
    }
    close(alive[1]);
    CLEANUP_FREE char *ready = mem_printf("%s/ready", s->dir);
    while (!file_exists(ready))
        (void)sched_yield();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(alive[0], &byte, 1), 0); /* ends when the last child has */
    close(alive[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_finished),
        TEST(test_killed_learner_is_restarted),
        TEST(test_crashing_learner_is_given_up),
        cmocka_unit_test(test_learner_that_gives_up_is_not_restarted),
        TEST(test_failing_only_actor_stops_the_run),
        TEST(test_one_failing_actor_of_two),
        TEST(test_drained_worker_returns),
        TEST(test_stop),
        TEST(test_second_stop_kills),
        TEST(test_missing_program),
        TEST(test_first_arguments_only_once),
        TEST(test_killed_launcher),
    };
    return cmocka_run_group_tests_name("cli/launcher", tests, NULL, NULL);
}
