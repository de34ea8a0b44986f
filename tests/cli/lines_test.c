/* lines_test.c: lines of a file at the edges: no end, empty, long, as long as is allowed. */
#include "cli/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"

static char path[] = "/tmp/lines_test.XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);
    file_close(&fd);
    return 0;
}

static int remove_file(void **state)
{
    return unlink(path);
}

static void write_file(const char *text, size_t n)
{
    struct err e = {0};
    assert_int_equal(file_write_atomic(path, text, n, &e), 0);
}

static void expect_lines(const char *text, size_t n, const char *const *lines)
{
    struct lines l;
    struct err e = {0};
    const char *line;
    size_t bytes, number = 0;
    write_file(text, n);
    assert_int_equal(lines_open(&l, path, 100, &e), 0);
    for (; *lines; lines++) {
        assert_int_equal(lines_next(&l, &line, &bytes, &e), 1);
        assert_int_equal(bytes, strlen(*lines));
        assert_memory_equal(line, *lines, bytes);
        assert_int_equal(l.number, ++number);
    }
    assert_int_equal(lines_next(&l, &line, &bytes, &e), 0);
    assert_int_equal(lines_next(&l, &line, &bytes, &e), 0);
    lines_close(&l);
}

static void test_ends(void **state)
{
    expect_lines("", 0, (const char *const[]){NULL});
    expect_lines("\n", 1, (const char *const[]){"", NULL});
    expect_lines("one", 3, (const char *const[]){"one", NULL});
    expect_lines("one\n", 4, (const char *const[]){"one", NULL});
    expect_lines("one\n\ntwo\n", 9, (const char *const[]){"one", "", "two", NULL});
}

static void test_longest(void **state)
{
    struct lines l;
    struct err e = {0};
    const char *line;
    size_t bytes;
    char text[203];
    memset(text, 'x', sizeof(text));
    text[100] = '\n';
    write_file(text, 201);
    assert_int_equal(lines_open(&l, path, 100, &e), 0);
    assert_int_equal(lines_next(&l, &line, &bytes, &e), 1);
    assert_int_equal(bytes, 100);
    assert_int_equal(lines_next(&l, &line, &bytes, &e), 1);
    assert_int_equal(bytes, 100);
    lines_close(&l);
    write_file(text, 202); /* the second has one byte too many */
    assert_int_equal(lines_open(&l, path, 100, &e), 0);
    assert_int_equal(lines_next(&l, &line, &bytes, &e), 1);
    assert_int_equal(lines_next(&l, &line, &bytes, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "line 2"));
    assert_non_null(strstr(e.msg, path));
    lines_close(&l);
}

/* Longer than one read, and lines across the reads' borders. */
static void test_many(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    struct lines l;
    struct err e = {0};
    const char *line;
    size_t bytes;
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "%d %.*s\n", i, i % 97,
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst"
            "uvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmno"
            "pqrs");
    write_file((const char *)text.data, text.len);
    assert_int_equal(lines_open(&l, path, 200, &e), 0);
    const char *at = (const char *)text.data;
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(lines_next(&l, &line, &bytes, &e), 1);
        assert_memory_equal(line, at, bytes);
        assert_int_equal(at[bytes], '\n');
        at += bytes + 1;
    }
    assert_int_equal(lines_next(&l, &line, &bytes, &e), 0);
    lines_close(&l);
}

static void test_missing(void **state)
{
    struct lines l;
    struct err e = {0};
    assert_int_equal(lines_open(&l, "/tmp/no such file", 100, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "/tmp/no such file"));
    lines_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
