/* parts_test.c: parts of a job: done by several threads, with the outcome of doing them in order.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "reward-server/scoring/scorer.h"

enum { PARTS = 40, ROUNDS = 200, THREADS = 4 };

/* What a round does, and what it saw. */
struct round {
    bool fails[PARTS];
    atomic_uint begun[PARTS];
};

static uint64_t seed = 1;

static struct rng stream(uint64_t ordinal)
{
    return rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER, .ordinal = ordinal});
}

static bool part(void *arg, size_t i)
{
    struct round *r = arg;
    (void)atomic_fetch_add(&r->begun[i], 1);
    return !r->fails[i];
}

static void check_round(struct rng *rng)
{
    struct round r = {0};
    size_t count = rng_below(rng, PARTS + 1), first = count;
    for (size_t i = count; i > 0; i--) {
        r.fails[i - 1] = rng_below(rng, 10) == 0;
        first = r.fails[i - 1] ? i - 1 : first;
    }
    assert_int_equal(scoring_parts(count, part, &r), first);
    for (size_t i = 0; i < PARTS; i++) {
        unsigned begun = atomic_load(&r.begun[i]);
        assert_true(i <= first && i < count ? begun == 1 : begun <= (i < count));
    }
}

static void on_this_thread_alone_too(void **state)
{
    struct rng rng = stream(0);
    for (int i = 0; i < ROUNDS; i++)
        check_round(&rng);
}

/* ---- on threads of a queue: in its callback ---- */

struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t here;
    bool done;
};

/* Each part waits for all others: it takes as many threads. */
static bool meet(void *arg, size_t i)
{
    struct meeting *m = arg;
    (void)pthread_mutex_lock(&m->lock);
    m->here++;
    (void)pthread_cond_broadcast(&m->changed);
    while (m->here < THREADS)
        (void)pthread_cond_wait(&m->changed, &m->lock);
    (void)pthread_mutex_unlock(&m->lock);
    return true;
}

static bool nested(void *arg, size_t i)
{
    struct rng *rng = &((struct rng *)arg)[i];
    for (int k = 0; k < ROUNDS; k++)
        check_round(rng);
    return true;
}

static void on_done(void *arg, struct scoring_job *job)
{
    struct meeting *m = arg;
    struct rng rng[THREADS];
    assert_int_equal(scoring_parts(THREADS, meet, m), THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        rng[i] = stream(i + 1);
    assert_int_equal(scoring_parts(THREADS, nested, rng), THREADS);
    (void)pthread_mutex_lock(&m->lock);
    m->done = true;
    (void)pthread_cond_broadcast(&m->changed);
    (void)pthread_mutex_unlock(&m->lock);
}

static void idle_threads_help(void **state)
{
    static const struct scorer_spec spec = {"accuracy", "exact", "{}"};
    struct meeting m = {.here = 0};
    struct scoring *set = NULL;
    struct scoring_queue *q = NULL;
    struct err e;
    struct grade_input in = {.task_json = "{\"answer\":\"1\"}"};
    struct scoring_job job = {.in = &in, .arena = arena_new(0)};
    (void)pthread_mutex_init(&m.lock, NULL);
    (void)pthread_cond_init(&m.changed, NULL);
    assert_int_equal(scoring_open(&spec, 1, &set, &e), 0);
    job.set = set;
    assert_int_equal(scoring_queue_open(THREADS, 1, on_done, &m, &q, &e), 0);
    assert_int_equal(scoring_queue_submit(q, &job, &e), 0);
    (void)pthread_mutex_lock(&m.lock);
    while (!m.done)
        (void)pthread_cond_wait(&m.changed, &m.lock);
    (void)pthread_mutex_unlock(&m.lock);
    scoring_queue_close(q);
    scoring_close(set);
    arena_free(job.arena);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_this_thread_alone_too),
        cmocka_unit_test(idle_threads_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
