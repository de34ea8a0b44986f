/* worker_test.c: the lease client against a learner that follows a script: restarts, refusals, lost
 * leases, blobs that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/net/bus.h"
#include "common/net/worker.h"
#include "tests/net/harness.h"

enum { MANY = 256 };

/* ---- the scripted learner ---- */

struct learner {
    struct harness *h;
    struct bus_server *ctl, *bulk;
    const char *base;
    uint32_t epoch;
    uint64_t session;
    uint32_t heartbeat_ms;

    enum nack_code hello_nack; /* 0: welcome */
    size_t hello_nacks;        /* so many Hellos get it */
    enum nack_code poll_nack;  /* answers the next poll, once */
    uint64_t to_grant[MANY];   /* leases to hand out, in order */
    size_t grant_first, grant_count;
    bool grade;            /* as grade leases */
    uint64_t revoke[MANY]; /* told in the next grant or heartbeat reply */
    size_t revoke_count;
    bool drain;                      /* told in the next grant or heartbeat reply */
    enum submit_status submit[MANY]; /* answers in order, then OK */
    size_t submit_count;
    bool mute_submits; /* submissions are not answered */

    const uint8_t *blob;
    uint64_t blob_bytes, blob_claimed; /* claimed: the total that chunks tell; 0: the truth */
    uint32_t chunk_max;
    size_t mute_chunks_after; /* so many chunks are answered, then no more; 0: all */

    size_t hellos, polls, heartbeats, submits, releases, byes, chunks, stale;
    struct msg_hello hello;
    char hello_name[65];
    uint64_t held[LIMIT_LEASES_PER_WORKER]; /* as the last poll or heartbeat told */
    size_t held_count;
    uint32_t max_jobs, wait_ms;
    uint64_t submitted[MANY], released[MANY];
    uint64_t tokens;
    struct bus_route parked_route; /* of a poll that waits for a job */
    uint64_t parked_id;
    bool parked;
};

static void reply(struct learner *l, struct bus_server *s, const struct bus_route *to, uint64_t id,
    const struct msg *m)
{
    CLEANUP_BUF struct buf b = {0};
    msg_pack(&b, m);
    struct frame f = {.type = (uint16_t)m->type,
        .role = ROLE_LEARNER,
        .epoch = l->epoch,
        .session = l->session,
        .request_id = id,
        .payload = b.data,
        .payload_bytes = (uint32_t)b.len};
    bus_server_reply(s, to, &f);
}

static void nack(struct learner *l, struct bus_server *s, const struct bus_route *to, uint64_t id,
    enum nack_code code, const char *message)
{
    struct msg m = {.type = MSG_NACK, .nack = {.code = code, .message = message}};
    reply(l, s, to, id, &m);
}

static void answer_hello(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    l->hellos++;
    l->hello = in->hello;
    (void)snprintf(l->hello_name, sizeof(l->hello_name), "%s", in->hello.name);
    if (l->hello_nack != 0 && l->hello_nacks > 0) {
        l->hello_nacks--;
        nack(l, l->ctl, from, f->request_id, l->hello_nack, "the learner says no");
        return;
    }
    l->session++;
    struct msg m = {.type = MSG_WELCOME};
    m.welcome = (struct msg_welcome){.session = l->session,
        .epoch = l->epoch,
        .heartbeat_ms = l->heartbeat_ms,
        .lease_ms = 30000,
        .run = "test"};
    reply(l, l->ctl, from, f->request_id, &m);
}

static const uint32_t prompt[] = {1, 2, 3};

static struct sample_lease sample_of(uint64_t id)
{
    return (struct sample_lease){.lease = id,
        .job = id,
        .group = id,
        .lease_ms = 30000,
        .version = 1,
        .prompt = prompt,
        .prompt_len = 3,
        .n = 2,
        .max_tokens = 8,
        .vocab = 16,
        .domain = 1};
}

static struct grade_lease grade_of(uint64_t id)
{
    return (struct grade_lease){.lease = id,
        .job = id,
        .group = id,
        .lease_ms = 30000,
        .input = {.kind = BLOB_GRADE_INPUT, .id = id, .bytes = 10}};
}

static void take_leases(struct learner *l, const uint64_t *leases, size_t n, uint64_t tokens)
{
    if (n > 0)
        memcpy(l->held, leases, n * sizeof(*leases));
    l->held_count = n;
    l->tokens = tokens;
}

