/* scorers_test.c: the small scorers (exact, format, length, random), sets, parameters, truncated
 * completions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scoring_cases.h"

#define TAG "{\"tag\":\"answer\"}"
#define A(x) "{\"answer\":\"" x "\"}"

static void exact_compares_text(void **state)
{
    static const struct score_case whole[] = {
        {A("yes"), "yes", VERDICT_PASS, "yes", NULL},
        {A(" yes\\n"), "\t yes \r\n", VERDICT_PASS, "yes", NULL},
        {A("yes"), "Yes", VERDICT_WRONG, "Yes", "expected 'yes'"},
        {A("yes"), "yes.", VERDICT_WRONG, NULL, NULL},
        {A("yes"), "ye", VERDICT_WRONG, NULL, NULL},
        {A("1"), "1.0", VERDICT_WRONG, NULL, NULL},
        {A("a b"), "a  b", VERDICT_WRONG, NULL, NULL},
        {A("yes"), "", VERDICT_NO_ANSWER, "", "empty"},
        {A("yes"), " \n", VERDICT_NO_ANSWER, "", NULL},
        {A(""), "", VERDICT_JUDGE_FAULT, "", "empty"},
        {"{}", "yes", VERDICT_JUDGE_FAULT, "", "no reference"},
    };
    static const struct score_case tagged[] = {
        {A("yes"), "no<answer>yes</answer>no", VERDICT_PASS, "yes", NULL},
        {A("yes"), "yes", VERDICT_NO_ANSWER, "", NULL},
        {A("yes"), "<answer>yes</answer><answer>yes</answer>", VERDICT_MALFORMED, "", NULL},
    };
    check_cases("exact", "{}", whole, ARRAY_LEN(whole));
    check_cases("exact", TAG, tagged, ARRAY_LEN(tagged));
}

static void format_wants_each_tag_once_in_order(void **state)
{
    static const struct score_case cases[] = {
        {"{}", "<think>a</think><answer>b</answer>", VERDICT_PASS, "", ""},
        {"{}", " \n<think></think>\n\n<answer></answer>\t", VERDICT_PASS, "", ""},
        {"{}", "<think>x <b> < > </think><answer>y</answer>", VERDICT_PASS, "", ""},
        {"{}", "", VERDICT_MALFORMED, "", "<think> is missing"},
        {"{}", "a</think><answer>b</answer>", VERDICT_MALFORMED, "", "<think> is missing"},
        {"{}", "<think>a<answer>b</answer>", VERDICT_MALFORMED, "", "</think> is missing"},
        {"{}", "<think>a</think>b</answer>", VERDICT_MALFORMED, "", "<answer> is missing"},
        {"{}", "<think>a</think><answer>b", VERDICT_MALFORMED, "", "</answer> is missing"},
        {"{}", "<think><think>a</think><answer>b</answer>", VERDICT_MALFORMED, "",
            "<think> occurs more"},
        {"{}", "<think>a</think><answer>b</answer></answer>", VERDICT_MALFORMED, "",
            "</answer> occurs more"},
        {"{}", "<answer>b</answer><think>a</think>", VERDICT_MALFORMED, "",
            "<answer> before </think>"},
        {"{}", "</think>a<think><answer>b</answer>", VERDICT_MALFORMED, "",
            "</think> before <think>"},
        {"{}", "<think><answer>b</answer></think>", VERDICT_MALFORMED, "",
            "<answer> before </think>"},
        {"{}", "<think>a</think></answer>b<answer>", VERDICT_MALFORMED, "",
            "</answer> before <answer>"},
        {"{}", "x<think>a</think><answer>b</answer>", VERDICT_MALFORMED, "", "text before"},
        {"{}", "<think>a</think>x<answer>b</answer>", VERDICT_MALFORMED, "", "text between"},
        {"{}", "<think>a</think><answer>b</answer>x", VERDICT_MALFORMED, "", "text after"},
        {"{}", "< think>a</think><answer>b</answer>", VERDICT_MALFORMED, "", "<think> is missing"},
    };
    check_cases("format", "{}", cases, ARRAY_LEN(cases));
    static const char nul[] = "<think>a</think><answer>b</answer>\0";
    assert_int_equal(
        score_text("format", "{}", "{}", nul, sizeof(nul) - 1).verdict, VERDICT_MALFORMED);
}

/* One completion with one scorer of a set made here. */
static struct score_result score(const char *kind, const char *params, const struct grade_input *in)
{
    static struct arena *arena;
    struct scorer_spec spec = {"s", kind, params};
    struct scoring *s = NULL;
    struct score_result r;
    struct err e;
    if (arena == NULL)
        arena = arena_new(0);
    arena_clear(arena);
    assert_int_equal(scoring_open(&spec, 1, &s, &e), 0);
    scoring_score(s, in, 0, arena, &r);
    scoring_close(s);
    check_result(&r);
    return r;
}

