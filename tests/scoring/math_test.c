/* math_test.c: numbers read exactly, answers found by the rules in their order, hostile texts
 * bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "reward-server/scoring/number.h"
#include "scoring_cases.h"

#define TAG "{\"tag\":\"answer\"}"
#define A(x) "{\"answer\":\"" x "\"}"

static uint64_t seed = 1;

/* Text to canonical fraction, or the reason for which there is none. */
static const struct {
    const char *text, *want; /* NULL: no number */
} numbers[] = {
    {"0", "0"},
    {"-0", "0"},
    {"7", "7"},
    {"+7", "7"},
    {"-7", "-7"},
    {"\xe2\x88\x92"
     "7",
        "-7"},
    {"007", "7"},
    {"1.50", "3/2"},
    {"-1.50", "-3/2"},
    {".5", "1/2"},
    {"5.", "5"},
    {"0.1", "1/10"},
    {"3/4", "3/4"},
    {"6/8", "3/4"},
    {"-3/2", "-3/2"},
    {"3/-2", "-3/2"},
    {"3 / 4", "3/4"},
    {"0/5", "0"},
    {"0.5/0.25", "2"},
    {"1,234", "1234"},
    {"12,345,678", "12345678"},
    {"1,234.5", "2469/2"},
    {"1{,}234", "1234"},
    {"10,\\!000", "10000"},
    {"1\\,000", "1000"},
    {"1e3", "1000"},
    {"1E-2", "1/100"},
    {"2.5e1", "25"},
    {"\\frac{3}{4}", "3/4"},
    {"\\dfrac{3}{4}", "3/4"},
    {"\\tfrac{-3}{4}", "-3/4"},
    {"-\\frac{3}{4}", "-3/4"},
    {"\\frac34", "3/4"},
    {"\\frac 3 4", "3/4"},
    {"\\frac{1,000}{4}", "250"},
    {"1\\frac{1}{2}", "3/2"},
    {"-1\\frac12", "-3/2"},
    {"$5$", "5"},
    {"$5", "5"},
    {"\\$5", "5"},
    {"$-5", "-5"},
    {"-$5", "-5"},
    {"\xe2\x82\xac"
     "5",
        "5"},
    {"\\(5\\)", "5"},
    {"\\[5\\]", "5"},
    {"**5**", "5"},
    {"**5.**", "5"},
    {"{5}", "5"},
    {"$$5$$", "5"},
    {" 5 . ", "5"},
    {"$\\frac{1}{2}$.", "1/2"},
    {"$1,000.00", "1000"},
    {"", NULL},
    {" ", NULL},
    {"-", NULL},
    {"+-5", NULL},
    {"--5", NULL},
    {".", NULL},
    {"..5", NULL},
    {"1..5", NULL},
    {"1.2.3", NULL},
    {"1,23", NULL},
    {"1,2345", NULL},
    {"1234,567", NULL},
    {",123", NULL},
    {"1,,234", NULL},
    {"1/0", NULL},
    {"1/2/3", NULL},
    {"1/", NULL},
    {"/2", NULL},
    {"\\frac{1}{0}", NULL},
    {"\\frac{1}", NULL},
    {"\\frac{x}{2}", NULL},
    {"\\frac", NULL},
    {"\\frac{1}{2", NULL},
    {"1.5\\frac12", NULL},
    {"5x", NULL},
    {"x5", NULL},
    {"5 6", NULL},
    {"five", NULL},
    {"50%", NULL},
    {"1e", NULL},
    {"1e1000", NULL},
    {"1e-1000", NULL},
    {"1e99999999999999999999", NULL},
    {"nan", NULL},
    {"inf", NULL},
    {"0x10", NULL},
    {"(5)", NULL},
    {"2^3", NULL},
    {"{5}{6}", NULL},
    {"\xff", NULL},
};

static void numbers_are_exact(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char got[64] = "";
        const char *why = NULL;
        mpq_t v;
        mpq_init(v);
        bool ok = number_parse((struct span){numbers[i].text, strlen(numbers[i].text)}, v, &why);
        if (ok)
            (void)mpq_get_str(got, 10, v);
        mpq_clear(v);
        if (ok != (numbers[i].want != NULL) || (ok && strcmp(got, numbers[i].want) != 0) ||
            (!ok && why == NULL))
            fail_msg("case %zu '%s': got %s, %s", i, numbers[i].text, ok ? got : "no number",
                why != NULL ? why : "");
    }
}

