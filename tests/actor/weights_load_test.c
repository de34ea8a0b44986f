/* weights_load_test.c: only the learner's very file, or bytes with the very hash, become
 * parameters. */
#include "actor/weights_load.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/actor/fixture.h"

struct state {
    char dir[64];
    struct param_table *table;
    struct fixture_version v;
};

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    struct model_config c = fixture_config();
    struct err err = {0};
    fixture_dir_init(s->dir);
    assert_ok(param_table_new(&c, &s->table, &err));
    fixture_version_init(&s->v, s->table, s->dir, 3);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    fixture_version_done(&s->v);
    param_table_free(s->table);
    fixture_dir_done(s->dir);
    mem_free_ptr(state);
    return 0;
}

static void file_refused(struct state *s, const struct hash *wanted, const char *because)
{
    struct params p = {0};
    struct err err = {0};
    assert_true(weights_load_file(s->table, &s->v.manifest, wanted, &p, &err) < 0);
    assert_null(p.data);
    if (strstr(err.msg, because) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, because);
}

static void bytes_refused(struct state *s, const uint8_t *data, size_t n, const char *because)
{
    struct params p = {0};
    struct err err = {0};
    assert_true(weights_load_bytes(s->table, &s->v.manifest, &s->v.digest, data, n, &p, &err) < 0);
    assert_null(p.data);
    if (strstr(err.msg, because) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, because);
}

static void test_file(void **state)
{
    struct state *s = *state;
    struct params p = {0};
    struct err err = {0};
    assert_ok(weights_load_file(s->table, &s->v.manifest, &s->v.digest, &p, &err));
    assert_memory_equal(p.data, s->v.params.data, s->table->floats * sizeof(float));
    params_done(&p);
}

static void test_file_of_other_digest(void **state)
{
    struct state *s = *state;
    struct hash other = s->v.digest;
    other.b[31] ^= 1;
    file_refused(s, &other, "the lease wants");
}

static void test_file_with_flipped_bit(void **state)
{
    struct state *s = *state;
    struct err err = {0};
    FILE *f = fopen(s->v.path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -9, SEEK_END), 0);
    assert_int_equal(fputc(s->v.file.data[s->v.file.len - 9] ^ 0x10, f) != EOF, 1);
    assert_int_equal(fclose(f), 0);
    file_refused(s, &s->v.digest, "the lease wants");
    (void)err;
}

static void test_other_inode(void **state)
{
    struct state *s = *state;
    struct err err = {0};
    /* The same bytes under the same name, but not the file the learner wrote. */
    assert_ok(file_write_atomic(s->v.path, s->v.file.data, s->v.file.len, &err));
    file_refused(s, &s->v.digest, "is not the learner's file");
}

static void test_truncated_file(void **state)
{
    struct state *s = *state;
    assert_int_equal(truncate(s->v.path, (off_t)s->v.file.len - 1), 0);
    file_refused(s, &s->v.digest, "is not the learner's file");
    s->v.manifest.bytes--; /* even when the manifest says so */
    file_refused(s, &s->v.digest, s->v.path);
}

static void test_link(void **state)
{
    struct state *s = *state;
    char link[160];
    (void)snprintf(link, sizeof(link), "%s/link", s->dir);
    assert_int_equal(symlink(s->v.path, link), 0);
    s->v.manifest.path = link;
    file_refused(s, &s->v.digest, link);
}

static void test_missing_file_and_directory(void **state)
{
    struct state *s = *state;
    s->v.manifest.path = s->dir;
    file_refused(s, &s->v.digest, "is not the learner's file");
    s->v.manifest.path = "/tmp/cohort-no-such-file";
    file_refused(s, &s->v.digest, "no-such-file");
}

static void test_bytes(void **state)
{
    struct state *s = *state;
    struct params p = {0};
    struct err err = {0};
    assert_ok(weights_load_bytes(
        s->table, &s->v.manifest, &s->v.digest, s->v.file.data, s->v.file.len, &p, &err));
    assert_memory_equal(p.data, s->v.params.data, s->table->floats * sizeof(float));
    params_done(&p);
}

static void test_broken_chunk_is_named(void **state)
{
    struct state *s = *state;
    s->v.file.data[FIXTURE_CHUNK + 5] ^= 1;
    bytes_refused(s, s->v.file.data, s->v.file.len, "chunk 1 of");
}

static void test_truncated_bytes(void **state)
{
    struct state *s = *state;
    bytes_refused(s, s->v.file.data, s->v.file.len - 1, "the manifest says");
    bytes_refused(s, s->v.file.data, 0, "the manifest says");
}

static void test_manifest_that_does_not_add_up(void **state)
{
    struct state *s = *state;
    s->v.manifest.chunk_count--;
    bytes_refused(s, s->v.file.data, s->v.file.len, "hashes of chunks");
    s->v.manifest.chunk_bytes = 0;
    bytes_refused(s, s->v.file.data, s->v.file.len, "hashes of chunks");
}

/* Bytes that match a manifest need not be a model: they come from the same peer. */
static void test_garbage_with_right_hashes(void **state)
{
    struct state *s = *state;
    uint8_t garbage[FIXTURE_CHUNK];
    memset(garbage, 0xff, sizeof(garbage));
    s->v.chunks[0] = hash_of(garbage, sizeof(garbage));
    s->v.manifest.bytes = sizeof(garbage);
    s->v.manifest.chunk_count = 1;
    bytes_refused(s, garbage, sizeof(garbage), "fetched version 3");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_file),
        TEST(test_file_of_other_digest),
        TEST(test_file_with_flipped_bit),
        TEST(test_other_inode),
        TEST(test_truncated_file),
        TEST(test_link),
        TEST(test_missing_file_and_directory),
        TEST(test_bytes),
        TEST(test_broken_chunk_is_named),
        TEST(test_truncated_bytes),
        TEST(test_manifest_that_does_not_add_up),
        TEST(test_garbage_with_right_hashes),
    };
    return cmocka_run_group_tests_name("actor/weights_load", tests, NULL, NULL);
}
