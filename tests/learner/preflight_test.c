/* The looks before a grpo stage: which facts are fatal, which are a warning, and gold answers
 * before their own judge. */
#include <math.h>
#include <string.h>

#include "common/base/file.h"
#include "learner/gold.h"
#include "tests/learner/learning_fixture.h"

static const struct recipe_stage stage = {
    .name = "zero", .kind = STAGE_GRPO, .steps = 60, .group_size = 4, .max_tokens = 50};

/* ---- before anything is planned ---- */

static struct preflight_data good_data(void)
{
    return (struct preflight_data){.gold = {.tasks = 64, .formed = 64, .passed = 64},
        .scorer = "accuracy",
        .ends = true,
        .memory_bytes = 1 << 20,
        .memory_max = 1 << 30,
        .cache_bytes = 1 << 20,
        .cache_max = 1 << 20};
}

/* Code of the only finding, 1 when there is none. */
static int only_data(const struct preflight_data *d, const char *word)
{
    struct preflight_findings f;
    preflight_judge_data(&stage, d, &f);
    if (f.count == 0)
        return 1;
    assert_int_equal(f.count, 1);
    if (strstr(f.list[0].text, word) == NULL)
        fail_msg("'%s' is not in '%s'", word, f.list[0].text);
    return f.list[0].code;
}

static void data_that_can_work_finds_nothing(void **state)
{
    (void)state;
    struct preflight_data d = good_data();
    assert_int_equal(only_data(&d, ""), 1);
    d.gold = (struct preflight_gold){0}; /* a scorer without gold */
    assert_int_equal(only_data(&d, ""), 1);
}

static void gold_that_fails_warns_up_to_the_half(void **state)
{
    (void)state;
    struct preflight_data d = good_data();
    (void)snprintf(d.gold.failure, sizeof(d.gold.failure), "row '7'");
    d.gold.passed = 32;
    assert_int_equal(only_data(&d, "row '7'"), 0);
    d.gold.passed = 31;
    assert_int_equal(only_data(&d, "33 of the first 64"), ERR_DATA);
}

static void tasks_that_cannot_be_judged_warn_up_to_the_half(void **state)
{
    (void)state;
    struct preflight_data d = good_data();
    d.gold = (struct preflight_gold){.tasks = 10, .unfit = 5};
    assert_int_equal(only_data(&d, "cannot judge 5"), 0);
    d.gold.unfit = 6;
    assert_int_equal(only_data(&d, "cannot judge 6"), ERR_DATA);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct preflight_data d = good_data();
    d.memory_bytes = d.memory_max + 1;
    assert_int_equal(only_data(&d, "1024 MiB are there"), ERR_CONFIG);
    d = good_data();
    d.cache_bytes = d.cache_max + 1;
    assert_int_equal(only_data(&d, "actor.kv-mib"), ERR_CONFIG);
    d = good_data();
    d.ends = false;
    assert_int_equal(only_data(&d, "end-of-text"), ERR_CONFIG);
}

/* ---- the first groups ---- */

static struct preflight_groups good_groups(void)
{
    return (struct preflight_groups){
        .figures = {.completions = 32, .scored = 32, .truncated = 4, .groups = 8, .tied = 2},
        .gap_completions = 16,
        .gap = 0,
        .expect_seconds = NAN};
}

static int only_groups(const struct preflight_groups *g, const char *word)
{
    struct preflight_findings f;
    preflight_judge_groups(&stage, g, &f);
    if (f.count == 0)
        return 1;
    assert_int_equal(f.count, 1);
    if (strstr(f.list[0].text, word) == NULL)
        fail_msg("'%s' is not in '%s'", word, f.list[0].text);
    return f.list[0].code;
}

static void groups_that_can_teach_find_nothing(void **state)
{
    (void)state;
    struct preflight_groups g = good_groups();
    assert_int_equal(only_groups(&g, ""), 1);
    g.figures.truncated = 16;
    assert_int_equal(only_groups(&g, ""), 1);
}

static void any_gap_is_fatal(void **state)
{
    (void)state;
    struct preflight_groups g = good_groups();
    g.gap = 1e-9;
    assert_int_equal(only_groups(&g, "differ"), ERR_FAIL);
    g.gap = NAN;
    assert_int_equal(only_groups(&g, "differ"), ERR_FAIL);
}

static void truncation_is_fatal_when_it_is_no_chance(void **state)
{
    (void)state;
    struct preflight_groups g = good_groups();
    g.figures.truncated = 17;
    assert_int_equal(only_groups(&g, "cut off"), 0);
    g.figures.truncated = 32;
    assert_int_equal(only_groups(&g, "max-tokens = 50"), ERR_CONFIG);
    g.figures.completions = g.figures.truncated = g.figures.scored = 31;
    assert_int_equal(only_groups(&g, "cut off"), 0);
}

static void ties_are_fatal_when_they_are_no_chance(void **state)
{
    (void)state;
    struct preflight_groups g = good_groups();
    g.figures.tied = 8;
    assert_int_equal(only_groups(&g, "tell the completions"), ERR_CONFIG);
    g.figures.tied_right = 8;
    assert_int_equal(only_groups(&g, "too easy"), ERR_CONFIG);
    g.figures.tied_right = 0;
    g.figures.tied_wrong = 8;
    assert_int_equal(only_groups(&g, "easier tasks"), ERR_CONFIG);
    g.figures.groups = g.figures.tied = g.figures.tied_wrong = 7;
    assert_int_equal(only_groups(&g, "easier tasks"), 0);
}