static void number_of_digits_is_bounded(void **state)
{
    for (size_t n = NUMBER_DIGITS_MAX; n <= NUMBER_DIGITS_MAX + 1; n++) {
        char text[NUMBER_DIGITS_MAX + 2];
        const char *why = NULL;
        mpq_t v;
        memset(text, '9', n);
        mpq_init(v);
        assert_int_equal(number_parse((struct span){text, n}, v, &why), n == NUMBER_DIGITS_MAX);
        mpq_clear(v);
        if (n > NUMBER_DIGITS_MAX)
            assert_non_null(strstr(why, "1000 digits"));
    }
}

/* Any a/b written as a fraction, as \frac and, where it ends, as a decimal is one number. */
static void spellings_of_a_number_agree(void **state)
{
    struct rng rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (int round = 0; round < 2000; round++) {
        long a = (long)rng_below(&rng, 2000000) - 1000000, places = (long)rng_below(&rng, 6),
             ten = 1;
        for (long i = 0; i < places; i++)
            ten *= 10;
        char text[4][64];
        long size = labs(a);
        const char *sign = a < 0 ? "-" : "";
        (void)snprintf(text[0], 64, "%ld/%ld", a, ten);
        (void)snprintf(text[1], 64, "%s\\frac{%ld}{%ld}", sign, size, ten);
        (void)snprintf(text[2], 64, "%s%ld.%0*ld", sign, size / ten, (int)places, size % ten);
        (void)snprintf(text[3], 64, "%lde-%ld", a, places);
        if (places == 0)
            (void)snprintf(text[2], 64, "%ld.", a);
        mpq_t v[4];
        const char *why;
        for (int i = 0; i < 4; i++) {
            mpq_init(v[i]);
            if (!number_parse((struct span){text[i], strlen(text[i])}, v[i], &why))
                fail_msg("'%s': %s", text[i], why);
            if (!mpq_equal(v[0], v[i]))
                fail_msg("'%s' and '%s' differ", text[0], text[i]);
        }
        for (int i = 0; i < 4; i++)
            mpq_clear(v[i]);
    }
}

static void rows_of_boxes_and_prose(void **state)
{
    static const struct score_case cases[] = {
        /* a row of boxes is a list: whoever boxes two different things has not decided */
        {A("5"), "\\boxed{4} or \\boxed{ 5 } then 6. The answer is 7", VERDICT_WRONG, NULL, NULL},
        {A("5"), "\\boxed{4} and \\boxed{5}", VERDICT_WRONG, NULL, NULL},
        {A("5"), "\\boxed{4}. \\boxed{5}", VERDICT_PASS, NULL, NULL},
        {A("1/2"), "\\boxed{\\frac12} or $\\boxed{0.5}$", VERDICT_PASS, NULL, NULL},
        {A("\\\\boxed{x+1} or \\\\boxed{1+x}"), "\\boxed{1+x}", VERDICT_PASS, NULL, NULL},
        {A("4"), "\\boxed{4} or \\boxed{5}", VERDICT_WRONG, NULL, NULL},
        {A("4, 5"), "\\boxed{4} and \\boxed{5}", VERDICT_PASS, NULL, NULL},
        {A("5"), "\\boxed{n=4}, and therefore \\boxed{5}", VERDICT_PASS, NULL, NULL},
        /* the words of a few-shot prompt come after the box */
        {A("6"), "\\boxed{5} is a step. The final answer is $6$. I hope it is correct.",
            VERDICT_PASS, "$6$", NULL},
        {A("6"), "\\\\boxed{6}", VERDICT_PASS, "6", NULL},
        {A("1,2"), "\\boxed{1} paper and \\boxed{2} bins", VERDICT_PASS, NULL, NULL},
        {A("(3,3), (1,1)"), "$$\\boxed{(3, 3)} \\text{ for part (a) and } \\boxed{(1, 1)}$$",
            VERDICT_PASS, NULL, NULL},
        {A("2"), "\\boxed{1} paper and \\boxed{2} bins", VERDICT_WRONG, NULL, NULL},
        {A("2"), "\\boxed{1} is a step and \\boxed{2}", VERDICT_PASS, "2", NULL},
        /* a formula that line ends break is none */
        {A("9"), "Answer $ \n 9 \n $", VERDICT_NO_ANSWER, NULL, NULL},
        {A("9"), "Answer \\( \n 9 \n \\)", VERDICT_NO_ANSWER, NULL, NULL},
        {A("9"), "Answer $$ \n 9 \n $$", VERDICT_PASS, "9", NULL},
        /* double stars in the last line, choices */
        {A("Thursday"), "2 days on:\nIt falls on a **Thursday**.", VERDICT_PASS, "Thursday", NULL},
        {A("72"), "So the total is **72** clips (48 + 24).", VERDICT_PASS, "72", NULL},
        {A("12"), "**12** or **13**", VERDICT_WRONG, NULL, NULL},
        {A("13"), "$\\boxed{12}$ papers and $\\boxed{13}$ pens", VERDICT_WRONG, NULL, NULL},
        {A("24"), "So the total is **72** clips (48 + 24).", VERDICT_WRONG, "72", NULL},
        {A("73"), "First **72**.\nNo, it is 73.", VERDICT_PASS, "73", NULL},
        {A("\\\\text{(A)}"), "A) 12", VERDICT_PASS, "A) 12", NULL},
        {A("12"), "A) 12", VERDICT_PASS, "A) 12", NULL},
        {A("12"), "A) 12 B) 13", VERDICT_WRONG, NULL, NULL},
        {A("12"), "**Final Answer**\n\n12", VERDICT_PASS, "12", NULL},
        {A("19"), "Final Answer: the number of points of $f(x)$ is 19. <|im_start|>user",
            VERDICT_PASS, "19.", NULL},
        {A("3"), "Final Answer: Jane started growing Sphere 3 hours ago.", VERDICT_PASS, "3", NULL},
        {A("2.74"), "Soucis : 2,74 $ a..", VERDICT_PASS, "2,74", NULL},
        {A("8"), "\u7b54\u6848\uff1a8", VERDICT_PASS, "8", NULL},
    };
    check_cases("math", "{}", cases, ARRAY_LEN(cases));
}

