/* countdown_test.c: expressions: syntax, use of the numbers, exact values, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "reward-server/scoring/number.h"
#include "scoring_cases.h"

#define TAG "{\"tag\":\"answer\"}"
#define T(nums, target) "{\"nums\":[" nums "],\"target\":" target "}"

static uint64_t seed = 1;

static void expressions_are_judged(void **state)
{
    static const struct score_case cases[] = {
        {T("19,36,55,7", "65"), "55 + 36 - 7 - 19", VERDICT_PASS, NULL, NULL},
        {T("3,5,2", "4"), "(3+5)/2", VERDICT_PASS, "(3+5)/2", NULL},
        {T("3,5,2", "4"), "((((3+5))/(2)))", VERDICT_PASS, NULL, NULL},
        {T("3,5,2", "4"), "I think so.\n(3+5)/2\n", VERDICT_PASS, "(3+5)/2", NULL},
        {T("3,5,2", "4"), "(3+5)/2 = 4", VERDICT_PASS, NULL, NULL},
        {T("3,5,2", "4"), "(3+5)/2 = 4.0", VERDICT_PASS, NULL, NULL},
        {T("3,5,2", "4"), "(3+5)/2 = 5", VERDICT_WRONG, NULL, "not the target"},
        {T("3,5,2", "4"), "(3+5)/2 = 2*2 = 4", VERDICT_MALFORMED, NULL, "after '='"},
        {T("1,3,4,6", "24"), "6/(1-3/4)", VERDICT_PASS, NULL, NULL}, /* passes through 1/4 */
        {T("8,8,3,3", "24"), "8/(3-8/3)", VERDICT_PASS, NULL, NULL},
        {T("1,2", "-1"), "1-2", VERDICT_PASS, NULL, NULL},
        {T("2,3,4", "2"), "2-3+4", VERDICT_WRONG, NULL, "is 3, expected 2"},
        {T("2,3,4", "-5"), "2-(3+4)", VERDICT_PASS, NULL, NULL},
        {T("12,3,2", "2"), "12/3/2", VERDICT_PASS, NULL, NULL},
        {T("2,3,4", "14"), "2+3*4", VERDICT_PASS, NULL, NULL},
        {T("2,3", "1"), "2/3", VERDICT_WRONG, NULL, "is 2/3, expected 1"},
        {T("9223372036854775807,9223372036854775807", "0"),
            "9223372036854775807-9223372036854775807", VERDICT_PASS, NULL, NULL},
        {T("1,2", "3"), "1 + 3", VERDICT_WRONG, NULL, "3 is not among the numbers"},
        {T("1,2", "3"), "1+1+1", VERDICT_WRONG, NULL, "1 is not among"},
        {T("1,2,3", "3"), "1+2", VERDICT_WRONG, NULL, "3 is not used"},
        {T("1,2", "12"), "12", VERDICT_WRONG, NULL, "12 is not among"},
        {T("5", "5"), "5", VERDICT_PASS, NULL, NULL},
        {T("1,2", "3"), "99999999999999999999999", VERDICT_WRONG, NULL, "is not among"},
        {T("1,1,2", "2"), "2/(1-1)", VERDICT_WRONG, NULL, "division by zero"},
        {T("1,2", "3"), "1+", VERDICT_MALFORMED, NULL, "ends, expected a number"},
        {T("1,2", "3"), "(1+2", VERDICT_MALFORMED, NULL, "ends, expected ')'"},
        {T("1,2", "3"), "1+2)", VERDICT_MALFORMED, NULL, "byte 3 of the expression is ')'"},
        {T("1,2", "3"), "-1+2", VERDICT_MALFORMED, NULL, "byte 0"},
        {T("1,2", "3"), "1(2)", VERDICT_MALFORMED, NULL, "expected an operator"},
        {T("1,2", "3"), "1 2", VERDICT_MALFORMED, NULL, "expected an operator"},
        {T("1,2", "3"), "1**2", VERDICT_MALFORMED, NULL, "byte 2"},
        {T("1,2", "3"), "1.0+2", VERDICT_MALFORMED, NULL, "byte 1"},
        {T("1,2", "3"), "__import__('os')", VERDICT_MALFORMED, NULL, "byte 0"},
        {T("5", "5"), "18446744073709551621", VERDICT_WRONG, NULL, "is not among"}, /* 2^64 + 5 */
        {T("1,2", "3"), "= 3", VERDICT_MALFORMED, NULL, "ends"},
        {T("1,2", "3"), "1+\\2", VERDICT_MALFORMED, NULL, "is '\\\\', expected"},
        {T("1,2", "3"),
            "1\xc3\x97"
            "2",
            VERDICT_MALFORMED, NULL, "byte 1 of the expression is 0xc3"},
        {T("1,2", "3"), "", VERDICT_NO_ANSWER, NULL, "empty"},
    };
    check_cases("countdown", "{}", cases, ARRAY_LEN(cases));
}

