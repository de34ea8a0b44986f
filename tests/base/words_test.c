/* words_test.c: each shared word has one name, and the numbers that wire and tables rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/words.h"

/* Pinned: these numbers are in databases and on the wire. */
static void numbers_are_pinned(void **state)
{
    static const char *const verdicts[] = {"pass", "wrong", "no_answer", "malformed", "truncated",
        "timeout", "memory", "output", "crash", "violation", "judge_fault"};
    assert_int_equal(VERDICT_COUNT, 11);
    for (int i = 0; i < VERDICT_COUNT; i++) {
        assert_string_equal(verdict_name((enum verdict)i), verdicts[i]);
        assert_int_equal(verdict_parse(verdicts[i]), i);
    }
    assert_string_equal(stop_reason_name(STOP_EOS), "eos");
    assert_string_equal(stop_reason_name(STOP_LENGTH), "length");
    assert_string_equal(score_fault_name(SCORE_FAULT_NONE), "none");
    assert_string_equal(score_fault_name(SCORE_FAULT_PERMANENT), "permanent");
    assert_string_equal(purpose_name(PURPOSE_TRAIN), "train");
    assert_string_equal(purpose_name(PURPOSE_EVAL), "eval");
}

static void outside_the_range(void **state)
{
    assert_string_equal(verdict_name((enum verdict)VERDICT_COUNT), "?");
    assert_string_equal(verdict_name((enum verdict) - 1), "?");
    assert_string_equal(stop_reason_name((enum stop_reason)STOP_COUNT), "?");
    assert_string_equal(score_fault_name((enum score_fault)SCORE_FAULT_COUNT), "?");
    assert_string_equal(purpose_name((enum purpose)PURPOSE_COUNT), "?");
    assert_int_equal(verdict_parse(""), -1);
    assert_int_equal(verdict_parse("?"), -1);
    assert_int_equal(verdict_parse("passed"), -1);
    assert_int_equal(verdict_parse("Pass"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_pinned),
        cmocka_unit_test(outside_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
