/* prose_test.c: repetition and readability. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scoring_cases.h"

static struct score_result repetition(const char *params, const char *text)
{
    return score_text("repetition", params, "{}", text, strlen(text));
}

static void near(double got, double want)
{
    if (fabs(got - want) > 1e-12)
        fail_msg("%g, expected %g", got, want);
}

static void repeated_ngrams_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double by_ngrams, by_words; /* n = 3 */
    } cases[] = {
        {"", 0, 0},
        {"a b", 0, 0},
        {"a b c", 0, 0},
        {"a b c d e f", 0, 0},
        {"a b c A B C", -1.0 / 4, -3.0 / 6},  /* case does not matter */
        {"a b c, a b c", -1.0 / 5, -3.0 / 7}, /* a comma is a word */
        {"a a a a a", -2.0 / 3, -4.0 / 5},
        {"a b c x a b c d", -1.0 / 6, -3.0 / 8},
        {"a b c a b c a b c", -4.0 / 7, -6.0 / 9},
        {"一二三一二三", -1.0 / 4, -3.0 / 6}, /* without blanks */
        {"((((((", -3.0 / 4, -5.0 / 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        near(repetition("{\"ngram\":3}", cases[i].text).value, cases[i].by_ngrams);
        struct score_result r = repetition("{\"ngram\":\"3\",\"count\":\"words\"}", cases[i].text);
        near(r.value, cases[i].by_words);
        assert_int_equal(r.verdict, r.value == 0 ? VERDICT_PASS : VERDICT_WRONG);
    }
    struct score_result r = repetition("{\"ngram\":2}", "x y, so x  Y");
    assert_string_equal(r.extracted, "x  Y");
    assert_non_null(strstr(r.reason, "1 of 5 runs of 2 words stood before; they cover 2 of 6"));
}

/* Honest text hardly repeats runs of eight words; a loop does almost alone. */
static void loops_cost_and_prose_does_not(void **state)
{
    (void)state;
    static const char prose[] =
        "We add the two numbers first, which gives seven. Then we add three to it, which gives "
        "ten. Half of ten is five, so the answer is five.";
    near(repetition("{}", prose).value, 0);
    CLEANUP_BUF struct buf text = {0};
    for (int i = 0; i < 50; i++)
        buf_puts(&text, prose);
    assert_true(repetition("{}", (const char *)text.data).value < -0.95);
}

static void repetition_is_bounded(void **state)
{
    (void)state;
    static const char *const units[] = {"a", " ", "\xff", "é", "的", "a b "};
    static const char zeros[1 << 20];
    assert_true(score_text("repetition", "{}", "{}", zeros, sizeof(zeros)).value <= 0);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_BUF struct buf text = {0};
        while (text.len + 4 < LIMIT_COMPLETION_TEXT)
            buf_puts(&text, units[i]);
        double v = repetition("{}", (const char *)text.data).value;
        assert_true(units[i][0] == ' ' ? v == 0 : v < -0.99 && v >= -1);
    }
    struct scorer_spec spec = {"s", "repetition", "{\"ngram\":65}"};
    struct scoring *s = NULL;
    struct err e;
    assert_int_equal(scoring_open(&spec, 1, &s, &e), ERR_CONFIG);
}

static void readability_counts_checks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned passed;
        const char *says;
    } cases[] = {
        {"<think>First we add.</think> The sum is $3$.", 5, ""},
        {"The sum is 3.", 5, ""},
        {"```c\nint x;\n```\nThat is it.", 5, ""}, /* there is no thought apart */
        {"<think>First we add.</think> \n", 4, "no summary"},
        {"", 4, "no summary"},
        {"<think>```\nx\n```</think>ok", 4, "code in the thought"},
        {"<think>We think 我们这样想 about it</think>done", 4, "scripts"},
        {"<think>a</think>\\(x", 4, "open marks"},
        {"<think>a</think>x\\)", 4, "open marks"},
        {"<think>a</think>\\boxed{1", 4, "open marks"},
        {"<think>a</think>$$x$", 4, "open marks"},
        {"<think>a</think>```\nx", 4, "open marks"},
        {"<think>a</think>\\{ $5 \\[x\\]", 5, ""},
        {"<think>```\n我们\n```\n的 of the</think>", 2, "no summary, scripts"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct score_result r =
            score_text("readability", "{}", "{}", cases[i].text, strlen(cases[i].text));
        if (r.value != cases[i].passed / 5.0 || strstr(r.reason, cases[i].says) == NULL)
            fail_msg("case %zu: %g, '%s'", i, r.value, r.reason);
        assert_int_equal(r.verdict, cases[i].passed == 5 ? VERDICT_PASS : VERDICT_MALFORMED);
    }
}

static void long_paragraphs_are_hard_to_read(void **state)
{
    (void)state;
    static const char params[] = "{\"paragraph\":4}";
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"one two three four", 1},
        {"one two three four five", 0.8},
        {"one two\nthree four\nfive", 0.8},
        {"one two\n \nthree four five", 1},
        {"one two\n\nthree four\n\n\nfive", 1},
        {"<think>one two</think>three four five six", 1},
        {"<think>one two three four five</think>six", 0.8},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        near(score_text("readability", params, "{}", cases[i].text, strlen(cases[i].text)).value,
            cases[i].value);
}

static void readability_is_bounded(void **state)
{
    (void)state;
    static const char *const units[] = {
        "a ", "\n", "\xff", "{", "}", "$", "`", "```\n", "\\", "的"};
    static const char zeros[1 << 20];
    assert_true(score_text("readability", "{}", "{}", zeros, sizeof(zeros)).value <= 1);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_BUF struct buf text = {0};
        while (text.len < 1 << 20)
            buf_puts(&text, units[i]);
        double v = score_text("readability", "{}", "{}", text.data, text.len).value;
        assert_true(v >= 0.4 && v <= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeated_ngrams_are_counted),
        cmocka_unit_test(loops_cost_and_prose_does_not),
        cmocka_unit_test(repetition_is_bounded),
        cmocka_unit_test(readability_counts_checks),
        cmocka_unit_test(long_paragraphs_are_hard_to_read),
        cmocka_unit_test(readability_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
