/* progress_test.c: what is printed while a run is running, once each, from whatever is in the
 * database. */
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "tests/cli/fake_run.h"

struct state {
    struct fake_run run;
    struct progress *progress;
    FILE *out;
    char *text;
    size_t bytes, seen;
};

static const struct progress_children children = {.actors = 2, .reward_servers = 1, .seconds = 65};

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    fake_run_init(&s->run);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    progress_free(s->progress);
    assert_int_equal(fclose(s->out), 0);
    free(s->text);
    fake_run_done(&s->run);
    mem_free_ptr(state);
    return 0;
}

static void begin(struct state *s, bool terminal, int width)
{
    s->out = open_memstream(&s->text, &s->bytes);
    assert_non_null(s->out);
    const struct progress_options o = {
        .run_dir = s->run.dir, .out = s->out, .terminal = terminal, .width = width};
    s->progress = progress_new(&o);
}

/* What the next poll prints. */
static const char *poll(struct state *s)
{
    progress_poll(s->progress, &children);
    assert_int_equal(fflush(s->out), 0);
    const char *fresh = s->text + s->seen;
    s->seen = s->bytes;
    return fresh;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
        n++;
    return n;
}

static void assert_in_order(const char *text, const char *first, const char *second)
{
    const char *a = strstr(text, first), *b = strstr(text, second);
    if (a == NULL || b == NULL || a > b)
        fail_msg("expected '%s' before '%s' in:\n%s", first, second, text);
}

static void test_no_database_yet(void **state)
{
    struct state *s = *state;
    begin(s, false, 0);
    assert_string_equal(poll(s), "");
    fake_run_create(&s->run);
    assert_string_equal(poll(s), "");
    fake_run_stages(&s->run);
    assert_string_equal(poll(s), "");
}

static void test_steps_once_each(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    begin(s, false, 0);
    fake_run_step(&s->run, 1, 0);
    const char *text = poll(s);
    assert_int_equal(count(text, "\n"), 2); /* a header and the step */
    assert_in_order(text, "reward", "0.500");
    assert_in_order(text, "1/3", "37.5%");
    assert_non_null(strstr(text, "3.00%")); /* both clips */
    assert_non_null(strstr(text, "3.00k")); /* 6000 tokens in 2 s */
    assert_non_null(strstr(text, "0:04"));  /* two steps of 2 s to go */
    assert_int_equal(count(text, "\x1b"), 0);
    assert_string_equal(poll(s), "");
    fake_run_step(&s->run, 1, 1);
    fake_run_step(&s->run, 1, 2);
    text = poll(s);
    assert_int_equal(count(text, "\n"), 2);
    assert_in_order(text, "2/3", "3/3");
}

static void test_metrics_that_are_missing(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    begin(s, false, 0);
    fake_run_sql(&s->run, "INSERT INTO steps VALUES (1, 0, NULL, 1, x'00', 0, 0, 0, 0)");
    const char *text = poll(s);
    assert_non_null(strstr(text, "1/3"));
    assert_int_equal(count(text, "nan"), 0);
    assert_int_equal(count(text, "inf"), 0);
}

static void test_evaluations_stand_where_they_belong(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    begin(s, false, 0);
    fake_run_step(&s->run, 0, 39);
    fake_run_eval(&s->run, 0, 40, 0.25);
    fake_run_step(&s->run, 1, 0);
    fake_run_step(&s->run, 1, 1);
    fake_run_eval(&s->run, 1, 2, 0.75);
    const char *text = poll(s);
    assert_in_order(text, "40/40", "after step 40:  pass@1 25.0% [23.0, 27.0]");
    assert_in_order(text, "after step 40:", "1/3");
    assert_in_order(text, "2/3", "after step 2:");
    assert_int_equal(count(text, "held-out"), 2);
    assert_string_equal(poll(s), "");
}

static void test_long_imitation_is_thinned(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    fake_run_sql(&s->run, "UPDATE stages SET steps = 110 WHERE stage = 0");
    begin(s, false, 0);
    for (int i = 0; i < 110; i++)
        fake_run_step(&s->run, 0, i);
    const char *text = poll(s);
    assert_int_equal(count(text, "\n"), 1 + 5 + 1); /* header, every 20th, the last */
    assert_non_null(strstr(text, "110/110"));
}