static void unscored_completions_are_named(void **state)
{
    (void)state;
    struct preflight_groups g = good_groups();
    g.figures.scored = 31;
    g.figures.unscored = 1;
    assert_int_equal(only_groups(&g, "1 of the first 32"), 0);
    g.figures.scored = g.figures.groups = g.figures.tied = 0;
    g.figures.unscored = 32;
    assert_int_equal(only_groups(&g, "none of the first 32"), ERR_DATA);
}

static void the_report_says_all_of_it(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = {0};
    struct preflight_data d = good_data();
    struct preflight_groups g = good_groups();
    g.expect_seconds = 7200;
    preflight_report(&stage, &d, &g, &text);
    assert_string_equal((const char *)text.data,
        "stage 'zero': 64 of 64 gold answers pass 'accuracy'; actors and learner agree bit for bit "
        "on 16 completions; 88 % of the first 32 completions end by themselves; 2 of 8 groups "
        "tied; memory of the learner about 1 MiB of 1.0 GiB; about 2.0 hours for 60 steps");
}

/* ---- gold answers ---- */

static struct preflight_gold gold_of(const char *const *sets, const char *rows)
{
    struct fixture f;
    struct err err = {0};
    fixture_open(&f, sets);
    struct corpus_options o = {.recipe = &f.recipe,
        .data = (size_t)f.recipe.stages[1].data,
        .dir = f.dir,
        .tokenizer = f.model.tokenizer,
        .model = &f.model.table->config,
        .max_tokens = 16};
    struct recipe_data *data = &f.recipe.data[o.data];
    CLEANUP_FREE char *path = mem_printf("%s/%s.jsonl", f.dir, data->name);
    if (rows != NULL) { /* else they are generated */
        assert_ok(file_write_atomic(path, rows, strlen(rows), &err));
        data->generator = "";
        data->path = path;
        data->split = SPLIT_ALL;
    }
    struct corpus *tasks;
    struct preflight_gold gold;
    assert_ok(corpus_open(&o, &tasks, &err));
    assert_ok(gold_check(&f.recipe, 1, tasks, &gold, &err));
    corpus_free(tasks);
    fixture_close(&f);
    return gold;
}

static void generated_answers_pass(void **state)
{
    (void)state;
    static const char *const exact[] = {"reward accuracy.scorer=exact", NULL};
    static const char *const untagged[] = {"reward accuracy.tag=", NULL};
    static const char *const *const sets[] = {NULL, exact, untagged};
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        struct preflight_gold g = gold_of(sets[i], NULL);
        assert_true(g.tasks > 0 && g.tasks <= PREFLIGHT_TASKS);
        assert_int_equal(g.formed, g.tasks);
        assert_int_equal(g.passed, g.tasks);
        assert_int_equal(g.unfit, 0);
    }
}

/* A tag inside the answer breaks the tag around it; an answer that is too long cannot be judged. */
static void a_bad_answer_is_found_and_named(void **state)
{
    (void)state;
    struct preflight_gold g =
        gold_of(NULL, "{\"id\": \"good\", \"prompt\": \"11=\", \"answer\": \"2\"}\n"
                      "{\"id\": \"bad\", \"prompt\": \"12=\", \"answer\": \"</answer>3\"}\n");
    assert_int_equal(g.tasks, 2);
    assert_int_equal(g.formed, 2);
    assert_int_equal(g.passed, 1);
    assert_non_null(strstr(g.failure, "bad"));
    char rows[6000] = "{\"id\": \"long\", \"prompt\": \"11=\", \"answer\": \"";
    memset(rows + strlen(rows), '1', 5000);
    strcat(rows, "\"}\n");
    g = gold_of(NULL, rows);
    assert_int_equal(g.unfit, 1);
    assert_int_equal(g.formed, 0);
    assert_non_null(strstr(g.failure, "long"));
}

static void other_scorers_have_no_gold(void **state)
{
    (void)state;
    static const char *const length[] = {
        "reward accuracy.scorer=length", "reward accuracy.tag=", "reward accuracy.max=16", NULL};
    assert_int_equal(gold_of(length, NULL).tasks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_that_can_work_finds_nothing),
        cmocka_unit_test(gold_that_fails_warns_up_to_the_half),
        cmocka_unit_test(tasks_that_cannot_be_judged_warn_up_to_the_half),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(groups_that_can_teach_find_nothing),
        cmocka_unit_test(any_gap_is_fatal),
        cmocka_unit_test(truncation_is_fatal_when_it_is_no_chance),
        cmocka_unit_test(ties_are_fatal_when_they_are_no_chance),
        cmocka_unit_test(unscored_completions_are_named),
        cmocka_unit_test(the_report_says_all_of_it),
        cmocka_unit_test(generated_answers_pass),
        cmocka_unit_test(a_bad_answer_is_found_and_named),
        cmocka_unit_test(other_scorers_have_no_gold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
