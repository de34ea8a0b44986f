/* hub_rules_test.c: the rules of the hub by hand: who may come in, what is granted to whom and for
 * how long, what may be planned, who may read what. Pinned behaviour: change only by decision. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
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

/* ---- coming in ---- */

static void test_hello(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b;
    assert_int_equal(rig_hello(r, &a, ROLE_ACTOR, "a")->type, MSG_WELCOME);
    assert_true(rig_has_row(r, ROW_WORKER_UP));
    assert_int_equal(rig_hello(r, &b, ROLE_REWARD, "r")->type, MSG_WELCOME);
    assert_int_not_equal(a.session, b.session);
}

static void test_foreign_numerics_is_refused_with_both_ids(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    struct hash ours = r->run.numerics_id;
    char hex[2][HASH_HEX];
    r->run.numerics_id.b[0] ^= 1;
    const struct msg *m = rig_hello(r, &a, ROLE_ACTOR, "a");
    assert_int_equal(nack_of(m), NACK_REFUSED);
    assert_non_null(strstr(m->nack.message, hash_hex(&ours, hex[0])));
    assert_non_null(strstr(m->nack.message, hash_hex(&r->run.numerics_id, hex[1])));
    r->run.numerics_id = ours;
}

static void test_hello_refusals(void **state)
{
    struct rig *r = *state;
    struct rig_worker w = {.role = ROLE_REWARD};
    static const char *kinds[] = {"exact"};
    struct msg m = {.type = MSG_HELLO};
    m.hello = (struct msg_hello){.name = "r",
        .build = "",
        .host = "",
        .protocol = PROTOCOL_VERSION,
        .scorers = kinds,
        .scorer_count = 1};
    const struct msg *reply = rig_send(r, &w, &m);
    assert_int_equal(nack_of(reply), NACK_REFUSED); /* no format scorer */
    assert_non_null(strstr(reply->nack.message, "format"));
    m.hello.protocol++;
    assert_int_equal(nack_of(rig_send(r, &w, &m)), NACK_UNSUPPORTED);
    w.role = ROLE_ACTOR;
    m.hello.protocol--;
    assert_int_equal(nack_of(rig_send(r, &w, &m)), NACK_REFUSED); /* an actor without numerics id */
    w.role = ROLE_LEARNER;
    assert_int_equal(nack_of(rig_send(r, &w, &m)), NACK_REFUSED);
}

static void test_sessions_and_roles(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b, stranger = {.role = ROLE_ACTOR, .session = 99, .epoch = 1};
    rig_hello(r, &a, ROLE_ACTOR, "a");
    assert_int_equal(nack_of(rig_poll(r, &stranger, 1, NULL, 0)), NACK_UNKNOWN_SESSION);
    a.epoch++;
    assert_int_equal(nack_of(rig_poll(r, &a, 1, NULL, 0)), NACK_UNKNOWN_SESSION);
    a.epoch--;
    struct msg scores = {.type = MSG_SUBMIT_SCORES};
    assert_int_equal(nack_of(rig_send(r, &a, &scores)), NACK_REFUSED); /* an actor scores nothing */
    struct msg welcome = {.type = MSG_WELCOME};
    assert_int_equal(nack_of(rig_send(r, &a, &welcome)), NACK_UNSUPPORTED);
    b = a;
    b.role = ROLE_REWARD;
    assert_int_equal(
        nack_of(rig_poll(r, &b, 1, NULL, 0)), NACK_REFUSED); /* not the session's role */
    struct msg bye = {.type = MSG_BYE};
    assert_int_equal(rig_send(r, &a, &bye)->type, MSG_BYE);
    assert_int_equal(rig_send(r, &a, &bye)->type, MSG_BYE); /* again: the answer was lost */
    assert_int_equal(nack_of(rig_poll(r, &a, 1, NULL, 0)), NACK_UNKNOWN_SESSION);
}