static void format_accepts_a_prompt_that_opens_the_thought(void **state)
{
    static const struct {
        const char *prompt, *text;
        enum verdict verdict;
    } cases[] = {
        {"User: 1. Assistant: <think>\n", "a</think><answer>b</answer>", VERDICT_PASS},
        {"<think>", "</think> <answer>b</answer>", VERDICT_PASS},
        {"<think>", "<think>a</think><answer>b</answer>", VERDICT_MALFORMED},
        {"<think>", "a<answer>b</answer>", VERDICT_MALFORMED},
        {"<think>", "<answer>b</answer></think>", VERDICT_MALFORMED},
        {"<think> so", "a</think><answer>b</answer>", VERDICT_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grade_text c = {
            .text = (const uint8_t *)cases[i].text, .text_len = strlen(cases[i].text)};
        struct grade_input in = {.prompt = (const uint8_t *)cases[i].prompt,
            .prompt_len = strlen(cases[i].prompt),
            .task_json = "{}",
            .completions = &c,
            .completion_count = 1};
        assert_int_equal(score("format", "{}", &in).verdict, cases[i].verdict);
    }
}

static void length_falls_linearly(void **state)
{
    static const struct {
        uint32_t tokens;
        double value;
        enum verdict verdict;
    } cases[] = {
        {0, 0, VERDICT_PASS},
        {80, 0, VERDICT_PASS},
        {81, -0.05, VERDICT_WRONG},
        {90, -0.5, VERDICT_WRONG},
        {99, -0.95, VERDICT_WRONG},
        {100, -1, VERDICT_WRONG},
        {101, -1, VERDICT_WRONG},
        {UINT32_MAX, -1, VERDICT_WRONG},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int truncated = 0; truncated < 2; truncated++) {
            struct grade_text c = {.tokens = cases[i].tokens, .truncated = truncated};
            struct grade_input in = {.task_json = "{}", .completions = &c, .completion_count = 1};
            struct score_result r = score("length", "{\"max\":100,\"cache\":\"20\"}", &in);
            assert_true(r.value == cases[i].value);
            assert_int_equal(r.verdict, cases[i].verdict);
        }
    }
}

static void random_is_fair_and_repeatable(void **state)
{
    size_t ones = 0, pairs[4] = {0};
    double previous = 0;
    for (uint32_t i = 0; i < 4000; i++) {
        struct grade_text c = {.index = i % 16};
        struct grade_input in = {.group = i / 16,
            .seed = 5,
            .task_json = "{}",
            .completions = &c,
            .completion_count = 1};
        struct score_result a = score("random", "{}", &in), b = score("random", "{}", &in);
        assert_true(a.value == 0 || a.value == 1);
        assert_true(a.value == b.value);
        assert_int_equal(a.verdict, a.value > 0 ? VERDICT_PASS : VERDICT_WRONG);
        ones += a.value > 0;
        pairs[(previous > 0) * 2 + (a.value > 0)]++;
        previous = a.value;
    }
    assert_in_range(ones, 1842, 2158); /* five standard deviations */
    for (int i = 0; i < 4; i++)
        assert_in_range(pairs[i], 863, 1137);
}

static void random_depends_on_seed_group_and_index(void **state)
{
    size_t same[3] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        struct grade_text c = {.index = i}, other = {.index = i + 1000};
        struct grade_input in = {
            .group = 1, .seed = 1, .task_json = "{}", .completions = &c, .completion_count = 1};
        double v = score("random", "{}", &in).value;
        in.seed = 2;
        same[0] += score("random", "{}", &in).value == v;
        in.seed = 1;
        in.group = 2;
        same[1] += score("random", "{}", &in).value == v;
        in.group = 1;
        in.completions = &other;
        same[2] += score("random", "{}", &in).value == v;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(same[i], 420, 580);
}

/* A truncated completion is 0 with its verdict, but a broken reference comes first: it concerns the
 * whole group. */
