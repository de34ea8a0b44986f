/* worker_end_test.c: blobs that the lease client fetches, good and wrong; drain and end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "tests/net/worker_record.h"

/* ---- blobs ---- */

static uint8_t blob[5 * LIMIT_CHUNK_BYTES / 2];

static void begin_blobs(struct record *r, size_t n)
{
    begin(r, 1);
    r->l.blob = blob;
    r->l.blob_bytes = n;
    r->blob_expected = blob;
    r->blob_expected_bytes = n;
}

static struct blob_ref ref_to(size_t n)
{
    return (struct blob_ref){.kind = BLOB_WEIGHTS, .id = 4, .bytes = n, .hash = hash_of(blob, n)};
}

static void test_fetch(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        sizeof(blob), 0, 1, LIMIT_CHUNK_BYTES, LIMIT_CHUNK_BYTES + 1, LIMIT_CHUNK_BYTES - 1};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        static struct record r;
        begin_blobs(&r, sizes[i]);
        struct blob_ref ref = ref_to(sizes[i]);
        worker_fetch(r.w, &ref, 7, record_blob, &r);
        UNTIL(&r, r.blobs == 1);
        assert_true(r.blob_good);
        /* Without a size and a hash, as a manifest is fetched. */
        ref.bytes = 0;
        memset(&ref.hash, 0, sizeof(ref.hash));
        worker_fetch(r.w, &ref, 7, record_blob, &r);
        UNTIL(&r, r.blobs == 2);
        assert_true(r.blob_good);
        end(&r);
    }
}

static void test_short_chunks_and_a_queue_of_fetches(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 10000);
    r.l.chunk_max = 999;
    struct blob_ref ref = ref_to(10000);
    for (int i = 0; i < 3; i++)
        worker_fetch(r.w, &ref, 7, record_blob, &r);
    UNTIL(&r, r.blobs == 3);
    assert_true(r.blob_good);
    assert_int_equal(r.l.chunks, 33);
    end(&r);
}

static void check_fetch_fails(struct record *r, const struct blob_ref *ref, const char *says)
{
    size_t before = r->blobs;
    worker_fetch(r->w, ref, 7, record_blob, r);
    UNTIL(r, r->blobs == before + 1);
    if (strstr(r->blob_error, says) == NULL)
        fail_msg("'%s' does not say '%s'", r->blob_error, says);
}

static void test_fetch_fails(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 3000);
    struct blob_ref ref = ref_to(3000);
    ref.hash.b[0] ^= 1;
    check_fetch_fails(&r, &ref, "its bytes have hash");
    ref = ref_to(3000);
    ref.bytes = 3001;
    check_fetch_fails(&r, &ref, "3000 bytes, expected 3001");
    ref = ref_to(3000);
    ref.kind = BLOB_WEIGHTS_MANIFEST;
    ref.bytes = 0;
    r.l.blob_claimed = LIMIT_MANIFEST_BYTES + 1;
    check_fetch_fails(&r, &ref, "the limit is 4194304");
    r.l.blob_claimed = 0;
    r.l.chunk_max = 0;
    ref = ref_to(3000);
    check_fetch_fails(&r, &ref, "a chunk of 0 bytes at 0 of 3000");
    r.l.chunk_max = 1000;
    r.l.blob = NULL;
    check_fetch_fails(&r, &ref, "no such blob");
    assert_non_null(strstr(r.blob_error, "blob kind 3 id 4"));
    r.l.blob = blob;
    worker_fetch(r.w, &ref, 7, record_blob, &r);
    UNTIL(&r, r.blobs == 6);
    assert_true(r.blob_good); /* the connection is as good as before */
    end(&r);
}

static void test_fetch_goes_on_after_a_restart(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 10000);
    r.l.chunk_max = 1000;
    r.l.mute_chunks_after = 4;
    struct blob_ref ref = ref_to(10000);
    worker_fetch(r.w, &ref, 7, record_blob, &r);
    UNTIL(&r, r.l.chunks == 5);
    learner_close(&r.l);
    harness_settle(&r.h);
    r.l.chunks = 0;
    r.l.mute_chunks_after = 0;
    learner_open(&r.l);
    UNTIL(&r, r.blobs == 1);
    assert_true(r.blob_good);
    assert_true(r.l.chunks <= 7); /* the first four thousand bytes were not fetched again */
    end(&r);
}

static void test_fetch_fails_when_the_worker_ends(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 10000);
    r.l.mute_chunks_after = 1;
    r.l.chunk_max = 1;
    struct blob_ref ref = ref_to(10000);
    worker_fetch(r.w, &ref, 7, record_blob, &r);
    worker_fetch(r.w, &ref, 7, record_blob, &r);
    UNTIL(&r, r.l.chunks == 2);
    worker_drain(r.w, 0);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.blobs, 2);
    assert_int_equal(r.blob_code, ERR_INTERRUPTED);
    end(&r);
}

