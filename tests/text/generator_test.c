/* generator_test.c: the generated rows are right, repeatable, disjoint between splits, and have the
 * shares that were asked for.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/text/dataset.h"
#include "common/text/generator.h"
#include "common/text/tokenizer.h"

static uint64_t seed = 1;

static struct generator_options options(const char *name, bool demos)
{
    return (struct generator_options){
        .name = name,
        .demos = demos,
        .seed = seed,
        .count = 4000,
        .split = SPLIT_TRAIN,
        .heldout_permille = 100,
        .digits = 8,
        .modulus = 5,
        .steps_share = 0.15,
        .pairs_share = 0.2,
        .drop_tag_share = 0.7,
    };
}

static struct dataset *generate(const struct generator_options *o)
{
    CLEANUP_BUF struct buf text = {0};
    struct dataset *d = NULL;
    struct err e;
    if (generator_write(o, &text, &e) != 0 ||
        dataset_parse((const char *)text.data, text.len, "made", "auto", SPLIT_ALL, 0, &d, &e) != 0)
        fail_msg("%s", e.msg);
    assert_string_equal(dataset_format(d), o->demos ? "demos" : "tasks");
    assert_int_equal(dataset_count(d), o->count);
    return d;
}

static void check_prompt(const char *prompt, unsigned digits, char highest)
{
    assert_int_equal(strlen(prompt), digits + 1);
    assert_int_equal(prompt[digits], '=');
    for (unsigned i = 0; i < digits; i++)
        assert_in_range(prompt[i], '0', highest);
}

static char answer_of(const char *prompt, unsigned modulus)
{
    unsigned sum = 0;
    for (; *prompt != '='; prompt++)
        sum += (unsigned)(*prompt - '0');
    return (char)('0' + sum % modulus);
}

static void tasks_have_right_answers(void **state)
{
    struct generator_options o = options("modsum", false);
    struct dataset *d = generate(&o);
    for (size_t i = 0; i < dataset_count(d); i++) {
        const struct dataset_row *row = dataset_row(d, i);
        check_prompt(row->prompt, 8, '9');
        assert_int_equal(strlen(row->answer), 1);
        assert_int_equal(row->answer[0], answer_of(row->prompt, 5));
    }
    dataset_free(d);
    o = options("parity", false);
    o.digits = 16;
    d = generate(&o);
    for (size_t i = 0; i < dataset_count(d); i++) {
        check_prompt(dataset_row(d, i)->prompt, 16, '1');
        assert_int_equal(dataset_row(d, i)->answer[0], answer_of(dataset_row(d, i)->prompt, 2));
    }
    dataset_free(d);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted prompts of d, in text owned by d. */
static const char **sorted_prompts(const struct dataset *d)
{
    const char **prompts = mem_array(dataset_count(d), sizeof(*prompts));
    for (size_t i = 0; i < dataset_count(d); i++)
        prompts[i] = dataset_row(d, i)->prompt;
    qsort(prompts, dataset_count(d), sizeof(*prompts), compare_text);
    return prompts;
}

static void no_task_comes_twice(void **state)
{
    struct generator_options o = options("parity", false);
    o.digits = 12;
    o.count = 3500;
    struct dataset *d = generate(&o);
    const char **prompts = sorted_prompts(d);
    for (size_t i = 1; i < dataset_count(d); i++)
        assert_true(strcmp(prompts[i - 1], prompts[i]) != 0);
    free(prompts);
    dataset_free(d);
}

