/* err_test.c: messages, their limits, and the codes callers act on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"

static void sets_and_adds_context(void **state)
{
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_DATA, "row %d", 7), ERR_DATA);
    assert_int_equal(e.code, ERR_DATA);
    assert_string_equal(e.msg, "row 7");
    assert_int_equal(err_ctx(&e, "file '%s'", "a.jsonl"), ERR_DATA);
    assert_string_equal(e.msg, "file 'a.jsonl': row 7");
    /* The old message may be an argument of the new one. */
    assert_int_equal(err_set(&e, ERR_FAIL, "again: %s", e.msg), ERR_FAIL);
    assert_string_equal(e.msg, "again: file 'a.jsonl': row 7");
}

static void null_is_allowed(void **state)
{
    assert_int_equal(err_set(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
    errno = ENOSPC;
    assert_int_equal(err_sys(NULL, ERR_FAIL, "x"), ERR_RETRY);
    assert_true(err_ctx(NULL, "x") < 0);
}

static void long_messages_are_cut(void **state)
{
    char big[3000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct err e = {0};
    (void)err_set(&e, ERR_FAIL, "%s", big);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    (void)err_ctx(&e, "%s", big);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    assert_int_equal(e.code, ERR_FAIL);
    errno = EIO;
    (void)err_sys(&e, ERR_FAIL, "%s", big);
    assert_true(strlen(e.msg) < sizeof(e.msg));
    assert_non_null(strstr(e.msg, strerror(EIO))); /* the reason survives a long subject */
}

static void transient_errnos_become_retry(void **state)
{
    static const int transient[] = {ENOSPC, EDQUOT, EMFILE, ENFILE, EAGAIN};
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(transient); i++) {
        errno = transient[i];
        assert_int_equal(err_sys(&e, ERR_FAIL, "write"), ERR_RETRY);
        assert_int_equal(e.code, ERR_RETRY);
    }
    errno = EACCES;
    assert_int_equal(err_sys(&e, ERR_DATA, "open '%s'", "x"), ERR_DATA);
    assert_string_equal(e.msg, "open 'x': Permission denied");
}

static void exit_statuses(void **state)
{
    assert_int_equal(err_exit_status(0), 0);
    assert_int_equal(err_exit_status(ERR_FAIL), 1);
    assert_int_equal(err_exit_status(ERR_USAGE), 2);
    assert_int_equal(err_exit_status(ERR_CONFIG), 3);
    assert_int_equal(err_exit_status(ERR_DATA), 4);
    assert_int_equal(err_exit_status(ERR_INTERRUPTED), 5);
    assert_int_equal(err_exit_status(ERR_RETRY), 1);
    assert_int_equal(err_exit_status(ERR_LIMIT), 1);
    assert_int_equal(err_exit_status(3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_and_adds_context),
        cmocka_unit_test(null_is_allowed),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(transient_errnos_become_retry),
        cmocka_unit_test(exit_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
