/* mem_test.c: allocation limits, buffers against a naive twin, byte order, arenas. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/rng.h"

/* Read by the sanitizers when they are there: asking for too much is what some tests are about. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static uint64_t seed = 1;

static void overflow_child(void)
{
    (void)mem_array(SIZE_MAX / 2, 3);
}

static void grow_overflow_child(void)
{
    (void)mem_grow(NULL, SIZE_MAX, SIZE_MAX);
}

static void buf_overflow_child(void)
{
    struct buf b = {0};
    (void)buf_extend(&b, SIZE_MAX - 1);
}

/* How fn ends in a process of its own; its last words are expected and dropped. */
static int signal_of(void (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(STDERR_FILENO);
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void sizes_that_overflow_die(void **state)
{
    assert_int_equal(signal_of(overflow_child), SIGABRT);
    assert_int_equal(signal_of(grow_overflow_child), SIGABRT);
    assert_int_equal(signal_of(buf_overflow_child), SIGABRT);
}

static void small_blocks(void **state)
{
    CLEANUP_FREE uint8_t *zeros = mem_array(100, 7);
    for (size_t i = 0; i < 700; i++)
        assert_int_equal(zeros[i], 0);
    CLEANUP_FREE void *nothing = mem_alloc(0);
    assert_non_null(nothing);
    assert_null(mem_strdup(NULL));
    CLEANUP_FREE char *empty = mem_strdup("");
    assert_string_equal(empty, "");
    CLEANUP_FREE char *head = mem_strndup("abcdef", 3);
    assert_string_equal(head, "abc");
    CLEANUP_FREE char *shorter = mem_strndup("ab", 30);
    assert_string_equal(shorter, "ab");
    CLEANUP_FREE char *text = mem_printf("%s-%d", "a", 5);
    assert_string_equal(text, "a-5");
    CLEANUP_FREE void *copy = mem_dup(NULL, 0);
    assert_non_null(copy);
}

static void stealing_leaves_null(void **state)
{
    char *owned = mem_strdup("x");
    char *taken = steal(&owned);
    assert_null(owned);
    assert_string_equal(taken, "x");
    free(taken);
}

static void big_blocks_fail_politely(void **state)
{
    struct err e = {0};
    float *p = mem_big(1001, sizeof(float), "weights", &e);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 1001; i++)
        assert_true(p[i] == 0);
    mem_big_free(p);
    assert_int_equal(mem_big_bytes(0), 64);
    assert_int_equal(mem_big_bytes(65), 128);
    assert_int_equal(mem_big_bytes((4 << 20) + 1), 6 << 20);
    p = mem_big(0, 4, "nothing", &e);
    assert_non_null(p);
    mem_big_free(p);
    mem_big_free(NULL);

    assert_null(mem_big(SIZE_MAX, 2, "weights", &e));
    assert_int_equal(e.code, ERR_FAIL);
    assert_non_null(strstr(e.msg, "weights: "));
    e = (struct err){0};
    assert_null(mem_big((size_t)1 << 60, 1, "weights", &e));
    assert_int_equal(e.code, ERR_FAIL);
    assert_string_equal(e.msg, "weights: no memory for 1099511627776 MiB");
    assert_null(mem_big((size_t)1 << 60, 1, "weights", NULL));
}

static void buffer_grows_and_stays_terminated(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    buf_clear(&b);
    buf_append(&b, NULL, 0);
    assert_int_equal(b.len, 0);
    assert_string_equal((char *)b.data, "");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen((char *)b.data), b.len);
    assert_memory_equal(b.data + b.len - 4, "999,", 4);
    buf_clear(&b);
    assert_string_equal((char *)b.data, "");
    for (int width = 190; width < 210; width++) { /* around the size that buf_printf guesses */
        buf_clear(&b);
        buf_printf(&b, "<%*d>", width, 7);
        assert_int_equal(b.len, (size_t)width + 2);
        assert_int_equal(strlen((char *)b.data), b.len);
        assert_memory_equal(b.data + width, "7>", 2);
    }
    buf_clear(&b);
    buf_puts(&b, "again");
    assert_string_equal((char *)b.data, "again");
}

