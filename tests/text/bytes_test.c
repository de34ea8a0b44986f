/* bytes_test.c: byte-level BPE against golden encodings of Hugging Face `tokenizers`, what it must
 * refuse, and words whose length would hurt. Argument: bytes_golden.json.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/text/bpe.h"
#include "common/text/tokenizer.h"
#include "tests/assert_ok.h"

static json_t *golden; /* the families */

static struct tokenizer *parse(const json_t *file)
{
    struct tokenizer *t = NULL;
    struct err err;
    CLEANUP_FREE char *text = json_dumps(file, JSON_COMPACT);
    assert_ok(tokenizer_parse(text, strlen(text), "golden", &t, &err));
    return t;
}

static void check_case(const struct tokenizer *t, const char *family, const json_t *item)
{
    CLEANUP_BUF struct buf ids = {0}, back = {0};
    struct err err;
    const json_t *text = json_object_get(item, "text"), *want = json_object_get(item, "ids");
    assert_ok(tokenizer_encode(t, json_string_value(text), json_string_length(text), &ids, &err));
    const uint32_t *id = (const uint32_t *)(const void *)ids.data;
    bool same = ids.len / 4 == json_array_size(want);
    for (size_t k = 0; k < json_array_size(want) && same; k++)
        same = id[k] == json_integer_value(json_array_get(want, k));
    if (!same) {
        for (size_t k = 0; k < ids.len / 4; k++)
            fprintf(stderr, "%u ", (unsigned)id[k]);
        fail_msg("%s: '%s'", family, json_string_value(text));
    }
    const json_t *wanted = json_object_get(item, "back");
    tokenizer_decode(t, id, ids.len / 4, &back);
    assert_int_equal(back.len, json_string_length(wanted));
    if (back.len > 0)
        assert_memory_equal(back.data, json_string_value(wanted), back.len);
}

static void golden_encodings_are_equal(void **state)
{
    json_t *family, *item;
    size_t i, k;
    assert_int_equal(json_array_size(golden), 5);
    json_array_foreach(golden, i, family)
    {
        struct tokenizer *t = parse(json_object_get(family, "tokenizer"));
        const char *name = json_string_value(json_object_get(family, "name"));
        assert_true(json_array_size(json_object_get(family, "cases")) > 150);
        json_array_foreach(json_object_get(family, "cases"), k, item) check_case(t, name, item);
        tokenizer_free(t);
    }
}

/* The definition, word for word: of all pairs the one of the lowest rank, the leftmost, again. */
static size_t merge_slowly(const uint32_t (*merges)[3], size_t count, uint32_t *ids, size_t n)
{
    for (;;) {
        size_t best = count, at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            for (size_t m = 0; m < best; m++) {
                if (merges[m][0] == ids[i] && merges[m][1] == ids[i + 1]) {
                    best = m;
                    at = i;
                }
            }
        }
        if (best == count)
            return n;
        ids[at] = merges[best][2];
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof(*ids));
        n--;
    }
}

static void merging_is_as_defined(void **state)
{
    enum { SYMBOLS = 3, MERGES = 12, WORD = 90 };
    struct rng rng = rng_stream((struct rng_key){.seed = 1, .domain = RNG_USER});
    for (int round = 0; round < 300; round++) {
        uint32_t merges[MERGES][3], fast[WORD], slow[WORD];
        size_t count = 0;
        struct bpe *b = bpe_new(MERGES);
        while (count < MERGES) {
            uint32_t known = SYMBOLS + (uint32_t)count;
            uint32_t left = (uint32_t)rng_below(&rng, known),
                     right = (uint32_t)rng_below(&rng, known);
            bool again = false;
            for (size_t m = 0; m < count; m++)
                again |= merges[m][0] == left && merges[m][1] == right;
            if (again)
                continue;
            memcpy(merges[count], (uint32_t[3]){left, right, known}, sizeof(merges[0]));
            bpe_add(b, left, right, known);
            count++;
        }
        size_t n = rng_below(&rng, WORD);
        for (size_t i = 0; i < n; i++)
            fast[i] = slow[i] = (uint32_t)rng_below(&rng, SYMBOLS);
        size_t got = bpe_merge(b, fast, n);
        assert_int_equal(got, merge_slowly((const uint32_t(*)[3])merges, count, slow, n));
        if (got > 0)
            assert_memory_equal(fast, slow, got * sizeof(*fast));
        bpe_free(b);
    }
}

/* Words of a million letters, spaces, and marks: no step may look at all of one again. */
static void long_words_end(void **state)
{
    static const char *const units[] = {"a", " ", "\xcc\x88", "1", "!", "\n"};
    enum { BYTES = 1 << 20 };
    json_t *family;
    size_t f;
    json_array_foreach(golden, f, family)
    {
        struct tokenizer *t = parse(json_object_get(family, "tokenizer"));
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            CLEANUP_BUF struct buf text = {0}, ids = {0}, back = {0};
            struct err err;
            while (text.len < BYTES)
                buf_puts(&text, units[i]);
            assert_ok(tokenizer_encode(t, text.data, text.len, &ids, &err));
            tokenizer_decode(t, (const uint32_t *)(const void *)ids.data, ids.len / 4, &back);
            assert_int_equal(back.len, text.len);
            assert_memory_equal(back.data, text.data, text.len);
        }
        tokenizer_free(t);
    }
}

