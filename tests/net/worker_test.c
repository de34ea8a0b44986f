/* worker_test.c: leases, results and sessions of the lease client: restarts, refusals, revocations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "tests/net/worker_record.h"

/* ---- the normal way ---- */

static void test_life(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    give(&r, 11, 1);
    UNTIL(&r, r.job_count == 1);
    assert_int_equal(r.welcomes, 1);
    assert_string_equal(r.l.hello_name, "actor-1");
    assert_int_equal(r.l.hello.slots, 2);
    assert_int_equal(r.l.hello.scorer_count, 2);
    assert_int_equal(r.l.hello.protocol, PROTOCOL_VERSION);
    assert_true(r.jobs[0] == 11);
    worker_progress(r.w, 99);
    submit(&r, 11);
    UNTIL(&r, r.done_count == 1);
    assert_int_equal(r.done_status[0], SUBMIT_OK);
    give(&r, 12, 1);
    UNTIL(&r, r.job_count == 2 && r.l.tokens == 99);
    submit(&r, 12);
    worker_drain(r.w, 60000); /* waits for the answer to the result */
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_int_equal(r.done_count, 2);
    assert_int_equal(r.l.byes, 1);
    assert_int_equal(r.l.releases, 0);
    end(&r);
}

static void test_results_submitted_inside_the_callback(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 4);
    r.submit_at_once = true;
    give(&r, 1, 40);
    UNTIL(&r, r.done_count == 40);
    assert_int_equal(r.l.submits, 40);
    for (uint64_t i = 0; i < 40; i++)
        assert_true(r.jobs[i] == i + 1);
    end(&r);
}

static void test_heartbeats_while_the_slots_are_full(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    give(&r, 5, 3);
    UNTIL(&r, r.l.heartbeats >= 3);
    assert_int_equal(r.job_count, 2); /* the third waits for a slot */
    assert_int_equal(r.l.polls, 1);
    assert_int_equal(r.l.held_count, 2);
    submit(&r, 6);
    UNTIL(&r, r.job_count == 3);
    assert_true(r.jobs[2] == 7);
    UNTIL(&r, r.l.held_count == 2 && r.l.heartbeats >= 5);
    end(&r);
}

/* A poll that waits for a second job must not let the first one's lease expire. */
static void test_heartbeats_while_a_poll_waits(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    give(&r, 5, 1);
    UNTIL(&r, r.l.parked && r.l.held_count == 1 && r.l.heartbeats >= 3);
    assert_int_equal(r.l.polls, 2);
    end(&r);
}

/* However long the learner's heartbeat is, a lease hears of its worker before it ends. */
static void test_short_leases_get_heartbeats_in_time(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    r.l.heartbeat_ms = 60 * 60 * 1000;
    r.l.lease_ms = 30;
    learner_open(&r.l);
    worker_begin(&r, 1);
    give(&r, 5, 1);
    UNTIL(&r, r.l.heartbeats >= 3);
    end(&r);
}

static void test_grade_leases_go_to_reward_servers(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    learner_open(&r.l);
    r.l.grade = true;
    struct worker_options o = {
        .role = ROLE_REWARD, .name = "rs", .address = r.h.base, .slots = LIMIT_LEASES_PER_WORKER};
    struct err e;
    assert_int_equal(worker_open(&r.h.loop, &o, &record_events, &r, &r.w, &e), 0);
    give(&r, 30, 20); /* more than one grant holds */
    UNTIL(&r, r.job_count == 20);
    end(&r);
}

static void test_lease_of_the_wrong_kind_is_given_back(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    r.l.grade = true;
    give(&r, 3, 1);
    UNTIL(&r, r.l.releases == 1);
    assert_true(r.l.released[0] == 3);
    assert_int_equal(r.job_count, 0);
    end(&r);
}

