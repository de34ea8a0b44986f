/* hub_results_test.c: which results the hub takes, what it makes of scores, and what a fault of a
 * judge does. Pinned behaviour: change only by decision. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "hub_rig.h"

static int setup(void **state)
{
    struct rig *r = mem_alloc(sizeof(*r));
    rig_open(r, NULL);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static enum nack_code nack_of(const struct msg *m)
{
    assert_non_null(m);
    assert_int_equal(m->type, MSG_NACK);
    return m->nack.code;
}

/* ---- results ---- */

typedef void spoil_fn(struct msg_submit_group *m, struct completion *c);

static void spoil_count(struct msg_submit_group *m, struct completion *c)
{
    (void)c;
    m->completion_count--;
}

static void spoil_weights(struct msg_submit_group *m, struct completion *c)
{
    (void)c;
    m->weights.b[5] ^= 1;
}

static void spoil_numerics(struct msg_submit_group *m, struct completion *c)
{
    (void)c;
    m->numerics_id.b[5] ^= 1;
}

static void spoil_type(struct msg_submit_group *m, struct completion *c)
{
    (void)c;
    m->weights_type = WEIGHTS_INT8;
}

static void spoil_token(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    ((uint32_t *)c->tokens)[0] = 1000;
}

static void spoil_positive(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    ((float *)c->logp)[0] = 0.001f;
}

static void spoil_nan(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    ((float *)c->logp)[0] = NAN;
}

static void spoil_infinite(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    ((float *)c->logp)[0] = -INFINITY;
}

static void spoil_empty(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    c->len = 0;
}

static void spoil_stop_inside(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    static const uint32_t tokens[] = {3, FAKE_STOP, 4, FAKE_STOP};
    static const float logp[] = {-1, -1, -1, -1};
    *c = (struct completion){.tokens = tokens, .logp = logp, .len = 4, .stop = STOP_EOS};
}

static void spoil_no_stop(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    static const uint32_t tokens[] = {3, 4};
    static const float logp[] = {-1, -1};
    *c = (struct completion){.tokens = tokens, .logp = logp, .len = 2, .stop = STOP_EOS};
}

static void spoil_short(struct msg_submit_group *m, struct completion *c)
{
    spoil_no_stop(m, c);
    c->stop = STOP_LENGTH; /* but shorter than max_tokens */
}

static void spoil_long(struct msg_submit_group *m, struct completion *c)
{
    (void)m;
    static uint32_t tokens[FAKE_MAX_TOKENS + 1];
    static float logp[FAKE_MAX_TOKENS + 1];
    for (uint32_t i = 0; i < FAKE_MAX_TOKENS; i++)
        tokens[i] = 3;
    *c = (struct completion){
        .tokens = tokens, .logp = logp, .len = FAKE_MAX_TOKENS + 1, .stop = STOP_EOS};
}

static void test_broken_groups(void **state)
{
    (void)state;
    static spoil_fn *const spoils[] = {spoil_count, spoil_weights, spoil_numerics, spoil_type,
        spoil_token, spoil_positive, spoil_nan, spoil_infinite, spoil_empty, spoil_stop_inside,
        spoil_no_stop, spoil_short, spoil_long};
    for (size_t i = 0; i < ARRAY_LEN(spoils); i++) {
        struct rig rig, *r = &rig;
        struct rig_worker a;
        rig_open(r, NULL);
        rig_plan(r, 1, 0, 1);
        rig_hello(r, &a, ROLE_ACTOR, "a");
        struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
        struct msg m = rig_group_result(r, &l);
        spoils[i](&m.submit_group, (struct completion *)&m.submit_group.completions[1]);
        const struct msg *reply = rig_send_as(r, &a, &m, "broken");
        assert_int_equal(reply->submit_reply.status, SUBMIT_BAD);
        assert_true(strlen(reply->submit_reply.message) > 10);
        assert_true(rig_has_row(r, ROW_EVENT));
        assert_false(rig_has_row(r, ROW_GROUP_SAMPLED));
        assert_int_equal(rig_row(r, ROW_LEASE_END)->lease_end.outcome, LEASE_REJECTED);
        assert_int_equal(hub_counts(r->hub).ready_jobs, 1); /* somebody else may do it */
        rig_close(r);
    }
}

