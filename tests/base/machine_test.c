/* machine_test.c: memory limits of control groups, as version 1, version 2 and containers show
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/machine.h"
#include "common/base/mem.h"

struct tree {
    char dir[32];
};

static void tree_open(struct tree *t)
{
    *t = (struct tree){.dir = "/tmp/cohort-machine-XXXXXX"};
    assert_non_null(mkdtemp(t->dir));
}

static void tree_put(const struct tree *t, const char *dir, const char *file, const char *text)
{
    struct err e = {0};
    CLEANUP_FREE char *parent = mem_printf("%s%s", t->dir, dir);
    CLEANUP_FREE char *path = mem_printf("%s/%s", parent, file);
    assert_int_equal(file_mkdirs(parent, 0755, &e), 0);
    assert_int_equal(file_write_atomic(path, text, strlen(text), &e), 0);
}

static void tree_close(struct tree *t)
{
    struct err e = {0};
    assert_int_equal(file_remove_tree(t->dir, &e), 0);
}

static void version_2_takes_the_smallest_up_to_the_root(void **state)
{
    (void)state;
    struct tree t;
    tree_open(&t);
    tree_put(&t, "/system.slice", "memory.max", "4096000\n");
    tree_put(&t, "/system.slice/cohort.service", "memory.max", "max\n");
    assert_int_equal(machine_cgroup_memory("0::/system.slice/cohort.service\n", t.dir), 4096000);
    tree_put(&t, "/system.slice/cohort.service", "memory.max", "1000\n");
    assert_int_equal(machine_cgroup_memory("0::/system.slice/cohort.service\n", t.dir), 1000);
    tree_close(&t);
}

static void version_1_looks_at_the_memory_controller(void **state)
{
    (void)state;
    struct tree t;
    tree_open(&t);
    tree_put(&t, "/memory", "memory.limit_in_bytes", "9223372036854771712\n");
    tree_put(&t, "/memory/box", "memory.limit_in_bytes", "777\n");
    tree_put(&t, "/cpu/box", "memory.limit_in_bytes", "1\n");
    const char *text = "8:pids:/\n5:cpu,cpuacct:/box\n4:hugetlb,memory:/box\n0::/\n";
    assert_int_equal(machine_cgroup_memory(text, t.dir), 777);
    tree_close(&t);
}

/* In a container the path is the host's, and only the group's own root is mounted. */
static void a_path_that_is_not_there_leaves_the_root(void **state)
{
    (void)state;
    struct tree t;
    tree_open(&t);
    tree_put(&t, "", "memory.max", "555\n");
    assert_int_equal(machine_cgroup_memory("0::/../docker/abc\n", t.dir), 555);
    tree_close(&t);
}

static void nothing_and_nonsense_are_no_limit(void **state)
{
    (void)state;
    struct tree t;
    tree_open(&t);
    tree_put(&t, "", "memory.max", "max\n");
    assert_true(machine_cgroup_memory("0::/\n", t.dir) == UINT64_MAX);
    assert_true(machine_cgroup_memory("", t.dir) == UINT64_MAX);
    assert_true(machine_cgroup_memory("no colon here\n7:memory\n", t.dir) == UINT64_MAX);
    assert_true(machine_memory_bytes() > 1 << 20);
    tree_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_takes_the_smallest_up_to_the_root),
        cmocka_unit_test(version_1_looks_at_the_memory_controller),
        cmocka_unit_test(a_path_that_is_not_there_leaves_the_root),
        cmocka_unit_test(nothing_and_nonsense_are_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
