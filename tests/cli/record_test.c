/* record_test.c: the records of sample segments: whole ones come back, every damaged one is seen.
 */
#include "proto/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "common/base/rng.h"

enum { GROUP = 81, N = 3 };

static const uint32_t lengths[N] = {4, 0, 5};
static const uint32_t tokens[] = {7, 0, 4294967295u, 3, 9, 9, 9, 1, 0};
static const float logp[] = {-0.5f, -0.0f, -1e-30f, -88.25f, -1, -2, -3, -4, -5};

static void make(struct buf *b)
{
    struct completion c[N];
    size_t at = 0;
    for (int i = 0; i < N; i++) {
        c[i] = (struct completion){
            .tokens = tokens + at, .logp = logp + at, .len = lengths[i], .stop = STOP_EOS};
        at += lengths[i];
    }
    record_put(b, GROUP, c, N);
}

static int parse(const struct buf *b, uint64_t group, uint32_t n, struct err *e)
{
    struct completion c[N + 1] = {0};
    struct arena *a = arena_new(0);
    int r = record_parse(b->data, b->len, group, n, a, c, e);
    if (r == 0) {
        size_t at = 0;
        assert_int_equal(n, N); /* no other count may be accepted */
        for (uint32_t i = 0; i < N; i++) {
            assert_int_equal(c[i].len, lengths[i]);
            if (c[i].len > 0) {
                assert_memory_equal(c[i].tokens, tokens + at, 4 * c[i].len);
                assert_memory_equal(c[i].logp, logp + at, 4 * c[i].len);
            }
            at += c[i].len;
        }
    }
    arena_free(a);
    return r;
}

static void test_round_trip(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct err e = {0};
    buf_puts(&b, "12345678"); /* behind other bytes: a record is appended */
    make(&b);
    assert_int_equal(b.len % 8, 0);
    memmove(b.data, b.data + 8, b.len - 8);
    b.len -= 8;
    assert_int_equal(record_length_check(b.len, &e), 0);
    assert_int_equal(get_u32(b.data + 4), b.len);
    assert_int_equal(parse(&b, GROUP, N, &e), 0);
}

static void test_of_another_group(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct err e = {0};
    make(&b);
    assert_int_equal(parse(&b, GROUP + 1, N, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "81"));
    assert_non_null(strstr(e.msg, "82"));
    assert_int_equal(parse(&b, GROUP, N - 1, &e), ERR_DATA);
    assert_int_equal(parse(&b, GROUP, N + 1, &e), ERR_DATA);
}

