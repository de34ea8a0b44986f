/* shape_test.c: the scorers of a completion's shape: the forms of format, the curves of length. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scoring_cases.h"

#define BAD VERDICT_MALFORMED
#define PASS VERDICT_PASS

static struct score_result score(
    const char *kind, const char *params, const char *prompt, struct grade_text completion)
{
    static struct arena *arena;
    struct scorer_spec spec = {"s", kind, params};
    struct grade_input in = {.prompt = (const uint8_t *)prompt,
        .prompt_len = strlen(prompt),
        .task_json = "{}",
        .completions = &completion,
        .completion_count = 1};
    struct scoring *s = NULL;
    struct score_result r;
    struct err e;
    if (arena == NULL)
        arena = arena_new(0);
    arena_clear(arena);
    assert_int_equal(scoring_open(&spec, 1, &s, &e), 0);
    scoring_score(s, &in, 0, arena, &r);
    scoring_close(s);
    r.scorer = "s";
    check_result(&r);
    return r;
}

static struct grade_text text_of(const char *text)
{
    return (struct grade_text){.text = (const uint8_t *)text, .text_len = strlen(text)};
}

static void each_form_has_its_rules(void **state)
{
    (void)state;
    static const struct score_case think[] = {
        {"{}", "<think>a</think> b", PASS, "", ""},
        {"{}", "<think></think>b", PASS, "", ""},
        {"{}", "<think>a</think><answer>b</answer><answer>c</answer>", PASS, "", ""},
        {"{}", "<think>a</think> \n", BAD, "", "nothing after"},
        {"{}", "x<think>a</think>b", BAD, "", "text before <think>"},
        {"{}", "a</think>b", BAD, "", "<think> is missing"},
        {"{}", "<think>a</think>b</think>", BAD, "", "</think> occurs more"},
        {"{}", "<think>a<think>b</think>c", BAD, "", "<think> occurs more"},
    };
    static const struct score_case answer[] = {
        {"{}", "so <answer>b</answer>.", PASS, "", ""},
        {"{}", "<answer> \n</answer>", BAD, "", "empty"},
        {"{}", "<answer>1</answer><answer>2</answer>", BAD, "", "<answer> occurs more"},
        {"{}", "</answer>b<answer>", BAD, "", "before"},
        {"{}", "b", BAD, "", "missing"},
    };
    static const struct score_case boxed[] = {
        {"{}", "so \\boxed{\\frac{1}{2}}.", PASS, "", ""},
        {"{}", "\\boxed{1} \\boxed{2}", BAD, "", "occurs more"},
        {"{}", "\\boxed{\\boxed{2}}", BAD, "", "occurs more"},
        {"{}", "\\boxed{1", BAD, "", "close"},
        {"{}", "\\boxed  1", BAD, "", "close"},
        {"{}", "\\boxed{ }", BAD, "", "empty"},
        {"{}", "\\boxed{1 \\fbox{3}", BAD, "", "close"},
        {"{}", "\\fbox{1}", BAD, "", "missing"},
        {"{}", "", BAD, "", "missing"},
    };
    static const struct score_case both[] = {
        {"{}", "<think>\\boxed{1} no \\boxed{3}</think>\\boxed{2}", PASS, "", ""},
        {"{}", "<think>\\boxed{1}</think>2", BAD, "", "\\boxed is missing"},
        {"{}", "<think>a</think>\\boxed{2}\\boxed{2}", BAD, "", "occurs more"},
        {"{}", "\\boxed{2}", BAD, "", "<think> is missing"},
    };
    check_cases("format", "{\"form\":\"think\"}", think, ARRAY_LEN(think));
    check_cases("format", "{\"form\":\"answer\"}", answer, ARRAY_LEN(answer));
    check_cases("format", "{\"form\":\"boxed\"}", boxed, ARRAY_LEN(boxed));
    check_cases("format", "{\"form\":\"think-boxed\"}", both, ARRAY_LEN(both));
}

/* A template that ends with <think> has opened it: every form with a thought then goes without. */
static void a_prompt_may_open_the_thought(void **state)
{
    (void)state;
    static const struct {
        const char *form, *text;
        double value;
    } cases[] = {
        {"{\"form\":\"think\"}", "a</think>b", 1},
        {"{\"form\":\"think\"}", "<think>a</think>b", 0},
        {"{\"form\":\"think-boxed\"}", "a</think>\\boxed{1}", 1},
        {"{\"form\":\"tag-count\"}", "a</think><answer>b</answer>", 1},
        {"{\"form\":\"tag-count\"}", "<think>a</think><answer>b</answer>", 0.75},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct score_result r =
            score("format", cases[i].form, "Assistant: <think>\n", text_of(cases[i].text));
        assert_true(r.value == cases[i].value);
    }
}

