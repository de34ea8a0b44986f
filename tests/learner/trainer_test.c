/* Cheap proofs about the trainer and the steps: what must not change anything, what must agree,
 * what must learn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learner/step.h"
#include "tests/learner/learning_fixture.h"

enum { GROUPS = 3, N = 4, ZERO = 1 };

struct setup {
    struct fixture f;
    struct stored_set s;
};

/* Rewards 0 and 1 in turn, behaviour log-probs of the trainer's own parameters: on policy. */
static void set_behaviour(struct setup *u, struct trainer *t)
{
    struct err err = {0};
    float logp[256];
    for (size_t g = 0; g < u->s.set.count; g++) {
        struct stored_group *sg = &u->s.set.groups[g];
        struct train_completion list[N];
        for (uint32_t i = 0; i < sg->n; i++)
            list[i] = (struct train_completion){sg->completions[i].tokens, sg->completions[i].len};
        struct train_group one = {sg->prompt, sg->prompt_len, list, sg->n};
        struct trainer_batch b = {&one, 1, 1};
        assert_ok(trainer_logprob(t, TRAINER_POLICY, &b, logp, &err));
        for (uint32_t i = 0, at = 0; i < sg->n; at += list[i++].len)
            memcpy((float *)sg->completions[i].logp, logp + at, list[i].len * sizeof(float));
    }
}

static void setup_open(struct setup *u, const char *const *sets)
{
    fixture_open(&u->f, sets);
    stored_open(&u->s, GROUPS, 0);
    for (size_t g = 0; g < GROUPS; g++) {
        stored_group_random(&u->s, g, 9, 4, N, 12, tokenizer_size(u->f.model.tokenizer));
        for (int i = 0; i < N; i++)
            u->s.set.groups[g].completions[i].reward = (i + (int)g) % 2;
    }
}

static void setup_close(struct setup *u)
{
    stored_done(&u->s);
    fixture_close(&u->f);
}

static struct step_result one_step(struct setup *u, struct trainer *t, uint32_t step)
{
    struct err err = {0};
    struct step_groups groups;
    struct step_result r;
    struct step_context c = {&u->f.recipe, ZERO, t};
    assert_ok(step_groups_open(&c, step, u->s.set.groups, u->s.set.count, &groups, &err));
    assert_ok(step_grpo(&c, step, &groups, 0, &r, &err));
    step_groups_done(&groups);
    return r;
}

static void begin(struct setup *u, struct trainer *t)
{
    struct err err = {0};
    struct step_context c = {&u->f.recipe, ZERO, t};
    assert_ok(step_begin_stage(&c, &err));
}

/* ---- proofs ---- */

static void learning_rate_zero_changes_nothing(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.lr=0", "stage base.lr=0",
        "stage zero.kl-coef=0.1", "stage zero.entropy-coef=0.1", NULL};
    struct setup u;
    setup_open(&u, sets);
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    struct hash before = params_digest(&u.f.model.params);
    begin(&u, t);
    for (uint32_t s = 0; s < 3; s++) {
        struct step_result r = one_step(&u, t, s);
        assert_int_equal(r.updates, 2);
        assert_true(r.grad_norm > 0 && r.update_ratio == 0);
        assert_true(hash_equal(&r.digest, &before));
    }
    trainer_free(t);
    setup_close(&u);
}

/* One log-prob that is one bit away from the learner's is seen, as large as it is. */
static void a_gap_of_one_bit_is_seen(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.minibatches=1", NULL};
    struct setup u;
    setup_open(&u, sets);
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    begin(&u, t);
    set_behaviour(&u, t);
    float *logp = (float *)u.s.set.groups[2].completions[N - 1].logp, before = *logp;
    *logp = nextafterf(before, -10);
    assert_true(one_step(&u, t, 0).logp_gap == (double)before - (double)*logp);
    trainer_free(t);
    setup_close(&u);
}

