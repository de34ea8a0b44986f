/* hub_segment_test.c: segments: what was written comes back, whatever tears or flips is noticed,
 * and a failed write leaves nothing behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "hub_fake.h"
#include "learner/segment.h"
#include "proto/record.h"

enum { N = 5 };

struct world {
    char *dir;
    struct segments *s;
    struct arena *a;
};

static int setup(void **state)
{
    struct world *w = mem_alloc(sizeof(*w));
    struct err e = {0};
    w->dir = fake_dir();
    w->a = arena_new(0);
    assert_int_equal(segments_open(w->dir, &w->s, &e), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    segments_close(w->s);
    assert_int_equal(file_remove_tree(w->dir, NULL), 0);
    arena_free(w->a);
    free(w->dir);
    free(w);
    return 0;
}

static struct completion *make(struct world *w, uint64_t group)
{
    struct completion *c = arena_alloc(w->a, N * sizeof(*c));
    fake_sample(&(struct rng_key){.seed = 3, .ordinal = group}, N, 40, 1000, w->a, c);
    return c;
}

static struct segment_place put(struct world *w, uint64_t group)
{
    struct segment_place p;
    struct err e = {0};
    assert_int_equal(segment_append(w->s, group, make(w, group), N, &p, &e), 0);
    assert_int_equal(segments_sync(w->s, &e), 0);
    return p;
}

static int get(struct world *w, const struct segment_place *p, uint64_t group, struct err *e)
{
    struct completion c[N] = {0};
    const struct completion *expected = make(w, group);
    int r = segment_read(w->s, p, group, N, w->a, c, e);
    for (int i = 0; i < N && r == 0; i++) {
        assert_int_equal(c[i].len, expected[i].len);
        assert_memory_equal(c[i].tokens, expected[i].tokens, 4 * c[i].len);
        assert_memory_equal(c[i].logp, expected[i].logp, 4 * c[i].len);
    }
    return r;
}

static void test_round_trip(void **state)
{
    struct world *w = *state;
    struct segment_place places[20];
    for (uint64_t g = 0; g < 20; g++)
        places[g] = put(w, g);
    for (uint64_t g = 20; g-- > 0;) {
        assert_int_equal(get(w, &places[g], g, NULL), 0);
        assert_int_equal(places[g].offset % 8, 0);
    }
    struct err e = {0};
    assert_int_equal(get(w, &places[3], 4, &e), ERR_DATA); /* another group's record */
    assert_non_null(strstr(e.msg, "000001.seg"));
}

static void test_single_and_empty_completions(void **state)
{
    struct world *w = *state;
    struct segment_place p;
    struct err e = {0};
    struct completion none = {0}, back;
    assert_int_equal(segment_append(w->s, 1, &none, 1, &p, &e), 0);
    assert_int_equal(segments_sync(w->s, &e), 0);
    assert_int_equal(segment_read(w->s, &p, 1, 1, w->a, &back, &e), 0);
    assert_int_equal(back.len, 0);
    assert_int_equal(segment_read(w->s, &p, 1, 2, w->a, &back, &e), ERR_DATA); /* other n */
}

static char *path_of(struct world *w, uint32_t number)
{
    return segment_path(w->s, number);
}

/* Every byte of a record, one flipped bit at a time: always noticed, never a crash. */
static void test_every_flipped_bit_is_noticed(void **state)
{
    struct world *w = *state;
    put(w, 1);
    struct segment_place p = put(w, 2);
    CLEANUP_FREE char *path = path_of(w, 1);
    CLEANUP(file_close) int fd = open(path, O_RDWR);
    for (uint64_t at = 0; at < p.length; at++) {
        uint8_t byte, bad;
        assert_int_equal(pread(fd, &byte, 1, (off_t)(p.offset + at)), 1);
        bad = (uint8_t)(byte ^ 1u << at % 8);
        assert_int_equal(pwrite(fd, &bad, 1, (off_t)(p.offset + at)), 1);
        int r = get(w, &p, 2, NULL);
        /* The four bytes behind the last checksum are padding. */
        assert_int_equal(r, at < p.length - 4 ? ERR_DATA : 0);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)(p.offset + at)), 1);
    }
    assert_int_equal(get(w, &p, 2, NULL), 0);
}

static void test_wrong_places(void **state)
{
    struct world *w = *state;
    struct segment_place p = put(w, 1), q = p;
    q.offset += 8;
    assert_int_equal(get(w, &q, 1, NULL), ERR_DATA);
    q = p;
    q.length -= 8;
    assert_int_equal(get(w, &q, 1, NULL), ERR_DATA);
    q.length = 0;
    assert_int_equal(get(w, &q, 1, NULL), ERR_DATA);
    q.length = UINT64_MAX - 7;
    assert_int_equal(get(w, &q, 1, NULL), ERR_DATA);
    q = p;
    q.offset = UINT64_MAX;
    assert_int_equal(get(w, &q, 1, NULL), ERR_DATA);
    q = p;
    q.segment = 9;
    assert_int_equal(get(w, &q, 1, NULL), ERR_DATA);
}

/* A crash after any number of bytes of the next record: recovery cuts it off, and the record can be
 * appended again at the same place. */
