/* tokenizer_test.c: the character tokenizer against golden encodings of Hugging Face `tokenizers`,
 * round trips of random text, and files that must be refused. Arguments: tokenizer_golden.json
 * [SEED].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/text/tokenizer.h"
#include "common/text/utf8.h"
#include "proto/limits.h"

static const char *golden_path;
static uint64_t seed = 1;

static struct tokenizer *make(const char *characters, const char *const *added, size_t n)
{
    CLEANUP_BUF struct buf json = {0};
    struct tokenizer *t = NULL;
    struct err e;
    assert_int_equal(tokenizer_make_chars(characters, added, n, &json, &e), 0);
    assert_int_equal(tokenizer_parse((const char *)json.data, json.len, "made", &t, &e), 0);
    assert_int_equal(tokenizer_json(t)->len, json.len);
    assert_memory_equal(tokenizer_json(t)->data, json.data, json.len);
    return t;
}

static void golden_encodings_are_equal(void **state)
{
    CLEANUP_BUF struct buf file = {0};
    struct err e;
    assert_int_equal(file_read(golden_path, 4 << 20, &file, &e), 0);
    json_t *root = json_loadb((const char *)file.data, file.len, 0, NULL), *item;
    assert_non_null(root);
    char *text = json_dumps(json_object_get(root, "tokenizer"), 0);
    struct tokenizer *t = NULL;
    assert_int_equal(tokenizer_parse(text, strlen(text), "golden", &t, &e), 0);
    json_t *cases = json_object_get(root, "cases"), *id;
    assert_true(json_array_size(cases) > 100);
    size_t i, k;
    json_array_foreach(cases, i, item)
    {
        CLEANUP_BUF struct buf ids = {0};
        const json_t *s = json_object_get(item, "text"), *want = json_object_get(item, "ids");
        assert_int_equal(
            tokenizer_encode(t, json_string_value(s), json_string_length(s), &ids, &e), 0);
        assert_int_equal(ids.len / 4, json_array_size(want));
        json_array_foreach(want, k, id)
        {
            uint32_t got;
            memcpy(&got, ids.data + 4 * k, 4);
            assert_int_equal(got, json_integer_value(id));
        }
    }
    free(text);
    json_decref(root);
    tokenizer_free(t);
}

/* The file that we write today is the one that was verified. */
static void golden_file_is_what_is_made(void **state)
{
    CLEANUP_BUF struct buf file = {0};
    struct err e;
    assert_int_equal(file_read(golden_path, 4 << 20, &file, &e), 0);
    json_t *root = json_loadb((const char *)file.data, file.len, 0, NULL);
    const json_t *added = json_object_get(root, "added");
    const char *tokens[32];
    size_t n = json_array_size(added);
    assert_in_range(n, 1, 32);
    for (size_t i = 0; i < n; i++)
        tokens[i] = json_string_value(json_array_get(added, i));
    CLEANUP_BUF struct buf made = {0};
    assert_int_equal(tokenizer_make_chars(json_string_value(json_object_get(root, "characters")),
                         tokens, n, &made, &e),
        0);
    json_t *ours = json_loadb((const char *)made.data, made.len, 0, NULL);
    assert_true(json_equal(ours, json_object_get(root, "tokenizer")));
    json_decref(ours);
    json_decref(root);
}

static void decode_of_encode_is_the_text(void **state)
{
    static const char *const added[] = {"<|end|>", "ab", "abc", "b", "\xc3\xa9\xc3\xa9", "<a>"};
    static const char *const pieces[] = {"a", "c", "<", ">", "\xc3\xa9", "\xf0\x9d\x95\x8f", "ab",
        "abc", "b", "\xc3\xa9\xc3\xa9", "<a>", "<|end|>"};
    struct tokenizer *t = make("ac<>\xc3\xa9\xf0\x9d\x95\x8f", added, ARRAY_LEN(added));
    struct rng rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (int round = 0; round < 2000; round++) {
        CLEANUP_BUF struct buf text = {0}, ids = {0}, back = {0};
        struct err e;
        for (uint64_t n = rng_below(&rng, 20); n > 0; n--)
            buf_puts(&text, pieces[rng_below(&rng, ARRAY_LEN(pieces))]);
        assert_int_equal(tokenizer_encode(t, text.data, text.len, &ids, &e), 0);
        tokenizer_decode(t, (const uint32_t *)(const void *)ids.data, ids.len / 4, &back);
        assert_int_equal(back.len, text.len);
        if (text.len > 0)
            assert_memory_equal(back.data, text.data, text.len);
    }
    tokenizer_free(t);
}

