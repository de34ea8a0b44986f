/* file_test.c: files whole, limits, and errors that name the path. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"

/* A directory of its own for each test. */
static int set_up(void **state)
{
    char *dir = strdup("/tmp/file_test.XXXXXX");
    *state = dir;
    return dir != NULL && mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err e = {0};
    int r = file_remove_tree(*state, &e);
    bool gone = !file_exists(*state);
    free(*state);
    return r == 0 && gone ? 0 : -1;
}

static char *in_dir(void **state, const char *name)
{
    return mem_printf("%s/%s", (char *)*state, name);
}

static void write_and_read(void **state)
{
    CLEANUP_FREE char *path = in_dir(state, "a");
    CLEANUP_FREE char *tmp = in_dir(state, "a.tmp");
    CLEANUP_BUF struct buf out = {0};
    struct err e = {0};
    assert_false(file_exists(path));
    assert_int_equal(file_write_atomic(path, "one", 3, &e), 0);
    assert_int_equal(file_write_atomic(path, "second", 6, &e), 0);
    assert_true(file_exists(path));
    assert_false(file_exists(tmp));
    buf_puts(&out, "<");
    assert_int_equal(file_read(path, 6, &out, &e), 0); /* exactly the limit */
    assert_string_equal((char *)out.data, "<second");
    assert_int_equal(file_read(path, 5, &out, &e), ERR_LIMIT);
    assert_non_null(strstr(e.msg, path));
    assert_string_equal((char *)out.data, "<second"); /* untouched on failure */
    assert_int_equal(out.len, 7);

    assert_int_equal(file_write_atomic(path, NULL, 0, &e), 0);
    buf_clear(&out);
    assert_int_equal(file_read(path, 0, &out, &e), 0);
    assert_int_equal(out.len, 0);
}

static void large_files_come_whole(void **state)
{
    CLEANUP_FREE char *path = in_dir(state, "large");
    CLEANUP_BUF struct buf data = {0}, out = {0};
    struct err e = {0};
    for (uint32_t i = 0; i < 100000; i++)
        buf_put_u32(&data, i * 2654435761u);
    assert_int_equal(file_write_atomic(path, data.data, data.len, &e), 0);
    assert_int_equal(file_read(path, data.len, &out, &e), 0);
    assert_int_equal(out.len, data.len);
    assert_memory_equal(out.data, data.data, data.len);
    assert_int_equal(file_read(path, data.len - 1, &out, &e), ERR_LIMIT);
    assert_int_equal(out.len, data.len);
}

static void sizeless_files(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    struct err e = {0};
    assert_int_equal(file_read("/proc/self/status", 1 << 20, &out, &e), 0);
    assert_non_null(strstr((char *)out.data, "Name:"));
    buf_clear(&out);
    assert_int_equal(file_read("/proc/self/status", 10, &out, &e), ERR_LIMIT);
    assert_int_equal(out.len, 0);
}

static void what_is_no_file(void **state)
{
    CLEANUP_FREE char *missing = in_dir(state, "missing");
    CLEANUP_FREE char *fifo = in_dir(state, "fifo");
    CLEANUP_BUF struct buf out = {0};
    struct err e = {0};
    assert_int_equal(file_read(missing, 100, &out, &e), ERR_FAIL);
    assert_non_null(strstr(e.msg, missing));
    assert_non_null(strstr(e.msg, strerror(ENOENT)));
    assert_int_equal(file_read(*state, 100, &out, &e), ERR_FAIL);
    assert_non_null(strstr(e.msg, "not a regular file"));
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(file_read(fifo, 100, &out, &e), ERR_FAIL); /* and does not hang */
    assert_int_equal(file_read("/dev/zero", 100, &out, &e), ERR_FAIL);
}

static void writes_that_fail(void **state)
{
    CLEANUP_FREE char *path = in_dir(state, "no/such/dir");
    CLEANUP_FREE char *sub = in_dir(state, "sub");
    CLEANUP_FREE char *tmp = in_dir(state, "sub.tmp");
    struct err e = {0};
    assert_int_equal(file_write_atomic(path, "x", 1, &e), ERR_FAIL);
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(file_mkdirs(sub, 0700, &e), 0);
    assert_int_equal(file_write_atomic(sub, "x", 1, &e), ERR_FAIL); /* a directory is there */
    assert_false(file_exists(tmp));

    CLEANUP(file_close) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(file_write_all(full, "x", 1, &e), ERR_RETRY);
    assert_non_null(strstr(e.msg, "/dev/full"));
    assert_int_equal(file_write_all(full, NULL, 0, &e), 0);
    assert_int_equal(file_write_all(-1, "x", 1, &e), ERR_FAIL);
}

/* A link in the place of the temporary file must not lead the write elsewhere. */
static void temporary_links_are_not_followed(void **state)
{
    CLEANUP_FREE char *victim = in_dir(state, "victim");
    CLEANUP_FREE char *path = in_dir(state, "a");
    CLEANUP_FREE char *tmp = in_dir(state, "a.tmp");
    CLEANUP_BUF struct buf out = {0};
    struct err e = {0};
    assert_int_equal(file_write_atomic(victim, "keep", 4, &e), 0);
    assert_int_equal(symlink(victim, tmp), 0);
    assert_int_equal(file_write_atomic(path, "new", 3, &e), ERR_FAIL);
    assert_int_equal(file_read(victim, 100, &out, &e), 0);
    assert_string_equal((char *)out.data, "keep");
}

