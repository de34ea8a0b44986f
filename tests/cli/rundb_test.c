/* rundb_test.c: reading a database that somebody else is writing, or that is none. */
#include "cli/rundb.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/cli/fake_run.h"

static int setup(void **state)
{
    struct fake_run *f = mem_alloc(sizeof(*f));
    fake_run_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fake_run_done(*state);
    mem_free_ptr(state);
    return 0;
}

static void open_refused(struct fake_run *f, int code, const char *because)
{
    struct err err = {0};
    struct rundb *db = NULL;
    assert_int_equal(rundb_open(f->dir, &db, &err), code);
    assert_null(db);
    if (strstr(err.msg, because) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, because);
}

static void write_db(struct fake_run *f, const void *data, size_t n)
{
    struct err err = {0};
    CLEANUP_FREE char *path = mem_printf("%s/run.db", f->dir);
    assert_int_equal(file_write_atomic(path, data, n, &err), 0);
}

static void test_what_is_no_run(void **state)
{
    struct fake_run *f = *state;
    char garbage[8192];
    open_refused(f, ERR_DATA, "is no run directory");
    memset(garbage, 'x', sizeof(garbage));
    write_db(f, garbage, sizeof(garbage));
    open_refused(f, ERR_DATA, "run.db");
    write_db(f, "", 0); /* the learner has just made the file */
    open_refused(f, ERR_RETRY, "no tables yet");
}

static void test_other_schema(void **state)
{
    struct fake_run *f = *state;
    fake_run_create(f);
    fake_run_sql(f, "PRAGMA user_version = 3");
    open_refused(f, ERR_DATA, "schema version 3, this cohort reads 2");
}

static void test_reading_while_written(void **state)
{
    struct fake_run *f = *state;
    struct err err = {0};
    struct rundb *db;
    int64_t n = -1;
    fake_run_create(f);
    assert_int_equal(rundb_open(f->dir, &db, &err), 0);
    fake_run_sql(f, "BEGIN IMMEDIATE; INSERT INTO events VALUES (1, 0, 'info', 'k', '', 'm')");
    assert_int_equal(rundb_one_int(db, "SELECT count(*) FROM events", NULL, 0, &n, &err), 1);
    assert_int_equal(n, 0);
    fake_run_sql(f, "COMMIT");
    assert_int_equal(rundb_one_int(db, "SELECT count(*) FROM events", NULL, 0, &n, &err), 1);
    assert_int_equal(n, 1);
    rundb_close(db);
}

static void test_snapshot_stands_still(void **state)
{
    struct fake_run *f = *state;
    struct err err = {0};
    struct rundb *db;
    int64_t n = -1;
    fake_run_create(f);
    assert_int_equal(rundb_open(f->dir, &db, &err), 0);
    assert_int_equal(rundb_snapshot_begin(db, &err), 0);
    assert_int_equal(rundb_one_int(db, "SELECT count(*) FROM events", NULL, 0, &n, &err), 1);
    fake_run_sql(f, "INSERT INTO events VALUES (1, 0, 'info', 'k', '', 'm')");
    assert_int_equal(rundb_one_int(db, "SELECT count(*) FROM events", NULL, 0, &n, &err), 1);
    assert_int_equal(n, 0);
    rundb_snapshot_end(db);
    assert_int_equal(rundb_one_int(db, "SELECT count(*) FROM events", NULL, 0, &n, &err), 1);
    assert_int_equal(n, 1);
    rundb_close(db);
}

static void test_nothing_can_be_written(void **state)
{
    struct fake_run *f = *state;
    struct err err = {0};
    struct rundb *db;
    CLEANUP_QUERY struct rundb_query *q = NULL;
    fake_run_create(f);
    assert_int_equal(rundb_open(f->dir, &db, &err), 0);
    assert_int_equal(rundb_prepare(db, "DELETE FROM run", &q, &err), 0);
    assert_int_equal(rundb_next(q, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "readonly"));
    rundb_done(&q);
    rundb_close(db);
}

static void test_values(void **state)
{
    struct fake_run *f = *state;
    struct err err = {0};
    struct rundb *db;
    size_t bytes;
    CLEANUP_QUERY struct rundb_query *q = NULL;
    fake_run_create(f);
    assert_int_equal(rundb_open(f->dir, &db, &err), 0);
    assert_int_equal(
        rundb_prepare(db, "SELECT ?1 + 1, ?2, 0.5, x'0102', NULL AS absent", &q, &err), 0);
    rundb_bind_int(q, 1, 41);
    rundb_bind_text(q, 2, "text");
    assert_int_equal(rundb_next(q, &err), 1);
    assert_int_equal(rundb_int(q, 0), 42);
    assert_string_equal(rundb_text(q, 1), "text");
    assert_true(rundb_real(q, 2) == 0.5);
    assert_memory_equal(rundb_blob(q, 3, &bytes), "\1\2", 2);
    assert_int_equal(bytes, 2);
    assert_true(rundb_is_null(q, 4));
    assert_string_equal(rundb_text(q, 4), "");
    assert_string_equal(rundb_column_name(q, 4), "absent");
    assert_int_equal(rundb_next(q, &err), 0);
    rundb_done(&q);
    assert_int_equal(rundb_prepare(db, "SELECT nonsense FROM nowhere", &q, &err), ERR_DATA);
    assert_null(q);
    rundb_close(db);
}

/* A directory's name is not a part of the URI's syntax. */
static void test_odd_directory(void **state)
{
    struct fake_run *f = *state;
    struct err err = {0};
    struct rundb *db;
    fake_run_create(f);
    CLEANUP_FREE char *odd = mem_printf("%s/a b?mode=rw#%%41", f->dir);
    CLEANUP_FREE char *from = mem_printf("%s/run.db", f->dir);
    CLEANUP_FREE char *to = mem_printf("%s/run.db", odd);
    fake_run_sql(f, "PRAGMA journal_mode = DELETE");
    assert_int_equal(mkdir(odd, 0755), 0);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(rundb_open(odd, &db, &err), 0);
    assert_string_equal(rundb_dir(db), odd);
    rundb_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_run),
        TEST(test_other_schema),
        TEST(test_reading_while_written),
        TEST(test_snapshot_stands_still),
        TEST(test_nothing_can_be_written),
        TEST(test_values),
        TEST(test_odd_directory),
    };
    return cmocka_run_group_tests_name("cli/rundb", tests, NULL, NULL);
}