static void longest_added_token_wins(void **state)
{
    static const char *const added[] = {"<|end|>", "s", "step", "steps"};
    struct tokenizer *t = make("tep1", added, ARRAY_LEN(added));
    CLEANUP_BUF struct buf ids = {0};
    struct err e;
    assert_int_equal(tokenizer_encode(t, "steps1steptss", 13, &ids, &e), 0);
    static const uint32_t want[] = {3, 7, 2, 4, 1, 1};
    assert_int_equal(ids.len, sizeof(want));
    assert_memory_equal(ids.data, want, sizeof(want));
    assert_int_equal(tokenizer_size(t), 8);
    assert_int_equal(tokenizer_id(t, "steps"), 3);
    assert_int_equal(tokenizer_id(t, "<|end|>"), 0);
    assert_int_equal(tokenizer_id(t, "1"), 7);
    assert_int_equal(tokenizer_id(t, "2"), -1);
    assert_int_equal(tokenizer_id(t, ""), -1);
    /* A token that goes on after the end of the text is none of its tokens. */
    buf_clear(&ids);
    assert_int_equal(tokenizer_encode(t, "steps", 4, &ids, &e), 0);
    static const uint32_t shorter[] = {2};
    assert_int_equal(ids.len, sizeof(shorter));
    assert_memory_equal(ids.data, shorter, sizeof(shorter));
    tokenizer_free(t);
}

static void unknown_ids_become_replacement_characters(void **state)
{
    static const char *const added[] = {"<|end|>"};
    static const uint32_t ids[] = {1, 2, UINT32_MAX, 1};
    struct tokenizer *t = make("x", added, 1);
    CLEANUP_BUF struct buf text = {0};
    tokenizer_decode(t, ids, 4, &text);
    assert_string_equal((const char *)text.data, "x\xef\xbf\xbd\xef\xbf\xbdx");
    tokenizer_free(t);
}

static void unknown_characters_are_named_with_their_place(void **state)
{
    static const char *const added[] = {"<|end|>"};
    struct tokenizer *t = make("ab", added, 1);
    CLEANUP_BUF struct buf ids = {0};
    struct err e;
    buf_puts(&ids, "kept");
    assert_int_equal(tokenizer_encode(t, "ab\xc3\xa9", 4, &ids, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "U+00E9 at byte 2"));
    assert_int_equal(tokenizer_encode(t, "a\xff", 2, &ids, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "0xff at 1"));
    assert_int_equal(tokenizer_encode(t, "a\0b", 3, &ids, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "U+0000 at byte 1"));
    assert_int_equal(ids.len, 4);
    tokenizer_free(t);
}

static void making_refuses_what_cannot_be_told_apart(void **state)
{
    static const char *const end[] = {"<|end|>"};
    static const char *const twice[] = {"<|end|>", "x", "x"};
    static const char *const empty[] = {""};
    static const struct {
        const char *characters;
        const char *const *added;
        size_t n;
        const char *says;
    } cases[] = {
        {"aa", end, 1, "'a': given twice"},
        {"ax", twice, 2, "'x': given twice"},
        {"a", twice, 3, "'x': given twice"},
        {"a", empty, 1, "empty"},
        {"a\xff", end, 1, "0xff at 1"},
        {"a", NULL, 0, "no added token"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_BUF struct buf out = {0};
        struct err e;
        assert_int_equal(
            tokenizer_make_chars(cases[i].characters, cases[i].added, cases[i].n, &out, &e),
            ERR_DATA);
        assert_non_null(strstr(e.msg, cases[i].says));
        assert_int_equal(out.len, 0);
    }
}

/* A file with one part replaced; every such part must be refused by its name. */
#define FILE_WITH(before, added, vocab, merges)                                                    \
    "{" before "\"added_tokens\":[" added "],\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab        \
    "},\"merges\":[" merges "]}}"