static void test_every_flipped_bit_is_seen(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    make(&b);
    for (size_t bit = 0; bit < 8 * (b.len - 4); bit++) { /* the last four bytes are filling */
        struct err e = {0};
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(parse(&b, GROUP, N, &e), ERR_DATA);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_every_shorter_one_is_refused(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    make(&b);
    for (size_t whole = b.len; b.len > 0;) {
        struct err e = {0};
        b.len--;
        assert_true(b.len < whole);
        /* A copy of its own, so that AddressSanitizer sees a read behind it. */
        struct buf copy = {.data = mem_dup(b.data, b.len), .len = b.len};
        assert_int_equal(parse(&copy, GROUP, N, &e), ERR_DATA);
        free(copy.data);
    }
}

static void seal(struct buf *b)
{
    put_u32(b->data + 20, crc32c(0, b->data, 20));
    put_u32(b->data + b->len - 8, crc32c(0, b->data, b->len - 8));
}

/* Right checksums over sections that lie: sizes are checked against the record, not believed. */
static void test_sections_that_lie(void **state)
{
    static const uint32_t lies[] = {0, 4, 8, 16, 13, 0x7ffffff8u, 0xfffffff8u, 0xffffffffu};
    for (size_t section = 0; section < 3; section++) {
        for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
            CLEANUP_BUF struct buf b = {0};
            struct err e = {0};
            make(&b);
            size_t at = 24;
            for (size_t s = 0; s < section; s++)
                at += 8 + ((size_t)get_u32(b.data + at + 4) + 7) / 8 * 8;
            if (get_u32(b.data + at + 4) == lies[i])
                continue;
            put_u32(b.data + at + 4, lies[i]);
            seal(&b);
            assert_int_equal(parse(&b, GROUP, N, &e), ERR_DATA);
        }
    }
}

static void test_lengths_that_lie(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct err e = {0};
    make(&b);
    put_u32(b.data + 32, 0xffffffffu); /* the first completion's */
    put_u32(b.data + 36, 0xffffffffu);
    seal(&b);
    assert_int_equal(parse(&b, GROUP, N, &e), ERR_DATA);
}

static void test_unknown_sections_are_skipped(void **state)
{
    CLEANUP_BUF struct buf b = {0}, longer = {0};
    struct err e = {0};
    make(&b);
    buf_append(&longer, b.data, 24);
    buf_put_u32(&longer, 77);
    buf_put_u32(&longer, 5);
    buf_append(&longer, "hello\0\0\0", 8);
    buf_append(&longer, b.data + 24, b.len - 24);
    put_u32(longer.data + 4, (uint32_t)longer.len);
    put_u32(longer.data + 16, 4);
    seal(&longer);
    assert_int_equal(parse(&longer, GROUP, N, &e), 0);
    put_u32(longer.data + 16, 3); /* now the log-probs are not among the sections */
    seal(&longer);
    assert_int_equal(parse(&longer, GROUP, N, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "section 3 is missing"));
    put_u32(longer.data + 16, 65);
    seal(&longer);
    assert_int_equal(parse(&longer, GROUP, N, &e), ERR_DATA);
}

static void test_garbage(void **state)
{
    struct rng rng = rng_stream((struct rng_key){.seed = 20, .domain = RNG_USER});
    print_message("seed 20\n");
    for (int round = 0; round < 2000; round++) {
        CLEANUP_BUF struct buf b = {0};
        struct err e = {0};
        size_t n = RECORD_BYTES_MIN + 8 * rng_below(&rng, 20);
        for (size_t i = 0; i < n / 8; i++)
            buf_put_u64(&b, rng_next(&rng));
        memcpy(b.data, "REC1", 4);
        put_u32(b.data + 4, (uint32_t)n);
        put_u64(b.data + 8, GROUP);
        put_u32(b.data + 16, (uint32_t)rng_below(&rng, 6));
        seal(&b);
        assert_int_equal(parse(&b, GROUP, N, &e), ERR_DATA);
    }
}

static void test_lengths_of_records(void **state)
{
    struct err e = {0};
    assert_int_equal(record_length_check(RECORD_BYTES_MIN, &e), 0);
    assert_int_equal(record_length_check(RECORD_BYTES_MAX, &e), 0);
    assert_int_equal(record_length_check(RECORD_BYTES_MAX + 8ull, &e), ERR_DATA);
    assert_int_equal(record_length_check(RECORD_BYTES_MIN - 8, &e), ERR_DATA);
    assert_int_equal(record_length_check(RECORD_BYTES_MIN + 4, &e), ERR_DATA);
    assert_int_equal(record_length_check(UINT64_MAX - 7, &e), ERR_DATA);
}

static void test_file_header(void **state)
{
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    struct err e = {0};
    record_file_header_put(header, 12);
    assert_int_equal(record_file_header_check(header, 12, &e), 0);
    assert_int_equal(record_file_header_check(header, 13, &e), ERR_DATA);
    for (size_t bit = 0; bit < 8 * sizeof(header); bit++) {
        header[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(record_file_header_check(header, 12, &e), ERR_DATA);
        header[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_of_another_group),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
        cmocka_unit_test(test_every_shorter_one_is_refused),
        cmocka_unit_test(test_sections_that_lie),
        cmocka_unit_test(test_lengths_that_lie),
        cmocka_unit_test(test_unknown_sections_are_skipped),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_lengths_of_records),
        cmocka_unit_test(test_file_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
