/* Which completions enter an update, and what the denominators count (DESIGN section 9). Pinned
 * semantics: change only by decision. */
#include <math.h>

#include "tests/learner/learning_fixture.h"

static struct recipe recipe;
static struct recipe_stage *const st = &recipe.stages[0];

static int reset(void **state)
{
    (void)state;
    recipe = (struct recipe){.seed = 5, .stage_count = 1};
    *st = (struct recipe_stage){.name = "zero",
        .kind = STAGE_GRPO,
        .minibatches = 1,
        .max_tokens = 50,
        .loss = {.advantage = ADVANTAGE_MEAN}};
    return 0;
}

/* Three groups of four; rewards 0, 1, 0, 1 unless a test changes them. */
static void three_groups(struct stored_set *s)
{
    stored_open(s, 3, 0);
    for (size_t g = 0; g < 3; g++) {
        stored_group_random(s, g, 77, 5, 4, 9, 19);
        for (int i = 0; i < 4; i++)
            s->set.groups[g].completions[i].reward = i % 2;
    }
}

static double tokens_of(const struct stored_group *g)
{
    double tokens = 0;
    for (uint32_t i = 0; i < g->n; i++)
        tokens += g->completions[i].len;
    return tokens;
}

static void make(struct stored_set *s, struct step_groups *sg, struct minibatch *m)
{
    step_groups_make(&recipe, 0, 0, s->set.groups, s->set.count, NULL, sg);
    minibatch_make(st, sg, 0, m);
}

static void everything_counts_by_default(void **state)
{
    (void)state;
    struct stored_set s;
    struct step_groups sg;
    struct minibatch m;
    three_groups(&s);
    make(&s, &sg, &m);
    assert_int_equal(sg.used, 3);
    assert_int_equal(m.group_count, 3);
    assert_int_equal(m.completion_count, 12);
    double tokens = 0;
    for (size_t g = 0; g < 3; g++)
        tokens += tokens_of(&s.set.groups[g]);
    assert_true(m.count.tokens == tokens && m.count.completions == 12);
    assert_int_equal(m.token_count, (size_t)tokens);
    size_t at = 0;
    for (size_t k = 0; k < 12; k++) {
        const struct stored_completion *c = &s.set.groups[k / 4].completions[k % 4];
        assert_true(m.completions[k].advantage == (k % 2 ? 0.5 : -0.5));
        assert_true(m.completions[k].weight == 1 / tokens);
        assert_memory_equal(m.behaviour + at, c->logp, c->len * sizeof(float));
        at += c->len;
    }
    step_groups_done(&sg);
    stored_done(&s);
}

/* A tied group is skipped: no forward, and not in the denominators. */
static void tied_groups_are_left_out(void **state)
{
    (void)state;
    struct stored_set s;
    struct step_groups sg;
    struct minibatch m;
    three_groups(&s);
    for (int i = 0; i < 4; i++)
        s.set.groups[1].completions[i].reward = 1.3;
    make(&s, &sg, &m);
    assert_int_equal(sg.used, 2);
    assert_int_equal(sg.groups[1].minibatch, -1);
    assert_int_equal(m.group_count, 2);
    assert_true(m.count.completions == 8);
    assert_true(m.count.tokens == tokens_of(&s.set.groups[0]) + tokens_of(&s.set.groups[2]));
    for (int i = 0; i < 4; i++)
        assert_true(sg.groups[1].advantage[i] == 0);
    step_groups_done(&sg);
    stored_done(&s);
}

/* Kept, it is in the denominators with advantage 0: it still carries the KL term. */
static void tied_groups_can_be_kept(void **state)
{
    (void)state;
    struct stored_set s;
    struct step_groups sg;
    struct minibatch m;
    three_groups(&s);
    st->loss.keep_tied = true;
    for (int i = 0; i < 4; i++)
        s.set.groups[1].completions[i].reward = 0;
    make(&s, &sg, &m);
    assert_int_equal(sg.used, 3);
    assert_true(m.count.completions == 12);
    for (int i = 4; i < 8; i++)
        assert_true(m.completions[i].advantage == 0 && m.completions[i].weight > 0);
    step_groups_done(&sg);
    stored_done(&s);
}