static void one_group_overfits(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.minibatches=1", "stage zero.lr=5e-3", NULL};
    struct setup u;
    struct err err = {0};
    setup_open(&u, sets);
    u.s.set.count = 1;
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    begin(&u, t);
    struct stored_group *g = &u.s.set.groups[0];
    const struct stored_completion *good = &g->completions[1];
    float logp[16], first = 0, last = 0;
    struct train_completion list = {good->tokens, good->len};
    struct train_group one = {g->prompt, g->prompt_len, &list, 1};
    struct trainer_batch b = {&one, 1, 1};
    for (uint32_t s = 0; s < 200; s++) {
        set_behaviour(&u, t);
        last = 0;
        assert_ok(trainer_logprob(t, TRAINER_POLICY, &b, logp, &err));
        for (uint32_t i = 0; i < good->len; i++)
            last += logp[i] / (float)good->len;
        first = s == 0 ? last : first;
        struct step_result r = one_step(&u, t, s);
        assert_true(r.logp_gap == 0);
    }
    print_message("mean logp of a rewarded completion: %.3f -> %.3f\n", first, last);
    assert_true(first < -2 && last > -0.75);
    trainer_free(t);
    setup_close(&u);
}

/* On policy, completions that are all the same cancel: their advantages sum to zero. */
static void identical_completions_have_no_gradient(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.minibatches=1", NULL};
    struct setup u;
    setup_open(&u, sets);
    for (size_t g = 0; g < GROUPS; g++) {
        for (int i = 1; i < N; i++) {
            double reward = u.s.set.groups[g].completions[i].reward;
            u.s.set.groups[g].completions[i] = u.s.set.groups[g].completions[0];
            u.s.set.groups[g].completions[i].reward = reward;
        }
    }
    struct trainer *t = fixture_trainer(&u.f, 1, 1, 4096);
    begin(&u, t);
    set_behaviour(&u, t);
    struct step_result r = one_step(&u, t, 0);
    print_message("gradient norm %.3g\n", r.grad_norm);
    assert_true(r.updates == 1 && r.grad_norm < 1e-6);
    trainer_free(t);
    setup_close(&u);
}

/* ---- agreement ---- */

static void gradient_of(struct setup *u, unsigned threads, unsigned shards, uint32_t rows_max,
    float *out, struct loss_parts *parts)
{
    struct trainer *t = fixture_trainer(&u->f, threads, shards, rows_max);
    begin(u, t);
    (void)one_step(
        u, t, 0); /* with lr 0: the gradient stays readable, the parameters where they are */
    memcpy(out, trainer_gradient(t), u->f.model.table->floats * sizeof(float));
    *parts = one_step(u, t, 0).parts;
    trainer_free(t);
}

static double distance(const float *a, const float *b, size_t n, double *ret_norm)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)a[i] * a[i];
    }
    *ret_norm = sqrt(norm);
    return sqrt(diff);
}

static const char *const still[] = {"stage zero.lr=0", "stage zero.minibatches=1",
    "stage zero.kl-coef=0.1", "stage zero.entropy-coef=0.01", NULL};

/* One completion per micro-batch, with its prompt each, against the whole batch at once with shared
 * prompts. */
static void micro_batches_and_sharing_agree(void **state)
{
    (void)state;
    struct setup u;
    struct loss_parts pa, pb;
    setup_open(&u, still);
    size_t n = u.f.model.table->floats;
    float *whole = mem_array(n, sizeof(float)), *cut = mem_array(n, sizeof(float));
    gradient_of(&u, 1, 1, 1 << 20, whole, &pa);
    static const uint32_t rows[] = {1, 20, 37, 64};
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        double norm, d;
        gradient_of(&u, 1, 3, rows[k], cut, &pb);
        d = distance(whole, cut, n, &norm);
        assert_true(norm > 0 && d < 1e-5 * norm);
        assert_true(pa.tokens == pb.tokens && pa.ratio_max == pb.ratio_max);
        assert_true(pa.clipped_low == pb.clipped_low && pa.clipped_high == pb.clipped_high);
        assert_true(fabs(pa.loss - pb.loss) < 1e-12 * (1 + fabs(pa.loss)));
    }
    free(whole);
    free(cut);
    setup_close(&u);
}

/* The bits depend on shards and rows_max, never on threads. */
static void threads_do_not_matter(void **state)
{
    (void)state;
    struct setup u;
    struct loss_parts pa, pb;
    setup_open(&u, still);
    size_t n = u.f.model.table->floats;
    float *one = mem_array(n, sizeof(float)), *many = mem_array(n, sizeof(float));
    for (unsigned shards = 1; shards <= 5; shards++) {
        gradient_of(&u, 1, shards, 24, one, &pa);
        for (unsigned threads = 2; threads <= 4; threads++) {
            gradient_of(&u, threads, shards, 24, many, &pb);
            assert_memory_equal(one, many, n * sizeof(float));
            assert_memory_equal(&pa, &pb, sizeof(pa));
        }
    }
    free(one);
    free(many);
    setup_close(&u);
}

