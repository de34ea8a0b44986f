/* frame_test.c: the frame header: round trip, every single-field corruption, every cut, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto/limits.h"

static const uint8_t body[] = "0123456789";

static struct frame poll_frame(void)
{
    return (struct frame){
        .type = MSG_POLL,
        .role = ROLE_ACTOR,
        .epoch = 7,
        .session = 0x0102030405060708u,
        .sequence = 9,
        .request_id = 0xfedcba9876543210u,
        .payload = body,
        .payload_bytes = 10,
    };
}

static void test_round_trip(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    struct frame in = poll_frame(), out;
    struct err e;
    frame_write(&b, &in);
    assert_int_equal(b.len, FRAME_HEADER_BYTES + 10 + FRAME_TAG_BYTES);
    assert_int_equal(frame_parse(b.data, b.len, &out, &e), 0);
    assert_int_equal(out.type, in.type);
    assert_int_equal(out.role, in.role);
    assert_int_equal(out.key_id, 0);
    assert_int_equal(out.epoch, in.epoch);
    assert_true(out.session == in.session);
    assert_true(out.sequence == in.sequence);
    assert_true(out.request_id == in.request_id);
    assert_int_equal(out.payload_bytes, 10);
    assert_ptr_equal(out.payload, b.data + FRAME_HEADER_BYTES);
}

/* The layout of PROTOCOL.md section 1, byte by byte: change only by decision. */
static void test_layout(void **state)
{
    (void)state;
    static const uint8_t header[FRAME_HEADER_BYTES] = {'c', 'o', 'h', 'r', 1, 0, 0, 0, 3, 0, 2, 0,
        7, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x32, 0x54, 0x76, 0x98,
        0xba, 0xdc, 0xfe, 10, 0, 0, 0};
    CLEANUP_BUF struct buf b = {0};
    struct frame f = poll_frame();
    frame_write(&b, &f);
    assert_memory_equal(b.data, header, sizeof(header));
    assert_memory_equal(b.data + FRAME_HEADER_BYTES, body, 10);
}

struct corruption {
    size_t at;
    uint8_t value;
    const char *says; /* part of the message */
};

static void test_each_field_corrupted(void **state)
{
    (void)state;
    static const struct corruption all[] = {
        {0, 'C', "expected \"cohr\""},
        {3, 'x', "expected \"cohr\""},
        {4, 2, "version 2, expected 1"},
        {5, 1, "version 257"},
        {6, 1, "key id 1"},
        {7, 1, "key id 256"},
        {8, 0, "type 0"},
        {8, MSG_TYPE_COUNT, "type 16"},
        {8, MSG_GRANT, "role 2 may not send Grant"},
        {8, MSG_SUBMIT_SCORES, "role 2 may not send SubmitScores"},
        {8, MSG_BYE, "Bye with a payload of 10 bytes, the limit is 0"},
        {8, MSG_HELLO, "Hello with session"},
        {9, 1, "type 259"},
        {10, 0, "role 0"},
        {10, 4, "role 4"},
        {10, ROLE_LEARNER, "role 1 may not send Poll"},
        {11, 1, "reserved"},
        {40, 9, "90 bytes, its header says 89"},
        {40, 11, "90 bytes, its header says 91"},
        {42, 1, "the limit is 65536"},
        {43, 0xff, "the limit is 65536"},
    };
    CLEANUP_BUF struct buf b = {0};
    struct frame f = poll_frame(), out = {.epoch = 4242};
    frame_write(&b, &f);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct err e = {0};
        uint8_t good = b.data[all[i].at];
        b.data[all[i].at] = all[i].value;
        assert_int_equal(frame_parse(b.data, b.len, &out, &e), ERR_LIMIT);
        if (strstr(e.msg, all[i].says) == NULL)
            fail_msg("byte %zu: '%s' does not say '%s'", all[i].at, e.msg, all[i].says);
        b.data[all[i].at] = good;
    }
    assert_int_equal(out.epoch, 4242); /* untouched on failure */
}