static void test_same_name_supersedes(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, again;
    rig_plan(r, 1, 0, 3);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    const struct msg *grant = rig_poll(r, &a, 3, NULL, 0);
    assert_int_equal(grant->grant.sample_count, 3);
    uint64_t keep = grant->grant.sample[1].lease;
    rig_hello(r, &again, ROLE_ACTOR, "a");
    assert_int_equal(nack_of(rig_poll(r, &a, 1, NULL, 0)), NACK_UNKNOWN_SESSION);
    /* What the new session lists stays; the others are lost and granted anew. */
    grant = rig_poll(r, &again, 3, &keep, 1);
    assert_int_equal(grant->grant.sample_count, 2);
    assert_int_equal(grant->grant.revoked_count, 0);
    assert_int_equal(hub_counts(r->hub).leases, 3);
}

/* ---- granting ---- */

static void test_grant_order_and_contents(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    struct plan_item plan[3];
    uint64_t none[3] = {0};
    rig_plan(r, 1, 0, 0);
    plan[0] = fake_plan_item(PURPOSE_EVAL, 0, 0, 1, r->arena);
    plan[1] = fake_plan_item(PURPOSE_TRAIN, 0, 0, 1, r->arena);
    plan[2] = fake_plan_item(PURPOSE_TRAIN, 0, 1, 1, r->arena);
    struct commit c = {.plan = plan, .plan_count = 3};
    struct hub_event ev = {.type = HUB_COMMIT, .commit = {.c = &c, .groups = none, .tasks = none}};
    rig_step(r, &ev);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    const struct msg *m = rig_poll(r, &a, 3, NULL, 0);
    assert_int_equal(m->grant.sample_count, 3);
    assert_int_equal(m->grant.sample[0].group, 2); /* train before eval, then by id */
    assert_int_equal(m->grant.sample[1].group, 3);
    assert_int_equal(m->grant.sample[2].group, 1);
    assert_int_equal(m->grant.sample[0].job, 2 * JOBS_PER_GROUP);
    assert_int_equal(m->grant.sample[0].domain, RNG_TRAIN);
    assert_int_equal(m->grant.sample[2].domain, RNG_EVAL);
    assert_int_equal(m->grant.sample[2].stage, 0);
    assert_true(m->grant.sample[2].temperature == 0);
    assert_int_equal(m->grant.sample[0].prompt_len, 3);
    assert_int_equal(m->grant.sample[0].stop_count, 1);
}

static void test_repeat_gets_the_same_grant(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    rig_plan(r, 1, 0, 5);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    const struct msg *m = rig_poll(r, &a, 2, NULL, 0);
    uint64_t first = m->grant.sample[0].lease, second = m->grant.sample[1].lease;
    r->next_request--; /* the same bytes again */
    a.sequence--;
    m = rig_poll(r, &a, 2, NULL, 0);
    assert_int_equal(m->grant.sample_count, 2);
    assert_int_equal(m->grant.sample[0].lease, first);
    assert_int_equal(m->grant.sample[1].lease, second);
    assert_int_equal(hub_counts(r->hub).leases, 2);
    /* A later poll that does not list them: the worker has not got them. */
    m = rig_poll(r, &a, 1, &second, 1);
    assert_int_equal(m->grant.sample_count, 1);
    assert_int_equal(m->grant.sample[0].group, 1); /* ready again, and first in order */
    for (size_t i = 0; i < r->last.row_count; i++) {
        const struct row *row = &r->last.rows[i];
        if (row->kind == ROW_JOB_STATE && row->job_state.state == JOB_LEASED)
            assert_int_equal(row->job_state.attempts, 2);
    }
    assert_int_equal(hub_counts(r->hub).leases, 2);
    /* An older poll that comes late is not answered and ends nothing. */
    a.sequence -= 2;
    assert_null(rig_poll(r, &a, 1, NULL, 0));
    assert_int_equal(hub_counts(r->hub).leases, 2);
}