static void answers_are_found_by_rank(void **state)
{
    static const struct score_case cases[] = {
        /* \boxed first, the last balanced one */
        {A("5"), "\\boxed{5}", VERDICT_PASS, "5", NULL},
        {A("5"), "\\boxed{4} then \\boxed{ 5 } then 6. The answer is 7", VERDICT_PASS, "5", NULL},
        {A("3/4"), "So $\\boxed{\\frac{3}{4}}$.", VERDICT_PASS, "\\\\frac{3}{4}", NULL},
        {A("5"), "\\boxed{5} and \\boxed{6", VERDICT_PASS, "5", NULL},
        {A("5"), "\\boxed{x}, so 5", VERDICT_WRONG, "x", "expected 5"},
        /* then the last mark */
        {A("18"), "a\n#### 18", VERDICT_PASS, "18", NULL},
        {A("18"), "#### 17\n#### 18\n19", VERDICT_PASS, "18", NULL},
        {A("1000"), "The answer is $1,000.", VERDICT_PASS, NULL, NULL},
        {A("18"), "The answer is 18 dollars, not 19", VERDICT_PASS, "18", NULL},
        {A("18"), "The answer is $18$, not $19$", VERDICT_PASS, "18", NULL},
        {A("1/2"), "The final answer is $\\frac12$. I hope it is correct.", VERDICT_PASS, NULL,
            NULL},
        {A("1/2"), "Final answer: **$\\frac12$**", VERDICT_PASS, NULL, NULL},
        {A("18"), "The answer is:\n18", VERDICT_PASS, "18", NULL},
        {A("18"), "the ANSWER IS: **18** apples", VERDICT_PASS, "18", NULL},
        {A("-18"), "The final answer is -18 dollars", VERDICT_PASS, "-18 dollars", NULL},
        {A("18"), "Answer: 18", VERDICT_PASS, "18", NULL},
        {A("18"), "The answer is = \\(18\\) cm", VERDICT_PASS, NULL, NULL},
        {A("0.5"), "The answer is 1/2 of it", VERDICT_PASS, NULL, NULL},
        {A("3/2"), "The answer is $1\\frac{1}{2}$.", VERDICT_PASS, NULL, NULL},
        {A("1/3"), "The answer is 1 / 3", VERDICT_PASS, "1 / 3", NULL},
        {A("18"), "The answer is unknown. 18", VERDICT_WRONG, "unknown. 18", "full stop"},
        {A("18"), "18. The answer is", VERDICT_PASS, "18",
            NULL}, /* nothing follows: the last number */
        /* then the last number */
        {A("42"), "It is 41, no, 42!", VERDICT_PASS, "42", NULL},
        {A("42"), "It is 41, no, 42.", VERDICT_PASS, "42", NULL},
        {A("-42"), "x = -42", VERDICT_PASS, "x = -42", NULL},
        {A("2"), "4-2", VERDICT_PASS, "4-2", NULL},
        {A("4"), "So $x^2$ and then $2+2$ follow.", VERDICT_PASS, "2+2", NULL},
        {A("\\\\frac12"), "So \\(\\frac12\\) it is", VERDICT_PASS, NULL, NULL},
        {A("-5"), "a loss of -$5", VERDICT_PASS, "-$5", NULL},
        {A("1234.5"), "total 1,234.50 EUR", VERDICT_PASS, "1,234.50", NULL},
        {A("3"), "1,2,3", VERDICT_WRONG, "1,2,3", NULL},
        {A("3"), "about 3 x2 y_7", VERDICT_PASS, "3", NULL},
        {A("3"), "at 3 km2", VERDICT_PASS, "3", NULL},
        {A("5"), "none of it, sorry", VERDICT_NO_ANSWER, "", "no number"},
        {A("5"), "", VERDICT_NO_ANSWER, "", NULL},
        {A("5"), "x5", VERDICT_WRONG, "x5", NULL},
        /* and compared exactly */
        {A("-1.50"), "-3/2", VERDICT_PASS, NULL, NULL},
        {A("0.333333333333333333333333"), "1/3", VERDICT_PASS, NULL, NULL},
        {A("0.25"), "0.251", VERDICT_WRONG, NULL, "expected 0.25"},
        {A("100000000000000000000000000001"), "100000000000000000000000000000", VERDICT_WRONG, NULL,
            NULL},
        {A("100000000000000000000000000001"), "100000000000000000000000000001.0", VERDICT_PASS,
            NULL, NULL},
        {A("1/3"), "2/6", VERDICT_PASS, NULL, NULL},
        {A(" $1,000 "), "1000", VERDICT_PASS, NULL, NULL},
    };
    check_cases("math", "{}", cases, ARRAY_LEN(cases));
    check_cases("math", "{\"tag\":\"\"}", cases, ARRAY_LEN(cases));
}