static void with_a_tag_only_its_content_counts(void **state)
{
    static const struct score_case cases[] = {
        {T("1,2", "3"), "<think>2+2</think><answer> 1+2 </answer>", VERDICT_PASS, "1+2", NULL},
        {T("1,2", "3"), "<answer>so\n1+2</answer>", VERDICT_MALFORMED, NULL,
            NULL}, /* the tag holds it all */
        {T("1,2", "3"), "1+2", VERDICT_NO_ANSWER, NULL, NULL},
        {T("1,2", "3"), "<answer>1+2", VERDICT_MALFORMED, NULL, "</answer>"},
    };
    check_cases("countdown", TAG, cases, ARRAY_LEN(cases));
}

static void a_broken_task_is_never_a_score(void **state)
{
    static const struct score_case cases[] = {
        {"{}", "1", VERDICT_JUDGE_FAULT, "", "target"},
        {T("", "3"), "3", VERDICT_JUDGE_FAULT, "", "1 to 16"},
        {T("1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "3"), "3", VERDICT_JUDGE_FAULT, "", "1 to 16"},
        {T("1,-2", "3"), "3", VERDICT_JUDGE_FAULT, "", "integers from 0"},
        {T("1,2.5", "3"), "3", VERDICT_JUDGE_FAULT, "", "integers from 0"},
        {T("1,2", "\"3\""), "1+2", VERDICT_JUDGE_FAULT, "", "integer target"},
        {T("1,99999999999999999999", "3"), "1", VERDICT_JUDGE_FAULT, "", "not JSON"},
    };
    check_cases("countdown", "{}", cases, ARRAY_LEN(cases));
}

static void depth_and_length_are_bounded(void **state)
{
    for (size_t depth = EXPRESSION_DEPTH_MAX; depth <= EXPRESSION_DEPTH_MAX + 1; depth++) {
        CLEANUP_BUF struct buf text = {0};
        for (size_t i = 0; i < depth; i++)
            buf_puts(&text, "(");
        buf_puts(&text, "5");
        for (size_t i = 0; i < depth; i++)
            buf_puts(&text, ")");
        struct score_result r = score_text("countdown", "{}", T("5", "5"), text.data, text.len);
        assert_int_equal(
            r.verdict, depth == EXPRESSION_DEPTH_MAX ? VERDICT_PASS : VERDICT_MALFORMED);
    }
    for (size_t n = EXPRESSION_BYTES_MAX; n <= EXPRESSION_BYTES_MAX + 1; n++) {
        CLEANUP_BUF struct buf text = {0};
        memset(buf_extend(&text, n), ' ', n);
        text.data[0] = '(';
        text.data[1] = '5';
        text.data[n - 1] = ')';
        struct score_result r = score_text("countdown", "{}", T("5", "5"), text.data, text.len);
        assert_int_equal(r.verdict, n == EXPRESSION_BYTES_MAX ? VERDICT_PASS : VERDICT_MALFORMED);
    }
}

/* Open parentheses are counted, not all of them. */
static void parentheses_may_close_and_open_again(void **state)
{
    CLEANUP_BUF struct buf task = {0}, text = {0};
    buf_puts(&task, "{\"target\":16,\"nums\":[");
    for (size_t i = 0; i < SCORER_NUMS_MAX; i++) {
        buf_puts(&task, i > 0 ? ",1" : "1");
        buf_puts(&text, i > 0 ? "+((((((1))))))" : "((((((1))))))");
    }
    buf_puts(&task, "]}");
    struct score_result r =
        score_text("countdown", "{}", (const char *)task.data, text.data, text.len);
    assert_int_equal(r.verdict, VERDICT_PASS);
}

static void a_nul_does_not_end_an_expression(void **state)
{
    assert_int_equal(
        score_text("countdown", "{}", T("5", "5"), "5\0", 2).verdict, VERDICT_MALFORMED);
    assert_int_equal(
        score_text("countdown", "{}", T("5", "5"), "5\0+1", 4).verdict, VERDICT_MALFORMED);
}

static void hostile_texts_are_bounded(void **state)
{
    static const char *const units[] = {"(", ")", "9", "1+", "=", "\n", "1=", "-", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_BUF struct buf text = {0};
        while (text.len + strlen(units[i]) <= LIMIT_COMPLETION_TEXT)
            buf_puts(&text, units[i]);
        assert_int_not_equal(
            score_text("countdown", "{}", T("1,2", "3"), text.data, text.len).verdict,
            VERDICT_PASS);
    }
}

/* A random expression over its own numbers has the value that the generator computed. */
struct made {
    struct buf text;
    int64_t nums[SCORER_NUMS_MAX];
    size_t count;
};

static void make(struct made *m, struct rng *rng, size_t leaves, mpq_t value)
{
    if (leaves == 1) {
        int64_t n = (int64_t)rng_below(rng, 100) + 1;
        m->nums[m->count++] = n;
        buf_printf(&m->text, " %lld", (long long)n);
        mpq_set_si(value, n, 1);
        return;
    }
    mpq_t right;
    mpq_init(right);
    size_t left = 1 + rng_below(rng, leaves - 1);
    char op = "+-*/"[rng_below(rng, 4)];
    buf_puts(&m->text, "(");
    make(m, rng, left, value);
    size_t at = m->text.len;
    buf_printf(&m->text, " %c", op);
    make(m, rng, leaves - left, right);
    if (op == '/' && mpq_sgn(right) == 0) {
        op = '+';
        m->text.data[at + 1] = '+';
    }
    buf_puts(&m->text, " )");
    if (op == '+')
        mpq_add(value, value, right);
    else if (op == '-')
        mpq_sub(value, value, right);
    else if (op == '*')
        mpq_mul(value, value, right);
    else
        mpq_div(value, value, right);
    mpq_clear(right);
}

static void random_expressions_have_their_values(void **state)
{
    struct rng rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    struct arena *a = arena_new(0);
    for (int round = 0; round < 3000; round++) {
        struct made m = {0};
        mpq_t want, got;
        const char *why = "";
        mpq_inits(want, got, NULL);
        make(&m, &rng, 1 + rng_below(&rng, SCORER_NUMS_MAX), want);
        struct span text = {(const char *)m.text.data, m.text.len};
        if (expression_value(text, m.nums, m.count, got, a, &why) != EXPRESSION_OK ||
            !mpq_equal(want, got))
            fail_msg("'%s': %s", m.text.data, why);
        /* One number less is one too many in the expression. */
        assert_int_equal(
            expression_value(text, m.nums, m.count - 1, got, a, &why), EXPRESSION_WRONG);
        mpq_clears(want, got, NULL);
        buf_done(&m.text);
        arena_clear(a);
    }
    arena_free(a);
}

/* The largest values that a task can make: sixteen of the largest numbers, multiplied and divided.
 */
static void largest_values_fit(void **state)
{
    static const char largest[] = "9223372036854775807";
    static const char *const operators[] = {"*", "/", "+", "-"};
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        for (size_t k = 0; k < ARRAY_LEN(operators); k++) {
            CLEANUP_BUF struct buf task = {0}, text = {0};
            buf_puts(&task, "{\"target\":-9223372036854775808,\"nums\":[");
            for (size_t n = 0; n < SCORER_NUMS_MAX; n++) {
                buf_printf(&task, "%s%s", n > 0 ? "," : "", largest);
                if (n > 0)
                    buf_puts(&text, operators[n % 2 == 0 ? i : k]);
                buf_puts(&text, largest);
            }
            buf_puts(&task, "]}");
            struct score_result r =
                score_text("countdown", "{}", (const char *)task.data, text.data, text.len);
            assert_int_equal(r.verdict, VERDICT_WRONG);
            assert_non_null(strstr(r.reason, "is "));
        }
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : seed;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_are_judged),
        cmocka_unit_test(with_a_tag_only_its_content_counts),
        cmocka_unit_test(a_broken_task_is_never_a_score),
        cmocka_unit_test(depth_and_length_are_bounded),
        cmocka_unit_test(parentheses_may_close_and_open_again),
        cmocka_unit_test(a_nul_does_not_end_an_expression),
        cmocka_unit_test(hostile_texts_are_bounded),
        cmocka_unit_test(random_expressions_have_their_values),
        cmocka_unit_test(largest_values_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