static void tags_count_a_quarter_each(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
        const char *says;
    } cases[] = {
        {"<think>a</think><answer>b</answer>", 1, ""},
        {"</answer><answer></think><think>", 1, ""}, /* as published: no order */
        {"<think>a</think>", 0.5, "<answer> is missing"},
        {"<think><think>a</think><answer>b</answer>", 0.75, "<think> occurs more"},
        {"<think><think></think></think><answer><answer></answer></answer>", 0, "<think> occurs"},
        {"", 0, "<think> is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct score_result r =
            score("format", "{\"form\":\"tag-count\"}", "", text_of(cases[i].text));
        assert_true(r.value == cases[i].value);
        assert_int_equal(r.verdict, cases[i].value == 1 ? PASS : BAD);
        assert_non_null(strstr(r.reason, cases[i].says));
    }
}

static double cosine(uint32_t tokens, bool truncated)
{
    struct grade_text c = {.tokens = tokens, .truncated = truncated};
    return score("length",
        "{\"shape\":\"cosine\",\"max\":1000,\"from\":2,\"to\":-1.5,\"beyond\":\"-10\"}", "", c)
        .value;
}

static void the_cosine_falls_from_its_start_to_its_end(void **state)
{
    (void)state;
    assert_true(cosine(0, false) == 2);
    assert_true(fabs(cosine(500, false) - 0.25) < 1e-12);
    assert_true(cosine(999, false) > -1.5 && cosine(999, false) < -1.4999);
    assert_true(cosine(1000, false) == -10);
    assert_true(cosine(UINT32_MAX, false) == -10);
    assert_true(cosine(3, true) == -10); /* it would have gone on */
    for (uint32_t t = 0; t < 1000; t++) {
        double want = -1.5 + 3.5 * (1 + cos(3.14159265358979323846 * t / 1000)) / 2;
        assert_true(fabs(cosine(t, false) - want) < 1e-14);
        assert_true(t == 0 || cosine(t, false) < cosine(t - 1, false));
    }
}

static void the_cosine_of_the_defaults(void **state)
{
    (void)state;
    static const char params[] = "{\"shape\":\"cosine\",\"max\":\"8\"}";
    assert_true(score("length", params, "", (struct grade_text){.tokens = 0}).value == 1);
    assert_true(
        fabs(score("length", params, "", (struct grade_text){.tokens = 4}).value - 0.75) < 1e-15);
    struct score_result r = score("length", params, "", (struct grade_text){.tokens = 8});
    assert_true(r.value == -1 && r.verdict == VERDICT_WRONG);
    assert_non_null(strstr(r.reason, "8 tokens, the curve ends at 8"));
}

static void hostile_texts_are_bounded(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "think-answer", "think", "answer", "boxed", "think-boxed", "tag-count"};
    static const char *const units[] = {
        "\xff", "<think>", "<answer>", "\\boxed{", "<", "</think>", "\\boxed{}", "\n"};
    static const char zeros[1 << 20];
    for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
        char params[64];
        (void)snprintf(params, sizeof(params), "{\"form\":\"%s\"}", forms[f]);
        assert_true(score_text("format", params, "{}", zeros, sizeof(zeros)).value == 0);
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            CLEANUP_BUF struct buf text = {0};
            while (text.len < 1 << 20)
                buf_puts(&text, units[i]);
            assert_true(score_text("format", params, "{}", text.data, text.len).value == 0);
            assert_int_not_equal(
                score_text("exact", "{}", "{\"answer\":\"a\"}", text.data, text.len).verdict, PASS);
        }
    }
}

static void parameters_that_do_not_fit_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *params, *says;
    } cases[] = {
        {"format", "{\"form\":\"box\"}", "'box', expected one of think-answer|think|"},
        {"format", "{\"form\":\"\"}", "expected one of"},
        {"format", "{\"form\":\"think|answer\"}", "expected one of"},
        {"length", "{\"shape\":\"cosine\"}", "'max': missing"},
        {"length", "{\"shape\":\"cosine\",\"max\":8,\"cache\":2}", "'cache': the cosine"},
        {"length", "{\"max\":8,\"cache\":2,\"to\":0}", "shape = cosine alone"},
        {"length", "{\"shape\":\"cosine\",\"max\":8,\"from\":\"x\"}", "'x', expected a number"},
        {"length", "{\"shape\":\"cosine\",\"max\":8,\"from\":\"nan\"}", "'nan', expected a number"},
        {"length", "{\"shape\":\"cosine\",\"max\":8,\"from\":1001}", "from -1000 to 1000"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scorer_spec spec = {"mine", cases[i].kind, cases[i].params};
        struct scoring *s = NULL;
        struct err e = {0};
        if (scoring_open(&spec, 1, &s, &e) != ERR_CONFIG || strstr(e.msg, cases[i].says) == NULL)
            fail_msg("case %zu: message '%s', expected '%s'", i, e.msg, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_has_its_rules),
        cmocka_unit_test(a_prompt_may_open_the_thought),
        cmocka_unit_test(tags_count_a_quarter_each),
        cmocka_unit_test(the_cosine_falls_from_its_start_to_its_end),
        cmocka_unit_test(the_cosine_of_the_defaults),
        cmocka_unit_test(hostile_texts_are_bounded),
        cmocka_unit_test(parameters_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
