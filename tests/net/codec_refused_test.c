/* codec_refused_test.c: what the codec must refuse, field by field, and how it says so. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/net/examples.h"

static void test_hello_refused(void **state)
{
    (void)state;
    struct msg m = example(MSG_HELLO);
    static const char *const names[] = {"", "Actor", "a b", "a/b", "\xc3\xa4",
        "0123456789012345678901234567890123456789012345678901234567890123x"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        m.hello.name = names[i];
        check_refused(&m, "Hello.name: ");
    }
    m = example(MSG_HELLO);
    m.hello.slots = 0;
    check_refused(&m, "Hello.slots: 0, expected 1 to 64");
    m.hello.slots = LIMIT_LEASES_PER_WORKER + 1;
    check_refused(&m, "Hello.slots: 65");
    m = example(MSG_HELLO);
    const char *many[LIMIT_SCORER_KINDS + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = "math";
    m.hello.scorers = many;
    m.hello.scorer_count = LIMIT_SCORER_KINDS;
    check_round_trip(&m);
    m.hello.scorer_count++;
    check_refused(&m, "Hello.scorers: 65 items");
}

static void test_name_with_a_nul_is_refused(void **state)
{
    (void)state;
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    static const char bytes[] = "\x0a\x03"
                                "a\0b\x38\x01";
    struct msg m;
    struct err e;
    assert_int_equal(unpack_bytes(MSG_HELLO, bytes, 7, a, &m, &e), ERR_LIMIT);
    assert_non_null(strstr(e.msg, "Hello.name"));
}

static void test_lease_lists_refused(void **state)
{
    (void)state;
    uint64_t many[LIMIT_LEASES_PER_WORKER + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = i + 1;
    struct msg m = example(MSG_POLL);
    m.poll.leases = many;
    m.poll.lease_count = LIMIT_LEASES_PER_WORKER;
    check_round_trip(&m);
    m.poll.lease_count++;
    check_refused(&m, "Poll.leases: 65 items");
    m.poll.lease_count = 3;
    many[2] = many[0];
    check_refused(&m, "Poll.leases: lease 1 twice");
    many[2] = 0;
    check_refused(&m, "Poll.leases: 0 is no id");
    m = example(MSG_POLL);
    m.poll.max_jobs = LIMIT_LEASES_PER_WORKER + 1;
    check_refused(&m, "Poll.max_jobs");
    m = example(MSG_POLL);
    m.poll.wait_ms = LIMIT_DURATION_MS + 1;
    check_refused(&m, "Poll.wait_ms");
}

static void test_sample_lease_refused(void **state)
{
    (void)state;
    static uint32_t long_prompt[LIMIT_PROMPT_TOKENS + 1];
    struct msg m = example(MSG_GRANT);
    struct sample_lease sample;
    m.grant.sample = &sample;
#define REFUSED(change, says)                                                                      \
    do {                                                                                           \
        sample = example_sample();                                                                 \
        change;                                                                                    \
        check_refused(&m, "Grant.sample[0]." says);                                                \
    } while (0)
    REFUSED(sample.lease = 0, "lease: 0 is no id");
    REFUSED(sample.job = 0, "job: ");
    REFUSED(sample.group = 0, "group: ");
    REFUSED(sample.lease_ms = 0, "lease_ms: ");
    REFUSED(sample.n = 0, "n: 0");
    REFUSED(sample.n = LIMIT_GROUP + 1, "n: 1025");
    REFUSED(sample.max_tokens = 0, "max_tokens: ");
    REFUSED(sample.max_tokens = LIMIT_COMPLETION_TOKENS + 1, "max_tokens: ");
    REFUSED(sample.vocab = 0, "vocab: ");
    REFUSED(sample.vocab = LIMIT_VOCAB + 1, "vocab: ");
    REFUSED(sample.domain = 0, "domain: ");
    REFUSED(sample.domain = 6, "domain: ");
    REFUSED(sample.temperature = -0.5f, "temperature: -0.5");
    REFUSED(sample.temperature = NAN, "temperature: ");
    REFUSED(sample.temperature = INFINITY, "temperature: inf");
    REFUSED(sample.prompt_len = 0, "prompt: 0 items");
    REFUSED((sample.prompt = long_prompt, sample.prompt_len = LIMIT_PROMPT_TOKENS + 1),
        "prompt: 4097 items");
    long_prompt[2] = LIMIT_VOCAB;
    REFUSED((sample.prompt = long_prompt, sample.prompt_len = 3), "prompt: token id 1048576 at 2");
    long_prompt[2] = 0;
    REFUSED((sample.stop = long_prompt, sample.stop_count = LIMIT_STOP_IDS + 1), "stop: 9 items");
#undef REFUSED
}

static void test_grant_counts(void **state)
{
    (void)state;
    struct sample_lease samples[LIMIT_GRANT + 1];
    struct grade_lease grades[LIMIT_GRANT + 1];
    for (size_t i = 0; i <= LIMIT_GRANT; i++) {
        samples[i] = example_sample();
        grades[i] = example_grade();
    }
    struct msg m = {.type = MSG_GRANT, .grant = {.sample = samples, .grade = grades}};
    check_round_trip(&m);
    m.grant.sample_count = LIMIT_GRANT;
    check_round_trip(&m);
    m.grant.grade_count = 1;
    check_refused(&m, "Grant.grade: 1 items, expected 0 to 0");
    m.grant.sample_count = LIMIT_GRANT + 1;
    check_refused(&m, "Grant.sample: 17 items");
    m.grant.sample_count = 0;
    m.grant.grade_count = LIMIT_GRANT;
    check_round_trip(&m);
    grades[15].input.kind = BLOB_WEIGHTS;
    check_refused(&m, "Grant.grade[15].input: blob kind 3, expected 4");
    grades[15].input = example_ref(BLOB_GRADE_INPUT);
    grades[15].input.bytes = (uint64_t)LIMIT_GRADE_INPUT_BYTES + 1;
    check_refused(&m, "Grant.grade[15].input: 268435457");
}

/* What a lease adds to a grant never exceeds what sample_lease_bytes_max says. */
static void test_grant_size_bound(void **state)
{
    (void)state;
    static uint32_t long_prompt[LIMIT_PROMPT_TOKENS];
    struct sample_lease l = {.lease = UINT64_MAX,
        .job = UINT64_MAX,
        .group = UINT64_MAX,
        .lease_ms = UINT32_MAX,
        .version = UINT64_MAX,
        .weights = example_hash(255),
        .prompt = long_prompt,
        .prompt_len = LIMIT_PROMPT_TOKENS,
        .n = UINT32_MAX,
        .max_tokens = UINT32_MAX,
        .vocab = UINT32_MAX,
        .temperature = 1.0f,
        .seed = UINT64_MAX,
        .ordinal = UINT64_MAX,
        .domain = UINT32_MAX,
        .stage = UINT32_MAX,
        .stop = long_prompt,
        .stop_count = LIMIT_STOP_IDS};
    uint64_t revoked[LIMIT_LEASES_PER_WORKER];
    memset(revoked, 0xff, sizeof(revoked));
    struct msg m = {.type = MSG_GRANT};
    CLEANUP_BUF struct buf b = {0};
    m.grant = (struct msg_grant){.sample = &l, .sample_count = 1};
    msg_pack(&b, &m);
    assert_true(b.len <= sample_lease_bytes_max(&l));
    buf_clear(&b);
    m.grant = (struct msg_grant){.revoked = revoked,
        .revoked_count = LIMIT_LEASES_PER_WORKER,
        .drain = true,
        .retry_ms = UINT32_MAX};
    msg_pack(&b, &m);
    assert_true(b.len <= LIMIT_GRANT_OVERHEAD_BYTES);
    assert_true(
        sample_lease_bytes_max(&l) + LIMIT_GRANT_OVERHEAD_BYTES < LIMIT_CONTROL_REPLY_BYTES);
}