static void grant(struct learner *l, const struct bus_route *to, uint64_t id)
{
    struct sample_lease samples[LIMIT_GRANT];
    struct grade_lease grades[LIMIT_GRANT];
    struct msg m = {.type = MSG_GRANT};
    size_t n = 0;
    for (; n < l->max_jobs && l->grant_count > 0; n++, l->grant_count--) {
        samples[n] = sample_of(l->to_grant[l->grant_first]);
        grades[n] = grade_of(l->to_grant[l->grant_first++]);
    }
    m.grant = (struct msg_grant){.sample = samples,
        .sample_count = l->grade ? 0 : n,
        .grade = grades,
        .grade_count = l->grade ? n : 0,
        .revoked = l->revoke,
        .revoked_count = l->revoke_count,
        .drain = l->drain};
    l->revoke_count = 0;
    l->parked = false;
    reply(l, l->ctl, to, id, &m);
}

static bool something_to_say(const struct learner *l)
{
    return (l->grant_count > 0 && l->max_jobs > 0) || l->revoke_count > 0 || l->drain ||
           l->wait_ms == 0;
}

static void answer_poll(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    l->polls++;
    take_leases(l, in->poll.leases, in->poll.lease_count, in->poll.tokens);
    l->max_jobs = in->poll.max_jobs;
    l->wait_ms = in->poll.wait_ms;
    if (l->poll_nack != 0) {
        nack(l, l->ctl, from, f->request_id, l->poll_nack, "not now");
        l->poll_nack = 0;
        return;
    }
    l->parked_route = *from;
    l->parked_id = f->request_id;
    l->parked = true;
    if (something_to_say(l))
        grant(l, from, f->request_id);
}

/* What a test calls after it gave the learner something to say. */
static void learner_wake(struct learner *l)
{
    if (l->parked && something_to_say(l))
        grant(l, &l->parked_route, l->parked_id);
}

static void answer_heartbeat(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    l->heartbeats++;
    take_leases(l, in->heartbeat.leases, in->heartbeat.lease_count, in->heartbeat.tokens);
    struct msg m = {.type = MSG_HEARTBEAT_REPLY};
    m.heartbeat_reply = (struct msg_heartbeat_reply){
        .revoked = l->revoke, .revoked_count = l->revoke_count, .drain = l->drain};
    l->revoke_count = 0;
    reply(l, l->ctl, from, f->request_id, &m);
}

static void answer_submit(
    struct learner *l, const struct bus_route *from, const struct frame *f, uint64_t lease)
{
    assert_true(l->submits < MANY);
    l->submitted[l->submits] = lease;
    size_t i = l->submits++;
    if (l->mute_submits)
        return;
    struct msg m = {.type = MSG_SUBMIT_REPLY};
    m.submit_reply.status = i < l->submit_count ? l->submit[i] : SUBMIT_OK;
    m.submit_reply.message = "as the script says";
    m.submit_reply.retry_ms = 1;
    reply(l, l->ctl, from, f->request_id, &m);
}

static void answer_blob(
    struct learner *l, const struct bus_route *from, const struct frame *f, const struct msg *in)
{
    const struct msg_get_blob *g = &in->get_blob;
    l->chunks++;
    if (l->mute_chunks_after > 0 && l->chunks > l->mute_chunks_after)
        return;
    if (l->blob == NULL) {
        nack(l, l->bulk, from, f->request_id, NACK_NOT_FOUND, "no such blob");
        return;
    }
    uint64_t left = l->blob_bytes - g->offset;
    uint64_t n = left < g->bytes ? left : g->bytes;
    struct msg m = {.type = MSG_BLOB_CHUNK};
    m.blob_chunk.total = l->blob_claimed != 0 ? l->blob_claimed : l->blob_bytes;
    m.blob_chunk.data = l->blob + g->offset;
    m.blob_chunk.data_len = (size_t)(n < l->chunk_max ? n : l->chunk_max);
    reply(l, l->bulk, from, f->request_id, &m);
}

