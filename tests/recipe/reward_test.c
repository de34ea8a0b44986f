/* reward_test.c: which components count in the sum, and when there is none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/recipe/reward.h"

static const struct reward_term accuracy = {.weight = 1, .primary = true};
static const struct reward_term shown = {.weight = 0};
static const struct reward_term form = {.weight = 0.5};
static const struct reward_term short_right = {.weight = 2, .when = REWARD_PASS};
static const struct reward_term long_wrong = {.weight = 4, .when = REWARD_FAIL};

static void parts_count_by_the_primary_verdict(void **state)
{
    (void)state;
    static const struct {
        enum verdict verdict;
        double value, sum;
    } cases[] = {
        {VERDICT_PASS, 1, 1 + 0.5 * 10 + 2 * 100},
        {VERDICT_WRONG, 0, 0.5 * 10 + 4 * 1000},
        {VERDICT_TRUNCATED, 0, 0.5 * 10 + 4 * 1000},
        {VERDICT_TIMEOUT, 0, 0.5 * 10 + 4 * 1000},
        {VERDICT_WRONG, 0.25, 0.25 + 0.5 * 10 + 4 * 1000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct reward_part parts[] = {{&form, true, 10, VERDICT_PASS},
            {&short_right, true, 100, VERDICT_PASS},
            {&accuracy, true, cases[i].value, cases[i].verdict},
            {&long_wrong, true, 1000, VERDICT_PASS}};
        assert_true(reward_sum(parts, ARRAY_LEN(parts)) == cases[i].sum);
        assert_int_equal(reward_counts(&parts[1], parts, 4), cases[i].verdict == VERDICT_PASS);
        assert_int_equal(reward_counts(&parts[3], parts, 4), cases[i].verdict != VERDICT_PASS);
        assert_true(reward_counts(&parts[2], parts, 4));
    }
}

/* A fault unscores the completion only where the missing value would have counted. */
static void a_fault_matters_where_it_counts(void **state)
{
    (void)state;
    struct reward_part parts[] = {
        {&accuracy, true, 1, VERDICT_PASS}, {&form, false, 0, VERDICT_JUDGE_FAULT}};
    assert_true(isnan(reward_sum(parts, 2)));
    parts[1].term = &shown;
    assert_true(reward_sum(parts, 2) == 1);
    parts[1].term = &long_wrong;
    assert_true(reward_sum(parts, 2) == 1);
    parts[1].term = &short_right;
    assert_true(isnan(reward_sum(parts, 2)));
    parts[0] = (struct reward_part){&accuracy, false, 0, VERDICT_JUDGE_FAULT};
    parts[1] = (struct reward_part){&long_wrong, true, 1, VERDICT_PASS};
    assert_true(isnan(reward_sum(parts, 2)));
    const struct reward_term silent = {.primary = true};
    parts[0].term = &silent; /* of weight 0, but the verdict is missing */
    assert_true(isnan(reward_sum(parts, 2)));
}

static void names_read_back(void **state)
{
    (void)state;
    for (int w = 0; w < REWARD_WHEN_COUNT; w++)
        assert_int_equal(reward_when_parse(reward_when_name((enum reward_when)w)), w);
    assert_int_equal(reward_when_parse("correct"), -1);
    assert_int_equal(reward_when_parse(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_count_by_the_primary_verdict),
        cmocka_unit_test(a_fault_matters_where_it_counts),
        cmocka_unit_test(names_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
