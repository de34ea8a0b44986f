/* boxed_test.c: which \boxed counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/text/boxed.h"

static void the_last_balanced_box_counts(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: none */
    } cases[] = {
        {"", NULL},
        {"\\boxed", NULL},
        {"\\boxed{", NULL},
        {"\\boxed{1", NULL},
        {"boxed{1}", NULL},
        {"\\boxed{}", ""},
        {"\\boxed{1}", "1"},
        {"\\boxed{1} \\boxed{2}", "2"},
        {"\\fbox{7}", "7"},
        {"\\boxed {3}", "3"},
        {"\\boxed\n{3}", "3"},
        {"\\boxed{\\frac{3}{4}}", "\\frac{3}{4}"},
        {"\\boxed{a\\boxed{b}c}", "b"},
        {"\\boxed{1} then \\boxed{2", "1"},
        {"{ \\boxed{5}", "5"},
        {"} \\boxed{5}", "5"},
        {"\\boxed{\\{1,2\\}}", "\\{1,2\\}"},
        {"\\boxed{\\}}", "\\}"},
        {"\\\\boxed{4}", "4"}, /* escaped once too often */
        {"\\boxed 2$ and", "2"},
        {"\\boxed  x y \nz", "x y"},
        {"\\boxedness", NULL},
        {"\\boxed{1} \\boxed $", "1"},
        {"\\", NULL},
        {"\\boxed{1}\\", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t begin = 0, len = 0;
        bool found = boxed_last(cases[i].text, strlen(cases[i].text), &begin, &len);
        if (found != (cases[i].want != NULL) ||
            (found && (len != strlen(cases[i].want) ||
                          memcmp(cases[i].text + begin, cases[i].want, len) != 0)))
            fail_msg(
                "case %zu: '%s' gave '%.*s'", i, cases[i].text, (int)len, cases[i].text + begin);
    }
}

/* Quadratic work on these would run for minutes. */
static void hostile_texts_take_linear_time(void **state)
{
    static const char *const units[] = {
        "\\boxed{", "\\boxed ", "\\boxed", "{", "}", "\\", "\\boxed{1}"};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        CLEANUP_BUF struct buf text = {0};
        size_t begin, len;
        while (text.len < 4 << 20)
            buf_puts(&text, units[i]);
        bool found = boxed_last((const char *)text.data, text.len, &begin, &len);
        assert_int_equal(found, i == 1 || i == 6);
    }
}

static void nesting_is_seen_to_a_depth(void **state)
{
    for (size_t depth = BOXED_DEPTH_MAX; depth <= BOXED_DEPTH_MAX + 1; depth++) {
        CLEANUP_BUF struct buf text = {0};
        size_t begin = 0, len = 0;
        for (size_t i = 0; i < depth; i++)
            buf_puts(&text, "\\boxed{");
        buf_puts(&text, "7");
        for (size_t i = 0; i < depth; i++)
            buf_puts(&text, "}");
        assert_true(boxed_last((const char *)text.data, text.len, &begin, &len));
        assert_int_equal(len == 1, depth == BOXED_DEPTH_MAX);
    }
}

/* Each text ends at its last byte: what reads beyond it is found by the sanitizer. */
static void rows_of_boxes(void **state)
{
    static const struct {
        const char *text, *row; /* NULL: none */
    } cases[] = {
        {"x is $\\boxed{1}$ or $\\boxed{2}$.", "\\boxed{1}$ or $\\boxed{2}"},
        {"\\boxed{a}, \\boxed{b} \\text{ and } y_2 = \\boxed{\\frac{1}{2}}",
            "\\boxed{a}, \\boxed{b} \\text{ and } y_2 = \\boxed{\\frac{1}{2}}"},
        {"\\boxed{1}. \\boxed{2}, \\boxed{3}", "\\boxed{2}, \\boxed{3}"},
        {"\\boxed{1}", NULL},
        {"\\boxed{n=4}, and therefore \\boxed{5}", NULL},
        {"\\boxed{1} is less than \\boxed{2}", NULL},
        {"\\fbox and \\box \\boxed{2}", NULL}, /* a form without braces before it */
        {"\\boxed 1, \\boxed{2}", NULL},
        {"\\boxed{1}, \\boxed 2", NULL},
        {"\\fbox{1} and \\boxed{2}", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = strlen(cases[i].text), begin = 0, len = 0;
        CLEANUP_FREE char *text = mem_dup(cases[i].text, n);
        bool found = boxed_row(text, n, &begin, &len);
        assert_int_equal(found, cases[i].row != NULL);
        if (found) {
            assert_int_equal(len, strlen(cases[i].row));
            assert_memory_equal(text + begin, cases[i].row, len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_balanced_box_counts),
        cmocka_unit_test(hostile_texts_take_linear_time),
        cmocka_unit_test(nesting_is_seen_to_a_depth),
        cmocka_unit_test(rows_of_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
