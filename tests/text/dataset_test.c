/* dataset_test.c: every row layout, what is refused, splits and keys. The published files
 * themselves are read by dataset_files_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/text/dataset.h"
#include "proto/limits.h"

static int parse(const char *text, const char *format, struct dataset **ret, struct err *e)
{
    return dataset_parse(text, strlen(text), "x.jsonl", format, SPLIT_ALL, 0, ret, e);
}

static const struct {
    const char *line, *format;
    struct dataset_row want;
} layouts[] = {
    {"{\"prompt\":\"1=\",\"completion\":\"ok\"}", "demos", {"0", "1=", "ok", NULL, "{}"}},
    {"{\"question\":\"How?\",\"answer\":\"So.\\n#### $1,234\"}", "gsm8k",
        {"0", "How?", NULL, "1234", "{\"answer\":\"1234\"}"}},
    {"{\"question\":\"How?\",\"answer\":\"#### 5\\n#### -7 \\nmore\"}", "gsm8k",
        {"0", "How?", NULL, "-7", "{\"answer\":\"-7\"}"}},
    {"{\"question\":\"How?\",\"answer\":\"#### 5\\r\\nmore\"}", "gsm8k",
        {"0", "How?", NULL, "5", "{\"answer\":\"5\"}"}},
    {"{\"problem\":\"P\",\"solution\":\"\\\\boxed{1} and "
     "\\\\boxed{\\\\frac{3}{4}}.\",\"unique_id\":\"a/1\"}",
        "math",
        {"a/1", "P", NULL, "\\boxed{1} and \\boxed{\\frac{3}{4}}",
            "{\"answer\":\"\\\\boxed{1} and \\\\boxed{\\\\frac{3}{4}}\"}"}},
    {"{\"id\":60,\"problem\":\"P\",\"question\":\"P\",\"answer\":\"204\",\"solution\":"
     "\"none\"}",
        "math", {"60", "P", NULL, "204", "{\"answer\":\"204\"}"}},
    {"{\"id\":0,\"problem\":\"P\",\"answer\":27.0}", "math",
        {"0", "P", NULL, "27", "{\"answer\":\"27\"}"}},
    {"{\"problem\":\"P\",\"answer\":0.1}", "math", {"0", "P", NULL, "0.1", "{\"answer\":\"0.1\"}"}},
    {"{\"problem\":\"P\",\"answer\":-3}", "math", {"0", "P", NULL, "-3", "{\"answer\":\"-3\"}"}},
    {"{\"task_id\":\"H/0\",\"prompt\":\"def "
     "f():\\n\",\"entry_point\":\"f\",\"canonical_solution\":\"\",\"test\":\"def "
     "check(c): pass\"}",
        "humaneval",
        {"H/0", "def f():\n", NULL, NULL,
            "{\"language\":\"python\",\"entry_point\":\"f\",\"prefix\":\"def "
            "f():\\n\",\"tests\":[{\"check\":\"def check(c): pass\"}]}"}},
    {"{\"text\":\"Add.\",\"task_id\":7,\"code\":\"\",\"test_setup_code\":\"\",\"test_list\":["
     "\"assert f(1) == "
     "2\",\"assert f(2) == 3\"],\"challenge_test_list\":[]}",
        "mbpp",
        {"7", "Add.\nYour code should pass these tests:\nassert f(1) == 2\nassert f(2) == 3\n",
            NULL, NULL,
            "{\"language\":\"python\",\"tests\":[{\"assert\":\"assert f(1) == "
            "2\"},{\"assert\":\"assert f(2) "
            "== 3\"}]}"}},
    {"{\"prompt\":\"Add.\",\"test_imports\":[\"import "
     "math\",\"import re\"],\"test_list\":[\"assert f(1)\"]}",
        "mbpp",
        {"0", "Add.\nYour code should pass these tests:\nassert f(1)\n", NULL, NULL,
            "{\"language\":\"python\",\"tests\":[{\"assert\":\"assert "
            "f(1)\"}],\"setup\":\"import "
            "math\\nimport re\"}"}},
    {"{\"prompt\":\"P\",\"entry_point\":\"f\",\"canonical_solution\":\"S\",\"test\":\"T\"}",
        "humaneval",
        {"0", "P", NULL, NULL,
            "{\"language\":\"python\",\"entry_point\":\"f\",\"prefix\":\"P\",\"tests\":[{\"check\":"
            "\"T\"}],\"solution\":\"S\"}"}},
    {"{\"id\":4,\"question\":\"Q\",\"starter_code\":\"\",\"solutions\":\"[\\\"S\\\",\\\"T\\\"]\","
     "\"input_output\":"
     "\"{\\\"inputs\\\":[\\\"1\\\\n\\\",[\\\"a\\\",\\\"b\\\"]],\\\"outputs\\\":[\\\"2\\\",["
     "\\\"c\\\"]]}\"}",
        "apps",
        {"4", "Q", NULL, NULL,
            "{\"language\":\"python\",\"tests\":[{\"stdin\":\"1\\n\",\"stdout\":\"2\"},{\"stdin\":"
            "\"a\\nb\\n\",\"stdout\":\"c\\n\"}],\"solution\":\"S\"}"}},
    {"{\"question\":\"Q\",\"starter_code\":\"class Solution:\",\"input_output\":{\"fn_name\":\"f\","
     "\"inputs\":[[1,[2]],[3,[]]],\"outputs\":[[4],5]}}",
        "apps",
        {"0", "Q\n\nclass Solution:", NULL, NULL,
            "{\"language\":\"python\",\"tests\":[{\"args\":[1,[2]],\"expected_any\":[4,[4]]},{"
            "\"args\":[3,[]],\"expected_any\":[5]}],\"entry_point\":\"f\",\"prefix\":\"from typing "
            "import *\\nfrom collections import *\\nimport bisect, collections, functools, heapq, "
            "itertools, math, operator, random, re, string\\n\"}"}},
    {"{\"nums\":[19,36,55],\"target\":-98}", "countdown",
        {"0",
            "Using the numbers [19, 36, 55], create an expression that equals -98. Use the "
            "operations + - * / "
            "and parentheses; each number must be used exactly once",
            NULL, NULL, "{\"nums\":[19,36,55],\"target\":-98}"}},
    {"{\"prompt\":\"1=\",\"answer\":\"1\",\"scorer\":\"exact\"}", "tasks",
        {"0", "1=", NULL, "1", "{\"scorer\":\"exact\",\"answer\":\"1\"}"}},
    {"{\"id\":\"k\",\"prompt\":\"sort\",\"language\":\"c\",\"setup\":\"s\",\"entry_point\":"
     "\"f\",\"tests\":[{\"stdin\":"
     "\"1\",\"stdout\":\"2\"},{\"stdout\":\"\"},{\"assert\":\"f(1) == 2\"}]}",
        "tasks",
        {"k", "sort", NULL, NULL,
            "{\"language\":\"c\",\"tests\":[{\"stdin\":\"1\",\"stdout\":\"2\"},{\"stdout\":"
            "\"\"},{\"assert\":\"f(1)"
            " == 2\"}],\"entry_point\":\"f\",\"setup\":\"s\"}"}},
    {"{\"prompt\":\"Which?\",\"answer\":\"B\",\"choices\":[\"x\",\"y\"],\"think_language\":null}",
        "tasks", {"0", "Which?", NULL, "B", "{\"choices\":[\"x\",\"y\"],\"answer\":\"B\"}"}},
    {"{\"question\":\"How?\",\"answer\":\"#### 5\",\"think_language\":\"de\",\"choices\":7}",
        "gsm8k", {"0", "How?", NULL, "5", "{\"think_language\":\"de\",\"answer\":\"5\"}"}},
};

static void layouts_become_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        static const char *const asked[] = {"auto", NULL};
        for (size_t k = 0; k < ARRAY_LEN(asked); k++) {
            struct dataset *d = NULL;
            struct err e = {0};
            if (parse(layouts[i].line, asked[k] != NULL ? asked[k] : layouts[i].format, &d, &e) !=
                0)
                fail_msg("case %zu: %s", i, e.msg);
            const struct dataset_row *row = dataset_row(d, 0), *want = &layouts[i].want;
            assert_string_equal(dataset_format(d), layouts[i].format);
            assert_int_equal(dataset_count(d), 1);
            assert_string_equal(row->key, want->key);
            assert_string_equal(row->prompt, want->prompt);
            assert_string_equal(row->json, want->json);
            assert_int_equal(row->answer == NULL, want->answer == NULL);
            assert_int_equal(row->completion == NULL, want->completion == NULL);
            if (want->answer != NULL)
                assert_string_equal(row->answer, want->answer);
            if (want->completion != NULL)
                assert_string_equal(row->completion, want->completion);
            dataset_free(d);
        }
    }
}

static const struct {
    const char *text, *format, *says;
} bad_rows[] = {
    {"", "auto", "no row among its 0"},
    {"\n \t\r\n", "auto", "no row"},
    {"{\"prompt\":\"a\",\"answer\":\"b\"}\n{", "auto", "'x.jsonl' line 2"},
    {"{\"prompt\":\"a\",\"answer\":\"b\"}\n\n[]", "auto", "line 3: expected a JSON object"},
    {"{} {}", "auto", "end of file expected"},
    {"{}", "auto", "no known format"},
    {"{\"a\":1,\"a\":1}", "auto", "duplicate"},
    {"{\"prompt\":\"\\u0000\",\"answer\":\"b\"}", "auto", "NUL"},
    {"{\"prompt\":\"\xff\",\"answer\":\"b\"}", "auto", "byte 0xff"},
    {"{\"prompt\":\"a\",\"answer\":\"b\"}", "gsm8k",
        "format gsm8k: field 'question': found nothing, expected text"},
    {"{\"question\":\"a\",\"answer\":3}", "gsm8k", "field 'answer': found an integer"},
    {"{\"question\":\"a\",\"answer\":\"b\"}", "gsm8k", "no '####'"},
    {"{\"question\":\"a\",\"answer\":\"b ####  \"}", "gsm8k", "nothing after"},
    {"{\"question\":\"\",\"answer\":\"#### 1\"}", "gsm8k", "empty"},
    {"{\"problem\":\"p\",\"solution\":\"\\\\boxed{1\"}", "math", "no \\boxed"},
    {"{\"problem\":\"p\",\"answer\":null}", "math", "found null"},
    {"{\"problem\":\"p\",\"answer\":\"\"}", "math", "field 'answer'"},
    {"{\"prompt\":\"p\",\"entry_point\":\"f\"}", "humaneval", "field 'test'"},
    {"{\"text\":\"p\",\"test_list\":[]}", "mbpp", "at least one"},
    {"{\"text\":\"p\",\"test_list\":[3]}", "mbpp", "list of text"},
    {"{\"text\":\"p\",\"test_list\":[\"a\"],\"test_imports\":[1]}", "mbpp", "test_imports"},
    {"{\"question\":\"Q\",\"input_output\":\"{\"}", "apps", "0 inputs and 0 outputs"},
    {"{\"question\":\"Q\",\"input_output\":{\"inputs\":[\"1\"],\"outputs\":[]}}", "apps",
        "1 inputs and 0 outputs"},
    {"{\"question\":\"Q\",\"input_output\":{\"inputs\":[1],\"outputs\":[\"1\"]}}", "apps",
        "test 0 is no text"},
    {"{\"question\":\"Q\",\"input_output\":{\"inputs\":[[\"1\",2]],\"outputs\":[\"1\"]}}", "apps",
        "test 0 is no text"},
    {"{\"question\":\"Q\",\"input_output\":{\"fn_name\":\"f\",\"inputs\":[1],\"outputs\":[1]}}",
        "apps", "test 0 is no list of arguments"},
    {"{\"prompt\":\"p\",\"language\":\"c\",\"tests\":[{\"args\":[1]}]}", "tasks", "tests[0]"},
    {"{\"prompt\":\"p\",\"language\":\"c\",\"tests\":[{\"args\":1,\"expected\":1}]}", "tasks",
        "tests[0]"},
    {"{\"prompt\":\"p\",\"language\":\"c\",\"tests\":[{\"args\":[],\"expected_any\":[]}]}", "tasks",
        "tests[0]"},
    {"{\"prompt\":\"p\",\"language\":\"c\",\"tests\":[{\"args\":[],\"expected\":1,"
     "\"expected_any\":[1]}]}",
        "tasks", "tests[0]"},
    {"{\"nums\":[1,\"2\"],\"target\":3}", "countdown", "found text, expected a list of integers"},
    {"{\"nums\":[1,2],\"target\":3.5}", "countdown", "found a number, expected an integer"},
    {"{\"nums\":7,\"target\":3}", "countdown", "nums"},
    {"{\"prompt\":\"p\"}", "tasks", "field 'answer'"},
    {"{\"prompt\":\"p\",\"answer\":true}", "tasks", "found true"},
    {"{\"prompt\":\"p\",\"tests\":[{\"assert\":\"x\"}]}", "tasks", "field 'language'"},
    {"{\"prompt\":\"p\",\"language\":\"c\",\"tests\":[{\"stdin\":\"x\"}]}", "tasks", "tests[0]"},
    {"{\"prompt\":\"p\",\"language\":\"c\",\"tests\":[{\"stdout\":\"x\",\"assert\":\"y\"}]}",
        "tasks", "tests[0]"},
    {"{\"prompt\":\"p\",\"language\":\"c\",\"tests\":[\"x\"]}", "tasks", "tests[0]"},
    {"{\"prompt\":\"p\",\"answer\":\"1\",\"language\":\"c\",\"tests\":[{\"assert\":\"x\"}]}",
        "tasks", "both"},
    {"{\"prompt\":\"p\",\"answer\":\"1\",\"scorer\":5}", "tasks", "field 'scorer'"},
    {"{\"prompt\":\"p\",\"answer\":\"A\",\"choices\":[\"x\",3]}", "tasks", "list of text"},
    {"{\"prompt\":\"p\",\"answer\":\"A\",\"choices\":[\"x\"]}", "tasks", "two texts"},
    {"{\"prompt\":\"p\",\"answer\":\"A\",\"choices\":\"x\"}", "tasks", "two texts"},
    {"{\"problem\":\"p\",\"answer\":\"1\",\"think_language\":4}", "math", "think_language"},
    {"{\"problem\":\"p\",\"answer\":\"1\",\"think_language\":\"\"}", "math", "think_language"},
    {"{\"prompt\":\"p\",\"completion\":\"\"}", "demos", "field 'completion'"},
    {"{\"prompt\":\"p\",\"answer\":\"1\",\"id\":2.5}", "tasks", "field 'id'"},
    {"{\"prompt\":\"p\",\"answer\":\"1\",\"id\":\"\"}", "tasks", "field 'id'"},
    {"{\"prompt\":\"p\",\"answer\":\"1\",\"id\":1}\n{\"prompt\":\"q\",\"answer\":\"1\",\"id\":"
     "\"1\"}",
        "tasks", "row key '1'"},
    {"{\"prompt\":\"p\",\"answer\":\"1\",\"id\":1}\n{\"prompt\":\"q\",\"answer\":\"1\"}", "tasks",
        "row key '1'"},
};

static void bad_rows_stop_with_their_place(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
        struct dataset *d = NULL;
        struct err e = {0};
        int r = parse(bad_rows[i].text, bad_rows[i].format, &d, &e);
        if (r != ERR_DATA || strstr(e.msg, bad_rows[i].says) == NULL ||
            strstr(e.msg, "x.jsonl") == NULL)
            fail_msg(
                "case %zu: code %d, message '%s', expected '%s'", i, r, e.msg, bad_rows[i].says);
        assert_null(d);
    }
}

static void unknown_formats_are_refused(void **state)
{
    struct dataset *d = NULL;
    struct err e;
    assert_int_equal(parse("{}", "gsm9k", &d, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "'gsm9k'"));
}

/* The first row decides; a later row of another layout is a bad row. */
static void detection_is_made_once(void **state)
{
    struct dataset *d = NULL;
    struct err e;
    assert_int_equal(
        parse("{\"nums\":[1],\"target\":1}\n{\"prompt\":\"a\",\"answer\":\"b\"}\n", "auto", &d, &e),
        ERR_DATA);
    assert_non_null(strstr(e.msg, "line 2: format countdown"));
}