#define ADDED(id, content) "{\"id\":" id ",\"content\":\"" content "\"}"

static void broken_files_are_refused_by_name(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"", "line"},
        {"[]", "expected an object"},
        {"{\"model\":3}", "model.type"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", "WordLevel"},
        {"{\"model\":{\"type\":\"BPE\"}}", "model.vocab"},
        {FILE_WITH("", "", "", ""), "0 tokens"},
        {FILE_WITH("", "", "\"a\":0,\"b\":2", ""), "below 2"},
        {FILE_WITH("", "", "\"a\":-1", ""), "below 1"},
        {FILE_WITH("", "", "\"a\":0.5", ""), "integer"},
        {FILE_WITH("", "", "\"a\":0,\"b\":0", ""), "id 0: both 'a' and 'b'"},
        {FILE_WITH("", "", "\"ab\":0", ""), "'ab' is neither"},
        {FILE_WITH("", "", "\"\":0", ""), "empty"},
        {FILE_WITH("", "", "\"a\":0,\"a\":1", ""), "duplicate"},
        {FILE_WITH("", "", "\"a\\u0000\":0", ""), "NUL"},
        {FILE_WITH("", "", "\"a\":0", "\"a a\""), "model.merges"},
        {FILE_WITH("\"normalizer\":{\"type\":\"NFC\"},", "", "\"a\":0", ""),
            "tokenizer.normalizer"},
        {FILE_WITH("\"pre_tokenizer\":{\"type\":\"ByteLevel\"},", "", "\"a\":0", ""),
            "pre_tokenizer"},
        {FILE_WITH("\"post_processor\":1,", "", "\"a\":0", ""), "post_processor"},
        {FILE_WITH("\"decoder\":{\"type\":\"WordPiece\"},", "", "\"a\":0", ""), "decoder"},
        {FILE_WITH("\"surprise\":1,", "", "\"a\":0", ""), "'surprise'"},
        {FILE_WITH("", "3", "\"a\":0", ""), "expected an object"},
        {FILE_WITH("", "{\"id\":0}", "\"a\":0", ""), "content"},
        {FILE_WITH("", ADDED("1", "a"), "\"a\":0", ""), "differs"},
        {FILE_WITH("", ADDED("0", "x"), "\"a\":0", ""), "both"},
        {FILE_WITH("", ADDED("1", "x") "," ADDED("1", "x"), "\"a\":0", ""), "twice"},
        {FILE_WITH("", "{\"id\":1,\"content\":\"x\",\"lstrip\":true}", "\"a\":0", ""), "lstrip"},
        {"{\"added_tokens\":{},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}",
            "expected a list"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"byte_fallback\":true}}",
            "byte_fallback"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"}}", "unk_token"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tokenizer *t = NULL;
        struct err e = {0};
        int r = tokenizer_parse(cases[i].json, strlen(cases[i].json), "file.json", &t, &e);
        if (r != ERR_DATA || strstr(e.msg, cases[i].says) == NULL ||
            strstr(e.msg, "file.json") == NULL)
            fail_msg("case %zu: code %d, message '%s', expected '%s'", i, r, e.msg, cases[i].says);
        assert_null(t);
    }
}

static void added_tokens_may_stand_outside_the_vocabulary(void **state)
{
    static const char text[] = FILE_WITH("", ADDED("1", "xy"), "\"x\":0", "");
    struct tokenizer *t = NULL;
    CLEANUP_BUF struct buf ids = {0};
    struct err e;
    assert_int_equal(tokenizer_parse(text, sizeof(text) - 1, "f", &t, &e), 0);
    assert_int_equal(tokenizer_encode(t, "xxy", 3, &ids, &e), 0);
    static const uint32_t want[] = {0, 1};
    assert_memory_equal(ids.data, want, sizeof(want));
    tokenizer_free(t);
}