/* The same run of steps with one and with four threads. */
static void digests_of_steps_are_equal(void **state)
{
    (void)state;
    struct setup u;
    setup_open(&u, NULL);
    struct trainer *a = fixture_trainer(&u.f, 1, 4, 24), *b = fixture_trainer(&u.f, 4, 4, 24);
    begin(&u, a);
    begin(&u, b);
    for (uint32_t s = 0; s < 5; s++) {
        struct hash da = one_step(&u, a, s).digest, db = one_step(&u, b, s).digest;
        assert_true(hash_equal(&da, &db));
    }
    trainer_free(a);
    trainer_free(b);
    setup_close(&u);
}

/* ---- the whole way: loss of the parameters against the gradient that comes back ---- */

static double loss_at(struct setup *u, struct trainer *t, const struct params *p)
{
    memcpy(trainer_state(t).params->data, p->data, p->table->floats * sizeof(float));
    return one_step(u, t, 0).parts.loss;
}

static void gradient_matches_finite_differences(void **state)
{
    (void)state;
    struct setup u;
    struct loss_parts parts;
    struct err err = {0};
    setup_open(&u, still);
    size_t n = u.f.model.table->floats;
    float *g = mem_array(n, sizeof(float));
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    begin(&u, t);
    set_behaviour(&u, t);
    gradient_of(&u, 1, 2, 64, g, &parts);
    struct params moved;
    assert_ok(params_new(u.f.model.table, &moved, &err));
    double norm = 0, h = 1e-3;
    for (size_t i = 0; i < n; i++)
        norm += (double)g[i] * g[i];
    norm = sqrt(norm);
    double at[2];
    for (int side = 0; side < 2; side++) { /* along the gradient: the slope must be its norm */
        for (size_t i = 0; i < n; i++)
            moved.data[i] = (float)(u.f.model.params.data[i] + (side ? h : -h) * g[i] / norm);
        at[side] = loss_at(&u, t, &moved);
    }
    double slope = (at[1] - at[0]) / (2 * h);
    print_message("slope %.6g, gradient norm %.6g\n", slope, norm);
    assert_true(fabs(slope - norm) < 5e-3 * norm);
    params_done(&moved);
    free(g);
    trainer_free(t);
    setup_close(&u);
}

/* ---- reference, guard, pretraining ---- */

static void kl_to_the_stage_start_is_zero_at_first(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.kl-coef=0.1", "stage zero.minibatches=1",
        "stage zero.reference-every=2", "stage zero.lr=1e-2", NULL};
    struct setup u;
    setup_open(&u, sets);
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    begin(&u, t);
    assert_true(one_step(&u, t, 0).parts.sum_kl_ref == 0);
    assert_true(one_step(&u, t, 1).parts.sum_kl_ref > 0);
    assert_true(one_step(&u, t, 2).parts.sum_kl_ref == 0); /* refreshed after two updates */
    trainer_free(t);
    setup_close(&u);
}

/* With the KL in the reward, groups that are tied by the task's rewards teach by their penalties:
 * coefficient times the sum of sampled minus reference log-probs. The reference is the policy here.
 */
static void kl_in_the_reward_makes_advantages(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.kl-coef=0.5", "stage zero.kl-in=reward",
        "stage zero.kl=k1", "stage zero.tied=keep", "stage zero.advantage=mean",
        "stage zero.minibatches=1", NULL};
    struct setup u;
    struct err err = {0};
    setup_open(&u, sets);
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    begin(&u, t);
    struct stored_group *g = &u.s.set.groups[0];
    double penalty[N], mean = 0;
    set_behaviour(&u, t); /* now the stored ones are the reference's */
    for (uint32_t i = 0; i < N; i++) {
        g->completions[i].reward = 1;
        float *logp = (float *)g->completions[i].logp;
        for (uint32_t k = 0; k < g->completions[i].len; k++)
            logp[k] -= 0.25f * (float)(i + 1);
        penalty[i] = -0.5 * 0.25 * (i + 1) * g->completions[i].len;
        mean += penalty[i] / N;
    }
    struct step_context c = {&u.f.recipe, ZERO, t};
    struct step_groups groups;
    struct step_result r;
    assert_ok(step_groups_open(&c, 0, u.s.set.groups, GROUPS, &groups, &err));
    assert_true(groups.groups[0].stats.tied);
    for (uint32_t i = 0; i < N; i++)
        assert_true(fabs(groups.groups[0].advantage[i] - (mean - penalty[i])) < 1e-4);
    assert_ok(step_grpo(&c, 0, &groups, 0, &r, &err));
    assert_true(r.parts.kl == 0 && r.grad_norm > 0);
    step_groups_done(&groups);
    trainer_free(t);
    setup_close(&u);
}

