/* pairs_test.c: the math checker over tables of pairs (pairs/right.tsv, pairs/wrong.tsv), of whole
 * responses (pairs/hard_right.tsv, pairs/hard_wrong.tsv, written before the checker saw them), and
 * over hostile texts, within the stated bound of steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "reward-server/scoring/math/ball.h"
#include "reward-server/scoring/math/grade.h"

static const char *pairs_dir;

static struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static struct math_verdict check(const char *reference, const char *answer)
{
    struct math_verdict v = math_check_pair(span_of(reference), span_of(answer));
    assert_true(v.steps <= MATH_STEPS_MAX);
    assert_true(v.answer == MATH_EQUAL || v.why != NULL);
    return v;
}

/* ---- tables ---- */

struct pair {
    char *reference, *answer; /* within the file's text */
};

/* The next line with a tab that is no comment; false at the end. */
static bool next_pair(char **at, struct pair *ret)
{
    while (**at != '\0') {
        char *line = *at, *end = strchr(line, '\n');
        *at = end != NULL ? end + 1 : line + strlen(line);
        if (end != NULL)
            *end = '\0';
        char *tab = strchr(line, '\t');
        if (tab == NULL || strncmp(line, "# ", 2) == 0)
            continue;
        *tab = '\0';
        *ret = (struct pair){line, tab + 1};
        return true;
    }
    return false;
}

static char *load(const char *name)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", pairs_dir, name);
    CLEANUP_BUF struct buf text = {0};
    struct err e;
    if (file_read(path, 1 << 20, &text, &e) != 0)
        fail_msg("%s", e.msg);
    return mem_strndup((const char *)text.data, text.len);
}

/* What the checker makes of a pair; the answer itself, or a response that it stands in. */
typedef struct math_outcome outcome_fn(const struct pair *p);

static size_t check_table(const char *name, outcome_fn *outcome, bool equal)
{
    CLEANUP_FREE char *text = load(name);
    char *at = text;
    struct pair p;
    size_t count = 0, failures = 0;
    for (; next_pair(&at, &p); count++) {
        struct math_outcome o = outcome(&p);
        if ((o.found && o.answer == MATH_EQUAL) == equal)
            continue;
        failures++;
        print_message("%s: '%s' and '%s': %d %s\n", name, p.reference, p.answer, o.answer, o.why);
    }
    print_message("%s: %zu of %zu\n", name, count - failures, count);
    assert_int_equal(failures, 0);
    return count;
}

static struct math_outcome of_answer(const struct pair *p)
{
    struct math_verdict v = check(p->reference, p->answer);
    return (struct math_outcome){.found = true, .answer = v.answer, .why = v.why};
}

static void right_pairs_are_equal(void **state)
{
    assert_true(check_table("right.tsv", of_answer, true) >= 250);
}

static void wrong_pairs_differ(void **state)
{
    assert_true(check_table("wrong.tsv", of_answer, false) >= 250);
}

/* ---- whole responses ---- */

/* "\xe2\x90\xa4" stands for a line end. */
static char *with_lines(char *text)
{
    static const char mark[] = "\xe2\x90\xa4";
    for (char *at; (at = strstr(text, mark)) != NULL;) {
        *at = '\n';
        memmove(at + 1, at + sizeof(mark) - 1, strlen(at + sizeof(mark) - 1) + 1);
    }
    return text;
}

static struct math_outcome of_response(const struct pair *p)
{
    struct math_request q = {span_of(p->reference), span_of(with_lines(p->answer)), false};
    struct math_outcome o;
    math_grade(&q, &o);
    return o;
}

static void hard_right_responses_pass(void **state)
{
    assert_true(check_table("hard_right.tsv", of_response, true) >= 250);
}

static void hard_wrong_responses_fail(void **state)
{
    assert_true(check_table("hard_wrong.tsv", of_response, false) >= 250);
}

/* Whatever stands in the tables is equal to itself, but where it has no value or is no text. */
static void every_side_equals_itself(void **state)
{
    CLEANUP_FREE char *text = load("right.tsv");
    char *at = text;
    struct pair p;
    while (next_pair(&at, &p)) {
        CLEANUP_FREE char *spaced = mem_printf(" $ %s $ ", p.answer);
        if (check(p.reference, p.reference).answer != MATH_EQUAL ||
            check(p.answer, spaced).answer != MATH_EQUAL)
            fail_msg("'%s' or '%s' is not equal to itself", p.reference, p.answer);
    }
}

/* ---- hostile texts ---- */

static char *repeated(const char *head, const char *unit, size_t n, const char *tail)
{
    CLEANUP_BUF struct buf b = {0};
    buf_puts(&b, head);
    while (b.len + strlen(unit) + strlen(tail) <= n)
        buf_puts(&b, unit);
    buf_puts(&b, tail);
    return mem_strndup((const char *)b.data, b.len);
}

