/* dataset_code.c: the published layouts whose tasks are programs: humaneval, mbpp, apps,
 * livecodebench. Field names are those of the publishers.
 */
#include "common/text/dataset_code.h"

#include <string.h>

#include "common/text/dataset_fields.h"
#include "common/text/packed.h"

/* ---- humaneval: the prompt is the beginning of a Python file, `test` defines check(candidate)
 * ---- */

bool dataset_humaneval_matches(const json_t *row)
{
    return row_has(row, "prompt") && row_has(row, "entry_point") && row_has(row, "test");
}

int dataset_humaneval_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    const char *entry_point = NULL, *test = NULL;
    int r = row_take_prompt(row, "prompt", d, e);
    if (r == 0)
        r = row_text(row, "entry_point", &entry_point, e);
    if (r == 0)
        r = row_text(row, "test", &test, e);
    if (r != 0)
        return r;
    d->task = json_pack("{s:s, s:s, s:s, s:[{s:s}]}", "language", "python", "entry_point",
        entry_point, "prefix", (const char *)d->prompt.data, "tests", "check", test);
    return row_take_solution(row, "canonical_solution", d, e);
}

/* ---- mbpp: {"text", "test_list"}; the sanitised version says "prompt" and "test_imports" ---- */

bool dataset_mbpp_matches(const json_t *row)
{
    return (row_has(row, "text") || row_has(row, "prompt")) && row_has(row, "test_list");
}

static int mbpp_setup(const json_t *row, struct row_draft *d, struct err *e)
{
    CLEANUP_BUF struct buf setup = {0};
    const char *text = "";
    size_t i;
    json_t *line, *imports = json_object_get(row, "test_imports");
    int r = row_optional_text(row, "test_setup_code", &text, e);
    if (r != 0)
        return r;
    buf_puts(&setup, text);
    json_array_foreach(imports, i, line)
    {
        if (!json_is_string(line))
            return row_wrong_field(line, "test_imports", "a list of text", e);
        buf_printf(&setup, "%s%s", setup.len > 0 ? "\n" : "", json_string_value(line));
    }
    if (setup.len > 0)
        (void)json_object_set_new(d->task, "setup", json_string((const char *)setup.data));
    return 0;
}

/* The tests are shown, as in the paper's prompt: without them the function's name is unknown. */
int dataset_mbpp_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    json_t *list = NULL, *line;
    size_t i;
    int r = row_take_prompt(row, row_has(row, "text") ? "text" : "prompt", d, e);
    if (r == 0)
        r = row_list(row, "test_list", &list, e);
    if (r != 0)
        return r;
    json_t *tests = json_array();
    d->task = json_pack("{s:s, s:o}", "language", "python", "tests", tests);
    buf_puts(&d->prompt, "\nYour code should pass these tests:\n");
    json_array_foreach(list, i, line)
    {
        if (!json_is_string(line))
            return row_wrong_field(line, "test_list", "a list of text", e);
        buf_printf(&d->prompt, "%s\n", json_string_value(line));
        (void)json_array_append_new(tests, json_pack("{s:O}", "assert", line));
    }
    r = row_take_solution(row, "code", d, e);
    return r != 0 ? r : mbpp_setup(row, d, e);
}

/* ---- apps: {"question", "input_output", "solutions", "starter_code"}; taco is the same ---- */

/* What the publishers' harnesses put before a program that is called. */
#define CALLED_PREFIX                                                                              \
    "from typing import *\nfrom collections import *\n"                                            \
    "import bisect, collections, functools, heapq, itertools, math, operator, random, re, "        \
    "string\n"

bool dataset_apps_matches(const json_t *row)
{
    return row_has(row, "question") && row_has(row, "input_output");
}

/* A field that is JSON, or text that holds JSON; the caller ends with json_decref. */
static json_t *json_field(const json_t *row, const char *name)
{
    json_t *v = json_object_get(row, name);
    return json_is_string(v) ? json_loads(json_string_value(v), JSON_ALLOW_NUL, NULL)
                             : json_incref(v);
}

/* Text, or a list of its lines. */
static json_t *joined(const json_t *v)
{
    CLEANUP_BUF struct buf text = {0};
    size_t i;
    json_t *line;
    if (json_is_string(v))
        return json_stringn(json_string_value(v), json_string_length(v));
    json_array_foreach(v, i, line)
    {
        if (!json_is_string(line))
            return NULL;
        buf_append(&text, json_string_value(line), json_string_length(line));
        buf_puts(&text, "\n");
    }
    return json_is_array(v) ? json_stringn((const char *)text.data, text.len) : NULL;
}

/* An output that is a list of one value stands for that value or for itself: the publishers'
 * harness takes both. */
static json_t *accepted(json_t *output)
{
    json_t *any = json_array();
    if (json_array_size(output) == 1)
        (void)json_array_append(any, json_array_get(output, 0));
    (void)json_array_append(any, output);
    return any;
}

/* NULL when it is none. */
static json_t *apps_test(json_t *input, json_t *output, bool call)
{
    if (call && json_is_array(input) && output != NULL)
        return json_pack("{s:O, s:o}", "args", input, "expected_any", accepted(output));
    json_t *in = call ? NULL : joined(input), *out = call ? NULL : joined(output);
    if (in != NULL && out != NULL)
        return json_pack("{s:o, s:o}", "stdin", in, "stdout", out);
    json_decref(in);
    json_decref(out);
    return NULL;
}