/* Garbage log-probs must stop the run before they reach the parameters. */
static void not_finite_stops_before_the_update(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage zero.minibatches=1", NULL};
    struct setup u;
    struct err err = {0};
    setup_open(&u, sets);
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    begin(&u, t);
    struct hash before = params_digest(trainer_state(t).params);
    ((float *)u.s.set.groups[0].completions[0].logp)[0] = NAN;
    struct step_groups groups;
    struct step_result r;
    struct step_context c = {&u.f.recipe, ZERO, t};
    step_groups_make(&u.f.recipe, ZERO, 0, u.s.set.groups, GROUPS, NULL, &groups);
    assert_int_equal(step_grpo(&c, 0, &groups, 0, &r, &err), ERR_FAIL);
    assert_non_null(strstr(err.msg, "not finite"));
    struct hash after = params_digest(trainer_state(t).params);
    assert_true(hash_equal(&before, &after));
    step_groups_done(&groups);
    trainer_free(t);
    setup_close(&u);
}

static void all_tied_leaves_the_parameters(void **state)
{
    (void)state;
    struct setup u;
    setup_open(&u, NULL);
    for (int k = 0; k < GROUPS * N; k++)
        u.s.set.groups[k / N].completions[k % N].reward = 1;
    struct trainer *t = fixture_trainer(&u.f, 1, 2, 64);
    begin(&u, t);
    struct step_result r = one_step(&u, t, 0);
    struct hash before = params_digest(&u.f.model.params);
    assert_true(r.updates == 0 && r.groups == 0 && isnan(r.loss) && isnan(r.lr));
    assert_true(hash_equal(&r.digest, &before));
    trainer_free(t);
    setup_close(&u);
}

static void pretraining_lowers_the_loss(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    struct corpus *demos;
    fixture_open(&f, NULL);
    struct corpus_options o = {.recipe = &f.recipe,
        .data = 0,
        .dir = f.dir,
        .tokenizer = f.model.tokenizer,
        .model = &f.model.table->config,
        .demos = true};
    assert_ok(corpus_open(&o, &demos, &err));
    struct train_completion first = corpus_completion(demos, 0);
    assert_int_equal(first.tokens[first.len - 1], f.model.table->config.eos[0]);
    struct trainer *t = fixture_trainer(&f, 1, 2, 128);
    struct step_context c = {&f.recipe, 0, t};
    struct step_result r = {0};
    double before = 0;
    assert_ok(step_begin_stage(&c, &err));
    for (uint32_t s = 0; s < 40; s++) {
        assert_ok(step_pretrain(&c, s, demos, &r, &err));
        before = s == 0 ? r.loss : before;
    }
    print_message("loss %.3f -> %.3f\n", before, r.loss);
    assert_true(r.loss < 0.7 * before);
    trainer_free(t);
    corpus_free(demos);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learning_rate_zero_changes_nothing),
        cmocka_unit_test(a_gap_of_one_bit_is_seen),
        cmocka_unit_test(one_group_overfits),
        cmocka_unit_test(identical_completions_have_no_gradient),
        cmocka_unit_test(micro_batches_and_sharing_agree),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(digests_of_steps_are_equal),
        cmocka_unit_test(gradient_matches_finite_differences),
        cmocka_unit_test(kl_to_the_stage_start_is_zero_at_first),
        cmocka_unit_test(kl_in_the_reward_makes_advantages),
        cmocka_unit_test(not_finite_stops_before_the_update),
        cmocka_unit_test(all_tied_leaves_the_parameters),
        cmocka_unit_test(pretraining_lowers_the_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