static void test_limits_of_a_grant(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    uint64_t held[LIMIT_LEASES_PER_WORKER];
    uint32_t count = 0;
    rig_plan(r, 1, 0, 90);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    for (;;) {
        const struct msg *m = rig_poll(r, &a, 1000, held, count);
        if (!m)
            break;
        assert_true(m->grant.sample_count <= LIMIT_GRANT);
        CLEANUP_BUF struct buf packed = {0};
        msg_pack(&packed, m);
        assert_true(packed.len <= LIMIT_CONTROL_REPLY_BYTES);
        for (size_t i = 0; i < m->grant.sample_count; i++)
            held[count++] = m->grant.sample[i].lease;
    }
    assert_int_equal(count, LIMIT_LEASES_PER_WORKER);
}

/* The longest prompts: fewer of them fit into 32 KiB, and the estimate is never below the bytes. */
static void test_grant_of_long_prompts(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    struct plan_item plan[8];
    uint64_t none[8] = {0};
    uint32_t *prompt = arena_alloc(r->arena, LIMIT_PROMPT_TOKENS * sizeof(*prompt));
    rig_plan(r, 1, 0, 0);
    for (uint32_t i = 0; i < 8; i++) {
        plan[i] = fake_plan_item(PURPOSE_TRAIN, 0, i, 1, r->arena);
        plan[i].ordinal = UINT64_MAX;
        plan[i].prompt = prompt;
        plan[i].prompt_len = i % 2 ? LIMIT_PROMPT_TOKENS : 3000;
    }
    struct commit c = {.plan = plan, .plan_count = 8};
    struct hub_event ev = {.type = HUB_COMMIT, .commit = {.c = &c, .groups = none, .tasks = none}};
    assert_int_equal(rig_step(r, &ev), 0);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    uint64_t held[8];
    size_t count = 0;
    while (count < 8) {
        const struct msg *m = rig_poll(r, &a, 8, held, count);
        assert_non_null(m);
        CLEANUP_BUF struct buf packed = {0};
        msg_pack(&packed, m);
        assert_true(packed.len <= LIMIT_CONTROL_REPLY_BYTES);
        assert_true(m->grant.sample_count >= 1);
        for (size_t i = 0; i < m->grant.sample_count; i++)
            held[count++] = m->grant.sample[i].lease;
    }
}

static void test_parked_polls_share_new_work(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b;
    rig_hello(r, &a, ROLE_ACTOR, "a");
    rig_hello(r, &b, ROLE_ACTOR, "b");
    assert_null(rig_poll(r, &a, 16, NULL, 0));
    assert_null(rig_poll(r, &b, 16, NULL, 0));
    rig_plan(r, 1, 0, 6);
    size_t grants = 0;
    for (size_t i = 0; i < r->last.out_count; i++) {
        if (r->last.outs[i].kind != OUT_REPLY)
            continue;
        assert_int_equal(r->last.outs[i].reply.msg->grant.sample_count, 3);
        grants++;
    }
    assert_int_equal(grants, 2);
}

static void test_poll_times_out(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    rig_hello(r, &a, ROLE_ACTOR, "a");
    assert_null(rig_poll(r, &a, 1, NULL, 0));
    rig_tick(r, TIMING_POLL_MS - 1);
    assert_null(rig_reply(r, MSG_GRANT));
    rig_tick(r, 1);
    const struct msg *m = rig_reply(r, MSG_GRANT);
    assert_non_null(m);
    assert_int_equal(m->grant.sample_count + m->grant.grade_count + m->grant.revoked_count, 0);
}

/* ---- deadlines ---- */

static void test_lease_expires_and_is_fenced(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b;
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    rig_hello(r, &b, ROLE_ACTOR, "b");
    struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
    struct msg late = rig_group_result(r, &l);
    assert_null(rig_poll(r, &b, 1, NULL, 0)); /* parked */
    rig_tick(r, 6000);                        /* b's poll has timed out */
    assert_null(rig_poll(r, &b, 1, NULL, 0));
    rig_tick(r, 3500);
    assert_int_equal(hub_counts(r->hub).leases, 1);
    rig_tick(r, 500); /* 10 s */
    const struct msg *m = rig_reply(r, MSG_GRANT);
    assert_non_null(m);
    struct sample_lease second = m->grant.sample[0];
    assert_int_equal(second.group, l.group);
    assert_true(second.lease > l.lease);
    assert_int_equal(rig_submit(r, &a, &late, "late"), SUBMIT_STALE_LEASE);
    struct msg stolen = rig_group_result(r, &second);
    assert_int_equal(rig_submit(r, &a, &stolen, "stolen"), SUBMIT_STALE_LEASE); /* b's lease */
    assert_int_equal(rig_submit(r, &b, &stolen, "right"), SUBMIT_OK);
}