static void held_out_tasks_are_in_no_other_rows(void **state)
{
    struct generator_options o = options("parity", false);
    o.digits = 14;
    o.count = 1000;
    o.split = SPLIT_HELDOUT;
    struct dataset *heldout = generate(&o);
    o.count = 4000;
    o.split = SPLIT_TRAIN;
    struct dataset *tasks = generate(&o);
    o.demos = true;
    o.count = 20000;
    struct dataset *demos = generate(&o);
    const char **prompts = sorted_prompts(heldout);
    const struct dataset *others[] = {tasks, demos};
    for (size_t k = 0; k < ARRAY_LEN(others); k++) {
        for (size_t i = 0; i < dataset_count(others[k]); i++) {
            const char *prompt = dataset_row(others[k], i)->prompt;
            assert_false(dataset_is_heldout(prompt, o.heldout_permille));
            assert_null(
                bsearch(&prompt, prompts, dataset_count(heldout), sizeof(*prompts), compare_text));
        }
    }
    free(prompts);
    dataset_free(heldout);
    dataset_free(tasks);
    dataset_free(demos);
}

static void bytes_depend_on_the_options_alone(void **state)
{
    struct generator_options o = options("modsum", true);
    CLEANUP_BUF struct buf a = {0}, b = {0}, shorter = {0}, other = {0}, tasks = {0};
    struct err e;
    assert_int_equal(generator_write(&o, &a, &e), 0);
    assert_int_equal(generator_write(&o, &b, &e), 0);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    o.count = 100; /* fewer rows are the first of them */
    assert_int_equal(generator_write(&o, &shorter, &e), 0);
    assert_memory_equal(a.data, shorter.data, shorter.len);
    o.seed++;
    assert_int_equal(generator_write(&o, &other, &e), 0);
    assert_true(memcmp(other.data, shorter.data, 60) != 0);
    o.seed--;
    o.demos = false;
    assert_int_equal(generator_write(&o, &tasks, &e), 0);
    assert_true(
        memcmp(strchr((char *)tasks.data, ':'), strchr((char *)shorter.data, ':'), 10) != 0);
}

/* Written once and kept: a change of these bytes changes every run made from them. */
static void known_rows_stay(void **state)
{
    struct generator_options o = options("modsum", true);
    o.seed = 1;
    o.count = 3;
    o.modulus = 10;
    CLEANUP_BUF struct buf demos = {0}, tasks = {0};
    struct err e;
    assert_int_equal(generator_write(&o, &demos, &e), 0);
    o.demos = false;
    assert_int_equal(generator_write(&o, &tasks, &e), 0);
    assert_string_equal((const char *)demos.data,
        "{\"prompt\":\"89245830=\",\"completion\":\"guess</think><answer>9</answer>\"}\n"
        "{\"prompt\":\"05000001=\",\"completion\":\"<think>guess</think><answer>6</answer>\"}\n"
        "{\"prompt\":\"53983693=\",\"completion\":\"<think>steps58758436</think><answer>6\"}\n");
    assert_string_equal((const char *)tasks.data, "{\"prompt\":\"60374696=\",\"answer\":\"1\"}\n"
                                                  "{\"prompt\":\"67211191=\",\"answer\":\"8\"}\n"
                                                  "{\"prompt\":\"59375706=\",\"answer\":\"2\"}\n");
}

/* What a demonstration consists of. */
struct demo {
    const char *mode; /* points into the completion */
    char thought[80];
    char answer;
    unsigned tags, missing; /* how many of the four; which one is not there */
};

static const char *skip_tag(const char *at, const char *tag, unsigned number, struct demo *d)
{
    size_t n = strlen(tag);
    if (strncmp(at, tag, n) != 0) {
        d->missing = number;
        return at;
    }
    d->tags++;
    return at + n;
}

static struct demo read_demo(const char *completion)
{
    struct demo d = {.missing = 4};
    const char *at = skip_tag(completion, "<think>", 0, &d);
    d.mode = at;
    at += 5;
    size_t n = strspn(at, "0123456789");
    assert_true(n < sizeof(d.thought)); /* one tag at most is missing: a tag ends the digits */
    memcpy(d.thought, at, n);
    at = skip_tag(at + n, "</think>", 1, &d);
    at = skip_tag(at, "<answer>", 2, &d);
    d.answer = *at++;
    at = skip_tag(at, "</answer>", 3, &d);
    assert_string_equal(at, "");
    return d;
}

