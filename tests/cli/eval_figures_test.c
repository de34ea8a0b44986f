/* eval_figures_test.c: pass@1, pass@k, maj@k and lengths by hand-counted examples. */
#include "cli/eval_figures.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PASS(text)                                                                                 \
    {                                                                                              \
        true, false, VERDICT_PASS, 4, text                                                         \
    }
#define WRONG(text)                                                                                \
    {                                                                                              \
        true, false, VERDICT_WRONG, 8, text                                                        \
    }
#define CUT                                                                                        \
    {                                                                                              \
        true, true, VERDICT_TRUNCATED, 16, ""                                                      \
    }
#define FAULT                                                                                      \
    {                                                                                              \
        false, false, VERDICT_JUDGE_FAULT, 2, ""                                                   \
    }

static void near(double got, double expected)
{
    assert_true(fabs(got - expected) < 1e-12);
}

static void test_one_sample(void **state)
{
    const struct eval_completion c[] = {PASS("1"), WRONG("2"), CUT, PASS("1")};
    struct eval_figures f;
    eval_figures_of(c, 4, 1, &f);
    near(f.pass_1, 0.5);
    near(f.pass_k, 0.5);
    near(f.maj_k, 0.5);
    assert_true(f.low > 0.14 && f.low < 0.16); /* Wilson, 2 of 4: 0.150, 0.850 */
    assert_true(f.high > 0.84 && f.high < 0.86);
    near(f.length, 8);
    near(f.length_right, 4);
    near(f.length_wrong, 12);
    near(f.length_median, 6);
    assert_int_equal(f.length_max, 16);
    near(f.truncated, 0.25);
    assert_int_equal(f.verdicts[VERDICT_PASS], 2);
    assert_int_equal(f.verdicts[VERDICT_TRUNCATED], 1);
    assert_int_equal(f.unscored, 0);
}

/* A fault of the judge is neither right nor wrong: it leaves every denominator. */
static void test_faults_count_nowhere(void **state)
{
    const struct eval_completion c[] = {PASS("1"), FAULT, FAULT, FAULT};
    struct eval_figures f;
    eval_figures_of(c, 2, 2, &f);
    near(f.pass_1, 1);
    near(f.maj_k, 1);
    assert_true(isnan(f.pass_k)); /* no task has two scored completions */
    assert_int_equal(f.unscored, 3);
    assert_int_equal(f.unscored_tasks, 1);
    assert_true(f.low < 0.21 && f.high == 1); /* 1 of 1, not 1 of 4 */
    eval_figures_of(c + 2, 1, 2, &f);
    assert_true(isnan(f.pass_1) && isnan(f.maj_k) && isnan(f.pass_k));
    assert_true(f.low == 0 && f.high == 1);
}

static void test_pass_at_k(void **state)
{
    const struct eval_completion c[] = {PASS("1"), WRONG("2"), WRONG("3"), WRONG("4"), WRONG("2"),
        WRONG("2"), WRONG("2"), WRONG("2")};
    struct eval_figures f;
    eval_figures_of(c, 2, 4, &f);
    near(f.pass_1, 1.0 / 8);
    near(f.pass_k, 0.5);
}

static void test_majority(void **state)
{
    const struct eval_completion right[] = {WRONG("2"), PASS("1"), WRONG("3"), PASS("1"), CUT};
    const struct eval_completion wrong[] = {WRONG("2"), PASS("1"), WRONG("2"), PASS("1.0"), CUT};
    const struct eval_completion tie_right[] = {PASS("1"), WRONG("2"), WRONG("2"), PASS("1")};
    const struct eval_completion tie_wrong[] = {WRONG("2"), PASS("1"), WRONG("2"), PASS("1")};
    const struct eval_completion faults[] = {FAULT, FAULT, FAULT, PASS("1"), WRONG("")};
    struct eval_figures f;
    eval_figures_of(right, 1, 5, &f);
    near(f.maj_k, 1);
    eval_figures_of(wrong, 1, 5, &f);
    near(f.maj_k, 0);
    eval_figures_of(tie_right, 1, 4, &f); /* the one seen first */
    near(f.maj_k, 1);
    eval_figures_of(tie_wrong, 1, 4, &f);
    near(f.maj_k, 0);
    eval_figures_of(faults, 1, 5, &f); /* unscored ones and those without an answer do not vote */
    near(f.maj_k, 1);
}

static void test_without_answers(void **state)
{
    const struct eval_completion none[] = {PASS(""), WRONG("")};
    const struct eval_completion some[] = {WRONG(""), CUT, PASS("1"), PASS("1")};
    struct eval_figures f;
    eval_figures_of(none, 1, 2, &f);
    assert_true(isnan(f.maj_k));
    eval_figures_of(some, 2, 2, &f); /* the task without a vote is not right */
    near(f.maj_k, 0.5);
}

static void test_nothing(void **state)
{
    struct eval_figures f;
    eval_figures_of(NULL, 0, 4, &f);
    assert_true(isnan(f.pass_1) && isnan(f.length) && isnan(f.length_median));
    assert_int_equal(f.completions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_sample),
        cmocka_unit_test(test_faults_count_nowhere),
        cmocka_unit_test(test_pass_at_k),
        cmocka_unit_test(test_majority),
        cmocka_unit_test(test_without_answers),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
