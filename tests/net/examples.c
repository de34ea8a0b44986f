/* examples.c: see examples.h. */
#include "tests/net/examples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

const uint32_t example_prompt[4] = {1, 2, 300, LIMIT_VOCAB - 1};
const float example_logp[3] = {-0.0f, -1.5f, -1e30f};
static const uint32_t stop_ids[] = {7, 8};
static const uint64_t leases[] = {11, 12, UINT64_MAX};
static const char *kinds[] = {"math", "format"};

static const struct sample_lease sample = {.lease = 1,
    .job = 2,
    .group = 3,
    .lease_ms = 4,
    .version = 5,
    .weights = {{1}},
    .prompt = example_prompt,
    .prompt_len = 4,
    .n = 8,
    .max_tokens = 100,
    .vocab = 64,
    .temperature = 0.75f,
    .seed = 9,
    .ordinal = 10,
    .domain = RNG_EVAL,
    .stage = 1,
    .stop = stop_ids,
    .stop_count = 2};

static const struct grade_lease grade = {.lease = 21,
    .job = 22,
    .group = 23,
    .lease_ms = 24,
    .input = {BLOB_GRADE_INPUT, 5, 1000, {{9}}}};

const struct completion example_completions[2] = {
    {.tokens = example_prompt, .logp = example_logp, .len = 3, .stop = STOP_EOS},
    {.tokens = example_prompt, .logp = example_logp, .len = 1, .stop = STOP_LENGTH},
};

const struct score_result example_results[2] = {
    {.index = 0,
        .scorer = "math",
        .has_value = true,
        .value = -0.25,
        .verdict = VERDICT_WRONG,
        .reason = "3 is not 4",
        .extracted = "3",
        .isolation = "none",
        .wall_us = 3},
    {.index = LIMIT_GROUP - 1,
        .scorer = "math",
        .verdict = VERDICT_JUDGE_FAULT,
        .fault = SCORE_FAULT_PERMANENT},
};

static const struct msg examples[MSG_TYPE_COUNT] = {
    [MSG_HELLO] = {.type = MSG_HELLO,
        .hello = {.name = "actor-1",
            .build = "cohort 0.1",
            .host = "h\xc3\xb6st",
            .protocol = 1,
            .slots = 2,
            .has_numerics = true,
            .numerics_id = {{3}},
            .boot_id = {1, 2, 3},
            .scorers = kinds,
            .scorer_count = 2}},
    [MSG_WELCOME] = {.type = MSG_WELCOME,
        .welcome = {.session = 77,
            .epoch = 3,
            .heartbeat_ms = 2000,
            .lease_ms = 30000,
            .run = "quick",
            .model = {BLOB_MODEL_CONFIG, 5, 1000, {{9}}}}},
    [MSG_POLL] = {.type = MSG_POLL,
        .poll = {.max_jobs = 2,
            .wait_ms = 5000,
            .leases = leases,
            .lease_count = 3,
            .tokens = 1u << 20}},
    [MSG_GRANT] = {.type = MSG_GRANT,
        .grant = {.sample = &sample,
            .sample_count = 1,
            .grade = &grade,
            .grade_count = 1,
            .revoked = leases,
            .revoked_count = 2,
            .drain = true,
            .retry_ms = 3}},
    [MSG_HEARTBEAT] = {.type = MSG_HEARTBEAT,
        .heartbeat = {.leases = leases, .lease_count = 3, .tokens = 12}},
    [MSG_HEARTBEAT_REPLY] = {.type = MSG_HEARTBEAT_REPLY,
        .heartbeat_reply = {.revoked = leases, .revoked_count = 1, .drain = true}},
    [MSG_SUBMIT_GROUP] = {.type = MSG_SUBMIT_GROUP,
        .submit_group = {.lease = 4,
            .weights = {{1}},
            .numerics_id = {{2}},
            .completions = example_completions,
            .completion_count = 2,
            .wall_us = 17}},
    [MSG_SUBMIT_SCORES] = {.type = MSG_SUBMIT_SCORES,
        .submit_scores =
            {.lease = 5, .results = example_results, .result_count = 2, .wall_us = 18}},
    [MSG_SUBMIT_REPLY] = {.type = MSG_SUBMIT_REPLY,
        .submit_reply = {.status = SUBMIT_RETRY, .message = "disk full", .retry_ms = 9}},
    [MSG_RELEASE] = {.type = MSG_RELEASE,
        .release = {.leases = leases, .lease_count = 3, .why = "stopping"}},
    [MSG_GET_BLOB] = {.type = MSG_GET_BLOB,
        .get_blob =
            {.kind = BLOB_WEIGHTS, .bytes = LIMIT_CHUNK_BYTES, .id = 3, .offset = 4, .lease = 5}},
    [MSG_BLOB_CHUNK] = {.type = MSG_BLOB_CHUNK,
        .blob_chunk = {.total = 100, .data = (const uint8_t *)"chunk", .data_len = 5}},
    [MSG_NACK] = {.type = MSG_NACK, .nack = {.code = NACK_REFUSED, .message = "wrong numerics id"}},
    [MSG_RELEASED] = {.type = MSG_RELEASED},
    [MSG_BYE] = {.type = MSG_BYE},
};

struct sample_lease example_sample(void)
{
    return sample;
}

struct grade_lease example_grade(void)
{
    return grade;
}

struct hash example_hash(uint8_t b)
{
    struct hash h;
    memset(h.b, b, sizeof(h.b));
    return h;
}

struct blob_ref example_ref(uint32_t kind)
{
    return (struct blob_ref){.kind = kind, .id = 5, .bytes = 1000, .hash = example_hash(9)};
}

struct msg example(enum frame_type type)
{
    return examples[type];
}

int unpack_bytes(enum frame_type type, const void *data, size_t n, struct arena *a, struct msg *ret,
    struct err *e)
{
    struct frame f = {.type = (uint16_t)type, .payload = data, .payload_bytes = (uint32_t)n};
    return msg_unpack(&f, a, ret, e);
}

void arena_done(struct arena **a)
{
    arena_free(*a);
}

void check_round_trip(const struct msg *m)
{
    CLEANUP_BUF struct buf first = {0}, second = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct err e = {0};
    struct msg back;
    msg_pack(&first, m);
    if (unpack_bytes(m->type, first.data, first.len, a, &back, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(back.type, m->type);
    msg_pack(&second, &back);
    assert_int_equal(first.len, second.len);
    if (first.len > 0)
        assert_memory_equal(first.data, second.data, first.len);
}

void check_refused(const struct msg *m, const char *says)
{
    CLEANUP_BUF struct buf b = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct err e = {0};
    struct msg back = {.type = MSG_BYE};
    msg_pack(&b, m);
    int r = unpack_bytes(m->type, b.data, b.len, a, &back, &e);
    if (r != ERR_LIMIT || strstr(e.msg, says) == NULL)
        fail_msg("%s: code %d '%s', expected '%s'", frame_type_name(m->type), r, e.msg, says);
    assert_int_equal(back.type, MSG_BYE); /* untouched */
}