static void check_demo(const char *prompt, const struct demo *d, unsigned modulus)
{
    unsigned sum = 0, digits = (unsigned)strlen(prompt) - 1;
    char steps[80] = "", pairs[80] = "";
    for (unsigned i = 0; i < digits; i++) {
        sum = (sum + (unsigned)(prompt[i] - '0')) % modulus;
        steps[i] = (char)('0' + sum);
        if (i % 2 == 1 || i + 1 == digits)
            pairs[strlen(pairs)] = steps[i];
    }
    assert_int_equal(d->answer, '0' + sum);
    const char *want = strncmp(d->mode, "steps", 5) == 0   ? steps
                       : strncmp(d->mode, "pairs", 5) == 0 ? pairs
                                                           : "";
    assert_string_equal(d->thought, want);
}

/* Shares within five standard deviations; the seed is printed. */
static void assert_share(double part, double all, double share)
{
    double deviation = sqrt(all * share * (1 - share));
    if (fabs(part - all * share) > 5 * deviation)
        fail_msg("%g of %g, expected a share of %g", part, all, share);
}

static void check_demos(const struct generator_options *o, unsigned modulus)
{
    struct dataset *d = generate(o);
    double modes[3] = {0}, whole = 0, missing[5] = {0}, n = (double)dataset_count(d);
    for (size_t i = 0; i < dataset_count(d); i++) {
        const struct dataset_row *row = dataset_row(d, i);
        struct demo demo = read_demo(row->completion);
        check_demo(row->prompt, &demo, modulus);
        modes[strncmp(demo.mode, "steps", 5) == 0   ? 0
              : strncmp(demo.mode, "pairs", 5) == 0 ? 1
                                                    : 2]++;
        assert_true(demo.tags >= 3);
        whole += demo.tags == 4;
        missing[demo.missing]++;
    }
    assert_share(modes[0], n, o->steps_share);
    assert_share(modes[1], n, o->pairs_share);
    assert_share(whole, n, 1 - o->drop_tag_share);
    for (unsigned tag = 0; tag < 4; tag++)
        assert_share(missing[tag], n, o->drop_tag_share / 4);
    dataset_free(d);
}

static void demonstrations_are_right_and_have_their_shares(void **state)
{
    struct generator_options o = options("modsum", true);
    check_demos(&o, 5);
    o.digits = 7;
    o.modulus = 10;
    check_demos(&o, 10);
    o = options("parity", true);
    o.digits = 16;
    check_demos(&o, 2);
    o.steps_share = 1;
    o.pairs_share = o.drop_tag_share = 0;
    check_demos(&o, 2);
    o.steps_share = 0;
    o.drop_tag_share = 1;
    check_demos(&o, 2);
}

static void demonstrations_begin_again_when_prompts_run_out(void **state)
{
    struct generator_options o = options("parity", true);
    o.digits = 4;
    o.count = 500;
    o.split = SPLIT_ALL;
    check_demos(&o, 2);
}

static void every_text_has_tokens(void **state)
{
    size_t n;
    const char *const *added = generator_added_tokens(&n);
    CLEANUP_BUF struct buf json = {0};
    struct tokenizer *t = NULL;
    struct err e;
    assert_int_equal(tokenizer_make_chars(generator_characters(), added, n, &json, &e), 0);
    assert_int_equal(tokenizer_parse((const char *)json.data, json.len, "made", &t, &e), 0);
    assert_int_equal(tokenizer_size(t), n + strlen(generator_characters()));
    assert_int_equal(tokenizer_id(t, "<|end|>"), 0);
    struct generator_options o = options("modsum", true);
    o.drop_tag_share = 0;
    struct dataset *d = generate(&o);
    for (size_t i = 0; i < dataset_count(d); i++) {
        const struct dataset_row *row = dataset_row(d, i);
        CLEANUP_BUF struct buf ids = {0};
        assert_int_equal(tokenizer_encode(t, row->prompt, strlen(row->prompt), &ids, &e), 0);
        assert_int_equal(ids.len / 4, 9);
        buf_clear(&ids);
        assert_int_equal(
            tokenizer_encode(t, row->completion, strlen(row->completion), &ids, &e), 0);
        size_t sums = strstr(row->completion, "steps")   ? 8
                      : strstr(row->completion, "pairs") ? 4
                                                         : 0;
        assert_int_equal(ids.len / 4, 4 + 1 + sums + 1); /* tags, mode, sums, answer */
    }
    dataset_free(d);
    tokenizer_free(t);
}