static void on_request(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct learner *l = arg;
    struct bus_server *s = f->type == MSG_GET_BLOB ? l->bulk : l->ctl;
    struct arena *a = arena_new(0);
    struct err e = {0};
    struct msg m;
    if (msg_unpack(f, a, &m, &e) != 0)
        fail_msg("%s", e.msg);
    if (m.type == MSG_HELLO) {
        answer_hello(l, from, f, &m);
    } else if (f->session != l->session || f->epoch != l->epoch) {
        l->stale++;
        nack(l, s, from, f->request_id, NACK_UNKNOWN_SESSION, "who are you");
    } else if (m.type == MSG_POLL) {
        answer_poll(l, from, f, &m);
    } else if (m.type == MSG_HEARTBEAT) {
        answer_heartbeat(l, from, f, &m);
    } else if (m.type == MSG_SUBMIT_GROUP) {
        answer_submit(l, from, f, m.submit_group.lease);
    } else if (m.type == MSG_SUBMIT_SCORES) {
        answer_submit(l, from, f, m.submit_scores.lease);
    } else if (m.type == MSG_GET_BLOB) {
        answer_blob(l, from, f, &m);
    } else if (m.type == MSG_RELEASE) {
        assert_true(l->releases < MANY);
        l->released[l->releases++] = m.release.leases[0];
        reply(l, s, from, f->request_id, &(struct msg){.type = MSG_RELEASED});
    } else {
        l->byes++;
        reply(l, s, from, f->request_id, &(struct msg){.type = MSG_BYE});
    }
    arena_free(a);
}

static void learner_open(struct learner *l)
{
    struct err e = {0};
    CLEANUP_FREE char *ctl = mem_printf("%s/ctl", l->base);
    CLEANUP_FREE char *bulk = mem_printf("%s/bulk", l->base);
    uv_loop_t *loop = &l->h->loop;
    if (bus_server_open(loop, ctl, LIMIT_SUBMIT_BYTES, on_request, l, &l->ctl, &e) != 0 ||
        bus_server_open(loop, bulk, LIMIT_CONTROL_BYTES, on_request, l, &l->bulk, &e) != 0)
        fail_msg("%s", e.msg);
    l->epoch++;
    l->session = 1000 * l->epoch;
    l->parked = false;
}

static void learner_close(struct learner *l)
{
    bus_server_close(l->ctl);
    bus_server_close(l->bulk);
    l->ctl = l->bulk = NULL;
}

/* ---- the worker and what it said ---- */

struct record {
    struct harness h;
    struct learner l;
    struct worker *w;
    size_t welcomes;
    uint64_t jobs[MANY], revoked[MANY], done[MANY];
    size_t job_count, revoked_count, done_count;
    enum submit_status done_status[MANY];
    char done_message[256];
    bool stopped;
    int stop_code;
    char stop_why[256];
    size_t blobs;
    bool blob_good;
    char blob_error[1000];
    int blob_code;
    const uint8_t *blob_expected;
    size_t blob_expected_bytes;
    bool submit_at_once; /* inside the callback of the lease */
};

static void submit(struct record *r, uint64_t lease);

static void on_welcomed(void *arg, const struct msg_welcome *w)
{
    struct record *r = arg;
    assert_string_equal(w->run, "test");
    r->welcomes++;
}

static void on_job(struct record *r, uint64_t lease)
{
    assert_true(r->job_count < MANY);
    r->jobs[r->job_count++] = lease;
    if (r->submit_at_once)
        submit(r, lease);
}

static void on_sample(void *arg, const struct sample_lease *l)
{
    assert_int_equal(l->prompt_len, 3);
    on_job(arg, l->lease);
}

static void on_grade(void *arg, const struct grade_lease *l)
{
    on_job(arg, l->lease);
}

static void on_revoked(void *arg, uint64_t lease)
{
    struct record *r = arg;
    r->revoked[r->revoked_count++] = lease;
}

static void on_stopped(void *arg, int code, const char *why)
{
    struct record *r = arg;
    assert_false(r->stopped);
    r->stopped = true;
    r->stop_code = code;
    (void)snprintf(r->stop_why, sizeof(r->stop_why), "%s", why);
}

static void on_done(void *arg, uint64_t lease, const struct msg_submit_reply *s)
{
    struct record *r = arg;
    r->done[r->done_count] = lease;
    r->done_status[r->done_count++] = s->status;
    (void)snprintf(r->done_message, sizeof(r->done_message), "%s", s->message);
}

