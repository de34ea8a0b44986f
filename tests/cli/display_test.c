/* display_test.c: text on a terminal: what is display text passes, nothing else does as it is. */
#include "cli/display.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void shows(const char *s, const char *expected)
{
    char *got = display_dup(s);
    assert_string_equal(got, expected);
    free(got);
}

static void test_display_text_passes(void **state)
{
    shows("", "");
    shows("plain", "plain");
    shows("a\\nb\\\\c\\x1b[31m", "a\\nb\\\\c\\x1b[31m"); /* escaped already by the learner */
    shows("\\", "\\");
    shows("Gr\303\274\303\237e \342\202\254", "Gr\303\274\303\237e \342\202\254");
}

static void test_controls_do_not(void **state)
{
    shows("a\nb", "a\\nb");
    shows("\033[31mred\\n", "\\x1b[31mred\\\\n");
    shows("\177", "\\x7f");
    shows("broken \377 byte", "broken \\xff byte");
    shows("\302\233m", "\\xc2\\x9bm"); /* C1: the control sequence introducer */
}

static void cuts(const char *s, size_t width, const char *expected)
{
    CLEANUP_BUF struct buf b = {0};
    buf_puts(&b, "");
    display_cut(&b, s, width);
    assert_string_equal((const char *)b.data, expected);
    assert_true(display_width((const char *)b.data) <= width);
}

static void test_cut(void **state)
{
    cuts("12345", 5, "12345");
    cuts("123456", 5, "12...");
    cuts("123456", 3, "...");
    cuts("123456", 2, "..");
    cuts("123456", 0, "");
    cuts("", 0, "");
    cuts("\303\274\303\274\303\274\303\274\303\274", 5, "\303\274\303\274\303\274\303\274\303\274");
    cuts("\303\274\303\274\303\274\303\274\303\274\303\274", 5, "\303\274\303\274...");
    assert_int_equal(display_width("\342\202\254x"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_display_text_passes),
        cmocka_unit_test(test_controls_do_not),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