/* Each unit repeated to the largest text, against itself with a change and against a number: ends
 * within the bound, and is never taken for the number. */
static void largest_texts_are_bounded(void **state)
{
    static const char *const units[] = {"9", "9^", "9**", "(", ")", "((x)", "{", "\\{", "\\frac",
        "\\frac{1}{", "\\sqrt", "\\sqrt{", "\\sqrt[", "|", "\\left|", "!", "9!", "9!^", "x^x^", "-",
        "+", "1+", "x+", "x*", "x/", "1/", "1,", "x,", "[", "[1,2]\\cup", "\\pm ", "\\pm1,",
        "\\pm1+", "\\text{", "\\text{a}", "\\begin{pmatrix}", "1&", "1\\\\", "x_", "x_{", "\\sin",
        "\\sin(", "sin", "\\log_", "e^", "e^{", "i^i^", "1:", "x<", "x=", "x!=", "1e9", "0.1e-9",
        "9^\\circ", "%", "\\%", "\\binom99", "\\binom{9}{", "\\mathbb", "\\\\", "\\", "\xff",
        "\xe2\x88", "\x01", "a", "abc ", "Word ", "f(", "\\lfloor ", "1\\frac12",
        "\\arctan(\\exp("};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_FREE char *text = repeated("", units[i], MATH_TEXT_MAX, "");
        CLEANUP_FREE char *other = repeated("", units[i], MATH_TEXT_MAX, "7");
        assert_int_not_equal(check("7919", text).answer, MATH_EQUAL);
        assert_int_not_equal(check(text, "7919").answer, MATH_EQUAL);
        (void)check(text, other);
        assert_int_equal(check(text, text).answer, MATH_EQUAL);
    }
}

static void one_byte_too_many_is_refused(void **state)
{
    CLEANUP_FREE char *largest = repeated("", "1", MATH_TEXT_MAX, "");
    CLEANUP_FREE char *larger = repeated("", "1", MATH_TEXT_MAX + 1, "");
    assert_int_equal(check(largest, largest).answer, MATH_EQUAL);
    assert_int_equal(check(larger, larger).answer, MATH_DIFFER);
    assert_string_equal(check("1", larger).why, "longer than 4096 bytes");
}

/* A pair that needs more steps than there are is undecided and says so; it does not pass. */
static void out_of_steps_is_undecided(void **state)
{
    CLEANUP_BUF struct buf a = {0}, b = {0};
    for (int i = 1; i <= 60; i++) {
        buf_printf(&a, "%s(x+%d)!", i > 1 ? "," : "", i);
        buf_printf(&b, "%s(%d+x)!", i > 1 ? "," : "", i < 60 ? 60 - i : 99);
    }
    struct math_verdict v = check((const char *)a.data, (const char *)b.data);
    assert_int_equal(v.answer, MATH_UNKNOWN);
    assert_string_equal(v.why, "out of steps");
}

static void depth_is_bounded(void **state)
{
    CLEANUP_BUF struct buf deep = {0};
    for (int i = 0; i < 500; i++)
        buf_puts(&deep, "(");
    buf_puts(&deep, "1");
    for (int i = 0; i < 500; i++)
        buf_puts(&deep, ")");
    struct math_verdict v = check("1", (const char *)deep.data);
    assert_int_not_equal(v.answer, MATH_EQUAL);
    assert_int_equal(check("1", "((((((((((((((((1))))))))))))))))").answer, MATH_EQUAL);
}

/* What cannot be read is compared as text: equal text passes, other text is flagged. */
static void unreadable_references_are_text(void **state)
{
    static const char odd[] = "\\lim_{n\\to\\infty} a_n @@ b";
    assert_int_equal(check(odd, odd).answer, MATH_EQUAL);
    assert_int_equal(check(odd, "\\lim_{n\\to\\infty}a_n@@b").answer, MATH_EQUAL);
    struct math_verdict v = check(odd, "5");
    assert_int_equal(v.answer, MATH_UNKNOWN);
    assert_non_null(strstr(v.why, "text only"));
    assert_int_equal(check("a parabola", "5").answer, MATH_DIFFER);
}

int main(int argc, char **argv)
{
    pairs_dir = argc > 1 ? argv[1] : "tests/scoring/pairs";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_pairs_are_equal),
        cmocka_unit_test(wrong_pairs_differ),
        cmocka_unit_test(hard_right_responses_pass),
        cmocka_unit_test(hard_wrong_responses_fail),
        cmocka_unit_test(every_side_equals_itself),
        cmocka_unit_test(largest_texts_are_bounded),
        cmocka_unit_test(one_byte_too_many_is_refused),
        cmocka_unit_test(out_of_steps_is_undecided),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(unreadable_references_are_text),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    ball_thread_done();
    return failures;
}
