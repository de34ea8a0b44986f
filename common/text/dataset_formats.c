/* dataset_formats.c: each published layout is one pair of functions, `matches` and `convert`. Field
 * names are those of the publishers.
 */
#include "common/text/dataset_formats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text/boxed.h"
#include "common/text/dataset_code.h"
#include "common/text/dataset_fields.h"

/* ---- answers ---- */

static void set_answer(struct row_draft *d, const char *text, size_t n)
{
    buf_append(&d->answer, text, n);
    d->has_answer = true;
}

/* The shortest decimal that reads back as v; whole numbers without a fraction. */
static void set_answer_real(struct row_draft *d, double v)
{
    char text[64];
    if (v == floor(v) && fabs(v) < 1e15) {
        (void)snprintf(text, sizeof(text), "%.0f", v);
    } else {
        (void)snprintf(text, sizeof(text), "%.15g", v);
        if (strtod(text, NULL) != v)
            (void)snprintf(text, sizeof(text), "%.17g", v);
    }
    set_answer(d, text, strlen(text));
}

/* An answer as publishers write it: text, or a JSON number. */
static int take_answer(const json_t *row, const char *name, struct row_draft *d, struct err *e)
{
    const json_t *v = json_object_get(row, name);
    if (json_is_string(v) && json_string_length(v) > 0)
        set_answer(d, json_string_value(v), json_string_length(v));
    else if (json_is_integer(v))
        buf_printf(&d->answer, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        set_answer_real(d, json_real_value(v));
    else
        return row_wrong_field(v, name, "text or a number", e);
    d->has_answer = true;
    return 0;
}

/* ---- demos: {"prompt", "completion"} ---- */

static bool demos_matches(const json_t *row)
{
    return row_has(row, "prompt") && row_has(row, "completion");
}

static int demos_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    const char *completion = NULL;
    int r = row_take_prompt(row, "prompt", d, e);
    if (r == 0)
        r = row_text(row, "completion", &completion, e);
    if (r != 0)
        return r;
    buf_puts(&d->completion, completion);
    d->has_completion = true;
    return 0;
}

/* ---- gsm8k: {"question", "answer"}, the answer after the last "####" ---- */

static const char *after_mark(const char *text)
{
    const char *last = NULL;
    for (const char *at = text; (at = strstr(at, "####")) != NULL; at += 4)
        last = at + 4;
    return last;
}

static bool gsm8k_matches(const json_t *row)
{
    const char *answer = json_string_value(json_object_get(row, "answer"));
    return row_has(row, "question") && answer != NULL && after_mark(answer) != NULL;
}

static int gsm8k_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    const char *text = NULL;
    int r = row_take_prompt(row, "question", d, e);
    if (r == 0)
        r = row_text(row, "answer", &text, e);
    if (r != 0)
        return r;
    const char *at = after_mark(text);
    if (at == NULL)
        return err_set(
            e, ERR_DATA, "field 'answer': no '####' in it, expected the result after one");
    for (; *at != '\0' && *at != '\n'; at++) {
        if (strchr(", $\t\r", *at) == NULL)
            set_answer(d, at, 1);
    }
    return d->has_answer ? 0 : err_set(e, ERR_DATA, "field 'answer': nothing after '####'");
}

/* ---- math: {"problem", "solution"} with \boxed, or {"problem", "answer"} ---- */

static bool math_matches(const json_t *row)
{
    return row_has(row, "problem") && (row_has(row, "answer") || row_has(row, "solution"));
}

static int math_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    const char *solution = NULL;
    size_t begin, len;
    int r = row_take_prompt(row, "problem", d, e);
    if (r != 0)
        return r;
    if (row_has(row, "answer"))
        return take_answer(row, "answer", d, e);
    r = row_text(row, "solution", &solution, e);
    if (r != 0)
        return r;
    if (!boxed_last(solution, strlen(solution), &begin, &len) || len == 0)
        return err_set(e, ERR_DATA, "field 'solution': no \\boxed{...} with balanced braces in it");
    (void)boxed_row(solution, strlen(solution), &begin, &len); /* cases, each in a box: all of it */
    set_answer(d, solution + begin, len);
    return 0;
}

/* ---- countdown: {"nums", "target"} ---- */

static bool countdown_matches(const json_t *row)
{
    return row_has(row, "nums") && row_has(row, "target");
}

static int countdown_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    json_t *nums = NULL, *num, *target = json_object_get(row, "target");
    size_t i;
    int r = row_list(row, "nums", &nums, e);
    if (r != 0)
        return r;
    if (!json_is_integer(target))
        return row_wrong_field(target, "target", "an integer", e);
    buf_puts(&d->prompt, "Using the numbers [");
    json_array_foreach(nums, i, num)
    {
        if (!json_is_integer(num))
            return row_wrong_field(num, "nums", "a list of integers", e);
        buf_printf(&d->prompt, "%s%lld", i > 0 ? ", " : "", (long long)json_integer_value(num));
    }
    buf_printf(&d->prompt,
        "], create an expression that equals %lld. Use the operations + - * / and parentheses; "
        "each "
        "number must be used exactly once",
        (long long)json_integer_value(target));
    d->task = json_pack("{s:O, s:O}", "nums", nums, "target", target);
    return 0;
}

