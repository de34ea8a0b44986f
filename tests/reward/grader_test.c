/* grader_test.c: a reward server against a scripted learner: scores come out as the library gives
 * them, and what cannot be graded goes back. */
#include "reward-server/grader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "reward-server/scoring/scoring.h"
#include "reward-server/set_cache.h"
#include "tests/assert_ok.h"
#include "tests/net/scripted_learner.h"

enum { COMPLETIONS = 3 };

enum blob { BLOB_GOOD, BLOB_GARBAGE, BLOB_TRUNCATED, BLOB_UNKNOWN_KIND, BLOB_REFUSED };

struct state {
    struct scripted_learner learner;
    enum blob blobs[SCRIPTED_LEASES]; /* inputs of the learner's leases */
    struct grader *grader;
};

static const struct scorer_spec good_specs[] = {
    {.name = "accuracy", .kind = "math", .params_json = "{\"tag\":\"answer\"}"},
    {.name = "form", .kind = "format", .params_json = "{}"},
};
static const struct scorer_spec unknown_specs[] = {
    {.name = "soul", .kind = "beauty", .params_json = "{}"},
};

static const char *const texts[COMPLETIONS] = {
    "<think>2+2</think><answer>4</answer>",
    "<think>2+2</think><answer>5</answer>",
    "four",
};

/* ---- the learner's script ---- */

static void check_hello(void *arg, const struct msg_hello *hello)
{
    assert_true(hello->scorer_count >= 5);
}

static struct grade_input input_of(size_t i, struct grade_text completions[COMPLETIONS])
{
    for (uint32_t k = 0; k < COMPLETIONS; k++)
        completions[k] = (struct grade_text){.index = k,
            .tokens = 9,
            .text = (const uint8_t *)texts[k],
            .text_len = strlen(texts[k])};
    return (struct grade_input){.group = i + 1,
        .row_key = "row",
        .prompt = (const uint8_t *)"2+2=",
        .prompt_len = 4,
        .task_json = "{\"answer\":\"4\"}",
        .scorers = good_specs,
        .scorer_count = ARRAY_LEN(good_specs),
        .completions = completions,
        .completion_count = COMPLETIONS,
        .seed = 1};
}

static void pack_input(const struct state *s, size_t i, struct buf *out)
{
    struct grade_text completions[COMPLETIONS];
    struct grade_input in = input_of(i, completions);
    if (s->blobs[i] == BLOB_GARBAGE) {
        buf_puts(out, "\xff\xff\xff garbage");
        return;
    }
    if (s->blobs[i] == BLOB_UNKNOWN_KIND) {
        in.scorers = unknown_specs;
        in.scorer_count = ARRAY_LEN(unknown_specs);
    }
    grade_input_pack(out, &in);
    if (s->blobs[i] == BLOB_TRUNCATED)
        out->len -= 7;
}

static uint64_t job_of(size_t i)
{
    return (i + 1) * 64 + 1;
}

static struct grade_lease lease_of(void *arg, size_t i)
{
    CLEANUP_BUF struct buf blob = {0};
    pack_input(arg, i, &blob);
    return (struct grade_lease){.lease = SCRIPTED_FIRST + i,
        .job = job_of(i),
        .group = i + 1,
        .lease_ms = 60000,
        .input = {.kind = BLOB_GRADE_INPUT,
            .id = job_of(i),
            .bytes = blob.len,
            .hash = hash_of(blob.data, blob.len)}};
}

static bool blob_of(void *arg, size_t i, const struct msg_get_blob *g, struct buf *out)
{
    const struct state *s = arg;
    assert_int_equal(g->kind, BLOB_GRADE_INPUT);
    assert_int_equal(g->id, job_of(i));
    pack_input(s, i, out);
    return s->blobs[i] != BLOB_REFUSED;
}

static void check_scores(void *arg, size_t i, const struct msg *result)
{
    const struct state *s = arg;
    struct err err = {0};
    struct arena *a = arena_new(0);
    struct scoring *set;
    struct grade_text completions[COMPLETIONS];
    struct score_result expected[ARRAY_LEN(good_specs)];
    const struct msg_submit_scores *m = &result->submit_scores;
    size_t n = ARRAY_LEN(good_specs);
    assert_int_equal(result->type, MSG_SUBMIT_SCORES);
    assert_int_equal(s->blobs[i], BLOB_GOOD);
    struct grade_input in = input_of(i, completions);
    assert_ok(scoring_open(good_specs, n, &set, &err));
    assert_int_equal(m->result_count, COMPLETIONS * n);
    for (size_t k = 0; k < COMPLETIONS; k++) {
        scoring_score(set, &in, k, a, expected);
        for (size_t j = 0; j < n; j++) {
            const struct score_result *r = &m->results[k * n + j];
            assert_int_equal(r->index, k);
            assert_string_equal(r->scorer, good_specs[j].name);
            assert_true(r->has_value && r->value == expected[j].value);
            assert_int_equal(r->verdict, expected[j].verdict);
            assert_int_equal(r->fault, SCORE_FAULT_NONE);
            assert_string_equal(r->reason, expected[j].reason);
            assert_string_equal(r->extracted, expected[j].extracted);
        }
    }
    scoring_close(set);
    arena_free(a);
}

