/* pool_test.c: grading in worker processes: the same outcomes as without, workers that are killed
 * at random moments, that never answer, that lie, and what holds them.
 *
 * Usage: pool_test COHORT-MATH LYING-WORKER [SEED]
 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "proto/limits.h"
#include "reward-server/scoring/math/pool.h"

static const char *program, *liar;
static unsigned seed = 1;

static struct math_pool *open_pool(void)
{
    struct math_pool *p = NULL;
    struct err e;
    if (math_pool_open(program, MATH_POOL_DEADLINE_MS, &p, &e) < 0)
        fail_msg("%s", e.msg);
    return p;
}

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

/* ---- cases ---- */

static const struct grading {
    const char *reference, *text;
    bool tagged, found;
    enum math_answer answer;
    const char *extracted;
} cases[] = {
    {"\\frac12", "So it is \\boxed{0.5}.", false, true, MATH_EQUAL, "0.5"},
    {"\\frac12", "So it is \\boxed{0.6}.", false, true, MATH_DIFFER, "0.6"},
    {"x^2-1", "The answer is $(x-1)(x+1)$.", false, true, MATH_EQUAL, "$(x-1)(x+1)$."},
    {"\\sqrt{5+2\\sqrt6}", "\\sqrt2+\\sqrt3", true, true, MATH_EQUAL, "\\sqrt2+\\sqrt3"},
    {"9^9^9^9", "9^9^9^8", true, true, MATH_UNKNOWN, "9^9^9^8"},
    {"1", "?", false, false, MATH_DIFFER, ""},
    {"1", "", false, false, MATH_DIFFER, ""},
};

static void check_case(const struct grading *c, const struct math_outcome *o)
{
    assert_int_equal(o->found, c->found);
    if (!c->found)
        return;
    assert_int_equal(o->answer, c->answer);
    assert_int_equal(o->extracted.n, strlen(c->extracted));
    assert_memory_equal(o->extracted.at, c->extracted, o->extracted.n);
}

static struct math_request request_of(const struct grading *c)
{
    return (struct math_request){span_of(c->reference), span_of(c->text), c->tagged};
}

static void workers_grade_as_the_library(void **state)
{
    struct math_pool *p = open_pool();
    struct arena *a = arena_new(1 << 16);
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct math_request q = request_of(&cases[i]);
        struct math_outcome here, there;
        math_grade(&q, &here);
        check_case(&cases[i], &here);
        assert_int_equal(math_pool_grade(p, &q, a, &there, &e), 0);
        check_case(&cases[i], &there);
        assert_string_equal(here.why, there.why);
    }
    arena_free(a);
    math_pool_close(p);
}

static void largest_texts_travel(void **state)
{
    struct math_pool *p = open_pool();
    struct arena *a = arena_new(1 << 16);
    struct err e;
    struct math_outcome o;
    CLEANUP_FREE char *text = mem_alloc(LIMIT_COMPLETION_TEXT + 2);
    memset(text, 'x', LIMIT_COMPLETION_TEXT + 1);
    static const char tail[] = " \\boxed{7}";
    memcpy(text + LIMIT_COMPLETION_TEXT - strlen(tail), tail, strlen(tail));
    struct math_request q = {span_of("7"), {text, LIMIT_COMPLETION_TEXT}, false};
    assert_int_equal(math_pool_grade(p, &q, a, &o, &e), 0);
    assert_int_equal(o.answer, MATH_EQUAL);
    q.text.n++;
    assert_int_equal(math_pool_grade(p, &q, a, &o, &e), ERR_LIMIT);
    arena_free(a);
    math_pool_close(p);
}

/* ---- killing ---- */

static bool is_child(const char *pid)
{
    CLEANUP_FREE char *path = mem_printf("/proc/%s/stat", pid);
    FILE *f = fopen(path, "re");
    int parent = 0;
    bool ok = f != NULL && fscanf(f, "%*d (%*[^)]) %*c %d", &parent) == 1;
    if (f != NULL)
        (void)fclose(f);
    return ok && parent == getpid();
}

/* One of this process's children, that is, a worker; 0 when there is none. */
static pid_t some_child(unsigned *random)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;
    int n = 0;
    for (struct dirent *f; d != NULL && (f = readdir(d)) != NULL;) {
        if (f->d_name[0] >= '1' && f->d_name[0] <= '9' && is_child(f->d_name) &&
            rand_r(random) % ++n == 0)
            found = (pid_t)strtol(f->d_name, NULL, 10);
    }
    if (d != NULL)
        (void)closedir(d);
    return found;
}

enum { THREADS = 3, GRADINGS = 400, KILL_ONE_IN = 4 };

