/* queue_test.c: the scoring queue under many jobs, at its bound, and when it closes. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reward-server/scoring/scoring.h"

enum { JOBS = 500, COMPLETIONS = 4 };

/* Counts jobs that came back; a gate can hold every callback until the test opens it. */
struct done {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t entered, count;
    bool closed;
};

static void done_init(struct done *d, bool closed)
{
    *d = (struct done){.closed = closed};
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->changed, NULL);
}

static void on_done(void *arg, struct scoring_job *job)
{
    struct done *d = arg;
    (void)pthread_mutex_lock(&d->lock);
    d->entered++;
    (void)pthread_cond_broadcast(&d->changed);
    while (d->closed)
        (void)pthread_cond_wait(&d->changed, &d->lock);
    d->count++;
    *(bool *)job->tag = true;
    (void)pthread_cond_broadcast(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
}

static void done_wait(struct done *d, const size_t *counter, size_t n)
{
    (void)pthread_mutex_lock(&d->lock);
    while (*counter < n)
        (void)pthread_cond_wait(&d->changed, &d->lock);
    (void)pthread_mutex_unlock(&d->lock);
}

static void done_open(struct done *d)
{
    (void)pthread_mutex_lock(&d->lock);
    d->closed = false;
    (void)pthread_cond_broadcast(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
}

struct work {
    char text[COMPLETIONS][16], task[32];
    struct grade_text completions[COMPLETIONS];
    struct grade_input in;
    struct score_result results[COMPLETIONS];
    struct scoring_job job;
    bool back;
};

static void work_init(struct work *w, unsigned number, const struct scoring *set)
{
    *w = (struct work){0};
    (void)snprintf(w->task, sizeof(w->task), "{\"answer\":\"%u\"}", number);
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        (void)snprintf(w->text[i], sizeof(w->text[i]), "%u", number + i % 2);
        w->completions[i] = (struct grade_text){
            .index = i, .text = (const uint8_t *)w->text[i], .text_len = strlen(w->text[i])};
    }
    w->in = (struct grade_input){
        .task_json = w->task, .completions = w->completions, .completion_count = COMPLETIONS};
    w->job = (struct scoring_job){
        .tag = &w->back, .set = set, .in = &w->in, .arena = arena_new(0), .results = w->results};
}

static void work_check(const struct work *w)
{
    assert_true(w->back);
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        assert_int_equal(w->results[i].index, i);
        assert_int_equal(w->results[i].verdict, i % 2 == 0 ? VERDICT_PASS : VERDICT_WRONG);
    }
}

static struct scoring *open_set(void)
{
    static const struct scorer_spec spec = {"accuracy", "math", "{}"};
    struct scoring *set = NULL;
    struct err e;
    assert_int_equal(scoring_open(&spec, 1, &set, &e), 0);
    return set;
}

static void jobs_come_back_scored(void **state)
{
    struct scoring *set = open_set();
    struct work *w = mem_array(JOBS, sizeof(*w));
    struct scoring_queue *q = NULL;
    struct done d;
    struct err e;
    done_init(&d, false);
    assert_int_equal(scoring_queue_open(4, JOBS, on_done, &d, &q, &e), 0);
    for (unsigned i = 0; i < JOBS; i++) {
        work_init(&w[i], i, set);
        assert_int_equal(scoring_queue_submit(q, &w[i].job, &e), 0);
    }
    done_wait(&d, &d.count, JOBS);
    scoring_queue_close(q);
    for (unsigned i = 0; i < JOBS; i++) {
        work_check(&w[i]);
        arena_free(w[i].job.arena);
    }
    free(w);
    scoring_close(set);
}

/* What is wrong with a task is found once, and told of each completion for as long as the job. */
static void a_broken_task_is_a_fault_for_all(void **state)
{
    struct scoring *set = open_set();
    struct scoring_queue *q = NULL;
    struct work w;
    struct done d;
    struct err e;
    done_init(&d, false);
    assert_int_equal(scoring_queue_open(4, 1, on_done, &d, &q, &e), 0);
    work_init(&w, 1, set);
    w.in.task_json = "{\"answer\"";
    assert_int_equal(scoring_queue_submit(q, &w.job, &e), 0);
    done_wait(&d, &d.count, 1);
    scoring_queue_close(q);
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        assert_false(w.results[i].has_value);
        assert_int_equal(w.results[i].fault, SCORE_FAULT_PERMANENT);
        assert_non_null(strstr(w.results[i].reason, "the task is not JSON"));
    }
    arena_free(w.job.arena);
    scoring_close(set);
}

static void *close_queue(void *q)
{
    scoring_queue_close(q);
    return NULL;
}

/* One thread is held in its callback: exactly queue_max jobs may wait behind it, and those are
 * dropped. */
static void the_bound_holds_and_close_drops_what_waits(void **state)
{
    enum { BOUND = 3 };
    struct scoring *set = open_set();
    struct work w[BOUND + 2];
    struct scoring_queue *q = NULL;
    struct done d;
    struct err e;
    done_init(&d, true);
    for (unsigned i = 0; i < BOUND + 2; i++)
        work_init(&w[i], i, set);
    assert_int_equal(scoring_queue_open(1, BOUND, on_done, &d, &q, &e), 0);
    assert_int_equal(scoring_queue_submit(q, &w[0].job, &e), 0);
    done_wait(&d, &d.entered, 1);
    for (unsigned i = 1; i <= BOUND; i++)
        assert_int_equal(scoring_queue_submit(q, &w[i].job, &e), 0);
    assert_int_equal(scoring_queue_submit(q, &w[BOUND + 1].job, &e), ERR_RETRY);
    assert_non_null(strstr(e.msg, "full with 3 jobs"));
    pthread_t closer;
    assert_int_equal(pthread_create(&closer, NULL, close_queue, q), 0);
    while (scoring_queue_submit(q, &w[BOUND + 1].job, &e) != ERR_INTERRUPTED)
        (void)sched_yield();
    done_open(&d);
    (void)pthread_join(closer, NULL);
    work_check(&w[0]);
    assert_int_equal(d.entered, 1);
    for (unsigned i = 1; i < BOUND + 2; i++)
        assert_false(w[i].back);
    for (unsigned i = 0; i < BOUND + 2; i++)
        arena_free(w[i].job.arena);
    scoring_close(set);
}

static void an_idle_queue_closes(void **state)
{
    struct scoring_queue *q = NULL;
    struct done d;
    struct err e;
    done_init(&d, false);
    assert_int_equal(scoring_queue_open(3, 1, on_done, &d, &q, &e), 0);
    scoring_queue_close(q);
    assert_int_equal(d.entered, 0);
    scoring_queue_close(NULL);
}

static void sizes_are_checked(void **state)
{
    struct scoring_queue *q = NULL;
    struct done d;
    struct err e;
    assert_int_equal(scoring_queue_open(0, 1, on_done, &d, &q, &e), ERR_CONFIG);
    assert_int_equal(scoring_queue_open(257, 1, on_done, &d, &q, &e), ERR_CONFIG);
    assert_int_equal(scoring_queue_open(1, 0, on_done, &d, &q, &e), ERR_CONFIG);
    assert_int_equal(scoring_queue_open(1, 65537, on_done, &d, &q, &e), ERR_CONFIG);
    assert_null(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_back_scored),
        cmocka_unit_test(a_broken_task_is_a_fault_for_all),
        cmocka_unit_test(the_bound_holds_and_close_drops_what_waits),
        cmocka_unit_test(an_idle_queue_closes),
        cmocka_unit_test(sizes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