static void test_submit_group_refused(void **state)
{
    (void)state;
    struct msg m = example(MSG_SUBMIT_GROUP);
    static struct completion many[LIMIT_GROUP + 1];
    for (size_t i = 0; i <= LIMIT_GROUP; i++)
        many[i] = example_completions[1];
    m.submit_group.completions = many;
    m.submit_group.completion_count = LIMIT_GROUP;
    check_round_trip(&m);
    m.submit_group.completion_count++;
    check_refused(&m, "SubmitGroup.completions: 1025 items");
    m.submit_group.completion_count = 0;
    check_refused(&m, "SubmitGroup.completions: 0 items");
    m.submit_group.completion_count = 1;
    many[0].stop = (enum stop_reason)STOP_COUNT;
    check_refused(&m, "SubmitGroup.completions[0].stop: 2, expected 0 to 1");
    many[0] = (struct completion){.tokens = example_prompt, .logp = example_logp, .len = 0};
    check_refused(&m, "SubmitGroup.completions[0].tokens: 0 items");
    static const float bad[] = {1e-7f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        float two[] = {-1.0f, bad[i]};
        many[0] = (struct completion){.tokens = example_prompt, .logp = two, .len = 2};
        check_refused(&m, "SubmitGroup.completions[0].logp: ");
    }
    many[0] = example_completions[0];
    m.submit_group.weights_type = (enum weights_type)WEIGHTS_TYPE_COUNT;
    check_refused(&m, "SubmitGroup.weights_type: 3, expected 0 to 2");
    m.submit_group.weights_type = WEIGHTS_F32;
    m.submit_group.lease = 0;
    check_refused(&m, "SubmitGroup.lease");
}