/* Changes one part of the first family's file; the file must then be refused, and say why. */
static void unknown_parts_are_refused_by_name(void **state)
{
    static const struct {
        const char *part, *json, *says;
    } cases[] = {
        {"normalizer", "{\"type\":\"NFKC\"}", "normalizer: 'NFKC'"},
        {"normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"}]}",
            "normalizer: 'Lowercase'"},
        {"pre_tokenizer", "null", "pre_tokenizer"},
        {"pre_tokenizer", "{\"type\":\"Whitespace\"}", "'Whitespace'"},
        {"pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}",
            "add_prefix_space: true"},
        {"pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[]}", "empty Sequence"},
        {"pre_tokenizer", "{\"type\":\"Digits\"}", "'Digits'"},
        {"pre_tokenizer",
            "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
            "\"(\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_"
            "prefix_space\":false}]}",
            "pattern '('"},
        {"pre_tokenizer",
            "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
            "\"a\"},\"behavior\":\"Removed\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_"
            "prefix_space\":false}]}",
            "not Isolated"},
        {"model",
            "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"<|endoftext|>\":2},\"merges\":[\"a "
            "b\"]}",
            "'ab' or a part of it"},
        {"model", "{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}", "two tokens"},
        {"model", "{\"type\":\"BPE\",\"vocab\":{\"a b\":0},\"merges\":[]}", "U+0020"},
        {"model", "{\"type\":\"BPE\",\"vocab\":{\"\xe2\x82\xac\":0},\"merges\":[]}", "U+20AC"},
        {"model", "{\"type\":\"Unigram\",\"vocab\":[]}", "Unigram"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *file = json_deep_copy(json_object_get(json_array_get(golden, 0), "tokenizer"));
        json_t *part = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        assert_non_null(part);
        (void)json_object_set_new(file, cases[i].part, part);
        if (strcmp(cases[i].part, "model") == 0)
            (void)json_object_set_new(file, "added_tokens", json_array());
        CLEANUP_FREE char *text = json_dumps(file, JSON_COMPACT);
        struct tokenizer *t = NULL;
        struct err err = {0};
        int r = tokenizer_parse(text, strlen(text), "file.json", &t, &err);
        if (r != ERR_DATA || strstr(err.msg, cases[i].says) == NULL)
            fail_msg("case %zu: code %d, '%s', expected '%s'", i, r, err.msg, cases[i].says);
        json_decref(file);
    }
}

/* A token that is looked for in normalized text, and is none itself, would never be found. */
static void a_token_that_is_no_nfc_is_refused(void **state)
{
    json_t *file = json_deep_copy(json_object_get(json_array_get(golden, 1), "tokenizer"));
    json_t *added = json_object_get(file, "added_tokens");
    size_t vocab = json_object_size(json_object_get(json_object_get(file, "model"), "vocab"));
    size_t outside = 0;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *id = json_object_get(json_array_get(added, i), "id");
        outside += json_integer_value(id) >= (json_int_t)vocab;
    }
    (void)json_array_append_new(
        added, json_pack("{s:I, s:s, s:b}", "id", (json_int_t)(vocab + outside), "content",
                   "e\xcc\x81", "normalized", 1));
    CLEANUP_FREE char *text = json_dumps(file, JSON_COMPACT);
    struct tokenizer *t = NULL;
    struct err err;
    assert_int_equal(tokenizer_parse(text, strlen(text), "f", &t, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "no NFC"));
    json_decref(file);
}

/* A small vocabulary may lack bytes; text with them has no encoding. */
static void a_byte_without_a_token_is_named(void **state)
{
    static const char text[] =
        "{\"decoder\":{\"type\":\"ByteLevel\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_"
        "prefix_space\":false},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
        "\"merges\":[\"a b\"]}}";
    struct tokenizer *t = NULL;
    CLEANUP_BUF struct buf ids = {0};
    struct err err;
    assert_ok(tokenizer_parse(text, sizeof(text) - 1, "f", &t, &err));
    assert_ok(tokenizer_encode(t, "abba", 4, &ids, &err));
    static const uint32_t want[] = {2, 1, 0};
    assert_int_equal(ids.len, sizeof(want));
    assert_memory_equal(ids.data, want, sizeof(want));
    assert_int_equal(tokenizer_encode(t, "ab cab", 6, &ids, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "byte 0x20"));
    assert_int_equal(tokenizer_encode(t, "ab\xff", 3, &ids, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "0xff at 2"));
    assert_int_equal(ids.len, sizeof(want));
    tokenizer_free(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_encodings_are_equal),
        cmocka_unit_test(merging_is_as_defined),
        cmocka_unit_test(long_words_end),
        cmocka_unit_test(unknown_parts_are_refused_by_name),
        cmocka_unit_test(a_token_that_is_no_nfc_is_refused),
        cmocka_unit_test(a_byte_without_a_token_is_named),
    };
    json_t *root = argc > 1 ? json_load_file(argv[1], JSON_ALLOW_NUL, NULL) : NULL;
    golden = json_object_get(root, "families");
    if (golden == NULL) {
        fprintf(stderr, "usage: %s bytes_golden.json\n", argv[0]);
        return 2;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(root);
    return failed;
}
