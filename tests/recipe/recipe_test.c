/* recipe_test.c: run files become plain structs; what spans options is checked and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/recipe/recipe.h"

static const char whole[] = "[reward accuracy]\nscorer = math\ntag = answer\n"
                            "[reward form]\nscorer = format\nweight = 0.5\nwell-formed = yes\n"
                            "[data tasks]\ngenerator = modsum\n"
                            "[stage zero]\nkind = grpo\ndata = tasks\nsteps = 3\nlr = 1e-3\n"
                            "eval-data = tasks\ngate-greedy = 0.1..0.3\n";

/* Makes a recipe of `whole` with changes; returns the code. */
static int make(
    const char *const *changes, struct config **ret_config, struct recipe *ret, struct err *e)
{
    struct config *c = config_new(recipe_options);
    int r = config_read_text(c, "test.conf", whole, strlen(whole), e);
    for (size_t i = 0; r == 0 && changes[i] != NULL; i++)
        r = config_set(c, changes[i], e);
    if (r == 0)
        r = recipe_check(c, e);
    if (r == 0)
        r = recipe_make(c, ret, e);
    *ret_config = c;
    return r;
}

static void values_arrive(void **state)
{
    (void)state;
    struct err e = {0};
    struct recipe r;
    struct config *c;
    static const char *const changes[] = {"stage zero.kl=k1", "run.seed=9", "sampling.group=5",
        "reward form.when=pass", "sampling.weights=bf16", NULL};
    assert_int_equal(make(changes, &c, &r, &e), 0);
    assert_int_equal(r.seed, 9);
    assert_int_equal(r.reward_count, 2);
    assert_int_equal(r.primary, 0); /* the first, as none says so */
    assert_true(r.rewards[0].term.primary && !r.rewards[1].term.primary);
    assert_string_equal(r.rewards[0].spec.params_json, "{\"tag\":\"answer\"}");
    assert_true(r.rewards[1].term.weight == 0.5);
    assert_int_equal(r.rewards[0].term.when, REWARD_ALWAYS);
    assert_int_equal(r.rewards[1].term.when, REWARD_PASS);
    assert_string_equal(r.format_reward, "form");
    assert_int_equal(r.stages[0].kind, STAGE_GRPO);
    assert_int_equal(r.stages[0].group_size, 5);
    assert_int_equal(r.stages[0].loss.kl, KL_K1);
    assert_int_equal(r.stages[0].weights_type, WEIGHTS_BF16);
    assert_true(r.stages[0].loss.old_recomputed && r.stages[0].loss.importance_cap == 2);
    assert_int_equal(r.stages[0].eval.data, 0);
    assert_true(r.stages[0].gate.has_greedy && !r.stages[0].gate.has_sampled);
    assert_true(r.stages[0].gate.greedy_high == 0.3);
    assert_int_equal(r.model.kv_heads, r.model.heads);
    recipe_done(&r);
    config_free(c);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *change, *says, *before;
    } cases[] = {
        {"stage zero.data=nobody", "nobody"},
        {"stage zero.minibatches=33", "minibatches"},
        {"sampling.group=1", "group"},
        {"sampling.max-tokens=131072", "submission"},
        {"stage zero.eval-data=", "gate"},
        {"model.heads=5", "heads"},
        {"model.kv-heads=3", "kv-heads"},
        {"data tasks.path=x.jsonl", "either path or generator"},
        {"data tasks.pairs-share=0.9", "pairs-share"},
        {"reward accuracy.when=pass", "the primary reward counts always"},
        {"reward form.when=right", "always"},
        {"stage zero.old=behaviour", "recomputed", "sampling.weights=int8"},
        {"stage zero.ratio=sequence", "cispo", "stage zero.objective=cispo"},
        {"stage zero.dual-clip=3", "cispo", "stage zero.objective=cispo"},
        {"stage zero.advantage=batch", "tied = keep"},
        {"stage zero.tied=skip", "tied = keep", "learner.preset=reinforce++"},
        {"stage zero.kind=pretrain", "no stage of kind = grpo", "learner.preset=dapo"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const changes[] = {cases[i].change, cases[i].before, NULL};
        struct err e = {0};
        struct recipe r;
        struct config *c;
        int code = make(changes, &c, &r, &e);
        if (code != ERR_CONFIG || strstr(e.msg, cases[i].says) == NULL)
            fail_msg("'%s': code %d, message '%s'", cases[i].change, code, e.msg);
        config_free(c);
    }
}

static void the_table_is_complete(void **state)
{
    (void)state;
    for (const struct config_option *o = recipe_options; o->section != NULL; o++) {
        assert_non_null(o->help);
        assert_true(o->type != OPT_CHOICE || strchr(o->choices, '|') != NULL);
        for (const struct config_option *p = recipe_options; p < o; p++)
            assert_false(strcmp(p->section, o->section) == 0 && strcmp(p->key, o->key) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(the_table_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
