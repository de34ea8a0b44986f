/* codec_test.c: every message there and back, and everything that must be refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "proto/codec.h"

/* ---- one valid example of each message ---- */

static const uint32_t prompt[] = {1, 2, 300, LIMIT_VOCAB - 1};
static const uint32_t stop_ids[] = {7, 8};
static const float logp[] = {-0.0f, -1.5f, -1e30f};
static const uint64_t leases[] = {11, 12, UINT64_MAX};
static const char *kinds[] = {"math", "format"};

static struct hash hash_with(uint8_t b)
{
    struct hash h;
    memset(h.b, b, sizeof(h.b));
    return h;
}

static struct blob_ref ref(uint32_t kind)
{
    return (struct blob_ref){.kind = kind, .id = 5, .bytes = 1000, .hash = hash_with(9)};
}

static struct sample_lease a_sample(void)
{
    return (struct sample_lease){.lease = 1,
        .job = 2,
        .group = 3,
        .lease_ms = 4,
        .version = 5,
        .weights = hash_with(1),
        .prompt = prompt,
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
}

static struct grade_lease a_grade(void)
{
    return (struct grade_lease){
        .lease = 21, .job = 22, .group = 23, .lease_ms = 24, .input = ref(BLOB_GRADE_INPUT)};
}

/* Parts that the examples point to; set up once in main. */
static struct sample_lease sample;
static struct grade_lease grade;
static struct completion completions[2];
static struct score_result results[2];

static struct msg example(enum frame_type type)
{
    struct msg m = {.type = type};
    switch (type) {
    case MSG_HELLO:
        m.hello = (struct msg_hello){.name = "actor-1",
            .build = "cohort 0.1",
            .host = "h\xc3\xb6st",
            .protocol = 1,
            .slots = 2,
            .has_numerics = true,
            .numerics_id = hash_with(3),
            .boot_id = {1, 2, 3},
            .scorers = kinds,
            .scorer_count = 2};
        break;
    case MSG_WELCOME:
        m.welcome = (struct msg_welcome){.session = 77,
            .epoch = 3,
            .heartbeat_ms = 2000,
            .lease_ms = 30000,
            .run = "quick",
            .model = ref(BLOB_MODEL_CONFIG)};
        break;
    case MSG_POLL:
        m.poll = (struct msg_poll){
            .max_jobs = 2, .wait_ms = 5000, .leases = leases, .lease_count = 3, .tokens = 1u << 20};
        break;
    case MSG_GRANT:
        m.grant = (struct msg_grant){.sample = &sample,
            .sample_count = 1,
            .grade = &grade,
            .grade_count = 1,
            .revoked = leases,
            .revoked_count = 2,
            .drain = true,
            .retry_ms = 3};
        break;
    case MSG_HEARTBEAT:
        m.heartbeat = (struct msg_heartbeat){.leases = leases, .lease_count = 3, .tokens = 12};
        break;
    case MSG_HEARTBEAT_REPLY:
        m.heartbeat_reply =
            (struct msg_heartbeat_reply){.revoked = leases, .revoked_count = 1, .drain = true};
        break;
    case MSG_SUBMIT_GROUP:
        m.submit_group = (struct msg_submit_group){.lease = 4,
            .weights = hash_with(1),
            .numerics_id = hash_with(2),
            .completions = completions,
            .completion_count = 2,
            .wall_us = 17};
        break;
    case MSG_SUBMIT_SCORES:
        m.submit_scores = (struct msg_submit_scores){
            .lease = 5, .results = results, .result_count = 2, .wall_us = 18};
        break;
    case MSG_SUBMIT_REPLY:
        m.submit_reply = (struct msg_submit_reply){
            .status = SUBMIT_RETRY, .message = "disk full", .retry_ms = 9};
        break;
    case MSG_RELEASE:
        m.release = (struct msg_release){.leases = leases, .lease_count = 3, .why = "stopping"};
        break;
    case MSG_GET_BLOB:
        m.get_blob = (struct msg_get_blob){
            .kind = BLOB_WEIGHTS, .bytes = LIMIT_CHUNK_BYTES, .id = 3, .offset = 4, .lease = 5};
        break;
    case MSG_BLOB_CHUNK:
        m.blob_chunk =
            (struct msg_blob_chunk){.total = 100, .data = (const uint8_t *)"chunk", .data_len = 5};
        break;
    case MSG_NACK:
        m.nack = (struct msg_nack){.code = NACK_REFUSED, .message = "wrong numerics id"};
        break;
    default:
        break;
    }
    return m;
}

static void set_up_examples(void)
{
    sample = a_sample();
    grade = a_grade();
    completions[0] =
        (struct completion){.tokens = prompt, .logp = logp, .len = 3, .stop = STOP_EOS};
    completions[1] =
        (struct completion){.tokens = prompt, .logp = logp, .len = 1, .stop = STOP_LENGTH};
    results[0] = (struct score_result){.index = 0,
        .scorer = "math",
        .has_value = true,
        .value = -0.25,
        .verdict = VERDICT_WRONG,
        .reason = "3 is not 4",
        .extracted = "3",
        .isolation = "none",
        .wall_us = 3};
    results[1] = (struct score_result){.index = LIMIT_GROUP - 1,
        .scorer = "math",
        .verdict = VERDICT_JUDGE_FAULT,
        .fault = SCORE_FAULT_PERMANENT};
}

/* ---- helpers ---- */

static int unpack_bytes(enum frame_type type, const void *data, size_t n, struct arena *a,
    struct msg *ret, struct err *e)
{
    struct frame f = {.type = (uint16_t)type, .payload = data, .payload_bytes = (uint32_t)n};
    return msg_unpack(&f, a, ret, e);
}

static void arena_done(struct arena **a)
{
    arena_free(*a);
}

/* Packs, unpacks, packs again: both payloads must be the same bytes. */
static void check_round_trip(const struct msg *m)
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

/* Packing m gives something that the codec refuses with this text. */
static void check_refused(const struct msg *m, const char *says)
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

/* ---- there and back ---- */

static void test_round_trips(void **state)
{
    (void)state;
    for (int type = 1; type < MSG_TYPE_COUNT; type++) {
        struct msg m = example((enum frame_type)type);
        check_round_trip(&m);
    }
}

static void test_grant_fields(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct msg m = example(MSG_GRANT), back;
    struct err e;
    msg_pack(&b, &m);
    assert_int_equal(unpack_bytes(MSG_GRANT, b.data, b.len, a, &back, &e), 0);
    const struct sample_lease *l = &back.grant.sample[0];
    assert_int_equal(back.grant.sample_count, 1);
    assert_true(l->lease == 1 && l->job == 2 && l->group == 3 && l->version == 5);
    assert_int_equal(l->lease_ms, 4);
    assert_true(hash_equal(&l->weights, &sample.weights));
    assert_int_equal(l->prompt_len, 4);
    assert_memory_equal(l->prompt, prompt, sizeof(prompt));
    assert_int_equal(l->n, 8);
    assert_int_equal(l->max_tokens, 100);
    assert_int_equal(l->vocab, 64);
    assert_true(l->temperature == 0.75f);
    assert_true(l->seed == 9 && l->ordinal == 10);
    assert_int_equal(l->domain, RNG_EVAL);
    assert_int_equal(l->stage, 1);
    assert_int_equal(l->stop_count, 2);
    assert_memory_equal(l->stop, stop_ids, sizeof(stop_ids));
    const struct grade_lease *g = &back.grant.grade[0];
    assert_int_equal(back.grant.grade_count, 1);
    assert_true(g->lease == 21 && g->job == 22 && g->group == 23 && g->input.bytes == 1000);
    assert_int_equal(back.grant.revoked_count, 2);
    assert_true(back.grant.revoked[1] == 12);
    assert_true(back.grant.drain);
    assert_int_equal(back.grant.retry_ms, 3);
}

static void test_submit_fields(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct msg m = example(MSG_SUBMIT_GROUP), back;
    struct err e;
    msg_pack(&b, &m);
    assert_int_equal(unpack_bytes(MSG_SUBMIT_GROUP, b.data, b.len, a, &back, &e), 0);
    const struct completion *c = back.submit_group.completions;
    assert_int_equal(back.submit_group.completion_count, 2);
    assert_int_equal(c[0].len, 3);
    assert_memory_equal(c[0].tokens, prompt, 12);
    assert_memory_equal(c[0].logp, logp, 12);
    assert_int_equal(c[1].stop, STOP_LENGTH);
    assert_true(back.submit_group.wall_us == 17);

    buf_clear(&b);
    m = example(MSG_SUBMIT_SCORES);
    msg_pack(&b, &m);
    assert_int_equal(unpack_bytes(MSG_SUBMIT_SCORES, b.data, b.len, a, &back, &e), 0);
    const struct score_result *r = back.submit_scores.results;
    assert_true(r[0].has_value && r[0].value == -0.25);
    assert_string_equal(r[0].extracted, "3");
    assert_string_equal(r[1].reason, ""); /* never NULL */
    assert_false(r[1].has_value);
    assert_int_equal(r[1].fault, SCORE_FAULT_PERMANENT);
}

/* A score of exactly 0 is a score: it must not be lost as a default value. */
static void test_zero_is_a_value(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct score_result zero = {.scorer = "f", .has_value = true, .value = 0.0};
    struct msg m = {.type = MSG_SUBMIT_SCORES}, back;
    m.submit_scores = (struct msg_submit_scores){.lease = 1, .results = &zero, .result_count = 1};
    struct err e;
    msg_pack(&b, &m);
    assert_int_equal(unpack_bytes(MSG_SUBMIT_SCORES, b.data, b.len, a, &back, &e), 0);
    assert_true(back.submit_scores.results[0].has_value);
    assert_true(back.submit_scores.results[0].value == 0.0);
}

/* ---- display text ---- */

static void check_nack_text(const char *in, const char *out)
{
    CLEANUP_BUF struct buf b = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct msg m = {.type = MSG_NACK, .nack = {.code = NACK_RETRY, .message = in}}, back;
    struct err e;
    msg_pack(&b, &m);
    assert_int_equal(unpack_bytes(MSG_NACK, b.data, b.len, a, &back, &e), 0);
    assert_string_equal(back.nack.message, out);
}

static void test_text_for_people_is_made_safe(void **state)
{
    (void)state;
    check_nack_text(NULL, "");
    check_nack_text("", "");
    check_nack_text("\\frac{1}{2} \xe2\x82\xac", "\\frac{1}{2} \xe2\x82\xac");
    check_nack_text("a\nb\x1b[2J", "a\\nb\\x1b[2J");
    check_nack_text("\xff\xfe", "\\xff\\xfe");
    /* Cut between two characters: 510 letters, then a character of three bytes. */
    char longer[LIMIT_TEXT + 8];
    memset(longer, 'x', sizeof(longer));
    (void)snprintf(longer + LIMIT_TEXT - 2, 4, "\xe2\x82\xac");
    char cut[LIMIT_TEXT];
    memset(cut, 'x', sizeof(cut));
    cut[LIMIT_TEXT - 2] = '\0';
    check_nack_text(longer, cut);
}

/* The wire has control characters or a NUL in it although our own packing never does that. */
static void test_unsafe_text_is_refused(void **state)
{
    (void)state;
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x08\x05\x12\x03"
         "a\nb",
            7},
        {"\x08\x05\x12\x03"
         "a\0b",
            7},
        {"\x08\x05\x12\x02\xc2\x9b", 6},     /* C1: a terminal's CSI */
        {"\x08\x05\x12\x02\xc0\xaf", 6},     /* overlong */
        {"\x08\x05\x12\x03\xed\xa0\x80", 7}, /* surrogate */
        {"\x08\x05\x12\x04\xf4\x90\x80\x80", 8},
        {"\x08\x05\x12\x01\xe2", 5}, /* cut */
        {"\x08\x05\x12\x01\x80", 5},
        {"\x08\x05\x12\x01\xff", 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct msg m;
        struct err e;
        assert_int_equal(unpack_bytes(MSG_NACK, bad[i].bytes, bad[i].n, a, &m, &e), ERR_LIMIT);
        assert_non_null(strstr(e.msg, "Nack.message"));
    }
}

