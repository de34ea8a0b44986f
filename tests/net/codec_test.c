/* codec_test.c: every message and structured blob there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/net/examples.h"

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
    struct sample_lease sample = example_sample();
    struct err e;
    msg_pack(&b, &m);
    assert_int_equal(unpack_bytes(MSG_GRANT, b.data, b.len, a, &back, &e), 0);
    const struct sample_lease *l = &back.grant.sample[0];
    assert_int_equal(back.grant.sample_count, 1);
    assert_true(l->lease == 1 && l->job == 2 && l->group == 3 && l->version == 5);
    assert_int_equal(l->lease_ms, 4);
    assert_true(hash_equal(&l->weights, &sample.weights));
    assert_int_equal(l->prompt_len, 4);
    assert_memory_equal(l->prompt, example_prompt, sizeof(example_prompt));
    assert_int_equal(l->n, 8);
    assert_int_equal(l->max_tokens, 100);
    assert_int_equal(l->vocab, 64);
    assert_true(l->temperature == 0.75f);
    assert_true(l->seed == 9 && l->ordinal == 10);
    assert_int_equal(l->domain, RNG_EVAL);
    assert_int_equal(l->stage, 1);
    assert_int_equal(l->stop_count, 2);
    assert_true(l->stop[0] == 7 && l->stop[1] == 8);
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
    assert_memory_equal(c[0].tokens, example_prompt, 12);
    assert_memory_equal(c[0].logp, example_logp, 12);
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
    struct hash chunks[3] = {example_hash(1), example_hash(2), example_hash(3)};
    struct weights_manifest in = {.version = 4,
        .bytes = 2 * 4096 + 1,
        .device = 5,
        .inode = 6,
        .digest = example_hash(7),
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_grant_fields),
        cmocka_unit_test(test_submit_fields),
        cmocka_unit_test(test_zero_is_a_value),
        cmocka_unit_test(test_text_for_people_is_made_safe),
        cmocka_unit_test(test_unsafe_text_is_refused),
        cmocka_unit_test(test_grade_input),
        cmocka_unit_test(test_weights_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