/* A worker that died while its poll was parked does not keep the job for the whole of a long lease;
 * one that has listed the lease once does. */
static void test_an_unconfirmed_lease_is_short(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b;
    r->options.lease_ms = 600000;
    rig_reload(r);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    rig_hello(r, &b, ROLE_ACTOR, "b");
    assert_null(rig_poll(r, &a, 1, NULL, 0));
    assert_null(rig_poll(r, &b, 1, NULL, 0));
    rig_plan(r, 1, 0, 2);
    assert_int_equal(hub_counts(r->hub).leases, 2);
    uint64_t held = 2; /* b's: polls are answered in the order of their coming */
    struct msg beat = {.type = MSG_HEARTBEAT};
    beat.heartbeat = (struct msg_heartbeat){.leases = &held, .lease_count = 1};
    assert_int_equal(rig_send(r, &b, &beat)->heartbeat_reply.revoked_count, 0);
    rig_tick(r, HUB_LOST_MS);
    assert_int_equal(hub_counts(r->hub).leases, 1);
    rig_tick(r, 500000);
    assert_int_equal(hub_counts(r->hub).leases, 1);
}

static void test_heartbeats_extend_and_revoke(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    uint64_t leases[2] = {rig_poll(r, &a, 1, NULL, 0)->grant.sample[0].lease, 777};
    struct msg beat = {.type = MSG_HEARTBEAT};
    beat.heartbeat = (struct msg_heartbeat){.leases = leases, .lease_count = 2};
    for (int i = 0; i < 10; i++) {
        rig_tick(r, 5000);
        const struct msg *m = rig_send(r, &a, &beat);
        assert_int_equal(m->heartbeat_reply.revoked_count, 1);
        assert_int_equal(m->heartbeat_reply.revoked[0], 777);
    }
    assert_int_equal(hub_counts(r->hub).leases, 1);
}

static void test_a_stall_gives_the_deadlines_back(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    rig_poll(r, &a, 1, NULL, 0);
    r->now_ms += 60000; /* the learner was stopped for a minute */
    rig_step(r, &(struct hub_event){.type = HUB_TICK});
    assert_int_equal(hub_counts(r->hub).leases, 1);
    assert_int_equal(hub_counts(r->hub).sessions, 1);
    rig_tick(r, 9500);
    assert_int_equal(hub_counts(r->hub).leases, 1);
    rig_tick(r, 500);
    assert_int_equal(hub_counts(r->hub).leases, 0);
}

static void test_silent_worker_is_lost_and_comes_back(void **state)
{
    struct rig *r = *state;
    struct rig_worker a;
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    uint64_t lease = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0].lease;
    struct msg beat = {.type = MSG_HEARTBEAT};
    beat.heartbeat = (struct msg_heartbeat){.leases = &lease, .lease_count = 1};
    rig_tick(r, 9000);
    rig_send(r, &a, &beat); /* the lease's deadline is later than the loss now */
    rig_tick(r, HUB_LOST_MS);
    assert_int_equal(hub_counts(r->hub).sessions, 0); /* its lease had expired at 10 s */
    assert_int_equal(nack_of(rig_send(r, &a, &beat)), NACK_UNKNOWN_SESSION);
    assert_int_equal(rig_hello(r, &a, ROLE_ACTOR, "a")->type, MSG_WELCOME);
}

/* ---- plan, wait, stop ---- */