/* ---- tasks: our own; {"prompt", "answer"} or {"prompt", "language", "tests"} ---- */

static bool tasks_matches(const json_t *row)
{
    return row_has(row, "prompt") && (row_has(row, "answer") || row_has(row, "tests"));
}

/* The fields of each kind of test; no other kind's may stand beside them. */
static int check_test(const json_t *test, size_t i, struct err *e)
{
    static const char *const fields[] = {
        "stdin", "stdout", "assert", "args", "kwargs", "expected", "expected_any"};
    enum { IN = 1, OUT = 2, ASSERT = 4, ARGS = 8, KWARGS = 16, EXPECTED = 32, ANY = 64 };
    unsigned given = 0, text = IN | OUT | ASSERT;
    bool typed = true;
    for (unsigned k = 0; k < ARRAY_LEN(fields); k++) {
        const json_t *field = json_object_get(test, fields[k]);
        given |= field != NULL ? 1U << k : 0;
        if (field != NULL && (1U << k & text) != 0)
            typed = typed && json_is_string(field);
    }
    if ((given & ARGS) != 0)
        typed = typed && json_is_array(json_object_get(test, "args"));
    if ((given & KWARGS) != 0)
        typed = typed && json_is_object(json_object_get(test, "kwargs"));
    if ((given & ANY) != 0)
        typed = typed && json_array_size(json_object_get(test, "expected_any")) > 0;
    if ((given & (ANY | EXPECTED)) == ANY)
        given ^= ANY | EXPECTED;
    given |= (given & OUT) != 0 ? IN : 0; /* no input is an empty one */
    given |= (given & EXPECTED) != 0 ? KWARGS : 0;
    if (typed && (given == (IN | OUT) || given == ASSERT || given == (ARGS | KWARGS | EXPECTED)))
        return 0;
    return err_set(e, ERR_DATA,
        "tests[%zu]: expected {\"stdin\", \"stdout\"} or {\"assert\"}, all text, or {\"args\": "
        "[...], \"expected\"}",
        i);
}

static int tasks_tests(const json_t *row, struct row_draft *d, struct err *e)
{
    json_t *list = NULL, *test;
    const char *language = NULL;
    size_t i;
    int r = row_text(row, "language", &language, e);
    if (r == 0)
        r = row_list(row, "tests", &list, e);
    if (r != 0)
        return r;
    json_array_foreach(list, i, test)
    {
        r = check_test(test, i, e);
        if (r != 0)
            return r;
    }
    d->task = json_pack("{s:s, s:O}", "language", language, "tests", list);
    r = row_copy_text(row, "entry_point", d, e);
    if (r == 0)
        r = row_take_solution(row, "solution", d, e);
    return r != 0 ? r : row_copy_text(row, "setup", d, e);
}

/* The texts of the options of a multiple choice; the prompt must show them. */
static int tasks_choices(const json_t *row, struct row_draft *d, struct err *e)
{
    json_t *list = json_object_get(row, "choices"), *choice;
    size_t i;
    if (list == NULL || json_is_null(list))
        return 0;
    json_array_foreach(list, i, choice)
    {
        if (!json_is_string(choice))
            return row_wrong_field(choice, "choices", "a list of text", e);
    }
    if (json_array_size(list) < 2)
        return row_wrong_field(list, "choices", "a list of at least two texts", e);
    (void)json_object_set(d->task, "choices", list);
    return 0;
}

static int tasks_convert(const json_t *row, struct row_draft *d, struct err *e)
{
    int r = row_take_prompt(row, "prompt", d, e);
    if (r != 0)
        return r;
    if (row_has(row, "tests")) {
        if (row_has(row, "answer"))
            return err_set(e, ERR_DATA, "fields 'answer' and 'tests': both given, expected one");
        r = tasks_tests(row, d, e);
    } else {
        r = take_answer(row, "answer", d, e);
        d->task = json_object();
        if (r == 0)
            r = tasks_choices(row, d, e);
    }
    return r != 0 ? r : row_copy_text(row, "scorer", d, e);
}

/* ---- the table ---- */

/* In the order of detection: layouts whose fields include another's come first. */
static const struct dataset_format formats[] = {
    {"demos", demos_matches, demos_convert},
    {"humaneval", dataset_humaneval_matches, dataset_humaneval_convert},
    {"mbpp", dataset_mbpp_matches, dataset_mbpp_convert},
    {"apps", dataset_apps_matches, dataset_apps_convert},
    {"livecodebench", dataset_livecodebench_matches, dataset_livecodebench_convert},
    {"countdown", countdown_matches, countdown_convert},
    {"math", math_matches, math_convert},
    {"gsm8k", gsm8k_matches, gsm8k_convert},
    {"tasks", tasks_matches, tasks_convert},
};

const struct dataset_format *dataset_format_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    return NULL;
}

const struct dataset_format *dataset_format_of(const json_t *row)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (formats[i].matches(row))
            return &formats[i];
    }
    return NULL;
}

const char *dataset_format_names(void)
{
    return "gsm8k, math, humaneval, mbpp, apps, livecodebench, countdown, tasks or demos";
}