static int apps_tests(const json_t *cases, bool call, json_t *ret, struct err *e)
{
    json_t *inputs = json_object_get(cases, "inputs"), *outputs = json_object_get(cases, "outputs");
    size_t n = json_array_size(inputs);
    if (n == 0 || json_array_size(outputs) != n)
        return err_set(e, ERR_DATA,
            "field 'input_output': %zu inputs and %zu outputs, expected as many, and one at least",
            n, json_array_size(outputs));
    for (size_t i = 0; i < n; i++) {
        json_t *test = apps_test(json_array_get(inputs, i), json_array_get(outputs, i), call);
        if (json_array_append_new(ret, test) < 0)
            return err_set(e, ERR_DATA, "field 'input_output': test %zu is %s", i,
                call ? "no list of arguments with an output" : "no text, nor a list of lines");
    }
    return 0;
}

/* The prompt, and the code that an answer begins with when the row has some. */
static int take_question(const json_t *row, const char *field, struct row_draft *d, struct err *e)
{
    const char *starter = "";
    int r = row_take_prompt(row, field, d, e);
    if (r == 0)
        r = row_optional_text(row, "starter_code", &starter, e);
    if (r == 0 && starter[0] != '\0')
        buf_printf(&d->prompt, "\n\n%s", starter);
    return r;
}

/* A task of these tests, which it takes; called: the function that they call, or NULL. */
static json_t *python_task(json_t *tests, const char *called)
{
    json_t *task = json_pack("{s:s, s:o}", "language", "python", "tests", tests);
    if (called != NULL) {
        (void)json_object_set_new(task, "entry_point", json_string(called));
        (void)json_object_set_new(task, "prefix", json_string(CALLED_PREFIX));
    }
    return task;
}

int dataset_apps_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    int r = take_question(row, "question", d, e);
    if (r != 0)
        return r;
    json_t *cases = json_field(row, "input_output"), *solutions = json_field(row, "solutions");
    const char *name = json_string_value(json_object_get(cases, "fn_name"));
    const char *solution = json_string_value(json_array_get(solutions, 0));
    json_t *tests = json_array();
    d->task = python_task(tests, name);
    if (solution != NULL && solution[0] != '\0')
        (void)json_object_set_new(d->task, "solution", json_string(solution));
    r = apps_tests(cases, name != NULL, tests, e);
    json_decref(cases);
    json_decref(solutions);
    return r;
}

/* ---- livecodebench: {"question_content", "public_test_cases", "private_test_cases", "metadata"}
 * ---- */

bool dataset_livecodebench_matches(const json_t *row)
{
    return row_has(row, "question_content") && row_has(row, "public_test_cases");
}

/* A list of cases: JSON, text that holds it, or packed text that does. */
static int take_cases(const json_t *row, const char *name, json_t **ret, struct err *e)
{
    const json_t *v = json_object_get(row, name);
    CLEANUP_BUF struct buf text = {0};
    *ret = json_field(row, name);
    if (json_is_array(*ret))
        return 0;
    json_decref(*ret);
    *ret = NULL;
    if (!json_is_string(v))
        return row_wrong_field(v, name, "a list of tests, or text that holds it", e);
    int r = packed_text(json_string_value(v), json_string_length(v), &text, e);
    if (r == 0)
        *ret = json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, NULL);
    if (r == 0 && !json_is_array(*ret))
        r = err_set(e, ERR_DATA, "its text is no list");
    return r < 0 ? err_ctx(e, "field '%s': neither a list of tests nor packed", name) : 0;
}

/* The arguments of a call: a JSON value on each line. NULL when one is none. */
static json_t *lines_of_json(const char *text)
{
    json_t *list = json_array();
    while (text != NULL) {
        size_t n = strcspn(text, "\n");
        json_t *value = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (json_array_append_new(list, value) < 0) {
            json_decref(list);
            return NULL;
        }
        text = text[n] != '\0' ? text + n + 1 : NULL;
    }
    return list;
}

/* NULL when it is none. */
static json_t *livecodebench_test(const json_t *test, bool call)
{
    const json_t *input = json_object_get(test, "input"), *output = json_object_get(test, "output");
    if (!json_is_string(input) || !json_is_string(output))
        return NULL;
    if (!call)
        return json_pack("{s:O, s:O}", "stdin", input, "stdout", output);
    json_t *args = lines_of_json(json_string_value(input));
    json_t *expected =
        json_loads(json_string_value(output), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (args != NULL && expected != NULL)
        return json_pack("{s:o, s:o}", "args", args, "expected", expected);
    json_decref(args);
    json_decref(expected);
    return NULL;
}

static int livecodebench_tests(
    const json_t *row, const char *name, bool call, json_t *ret, struct err *e)
{
    json_t *cases = NULL, *test;
    size_t i;
    int r = row_has(row, name) ? take_cases(row, name, &cases, e) : 0;
    json_array_foreach(cases, i, test)
    {
        if (r == 0 && json_array_append_new(ret, livecodebench_test(test, call)) < 0)
            r = err_set(e, ERR_DATA, "field '%s': test %zu is %s", name, i,
                call ? "no call with JSON in its lines" : "no text for input and output");
    }
    json_decref(cases);
    return r;
}

int dataset_livecodebench_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    int r = take_question(row, "question_content", d, e);
    if (r != 0)
        return r;
    json_t *metadata = json_field(row, "metadata"), *tests = json_array();
    const char *name = json_string_value(json_object_get(metadata, "func_name"));
    d->task = python_task(tests, name);
    r = livecodebench_tests(row, "public_test_cases", name != NULL, tests, e);
    if (r == 0)
        r = livecodebench_tests(row, "private_test_cases", name != NULL, tests, e);
    if (r == 0 && json_array_size(tests) == 0)
        r = err_set(e, ERR_DATA, "no tests in 'public_test_cases' and 'private_test_cases'");
    json_decref(metadata);
    return r;
}