static bool commit_fails(struct rig *r, const struct plan_item *p, const struct commit_version *v)
{
    uint64_t none[1] = {0};
    struct commit c = {.version = v, .plan = p, .plan_count = p ? 1 : 0};
    struct hub_event ev = {.type = HUB_COMMIT, .commit = {.c = &c, .groups = none, .tasks = none}};
    assert_int_equal(rig_step(r, &ev), 0);
    bool failed = r->last.out_count && r->last.outs[0].kind == OUT_FAILED;
    assert_true(!failed || r->last.row_count == 0);
    return failed;
}

static void test_plans_that_cannot_be(void **state)
{
    struct rig *r = *state;
    rig_plan(r, 1, 0, 1);
    struct plan_item good = fake_plan_item(PURPOSE_TRAIN, 3, 0, 1, r->arena), p;
    struct commit_version again = {.version = 1, .path = "w"};
    assert_true(commit_fails(r, NULL, &again));
    p = good;
    p.version = 2;
    assert_true(commit_fails(r, &p, NULL));
    p = good;
    p.n = 0;
    assert_true(commit_fails(r, &p, NULL));
    p.n = LIMIT_GROUP + 1;
    assert_true(commit_fails(r, &p, NULL));
    p.n = LIMIT_GROUP;
    p.max_tokens = 1 << 12; /* 32 MiB of ids and log-probs */
    assert_true(commit_fails(r, &p, NULL));
    p = good;
    p.prompt_len = LIMIT_PROMPT_TOKENS + 1;
    assert_true(commit_fails(r, &p, NULL));
    p = good;
    p.max_tokens = 0;
    assert_true(commit_fails(r, &p, NULL));
    assert_false(commit_fails(r, &good, NULL));
}

static bool wait_answers(struct rig *r, const uint64_t *groups, size_t n, enum out_kind kind)
{
    struct hub_event ev = {.type = HUB_WAIT, .wait = {.groups = groups, .count = n}};
    rig_step(r, &ev);
    return r->last.out_count == 1 && r->last.outs[0].kind == kind;
}

static void test_waiting_for_groups(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    const uint64_t one[] = {1, 1}, unknown[] = {1, 2}, zero[] = {0};
    rig_start_grading(r, &g);
    assert_true(wait_answers(r, NULL, 0, OUT_SCORED));
    assert_false(wait_answers(r, one, 2, OUT_SCORED));
    assert_true(wait_answers(r, zero, 1, OUT_FAILED));
    assert_true(wait_answers(r, unknown, 2, OUT_FAILED)); /* ... and group 1 is not awaited by it */
    assert_int_equal(r->last.out_count, 1);
    assert_false(wait_answers(r, one, 2, OUT_SCORED));
    struct msg m = rig_scores(r, &g.lease, NULL, 0);
    rig_submit(r, &g.judge, &m, "s");
    bool scored = false;
    for (size_t i = 0; i < r->last.out_count; i++)
        scored |= r->last.outs[i].kind == OUT_SCORED;
    assert_true(scored);
    assert_true(wait_answers(r, one, 2, OUT_SCORED));
}

static void test_drain(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b;
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
    rig_hello(r, &b, ROLE_ACTOR, "b");
    assert_null(rig_poll(r, &b, 1, NULL, 0));
    struct hub_event ev = {
        .type = HUB_STOP, .stop = {.state = "finished", .why = "", .drain = true}};
    rig_step(r, &ev);
    const struct msg *m = rig_reply(r, MSG_GRANT);
    assert_non_null(m);
    assert_true(m->grant.drain);
    struct rig_worker late;
    assert_int_equal(nack_of(rig_hello(r, &late, ROLE_ACTOR, "c")), NACK_ENDED);
    struct msg result = rig_group_result(r, &l), bye = {.type = MSG_BYE};
    assert_int_equal(rig_submit(r, &a, &result, "s"), SUBMIT_OK); /* what is done is kept */
    assert_int_equal(rig_send(r, &b, &bye)->type, MSG_BYE);
    assert_int_equal(rig_send(r, &a, &bye)->type, MSG_BYE);
    assert_int_equal(r->last.outs[r->last.out_count - 1].kind, OUT_DRAINED);
}