/* ---- refused ---- */

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
#define REFUSED(change, says)                                                                      \
    do {                                                                                           \
        sample = a_sample();                                                                       \
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
    sample = a_sample();
}

static void test_grant_counts(void **state)
{
    (void)state;
    struct sample_lease samples[LIMIT_GRANT + 1];
    struct grade_lease grades[LIMIT_GRANT + 1];
    for (size_t i = 0; i <= LIMIT_GRANT; i++) {
        samples[i] = a_sample();
        grades[i] = a_grade();
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
    grades[15].input = ref(BLOB_GRADE_INPUT);
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
        .weights = hash_with(255),
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
        many[i] = completions[1];
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
    many[0] = (struct completion){.tokens = prompt, .logp = logp, .len = 0};
    check_refused(&m, "SubmitGroup.completions[0].tokens: 0 items");
    static const float bad[] = {1e-7f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        float two[] = {-1.0f, bad[i]};
        many[0] = (struct completion){.tokens = prompt, .logp = two, .len = 2};
        check_refused(&m, "SubmitGroup.completions[0].logp: ");
    }
    many[0] = completions[0];
    m.submit_group.weights_type = 1;
    check_refused(&m, "SubmitGroup.weights_type: 1");
    m.submit_group.weights_type = 0;
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
    struct score_result r = results[0];
    struct msg m = example(MSG_SUBMIT_SCORES);
    m.submit_scores.results = &r;
    m.submit_scores.result_count = 1;
#define REFUSED(change, says)                                                                      \
    do {                                                                                           \
        r = results[0];                                                                            \
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
    m.nack.code = (enum nack_code)7;
    check_refused(&m, "Nack.code: 7");
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

/* ---- bombs ---- */

/* Every start of a valid message is refused or is a valid message of its own; nothing is read
 * beyond. */
static void test_cut_at_every_byte(void **state)
{
    (void)state;
    for (int type = 1; type < MSG_TYPE_COUNT; type++) {
        CLEANUP_BUF struct buf b = {0};
        struct msg m = example((enum frame_type)type), back;
        msg_pack(&b, &m);
        for (size_t n = 0; n <= b.len; n++) {
            CLEANUP(arena_done) struct arena *a = arena_new(0);
            uint8_t *exact = malloc(n > 0 ? n : 1);
            if (n > 0)
                memcpy(exact, b.data, n);
            int r = unpack_bytes((enum frame_type)type, exact, n, a, &back, NULL);
            assert_true(r == 0 || r == ERR_LIMIT);
            free(exact);
        }
    }
}

static void test_random_damage(void **state)
{
    (void)state;
    const uint64_t seed = 20260101;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rng rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (int round = 0; round < 20000; round++) {
        CLEANUP_BUF struct buf b = {0};
        CLEANUP(arena_done) struct arena *a = arena_new(0);
        enum frame_type type = (enum frame_type)(1 + rng_below(&rng, MSG_TYPE_COUNT - 1));
        struct msg m = example(type), back;
        msg_pack(&b, &m);
        for (int i = 0; b.len > 0 && i < 4; i++)
            b.data[rng_below(&rng, b.len)] = (uint8_t)rng_next(&rng);
        int r = unpack_bytes(type, b.data, b.len, a, &back, NULL);
        assert_true(r == 0 || r == ERR_LIMIT);
        if (r == 0)
            check_round_trip(&back);
    }
}

/* Length prefixes of 2^31, 2^32, 2^60 and more, in every field of every type. */
static void test_huge_lengths(void **state)
{
    (void)state;
    static const char *const lengths[] = {"\xff\xff\xff\xff\x07", "\x80\x80\x80\x80\x10",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x10", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    for (int type = 1; type < MSG_TYPE_COUNT; type++) {
        for (uint8_t field = 1; field <= 16; field++) {
            for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
                CLEANUP_BUF struct buf b = {0};
                CLEANUP(arena_done) struct arena *a = arena_new(0);
                struct msg back;
                if (field < 16)
                    buf_append(&b, (uint8_t[]){(uint8_t)(field << 3 | 2)}, 1);
                else
                    buf_append(&b, "\x82\x01", 2);
                buf_puts(&b, lengths[i]);
                buf_puts(&b, "xxxxxxxx");
                if (type == MSG_RELEASED || type == MSG_BYE)
                    continue; /* no body is looked at */
                int r = unpack_bytes((enum frame_type)type, b.data, b.len, a, &back, NULL);
                assert_int_equal(r, ERR_LIMIT);
            }
        }
    }
}

/* Millions of tiny fields: refused for their memory, and never more than the bound is taken. */
static void test_amplification(void **state)
{
    (void)state;
    static const struct {
        enum frame_type type;
        const char *unit;
        size_t unit_len;
    } bombs[] = {
        {MSG_SUBMIT_GROUP, "\x2a\x00", 2},     /* empty completions */
        {MSG_SUBMIT_SCORES, "\x12\x00", 2},    /* empty results */
        {MSG_SUBMIT_GROUP, "\x98\x06\x01", 3}, /* unknown varints */
        {MSG_SUBMIT_GROUP, "\xa2\x06\x00", 3}, /* unknown empty bytes */
        {MSG_SUBMIT_GROUP, "\x2a\x04\xa2\x06\x00\x00", 6},
        {MSG_GRANT, "\x0a\x00", 2},
        {MSG_GRANT, "\x18\x01", 2}, /* unpacked repeated ids */
        {MSG_HELLO, "\x42\x00", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(bombs); i++) {
        CLEANUP_BUF struct buf b = {0};
        size_t max = frame_payload_max(bombs[i].type);
        while (b.len + bombs[i].unit_len <= max)
            buf_append(&b, bombs[i].unit, bombs[i].unit_len);
        /* An arena with this bound would refuse before: so the codec's own bound holds. The
         * difference is alignment, at most 15 bytes for each allocation of at least one. */
        struct arena *a = arena_new(16 * (LIMIT_UNPACK_FACTOR * b.len + LIMIT_UNPACK_MIN_BYTES));
        struct msg back;
        struct err e = {0};
        assert_int_equal(unpack_bytes(bombs[i].type, b.data, b.len, a, &back, &e), ERR_LIMIT);
        arena_free(a);
    }
}

/* The smallest results that a reward server sends must fit the bound at the largest count. */
static void test_many_small_items_fit(void **state)
{
    (void)state;
    enum { MANY = LIMIT_GROUP * LIMIT_SCORERS };
    struct score_result *many = mem_array(MANY, sizeof(*many));
    for (uint32_t i = 0; i < MANY; i++)
        many[i] = (struct score_result){
            .index = i % LIMIT_GROUP, .scorer = "f", .has_value = true, .isolation = "no"};
    struct msg m = {.type = MSG_SUBMIT_SCORES};
    m.submit_scores = (struct msg_submit_scores){.lease = 1, .results = many, .result_count = MANY};
    check_round_trip(&m);
    for (uint32_t i = 0; i < MANY; i++)
        many[i].isolation = many[i].reason = many[i].extracted = "x";
    check_round_trip(&m);
    free(many);
    struct completion *one = mem_array(LIMIT_GROUP, sizeof(*one));
    for (size_t i = 0; i < LIMIT_GROUP; i++)
        one[i] = completions[1];
    m = example(MSG_SUBMIT_GROUP);
    m.submit_group.completions = one;
    m.submit_group.completion_count = LIMIT_GROUP;
    check_round_trip(&m);
    free(one);
}

static void test_small_arena_fails_politely(void **state)
{
    (void)state;
    for (size_t bound = 16; bound < 4096; bound += 16) {
        for (int type = 1; type < MSG_TYPE_COUNT; type++) {
            CLEANUP_BUF struct buf b = {0};
            CLEANUP(arena_done) struct arena *a = arena_new(bound);
            struct msg m = example((enum frame_type)type), back;
            msg_pack(&b, &m);
            int r = unpack_bytes((enum frame_type)type, b.data, b.len, a, &back, NULL);
            assert_true(r == 0 || r == ERR_LIMIT);
        }
    }
}

static void test_unknown_type_and_oversize(void **state)
{
    (void)state;
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct msg m;
    struct err e;
    struct frame f = {.type = 0};
    assert_int_equal(msg_unpack(&f, a, &m, &e), ERR_LIMIT);
    f.type = MSG_TYPE_COUNT;
    assert_int_equal(msg_unpack(&f, a, &m, &e), ERR_LIMIT);
    f = (struct frame){.type = MSG_GRANT, .payload_bytes = LIMIT_CONTROL_REPLY_BYTES + 1};
    assert_int_equal(msg_unpack(&f, a, &m, &e), ERR_LIMIT);
}

/* Unknown fields of a later protocol are ignored. */
static void test_unknown_fields_are_ignored(void **state)
{
    (void)state;
    for (int type = 1; type < MSG_TYPE_COUNT; type++) {
        CLEANUP_BUF struct buf b = {0};
        CLEANUP(arena_done) struct arena *a = arena_new(0);
        struct msg m = example((enum frame_type)type), back;
        struct err e = {0};
        if (frame_payload_max((unsigned)type) == 0)
            continue;
        msg_pack(&b, &m);
        buf_append(&b, "\xfa\x7d\x03xyz\xf0\x7d\x05", 9);
        assert_int_equal(unpack_bytes((enum frame_type)type, b.data, b.len, a, &back, &e), 0);
    }
}

/* ---- blobs ---- */

static struct grade_input an_input(struct scorer_spec *s, struct grade_text *t)
{
    *s = (struct scorer_spec){.name = "acc", .kind = "math", .params_json = "{\"weight\":1}"};
    *t = (struct grade_text){.index = 3,
        .tokens = 9,
        .text = (const uint8_t *)"a\0\xff",
        .text_len = 3,
        .truncated = true};
    return (struct grade_input){.group = 8,
        .seed = 6,
        .row_key = "row 1",
        .prompt = (const uint8_t *)"1+1=",
        .prompt_len = 4,
        .task_json = "{\n\t\"answer\": \"2\"}",
        .scorers = s,
        .scorer_count = 1,
        .completions = t,
        .completion_count = 1};
}

static void test_grade_input(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct scorer_spec s;
    struct grade_text t;
    struct grade_input in = an_input(&s, &t), out;
    struct err e = {0};
    grade_input_pack(&b, &in);
    if (grade_input_unpack(b.data, b.len, a, &out, &e) != 0)
        fail_msg("%s", e.msg);
    assert_true(out.group == 8 && out.seed == 6);
    assert_string_equal(out.row_key, "row 1");
    assert_int_equal(out.prompt_len, 4);
    assert_string_equal(out.task_json, in.task_json);
    assert_string_equal(out.scorers[0].params_json, "{\"weight\":1}");
    assert_int_equal(out.completions[0].text_len, 3);
    assert_memory_equal(out.completions[0].text, "a\0\xff", 3); /* exact bytes */
    assert_true(out.completions[0].truncated);
    for (size_t n = 0; n < b.len; n++) {
        int r = grade_input_unpack(b.data, n, a, &out, &e);
        assert_true(r == 0 || r == ERR_LIMIT);
    }
    buf_clear(&b);
    s.name = "No";
    grade_input_pack(&b, &in);
    assert_int_equal(grade_input_unpack(b.data, b.len, a, &out, &e), ERR_LIMIT);
    assert_non_null(strstr(e.msg, "GradeInput.scorers[0].name"));
    buf_clear(&b);
    s.name = "acc";
    in.group = 0;
    grade_input_pack(&b, &in);
    assert_int_equal(grade_input_unpack(b.data, b.len, a, &out, &e), ERR_LIMIT);
    buf_clear(&b);
    in.group = 8;
    in.row_key = "\xff";
    grade_input_pack(&b, &in);
    assert_int_equal(grade_input_unpack(b.data, b.len, a, &out, &e), ERR_LIMIT);
}

static void test_weights_manifest(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    CLEANUP(arena_done) struct arena *a = arena_new(0);
    struct hash chunks[3] = {hash_with(1), hash_with(2), hash_with(3)};
    struct weights_manifest in = {.version = 4,
        .bytes = 2 * 4096 + 1,
        .device = 5,
        .inode = 6,
        .digest = hash_with(7),
        .chunk_bytes = 4096,
        .chunk_hashes = chunks,
        .chunk_count = 3,
        .path = "/run/x/v4.safetensors",
        .boot_id = {9}};
    struct weights_manifest out;
    struct err e = {0};
    weights_manifest_pack(&b, &in);
    if (weights_manifest_unpack(b.data, b.len, a, &out, &e) != 0)
        fail_msg("%s", e.msg);
    assert_true(out.version == 4 && out.bytes == 8193 && out.device == 5 && out.inode == 6);
    assert_int_equal(out.chunk_count, 3);
    assert_true(hash_equal(&out.chunk_hashes[2], &chunks[2]));
    assert_string_equal(out.path, in.path);
    assert_int_equal(out.boot_id[0], 9);
    static const uint64_t wrong[] = {0, 8192, 3 * 4096 + 1, UINT64_MAX, 1ull << 60};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        buf_clear(&b);
        in.bytes = wrong[i];
        weights_manifest_pack(&b, &in);
        assert_int_equal(weights_manifest_unpack(b.data, b.len, a, &out, &e), ERR_LIMIT);
    }
    in.bytes = 8193;
    in.chunk_bytes = 0;
    buf_clear(&b);
    weights_manifest_pack(&b, &in);
    assert_int_equal(weights_manifest_unpack(b.data, b.len, a, &out, &e), ERR_LIMIT);
}

int main(void)
{
    set_up_examples();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_grant_fields),
        cmocka_unit_test(test_submit_fields),
        cmocka_unit_test(test_zero_is_a_value),
        cmocka_unit_test(test_text_for_people_is_made_safe),
        cmocka_unit_test(test_unsafe_text_is_refused),
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
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_huge_lengths),
        cmocka_unit_test(test_amplification),
        cmocka_unit_test(test_many_small_items_fit),
        cmocka_unit_test(test_small_arena_fails_politely),
        cmocka_unit_test(test_unknown_type_and_oversize),
        cmocka_unit_test(test_unknown_fields_are_ignored),
        cmocka_unit_test(test_grade_input),
        cmocka_unit_test(test_weights_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