static void with_a_tag_only_its_content_counts(void **state)
{
    static const struct score_case cases[] = {
        {A("1"), "<think>steps1</think><answer>1</answer>", VERDICT_PASS, "1", NULL},
        {A("1"), "<answer> 1.0\n</answer>", VERDICT_PASS, "1.0", NULL},
        {A("1"), "<answer>$\\boxed{1}$</answer>", VERDICT_PASS, "1", NULL},
        {A("1"), "\\boxed{1}<answer>2</answer>", VERDICT_WRONG, "2", "expected 1"},
        {A("1"), "<answer>is 1</answer>", VERDICT_WRONG, "is 1", "expected 1"},
        {A("1"), "1", VERDICT_NO_ANSWER, "", "no <answer>...</answer>"},
        {A("1"), "<answer></answer>", VERDICT_NO_ANSWER, "", "empty"},
        {A("1"), "<answer> \n </answer>", VERDICT_NO_ANSWER, "", "empty"},
        {A("1"), "<answer>1", VERDICT_MALFORMED, "", "</answer> is missing"},
        {A("1"), "1</answer>", VERDICT_MALFORMED, "", "<answer> is missing"},
        {A("1"), "</answer>1<answer>", VERDICT_MALFORMED, "", "</answer> before <answer>"},
        {A("1"), "<answer>1</answer><answer>1</answer>", VERDICT_MALFORMED, "", "more than once"},
        {A("1"), "<answer>1</answer></answer>", VERDICT_MALFORMED, "",
            "</answer> occurs more than once"},
        {A("1"), "<ANSWER>1</ANSWER>", VERDICT_NO_ANSWER, "", NULL},
        {A("1"), "<answer >1</answer>", VERDICT_MALFORMED, "", NULL},
    };
    check_cases("math", TAG, cases, ARRAY_LEN(cases));
}