/* tokens and logp that disagree, and lengths that are no multiple of four. */
static void test_completion_arrays_must_agree(void **state)
{
    (void)state;
    static const struct {
        uint8_t tokens, logp;
        const char *says;
    } bad[] = {{8, 4, "logp: 4 bytes for 2 tokens"}, {4, 8, "logp: 8 bytes for 1 tokens"},
        {5, 4, "tokens: 5 bytes"}, {4, 5, "logp: 5 bytes"}, {4, 0, "logp: 0 bytes"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(arena_done) struct arena *a = arena_new(0);
        CLEANUP_BUF struct buf c = {0}, b = {0};
        uint8_t zeros[16] = {0};
        buf_append(&c, (uint8_t[]){0x0a, bad[i].tokens}, 2);
        buf_append(&c, zeros, bad[i].tokens);
        buf_append(&c, (uint8_t[]){0x12, bad[i].logp}, 2);
        buf_append(&c, zeros, bad[i].logp);
        struct msg whole = example(MSG_SUBMIT_GROUP), m;
        whole.submit_group.completion_count = 0;
        msg_pack(&b, &whole);
        buf_append(&b, (uint8_t[]){0x2a, (uint8_t)c.len}, 2);
        buf_append(&b, c.data, c.len);
        struct err e = {0};
        assert_int_equal(unpack_bytes(MSG_SUBMIT_GROUP, b.data, b.len, a, &m, &e), ERR_LIMIT);
        if (strstr(e.msg, bad[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", e.msg, bad[i].says);
    }
}

static void test_scores_refused(void **state)
{
    (void)state;
    struct score_result r = example_results[0];
    struct msg m = example(MSG_SUBMIT_SCORES);
    m.submit_scores.results = &r;
    m.submit_scores.result_count = 1;
#define REFUSED(change, says)                                                                      \
    do {                                                                                           \
        r = example_results[0];                                                                    \
        change;                                                                                    \
        check_refused(&m, "SubmitScores.results[0]." says);                                        \
    } while (0)
    REFUSED(r.index = LIMIT_GROUP, "index: 1024");
    REFUSED(r.scorer = "", "scorer: ");
    REFUSED(r.value = NAN, "value: nan");
    REFUSED(r.value = INFINITY, "value: inf");
    REFUSED(r.verdict = (enum verdict)VERDICT_COUNT, "verdict: 11");
    REFUSED(r.fault = (enum score_fault)SCORE_FAULT_COUNT, "fault: 3");
    /* G7: a fault of the judge is not a score, and there is no missing score without a fault. */
    REFUSED(r.fault = SCORE_FAULT_TRANSIENT, "value: present with fault 'transient'");
    REFUSED(r.has_value = false, "value: absent with fault 'none'");
#undef REFUSED
    m.submit_scores.result_count = 0;
    check_refused(&m, "SubmitScores.results: 0 items");
}

static void test_others_refused(void **state)
{
    (void)state;
    struct msg m = example(MSG_WELCOME);
    m.welcome.session = 0;
    check_refused(&m, "Welcome.session");
    m = example(MSG_WELCOME);
    m.welcome.epoch = 0;
    check_refused(&m, "Welcome.epoch");
    m = example(MSG_WELCOME);
    m.welcome.heartbeat_ms = 0;
    check_refused(&m, "Welcome.heartbeat_ms");
    m = example(MSG_WELCOME);
    m.welcome.model.kind = BLOB_WEIGHTS;
    check_refused(&m, "Welcome.model");
    m = example(MSG_SUBMIT_REPLY);
    m.submit_reply.status = (enum submit_status)5;
    check_refused(&m, "SubmitReply.status: 5, expected 0 to 4");
    m = example(MSG_NACK);
    m.nack.code = (enum nack_code)0;
    check_refused(&m, "Nack.code: 0");
    m.nack.code = (enum nack_code)8;
    check_refused(&m, "Nack.code: 8");
    m = example(MSG_GET_BLOB);
    m.get_blob.kind = 5;
    check_refused(&m, "GetBlob.kind: 5");
    m = example(MSG_GET_BLOB);
    m.get_blob.bytes = LIMIT_CHUNK_BYTES + 1;
    check_refused(&m, "GetBlob.bytes");
    m.get_blob.bytes = 0;
    check_refused(&m, "GetBlob.bytes");
    m = example(MSG_GET_BLOB);
    m.get_blob.offset = UINT64_MAX;
    check_refused(&m, "GetBlob.offset");
    m = example(MSG_BLOB_CHUNK);
    m.blob_chunk.total = 4;
    check_refused(&m, "BlobChunk.data: 5 bytes of a blob of 4");
    m.blob_chunk.total = blob_bytes_max(BLOB_WEIGHTS) + 1;
    check_refused(&m, "BlobChunk.total");
}

static void test_largest_chunk(void **state)
{
    (void)state;
    static uint8_t data[LIMIT_CHUNK_BYTES];
    struct msg m = {.type = MSG_BLOB_CHUNK};
    m.blob_chunk = (struct msg_blob_chunk){
        .total = blob_bytes_max(BLOB_WEIGHTS), .data = data, .data_len = sizeof(data)};
    CLEANUP_BUF struct buf b = {0};
    msg_pack(&b, &m);
    assert_true(b.len <= frame_payload_max(MSG_BLOB_CHUNK));
    check_round_trip(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_refused),
        cmocka_unit_test(test_name_with_a_nul_is_refused),
        cmocka_unit_test(test_lease_lists_refused),
        cmocka_unit_test(test_sample_lease_refused),
        cmocka_unit_test(test_grant_counts),
        cmocka_unit_test(test_grant_size_bound),
        cmocka_unit_test(test_submit_group_refused),
        cmocka_unit_test(test_completion_arrays_must_agree),
        cmocka_unit_test(test_scores_refused),
        cmocka_unit_test(test_others_refused),
        cmocka_unit_test(test_largest_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