static void test_limits_that_are_just_right(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
    struct msg m = rig_group_result(r, &l);
    struct completion *c = (struct completion *)m.submit_group.completions;
    uint32_t tokens[FAKE_MAX_TOKENS] = {0};
    float logp[FAKE_MAX_TOKENS] = {0}; /* certain: log-prob 0 is the largest allowed */
    for (uint32_t i = 0; i < FAKE_MAX_TOKENS; i++)
        tokens[i] = r->options.vocab - 1;
    c[0] = (struct completion){tokens, logp, FAKE_MAX_TOKENS, STOP_LENGTH};
    uint32_t stop = FAKE_STOP;
    c[1] = (struct completion){&stop, logp, 1, STOP_EOS};
    tokens[FAKE_MAX_TOKENS - 1] = 5;
    assert_int_equal(rig_submit(r, &a, &m, "x"), SUBMIT_OK);
}

static void test_worker_with_many_broken_results_is_refused(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    rig_plan(r, 1, 0, 10);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    for (int i = 0; i <= HUB_BAD_MAX; i++) {
        struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
        struct msg m = rig_group_result(r, &l);
        m.submit_group.weights_type = WEIGHTS_BF16;
        assert_int_equal(rig_submit(r, &a, &m, "x"), SUBMIT_BAD);
    }
    assert_int_equal(nack_of(rig_poll(r, &a, 1, NULL, 0)), NACK_UNKNOWN_SESSION);
    assert_int_equal(nack_of(rig_hello(r, &a, ROLE_ACTOR, "a")), NACK_REFUSED);
    assert_int_equal(rig_hello(r, &a, ROLE_ACTOR, "b")->type, MSG_WELCOME);
}

static void test_same_result_again_and_another_one(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b;
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
    struct msg m = rig_group_result(r, &l);
    assert_int_equal(rig_submit(r, &a, &m, "one"), SUBMIT_OK);
    assert_true(rig_has_row(r, ROW_GROUP_SAMPLED));
    assert_true(rig_has_row(r, ROW_JOB)); /* the grade job, in the same batch */
    assert_int_equal(rig_submit(r, &a, &m, "one"), SUBMIT_OK);
    assert_int_equal(r->last.row_count, 0);
    assert_int_equal(rig_submit(r, &a, &m, "two"), SUBMIT_CONFLICT);
    assert_false(rig_has_row(r, ROW_GROUP_SAMPLED));
    assert_true(rig_has_row(r, ROW_EVENT));
    rig_hello(r, &b, ROLE_ACTOR, "a"); /* also in a later session */
    assert_int_equal(rig_submit(r, &b, &m, "one"), SUBMIT_OK);
}

/* ---- scores ---- */

static struct score_result *result_at(struct msg *m, uint32_t index, uint32_t scorer)
{
    return (struct score_result *)&m->submit_scores.results[index * FAKE_SCORERS + scorer];
}

static void test_scores_become_rewards(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    struct msg m = rig_scores(r, &g.lease, NULL, 0);
    result_at(&m, 0, 0)->value = 0;
    result_at(&m, 0, 0)->verdict = VERDICT_WRONG;
    assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
    const struct row *row = rig_row(r, ROW_REWARD);
    assert_true(row->reward.reward == 0.25);              /* 1.0 x 0 + 0.25 x 1 */
    assert_int_equal(row->reward.verdict, VERDICT_WRONG); /* of the primary one */
    const struct row_group_scored *s = &rig_row(r, ROW_GROUP_SCORED)->group_scored;
    assert_true(fabs(s->mean - (0.25 + 3 * 1.25) / 4) < 1e-15);
    assert_true(fabs(s->std - 0.5) < 1e-15); /* n - 1 */
    assert_false(s->tied);
    assert_int_equal(hub_counts(r->hub).open_groups, 0);
    assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
    assert_int_equal(rig_submit(r, &g.judge, &m, "t"), SUBMIT_CONFLICT);
}

