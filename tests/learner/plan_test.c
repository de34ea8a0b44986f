/* The plan: each task once per epoch, held by keys; versions by lag; minibatches; schedules. */
#include "learner/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "learner/schedule.h"

static void each_row_once_per_epoch(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 7, 64, 1000};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        uint64_t n = sizes[k];
        unsigned *seen = calloc(n, sizeof(*seen));
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            for (uint64_t i = 0; i < n; i++) {
                uint64_t row = plan_row(5, 1, n, epoch * n + i);
                assert_true(row < n);
                seen[row]++;
            }
            for (uint64_t i = 0; i < n; i++)
                assert_int_equal(seen[i], epoch + 1);
        }
        free(seen);
    }
}

static size_t same_places(uint64_t seed, uint32_t stage, uint64_t epoch)
{
    size_t same = 0;
    for (uint64_t i = 0; i < 1000; i++)
        same += plan_row(seed, stage, 1000, epoch * 1000 + i) == plan_row(1, 1, 1000, i);
    return same;
}

static void order_is_keyed_by_seed_stage_and_epoch(void **state)
{
    (void)state;
    assert_int_equal(same_places(1, 1, 0), 1000);
    assert_true(same_places(2, 1, 0) < 20); /* about one by chance */
    assert_true(same_places(1, 2, 0) < 20);
    assert_true(same_places(1, 1, 1) < 20);
}

static void ordinals_are_slots_in_order(void **state)
{
    (void)state;
    assert_int_equal(plan_ordinal(0, 24, 0), 0);
    assert_int_equal(plan_ordinal(2, 24, 5), 53);
    assert_true(plan_ordinal(4000000000u, 65536, 65535) == 4000000000ull * 65536 + 65535);
    assert_true(plan_eval_ordinal(0, 7) != plan_eval_ordinal(1, 7));
}

/* G3: the version is B + max(0, s - lag), and a group is planned in the commit that publishes it.
 */
static void steps_are_planned_when_their_version_is_published(void **state)
{
    (void)state;
    for (uint32_t lag = 0; lag <= 4; lag++) {
        for (uint32_t steps = 0; steps <= 8; steps++) {
            uint32_t next = 0;
            for (uint32_t done = 0; done <= steps; done++) {
                uint32_t first = 0, n = plan_steps_after(steps, lag, done, &first);
                for (uint32_t s = first; s < first + n; s++) {
                    assert_int_equal(s, next);
                    assert_int_equal(plan_version(10, lag, s), 10 + done);
                    next++;
                }
                assert_true(next > done || done == steps); /* the next step's groups exist */
            }
            assert_int_equal(next, steps); /* and the pipeline drains */
        }
    }
}

static void minibatches_are_balanced_and_keyed(void **state)
{
    (void)state;
    int32_t a[24], b[24];
    plan_minibatches(1, 0, 3, 4, 24, a);
    int count[4] = {0};
    for (int i = 0; i < 24; i++) {
        assert_in_range(a[i], 0, 3);
        count[a[i]]++;
    }
    for (int m = 0; m < 4; m++)
        assert_int_equal(count[m], 6);
    plan_minibatches(1, 0, 4, 4, 24, b);
    assert_memory_not_equal(a, b, sizeof(a));
    plan_minibatches(1, 0, 3, 4, 24, b);
    assert_memory_equal(a, b, sizeof(a));
    plan_minibatches(1, 0, 3, 4, 2, a); /* fewer groups than minibatches: some stay empty */
    assert_true(a[0] != a[1] && a[0] < 4 && a[1] < 4);
    plan_minibatches(1, 0, 3, 4, 0, a);
}

static void gap_group_is_a_slot(void **state)
{
    (void)state;
    for (uint32_t s = 0; s < 100; s++)
        assert_true(plan_gap_group(9, 1, s, 3) < 3);
    assert_int_equal(plan_gap_group(9, 1, 0, 1), 0);
}

static void near_(double a, double b)
{
    if (!(fabs(a - b) <= 1e-14 + 1e-12 * fabs(b)))
        fail_msg("%.17g, expected %.17g", a, b);
}

static void schedules_match_their_formulas(void **state)
{
    (void)state;
    struct recipe_optim o = {
        .lr = 3e-4, .lr_final = 0.1, .warmup = 5, .schedule = SCHEDULE_CONSTANT};
    near_(schedule_lr(&o, 0, 100), 3e-4 / 5);
    near_(schedule_lr(&o, 4, 100), 3e-4);
    near_(schedule_lr(&o, 99, 100), 3e-4);
    o.schedule = SCHEDULE_LINEAR;
    near_(schedule_lr(&o, 5, 100), 3e-4);
    near_(schedule_lr(&o, 52, 100), 3e-4 * (0.1 + 0.9 * 0.5));
    near_(schedule_lr(&o, 99, 100), 3e-5);
    near_(schedule_lr(&o, 1000, 100), 3e-5);
    o.schedule = SCHEDULE_COSINE;
    for (uint64_t u = 5; u < 100; u++) {
        double x = (double)(u - 5) / 94;
        near_(schedule_lr(&o, u, 100), 3e-4 * (0.1 + 0.9 * (1 + cos(M_PI * x)) / 2));
    }
    o.warmup = 0;
    near_(schedule_lr(&o, 0, 1), 3e-4); /* a stage of one update, and one that is all warm-up */
    o.warmup = 100;
    near_(schedule_lr(&o, 99, 100), 3e-4);
    near_(schedule_lr(&o, 100, 100), 3e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_once_per_epoch),
        cmocka_unit_test(order_is_keyed_by_seed_stage_and_epoch),
        cmocka_unit_test(ordinals_are_slots_in_order),
        cmocka_unit_test(steps_are_planned_when_their_version_is_published),
        cmocka_unit_test(minibatches_are_balanced_and_keyed),
        cmocka_unit_test(gap_group_is_a_slot),
        cmocka_unit_test(schedules_match_their_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
