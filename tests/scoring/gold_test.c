/* gold_test.c: the published answers pass their own checker. COHORT_DATA names a directory with the
 * files, or they lie in ../shared/data beside the sources (argument 1); else the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/text/dataset.h"
#include "scoring_cases.h"

static const char *data_dir;

static struct dataset *load(const char *file)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", data_dir, file);
    struct dataset *d = NULL;
    struct err e;
    if (!file_exists(path)) {
        print_message("skip: %s is not there\n", file);
        return NULL;
    }
    if (dataset_load(path, "auto", SPLIT_ALL, 0, &d, &e) != 0)
        fail_msg("%s", e.msg);
    return d;
}

/* Each answer in the three forms in which a model may give it, and one that is wrong. */
static void check_row(const char *file, const struct dataset_row *row)
{
    static const struct {
        const char *form, *params;
        enum verdict verdict;
    } forms[] = {
        {"First 12, then 7.\nSo \\boxed{%s}.", "{}", VERDICT_PASS},
        {"First 12, then 7.\n#### %s", "{}", VERDICT_PASS},
        {"<think>12, 7</think><answer>%s</answer>", "{\"tag\":\"answer\"}", VERDICT_PASS},
        {"\\boxed{%s1}", "{}", VERDICT_WRONG},
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP_BUF struct buf text = {0};
        const char *at = strstr(forms[i].form, "%s");
        buf_append(&text, forms[i].form, (size_t)(at - forms[i].form));
        buf_puts(&text, row->answer);
        buf_puts(&text, at + 2);
        struct score_result r = score_text("math", forms[i].params, row->json, text.data, text.len);
        if (r.verdict != forms[i].verdict)
            fail_msg("%s row %s, '%s': %s, %s", file, row->key, (const char *)text.data,
                verdict_name(r.verdict), r.reason);
    }
}

static void numeric_answers_pass(void **state)
{
    static const char *const files[] = {
        "gsm8k_train.jsonl", "gsm8k_test.jsonl", "aime24.jsonl", "amc23.jsonl"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct dataset *d = load(files[i]);
        for (size_t k = 0; d != NULL && k < dataset_count(d); k++)
            check_row(files[i], dataset_row(d, k));
        dataset_free(d);
    }
}

/* %s is the answer in each. */
static const char *const surfaces[] = {"So $\\boxed{%s}$.", "\\boxed{ %s }", "#### %s",
    "The final answer is $%s$. I hope it is correct.", "The answer is: \\(%s\\)",
    "**Answer:** $%s$", "Answer: **$%s$**", "$$\\boxed{\\displaystyle %s}$$", "\\fbox{$%s$}",
    "First \\boxed{0}.\nNo: \\boxed{\\left.%s\\right.}"};

/* Another answer, made of this one. */
static const char *const mutations[] = {
    "%s7907", "(%s, 7919)", "%s+7919.5", "\\frac{7919}{%s}7", "\\text{not }%s", "7919"};

static void fill(struct buf *out, const char *form, const char *answer)
{
    const char *at = strstr(form, "%s");
    size_t n = at != NULL ? (size_t)(at - form) : strlen(form);
    buf_append(out, form, n);
    if (at != NULL) {
        buf_puts(out, answer);
        buf_puts(out, at + 2);
    }
}

static enum verdict verdict_of(const struct dataset_row *row, const struct buf *text)
{
    return score_text("math", "{}", row->json, text->data, text->len).verdict;
}

/* Every answer of MATH equals itself in all surface forms, and no mutation of itself. */
static void latex_answers_pass_in_every_form(void **state)
{
    struct dataset *d = load("math_test.jsonl");
    for (size_t k = 0; d != NULL && k < dataset_count(d); k++) {
        const struct dataset_row *row = dataset_row(d, k);
        for (size_t i = 0; i < ARRAY_LEN(surfaces); i++) {
            CLEANUP_BUF struct buf text = {0};
            fill(&text, surfaces[i], row->answer);
            if (verdict_of(row, &text) != VERDICT_PASS)
                fail_msg("row %s does not pass as '%s'", row->key, (const char *)text.data);
        }
        bool boxes =
            strstr(row->answer, "\\boxed{") != NULL; /* and more around them change nothing */
        for (size_t i = 0; i < ARRAY_LEN(mutations) && !boxes; i++) {
            CLEANUP_BUF struct buf wrong = {0}, text = {0};
            fill(&wrong, mutations[i], row->answer);
            buf_printf(&text, "\\boxed{%s}", (const char *)wrong.data);
            if (verdict_of(row, &text) == VERDICT_PASS)
                fail_msg(
                    "row %s, '%s' passes as '%s'", row->key, row->answer, (const char *)text.data);
        }
    }
    dataset_free(d);
}

int main(int argc, char **argv)
{
    data_dir = getenv("COHORT_DATA");
    CLEANUP_FREE char *beside = mem_printf("%s/../shared/data", argc > 1 ? argv[1] : ".");
    if (data_dir == NULL && file_exists(beside))
        data_dir = beside;
    if (data_dir == NULL) {
        print_message("skip: no published datasets (COHORT_DATA names their directory)\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_answers_pass),
        cmocka_unit_test(latex_answers_pass_in_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
