/* pool_test.c: which thread runs what, that nothing runs twice or never, and that what tasks write
 * is seen after pool_run. Meant to be run under ThreadSanitizer as well: the counters are plain.
 */
#include "tests/tensor/check.h"

#include <stdlib.h>
#include <string.h>

#include "common/tensor/pool.h"

enum { TASKS_MAX = 300 };

struct work {
    unsigned threads;
    size_t runs[TASKS_MAX];
    unsigned by[TASKS_MAX];
    size_t total; /* of thread 0 alone */
};

static void task_count(void *arg, size_t task, unsigned thread)
{
    struct work *w = arg;
    w->runs[task]++;
    w->by[task] = thread;
    if (thread == 0)
        w->total++;
}

static void test_each_task_once(void **state)
{
    (void)state;
    static const size_t tasks[] = {0, 1, 2, 3, 7, 8, 9, 100, TASKS_MAX};
    for (unsigned threads = 1; threads <= 5; threads++) {
        struct pool *p = NULL;
        struct err e = {0};
        assert_int_equal(pool_new(threads, &p, &e), 0);
        assert_int_equal(pool_threads(p), threads);
        for (int round = 0; round < 50; round++) {
            for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
                struct work w = {.threads = threads};
                pool_run(p, tasks[i], task_count, &w);
                for (size_t t = 0; t < TASKS_MAX; t++) {
                    assert_int_equal(w.runs[t], t < tasks[i] ? 1 : 0);
                    if (t < tasks[i])
                        assert_int_equal(w.by[t], t % threads);
                }
                assert_int_equal(w.total, (tasks[i] + threads - 1) / threads);
            }
        }
        pool_free(p);
    }
}

/* Each call reads what the call before wrote on another thread. */
struct relay {
    uint64_t cell[8];
    size_t n;
    uint64_t step;
};

static void relay_step(void *arg, size_t task, unsigned thread)
{
    (void)thread;
    struct relay *r = arg;
    const uint64_t *old = r->cell + (r->step % 2) * 4;
    uint64_t *new = r->cell + (1 - r->step % 2) * 4;
    new[task] = old[(task + 1) % r->n] * 3 + task;
}

static void test_results_are_seen(void **state)
{
    (void)state;
    uint64_t expected[8] = {0};
    for (unsigned threads = 1; threads <= 4; threads++) {
        struct pool *p = NULL;
        struct err e = {0};
        struct relay r = {.n = 4};
        assert_int_equal(pool_new(threads, &p, &e), 0);
        for (size_t i = 0; i < 4; i++)
            r.cell[i] = i;
        for (r.step = 0; r.step < 5000; r.step++)
            pool_run(p, r.n, relay_step, &r);
        pool_free(p);
        if (threads == 1)
            memcpy(expected, r.cell, sizeof(expected));
        assert_memory_equal(r.cell, expected, sizeof(expected));
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct pool *p = NULL;
    struct err e = {0};
    assert_int_equal(pool_new(0, &p, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "expected 1 to 256"));
    assert_int_equal(pool_new(257, &p, &e), ERR_CONFIG);
    assert_null(p);
    pool_free(NULL);
    assert_int_equal(pool_new(256, &p, &e), 0);
    struct work w = {0};
    pool_run(p, TASKS_MAX, task_count, &w);
    for (size_t t = 0; t < TASKS_MAX; t++)
        assert_int_equal(w.runs[t], 1);
    pool_free(p);
}

struct meeting {
    struct pool *pool;
    unsigned tasks;
    size_t wrote[8];
    size_t wrong; /* of thread 0 alone */
};

/* Each writes, meets, reads what all others wrote, meets. The counters are plain. */
static void task_meet(void *arg, size_t task, unsigned thread)
{
    struct meeting *m = arg;
    for (size_t round = 1; round <= 200; round++) {
        m->wrote[task] = round;
        pool_meet(m->pool, m->tasks);
        for (unsigned i = 0; thread == 0 && i < m->tasks; i++)
            m->wrong += m->wrote[i] != round;
        pool_meet(m->pool, m->tasks);
    }
}

static void test_meetings(void **state)
{
    (void)state;
    for (unsigned tasks = 2; tasks <= 4; tasks++) {
        struct meeting m = {.tasks = tasks};
        struct err e = {0};
        assert_int_equal(pool_new(4, &m.pool, &e), 0);
        for (int run = 0; run < 3; run++)
            pool_run(m.pool, tasks, task_meet, &m);
        assert_int_equal(m.wrong, 0);
        pool_free(m.pool);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_task_once),
        cmocka_unit_test(test_meetings),
        cmocka_unit_test(test_results_are_seen),
        cmocka_unit_test(test_bounds),
    };
    check_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
