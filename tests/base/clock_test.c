/* clock_test.c: units and directions; how long anything takes is nobody's promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/clock.h"

static void mono_never_falls(void **state)
{
    uint64_t before = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_mono_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void units_agree(void **state)
{
    uint64_t before = clock_mono_ns(), ms = clock_mono_ms(), after = clock_mono_ns();
    assert_true(before / 1000000 <= ms && ms <= after / 1000000);
    int64_t first = time(NULL), wall = clock_wall_ms();
    assert_true(wall / 1000 - first >= 0 || first - wall / 1000 <= 1);
    assert_true(wall > 1600000000000); /* milliseconds, not seconds */
}

/* The loop ends only when CPU time moves: a thread that works makes it move. */
static void thread_time_counts_work(void **state)
{
    uint64_t start = clock_thread_ns();
    volatile uint64_t work = 0;
    while (clock_thread_ns() == start)
        work++;
    assert_true(clock_thread_ns() > start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mono_never_falls),
        cmocka_unit_test(units_agree),
        cmocka_unit_test(thread_time_counts_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