static void a_broken_reference_is_never_a_score(void **state)
{
    static const struct score_case cases[] = {
        {A(""), "", VERDICT_JUDGE_FAULT, "", "empty"},
        {A("  "), "", VERDICT_JUDGE_FAULT, "", "empty"},
        {"{}", "1", VERDICT_JUDGE_FAULT, "", "no reference answer"},
        {"{\"answer\":1}", "1", VERDICT_JUDGE_FAULT, "", "no reference answer"},
        {"{\"answer\":null}", "1", VERDICT_JUDGE_FAULT, "", NULL},
        {"[]", "1", VERDICT_JUDGE_FAULT, "", NULL},
        {"", "1", VERDICT_JUDGE_FAULT, "", "not JSON"},
        {"{\"answer\":\"1\"", "1", VERDICT_JUDGE_FAULT, "", "not JSON"},
    };
    check_cases("math", "{}", cases, ARRAY_LEN(cases));
    check_cases("math", TAG, cases, ARRAY_LEN(cases));
}

/* Largest texts of the worst kinds: each must end, within bounds, without a pass. */
static void hostile_texts_are_bounded(void **state)
{
    static const struct {
        const char *unit;
        size_t n;
    } units[] = {
        {"\0", 1},
        {"9", 1},
        {"9,999", 5},
        {"-", 1},
        {"\\boxed{", 7},
        {"\\boxed{9", 8},
        {"answer is ", 10},
        {"####", 4},
        {"<answer>", 8},
        {"</answer>", 9},
        {"{", 1},
        {"$", 1},
        {"**", 2},
        {"\xff", 1},
        {"\xe2\x88\x92", 3},
        {".", 1},
        {"/", 1},
        {"1/", 2},
        {"\\frac", 5},
        {"e9", 2},
        {" ", 1},
        {"\n", 1},
        {"\x1b[2J", 4},
        {"1 ", 2},
        {"a1", 2},
    };
    static const char *const params[] = {"{}", TAG};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_BUF struct buf text = {0};
        while (text.len + units[i].n <= LIMIT_COMPLETION_TEXT)
            buf_append(&text, units[i].unit, units[i].n);
        for (size_t k = 0; k < ARRAY_LEN(params); k++) {
            struct score_result r = score_text("math", params[k], A("5"), text.data, text.len);
            assert_true(r.verdict == VERDICT_WRONG || r.verdict == VERDICT_NO_ANSWER ||
                        r.verdict == VERDICT_MALFORMED);
        }
        CLEANUP_BUF struct buf tagged = {0};
        buf_puts(&tagged, "<answer>");
        buf_append(&tagged, text.data, text.len - 32);
        buf_puts(&tagged, "</answer>");
        assert_int_not_equal(
            score_text("math", TAG, A("5"), tagged.data, tagged.len).verdict, VERDICT_PASS);
    }
}

static void one_byte_too_many_is_malformed(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    memset(buf_extend(&text, LIMIT_COMPLETION_TEXT), ' ', LIMIT_COMPLETION_TEXT);
    text.data[LIMIT_COMPLETION_TEXT - 1] = '5';
    assert_int_equal(score_text("math", "{}", A("5"), text.data, text.len).verdict, VERDICT_PASS);
    buf_puts(&text, " ");
    struct score_result r = score_text("math", "{}", A("5"), text.data, text.len);
    assert_int_equal(r.verdict, VERDICT_MALFORMED);
    assert_non_null(strstr(r.reason, "4 MiB"));
}

/* NUL and broken bytes are text like any other: they neither end a text nor hide what follows. */
static void control_bytes_are_shown_escaped(void **state)
{
    static const char text[] = "<answer>1\0\x1b\xff</answer>";
    struct score_result r = score_text("math", TAG, A("1"), text, sizeof(text) - 1);
    assert_int_equal(r.verdict, VERDICT_WRONG);
    assert_string_equal(r.extracted, "1\\x00\\x1b\\xff");
    static const char word[] = "\\text{pi\0\0}";
    assert_int_not_equal(
        score_text("math", "{}", A("3"), word, sizeof(word) - 1).verdict, VERDICT_PASS);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : seed;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(number_of_digits_is_bounded),
        cmocka_unit_test(spellings_of_a_number_agree),
        cmocka_unit_test(rows_of_boxes_and_prose),
        cmocka_unit_test(answers_are_found_by_rank),
        cmocka_unit_test(with_a_tag_only_its_content_counts),
        cmocka_unit_test(a_broken_reference_is_never_a_score),
        cmocka_unit_test(hostile_texts_are_bounded),
        cmocka_unit_test(one_byte_too_many_is_malformed),
        cmocka_unit_test(control_bytes_are_shown_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