static void pread_exact(void **state)
{
    CLEANUP_FREE char *path = in_dir(state, "a");
    struct err e = {0};
    char data[8] = "........";
    assert_int_equal(file_write_atomic(path, "0123456789", 10, &e), 0);
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_pread_all(fd, data, 4, 6, &e), 0);
    assert_memory_equal(data, "6789", 4);
    assert_int_equal(file_pread_all(fd, data, 0, 10, &e), 0);
    assert_int_equal(file_pread_all(fd, data, 5, 6, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, path));
    assert_non_null(strstr(e.msg, "ends at 10, 1 more bytes expected"));
    assert_int_equal(file_pread_all(fd, data, 1, UINT64_MAX, &e), ERR_DATA);
    assert_int_equal(file_pread_all(-1, data, 1, 0, &e), ERR_FAIL);
}

static void directories(void **state)
{
    CLEANUP_FREE char *deep = in_dir(state, "a//b/c/");
    CLEANUP_FREE char *file = in_dir(state, "file");
    CLEANUP_FREE char *below = in_dir(state, "file/x");
    struct err e = {0};
    assert_int_equal(file_mkdirs(deep, 0700, &e), 0);
    assert_int_equal(file_mkdirs(deep, 0700, &e), 0); /* again is no error */
    assert_true(file_exists(deep));
    assert_int_equal(file_sync_dir(deep, &e), 0);
    assert_int_equal(file_write_atomic(file, "x", 1, &e), 0);
    assert_int_equal(file_mkdirs(file, 0700, &e), ERR_FAIL);
    assert_non_null(strstr(e.msg, file));
    assert_int_equal(file_mkdirs(below, 0700, &e), ERR_FAIL);
    assert_int_equal(file_mkdirs("", 0700, &e), ERR_FAIL);
    assert_int_equal(file_mkdirs("/", 0700, &e), 0);
    assert_int_equal(file_sync_dir(file, &e), ERR_FAIL);
}

static void trees_go_but_links_stay_unfollowed(void **state)
{
    CLEANUP_FREE char *outside = in_dir(state, "outside");
    CLEANUP_FREE char *kept = in_dir(state, "outside/kept");
    CLEANUP_FREE char *tree = in_dir(state, "tree");
    CLEANUP_FREE char *deep = in_dir(state, "tree/a/b/c");
    CLEANUP_FREE char *file = in_dir(state, "tree/a/file");
    CLEANUP_FREE char *link = in_dir(state, "tree/a/link");
    struct err e = {0};
    assert_int_equal(file_mkdirs(outside, 0700, &e), 0);
    assert_int_equal(file_write_atomic(kept, "x", 1, &e), 0);
    assert_int_equal(file_mkdirs(deep, 0700, &e), 0);
    assert_int_equal(file_write_atomic(file, "x", 1, &e), 0);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(file_remove_tree(tree, &e), 0);
    assert_false(file_exists(tree));
    assert_true(file_exists(kept));

    assert_int_equal(symlink(outside, tree), 0); /* the root of the tree is a link */
    assert_int_equal(file_remove_tree(tree, &e), 0);
    assert_false(file_exists(tree));
    assert_true(file_exists(kept));

    assert_int_equal(file_remove_tree(tree, &e), 0); /* missing */
    assert_int_equal(file_remove_tree(kept, &e), 0); /* a plain file */
    assert_false(file_exists(kept));
}

static void trees_have_a_depth_limit(void **state)
{
    CLEANUP_FREE char *tree = in_dir(state, "tree");
    CLEANUP_BUF struct buf path = {0};
    struct err e = {0};
    buf_puts(&path, tree);
    for (int i = 0; i < 64; i++)
        buf_puts(&path, "/d");
    assert_int_equal(file_mkdirs((char *)path.data, 0700, &e), 0);
    assert_int_equal(file_remove_tree(tree, &e), ERR_FAIL);
    assert_non_null(strstr(e.msg, "levels deep"));
    assert_int_equal(rmdir((char *)path.data), 0); /* one level less */
    assert_int_equal(file_remove_tree(tree, &e), 0);
    assert_false(file_exists(tree));
}

static void programs_beside_this_one(void **state)
{
    struct err e = {0};
    CLEANUP_FREE char *found = file_program("base_file_test", "no/such", &e);
    assert_non_null(found);
    assert_int_equal(access(found, X_OK), 0);
    assert_null(file_program("cohort-nothing", "no/such", &e));
    assert_int_equal(e.code, ERR_FAIL);
    assert_non_null(strstr(e.msg, "cohort-nothing"));
    assert_non_null(strstr(e.msg, "no/such"));
}

static void closing_twice(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    file_close(&fd);
    assert_int_equal(fd, -1);
    file_close(&fd);
    assert_int_equal(fd, -1);
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(write_and_read),
        FILE_TEST(large_files_come_whole),
        FILE_TEST(sizeless_files),
        FILE_TEST(what_is_no_file),
        FILE_TEST(writes_that_fail),
        FILE_TEST(temporary_links_are_not_followed),
        FILE_TEST(pread_exact),
        FILE_TEST(directories),
        FILE_TEST(trees_go_but_links_stay_unfollowed),
        FILE_TEST(trees_have_a_depth_limit),
        cmocka_unit_test(programs_beside_this_one),
        cmocka_unit_test(closing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
