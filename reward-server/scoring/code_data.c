/* code_data.c: tests that are data: each runs the program once, and what it printed, or the value
 * that it claims, is compared here.
 *
 * The runs are parts of the job (scoring_parts): they begin in the order of the tests and run at a
 * time where threads are free. The first test in that order that is not passed settles the verdict,
 * and its result alone is kept. A test behind it may have run or not, and changes nothing. A fault
 * of the host counts as not passed: the verdict of what lies behind it would depend on time.
 */
#include <pthread.h>

#include "reward-server/scoring/code.h"

struct runs {
    const struct code_limits *limits;
    const struct code_task *task;
    const struct code_files *files;
    pthread_mutex_t lock; /* guards all below */
    struct box_result last;
    size_t first_failed; /* that last is of; SIZE_MAX: of any */
    uint64_t cpu_us;
};

static struct span output_of(const struct box_result *r)
{
    return (struct span){(const char *)r->output, r->output_len};
}

static bool is_passed(const struct code_test *test, const struct box_result *r)
{
    const char *why;
    if (!code_exited_well(r))
        return false;
    if (test->kind == CODE_OUTPUT)
        return code_output_same(test->expected, output_of(r));
    struct arena *a = arena_new(0);
    bool same = code_value_same(test->expected, output_of(r), a, &why);
    arena_free(a);
    return same;
}

static bool run_test(void *arg, size_t i)
{
    struct runs *runs = arg;
    const struct code_test *test = &runs->task->tests[i];
    struct box_result r = {0};
    struct box_request q = {.language = runs->task->language->name,
        .limits = code_box_limits(runs->limits),
        .input = test->input.at,
        .input_len = test->input.n,
        .files = runs->files->files,
        .file_count = runs->files->count};
    code_box_run(&q, 1, &r);
    bool passed = is_passed(test, &r);
    (void)pthread_mutex_lock(&runs->lock);
    runs->cpu_us += r.cpu_us;
    if (runs->first_failed == SIZE_MAX || (!passed && i < runs->first_failed)) {
        box_result_done(&runs->last);
        runs->last = r;
        r = (struct box_result){0};
        runs->first_failed = passed ? SIZE_MAX : i;
    }
    (void)pthread_mutex_unlock(&runs->lock);
    box_result_done(&r);
    return passed;
}

static void judge(const struct code_task *task, size_t i, const struct box_result *r,
    struct arena *a, struct score_result *out)
{
    const struct code_test *test = &task->tests[i];
    const char *what = reason_text(a, "test %zu of %zu", i + 1, task->count), *why = "";
    if (!code_exited_well(r)) {
        code_judge_end(r, what, a, out);
    } else if (test->kind == CODE_CALL) {
        (void)code_value_same(test->expected, output_of(r), a, &why);
        out->reason = reason_join(a, "%s: %s", what, why);
    } else {
        out->reason = reason_join(a, "%s: expected '%s', found '%s'", what,
            display_text(a, test->expected.at, test->expected.n, CODE_EXCERPT),
            display_text(a, r->output, r->output_len, CODE_EXCERPT));
    }
}

void code_run_data(const struct code_limits *limits, const struct code_task *task,
    const struct code_files *files, struct arena *a, struct score_result *out, uint64_t *ret_cpu_us)
{
    struct runs runs = {.limits = limits, .task = task, .files = files, .first_failed = SIZE_MAX};
    (void)pthread_mutex_init(&runs.lock, NULL); /* cannot fail on Linux */
    size_t passed = scoring_parts(task->count, run_test, &runs);
    (void)pthread_mutex_destroy(&runs.lock);
    code_isolation(&runs.last, a, out);
    if (passed == task->count) {
        out->value = 1;
        out->verdict = VERDICT_PASS;
    } else {
        judge(task, passed, &runs.last, a, out);
    }
    *ret_cpu_us = runs.cpu_us;
    box_result_done(&runs.last);
}