static void splits_part_the_rows_by_prompt(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    for (int i = 0; i < 2000; i++)
        buf_printf(&text, "{\"prompt\":\"%d=\",\"answer\":\"1\"}\n", i);
    struct dataset *d[3] = {NULL};
    struct err e;
    for (int split = SPLIT_ALL; split <= SPLIT_HELDOUT; split++)
        assert_int_equal(dataset_parse((const char *)text.data, text.len, "x", "auto",
                             (enum dataset_split)split, 100, &d[split], &e),
            0);
    assert_int_equal(dataset_count(d[SPLIT_ALL]), 2000);
    assert_int_equal(dataset_count(d[SPLIT_TRAIN]) + dataset_count(d[SPLIT_HELDOUT]), 2000);
    assert_in_range(dataset_count(d[SPLIT_HELDOUT]), 150, 250);
    for (size_t i = 0; i < dataset_count(d[SPLIT_HELDOUT]); i++) {
        const struct dataset_row *row = dataset_row(d[SPLIT_HELDOUT], i);
        assert_true(dataset_is_heldout(row->prompt, 100));
        assert_int_equal(
            strtol(row->key, NULL, 10), strtol(row->prompt, NULL, 10)); /* numbers of the file */
    }
    for (size_t i = 0; i < dataset_count(d[SPLIT_TRAIN]); i++)
        assert_false(dataset_is_heldout(dataset_row(d[SPLIT_TRAIN], i)->prompt, 100));
    for (int split = 0; split < 3; split++)
        dataset_free(d[split]);
    assert_false(dataset_is_heldout("1=", 0));
    assert_true(dataset_is_heldout("1=", 1000));
}

