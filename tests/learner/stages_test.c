/* The stages over a fake service: the order of commits, every crash between two of them, damaged
 * checkpoints, changed arithmetic, gates, alarms, stopping, growing. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "learner/stages.h"
#include "tests/learner/learning_fixture.h"
#include "tests/learner/service_fake.h"

struct run {
    struct fixture f;
    struct service s;
};

static void run_open(struct run *r, const char *const *sets)
{
    fixture_open(&r->f, sets);
    fake_open(&r->s, r->f.dir, &r->f.recipe, tokenizer_size(r->f.model.tokenizer));
}

static void run_close(struct run *r)
{
    fake_done(&r->s);
    fixture_close(&r->f);
}

static struct stages *new_stages(
    struct run *r, const struct recipe *recipe, const char *training_id, bool accept)
{
    struct err err = {0};
    struct stages *st;
    struct stages_options o = {.run_dir = r->f.dir,
        .recipe = recipe,
        .model = &r->f.model,
        .service = &r->s,
        .numerics_id = hash_of("x", 1),
        .training_id = training_id,
        .accept_training_id = accept};
    assert_ok(stages_new(&o, &st, &err));
    return st;
}

/* One life of the learner. */
static int live(struct run *r, struct err *e)
{
    struct stages *st = new_stages(r, &r->f.recipe, "t", false);
    int rc = stages_run(st, e);
    stages_free(st);
    return rc;
}

static void live_to_the_end(struct run *r)
{
    struct err err = {0};
    r->s.crash_at = 0;
    assert_ok(live(r, &err));
    assert_true(r->s.stages[0].row.finished && r->s.stages[1].row.finished);
}

static const char *const lag0[] = {NULL};
static const char *const lag2[] = {"stage zero.lag=2", "stage zero.kl-coef=0.1", NULL};

/* ---- crashes ---- */

static void crash_everywhere(const char *const *sets)
{
    struct run whole;
    run_open(&whole, sets);
    live_to_the_end(&whole);
    print_message("%zu commits\n", whole.s.commits);
    assert_int_equal(whole.s.step_count, 11);
    for (size_t at = 1; at <= whole.s.commits; at++) {
        for (int after = 0; after < 2; after++) {
            struct run r;
            struct err err = {0};
            run_open(&r, sets);
            r.s.crash_at = at;
            r.s.crash_after = after;
            assert_int_equal(live(&r, &err), ERR_FAIL);
            live_to_the_end(&r);
            fake_compare(&whole.s, &r.s);
            run_close(&r);
        }
    }
    run_close(&whole);
}

static void every_crash_ends_with_the_same_run(void **state)
{
    (void)state;
    crash_everywhere(lag0);
}

static void every_crash_ends_with_the_same_run_with_lag(void **state)
{
    (void)state;
    crash_everywhere(lag2);
}

/* A finished run that is started again does nothing new. */
static void a_finished_run_stays_as_it_is(void **state)
{
    (void)state;
    struct run r, again;
    run_open(&r, lag0);
    run_open(&again, lag0);
    live_to_the_end(&r);
    live_to_the_end(&again);
    live_to_the_end(&again);
    fake_compare(&r.s, &again.s);
    run_close(&again);
    run_close(&r);
}

/* ---- damage and change ---- */

static void damage_checkpoint(struct run *r, uint64_t updates)
{
    char *path =
        mem_printf("%s/checkpoints/update-%" PRIu64 "/params.safetensors", r->f.dir, updates);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\xff\xff", 2, 900), 2);
    (void)close(fd);
    free(path);
}

/* Crashes late in stage zero, then damages the newest `damaged` checkpoints. */
static void resume_without_checkpoints(size_t damaged)
{
    struct run whole, r;
    struct err err = {0};
    run_open(&whole, lag0);
    live_to_the_end(&whole);
    run_open(&r, lag0);
    r.s.crash_at = whole.s.commits - 2;
    assert_int_equal(live(&r, &err), ERR_FAIL);
    assert_true(r.s.checkpoint_count >= 2);
    for (size_t i = 0; i < damaged && i < r.s.checkpoint_count; i++)
        damage_checkpoint(&r, r.s.checkpoints[r.s.checkpoint_count - 1 - i].checkpoint_updates);
    live_to_the_end(&r);
    assert_true(fake_events(&r.s, "checkpoint_damaged") >= 1);
    fake_compare(&whole.s, &r.s);
    run_close(&r);
    run_close(&whole);
}

static void a_damaged_checkpoint_falls_back(void **state)
{
    (void)state;
    resume_without_checkpoints(1);
}

static void without_any_checkpoint_it_begins_again(void **state)
{
    (void)state;
    resume_without_checkpoints(100);
}

