/* hash_test.c: published values of BLAKE2b-256 and CRC32C, and the equality of all ways to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "common/base/mem.h"

static const char abc_hex[] = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";

static void blake2b_known_answers(void **state)
{
    char hex[HASH_HEX];
    struct hash h = hash_of("", 0);
    assert_string_equal(
        hash_hex(&h, hex), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    h = hash_of("abc", 3);
    assert_string_equal(hash_hex(&h, hex), abc_hex);
    assert_true(hash_u64("abc", 3) == 0x723942633c81ddbdu);
    h = hash_of(NULL, 0);
    assert_false(hash_is_zero(&h));
}

static void pieces_equal_the_whole(void **state)
{
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    struct hash whole = hash_of(data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut += 37) {
        struct hasher h;
        hasher_init(&h);
        hasher_add(&h, data, cut);
        hasher_add(&h, data + cut, sizeof(data) - cut);
        struct hash parts = hasher_done(&h);
        assert_true(hash_equal(&whole, &parts));
    }
}

/* Numbers are eight little-endian bytes and strings carry their length, so that neighbours in a
 * record cannot flow into each other. */
static void typed_items(void **state)
{
    struct hasher h;
    hasher_init(&h);
    hasher_add_u64(&h, 0x0102030405060708u);
    hasher_add_str(&h, "ab");
    struct hash typed = hasher_done(&h);
    struct hash bytes = hash_of("\x08\7\6\5\4\3\2\1\2\0\0\0\0\0\0\0ab", 18);
    assert_true(hash_equal(&typed, &bytes));

    hasher_init(&h);
    hasher_add_str(&h, "a");
    hasher_add_str(&h, "bc");
    struct hash one = hasher_done(&h);
    hasher_init(&h);
    hasher_add_str(&h, "ab");
    hasher_add_str(&h, "c");
    struct hash other = hasher_done(&h);
    assert_false(hash_equal(&one, &other));
}

static void hexadecimal(void **state)
{
    struct hash h = hash_of("abc", 3), parsed = {{1}}, before = parsed;
    char hex[HASH_HEX + 1];
    assert_true(hash_parse(abc_hex, &parsed));
    assert_true(hash_equal(&h, &parsed));
    for (size_t i = 0; i < HASH_HEX; i++)
        hex[i] = abc_hex[i] >= 'a' ? (char)(abc_hex[i] - 'a' + 'A') : abc_hex[i];
    assert_true(hash_parse(hex, &parsed));
    assert_true(hash_equal(&h, &parsed));

    parsed = before;
    for (size_t n = 0; n < 64; n++) { /* truncated everywhere */
        memcpy(hex, abc_hex, HASH_HEX);
        hex[n] = '\0';
        assert_false(hash_parse(hex, &parsed));
        hex[n] = 'g';
        assert_false(hash_parse(hex, &parsed));
    }
    memcpy(hex, abc_hex, HASH_HEX);
    hex[64] = '0';
    hex[65] = '\0';
    assert_false(hash_parse(hex, &parsed));
    assert_true(hash_equal(&parsed, &before)); /* untouched on failure */

    struct hash zero = {{0}};
    assert_true(hash_is_zero(&zero));
    zero.b[31] = 1;
    assert_false(hash_is_zero(&zero));
}

/* RFC 3720, B.4, and the usual check value. */
static void crc32c_known_answers(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++) {
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    const struct {
        const void *data;
        size_t n;
        uint32_t crc;
    } known[] = {{"", 0, 0}, {"123456789", 9, 0xE3069283u}, {zeros, 32, 0x8a9136aau},
        {ones, 32, 0x62a8ab43u}, {up, 32, 0x46dd794eu}, {down, 32, 0x113fdb5cu}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_int_equal(crc32c(0, known[i].data, known[i].n), known[i].crc);
        assert_int_equal(crc32c_portable(0, known[i].data, known[i].n), known[i].crc);
    }
}

static void crc32c_twins_agree(void **state)
{
    uint8_t data[256];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * i + 3);
    for (size_t start = 0; start < 9; start++) {
        for (size_t n = 0; n + start <= 100; n++) {
            uint32_t whole = crc32c(0, data + start, n);
            assert_int_equal(whole, crc32c_portable(0, data + start, n));
            size_t cut = n / 3;
            uint32_t head = crc32c(0, data + start, cut);
            assert_int_equal(whole, crc32c(head, data + start + cut, n - cut));
            assert_int_equal(whole, crc32c_portable(head, data + start + cut, n - cut));
        }
    }
}

static void crc32c_sees_each_flipped_bit(void **state)
{
    uint8_t data[64] = {1, 2, 3};
    uint32_t good = crc32c(0, data, sizeof(data));
    for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(crc32c(0, data, sizeof(data)), good);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blake2b_known_answers),
        cmocka_unit_test(pieces_equal_the_whole),
        cmocka_unit_test(typed_items),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(crc32c_known_answers),
        cmocka_unit_test(crc32c_twins_agree),
        cmocka_unit_test(crc32c_sees_each_flipped_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