/* A share of k per mille takes the hashes below k, not k itself. */
static void the_held_out_share_has_an_exact_bound(void **state)
{
    for (int i = 0; i < 1000; i++) {
        char prompt[16];
        (void)snprintf(prompt, sizeof(prompt), "%d=", i);
        unsigned place = (unsigned)(hash_u64(prompt, strlen(prompt)) % 1000);
        assert_false(dataset_is_heldout(prompt, place));
        assert_true(dataset_is_heldout(prompt, place + 1));
    }
}

static void a_split_without_rows_is_an_error(void **state)
{
    static const char text[] = "{\"prompt\":\"1=\",\"answer\":\"1\"}";
    struct dataset *d = NULL;
    struct err e;
    assert_int_equal(
        dataset_parse(text, sizeof(text) - 1, "x", "auto", SPLIT_HELDOUT, 0, &d, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "held-out"));
    assert_int_equal(
        dataset_parse(text, sizeof(text) - 1, "x", "auto", SPLIT_TRAIN, 1000, &d, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "training"));
}

static const char *write_file(char path[64], const void *data, size_t n)
{
    struct err e;
    (void)snprintf(path, 64, "/tmp/dataset_test.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, data, n, &e), 0);
    file_close(&fd);
    return path;
}

/* A file is read in chunks: rows across their borders, and no newline at its end. */
static void files_and_memory_read_alike(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    char path[64];
    for (int i = 0; i < 3000; i++)
        buf_printf(
            &text, "%s{\"prompt\":\"%0*d=\",\"answer\":\"1\"}", i > 0 ? "\n" : "", 1 + i % 997, i);
    struct dataset *a = NULL, *b = NULL;
    struct err e;
    assert_int_equal(
        dataset_load(write_file(path, text.data, text.len), "auto", SPLIT_ALL, 0, &a, &e), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(
        dataset_parse((const char *)text.data, text.len, "x", "auto", SPLIT_ALL, 0, &b, &e), 0);
    assert_int_equal(dataset_count(a), 3000);
    assert_int_equal(dataset_count(b), 3000);
    for (size_t i = 0; i < 3000; i++) {
        assert_string_equal(dataset_row(a, i)->prompt, dataset_row(b, i)->prompt);
        assert_string_equal(dataset_row(a, i)->key, dataset_row(b, i)->key);
    }
    dataset_free(a);
    dataset_free(b);
}

/* A line of the largest size passes, one more byte does not, with and without its newline. */
static void lines_are_bounded(void **state)
{
    static const char head[] = "{\"answer\":\"1\",\"prompt\":\"", tail[] = "\"}";
    for (int over = 0; over < 2; over++) {
        CLEANUP_BUF struct buf text = {0};
        char path[64];
        size_t fill = LIMIT_DATASET_LINE - strlen(head) - strlen(tail) + (size_t)over;
        buf_puts(&text, head);
        memset(buf_extend(&text, fill), 'x', fill);
        buf_puts(&text, tail);
        for (int newline = 0; newline < 2; newline++) {
            struct dataset *d = NULL;
            struct err e;
            int r =
                dataset_load(write_file(path, text.data, text.len), "auto", SPLIT_ALL, 0, &d, &e);
            assert_int_equal(unlink(path), 0);
            assert_int_equal(r, over ? ERR_DATA : 0);
            if (over)
                assert_non_null(strstr(e.msg, "line 1: longer than"));
            dataset_free(d);
            buf_puts(&text, "\n");
        }
    }
}

/* A task may be larger than its line: each of these long tests grows by eleven bytes. */
static void tasks_are_bounded(void **state)
{
    enum { TEST_BYTES = 64 << 10 };
    CLEANUP_BUF struct buf text = {0};
    struct dataset *d = NULL;
    struct err e;
    buf_puts(&text, "{\"text\":\"p\",\"test_list\":[\"a\"");
    while (text.len + TEST_BYTES + 6 < LIMIT_DATASET_LINE) {
        buf_puts(&text, ",\"");
        memset(buf_extend(&text, TEST_BYTES), 'a', TEST_BYTES);
        buf_puts(&text, "\"");
    }
    size_t rest = LIMIT_DATASET_LINE - text.len - 5;
    buf_puts(&text, ",\"");
    memset(buf_extend(&text, rest), 'a', rest);
    buf_puts(&text, "\"]}");
    assert_int_equal(parse((const char *)text.data, "auto", &d, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "task become"));
}

static void what_is_no_file_is_refused(void **state)
{
    struct dataset *d = NULL;
    struct err e;
    assert_int_equal(dataset_load("/nonexistent/x.jsonl", "auto", SPLIT_ALL, 0, &d, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "/nonexistent/x.jsonl"));
    assert_int_equal(dataset_load("/tmp", "auto", SPLIT_ALL, 0, &d, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_become_rows),
        cmocka_unit_test(bad_rows_stop_with_their_place),
        cmocka_unit_test(unknown_formats_are_refused),
        cmocka_unit_test(detection_is_made_once),
        cmocka_unit_test(splits_part_the_rows_by_prompt),
        cmocka_unit_test(the_held_out_share_has_an_exact_bound),
        cmocka_unit_test(a_split_without_rows_is_an_error),
        cmocka_unit_test(files_and_memory_read_alike),
        cmocka_unit_test(lines_are_bounded),
        cmocka_unit_test(tasks_are_bounded),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
