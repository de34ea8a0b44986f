/* codec_bomb_test.c: damaged, cut and hostile payloads: refused, within the memory bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/net/examples.h"

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
        one[i] = example_completions[1];
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_huge_lengths),
        cmocka_unit_test(test_amplification),
        cmocka_unit_test(test_many_small_items_fit),
        cmocka_unit_test(test_small_arena_fails_politely),
        cmocka_unit_test(test_unknown_type_and_oversize),
        cmocka_unit_test(test_unknown_fields_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