static void test_torn_tails(void **state)
{
    struct world *w = *state;
    struct segment_place first = put(w, 1), torn = put(w, 2);
    CLEANUP_FREE char *path = path_of(w, 1);
    for (uint64_t keep = 0; keep <= torn.length; keep += 7) {
        assert_int_equal(truncate(path, (off_t)(torn.offset + keep)), 0);
        struct segment_end end = {1, first.offset + first.length};
        struct err e = {0};
        assert_int_equal(segments_recover(w->s, &end, 1, &e), 0);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, (off_t)end.end);
        assert_int_equal(get(w, &first, 1, NULL), 0);
        struct segment_place again = put(w, 2);
        assert_int_equal(again.offset, torn.offset);
        assert_int_equal(get(w, &again, 2, NULL), 0);
    }
}

static void test_a_short_file_is_damage(void **state)
{
    struct world *w = *state;
    struct segment_place p = put(w, 1);
    struct segment_end end = {1, p.offset + p.length};
    struct err e = {0};
    CLEANUP_FREE char *path = path_of(w, 1);
    assert_int_equal(truncate(path, (off_t)end.end - 1), 0);
    assert_int_equal(segments_recover(w->s, &end, 1, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(segments_recover(w->s, &end, 1, &e), ERR_DATA);
}

static void test_unreferenced_files_go(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    put(w, 1);
    CLEANUP_FREE char *path = path_of(w, 1);
    CLEANUP_FREE char *other = mem_printf("%s/notes.txt", w->dir);
    assert_int_equal(file_write_atomic(other, "x", 1, &e), 0);
    assert_int_equal(segments_recover(w->s, NULL, 0, &e), 0);
    assert_false(file_exists(path));
    assert_true(file_exists(other)); /* not ours */
    assert_int_equal(put(w, 1).offset, RECORD_FILE_HEADER_BYTES);
}

static void test_injected_failures(void **state)
{
    struct world *w = *state;
    static const char *const faults[] = {
        "segment.append:1:error", "segment.appended:1:error", "segment.synced:1:error"};
    struct segment_place first = put(w, 1);
    struct segment_end end = {1, first.offset + first.length};
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct segment_place p;
        struct err e = {0};
        assert_int_equal(fault_arm(faults[i], &e), 0);
        int r = segment_append(w->s, 2, make(w, 2), N, &p, &e);
        if (r == 0)
            r = segments_sync(w->s, &e);
        assert_int_equal(r, ERR_RETRY);
        assert_int_equal(segments_recover(w->s, &end, 1, &e), 0);
        assert_int_equal(get(w, &first, 1, NULL), 0);
    }
    struct segment_place p = put(w, 2);
    assert_int_equal(get(w, &p, 2, NULL), 0);
}

/* RLIMIT_FSIZE makes write(2) fail or come up short at any byte, as a full disk does. */
static void test_every_short_write(void **state)
{
    struct world *w = *state;
    struct segment_place first = put(w, 1);
    struct segment_end end = {1, first.offset + first.length};
    struct rlimit was, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (uint64_t room = 0; room < 200; room += 3) {
        struct segment_place p;
        struct err e = {0};
        limit = was;
        limit.rlim_cur = end.end + room;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        int r = segment_append(w->s, 2, make(w, 2), N, &p, &e);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        assert_true(r < 0);
        assert_int_equal(segments_recover(w->s, &end, 1, &e), 0);
    }
    struct segment_place p = put(w, 2);
    assert_int_equal(get(w, &p, 2, NULL), 0);
}

static void test_next_segment(void **state)
{
    struct world *w = *state;
    enum { BIG = 1 << 20, RECORDS = SEGMENT_BYTES_MAX / (8 * BIG) + 2 };
    uint32_t *tokens = mem_array(BIG, sizeof(*tokens));
    float *logp = mem_array(BIG, sizeof(*logp));
    struct completion c = {.tokens = tokens, .logp = logp, .len = BIG}, back;
    struct segment_place p = {0}, first = {0};
    struct err e = {0};
    for (uint64_t g = 0; g < RECORDS; g++) {
        tokens[7] = (uint32_t)g;
        assert_int_equal(segment_append(w->s, g, &c, 1, &p, &e), 0);
        assert_int_equal(segments_sync(w->s, &e), 0);
        first = g == 0 ? p : first;
    }
    assert_int_equal(p.segment, 2);
    assert_int_equal(segment_read(w->s, &p, RECORDS - 1, 1, w->a, &back, &e), 0);
    assert_int_equal(back.tokens[7], RECORDS - 1);
    assert_int_equal(segment_read(w->s, &first, 0, 1, w->a, &back, &e), 0);
    free(tokens);
    free(logp);
}

int main(void)
{
    log_setup(LOG_ERROR, "");
#define SEGMENT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        SEGMENT(test_round_trip),
        SEGMENT(test_single_and_empty_completions),
        SEGMENT(test_every_flipped_bit_is_noticed),
        SEGMENT(test_wrong_places),
        SEGMENT(test_torn_tails),
        SEGMENT(test_a_short_file_is_damage),
        SEGMENT(test_unreferenced_files_go),
        SEGMENT(test_injected_failures),
        SEGMENT(test_every_short_write),
        SEGMENT(test_next_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