static void truncated_completions_are_zero(void **state)
{
    static const struct {
        const char *kind, *task;
        enum verdict verdict;
    } cases[] = {
        {"exact", A("1"), VERDICT_TRUNCATED},
        {"math", A("1"), VERDICT_TRUNCATED},
        {"countdown", "{\"nums\":[1],\"target\":1}", VERDICT_TRUNCATED},
        {"format", "{}", VERDICT_TRUNCATED},
        {"random", "{}", VERDICT_TRUNCATED},
        {"exact", "{}", VERDICT_JUDGE_FAULT},
        {"math", A("x"), VERDICT_TRUNCATED},
        {"math", "{}", VERDICT_JUDGE_FAULT},
        {"countdown", "{}", VERDICT_JUDGE_FAULT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grade_text c = {.text = (const uint8_t *)"1", .text_len = 1, .truncated = true};
        struct grade_input in = {
            .task_json = cases[i].task, .completions = &c, .completion_count = 1};
        struct score_result r = score(cases[i].kind, "{}", &in);
        assert_int_equal(r.verdict, cases[i].verdict);
        assert_true(r.value == 0);
    }
}

static void parameters_are_checked_by_name(void **state)
{
    static const struct {
        const char *kind, *params, *says;
    } cases[] = {
        {"exact", "{\"tga\":\"answer\"}", "parameter 'tga': unknown, expected tag"},
        {"format", "{\"tag\":\"answer\"}", "parameter 'tag': unknown, expected form"},
        {"random", "{\"seed\":1}", "parameter 'seed'"},
        {"math", "{\"tag\":[]}", "parameter 'tag': expected text"},
        {"math", "{\"tag\":\"<a>\"}", "'<a>'"},
        {"math", "{\"tag\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", "at most 31"},
        {"math", "[]", "JSON object"},
        {"math", "{", "parameters"},
        {"math", "{\"tag\":\"a\",\"tag\":\"b\"}", "duplicate"},
        {"length", "{}", "parameter 'max': missing"},
        {"length", "{\"max\":100}", "parameter 'cache': missing"},
        {"length", "{\"max\":100,\"cache\":101}", "at most max"},
        {"length", "{\"max\":0,\"cache\":1}", "'max': '0'"},
        {"length", "{\"max\":\"1e3\",\"cache\":1}", "'1e3'"},
        {"length", "{\"max\":1.5,\"cache\":1}", "parameter 'max'"},
        {"length", "{\"max\":131073,\"cache\":1}", "131072"},
        {"length", "{\"max\":\"99999999999999999999\",\"cache\":1}", "'max'"},
        {"chess", "{}", "unknown kind 'chess', expected exact, math, code, choice, countdown, "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scorer_spec spec = {"mine", cases[i].kind, cases[i].params};
        struct scoring *s = NULL;
        struct err e = {0};
        int r = scoring_open(&spec, 1, &s, &e);
        if (r != ERR_CONFIG || strstr(e.msg, cases[i].says) == NULL ||
            strstr(e.msg, "scorer 'mine'") == NULL)
            fail_msg("case %zu: code %d, message '%s', expected '%s'", i, r, e.msg, cases[i].says);
        assert_null(s);
    }
}

static void sets_are_bounded_and_named(void **state)
{
    struct scorer_spec specs[LIMIT_SCORERS + 1];
    char names[LIMIT_SCORERS + 1][8];
    struct scoring *s = NULL;
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "s%zu", i);
        specs[i] = (struct scorer_spec){names[i], "format", NULL};
    }
    assert_int_equal(scoring_open(specs, 0, &s, &e), ERR_CONFIG);
    assert_int_equal(scoring_open(specs, ARRAY_LEN(specs), &s, &e), ERR_CONFIG);
    assert_int_equal(scoring_open(specs, LIMIT_SCORERS, &s, &e), 0);
    assert_int_equal(scoring_count(s), LIMIT_SCORERS);
    scoring_close(s);
    specs[1].name = specs[0].name;
    assert_int_equal(scoring_open(specs, 2, &s, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "scorer 's0': another"));
    specs[1].name = "";
    assert_int_equal(scoring_open(specs, 2, &s, &e), ERR_CONFIG);
    scoring_close(NULL);
}