static void test_reserved_and_tag_must_be_zero(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    struct frame f = poll_frame(), out;
    frame_write(&b, &f);
    for (size_t at = 44; at < b.len; at++) {
        if (at >= FRAME_HEADER_BYTES && at < FRAME_HEADER_BYTES + 10)
            continue;
        b.data[at] ^= 0x80;
        assert_int_equal(frame_parse(b.data, b.len, &out, NULL), ERR_LIMIT);
        b.data[at] ^= 0x80;
    }
    assert_int_equal(frame_parse(b.data, b.len, &out, NULL), 0);
}

static void test_every_length(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    struct frame f = poll_frame(), out;
    frame_write(&b, &f);
    for (size_t n = 0; n < b.len; n++) {
        uint8_t *exact = malloc(n > 0 ? n : 1); /* so that a sanitizer sees a read beyond */
        memcpy(exact, b.data, n);
        assert_int_equal(frame_parse(exact, n, &out, NULL), ERR_LIMIT);
        free(exact);
    }
    buf_append(&b, "", 1);
    assert_int_equal(frame_parse(b.data, b.len, &out, NULL), ERR_LIMIT);
}

/* Who may send what: change only by decision. */
static void test_roles(void **state)
{
    (void)state;
    static const uint8_t senders[MSG_TYPE_COUNT] = {
        /* bits: 1 learner, 2 actor, 4 reward server */
        [MSG_HELLO] = 6,
        [MSG_WELCOME] = 1,
        [MSG_POLL] = 6,
        [MSG_GRANT] = 1,
        [MSG_HEARTBEAT] = 6,
        [MSG_HEARTBEAT_REPLY] = 1,
        [MSG_SUBMIT_GROUP] = 2,
        [MSG_SUBMIT_SCORES] = 4,
        [MSG_SUBMIT_REPLY] = 1,
        [MSG_RELEASE] = 6,
        [MSG_RELEASED] = 1,
        [MSG_GET_BLOB] = 6,
        [MSG_BLOB_CHUNK] = 1,
        [MSG_BYE] = 7,
        [MSG_NACK] = 1,
    };
    for (uint16_t type = 1; type < MSG_TYPE_COUNT; type++) {
        for (uint8_t role = ROLE_LEARNER; role <= ROLE_REWARD; role++) {
            CLEANUP_BUF struct buf b = {0};
            struct frame f = {.type = type, .role = role}, out;
            frame_write(&b, &f);
            int expected = (senders[type] >> (role - 1)) & 1 ? 0 : ERR_LIMIT;
            assert_int_equal(frame_parse(b.data, b.len, &out, NULL), expected);
        }
        assert_string_not_equal(frame_type_name(type), "?");
    }
    assert_string_equal(frame_type_name(0), "?");
    assert_string_equal(frame_type_name(MSG_TYPE_COUNT), "?");
    assert_int_equal(frame_payload_max(MSG_TYPE_COUNT), 0);
}

static void test_largest_payload(void **state)
{
    (void)state;
    for (uint16_t type = 1; type < MSG_TYPE_COUNT; type++) {
        CLEANUP_BUF struct buf payload = {0}, b = {0};
        size_t max = frame_payload_max(type);
        (void)buf_extend(&payload, max + 1);
        memset(payload.data, 0, max + 1);
        uint8_t role = type == MSG_SUBMIT_SCORES ? ROLE_REWARD : ROLE_ACTOR;
        struct frame f = {.type = type, .role = role, .payload = payload.data}, out;
        f.payload_bytes = (uint32_t)max;
        frame_write(&b, &f);
        if (frame_parse(b.data, b.len, &out, NULL) != 0) {
            b.data[10] = ROLE_LEARNER;
            assert_int_equal(frame_parse(b.data, b.len, &out, NULL), 0);
        }
        put_u32(b.data + 40, (uint32_t)max + 1);
        buf_append(&b, "", 1);
        struct err e;
        assert_int_equal(frame_parse(b.data, b.len, &out, &e), ERR_LIMIT);
        assert_non_null(strstr(e.msg, "the limit is"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_each_field_corrupted),
        cmocka_unit_test(test_reserved_and_tag_must_be_zero),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_largest_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
