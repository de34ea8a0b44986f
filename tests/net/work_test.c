/* work_test.c: order, bound and end of an owner thread; the mailbox between threads and a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/net/work.h"

enum { JOBS = 1000 };

struct record {
    int order[JOBS], count;
};

struct step {
    struct record *record;
    int number;
};

static void add(void *arg)
{
    struct step *s = arg;
    s->record->order[s->record->count++] = s->number;
}

static void test_jobs_run_in_order(void **state)
{
    (void)state;
    struct err e;
    struct work *w;
    struct record r = {.count = 0};
    static struct step steps[JOBS];
    assert_int_equal(work_start("a-name-that-is-too-long-for-linux", 3, &w, &e), 0);
    for (int i = 0; i < JOBS; i++) {
        steps[i] = (struct step){&r, i};
        work_post(w, add, &steps[i]);
    }
    work_stop(w); /* runs what is queued */
    assert_int_equal(r.count, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(r.order[i], i);
}

static void test_stop_without_jobs(void **state)
{
    (void)state;
    struct work *w;
    struct err e;
    assert_int_equal(work_start("idle", 1, &w, &e), 0);
    assert_true(work_idle(w));
    work_stop(w);
    work_stop(NULL);
}

/* A job that the test holds open: uv_sem is a rendezvous without time. */
struct gate {
    uv_sem_t entered, leave;
};

static void wait_at_gate(void *arg)
{
    struct gate *g = arg;
    uv_sem_post(&g->entered);
    uv_sem_wait(&g->leave);
}

static void gate_init(struct gate *g)
{
    assert_int_equal(uv_sem_init(&g->entered, 0), 0);
    assert_int_equal(uv_sem_init(&g->leave, 0), 0);
}

static void gate_done(struct gate *g)
{
    uv_sem_destroy(&g->entered);
    uv_sem_destroy(&g->leave);
}

static void test_idle_tells_running_and_queued(void **state)
{
    (void)state;
    struct work *w;
    struct err e;
    struct gate a, b;
    gate_init(&a);
    gate_init(&b);
    assert_int_equal(work_start("gates", 4, &w, &e), 0);
    work_post(w, wait_at_gate, &a);
    work_post(w, wait_at_gate, &b);
    uv_sem_wait(&a.entered);
    assert_false(work_idle(w)); /* one runs, one is queued */
    uv_sem_post(&a.leave);
    uv_sem_wait(&b.entered);
    assert_false(work_idle(w)); /* one runs */
    uv_sem_post(&b.leave);
    work_stop(w);
    gate_done(&a);
    gate_done(&b);
}

struct poster {
    struct work *work;
    struct step *steps;
    uv_sem_t posted;
};

static void post_two(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < 2; i++) {
        work_post(p->work, add, &p->steps[i]);
        uv_sem_post(&p->posted);
    }
}

/* With one place in the queue and the worker busy, the second post returns only after the worker
 * went on: had it not blocked, the ring would have been overwritten. */
static void test_post_blocks_at_the_bound(void **state)
{
    (void)state;
    struct work *w;
    struct err e;
    struct gate g;
    struct record r = {.count = 0};
    struct step steps[2] = {{&r, 0}, {&r, 1}};
    gate_init(&g);
    assert_int_equal(work_start("bounded", 1, &w, &e), 0);
    work_post(w, wait_at_gate, &g);
    uv_sem_wait(&g.entered);
    struct poster p = {.work = w, .steps = steps};
    assert_int_equal(uv_sem_init(&p.posted, 0), 0);
    uv_thread_t thread;
    assert_int_equal(uv_thread_create(&thread, post_two, &p), 0);
    uv_sem_wait(&p.posted); /* the first took the only place */
    assert_int_not_equal(uv_sem_trywait(&p.posted), 0);
    uv_sem_post(&g.leave);
    uv_sem_wait(&p.posted);
    uv_thread_join(&thread);
    work_stop(w);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.order[1], 1);
    uv_sem_destroy(&p.posted);
    gate_done(&g);
}

/* ---- mailbox ---- */

struct mailer {
    struct loop_mail *mail;
    struct record *record;
    struct step steps[JOBS];
};

static void close_mail(void *arg)
{
    loop_mail_close(arg);
}

static void mail_all(void *arg)
{
    struct mailer *m = arg;
    for (int i = 0; i < JOBS; i++) {
        m->steps[i] = (struct step){m->record, i};
        loop_mail_post(m->mail, add, &m->steps[i]);
    }
    loop_mail_post(m->mail, close_mail, m->mail);
}

static void test_mail_runs_on_the_loop_in_order(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct err e;
    struct work *w;
    static struct record r;
    static struct mailer m;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(loop_mail_open(&loop, &m.mail, &e), 0);
    assert_int_equal(work_start("mailer", 1, &w, &e), 0);
    m.record = &r;
    work_post(w, mail_all, &m);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0); /* ends when the mailbox is closed */
    work_stop(w);
    assert_int_equal(r.count, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(r.order[i], i);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_mail_close_runs_the_queue_and_drops_later_posts(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct err e;
    struct loop_mail *mail;
    struct record r = {.count = 0};
    struct step steps[2] = {{&r, 5}, {&r, 6}};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(loop_mail_open(&loop, &mail, &e), 0);
    loop_mail_post(mail, add, &steps[0]);
    loop_mail_close(mail);
    assert_int_equal(r.count, 1);
    loop_mail_post(mail, add, &steps[1]);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(r.count, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    loop_mail_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_run_in_order),
        cmocka_unit_test(test_stop_without_jobs),
        cmocka_unit_test(test_idle_tells_running_and_queued),
        cmocka_unit_test(test_post_blocks_at_the_bound),
        cmocka_unit_test(test_mail_runs_on_the_loop_in_order),
        cmocka_unit_test(test_mail_close_runs_the_queue_and_drops_later_posts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
