/* Group-relative advantages against closed forms. Pinned semantics: change only by decision. */
#include "learner/advantage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"

static void near_(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12))
        fail_msg("%.17g, expected %.17g", a, b);
}

static const bool all_scored[8] = {1, 1, 1, 1, 1, 1, 1, 1};

static void std_uses_n_minus_one(void **state)
{
    (void)state;
    const double r[4] = {1, 0, 0, 1};
    double a[4];
    struct advantage_stats s = advantage_of_group(ADVANTAGE_STD, r, all_scored, 4, a);
    near_(s.mean, 0.5);
    near_(s.std, sqrt(1.0 / 3));
    near_(a[0], 0.5 / (sqrt(1.0 / 3) + 1e-6));
    near_(a[1], -a[0]);
    assert_false(s.tied);
}

static void mean_only_centres(void **state)
{
    (void)state;
    const double r[4] = {1.3, 0.3, 0, 1};
    double a[4], sum = 0;
    advantage_of_group(ADVANTAGE_MEAN, r, all_scored, 4, a);
    for (int i = 0; i < 4; i++) {
        near_(a[i], r[i] - 0.65);
        sum += a[i];
    }
    near_(sum, 0);
}

static void leave_one_out_is_the_mean_of_the_others(void **state)
{
    (void)state;
    const double r[5] = {2, -1, 0.5, 0.25, 3};
    double a[5];
    advantage_of_group(ADVANTAGE_LOO, r, all_scored, 5, a);
    for (int i = 0; i < 5; i++) {
        double others = 0;
        for (int k = 0; k < 5; k++)
            others += k == i ? 0 : r[k] / 4;
        near_(a[i], r[i] - others);
    }
}

/* 0.1 added three times and divided by three is not 0.1: a tied group must still be exactly zero.
 */
static void tied_group_is_exactly_zero(void **state)
{
    (void)state;
    const double r[3] = {0.1, 0.1, 0.1};
    double a[3];
    for (int kind = ADVANTAGE_STD; kind <= ADVANTAGE_BATCH; kind++) {
        struct advantage_stats s = advantage_of_group(kind, r, all_scored, 3, a);
        assert_true(s.tied);
        assert_true(s.mean == 0.1 && s.std == 0);
        for (int i = 0; i < 3; i++)
            assert_true(a[i] == 0);
    }
}

static void group_of_one_is_tied(void **state)
{
    (void)state;
    const double r[1] = {7};
    double a[1];
    for (int kind = ADVANTAGE_STD; kind <= ADVANTAGE_LOO; kind++) {
        struct advantage_stats s = advantage_of_group(kind, r, all_scored, 1, a);
        assert_true(s.tied && s.scored == 1 && a[0] == 0);
    }
}

/* An unscored completion's reward field is garbage: nothing may depend on it. */
static void unscored_take_no_part(void **state)
{
    (void)state;
    const double r[4] = {NAN, 1, 0, 1e300};
    const bool scored[4] = {0, 1, 1, 0};
    const double alone[2] = {1, 0};
    double a[4], b[2];
    for (int kind = ADVANTAGE_STD; kind <= ADVANTAGE_LOO; kind++) {
        struct advantage_stats s = advantage_of_group(kind, r, scored, 4, a);
        advantage_of_group(kind, alone, all_scored, 2, b);
        assert_int_equal(s.scored, 2);
        assert_true(isnan(a[0]) && isnan(a[3]));
        assert_true(a[1] == b[0] && a[2] == b[1]);
    }
}

static void nothing_scored(void **state)
{
    (void)state;
    const double r[2] = {1, 2};
    const bool scored[2] = {0, 0};
    double a[2];
    struct advantage_stats s = advantage_of_group(ADVANTAGE_LOO, r, scored, 2, a);
    assert_true(s.tied && s.scored == 0 && isnan(a[0]) && isnan(a[1]));
    s = advantage_of_group(ADVANTAGE_STD, r, scored, 0, a);
    assert_true(s.tied && s.scored == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(std_uses_n_minus_one),
        cmocka_unit_test(mean_only_centres),
        cmocka_unit_test(leave_one_out_is_the_mean_of_the_others),
        cmocka_unit_test(tied_group_is_exactly_zero),
        cmocka_unit_test(group_of_one_is_tied),
        cmocka_unit_test(unscored_take_no_part),
        cmocka_unit_test(nothing_scored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