static void test_resume_skips_what_was_there(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    fake_run_step(&s->run, 0, 39);
    fake_run_eval(&s->run, 0, 40, 0.25);
    fake_run_step(&s->run, 1, 0);
    fake_run_sql(&s->run, "INSERT INTO events VALUES (1, 0, 'alarm', 'disk', '', 'full')");
    begin(s, false, 0);
    progress_skip_past(s->progress);
    assert_string_equal(poll(s), "continuing after step 1 of 3 of stage zero\n");
    fake_run_step(&s->run, 1, 1);
    assert_int_equal(count(poll(s), "\n"), 2);
}

static void test_alarms(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    begin(s, false, 0);
    fake_run_sql(&s->run, "INSERT INTO events VALUES (1, 0, 'alarm', 'disk', 'run.db', 'is full');"
                          "INSERT INTO events VALUES (2, 0, 'info', 'lease', '', 'expired')");
    assert_string_equal(poll(s), "alarm: run.db: is full\n");
    assert_string_equal(poll(s), "");
}

/* It comes before the stage's first line, and fits the terminal. */
static void test_preflight(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    begin(s, true, 60);
    fake_run_sql(&s->run,
        "INSERT INTO events VALUES (1, 0, 'warn', 'preflight', '', 'answers are odd');"
        "INSERT INTO events VALUES (2, 0, 'info', 'preflight', '', 'forty characters of a first '"
        " || 'statement; a second one; and a third that is long enough now; the end')");
    fake_run_step(&s->run, 0, 39);
    fake_run_step(&s->run, 1, 0);
    const char *text = poll(s);
    assert_in_order(text, "40/40", "warning: answers are odd\n");
    assert_in_order(text, "odd\n", "preflight: forty characters of a first statement; ");
    assert_in_order(
        text, "statement; \n", "    a second one; and a third that is long enough now; \n");
    assert_in_order(text, "enough now; \n", "    the end\n");
    assert_in_order(text, "    the end\n", "1/3");
}

/* Names and messages from the database are hostile as far as a terminal is concerned. */
static void test_escape_sequences_are_shown_not_sent(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    begin(s, false, 0);
    fake_run_sql(&s->run,
        "INSERT INTO events VALUES (1, 0, 'alarm', 'x', '', 'a' || char(27) || '[2J' || char(10))");
    const char *text = poll(s);
    assert_int_equal(count(text, "\x1b"), 0);
    assert_int_equal(count(text, "\n"), 1);
}

static void test_terminal(void **state)
{
    struct state *s = *state;
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    begin(s, true, 60);
    fake_run_sql(&s->run,
        "INSERT INTO tasks VALUES (1, 'd', 1, '1', 'q', 'a', x'00', '{}');"
        "INSERT INTO groups (id, purpose, stage, step, slot, mode, task, ordinal, version, n, "
        "temperature, max_tokens, state) VALUES "
        "(1, 'train', 1, 0, 0, 'sampled', 1, 0, 1, 4, 1, 9, 'planned'),"
        "(2, 'train', 1, 0, 1, 'sampled', 1, 1, 1, 4, 1, 9, 'sampled'),"
        "(3, 'train', 1, 0, 2, 'sampled', 1, 2, 1, 4, 1, 9, 'scored')");
    const char *text = poll(s);
    assert_non_null(strstr(text, "zero 0/3: 2 of 3 groups sampled, 1 scored"));
    fake_run_step(&s->run, 1, 0);
    text = poll(s);
    assert_memory_equal(
        text, "\r\x1b[K", 4); /* the status line goes before the step's line comes */
    for (const char *line = text; (line = strchr(line, '\n')) != NULL; line++) {
        const char *end = strchr(line + 1, '\n');
        if (end != NULL)
            assert_true(end - line - 1 < 60); /* columns were left out to fit */
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_no_database_yet),
        TEST(test_steps_once_each),
        TEST(test_metrics_that_are_missing),
        TEST(test_evaluations_stand_where_they_belong),
        TEST(test_long_imitation_is_thinned),
        TEST(test_resume_skips_what_was_there),
        TEST(test_alarms),
        TEST(test_preflight),
        TEST(test_escape_sequences_are_shown_not_sent),
        TEST(test_terminal),
    };
    return cmocka_run_group_tests_name("cli/progress", tests, NULL, NULL);
}