static void all_tied_is_nothing_to_learn(void **state)
{
    (void)state;
    struct stored_set s;
    struct step_groups sg;
    struct minibatch m;
    three_groups(&s);
    for (int k = 0; k < 12; k++)
        s.set.groups[k / 4].completions[k % 4].reward = 0;
    make(&s, &sg, &m);
    assert_int_equal(sg.used, 0);
    assert_int_equal(m.group_count, 0);
    step_groups_done(&sg);
    stored_done(&s);
}

/* Unscored: out of mean, std, forward and denominators; its advantage is stored as none. */
static void unscored_completions_are_out_everywhere(void **state)
{
    (void)state;
    struct stored_set s;
    struct step_groups sg;
    struct minibatch m;
    three_groups(&s);
    s.set.groups[0].completions[0].scored = false;
    s.set.groups[0].completions[0].reward = NAN;
    make(&s, &sg, &m);
    assert_true(sg.groups[0].stats.mean == 2.0 / 3);
    assert_true(isnan(sg.groups[0].advantage[0]));
    assert_int_equal(m.completion_count, 11);
    assert_true(m.count.completions == 11);
    assert_int_equal(m.groups[0].n, 3);
    assert_ptr_equal(m.groups[0].completions[0].tokens, s.set.groups[0].completions[1].tokens);
    step_groups_done(&sg);
    for (int i = 0; i < 4; i++) /* a whole group unscored: out, even when tied groups are kept */
        s.set.groups[0].completions[i].scored = false;
    st->loss.keep_tied = true;
    make(&s, &sg, &m);
    assert_int_equal(sg.groups[0].minibatch, -1);
    assert_true(m.count.completions == 8);
    step_groups_done(&sg);
    stored_done(&s);
}

/* Truncated: in mean and std always; masked it gives no gradient, but the denominators keep its
 * count. */
static void truncated_completions(void **state)
{
    (void)state;
    for (int mask = 0; mask < 2; mask++) {
        struct stored_set s;
        struct step_groups sg;
        struct minibatch m;
        three_groups(&s);
        st->loss.mask_truncated = mask;
        s.set.groups[2].completions[1].stop = STOP_LENGTH;
        double tokens = 0;
        for (size_t g = 0; g < 3; g++)
            tokens += tokens_of(&s.set.groups[g]);
        make(&s, &sg, &m);
        assert_true(sg.groups[2].stats.mean == 0.5 && sg.groups[2].advantage[1] == 0.5);
        assert_true(m.count.tokens == tokens && m.count.completions == 12);
        assert_int_equal(m.completion_count, mask ? 11 : 12);
        assert_true(m.completions[0].weight == 1 / tokens);
        step_groups_done(&sg);
        stored_done(&s);
    }
}

/* Every used group is in exactly one minibatch, whose denominators are its own. */
static void minibatches_split_the_groups(void **state)
{
    (void)state;
    struct stored_set s;
    struct step_groups sg;
    st->minibatches = 2;
    three_groups(&s);
    step_groups_make(&recipe, 0, 0, s.set.groups, 3, NULL, &sg);
    size_t groups = 0;
    for (int32_t k = 0; k < 2; k++) {
        struct minibatch m;
        minibatch_make(st, &sg, k, &m);
        double tokens = 0;
        for (size_t g = 0; g < 3; g++)
            tokens += sg.groups[g].minibatch == k ? tokens_of(&s.set.groups[g]) : 0;
        assert_true(m.count.tokens == tokens);
        groups += m.group_count;
    }
    assert_int_equal(groups, 3);
    step_groups_done(&sg);
    stored_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(everything_counts_by_default, reset),
        cmocka_unit_test_setup(tied_groups_are_left_out, reset),
        cmocka_unit_test_setup(tied_groups_can_be_kept, reset),
        cmocka_unit_test_setup(all_tied_is_nothing_to_learn, reset),
        cmocka_unit_test_setup(unscored_completions_are_out_everywhere, reset),
        cmocka_unit_test_setup(truncated_completions, reset),
        cmocka_unit_test_setup(minibatches_split_the_groups, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