/* Random operations against a fixed array. */
static void buffer_equals_its_twin(void **state)
{
    static uint8_t twin[1 << 20];
    size_t len = 0;
    CLEANUP_BUF struct buf b = {0};
    struct rng r = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (int i = 0; i < 2000; i++) {
        uint8_t piece[400];
        size_t n = rng_below(&r, sizeof(piece) + 1);
        for (size_t j = 0; j < n; j++)
            piece[j] = (uint8_t)rng_next(&r);
        memcpy(twin + len, piece, n);
        len += n;
        if (rng_below(&r, 2) == 0)
            buf_append(&b, piece, n);
        else
            memcpy(buf_extend(&b, n), piece, n);
        assert_int_equal(b.len, len);
        assert_int_equal(b.data[len], 0);
        if (rng_below(&r, 500) == 0) {
            buf_clear(&b);
            len = 0;
        }
    }
    assert_memory_equal(b.data, twin, len);
}

static void integers_are_little_endian(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    buf_put_u16(&b, 0xfedc);
    buf_put_u32(&b, 0xfedcba98u);
    buf_put_u64(&b, 0xfedcba9876543210u);
    static const uint8_t expected[14] = {
        0xdc, 0xfe, 0x98, 0xba, 0xdc, 0xfe, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
    assert_int_equal(b.len, sizeof(expected));
    assert_memory_equal(b.data, expected, sizeof(expected));
    assert_int_equal(get_u16(b.data), 0xfedc);
    assert_true(get_u32(b.data + 2) == 0xfedcba98u);
    assert_true(get_u64(b.data + 6) == 0xfedcba9876543210u);
}

static void arena_bounds(void **state)
{
    struct arena *a = arena_new(64);
    assert_non_null(arena_alloc(a, 1)); /* takes 16 */
    assert_non_null(arena_alloc(a, 0)); /* takes 16 */
    assert_null(arena_alloc(a, 33));
    assert_non_null(arena_alloc(a, 32));
    assert_null(arena_alloc(a, 0));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 8));
    assert_null(arena_strdup(a, "no room"));
    arena_clear(a);
    uint8_t *again = arena_alloc(a, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(again[i], 0);
    arena_free(a);
    arena_free(NULL);
}

static void arena_pieces_are_apart(void **state)
{
    enum { PIECES = 500 };
    struct arena *a = arena_new(0);
    arena_clear(a);
    struct rng r = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER, .stage = 1});
    for (int round = 0; round < 3; round++) {
        uint8_t *pieces[PIECES];
        size_t sizes[PIECES];
        for (int i = 0; i < PIECES; i++) {
            sizes[i] = rng_below(&r, i % 50 == 0 ? 300000 : 3000);
            pieces[i] = arena_alloc(a, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % 16, 0);
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(pieces[i][j], 0);
            memset(pieces[i], i & 0xff, sizes[i]);
        }
        for (int i = 0; i < PIECES; i++) {
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(pieces[i][j], i & 0xff);
        }
        arena_clear(a);
    }
    assert_null(arena_strdup(a, NULL));
    assert_string_equal(arena_strdup(a, "word"), "word");
    assert_memory_equal(arena_dup(a, "ab", 2), "ab", 2);
    assert_non_null(arena_dup(a, NULL, 0));
    arena_free(a);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_overflow_die),
        cmocka_unit_test(small_blocks),
        cmocka_unit_test(stealing_leaves_null),
        cmocka_unit_test(big_blocks_fail_politely),
        cmocka_unit_test(buffer_grows_and_stays_terminated),
        cmocka_unit_test(buffer_equals_its_twin),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(arena_bounds),
        cmocka_unit_test(arena_pieces_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