static void submit(struct record *r, uint64_t lease)
{
    static const uint32_t tokens[] = {4};
    static const float logp[] = {-1.0f};
    struct completion c = {.tokens = tokens, .logp = logp, .len = 1};
    struct msg m = {.type = MSG_SUBMIT_GROUP};
    m.submit_group =
        (struct msg_submit_group){.lease = lease, .completions = &c, .completion_count = 1};
    struct buf b = {0};
    msg_pack(&b, &m);
    worker_submit(r->w, lease, MSG_SUBMIT_GROUP, &b, on_done);
    assert_null(b.data); /* stolen */
}

static const struct worker_events events = {
    .welcomed = on_welcomed,
    .sample = on_sample,
    .grade = on_grade,
    .revoked = on_revoked,
    .stopped = on_stopped,
};

static void record_init(struct record *r)
{
    memset(r, 0, sizeof(*r));
    harness_init(&r->h);
    r->l.h = &r->h;
    r->l.base = r->h.base;
    r->l.heartbeat_ms = 5;
    r->l.chunk_max = LIMIT_CHUNK_BYTES;
}

static void worker_begin(struct record *r, uint32_t slots)
{
    static const char *const scorers[] = {"math", "format"};
    struct worker_options o = {.role = ROLE_ACTOR,
        .name = "actor-1",
        .address = r->h.base,
        .slots = slots,
        .scorers = scorers,
        .scorer_count = 2};
    struct err e = {0};
    if (worker_open(&r->h.loop, &o, &events, r, &r->w, &e) != 0)
        fail_msg("%s", e.msg);
}

static void begin(struct record *r, uint32_t slots)
{
    record_init(r);
    learner_open(&r->l);
    worker_begin(r, slots);
}

static void end(struct record *r)
{
    worker_close(r->w);
    learner_close(&r->l);
    harness_done(&r->h);
}

static void give(struct record *r, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r->l.to_grant[r->l.grant_first + r->l.grant_count++] = first + i;
    learner_wake(&r->l);
}

#define UNTIL(r, condition) HARNESS_UNTIL(&(r)->h, condition)

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
    assert_int_equal(worker_open(&r.h.loop, &o, &events, &r, &r.w, &e), 0);
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
    worker_submit(r.w, 8, MSG_SUBMIT_GROUP, &b, on_done);
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
    assert_int_equal(worker_open(&r.h.loop, &o, &events, &r, &r.w, &e), 0);
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
        assert_int_equal(worker_open(&r.h.loop, &bad[i], &events, &r, &r.w, &e), ERR_CONFIG);
        assert_true(strlen(e.msg) > 10);
    }
    harness_done(&r.h);
}

/* ---- blobs ---- */

static uint8_t blob[5 * LIMIT_CHUNK_BYTES / 2];

static void on_blob(void *arg, const uint8_t *data, size_t n, const struct err *e)
{
    struct record *r = arg;
    r->blobs++;
    r->blob_good = data != NULL && n == r->blob_expected_bytes &&
                   (n == 0 || memcmp(data, r->blob_expected, n) == 0);
    r->blob_code = e != NULL ? e->code : 0;
    (void)snprintf(r->blob_error, sizeof(r->blob_error), "%s", e != NULL ? e->msg : "");
    assert_true((data == NULL) == (e != NULL));
}

static void begin_blobs(struct record *r, size_t n)
{
    begin(r, 1);
    r->l.blob = blob;
    r->l.blob_bytes = n;
    r->blob_expected = blob;
    r->blob_expected_bytes = n;
}

static struct blob_ref ref_to(size_t n)
{
    return (struct blob_ref){.kind = BLOB_WEIGHTS, .id = 4, .bytes = n, .hash = hash_of(blob, n)};
}

static void test_fetch(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        sizeof(blob), 0, 1, LIMIT_CHUNK_BYTES, LIMIT_CHUNK_BYTES + 1, LIMIT_CHUNK_BYTES - 1};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        static struct record r;
        begin_blobs(&r, sizes[i]);
        struct blob_ref ref = ref_to(sizes[i]);
        worker_fetch(r.w, &ref, 7, on_blob, &r);
        UNTIL(&r, r.blobs == 1);
        assert_true(r.blob_good);
        /* Without a size and a hash, as a manifest is fetched. */
        ref.bytes = 0;
        memset(&ref.hash, 0, sizeof(ref.hash));
        worker_fetch(r.w, &ref, 7, on_blob, &r);
        UNTIL(&r, r.blobs == 2);
        assert_true(r.blob_good);
        end(&r);
    }
}