/* G4: a recomputed step must have the committed digest. */
static void another_digest_stops_the_run_naming_both(void **state)
{
    (void)state;
    struct run r;
    struct err err = {0};
    char hex[HASH_HEX];
    run_open(&r, lag0);
    r.s.crash_at =
        6; /* in the middle of stage base, after some steps, before a checkpoint covers them */
    assert_int_equal(live(&r, &err), ERR_FAIL);
    r.s.crash_at = 0;
    assert_true(r.s.step_count > 0);
    struct fake_step *last = &r.s.steps[r.s.step_count - 1];
    last->row.digest.b[0] ^= 1;
    while (r.s.checkpoint_count > 0) { /* so that the step is computed again */
        uint64_t updates = r.s.checkpoints[--r.s.checkpoint_count].checkpoint_updates;
        char *path = mem_printf("%s/checkpoints/update-%" PRIu64, r.f.dir, updates);
        assert_ok(file_remove_tree(path, &err));
        free(path);
    }
    size_t commits = r.s.commits;
    assert_int_equal(live(&r, &err), ERR_FAIL);
    assert_non_null(strstr(err.msg, hash_hex(&last->row.digest, hex)));
    last->row.digest.b[0] ^= 1;
    assert_non_null(strstr(err.msg, hash_hex(&last->row.digest, hex)));
    assert_int_equal(r.s.commits, commits); /* nothing was overwritten */
    run_close(&r);
}

static void another_training_id_needs_consent(void **state)
{
    (void)state;
    struct run r;
    struct err err = {0};
    run_open(&r, lag0);
    live_to_the_end(&r);
    struct stages *st = new_stages(&r, &r.f.recipe, "other", false);
    assert_int_equal(stages_run(st, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "'t'"));
    assert_non_null(strstr(err.msg, "'other'"));
    stages_free(st);
    st = new_stages(&r, &r.f.recipe, "other", true);
    assert_ok(stages_run(st, &err));
    assert_int_equal(fake_events(&r.s, "training_id"), 1);
    stages_free(st);
    run_close(&r);
}

static void a_changed_model_is_noticed(void **state)
{
    (void)state;
    struct run r;
    struct err err = {0};
    run_open(&r, lag0);
    r.s.crash_at = 2;
    assert_int_equal(live(&r, &err), ERR_FAIL);
    r.s.crash_at = 0;
    r.f.model.params.data[0] += 1;
    assert_int_equal(live(&r, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "has changed since"));
    run_close(&r);
}

/* A weights file that a person removed is written again while its parameters come by. */
static void missing_weights_are_written_again(void **state)
{
    (void)state;
    struct run whole, r;
    struct err err = {0};
    run_open(&whole, lag0);
    live_to_the_end(&whole);
    for (size_t at = 1; at <= whole.s.commits; at += 3) {
        run_open(&r, lag0);
        r.s.crash_at = at;
        r.s.crash_after = true;
        assert_int_equal(live(&r, &err), ERR_FAIL);
        char *dir = mem_printf("%s/weights", r.f.dir);
        assert_ok(file_remove_tree(dir, &err));
        live_to_the_end(&r);
        fake_compare(&whole.s, &r.s);
        free(dir);
        run_close(&r);
    }
    run_close(&whole);
}

/* ---- rules ---- */

static void a_gate_stops_the_run(void **state)
{
    (void)state;
    static const char *const sets[] = {"stage base.gate-greedy=0..0.3", NULL};
    struct run r;
    struct err err = {0};
    run_open(&r, sets);
    r.s.greedy_share[6] = 0.5;
    for (int again = 0; again < 2; again++) { /* and stays stopped */
        assert_int_equal(live(&r, &err), ERR_FAIL);
        assert_non_null(strstr(
            err.msg, "gate of stage 'base': eval/greedy is 0.500, gate-greedy allows 0..0.3"));
        assert_true(
            r.s.stages[0].row.failed && !r.s.stages[0].row.finished && !r.s.stages[1].row.started);
    }
    assert_int_equal(fake_events(&r.s, "gate"), 1);
    run_close(&r);
}

static void the_alarm_watches_greedy_accuracy(void **state)
{
    (void)state;
    struct run r;
    run_open(&r, lag0);
    r.s.greedy_share[0] = 0.5; /* stage zero is evaluated before, after 2, 4 and 5 steps */
    r.s.greedy_share[2] = 1;
    r.s.greedy_share[3] = r.s.greedy_share[6] = 0; /* stage base */
    r.s.greedy_share[4] = 0.75;
    r.s.greedy_share[5] = 0.75;
    live_to_the_end(&r);
    assert_int_equal(fake_events(&r.s, "greedy_fell"), 2);
    run_close(&r);
}

/* The fake's log-probs are not the model's: every step of the stage, with and without a lag, says
 * so as an alarm. (e2e/same_digest has the other half: real actors leave no gap.) */
