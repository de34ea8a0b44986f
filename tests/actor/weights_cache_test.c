/* weights_cache_test.c: versions arrive verified or not at all, and at most two stay. */
#include "actor/weights_cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/actor/fixture.h"

enum { VERSIONS = 3, WATCHDOG_MS = 60000 };

/* What the fake learner does to a fetch. */
enum mischief { HONEST, REFUSE, FLIP, GARBAGE_MANIFEST, OTHER_MANIFEST };

struct state {
    uv_loop_t loop;
    uv_timer_t watchdog;
    char dir[64];
    struct param_table *table;
    struct fixture_version v[VERSIONS];
    struct weights_cache *cache;
    enum mischief mischief;
    unsigned manifests, chunks, changes, mischief_left;
    uint64_t last_lease;
};

static void on_watchdog(uv_timer_t *timer)
{
    (void)fprintf(stderr, "the test waits for something that does not come\n");
    abort();
}

static void fetch(
    void *arg, const struct blob_ref *ref, uint64_t lease, weights_fetched_fn *fn, void *fn_arg)
{
    struct state *s = arg;
    struct err err = {0};
    enum mischief mischief = s->mischief_left > 0 ? s->mischief : HONEST;
    assert_true(ref->id < VERSIONS);
    struct fixture_version *v = &s->v[ref->id];
    s->last_lease = lease;
    if (ref->kind == BLOB_WEIGHTS_MANIFEST)
        s->manifests++;
    else
        s->chunks++;
    if (s->mischief_left > 0)
        s->mischief_left--;
    if (mischief == REFUSE) {
        (void)err_set(&err, ERR_FAIL, "refused");
        fn(fn_arg, NULL, 0, &err);
    } else if (ref->kind == BLOB_WEIGHTS) {
        CLEANUP_FREE uint8_t *bytes = mem_dup(v->file.data, v->file.len);
        bytes[100] ^= mischief == FLIP;
        fn(fn_arg, bytes, v->file.len, NULL);
    } else if (mischief == GARBAGE_MANIFEST) {
        fn(fn_arg, (const uint8_t *)"\xff\xff\xff", 3, NULL);
    } else {
        CLEANUP_BUF struct buf b = {0};
        weights_manifest_pack(&b,
            mischief == OTHER_MANIFEST ? &s->v[(ref->id + 1) % VERSIONS].manifest : &v->manifest);
        fn(fn_arg, b.data, b.len, NULL);
    }
}

static void on_change(void *arg)
{
    struct state *s = arg;
    s->changes++;
    uv_stop(&s->loop);
}

