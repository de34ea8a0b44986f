/* template_test.c: prompt templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/text/template.h"

static void rendered(const char *name, const char *prompt, struct buf *out)
{
    struct template *t = NULL;
    struct err e;
    assert_int_equal(template_open(name, &t, &e), 0);
    template_render(t, prompt, out);
    template_free(t);
}

static void plain_is_the_prompt(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    rendered("plain", "12=", &out);
    assert_string_equal((const char *)out.data, "12=");
}

static void r1_zero_frames_a_conversation(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    rendered("r1-zero", "What is 1+1", &out);
    const char *text = (const char *)out.data;
    static const char end[] = "User: What is 1+1. Assistant:";
    assert_string_equal(text + strlen(text) - strlen(end), end);
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        assert_non_null(strstr(text, tags[i]));
}

static void a_placeholder_in_the_prompt_stays(void **state)
{
    CLEANUP_BUF struct buf out = {0};
    rendered("plain", "say {prompt}", &out);
    assert_string_equal((const char *)out.data, "say {prompt}");
}

static int open_file(const char *text, size_t n, struct template **ret, struct err *e)
{
    char path[] = "/tmp/template_test.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, n, e), 0);
    file_close(&fd);
    CLEANUP_FREE char *name = mem_printf("file:%s", path);
    int r = template_open(name, ret, e);
    (void)unlink(path);
    return r;
}

static void files_lose_one_final_newline(void **state)
{
    static const struct {
        const char *file, *text;
    } cases[] = {{"Q: {prompt}\nA:\n", "Q: {prompt}\nA:"}, {"Q: {prompt}\n\n", "Q: {prompt}\n"},
        {"{prompt}", "{prompt}"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct template *t = NULL;
        struct err e;
        assert_int_equal(open_file(cases[i].file, strlen(cases[i].file), &t, &e), 0);
        assert_string_equal(template_text(t), cases[i].text);
        template_free(t);
    }
}

static void bad_files_are_refused(void **state)
{
    static const struct {
        const char *file;
        size_t n;
        const char *says;
    } cases[] = {
        {"", 0, "no {prompt}"},
        {"prompt", 6, "no {prompt}"},
        {"{prompt}{prompt}", 16, "more than one"},
        {"{prompt}\xff", 9, "UTF-8"},
        {"{prompt}\0x", 10, "UTF-8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct template *t = NULL;
        struct err e;
        assert_int_equal(open_file(cases[i].file, cases[i].n, &t, &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, cases[i].says));
        assert_null(t);
    }
}

static void size_is_bounded(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    struct template *t = NULL;
    struct err e;
    buf_puts(&text, "{prompt}");
    while (text.len < TEMPLATE_BYTES_MAX)
        buf_puts(&text, "x");
    assert_int_equal(open_file((const char *)text.data, text.len, &t, &e), 0);
    template_free(t);
    buf_puts(&text, "x");
    assert_int_equal(open_file((const char *)text.data, text.len, &t, &e), ERR_LIMIT);
}

static void unknown_names_are_refused(void **state)
{
    struct template *t = NULL;
    struct err e;
    assert_int_equal(template_open("r1zero", &t, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "'r1zero'"));
    assert_int_equal(template_open("file:/nonexistent/x", &t, &e), ERR_FAIL);
    assert_non_null(strstr(e.msg, "/nonexistent/x"));
    template_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_the_prompt),
        cmocka_unit_test(r1_zero_frames_a_conversation),
        cmocka_unit_test(a_placeholder_in_the_prompt_stays),
        cmocka_unit_test(files_lose_one_final_newline),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(unknown_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
