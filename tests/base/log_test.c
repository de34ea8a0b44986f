/* log_test.c: what a line looks like, and that no value can break out of it. */
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/rng.h"

static uint64_t seed = 1;

/* stderr leads into this file while a test logs. */
static FILE *capture;
static int stderr_saved = -1;

static void capture_start(void)
{
    capture = tmpfile();
    assert_non_null(capture);
    stderr_saved = dup(STDERR_FILENO);
    /* Appending, as a log has it: several threads write. */
    assert_int_equal(fcntl(fileno(capture), F_SETFL, O_APPEND), 0);
    assert_true(dup2(fileno(capture), STDERR_FILENO) >= 0);
}

static void capture_stop(struct buf *out)
{
    assert_true(dup2(stderr_saved, STDERR_FILENO) >= 0);
    file_close(&stderr_saved);
    off_t size = lseek(fileno(capture), 0, SEEK_END);
    struct err e = {0};
    assert_int_equal(
        file_pread_all(fileno(capture), buf_extend(out, (size_t)size), (size_t)size, 0, &e), 0);
    (void)fclose(capture);
}

/* Checks the time stamp and returns what follows it. */
static const char *after_time(const char *line)
{
    static const char form[] = "ts=dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (form[i] == 'd')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], form[i]);
    }
    return line + sizeof(form) - 1;
}

/* Whether glibc takes the bytes as UTF-8: an opinion other than our own. */
static bool is_utf8(const struct buf *text)
{
    iconv_t conversion = iconv_open("UCS-4LE", "UTF-8");
    assert_true(conversion != (iconv_t)-1);
    CLEANUP_FREE char *wide = mem_alloc(4 * text->len + 4);
    char *in = (char *)text->data, *out = wide;
    size_t in_left = text->len, out_left = 4 * text->len + 4;
    size_t r = iconv(conversion, &in, &in_left, &out, &out_left);
    (void)iconv_close(conversion);
    return r != (size_t)-1 && in_left == 0;
}

static void a_line(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    capture_start();
    log_setup(LOG_INFO, "");
    log_info("lease", "expired, requeued", LOG_U64("lease", 81), LOG_STR("worker", "a2"));
    capture_stop(&out);
    assert_string_equal(after_time((char *)out.data),
        "level=info mod=lease msg=\"expired, requeued\" lease=81 worker=a2\n");
}

static void all_types(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    struct err e = {.code = ERR_FAIL, .msg = "no luck"};
    capture_start();
    log_setup(LOG_INFO, "learner");
    log_error("x", "y", LOG_U64("u", UINT64_MAX), LOG_I64("i", INT64_MIN), LOG_F64("f", 0.1),
        LOG_F64("nan", NAN), LOG_F64("inf", -INFINITY), LOG_STR("none", NULL), LOG_STR("e", ""),
        LOG_ERR(&e));
    capture_stop(&out);
    assert_string_equal(after_time((char *)out.data),
        "level=error daemon=learner mod=x msg=y u=18446744073709551615 i=-9223372036854775808 "
        "f=0.1 nan=nan inf=-inf none=\"\" e=\"\" error=\"no luck\"\n");
}

static void values_are_quoted_and_escaped(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    capture_start();
    log_setup(LOG_INFO, "");
    log_warn("m", "a\nts=1 level=error msg=forged", LOG_STR("q", "say \"hi\""),
        LOG_STR("eq", "a=b"), LOG_STR("esc", "\x1b[31mred"), LOG_STR("back", "a\\nb"),
        LOG_STR("utf", "\xc3\xa9"), LOG_STR("bad", "\xff"), LOG_STR("c1", "\xc2\x9b"));
    capture_stop(&out);
    assert_string_equal(after_time((char *)out.data),
        "level=warn mod=m msg=\"a\\nts=1 level=error msg=forged\" q=\"say \\\"hi\\\"\" "
        "eq=\"a=b\" esc=\"\\x1b[31mred\" back=\"a\\\\nb\" utf=\xc3\xa9 bad=\\xff c1=\\xc2\\x9b\n");
}

static void levels(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    enum log_level level = LOG_WARN;
    struct err e = {0};
    capture_start();
    log_setup(LOG_WARN, "");
    log_debug("m", "no");
    log_info("m", "no");
    log_warn("m", "yes");
    log_setup(LOG_DEBUG, "");
    log_debug("m", "yes");
    log_setup(LOG_INFO, "");
    capture_stop(&out);
    const char *first = after_time((char *)out.data);
    assert_memory_equal(first, "level=warn mod=m msg=yes\n", 25);
    assert_string_equal(after_time(first + 25), "level=debug mod=m msg=yes\n");

    assert_int_equal(log_level_parse("debug", &level, &e), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse("error", &level, &e), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("", &level, &e), ERR_USAGE);
    assert_int_equal(log_level_parse("INFO", &level, &e), ERR_USAGE);
    assert_int_equal(level, LOG_ERROR);
}

static void errno_survives(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    capture_start();
    int saved = dup(STDERR_FILENO);
    (void)close(STDERR_FILENO);
    errno = ENOSPC;
    log_error("m", "nobody hears this");
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    capture_stop(&out);
    assert_int_equal(out.len, 0);
}

