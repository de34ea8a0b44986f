/* hub_kill_test.c: kill -9 of a learner at every fault point of segment, store and reply, and at
 * random moments, while its workers live on. After restarts the tables equal those of an
 * undisturbed run (G1, G2, G4).
 *
 * The learner is this program again, as a child: hub_kill_test learner DIR [FAULT]. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "hub_fake.h"

enum { STEPS = 30, ACTORS = 2, REWARDS = 1, RESTARTS_MAX = 40 };

extern char **environ;

static uint64_t seed = 1;

/* ---- child ---- */

static int learner_main(const char *dir, const char *fault)
{
    struct fake_run f;
    struct err e = {0};
    if (fault[0] && fault_arm(fault, &e)) {
        (void)fprintf(stderr, "%s\n", e.msg);
        return 2;
    }
    fake_run_init(&f, 42, STEPS);
    int r = fake_learner(&f, dir, &e);
    if (r)
        (void)fprintf(stderr, "learner: %s\n", e.msg);
    fake_run_done(&f);
    return err_exit_status(r);
}

static pid_t spawn_learner(const char *dir, const char *fault)
{
    char self[] = "/proc/self/exe", verb[] = "learner";
    CLEANUP_FREE char *d = mem_strdup(dir);
    CLEANUP_FREE char *f = mem_strdup(fault);
    char *argv[] = {self, verb, d, f, NULL};
    pid_t pid = -1;
    assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
    return pid;
}

/* Waits for the end; kills it after kill_after_ms when that is not 0. Returns the wait status. */
static int wait_learner(pid_t pid, unsigned kill_after_ms)
{
    int status = 0;
    if (kill_after_ms) {
        struct timespec t = {kill_after_ms / 1000, (long)(kill_after_ms % 1000) * 1000000};
        (void)nanosleep(&t, NULL); /* the moment of a murder, not a wait for a condition */
        (void)kill(pid, SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- parent ---- */

static size_t start_workers(const struct fake_run *f, const char *dir, struct fake_worker **workers)
{
    static const char *const names[] = {"a0", "a1", "r0"};
    for (size_t i = 0; i < ACTORS + REWARDS; i++)
        workers[i] = fake_worker_start(
            &(struct fake_worker_options){.role = i < ACTORS ? ROLE_ACTOR : ROLE_REWARD,
                .name = names[i],
                .run_dir = dir,
                .numerics_id = f->numerics_id,
                .slots = 2,
                .seed = seed + i});
    return ACTORS + REWARDS;
}

/* How the next learner is to die: a fault point, or a time; neither: it may live. */
struct death {
    const char *fault;
    unsigned after_ms;
};

static char *run_with(const struct death *deaths, size_t count, unsigned *ret_killed)
{
    struct fake_run f;
    struct err e = {0};
    struct fake_worker *workers[ACTORS + REWARDS];
    CLEANUP_FREE char *dir = fake_dir();
    fake_run_init(&f, 42, STEPS);
    size_t n = start_workers(&f, dir, workers);
    *ret_killed = 0;
    for (size_t i = 0; i <= count; i++) {
        const struct death *d = i < count ? &deaths[i] : &(struct death){"", 0};
        int status = wait_learner(spawn_learner(dir, d->fault), d->after_ms);
        if (WIFSIGNALED(status)) {
            assert_int_equal(WTERMSIG(status), SIGKILL);
            ++*ret_killed;
            assert_true(i < count);
            continue;
        }
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        break;
    }
    /* One that was between two sessions when the run finished was not told so. */
    for (size_t i = 0; i < n; i++)
        assert_int_equal(fake_worker_join(workers[i], true), 0);
    char *tables = fake_tables(dir);
    assert_int_equal(file_remove_tree(dir, &e), 0);
    fake_run_done(&f);
    return tables;
}

/* The commits counter tells how often the stage thread asked: the same in all runs, or G4 is
 * broken. */
static char *reference;

static int make_reference(void **state)
{
    (void)state;
    unsigned killed;
    reference = run_with(NULL, 0, &killed);
    return strstr(reference, "finished") ? 0 : 1;
}

static int free_reference(void **state)
{
    (void)state;
    free(reference);
    return 0;
}

static void test_kill_at_every_fault_point(void **state)
{
    (void)state;
    static const enum fault_site sites[] = {FAULT_SEGMENT_APPEND, FAULT_SEGMENT_APPENDED,
        FAULT_SEGMENT_SYNCED, FAULT_STORE_COMMIT, FAULT_STORE_COMMITTED, FAULT_REPLY_SENT};
    static const unsigned visits[] = {1, 4};
    for (size_t i = 0; i < ARRAY_LEN(sites); i++) {
        char text[ARRAY_LEN(visits)][64];
        struct death deaths[ARRAY_LEN(visits)];
        unsigned killed;
        for (size_t k = 0; k < ARRAY_LEN(visits); k++) {
            (void)snprintf(
                text[k], sizeof(text[k]), "%s:%u:kill", fault_site_name(sites[i]), visits[k]);
            deaths[k] = (struct death){text[k], 0};
        }
        char *tables = run_with(deaths, ARRAY_LEN(visits), &killed);
        print_message("%s: killed %u times\n", fault_site_name(sites[i]), killed);
        assert_true(killed >= 1);
        assert_string_equal(reference, tables);
        free(tables);
    }
}

/* The same points, but the operation fails and the process lives: it must go on by itself. */
static void test_error_at_every_fault_point(void **state)
{
    (void)state;
    static const enum fault_site sites[] = {FAULT_SEGMENT_APPEND, FAULT_SEGMENT_APPENDED,
        FAULT_SEGMENT_SYNCED, FAULT_STORE_COMMIT, FAULT_STORE_COMMITTED};
    for (size_t i = 0; i < ARRAY_LEN(sites); i++) {
        char text[64];
        unsigned killed;
        (void)snprintf(text, sizeof(text), "%s:4:error", fault_site_name(sites[i]));
        char *tables = run_with(&(struct death){text, 0}, 1, &killed);
        assert_int_equal(killed, 0);
        assert_string_equal(reference, tables);
        free(tables);
    }
}

static void test_kill_at_random_moments(void **state)
{
    (void)state;
    struct rng rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    struct death deaths[10];
    unsigned killed;
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++)
        deaths[i] = (struct death){"", 15 + (unsigned)rng_below(&rng, 80)};
    char *tables = run_with(deaths, ARRAY_LEN(deaths), &killed);
    print_message("seed %ju: killed %u times\n", (uintmax_t)seed, killed);
    assert_string_equal(reference, tables);
    free(tables);
}

int main(int argc, char **argv)
{
    log_setup(getenv("V") ? LOG_INFO : LOG_ERROR, "");
    if (argc > 2 && strcmp(argv[1], "learner") == 0)
        return learner_main(argv[2], argc > 3 ? argv[3] : "");
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_at_every_fault_point),
        cmocka_unit_test(test_error_at_every_fault_point),
        cmocka_unit_test(test_kill_at_random_moments),
    };
    return cmocka_run_group_tests(tests, make_reference, free_reference);
}