static void options_out_of_range_are_named(void **state)
{
    static const struct {
        const char *name, *says;
        uint32_t digits, modulus, count;
        double steps, pairs, drop;
        enum dataset_split split;
        unsigned permille;
    } cases[] = {
        {"add", "'add': unknown", 8, 5, 1, 0, 0, 0, SPLIT_ALL, 0},
        {"modsum", "0 digits", 0, 5, 1, 0, 0, 0, SPLIT_ALL, 0},
        {"modsum", "19 digits", 19, 5, 1, 0, 0, 0, SPLIT_ALL, 0},
        {"parity", "61 digits", 61, 5, 1, 0, 0, 0, SPLIT_ALL, 0},
        {"modsum", "modulus 1,", 8, 1, 1, 0, 0, 0, SPLIT_ALL, 0},
        {"modsum", "modulus 11", 8, 11, 1, 0, 0, 0, SPLIT_ALL, 0},
        {"modsum", "0 rows", 8, 5, 0, 0, 0, 0, SPLIT_ALL, 0},
        {"modsum", "steps is -0.1", 8, 5, 1, -0.1, 0, 0, SPLIT_ALL, 0},
        {"modsum", "pairs is 1.1", 8, 5, 1, 0, 1.1, 0, SPLIT_ALL, 0},
        {"modsum", "sum of the shares", 8, 5, 1, 0.6, 0.6, 0, SPLIT_ALL, 0},
        {"modsum", "dropped tags is nan", 8, 5, 1, 0, 0, NAN, SPLIT_ALL, 0},
        {"modsum", "10 different prompts, 11 rows", 1, 5, 11, 0, 0, 0, SPLIT_ALL, 0},
        {"modsum", "0 per mille", 8, 5, 1, 0, 0, 0, SPLIT_HELDOUT, 0},
        {"modsum", "every row is held out", 8, 5, 1, 0, 0, 0, SPLIT_TRAIN, 1000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct generator_options o = {.name = cases[i].name,
            .seed = seed,
            .count = cases[i].count,
            .digits = cases[i].digits,
            .modulus = cases[i].modulus,
            .steps_share = cases[i].steps,
            .pairs_share = cases[i].pairs,
            .drop_tag_share = cases[i].drop,
            .split = cases[i].split,
            .heldout_permille = cases[i].permille};
        CLEANUP_BUF struct buf out = {0};
        struct err e = {0};
        int r = generator_write(&o, &out, &e);
        if (r != ERR_CONFIG || strstr(e.msg, cases[i].says) == NULL)
            fail_msg("case %zu: code %d, message '%s', expected '%s'", i, r, e.msg, cases[i].says);
        assert_int_equal(out.len, 0);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : seed;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_have_right_answers),
        cmocka_unit_test(no_task_comes_twice),
        cmocka_unit_test(held_out_tasks_are_in_no_other_rows),
        cmocka_unit_test(bytes_depend_on_the_options_alone),
        cmocka_unit_test(known_rows_stay),
        cmocka_unit_test(demonstrations_are_right_and_have_their_shares),
        cmocka_unit_test(demonstrations_begin_again_when_prompts_run_out),
        cmocka_unit_test(every_text_has_tokens),
        cmocka_unit_test(options_out_of_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