/* Values of every length around the limit: one line, at most 4096 bytes, no half character. */
static void long_values_are_cut(void **state)
{
    static const char *const pieces[] = {"x", "\xe2\x82\xac", "\x1b", "\"", " "};
    for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
        CLEANUP_BUF struct buf value = {0};
        CLEANUP_BUF struct buf shown = {0};
        int wholes = 0, dotted = 0;
        text_escape(&shown, pieces[p], strlen(pieces[p]));
        size_t piece_bytes = shown.len + (*pieces[p] == '"'); /* as the line has it */
        while (value.len / strlen(pieces[p]) * piece_bytes < 3800)
            buf_puts(&value, pieces[p]);
        for (int i = 0; i < 300; i++) {
            buf_puts(&value, pieces[p]);
            CLEANUP_BUF struct buf out = {0};
            capture_start();
            log_info("m", (char *)value.data, LOG_STR("after", "b"));
            capture_stop(&out);
            assert_in_range(out.len, 3800, 4096);
            assert_ptr_equal(memchr(out.data, '\n', out.len), out.data + out.len - 1);
            assert_true(is_utf8(&out));
            bool whole = strstr((char *)out.data, " after=b\n") != NULL;
            bool marked = strstr((char *)out.data, " cut=1\n") != NULL;
            assert_true(whole != marked);
            wholes += whole;
            dotted += strstr((char *)out.data, "...") != NULL;
        }
        assert_true(wholes > 0 && dotted > 0); /* both sides of the limit were met */
    }
}

static void many_fields_are_cut_whole(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    char text[500];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct log_field fields[51] = {{0}};
    for (int i = 0; i < 50; i++)
        fields[i] = LOG_STR("key", text);
    capture_start();
    log_write(LOG_INFO, "m", "many", fields);
    capture_stop(&out);
    assert_in_range(out.len, 3500, 4096);
    assert_int_equal(out.data[out.len - 1], '\n');
}

static void *log_much(void *arg)
{
    for (unsigned i = 0; i < 500; i++)
        log_info("thread", "a message of some length", LOG_U64("i", i), LOG_STR("who", arg));
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    CLEANUP_BUF struct buf out = {0};
    pthread_t threads[4];
    capture_start();
    log_setup(LOG_INFO, "");
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, names[i]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    capture_stop(&out);
    unsigned next[4] = {0};
    const char *line = (char *)out.data;
    for (int i = 0; i < 2000; i++) {
        unsigned number;
        char who;
        int used = 0;
        line = after_time(line);
        int got =
            sscanf(line, "level=info mod=thread msg=\"a message of some length\" i=%u who=%c%n",
                &number, &who, &used);
        assert_int_equal(got, 2);
        assert_in_range(who, 'a', 'd');
        assert_int_equal(number, next[who - 'a']++);
        assert_int_equal(line[used], '\n');
        line += used + 1;
    }
    assert_int_equal(*line, '\0');
}

static void check_escape(const char *in, size_t n, const char *expected)
{
    CLEANUP_BUF struct buf out = {0};
    text_escape(&out, in, n);
    buf_append(&out, "", 0);
    assert_string_equal((char *)out.data, expected);
}

#define CHECK_ESCAPE(in, expected) check_escape(in, sizeof(in) - 1, expected)

static void escapes(void **state)
{
    CHECK_ESCAPE("", "");
    CHECK_ESCAPE("plain \"text\" = 5", "plain \"text\" = 5");
    CHECK_ESCAPE("a\nb\tc\\d", "a\\nb\\tc\\\\d");
    CHECK_ESCAPE("\0\x01\x1f\r\x7f", "\\x00\\x01\\x1f\\x0d\\x7f");
    CHECK_ESCAPE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    CHECK_ESCAPE("\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0");   /* C1 */
    CHECK_ESCAPE("\xe2\x80\xae\xe2\x80\xa8", "\\xe2\\x80\\xae\\xe2\\x80\\xa8"); /* reorder, line */
    CHECK_ESCAPE("\xc3", "\\xc3");                                              /* truncated */
    CHECK_ESCAPE("\xe2\x82", "\\xe2\\x82");
    CHECK_ESCAPE("\xe2\x82z", "\\xe2\\x82z");
    CHECK_ESCAPE("\xf0\x9f\x98", "\\xf0\\x9f\\x98");
    CHECK_ESCAPE("\x80", "\\x80");
    CHECK_ESCAPE("\xc0\xaf", "\\xc0\\xaf");          /* longer than needed */
    CHECK_ESCAPE("\xe0\x80\xaf", "\\xe0\\x80\\xaf"); /* longer than needed */
    CHECK_ESCAPE("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
    CHECK_ESCAPE("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
    CHECK_ESCAPE("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
    CHECK_ESCAPE("\xff\xfe", "\\xff\\xfe");
}

/* Random bytes, half of them from a set that makes near-misses of UTF-8 likely. */
static void any_bytes_become_harmless_text(void **state)
{
    static const uint8_t likely[] = {0x1b, '\n', 0xc2, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4,
        0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xa8, 0xae, 0xbf};
    struct rng r = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (int round = 0; round < 3000; round++) {
        uint8_t in[64];
        size_t n = rng_below(&r, sizeof(in) + 1);
        for (size_t i = 0; i < n; i++)
            in[i] =
                rng_below(&r, 2) ? (uint8_t)rng_next(&r) : likely[rng_below(&r, ARRAY_LEN(likely))];
        CLEANUP_BUF struct buf out = {0};
        text_escape(&out, in, n);
        buf_append(&out, "", 0);
        assert_true(is_utf8(&out));
        for (size_t i = 0; i < out.len; i++) {
            assert_true(out.data[i] >= 0x20 && out.data[i] != 0x7f);
            assert_false(out.data[i] == 0xc2 && out.data[i + 1] < 0xa0);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line),
        cmocka_unit_test(all_types),
        cmocka_unit_test(values_are_quoted_and_escaped),
        cmocka_unit_test(levels),
        cmocka_unit_test(errno_survives),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(many_fields_are_cut_whole),
        cmocka_unit_test(threads_do_not_mix_lines),
        cmocka_unit_test(escapes),
        cmocka_unit_test(any_bytes_become_harmless_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