static void results_come_in_the_order_of_the_specs(void **state)
{
    static const struct scorer_spec specs[] = {{"accuracy", "math", TAG}, {"shape", "format", "{}"},
        {"short", "length", "{\"max\":8,\"cache\":4}"}};
    static const char text[] = "<think>a</think><answer>4</answer>";
    struct grade_text c[2] = {
        {.index = 0, .tokens = 1, .text = (const uint8_t *)"x", .text_len = 1},
        {.index = 9, .tokens = 6, .text = (const uint8_t *)text, .text_len = sizeof(text) - 1}};
    struct grade_input in = {.task_json = A("4"), .completions = c, .completion_count = 2};
    struct arena *a = arena_new(0);
    struct score_result r[3];
    struct scoring *s = NULL;
    struct err e;
    assert_int_equal(scoring_open(specs, 3, &s, &e), 0);
    scoring_score(s, &in, 1, a, r);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(r[i].scorer, specs[i].name);
        assert_int_equal(r[i].index, 9);
        assert_true(r[i].has_value);
    }
    assert_true(r[0].value == 1 && r[1].value == 1 && r[2].value == -0.5);
    scoring_close(s);
    arena_free(a);
}

/* Memory for the texts of a result may be refused: then they are empty and the verdict stands. */
static void a_full_arena_costs_texts_only(void **state)
{
    struct grade_text c = {.text = (const uint8_t *)"no", .text_len = 2};
    struct grade_input in = {.task_json = "{}", .completions = &c, .completion_count = 1};
    struct scorer_spec spec = {"s", "format", "{}"};
    struct arena *a = arena_new(1);
    struct scoring *s = NULL;
    struct score_result r;
    struct err e;
    assert_int_equal(scoring_open(&spec, 1, &s, &e), 0);
    scoring_score(s, &in, 0, a, &r);
    assert_int_equal(r.verdict, VERDICT_MALFORMED);
    assert_string_equal(r.reason, "");
    scoring_close(s);
    arena_free(a);
}

static void long_texts_are_cut_for_display(void **state)
{
    static const char *const units[] = {
        "x", "\xc3\xa9", "\xe2\x82\xac", "\xff", "\\", "\n", "\xf0\x9d\x95\x8f"};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        for (size_t n = LIMIT_EXTRACTED / 4 - 8; n < LIMIT_EXTRACTED + 8; n++) {
            CLEANUP_BUF struct buf text = {0};
            while (text.len < n)
                buf_puts(&text, units[i]);
            buf_puts(&text, "."); /* so that white space stays */
            struct score_result r = score_text("exact", "{}", A("z"), text.data, text.len);
            size_t len = strlen(r.extracted);
            assert_true(len > 0 || units[i][0] == '\n');
            if (text.len > LIMIT_EXTRACTED) {
                assert_true(len >= LIMIT_EXTRACTED - 12 || units[i][0] == '\n');
                if (units[i][0] != '\n')
                    assert_string_equal(r.extracted + len - 3, "...");
            }
        }
    }
}

static void tags_are_found_once(void **state)
{
    static const char text[] = "x<a>yz</a>";
    size_t begin = 77, len = 77;
    assert_true(scoring_tag_once(text, sizeof(text) - 1, "a", &begin, &len));
    assert_int_equal(begin, 4);
    assert_int_equal(len, 2);
    assert_false(scoring_tag_once(text, sizeof(text) - 2, "a", &begin, &len));
    assert_false(scoring_tag_once(text, sizeof(text) - 1, "b", &begin, &len));
    assert_false(scoring_tag_once("", 0, "a", &begin, &len));
    assert_int_equal(begin, 4);
}

static void every_kind_is_in_the_table(void **state)
{
    size_t n;
    const struct scorer_kind *const *kinds = scoring_kinds(&n);
    assert_int_equal(n, 13);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(scoring_kind(kinds[i]->name), kinds[i]);
        assert_true(kinds[i]->help[0] != '\0');
        /* Programs may depend on the clock or on chance. */
        assert_int_equal(kinds[i]->deterministic, !kinds[i]->runs_programs);
    }
    assert_null(scoring_kind("maths"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_compares_text),
        cmocka_unit_test(format_wants_each_tag_once_in_order),
        cmocka_unit_test(format_accepts_a_prompt_that_opens_the_thought),
        cmocka_unit_test(length_falls_linearly),
        cmocka_unit_test(random_is_fair_and_repeatable),
        cmocka_unit_test(random_depends_on_seed_group_and_index),
        cmocka_unit_test(truncated_completions_are_zero),
        cmocka_unit_test(parameters_are_checked_by_name),
        cmocka_unit_test(sets_are_bounded_and_named),
        cmocka_unit_test(results_come_in_the_order_of_the_specs),
        cmocka_unit_test(a_full_arena_costs_texts_only),
        cmocka_unit_test(long_texts_are_cut_for_display),
        cmocka_unit_test(tags_are_found_once),
        cmocka_unit_test(every_kind_is_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