static void test_stop_sends_nobody_away(void **state)
{
    struct rig *r = *state;
    struct rig_worker a, b;
    rig_hello(r, &a, ROLE_ACTOR, "a");
    assert_null(rig_poll(r, &a, 1, NULL, 0));
    struct hub_event ev = {.type = HUB_STOP, .stop = {.state = "stopped", .why = ""}};
    rig_step(r, &ev);
    assert_int_equal(nack_of(rig_reply(r, MSG_NACK)), NACK_RETRY);
    assert_int_equal(nack_of(rig_hello(r, &b, ROLE_ACTOR, "b")), NACK_RETRY);
    assert_int_equal(rig_row(r, ROW_RUN_STATE) == NULL, true);
}

/* ---- blobs ---- */

static bool may_read(
    struct rig *r, const struct rig_worker *w, uint32_t kind, uint64_t id, uint64_t lease)
{
    struct frame f = {.role = (uint8_t)w->role, .session = w->session};
    struct msg_get_blob g = {.kind = kind, .id = id, .lease = lease};
    const char *why = NULL;
    return hub_blob_refusal(r->hub, &f, &g, &why) == 0;
}

static void test_who_may_read_which_blob(void **state)
{
    struct rig *r = *state;
    struct rig_grading g;
    rig_start_grading(r, &g);
    rig_plan(r, 2, 1, 1);
    struct sample_lease l = rig_poll(r, &g.actor, 1, NULL, 0)->grant.sample[0];
    struct rig_worker other, nobody = {.role = ROLE_ACTOR, .session = 12345};
    rig_hello(r, &other, ROLE_ACTOR, "other");
    assert_true(may_read(r, &g.actor, BLOB_MODEL_CONFIG, 0, 0));
    assert_false(may_read(r, &g.judge, BLOB_MODEL_CONFIG, 0, 0));
    assert_false(may_read(r, &nobody, BLOB_MODEL_CONFIG, 0, 0));
    assert_true(may_read(r, &g.actor, BLOB_WEIGHTS, 2, l.lease));
    assert_true(may_read(r, &g.actor, BLOB_WEIGHTS_MANIFEST, 2, l.lease));
    assert_false(may_read(r, &g.actor, BLOB_WEIGHTS, 1, l.lease));
    assert_false(may_read(r, &other, BLOB_WEIGHTS, 2, l.lease));
    assert_false(may_read(r, &g.judge, BLOB_WEIGHTS, 2, g.lease.lease));
    assert_true(may_read(r, &g.judge, BLOB_GRADE_INPUT, g.lease.job, g.lease.lease));
    assert_false(may_read(r, &g.judge, BLOB_GRADE_INPUT, g.lease.job + 1, g.lease.lease));
    assert_false(may_read(r, &g.actor, BLOB_GRADE_INPUT, l.job, l.lease)); /* G10 */
    assert_false(may_read(r, &g.judge, 99, 0, g.lease.lease));
}

int main(void)
{
    log_setup(LOG_ERROR, "");
#define RULE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        RULE(test_hello),
        RULE(test_foreign_numerics_is_refused_with_both_ids),
        RULE(test_hello_refusals),
        RULE(test_sessions_and_roles),
        RULE(test_same_name_supersedes),
        RULE(test_grant_order_and_contents),
        RULE(test_repeat_gets_the_same_grant),
        RULE(test_limits_of_a_grant),
        RULE(test_grant_of_long_prompts),
        RULE(test_parked_polls_share_new_work),
        RULE(test_poll_times_out),
        RULE(test_lease_expires_and_is_fenced),
        RULE(test_an_unconfirmed_lease_is_short),
        RULE(test_heartbeats_extend_and_revoke),
        RULE(test_a_stall_gives_the_deadlines_back),
        RULE(test_silent_worker_is_lost_and_comes_back),
        RULE(test_plans_that_cannot_be),
        RULE(test_waiting_for_groups),
        RULE(test_drain),
        RULE(test_stop_sends_nobody_away),
        RULE(test_who_may_read_which_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