static void test_short_chunks_and_a_queue_of_fetches(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 10000);
    r.l.chunk_max = 999;
    struct blob_ref ref = ref_to(10000);
    for (int i = 0; i < 3; i++)
        worker_fetch(r.w, &ref, 7, on_blob, &r);
    UNTIL(&r, r.blobs == 3);
    assert_true(r.blob_good);
    assert_int_equal(r.l.chunks, 33);
    end(&r);
}

static void check_fetch_fails(struct record *r, const struct blob_ref *ref, const char *says)
{
    size_t before = r->blobs;
    worker_fetch(r->w, ref, 7, on_blob, r);
    UNTIL(r, r->blobs == before + 1);
    if (strstr(r->blob_error, says) == NULL)
        fail_msg("'%s' does not say '%s'", r->blob_error, says);
}

static void test_fetch_fails(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 3000);
    struct blob_ref ref = ref_to(3000);
    ref.hash.b[0] ^= 1;
    check_fetch_fails(&r, &ref, "its bytes have hash");
    ref = ref_to(3000);
    ref.bytes = 3001;
    check_fetch_fails(&r, &ref, "3000 bytes, expected 3001");
    ref = ref_to(3000);
    ref.kind = BLOB_WEIGHTS_MANIFEST;
    ref.bytes = 0;
    r.l.blob_claimed = LIMIT_MANIFEST_BYTES + 1;
    check_fetch_fails(&r, &ref, "the limit is 4194304");
    r.l.blob_claimed = 0;
    r.l.chunk_max = 0;
    ref = ref_to(3000);
    check_fetch_fails(&r, &ref, "a chunk of 0 bytes at 0 of 3000");
    r.l.chunk_max = 1000;
    r.l.blob = NULL;
    check_fetch_fails(&r, &ref, "no such blob");
    assert_non_null(strstr(r.blob_error, "blob kind 3 id 4"));
    r.l.blob = blob;
    worker_fetch(r.w, &ref, 7, on_blob, &r);
    UNTIL(&r, r.blobs == 6);
    assert_true(r.blob_good); /* the connection is as good as before */
    end(&r);
}

static void test_fetch_goes_on_after_a_restart(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 10000);
    r.l.chunk_max = 1000;
    r.l.mute_chunks_after = 4;
    struct blob_ref ref = ref_to(10000);
    worker_fetch(r.w, &ref, 7, on_blob, &r);
    UNTIL(&r, r.l.chunks == 5);
    learner_close(&r.l);
    harness_settle(&r.h);
    r.l.chunks = 0;
    r.l.mute_chunks_after = 0;
    learner_open(&r.l);
    UNTIL(&r, r.blobs == 1);
    assert_true(r.blob_good);
    assert_true(r.l.chunks <= 7); /* the first four thousand bytes were not fetched again */
    end(&r);
}

static void test_fetch_fails_when_the_worker_ends(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 10000);
    r.l.mute_chunks_after = 1;
    r.l.chunk_max = 1;
    struct blob_ref ref = ref_to(10000);
    worker_fetch(r.w, &ref, 7, on_blob, &r);
    worker_fetch(r.w, &ref, 7, on_blob, &r);
    UNTIL(&r, r.l.chunks == 2);
    worker_drain(r.w, 0);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.blobs, 2);
    assert_int_equal(r.blob_code, ERR_INTERRUPTED);
    end(&r);
}

/* ---- drain and end ---- */

static void test_drain_waits_for_the_leases(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    worker_drain(r.w, 60000);
    size_t beats = r.l.heartbeats;
    UNTIL(&r, r.l.heartbeats >= beats + 3); /* still at work */
    assert_false(r.stopped);
    submit(&r, 1);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_int_equal(r.done_count, 1);
    assert_int_equal(r.l.byes, 1);
    end(&r);
}

