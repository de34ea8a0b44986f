/* summary_test.c: the end of a run: which evaluations are compared, which task is shown. */
#include "cli/summary.h"

#include <stdlib.h>
#include <string.h>

#include "tests/cli/fake_run.h"

struct state {
    struct fake_run run;
    char *text;
};

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    fake_run_init(&s->run);
    fake_run_create(&s->run);
    fake_run_stages(&s->run);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    free(s->text);
    fake_run_done(&s->run);
    mem_free_ptr(state);
    return 0;
}

static const char *summary(struct state *s)
{
    struct err err = {0};
    struct rundb *db;
    size_t bytes;
    FILE *out = open_memstream(&s->text, &bytes);
    if (rundb_open(s->run.dir, &db, &err) < 0 || summary_print(db, "bin/cohort", out, &err) < 0)
        fail_msg("%s", err.msg);
    rundb_close(db);
    assert_int_equal(fclose(out), 0);
    return s->text;
}

/* Not inlined: under sanitizers the compiler then takes its own checks for a possible NULL. */
__attribute__((noinline)) static void assert_has(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("no '%s' in:\n%s", what, text);
}

static void test_before_is_the_stage_before(void **state)
{
    struct state *s = *state;
    fake_run_eval(&s->run, 0, 40, 0.25);
    fake_run_eval(&s->run, 1, 2, 0.5);
    fake_run_eval(&s->run, 1, 3, 0.75);
    const char *text = summary(s);
    assert_has(text, "pass@1, sampled       25.0% [23.0, 27.0]      75.0% [73.0, 77.0]");
    assert_has(text, "pass@1, greedy        25.0% [23.0, 27.0]      75.0% [73.0, 77.0]");
    assert_has(text, "length of reasoning   10.0 tokens             20.0 tokens  (x 2.00)");
    assert_has(text, "well-formed answers   25.0%                   75.0%");
}

static void test_before_is_the_stage_s_own(void **state)
{
    struct state *s = *state;
    fake_run_eval(&s->run, 0, 40, 0.25);
    fake_run_eval(&s->run, 1, 0, 0.5);
    fake_run_eval(&s->run, 1, 3, 0.75);
    assert_has(summary(s), "pass@1, sampled       50.0% [48.0, 52.0]      75.0% [73.0, 77.0]");
}

static void test_example_was_learnt(void **state)
{
    struct state *s = *state;
    fake_run_eval(&s->run, 0, 40, 0.25);
    fake_run_eval(&s->run, 1, 3, 0.75);
    fake_run_greedy(&s->run, 1, 0, 40, 1, "knew it", "pass");
    fake_run_greedy(&s->run, 2, 0, 40, 2, "blurted", "wrong");
    fake_run_greedy(&s->run, 3, 0, 40, 3, "blurted", "wrong");
    fake_run_greedy(&s->run, 4, 1, 3, 1, "knows it", "pass");
    fake_run_greedy(&s->run, 5, 1, 3, 2, "still not", "wrong");
    fake_run_greedy(&s->run, 6, 1, 3, 3, "thought", "pass");
    const char *text = summary(s);
    assert_has(text, "One of them: question 3   (reference answer: right 3)");
    assert_has(text, "before  blurted   wrong\n  after   thought   pass\n");
    assert_has(text, "\n  bin/cohort explain ");
    assert_has(text, " 6144\n"); /* group 6, completion 0 */
    assert_has(text, "/models/base --prompt 'question 3' --max-tokens 24\n");
}

static void test_a_single_evaluation(void **state)
{
    struct state *s = *state;
    fake_run_eval(&s->run, 1, 3, 0.75);
    fake_run_greedy(&s->run, 6, 1, 3, 3, "thought", "pass");
    const char *text = summary(s);
    assert_has(text, "75.0% [73.0, 77.0]");
    assert_null(strstr(text, "before"));
}

static void test_no_evaluation(void **state)
{
    struct state *s = *state;
    fake_run_step(&s->run, 1, 0);
    const char *text = summary(s);
    assert_null(strstr(text, "held-out"));
    assert_has(text, "base          4.0");
    assert_has(text, "training 1.5");
    assert_has(text, "run.db");
}

static void test_state(void **state)
{
    struct state *s = *state;
    struct err err = {0};
    struct rundb *db;
    CLEANUP_FREE char *text = NULL, *why = NULL;
    fake_run_sql(&s->run, "UPDATE run SET state = 'failed', why = 'gate: sampled 0.7'");
    assert_int_equal(rundb_open(s->run.dir, &db, &err), 0);
    assert_int_equal(summary_state(db, &text, &why, &err), 0);
    assert_string_equal(text, "failed");
    assert_string_equal(why, "gate: sampled 0.7");
    rundb_close(db);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_before_is_the_stage_before),
        TEST(test_before_is_the_stage_s_own),
        TEST(test_example_was_learnt),
        TEST(test_a_single_evaluation),
        TEST(test_no_evaluation),
        TEST(test_state),
    };
    return cmocka_run_group_tests_name("cli/summary", tests, NULL, NULL);
}