static void test_release(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    give(&r, 3, 2);
    UNTIL(&r, r.job_count == 1);
    worker_release(r.w, 3, "no memory\n for it");
    UNTIL(&r, r.job_count == 2);
    assert_true(r.l.released[0] == 3);
    assert_int_equal(r.revoked_count, 0);
    end(&r);
}

/* ---- answers to results ---- */

static void test_retry_until_stored(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    r.l.submit[0] = r.l.submit[1] = SUBMIT_RETRY;
    r.l.submit_count = 2;
    give(&r, 8, 1);
    UNTIL(&r, r.job_count == 1);
    submit(&r, 8);
    UNTIL(&r, r.done_count == 1);
    assert_int_equal(r.l.submits, 3);
    assert_int_equal(r.done_status[0], SUBMIT_OK);
    end(&r);
}

static void test_final_answers_reach_the_caller(void **state)
{
    (void)state;
    static struct record r;
    static const enum submit_status all[] = {SUBMIT_CONFLICT, SUBMIT_STALE_LEASE, SUBMIT_BAD};
    begin(&r, 1);
    r.submit_at_once = true;
    memcpy(r.l.submit, all, sizeof(all));
    r.l.submit_count = 3;
    give(&r, 8, 4);
    UNTIL(&r, r.done_count == 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r.done_status[i], all[i]);
    assert_int_equal(r.done_status[3], SUBMIT_OK);
    assert_string_equal(r.done_message, "as the script says");
    end(&r);
}

static void test_result_over_the_limit_is_refused_here(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    give(&r, 8, 1);
    UNTIL(&r, r.job_count == 1);
    struct buf b = {0};
    (void)buf_extend(&b, LIMIT_SUBMIT_BYTES + 1);
    worker_submit(r.w, 8, MSG_SUBMIT_GROUP, &b, record_done);
    assert_int_equal(r.done_count, 1);
    assert_int_equal(r.done_status[0], SUBMIT_BAD);
    UNTIL(&r, r.l.releases == 1);
    end(&r);
}

/* ---- sessions ---- */

static void test_refused_hello_stops(void **state)
{
    (void)state;
    static const enum nack_code codes[] = {NACK_REFUSED, NACK_UNSUPPORTED, NACK_BAD_FRAME};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        static struct record r;
        record_init(&r);
        r.l.hello_nack = codes[i];
        r.l.hello_nacks = 1;
        learner_open(&r.l);
        worker_begin(&r, 1);
        UNTIL(&r, r.stopped);
        assert_int_equal(r.stop_code, ERR_FAIL);
        assert_string_equal(r.stop_why, "the learner says no");
        assert_int_equal(r.welcomes, 0);
        worker_release(r.w, 1, "x"); /* nothing happens after the end */
        worker_drain(r.w, 0);
        end(&r);
    }
}

/* A run that has ended is nobody's fault: not at Hello, and not in a session. */
static void test_an_ended_run_stops_with_success(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        static struct record r;
        record_init(&r);
        r.l.hello_nack = r.l.poll_nack = NACK_ENDED;
        r.l.hello_nacks = !later;
        learner_open(&r.l);
        worker_begin(&r, 1);
        UNTIL(&r, r.stopped);
        assert_int_equal(r.stop_code, 0);
        assert_int_equal(r.welcomes, later);
        end(&r);
    }
}

static void test_refused_later_stops(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    r.l.poll_nack = NACK_REFUSED;
    learner_open(&r.l);
    worker_begin(&r, 1);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, ERR_FAIL);
    assert_string_equal(r.stop_why, "not now");
    end(&r);
}

static void test_try_later(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    r.l.hello_nack = NACK_RETRY;
    r.l.hello_nacks = 1;
    r.l.poll_nack = NACK_RETRY;
    learner_open(&r.l);
    give(&r, 1, 1);
    worker_begin(&r, 1);
    UNTIL(&r, r.job_count == 1);
    assert_int_equal(r.l.hellos, 2);
    assert_int_equal(r.l.polls, 2);
    end(&r);
}