static void test_drain_ends_with_the_grace(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    r.l.mute_submits = true;
    give(&r, 1, 2);
    UNTIL(&r, r.job_count == 2);
    submit(&r, 1);
    worker_drain(r.w, 20);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_int_equal(r.revoked_count, 1); /* the one that was not finished */
    assert_true(r.revoked[0] == 2);
    assert_int_equal(r.done_count, 0);
    assert_int_equal(r.l.byes, 1);
    end(&r);
}

static void test_learner_drains(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    UNTIL(&r, r.l.parked);
    r.l.drain = true;
    learner_wake(&r.l);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_int_equal(r.l.byes, 1);
    end(&r);
}

static void test_learner_drains_a_busy_worker(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    r.l.drain = true;
    size_t beats = r.l.heartbeats;
    UNTIL(&r, r.l.heartbeats >= beats + 2);
    assert_false(r.stopped);
    submit(&r, 1);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.done_count, 1);
    end(&r);
}

static void test_drain_without_a_learner(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    worker_begin(&r, 1);
    harness_settle(&r.h);
    worker_drain(r.w, 1000);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    worker_close(r.w);
    harness_done(&r.h);
}

/* After stopped the worker leaves nothing that keeps the loop alive. */
static void test_loop_ends_after_stopped(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    UNTIL(&r, r.l.parked);
    worker_drain(r.w, 0);
    UNTIL(&r, r.stopped);
    learner_close(&r.l);
    assert_int_equal(uv_run(&r.h.loop, UV_RUN_DEFAULT), 0);
    worker_close(r.w);
    harness_done(&r.h);
}

static void test_close_in_the_middle(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 5000);
    r.l.mute_submits = true;
    r.l.mute_chunks_after = 1;
    r.l.chunk_max = 1;
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    struct blob_ref ref = ref_to(5000);
    worker_fetch(r.w, &ref, 1, on_blob, &r);
    submit(&r, 1);
    worker_release(r.w, 99, "never held");
    UNTIL(&r, r.l.submits == 1 && r.l.chunks == 2);
    end(&r);
    assert_false(r.stopped);
    assert_int_equal(r.blobs, 0);
    worker_close(NULL);
}

static void test_boot_id(void **state)
{
    (void)state;
    uint8_t a[16], b[16];
    worker_boot_id(a);
    worker_boot_id(b);
    assert_memory_equal(a, b, 16);
    if (file_exists("/proc/sys/kernel/random/boot_id")) {
        static const uint8_t zeros[16];
        assert_memory_not_equal(a, zeros, 16);
    }
}

int main(void)
{
    log_setup(LOG_ERROR, "");
    for (size_t i = 0; i < sizeof(blob); i++)
        blob[i] = (uint8_t)(i * 2654435761u >> 11);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_results_submitted_inside_the_callback),
        cmocka_unit_test(test_heartbeats_while_the_slots_are_full),
        cmocka_unit_test(test_grade_leases_go_to_reward_servers),
        cmocka_unit_test(test_lease_of_the_wrong_kind_is_given_back),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_retry_until_stored),
        cmocka_unit_test(test_final_answers_reach_the_caller),
        cmocka_unit_test(test_result_over_the_limit_is_refused_here),
        cmocka_unit_test(test_refused_hello_stops),
        cmocka_unit_test(test_refused_later_stops),
        cmocka_unit_test(test_try_later),
        cmocka_unit_test(test_unknown_session_says_hello_again),
        cmocka_unit_test(test_learner_restart),
        cmocka_unit_test(test_restart_with_full_slots),
        cmocka_unit_test(test_revoked_in_heartbeat),
        cmocka_unit_test(test_revoked_after_submit),
        cmocka_unit_test(test_address_file),
        cmocka_unit_test(test_options_refused),
        cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_short_chunks_and_a_queue_of_fetches),
        cmocka_unit_test(test_fetch_fails),
        cmocka_unit_test(test_fetch_goes_on_after_a_restart),
        cmocka_unit_test(test_fetch_fails_when_the_worker_ends),
        cmocka_unit_test(test_drain_waits_for_the_leases),
        cmocka_unit_test(test_drain_ends_with_the_grace),
        cmocka_unit_test(test_learner_drains),
        cmocka_unit_test(test_learner_drains_a_busy_worker),
        cmocka_unit_test(test_drain_without_a_learner),
        cmocka_unit_test(test_loop_ends_after_stopped),
        cmocka_unit_test(test_close_in_the_middle),
        cmocka_unit_test(test_boot_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
