/* worker_record.c: see worker_record.h. */
#include "tests/net/worker_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

void record_done(void *arg, uint64_t lease, const struct msg_submit_reply *s)
{
    struct record *r = arg;
    r->done[r->done_count] = lease;
    r->done_status[r->done_count++] = s->status;
    (void)snprintf(r->done_message, sizeof(r->done_message), "%s", s->message);
}

void submit(struct record *r, uint64_t lease)
{
    static const uint32_t tokens[] = {4};
    static const float logp[] = {-1.0f};
    struct completion c = {.tokens = tokens, .logp = logp, .len = 1};
    struct msg m = {.type = MSG_SUBMIT_GROUP};
    m.submit_group =
        (struct msg_submit_group){.lease = lease, .completions = &c, .completion_count = 1};
    struct buf b = {0};
    msg_pack(&b, &m);
    worker_submit(r->w, lease, MSG_SUBMIT_GROUP, &b, record_done);
    assert_null(b.data); /* stolen */
}

void record_blob(void *arg, const uint8_t *data, size_t n, const struct err *e)
{
    struct record *r = arg;
    r->blobs++;
    r->blob_good = data != NULL && n == r->blob_expected_bytes &&
                   (n == 0 || memcmp(data, r->blob_expected, n) == 0);
    r->blob_code = e != NULL ? e->code : 0;
    (void)snprintf(r->blob_error, sizeof(r->blob_error), "%s", e != NULL ? e->msg : "");
    assert_true((data == NULL) == (e != NULL));
}

const struct worker_events record_events = {
    .welcomed = on_welcomed,
    .sample = on_sample,
    .grade = on_grade,
    .revoked = on_revoked,
    .stopped = on_stopped,
};

void record_init(struct record *r)
{
    memset(r, 0, sizeof(*r));
    harness_init(&r->h);
    r->l.h = &r->h;
    r->l.base = r->h.base;
    r->l.heartbeat_ms = 5;
    r->l.lease_ms = 30000;
    r->l.chunk_max = LIMIT_CHUNK_BYTES;
}

void worker_begin(struct record *r, uint32_t slots)
{
    static const char *const scorers[] = {"math", "format"};
    struct worker_options o = {.role = ROLE_ACTOR,
        .name = "actor-1",
        .address = r->h.base,
        .slots = slots,
        .scorers = scorers,
        .scorer_count = 2};
    struct err e = {0};
    if (worker_open(&r->h.loop, &o, &record_events, r, &r->w, &e) != 0)
        fail_msg("%s", e.msg);
}

void begin(struct record *r, uint32_t slots)
{
    record_init(r);
    learner_open(&r->l);
    worker_begin(r, slots);
}

void end(struct record *r)
{
    worker_close(r->w);
    learner_close(&r->l);
    harness_done(&r->h);
}

void give(struct record *r, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r->l.to_grant[r->l.grant_first + r->l.grant_count++] = first + i;
    learner_wake(&r->l);
}