static void open_cache(struct state *s, uint8_t boot_id)
{
    struct err err = {0};
    struct weights_cache_options o = {
        .table = s->table, .fetch = fetch, .on_change = on_change, .arg = s};
    memset(o.boot_id, boot_id, sizeof(o.boot_id));
    for (int i = 0; i < VERSIONS; i++)
        memset(s->v[i].manifest.boot_id, 7, sizeof(o.boot_id));
    assert_ok(weights_cache_open(&s->loop, &o, &s->cache, &err));
}

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    struct model_config c = fixture_config();
    struct err err = {0};
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(uv_timer_init(&s->loop, &s->watchdog), 0);
    assert_int_equal(uv_timer_start(&s->watchdog, on_watchdog, WATCHDOG_MS, 0), 0);
    fixture_dir_init(s->dir);
    assert_ok(param_table_new(&c, &s->table, &err));
    for (uint64_t i = 0; i < VERSIONS; i++)
        fixture_version_init(&s->v[i], s->table, s->dir, i);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    weights_cache_close(s->cache);
    uv_close((uv_handle_t *)&s->watchdog, NULL);
    assert_int_equal(uv_run(&s->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    for (int i = 0; i < VERSIONS; i++)
        fixture_version_done(&s->v[i]);
    param_table_free(s->table);
    fixture_dir_done(s->dir);
    mem_free_ptr(state);
    return 0;
}

/* Asks at every change until the answer is not PENDING. */
static enum weights_status want(struct state *s, uint64_t version, const struct params **ret)
{
    for (;;) {
        unsigned changes = s->changes;
        enum weights_status status =
            weights_cache_want(s->cache, version, &s->v[version].digest, 40 + version, ret);
        if (status != WEIGHTS_PENDING)
            return status;
        while (s->changes == changes)
            (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    }
}

static void assert_version(struct state *s, uint64_t version, const struct params *p)
{
    assert_memory_equal(p->data, s->v[version].params.data, s->table->floats * sizeof(float));
}

static void test_file_of_this_host(void **state)
{
    struct state *s = *state;
    const struct params *p = NULL, *again = NULL;
    open_cache(s, 7);
    assert_int_equal(want(s, 1, &p), WEIGHTS_READY);
    assert_version(s, 1, p);
    assert_int_equal(s->manifests, 1);
    assert_int_equal(s->chunks, 0);
    assert_int_equal(s->last_lease, 41);
    assert_int_equal(want(s, 1, &again), WEIGHTS_READY);
    assert_ptr_equal(p, again);
    assert_int_equal(s->manifests, 1);
}

static void test_other_host_fetches(void **state)
{
    struct state *s = *state;
    const struct params *p = NULL;
    open_cache(s, 8);
    assert_int_equal(want(s, 1, &p), WEIGHTS_READY);
    assert_version(s, 1, p);
    assert_int_equal(s->chunks, 1);
}

static void test_unknown_boot_id_fetches(void **state)
{
    struct state *s = *state;
    const struct params *p = NULL;
    open_cache(s, 0);
    memset(s->v[1].manifest.boot_id, 0, sizeof(s->v[1].manifest.boot_id));
    assert_int_equal(want(s, 1, &p), WEIGHTS_READY);
    assert_int_equal(s->chunks, 1);
}

static void test_useless_file_is_fetched(void **state)
{
    struct state *s = *state;
    const struct params *p = NULL;
    open_cache(s, 7);
    s->v[1].manifest.inode++;
    assert_int_equal(want(s, 1, &p), WEIGHTS_READY);
    assert_version(s, 1, p);
    assert_int_equal(s->chunks, 1);
}

static void test_refusal_is_tried_again(void **state)
{
    struct state *s = *state;
    const struct params *p = NULL;
    open_cache(s, 8);
    s->mischief = REFUSE;
    s->mischief_left = 1;
    assert_int_equal(want(s, 0, &p), WEIGHTS_READY);
    assert_int_equal(s->manifests, 2);
}

static void test_flipped_bytes_are_never_used(void **state)
{
    struct state *s = *state;
    const struct params *p = NULL;
    open_cache(s, 8);
    s->mischief = FLIP;
    s->mischief_left = 2; /* the manifest, which it leaves alone, and the chunks */
    assert_int_equal(want(s, 2, &p), WEIGHTS_READY);
    assert_version(s, 2, p);
    assert_int_equal(s->chunks, 2);
}

static void broken(struct state *s, enum mischief mischief, const char *because)
{
    const struct params *p = NULL;
    s->mischief = mischief;
    s->mischief_left = 1000;
    assert_int_equal(want(s, 2, &p), WEIGHTS_BROKEN);
    assert_null(p);
    if (strstr(weights_cache_error(s->cache)->msg, because) == NULL)
        fail_msg("'%s' does not say '%s'", weights_cache_error(s->cache)->msg, because);
}

static void test_always_flipped_is_broken(void **state)
{
    open_cache(*state, 8);
    broken(*state, FLIP, "chunk 0 of");
}

static void test_garbage_manifest_is_broken(void **state)
{
    open_cache(*state, 8);
    broken(*state, GARBAGE_MANIFEST, "manifest of version 2");
}

static void test_manifest_of_other_version_is_broken(void **state)
{
    open_cache(*state, 8);
    broken(*state, OTHER_MANIFEST, "the lease wants version 2");
}

static void test_two_are_kept_and_users_stay(void **state)
{
    struct state *s = *state;
    const struct params *p0 = NULL, *p1 = NULL, *p2 = NULL, *again = NULL;
    open_cache(s, 7);
    assert_int_equal(want(s, 0, &p0), WEIGHTS_READY);
    assert_int_equal(want(s, 1, &p1), WEIGHTS_READY);
    assert_int_equal(want(s, 2, &p2), WEIGHTS_NO_ROOM);
    assert_version(s, 0, p0);
    weights_cache_release(s->cache, p1);
    assert_int_equal(want(s, 2, &p2), WEIGHTS_READY);
    assert_version(s, 2, p2);
    assert_version(s, 0, p0);
    weights_cache_release(s->cache, p0);
    weights_cache_release(s->cache, p2);
    /* The one that was not asked for longest goes. */
    assert_int_equal(want(s, 1, &again), WEIGHTS_READY);
    assert_int_equal(s->manifests, 4);
    assert_int_equal(want(s, 2, &p2), WEIGHTS_READY);
    assert_int_equal(s->manifests, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_file_of_this_host),
        TEST(test_other_host_fetches),
        TEST(test_unknown_boot_id_fetches),
        TEST(test_useless_file_is_fetched),
        TEST(test_refusal_is_tried_again),
        TEST(test_flipped_bytes_are_never_used),
        TEST(test_always_flipped_is_broken),
        TEST(test_garbage_manifest_is_broken),
        TEST(test_manifest_of_other_version_is_broken),
        TEST(test_two_are_kept_and_users_stay),
    };
    return cmocka_run_group_tests_name("actor/weights_cache", tests, NULL, NULL);
}
