/* choice_test.c: one option, however it is written; several are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scoring_cases.h"

#define B "{\"answer\":\"B\"}"
#define FRUIT "{\"answer\":\"B\",\"choices\":[\"an apple\",\"A pear\",\"two plums\",\"Bread\"]}"
#define PASS VERDICT_PASS
#define WRONG VERDICT_WRONG
#define BAD VERDICT_MALFORMED
#define FAULT VERDICT_JUDGE_FAULT

static void letters_are_found(void **state)
{
    (void)state;
    static const struct score_case cases[] = {
        {B, "B", PASS, "B", NULL},
        {B, "b", PASS, NULL, NULL},
        {B, "(B)", PASS, NULL, NULL},
        {B, "(b)", PASS, NULL, NULL},
        {B, "**B**.", PASS, NULL, NULL},
        {B, "B.", PASS, NULL, NULL},
        {B, "$\\text{B}$", PASS, NULL, NULL},
        {B, "\\boxed{B}", PASS, "B", NULL},
        {B, "\\boxed{\\text{(B)}}", PASS, NULL, NULL},
        {B, "\\boxed{A} no: \\boxed{B}", PASS, NULL, NULL},
        {B, "A is tempting. So the answer is (B).", PASS, "(B).", NULL},
        {B, "The answer is A. No. The answer is B because 2 > 1.", PASS, NULL, NULL},
        {B, "Answer: B) 42", PASS, NULL, NULL},
        {B, "**Answer:** B\nI hope so", PASS, "B", NULL},
        {B, "答案是B。", BAD, NULL, NULL}, /* a sign beyond ASCII touches the letter */
        {B, "答案：B", PASS, NULL, NULL},
        {B, "<think>the answer is A or C</think>B", PASS, "B", NULL},
        {B, "the answer is A", WRONG, NULL, "A, expected B"},
        {B, "J", WRONG, NULL, "J, expected B"},
        {B, "K", BAD, NULL, "no letter"},
        {B, "", VERDICT_NO_ANSWER, NULL, "empty"},
        {B, "<think>B</think>", VERDICT_NO_ANSWER, NULL, "empty"},
        {B, "42", BAD, NULL, "no letter"},
        {B, "Bread", BAD, NULL, "no letter"},
        {B, "The answer is a dog", BAD, NULL, "no letter"},
        {B, "The answer is I think 5", BAD, NULL, "no letter"},
    };
    check_cases("choice", "{}", cases, ARRAY_LEN(cases));
}

static void several_letters_are_no_answer(void **state)
{
    (void)state;
    static const struct score_case cases[] = {
        {B, "A, B, C, D", BAD, NULL, "more than one"},
        {B, "B or C", BAD, NULL, "more than one"},
        {B, "B and not A", BAD, NULL, "more than one"},
        {B, "(B)(C)", BAD, NULL, "more than one"},
        {B, "A/B/C/D", BAD, NULL, "more than one"},
        {B, "B) 1 C) 2 D) 3", BAD, NULL, "more than one"},
        {B, "ABCD", BAD, NULL, "no letter"},
        {B, "B|C", BAD, NULL, "more than one"},
        {B,
            "B\xc2\xa0"
            "C",
            BAD, NULL, "no letter"},
        {B, "\\boxed{A,B,C,D}", BAD, NULL, "more than one"},
        {B, "The answer is B or C.", BAD, NULL, "more than one"},
        {B, "not B", BAD, NULL, "no letter"},
    };
    check_cases("choice", "{}", cases, ARRAY_LEN(cases));
}