static void test_tied_group(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    struct msg m = rig_scores(r, &g.lease, NULL, 0);
    assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
    const struct row_group_scored *s = &rig_row(r, ROW_GROUP_SCORED)->group_scored;
    assert_true(s->tied);
    assert_true(s->mean == 1.25 && s->std == 0);
}

typedef void spoil_scores_fn(struct msg *m);

static void spoil_too_few(struct msg *m)
{
    m->submit_scores.result_count--;
}

static void spoil_index(struct msg *m)
{
    result_at(m, 1, 1)->index = FAKE_SIZE;
}

static void spoil_scorer(struct msg *m)
{
    result_at(m, 1, 1)->scorer = "nobody";
}

static void spoil_twice(struct msg *m)
{
    *result_at(m, 1, 1) = *result_at(m, 1, 0);
}

static void spoil_value_nan(struct msg *m)
{
    result_at(m, 2, 1)->value = NAN;
}

static void spoil_value_and_fault(struct msg *m)
{
    result_at(m, 2, 1)->fault = SCORE_FAULT_TRANSIENT;
}

static void spoil_neither(struct msg *m)
{
    result_at(m, 2, 1)->has_value = false;
}

static void test_broken_scores(void **state)
{
    (void)state;
    static spoil_scores_fn *const spoils[] = {spoil_too_few, spoil_index, spoil_scorer, spoil_twice,
        spoil_value_nan, spoil_value_and_fault, spoil_neither};
    for (size_t i = 0; i < ARRAY_LEN(spoils); i++) {
        struct rig rig, *r = &rig;
        struct rig_grading g;
        rig_open(r, NULL);
        rig_start_grading(r, &g);
        struct msg m = rig_scores(r, &g.lease, NULL, 0);
        spoils[i](&m);
        assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_BAD);
        assert_false(rig_has_row(r, ROW_SCORE));
        rig_close(r);
    }
}

static void fault(struct msg *m, uint32_t index, uint32_t scorer, enum score_fault kind)
{
    struct score_result *s = result_at(m, index, scorer);
    s->has_value = false;
    s->fault = kind;
    s->verdict = VERDICT_JUDGE_FAULT;
}

static void test_transient_faults_become_a_job_alone(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    struct msg m = rig_scores(r, &g.lease, NULL, 0);
    fault(&m, 1, 0, SCORE_FAULT_TRANSIENT);
    fault(&m, 3, 1, SCORE_FAULT_TRANSIENT);
    assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
    const struct row_job *j = &rig_row(r, ROW_JOB)->job;
    assert_int_equal(j->id, JOBS_PER_GROUP + 2);
    assert_int_equal(j->member_count, 2);
    assert_int_equal(j->members[0], 1);
    assert_int_equal(j->members[1], 3);
    assert_int_equal(j->faults, 1);
    assert_false(rig_has_row(r, ROW_GROUP_SCORED));
    assert_null(rig_poll(r, &g.judge, 1, NULL, 0)); /* back-off */
    rig_tick(r, HUB_BACKOFF_MS);
    const struct msg *grant = rig_reply(r, MSG_GRANT);
    assert_non_null(grant);
    g.lease = grant->grant.grade[0];
    const uint32_t both[] = {1, 3};
    struct msg again = rig_scores(r, &g.lease, both, 2);
    assert_int_equal(rig_submit(r, &g.judge, &again, "t"), SUBMIT_OK);
    assert_true(rig_has_row(r, ROW_GROUP_SCORED));
}

/* The same set again and again: no new jobs, an alarm, longer pauses, alone on a worker, no end. */
static void test_faults_without_end(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    for (uint32_t i = 1; i <= 100; i++) {
        struct msg m = rig_scores(r, &g.lease, NULL, 0);
        for (uint32_t k = 0; k < FAKE_SIZE; k++)
            fault(&m, k, 0, SCORE_FAULT_TRANSIENT);
        assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
        assert_false(rig_has_row(r, ROW_JOB));
        assert_int_equal(
            rig_row(r, ROW_EVENT)->event.level, i < HUB_FAULTS_ALONE ? EVENT_WARN : EVENT_ALARM);
        const struct msg *grant = rig_poll(r, &g.judge, 4, NULL, 0);
        for (uint64_t waited = 0; !grant; waited += 500) {
            assert_true(waited <= HUB_BACKOFF_MAX_MS);
            rig_tick(r, 500);
            grant = rig_reply(r, MSG_GRANT);
            if (grant && grant->grant.grade_count == 0)
                grant = rig_poll(r, &g.judge, 4, NULL, 0);
        }
        g.lease = grant->grant.grade[0];
        assert_int_equal(g.lease.job, JOBS_PER_GROUP + 1);
    }
}

