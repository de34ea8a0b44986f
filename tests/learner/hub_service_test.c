/* hub_service_test.c: the whole service over real sockets: hub, store, segments, blobs, the stage
 * thread's calls.
 *
 * The same run with 1, 2 and 4 actors, with workers that release leases, judges that fault, and
 * workers that are killed and replaced, must leave the same tables. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "hub_fake.h"

enum { STEPS = 4 };

struct crowd {
    unsigned actors, rewards, lazy_permille, faulty_permille;
    uint64_t seed;
};

static size_t start_crowd(
    const struct fake_run *f, const char *dir, const struct crowd *c, struct fake_worker **workers)
{
    size_t n = 0;
    for (unsigned i = 0; i < c->actors + c->rewards; i++) {
        bool actor = i < c->actors;
        CLEANUP_FREE char *name = mem_printf("%s%u", actor ? "a" : "r", i);
        workers[n++] = fake_worker_start(
            &(struct fake_worker_options){.role = actor ? ROLE_ACTOR : ROLE_REWARD,
                .name = name,
                .run_dir = dir,
                .numerics_id = f->numerics_id,
                .slots = 3,
                .lazy_permille = c->lazy_permille,
                .faulty_permille = actor ? 0 : c->faulty_permille,
                .seed = c->seed * 100 + i});
    }
    return n;
}

/* Runs everything and returns the tables. */
static char *run_with(const struct crowd *c)
{
    struct fake_run f;
    struct err e = {0};
    struct fake_worker *workers[16];
    CLEANUP_FREE char *dir = fake_dir();
    fake_run_init(&f, 42, STEPS);
    size_t n = start_crowd(&f, dir, c, workers);
    int r = fake_learner(&f, dir, &e);
    if (r)
        print_message("learner: %s\n", e.msg);
    assert_int_equal(r, 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            fake_worker_join(workers[i], false), 0); /* told to drain: the run is finished */
    char *tables = fake_tables(dir);
    assert_int_equal(file_remove_tree(dir, &e), 0);
    fake_run_done(&f);
    return tables;
}

static void test_same_tables_for_any_crowd(void **state)
{
    (void)state;
    static const struct crowd crowds[] = {
        {1, 1, 0, 0, 1}, {2, 1, 0, 0, 2}, {4, 2, 0, 0, 3}, {3, 2, 200, 0, 4}, {2, 2, 100, 150, 5}};
    char *first = run_with(&crowds[0]);
    assert_non_null(strstr(first, "finished"));
    for (size_t i = 1; i < ARRAY_LEN(crowds); i++) {
        char *other = run_with(&crowds[i]);
        assert_string_equal(first, other);
        free(other);
    }
    free(first);
}

int main(void)
{
    log_setup(getenv("V") ? LOG_DEBUG : LOG_ERROR, "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tables_for_any_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