static void texts_of_options_count(void **state)
{
    (void)state;
    static const struct score_case cases[] = {
        {FRUIT, "B", PASS, NULL, NULL},
        {FRUIT, "a  PEAR.", PASS, NULL, NULL},
        {FRUIT, "The answer is **a pear**", PASS, NULL, NULL},
        {FRUIT, "(B) A pear", PASS, NULL, NULL},
        {FRUIT, "B: a pear", PASS, NULL, NULL},
        {FRUIT, "an apple", WRONG, NULL, "A, expected B"},
        {FRUIT, "Bread", WRONG, NULL, "D, expected B"},
        {FRUIT, "(B) two plums", BAD, NULL, "text of another"},
        {FRUIT, "E", BAD, NULL, "beyond the options"},
        {FRUIT, "a pea", BAD, NULL, "no letter"},
        {FRUIT, "an apple, a pear, two plums", BAD, NULL, "no letter"},
        {"{\"answer\":\"two plums\",\"choices\":[\"an apple\",\"two plums\"]}", "B", PASS, NULL,
            NULL},
        {"{\"answer\":\"1\",\"choices\":[\"no\",\"yes\"]}", "yes", PASS, NULL, NULL},
        {"{\"answer\":\"1\",\"choices\":[\"1\",\"2\"]}", "A", PASS, NULL, NULL}, /* text first */
        {"{\"answer\":\"A\",\"choices\":[\"x\",\"x\"]}", "x", BAD, NULL, "no letter"},
        {"{\"answer\":\"B\",\"choices\":[\"B\",\"A\"]}", "A", WRONG, NULL, "B, expected A"},
    };
    check_cases("choice", "{}", cases, ARRAY_LEN(cases));
}

static void a_tag_holds_the_answer(void **state)
{
    (void)state;
    static const struct score_case cases[] = {
        {B, "A <answer>B</answer> C", PASS, "B", NULL},
        {B, "<answer>so the answer is B</answer>", PASS, "B", NULL},
        {B, "<answer>A</answer><answer>B</answer>", BAD, NULL, "<answer> occurs more"},
        {B, "B", VERDICT_NO_ANSWER, NULL, "no <answer>"},
    };
    check_cases("choice", "{\"tag\":\"answer\"}", cases, ARRAY_LEN(cases));
}

static void a_broken_task_is_never_a_score(void **state)
{
    (void)state;
    static const struct score_case cases[] = {
        {"{}", "B", FAULT, "", "no reference"},
        {"{\"answer\":\"K\"}", "B", FAULT, "", "'K' names no option"},
        {"{\"answer\":\"A or B\"}", "B", FAULT, "", "names no option"},
        {"{\"answer\":\"C\",\"choices\":[\"x\",\"y\"]}", "B", FAULT, "", "beyond"},
        {"{\"answer\":\"2\",\"choices\":[\"x\",\"y\"]}", "B", FAULT, "", "names no option"},
        {"{\"answer\":\"A\",\"choices\":[\"x\"]}", "A", FAULT, "", "2 to 10"},
        {"{\"answer\":\"A\",\"choices\":[\"x\",7]}", "A", FAULT, "", "2 to 10"},
        {"{\"answer\":\"A\",\"choices\":\"x\"}", "A", FAULT, "", "2 to 10"},
        {"{", "A", FAULT, "", "not JSON"},
    };
    check_cases("choice", "{}", cases, ARRAY_LEN(cases));
}

static void hostile_texts_are_bounded(void **state)
{
    (void)state;
    static const char *const units[] = {
        "A", "(", "answer is ", "answer: B\n", "\\boxed{", "B,", "\xff", " ", "答案", "{\\text{"};
    static const char zeros[1 << 20];
    assert_int_equal(score_text("choice", "{}", B, zeros, sizeof(zeros)).verdict, BAD);
    assert_int_equal(score_text("choice", "{}", B, "B\0A", 3).verdict, BAD);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_BUF struct buf text = {0};
        while (text.len < 1 << 20)
            buf_puts(&text, units[i]);
        struct score_result r = score_text("choice", "{}", B, text.data, text.len);
        assert_int_equal(r.verdict == PASS, i == 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_found),
        cmocka_unit_test(several_letters_are_no_answer),
        cmocka_unit_test(texts_of_options_count),
        cmocka_unit_test(a_tag_holds_the_answer),
        cmocka_unit_test(a_broken_task_is_never_a_score),
        cmocka_unit_test(hostile_texts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