struct grader {
    struct math_pool *pool;
    unsigned random;
    size_t right, faults, wrong, killed;
};

static bool same(const struct grading *c, const struct math_outcome *o)
{
    return o->found == c->found && (!c->found || o->answer == c->answer);
}

/* Grades, and now and then kills one of the workers, idle or in the middle of another's work. */
static void *grade_and_kill(void *arg)
{
    struct grader *g = arg;
    for (size_t i = 0; i < GRADINGS; i++) {
        const struct grading *c = &cases[(size_t)rand_r(&g->random) % ARRAY_LEN(cases)];
        struct math_request q = request_of(c);
        struct math_outcome o;
        struct err e;
        struct arena *a = arena_new(1 << 12);
        int r = math_pool_grade(g->pool, &q, a, &o, &e);
        g->right += r == 0 && same(c, &o);
        g->wrong += (r == 0 && !same(c, &o)) || (r != 0 && r != ERR_RETRY);
        g->faults += r == ERR_RETRY;
        arena_free(a);
        pid_t victim = rand_r(&g->random) % KILL_ONE_IN == 0 ? some_child(&g->random) : 0;
        g->killed += victim > 0 && kill(victim, SIGKILL) == 0;
    }
    return NULL;
}

static void killed_workers_are_faults_or_right(void **state)
{
    struct math_pool *p = open_pool();
    struct grader graders[THREADS] = {0};
    pthread_t threads[THREADS];
    size_t right = 0, faults = 0, killed = 0;
    print_message("seed %u\n", seed);
    for (size_t i = 0; i < THREADS; i++) {
        graders[i] = (struct grader){.pool = p, .random = seed + (unsigned)i};
        assert_int_equal(pthread_create(&threads[i], NULL, grade_and_kill, &graders[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(graders[i].wrong, 0);
        right += graders[i].right;
        faults += graders[i].faults;
        killed += graders[i].killed;
    }
    print_message("%zu killed: %zu right, %zu faults\n", killed, right, faults);
    assert_int_equal(right + faults, THREADS * GRADINGS);
    assert_true(killed > 0 && right > faults);
    math_pool_close(p);
    assert_int_equal(some_child(&seed), 0); /* none is left */
}

/* A stopped process stands for one that computes for ever. */
static void runaways_end_at_the_deadline(void **state)
{
    enum { SHORT_MS = 1000 };
    struct math_pool *p = NULL;
    struct err e;
    struct math_outcome o;
    struct arena *a = arena_new(1 << 12);
    unsigned random = seed;
    assert_int_equal(math_pool_open(program, SHORT_MS, &p, &e), 0);
    pid_t worker = some_child(&random);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    struct math_request q = request_of(&cases[0]);
    int r = ERR_RETRY;
    for (int i = 0; r == ERR_RETRY && i < 10; i++) /* by a new one, however busy the machine is */
        r = math_pool_grade(p, &q, a, &o, &e);
    assert_int_equal(r, 0);
    check_case(&cases[0], &o);
    assert_int_not_equal(some_child(&random), worker);
    arena_free(a);
    math_pool_close(p);
}

/* ---- what is no worker ---- */

static void other_programs_are_refused(void **state)
{
    struct math_pool *p = NULL;
    struct err e;
    assert_int_equal(math_pool_open("/usr/bin/true", 1000, &p, &e), ERR_RETRY);
    assert_non_null(strstr(e.msg, "two workers in a row"));
    assert_int_equal(math_pool_open(liar, 1000, &p, &e), ERR_RETRY);
    assert_int_equal(math_pool_open("/no/such/program", 1000, &p, &e), ERR_RETRY);
    assert_non_null(strstr(e.msg, "/no/such/program"));
    assert_null(p);
}

static void workers_are_held(void **state)
{
    struct math_pool *p = open_pool();
    unsigned random = seed;
    char line[256];
    int found = 0;
    CLEANUP_FREE char *path = mem_printf("/proc/%d/status", (int)some_child(&random));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        found += strcmp(line, "NoNewPrivs:\t1\n") == 0 || strcmp(line, "Seccomp:\t2\n") == 0;
    (void)fclose(f);
    assert_int_equal(found, 2);
    math_pool_close(p);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    program = argv[1];
    liar = argv[2];
    if (argc > 3)
        seed = (unsigned)strtoul(argv[3], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_grade_as_the_library),
        cmocka_unit_test(largest_texts_travel),
        cmocka_unit_test(killed_workers_are_faults_or_right),
        cmocka_unit_test(runaways_end_at_the_deadline),
        cmocka_unit_test(other_programs_are_refused),
        cmocka_unit_test(workers_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