static void test_after_three_faults_alone_on_a_worker(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    for (uint32_t i = 1; i <= HUB_FAULTS_ALONE; i++) {
        struct msg m = rig_scores(r, &g.lease, NULL, 0);
        for (uint32_t k = 0; k < FAKE_SIZE; k++)
            fault(&m, k, 0, SCORE_FAULT_TRANSIENT);
        assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
        rig_tick(r, 2500);
        if (i < HUB_FAULTS_ALONE)
            g.lease = rig_poll(r, &g.judge, 1, NULL, 0)->grant.grade[0];
    }
    rig_plan(r, 2, 1, 2);
    assert_int_equal(rig_sample_all(r, &g.actor), 2);
    const struct msg *m = rig_poll(r, &g.judge, 3, NULL, 0);
    assert_int_equal(m->grant.grade_count, 1); /* the suspect comes first, and nothing beside it */
    assert_int_equal(m->grant.grade[0].group, 1);
    uint64_t held = m->grant.grade[0].lease;
    assert_null(rig_poll(r, &g.judge, 3, &held, 1));
    struct rig_worker other;
    rig_hello(r, &other, ROLE_REWARD, "other");
    assert_int_equal(rig_reply(r, MSG_GRANT) != NULL, false);
    m = rig_poll(r, &other, 3, NULL, 0);
    assert_int_equal(m->grant.grade_count, 2);
}

static void test_permanent_fault_leaves_unscored(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    struct msg m = rig_scores(r, &g.lease, NULL, 0);
    fault(&m, 2, 0, SCORE_FAULT_PERMANENT);
    assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
    uint32_t unscored = 0;
    for (size_t i = 0; i < r->last.row_count; i++)
        unscored += r->last.rows[i].kind == ROW_REWARD && isnan(r->last.rows[i].reward.reward);
    assert_int_equal(unscored, 1);
    assert_int_equal(rig_row(r, ROW_GROUP_SCORED)->group_scored.scored, 3);
}

static void test_fault_of_a_scorer_without_weight(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    r->scorers[1].term.weight = 0; /* shown only: its permanent fault does not unscore */
    rig_start_grading(r, &g);
    struct msg m = rig_scores(r, &g.lease, NULL, 0);
    fault(&m, 2, 1, SCORE_FAULT_PERMANENT);
    assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
    assert_int_equal(rig_row(r, ROW_GROUP_SCORED)->group_scored.scored, FAKE_SIZE);
}

static void test_wholly_unscored_group(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    struct msg m = rig_scores(r, &g.lease, NULL, 0);
    for (uint32_t i = 0; i < FAKE_SIZE; i++)
        fault(&m, i, 0, SCORE_FAULT_PERMANENT);
    assert_int_equal(rig_submit(r, &g.judge, &m, "s"), SUBMIT_OK);
    const struct row_group_scored *s = &rig_row(r, ROW_GROUP_SCORED)->group_scored;
    assert_true(isnan(s->mean) && isnan(s->std) && s->tied);
}

int main(void)
{
    log_setup(LOG_ERROR, "");
#define RULE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(test_broken_groups),
        RULE(test_limits_that_are_just_right),
        RULE(test_worker_with_many_broken_results_is_refused),
        RULE(test_same_result_again_and_another_one),
        RULE(test_scores_become_rewards),
        RULE(test_tied_group),
        RULE(test_broken_scores),
        RULE(test_transient_faults_become_a_job_alone),
        RULE(test_faults_without_end),
        RULE(test_after_three_faults_alone_on_a_worker),
        RULE(test_permanent_fault_leaves_unscored),
        RULE(test_fault_of_a_scorer_without_weight),
        RULE(test_wholly_unscored_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