static void test_unknown_session_says_hello_again(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    r.l.session += 5; /* the learner forgot this worker */
    give(&r, 2, 1);
    UNTIL(&r, r.job_count == 2);
    assert_int_equal(r.welcomes, 2);
    assert_int_equal(r.revoked_count, 0);
    UNTIL(&r, r.l.held_count == 2);
    end(&r);
}

/* The learner is killed with a job in work and a result unanswered; the new one knows one of them.
 */
static void test_learner_restart(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 3);
    give(&r, 1, 3);
    UNTIL(&r, r.job_count == 3);
    r.l.mute_submits = true;
    submit(&r, 1);
    UNTIL(&r, r.l.submits == 1);
    learner_close(&r.l);
    harness_settle(&r.h);
    r.l.mute_submits = false;
    r.l.held_count = 0;
    r.l.revoke[0] = 3; /* unknown to the new one */
    r.l.revoke_count = 1;
    learner_open(&r.l);
    UNTIL(&r, r.welcomes == 2 && r.done_count == 1 && r.revoked_count == 1);
    assert_int_equal(r.l.epoch, 2);
    assert_true(r.done[0] == 1);
    assert_int_equal(r.done_status[0], SUBMIT_OK);
    assert_true(r.revoked[0] == 3);
    submit(&r, 2);
    UNTIL(&r, r.done_count == 2);
    assert_true(r.done[1] == 2);
    give(&r, 4, 1);
    UNTIL(&r, r.job_count == 4);
    end(&r);
}

/* With no slot free the first poll of a session still tells the leases, and asks for nothing. */
static void test_restart_with_full_slots(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    r.l.heartbeat_ms = 60000;
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    learner_close(&r.l);
    harness_settle(&r.h);
    r.l.polls = 0;
    learner_open(&r.l);
    submit(&r, 1); /* something to notice the restart by */
    r.l.mute_submits = true;
    UNTIL(&r, r.l.polls == 1);
    assert_int_equal(r.l.max_jobs, 0);
    assert_int_equal(r.l.wait_ms, 0);
    assert_int_equal(r.l.held_count, 1);
    end(&r);
}

static void test_revoked_in_heartbeat(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    r.l.revoke[0] = 1;
    r.l.revoke[1] = 777; /* not held: nothing to say */
    r.l.revoke_count = 2;
    UNTIL(&r, r.revoked_count == 1);
    assert_true(r.revoked[0] == 1);
    give(&r, 2, 1);
    UNTIL(&r, r.job_count == 2); /* the slot is free again */
    end(&r);
}

/* A result on its way is not dropped by a revocation: the answer to it decides. */
static void test_revoked_after_submit(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    r.l.submit[0] = SUBMIT_RETRY;
    r.l.submit[1] = SUBMIT_STALE_LEASE;
    r.l.submit_count = 2;
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    submit(&r, 1);
    r.l.revoke[0] = 1;
    r.l.revoke_count = 1;
    UNTIL(&r, r.done_count == 1);
    assert_int_equal(r.done_status[0], SUBMIT_STALE_LEASE);
    assert_int_equal(r.revoked_count, 0);
    end(&r);
}

/* ---- address ---- */

static void write_address(struct record *r, const char *text)
{
    struct err e;
    CLEANUP_FREE char *path = mem_printf("%s/address", r->h.dir);
    assert_int_equal(file_write_atomic(path, text, strlen(text), &e), 0);
}

