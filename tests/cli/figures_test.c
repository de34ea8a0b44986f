/* figures_test.c: numbers as people read them, at the edges between units. */
#include "cli/figures.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_count(void **state)
{
    char out[FIGURE_MAX];
    assert_string_equal(figure_count(out, 0), "0");
    assert_string_equal(figure_count(out, 999), "999");
    assert_string_equal(figure_count(out, 999.7), "1.00k");
    assert_string_equal(figure_count(out, 1000), "1.00k");
    assert_string_equal(figure_count(out, 12345), "12.3k");
    assert_string_equal(figure_count(out, 123456), "123k");
    assert_string_equal(figure_count(out, 7.1e9), "7.10G");
    assert_string_equal(figure_count(out, 1e18), "1000000T");
}

static void test_share_and_bytes(void **state)
{
    char out[FIGURE_MAX];
    assert_string_equal(figure_share(out, 0.3821), "38.2%");
    assert_string_equal(figure_share(out, 1), "100.0%");
    assert_string_equal(figure_bytes(out, 0), "0 KiB");
    assert_string_equal(figure_bytes(out, 1024.0 * 1024), "1.0 MiB");
    assert_string_equal(figure_bytes(out, 256.0 * 1024 * 1024), "256 MiB");
}

static void test_duration(void **state)
{
    char out[FIGURE_MAX];
    assert_string_equal(figure_duration(out, 0.4), "0:00");
    assert_string_equal(figure_duration(out, 59.6), "1:00");
    assert_string_equal(figure_duration(out, 3599), "59:59");
    assert_string_equal(figure_duration(out, 3600), "1:00:00");
    assert_string_equal(figure_duration(out, NAN), "?");
    assert_string_equal(figure_duration(out, INFINITY), "?");
    assert_string_equal(figure_duration(out, -1), "?");
}

static void assert_word(const char *word, const char *expected)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    figure_word(out, word);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void test_word(void **state)
{
    assert_word("plain/path-1.conf", "plain/path-1.conf");
    assert_word("", "''");
    assert_word("stage zero.steps=8", "'stage zero.steps=8'");
    assert_word("$(rm -rf ~)", "'$(rm -rf ~)'");
    assert_word("it's", "'it'\\''s'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_share_and_bytes),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_word),
    };
    return cmocka_run_group_tests_name("cli/figures", tests, NULL, NULL);
}