static void a_gap_is_an_alarm(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct run r;
        run_open(&r, i == 0 ? lag0 : lag2);
        live_to_the_end(&r);
        assert_int_equal(fake_events(&r.s, "logp_gap"), r.f.recipe.stages[1].steps);
        run_close(&r);
    }
}

/* Asked to stop before it begins: it ends after one step, with a checkpoint, and goes on later. */
static void a_stop_ends_at_a_step_boundary(void **state)
{
    (void)state;
    struct run whole, r;
    struct err err = {0};
    run_open(&whole, lag0);
    live_to_the_end(&whole);
    run_open(&r, lag0);
    for (size_t steps = 1; steps <= 6; steps++) {
        struct stages *st = new_stages(&r, &r.f.recipe, "t", false);
        assert_false(stages_request_stop(st));
        int rc = stages_run(st, &err);
        stages_free(st);
        assert_int_equal(rc, ERR_INTERRUPTED);
        if (r.s.step_count < steps) /* an evaluation must wait for workers: it is not begun */
            break;
        assert_int_equal(r.s.checkpoints[r.s.checkpoint_count - 1].checkpoint_updates, steps);
    }
    assert_true(r.s.step_count >= 3);
    live_to_the_end(&r);
    fake_compare(&whole.s, &r.s);
    run_close(&r);
    run_close(&whole);
}

/* A stage that grows after it was finished equals one that was long from the start. */
static void the_last_stage_may_grow(void **state)
{
    (void)state;
    static const char *const longer[] = {
        "stage zero.lag=1", "stage zero.steps=8", "stage zero.eval-every=0", NULL};
    static const char *const shorter[] = {
        "stage zero.lag=1", "stage zero.steps=5", "stage zero.eval-every=0", NULL};
    struct run whole, r;
    run_open(&whole, longer);
    live_to_the_end(&whole);
    run_open(&r, shorter);
    live_to_the_end(&r);
    r.f.recipe.stages[1].steps = 8;
    live_to_the_end(&r);
    assert_int_equal(r.s.step_count, whole.s.step_count);
    for (size_t i = 0; i < r.s.step_count; i++)
        assert_true(hash_equal(&r.s.steps[i].row.digest, &whole.s.steps[i].row.digest));
    run_close(&r);
    run_close(&whole);
}

static void an_earlier_stage_may_not_grow_or_shrink(void **state)
{
    (void)state;
    struct run r;
    struct err err = {0};
    run_open(&r, lag0);
    live_to_the_end(&r);
    r.f.recipe.stages[0].steps = 9;
    while (r.s.checkpoint_count > 0)
        r.s.checkpoint_count--; /* so that stage base is walked through again */
    assert_int_equal(live(&r, &err), ERR_CONFIG);
    assert_non_null(strstr(err.msg, "cannot grow"));
    run_close(&r);
}

/* Old weights and checkpoints go; what is kept is what the rule says. */
static void old_files_are_pruned(void **state)
{
    (void)state;
    struct run r;
    struct err err = {0};
    run_open(&r, lag0);
    live_to_the_end(&r);
    size_t kept = 0;
    for (size_t i = 0; i < r.s.version_count; i++)
        kept += !r.s.versions[i].pruned;
    assert_in_range(kept, 2, 4);
    assert_int_equal(r.s.checkpoint_count, 2);
    char *dir =
        mem_printf("%s/checkpoints/update-%u", r.f.dir, r.s.checkpoints[0].checkpoint_updates);
    assert_true(file_exists(dir));
    free(dir);
    (void)err;
    run_close(&r);
}

int main(void)
{
    log_setup(LOG_ERROR, "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_ends_with_the_same_run),
        cmocka_unit_test(every_crash_ends_with_the_same_run_with_lag),
        cmocka_unit_test(a_finished_run_stays_as_it_is),
        cmocka_unit_test(a_damaged_checkpoint_falls_back),
        cmocka_unit_test(without_any_checkpoint_it_begins_again),
        cmocka_unit_test(another_digest_stops_the_run_naming_both),
        cmocka_unit_test(another_training_id_needs_consent),
        cmocka_unit_test(a_changed_model_is_noticed),
        cmocka_unit_test(missing_weights_are_written_again),
        cmocka_unit_test(a_gate_stops_the_run),
        cmocka_unit_test(the_alarm_watches_greedy_accuracy),
        cmocka_unit_test(a_gap_is_an_alarm),
        cmocka_unit_test(a_stop_ends_at_a_step_boundary),
        cmocka_unit_test(the_last_stage_may_grow),
        cmocka_unit_test(an_earlier_stage_may_not_grow_or_shrink),
        cmocka_unit_test(old_files_are_pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