static void test_address_file(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    struct worker_options o = {.role = ROLE_ACTOR, .name = "a", .run_dir = r.h.dir, .slots = 1};
    struct err e;
    assert_int_equal(worker_open(&r.h.loop, &o, &record_events, &r, &r.w, &e), 0);
    harness_settle(&r.h); /* no file yet */
    write_address(&r, "tcp://somewhere:1\n");
    harness_settle(&r.h);
    CLEANUP_FREE char *one = mem_printf("%s/1", r.h.dir);
    CLEANUP_FREE char *two = mem_printf("%s/2", r.h.dir);
    assert_int_equal(mkdir(one, 0700), 0);
    assert_int_equal(mkdir(two, 0700), 0);
    CLEANUP_FREE char *address_one = mem_printf("ipc://%s", one);
    CLEANUP_FREE char *address_two = mem_printf("ipc://%s", two);
    CLEANUP_FREE char *line = mem_printf("%s\n", address_one);
    r.l.base = address_one;
    write_address(&r, line); /* before the sockets exist */
    harness_settle(&r.h);
    learner_open(&r.l);
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    learner_close(&r.l); /* restarts elsewhere */
    r.l.base = address_two;
    learner_open(&r.l);
    write_address(&r, address_two);
    UNTIL(&r, r.welcomes == 2);
    submit(&r, 1);
    UNTIL(&r, r.done_count == 1);
    end(&r);
}

/* It says so for a while, or a learner takes it back in time. */
static void test_address_of_an_ended_run(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    write_address(&r, ADDRESS_ENDED "\n");
    struct worker_options o = {.role = ROLE_ACTOR, .name = "a", .run_dir = r.h.dir, .slots = 1};
    struct err e;
    assert_int_equal(worker_open(&r.h.loop, &o, &record_events, &r, &r.w, &e), 0);
    harness_settle(&r.h);
    learner_open(&r.l);
    CLEANUP_FREE char *line = mem_printf("%s\n", r.h.base);
    write_address(&r, line);
    UNTIL(&r, r.welcomes == 1);
    learner_close(&r.l); /* without a word */
    write_address(&r, ADDRESS_ENDED "\n");
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_string_equal(r.stop_why, "the run has ended");
    end(&r);
}

static void test_options_refused(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    static const char *const kinds[LIMIT_SCORER_KINDS + 1] = {0};
    const struct worker_options good = {
        .role = ROLE_ACTOR, .name = "a", .address = r.h.base, .slots = 1};
    struct worker_options bad[] = {good, good, good, good, good, good, good};
    bad[0].name = "";
    bad[1].name = "Has Capitals";
    bad[2].slots = 0;
    bad[3].slots = LIMIT_LEASES_PER_WORKER + 1;
    bad[4].address = NULL;
    bad[5].address = "tcp://127.0.0.1:1";
    bad[6].scorers = kinds;
    bad[6].scorer_count = LIMIT_SCORER_KINDS + 1;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        assert_int_equal(worker_open(&r.h.loop, &bad[i], &record_events, &r, &r.w, &e), ERR_CONFIG);
        assert_true(strlen(e.msg) > 10);
    }
    harness_done(&r.h);
}

int main(void)
{
    log_setup(LOG_ERROR, "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_results_submitted_inside_the_callback),
        cmocka_unit_test(test_heartbeats_while_the_slots_are_full),
        cmocka_unit_test(test_heartbeats_while_a_poll_waits),
        cmocka_unit_test(test_short_leases_get_heartbeats_in_time),
        cmocka_unit_test(test_grade_leases_go_to_reward_servers),
        cmocka_unit_test(test_lease_of_the_wrong_kind_is_given_back),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_retry_until_stored),
        cmocka_unit_test(test_final_answers_reach_the_caller),
        cmocka_unit_test(test_result_over_the_limit_is_refused_here),
        cmocka_unit_test(test_refused_hello_stops),
        cmocka_unit_test(test_an_ended_run_stops_with_success),
        cmocka_unit_test(test_refused_later_stops),
        cmocka_unit_test(test_try_later),
        cmocka_unit_test(test_unknown_session_says_hello_again),
        cmocka_unit_test(test_learner_restart),
        cmocka_unit_test(test_restart_with_full_slots),
        cmocka_unit_test(test_revoked_in_heartbeat),
        cmocka_unit_test(test_revoked_after_submit),
        cmocka_unit_test(test_address_file),
        cmocka_unit_test(test_address_of_an_ended_run),
        cmocka_unit_test(test_options_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