/* ---- drain and end ---- */

static void test_drain_waits_for_the_leases(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    worker_drain(r.w, 60000);
    size_t beats = r.l.heartbeats;
    UNTIL(&r, r.l.heartbeats >= beats + 3); /* still at work */
    assert_false(r.stopped);
    submit(&r, 1);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_int_equal(r.done_count, 1);
    assert_int_equal(r.l.byes, 1);
    end(&r);
}

static void test_drain_ends_with_the_grace(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 2);
    r.l.mute_submits = true;
    give(&r, 1, 2);
    UNTIL(&r, r.job_count == 2);
    submit(&r, 1);
    worker_drain(r.w, 20);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_int_equal(r.revoked_count, 1); /* the one that was not finished */
    assert_true(r.revoked[0] == 2);
    assert_int_equal(r.done_count, 0);
    assert_int_equal(r.l.byes, 1);
    end(&r);
}

static void test_learner_drains(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    UNTIL(&r, r.l.parked);
    r.l.drain = true;
    learner_wake(&r.l);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    assert_int_equal(r.l.byes, 1);
    end(&r);
}

static void test_learner_drains_a_busy_worker(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    r.l.drain = true;
    size_t beats = r.l.heartbeats;
    UNTIL(&r, r.l.heartbeats >= beats + 2);
    assert_false(r.stopped);
    submit(&r, 1);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.done_count, 1);
    end(&r);
}

static void test_drain_without_a_learner(void **state)
{
    (void)state;
    static struct record r;
    record_init(&r);
    worker_begin(&r, 1);
    harness_settle(&r.h);
    worker_drain(r.w, 1000);
    UNTIL(&r, r.stopped);
    assert_int_equal(r.stop_code, 0);
    worker_close(r.w);
    harness_done(&r.h);
}

/* After stopped the worker leaves nothing that keeps the loop alive. */
static void test_loop_ends_after_stopped(void **state)
{
    (void)state;
    static struct record r;
    begin(&r, 1);
    UNTIL(&r, r.l.parked);
    worker_drain(r.w, 0);
    UNTIL(&r, r.stopped);
    learner_close(&r.l);
    assert_int_equal(uv_run(&r.h.loop, UV_RUN_DEFAULT), 0);
    worker_close(r.w);
    harness_done(&r.h);
}

static void test_close_in_the_middle(void **state)
{
    (void)state;
    static struct record r;
    begin_blobs(&r, 5000);
    r.l.mute_submits = true;
    r.l.mute_chunks_after = 1;
    r.l.chunk_max = 1;
    give(&r, 1, 1);
    UNTIL(&r, r.job_count == 1);
    struct blob_ref ref = ref_to(5000);
    worker_fetch(r.w, &ref, 1, record_blob, &r);
    submit(&r, 1);
    worker_release(r.w, 99, "never held");
    UNTIL(&r, r.l.submits == 1 && r.l.chunks == 2);
    end(&r);
    assert_false(r.stopped);
    assert_int_equal(r.blobs, 0);
    worker_close(NULL);
}

static void test_boot_id(void **state)
{
    (void)state;
    uint8_t a[16], b[16];
    worker_boot_id(a);
    worker_boot_id(b);
    assert_memory_equal(a, b, 16);
    if (file_exists("/proc/sys/kernel/random/boot_id")) {
        static const uint8_t zeros[16];
        assert_memory_not_equal(a, zeros, 16);
    }
}

int main(void)
{
    log_setup(LOG_ERROR, "");
    for (size_t i = 0; i < sizeof(blob); i++)
        blob[i] = (uint8_t)(i * 2654435761u >> 11);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_short_chunks_and_a_queue_of_fetches),
        cmocka_unit_test(test_fetch_fails),
        cmocka_unit_test(test_fetch_goes_on_after_a_restart),
        cmocka_unit_test(test_fetch_fails_when_the_worker_ends),
        cmocka_unit_test(test_drain_waits_for_the_leases),
        cmocka_unit_test(test_drain_ends_with_the_grace),
        cmocka_unit_test(test_learner_drains),
        cmocka_unit_test(test_learner_drains_a_busy_worker),
        cmocka_unit_test(test_drain_without_a_learner),
        cmocka_unit_test(test_loop_ends_after_stopped),
        cmocka_unit_test(test_close_in_the_middle),
        cmocka_unit_test(test_boot_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