/* Every prefix of a good file is an error, not a crash. */
static void truncated_files_are_refused(void **state)
{
    static const char *const added[] = {"<|end|>", "<think>"};
    CLEANUP_BUF struct buf json = {0};
    struct err e;
    assert_int_equal(tokenizer_make_chars("01", added, 2, &json, &e), 0);
    for (size_t n = 0; n + 2 < json.len; n++) { /* without its final brace and newline */
        struct tokenizer *t = NULL;
        assert_int_equal(tokenizer_parse((const char *)json.data, n, "f", &t, &e), ERR_DATA);
    }
}

static void loads_from_a_model_directory(void **state)
{
    char dir[] = "/tmp/tokenizer_test.XXXXXX";
    static const char *const added[] = {"<|end|>"};
    CLEANUP_BUF struct buf json = {0};
    struct tokenizer *t = NULL;
    struct err e;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(tokenizer_load(dir, &t, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, dir));
    CLEANUP_FREE char *path = mem_printf("%s/tokenizer.json", dir);
    assert_int_equal(tokenizer_make_chars("01", added, 1, &json, &e), 0);
    assert_int_equal(file_write_atomic(path, json.data, json.len, &e), 0);
    assert_int_equal(tokenizer_load(dir, &t, &e), 0);
    assert_int_equal(tokenizer_size(t), 3);
    tokenizer_free(t);
    assert_int_equal(file_remove_tree(dir, &e), 0);
}

static void utf8_is_strict(void **state)
{
    static const struct {
        const char *bytes;
        size_t n, want;
        uint32_t cp;
    } cases[] = {
        {"", 0, 0, 0},
        {"a", 1, 1, 'a'},
        {"\0", 1, 1, 0},
        {"\xc3\xa9", 2, 2, 0xe9},
        {"\xc3\xa9", 1, 0, 0},
        {"\xe2\x82\xac", 3, 3, 0x20ac},
        {"\xe2\x82\xac", 2, 0, 0},
        {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
        {"\xf4\x90\x80\x80", 4, 0, 0},
        {"\xc0\x80", 2, 0, 0},
        {"\xe0\x80\x80", 3, 0, 0},
        {"\xed\xa0\x80", 3, 0, 0},
        {"\x80", 1, 0, 0},
        {"\xff", 1, 0, 0},
        {"\xf8\x88\x80\x80\x80", 5, 0, 0},
        {"\xc3(", 2, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t cp = 0;
        assert_int_equal(utf8_next(cases[i].bytes, cases[i].n, &cp), cases[i].want);
        assert_int_equal(cp, cases[i].cp);
    }
    assert_true(utf8_valid("a\xc3\xa9", 3));
    assert_false(utf8_valid("a\xc3", 2));
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4, 4), 4);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4, 3), 1);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4, 2), 1);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4, 1), 1);
    assert_int_equal(utf8_cut("a\xe2\x82\xac", 4, 0), 0);
    assert_int_equal(utf8_cut("\x80\x80\x80\x80\x80\x80", 6, 5), 5);
}

int main(int argc, char **argv)
{
    golden_path = argc > 1 ? argv[1] : "tokenizer_golden.json";
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : seed;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_encodings_are_equal),
        cmocka_unit_test(golden_file_is_what_is_made),
        cmocka_unit_test(decode_of_encode_is_the_text),
        cmocka_unit_test(longest_added_token_wins),
        cmocka_unit_test(unknown_ids_become_replacement_characters),
        cmocka_unit_test(unknown_characters_are_named_with_their_place),
        cmocka_unit_test(making_refuses_what_cannot_be_told_apart),
        cmocka_unit_test(broken_files_are_refused_by_name),
        cmocka_unit_test(added_tokens_may_stand_outside_the_vocabulary),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(loads_from_a_model_directory),
        cmocka_unit_test(utf8_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