static const struct learner_script script = {.role = ROLE_REWARD,
    .check_hello = check_hello,
    .grade_lease = lease_of,
    .check_result = check_scores,
    .blob = blob_of};

/* ---- the test's side ---- */

static int setup(void **state)
{
    struct state *s = mem_alloc(sizeof(*s));
    scripted_learner_init(&s->learner, &script, s);
    buf_puts(&s->learner.model, "x"); /* never fetched */
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct state *s = *state;
    grader_close(s->grader);
    scripted_learner_done(&s->learner);
    mem_free_ptr(state);
    return 0;
}

static void start(struct state *s, size_t lease_count)
{
    struct err err = {0};
    const struct grader_options o = {.name = "reward-1",
        .address = s->learner.h.base,
        .slots = 6,
        .threads = 2,
        .ended = scripted_learner_on_ended,
        .arg = &s->learner};
    s->learner.lease_count = lease_count;
    assert_ok(grader_open(&s->learner.h.loop, &o, &s->grader, &err));
}

static void test_scores_of_many_leases(void **state)
{
    struct state *s = *state;
    struct scripted_learner *l = &s->learner;
    start(s, SCRIPTED_LEASES);
    for (size_t i = 0; i < SCRIPTED_LEASES; i++)
        HARNESS_UNTIL(&l->h, l->leases[i].submitted);
    scripted_learner_drain(l);
}

static void test_what_cannot_be_graded_goes_back(void **state)
{
    struct state *s = *state;
    struct scripted_learner *l = &s->learner;
    static const enum blob blobs[] = {
        BLOB_GARBAGE, BLOB_TRUNCATED, BLOB_UNKNOWN_KIND, BLOB_REFUSED, BLOB_GOOD};
    memcpy(s->blobs, blobs, sizeof(blobs));
    start(s, ARRAY_LEN(blobs));
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
        HARNESS_UNTIL(&l->h, l->leases[i].submitted || l->leases[i].released);
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
        assert_int_equal(l->leases[i].submitted, blobs[i] == BLOB_GOOD);
        assert_int_equal(l->leases[i].released, blobs[i] != BLOB_GOOD);
    }
    scripted_learner_drain(l);
}

static void test_revoked_leases(void **state)
{
    struct state *s = *state;
    struct scripted_learner *l = &s->learner;
    for (size_t i = 0; i < 12; i += 2)
        l->leases[i].revoke = true;
    start(s, 12);
    for (size_t i = 0; i < 12; i++)
        HARNESS_UNTIL(&l->h, l->leases[i].submitted || l->leases[i].revoked);
    scripted_learner_drain(l);
}

static void test_closed_while_working(void **state)
{
    struct state *s = *state;
    start(s, 6);
    HARNESS_UNTIL(&s->learner.h, s->learner.leases[0].fetches > 0);
    /* The teardown closes the grader with jobs in every state. */
}

/* ---- the cache of scoring sets ---- */

static void get_set(struct set_cache *c, const char *tag, const struct scoring **ret, int expected)
{
    struct err err = {0};
    CLEANUP_FREE char *params = mem_printf("{\"tag\":\"%s\"}", tag);
    const struct scorer_spec spec = {.name = "right", .kind = "exact", .params_json = params};
    assert_int_equal(set_cache_get(c, &spec, 1, ret, &err), expected);
}

static void test_set_cache(void **state)
{
    struct set_cache c = {0};
    const struct scoring *sets[SET_CACHE_MAX], *again = NULL, *more = NULL;
    char tag[] = "a";
    for (size_t i = 0; i < SET_CACHE_MAX; i++, tag[0]++)
        get_set(&c, tag, &sets[i], 0);
    get_set(&c, "c", &again, 0);
    assert_ptr_equal(again, sets[2]);
    get_set(&c, "z", &more, ERR_RETRY); /* every place is in use */
    set_cache_release(&c, sets[2]);
    get_set(&c, "z", &more, ERR_RETRY); /* used twice */
    set_cache_release(&c, sets[2]);
    get_set(&c, "z", &more, 0);
    get_set(&c, "a", &again, 0);
    assert_ptr_equal(again, sets[0]);
    set_cache_done(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_scores_of_many_leases),
        TEST(test_what_cannot_be_graded_goes_back),
        TEST(test_revoked_leases),
        TEST(test_closed_while_working),
        cmocka_unit_test(test_set_cache),
    };
    return cmocka_run_group_tests_name("reward/grader", tests, NULL, NULL);
}
