/* code_python.c: tests that are Python themselves: assertions, and code that defines
 * check(candidate).
 *
 * They run in a box that never holds the program, with proxies for what they call; the program runs
 * in another and gets arguments. python/test.py and python/program.py are the two ends. The exit
 * status of the test's process is the outcome: only the task's own code and test.py run there.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/code.h"

static const char program_text[] =
#include "program.py.inc"
    ;
static const char test_text[] =
#include "test.py.inc"
    ;

enum { TEST_CPU_MORE_MS = 2000, TEST_WALL_MORE_MS = 2000 };

/* As test.py ends. */
enum outcome { PASSED = 0, FAILED = 1, BROKEN = 2, UNCARRIED = 4, RAISED = 5 };

static char *tests_json(const struct code_task *task)
{
    json_t *tests = json_array();
    for (size_t i = 0; i < task->count; i++) {
        const char *kind = task->tests[i].kind == CODE_CHECK ? "check" : "assert";
        json_array_append_new(tests, json_pack("{s:s}", kind, task->tests[i].text));
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:o}", "setup", task->setup, "entry_point", task->entry_point, "tests", tests);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

/* The last line that test.py wrote. */
static const char *last_line(const struct box_result *r, struct arena *a)
{
    struct span s = span_trim((struct span){(const char *)r->errors, r->errors_len});
    const char *end = s.n > 0 ? memrchr(s.at, '\n', s.n) : NULL;
    if (end != NULL) {
        size_t skip = (size_t)(end - s.at) + 1;
        s = (struct span){s.at + skip, s.n - skip};
    }
    return s.n > 0 ? display_text(a, s.at, s.n, LIMIT_TEXT - 64) : "";
}

/* The program's box decides when the test lost it, or when the program hit a limit. */
static void judge_program(const struct box_result *r, struct arena *a, struct score_result *out)
{
    if (r->end == BOX_STOPPED || (r->end == BOX_EXITED && r->detail == 0))
        out->reason = "the program ended before it answered";
    else
        code_judge_end(r, "the program", a, out);
}

static void judge_test(const struct box_result *test, const struct box_result *program,
    struct arena *a, struct score_result *out)
{
    if (test->end == BOX_FAULT || test->end == BOX_STARVED) {
        code_judge_end(test, "the test", a, out);
        return;
    }
    if (program->end == BOX_FAULT || program->end == BOX_STARVED) {
        code_judge_end(program, "the program", a, out);
        return;
    }
    if (test->end != BOX_EXITED) {
        out->reason = "the test did not come to an end with what the program returned";
        return;
    }
    out->reason = last_line(test, a);
    switch (test->detail) {
    case PASSED:
        out->value = 1;
        out->verdict = VERDICT_PASS;
        out->reason = "";
        return;
    case BROKEN:
        code_no_value(out, SCORE_FAULT_PERMANENT, out->reason);
        return;
    case BOX_PEER_LOST:
        judge_program(program, a, out);
        return;
    case RAISED:
        out->verdict = VERDICT_CRASH;
        return;
    default: /* FAILED, UNCARRIED, and whatever else is no pass */
        return;
    }
}

void code_run_python(const struct code_limits *limits, const struct code_task *task,
    struct span source, struct arena *a, struct score_result *out, uint64_t *ret_cpu_us)
{
    CLEANUP_FREE char *tests = tests_json(task);
    if (tests == NULL) {
        code_no_value(out, SCORE_FAULT_PERMANENT, "the tests are not valid UTF-8");
        return;
    }
    const struct box_file test_files[] = {
        {"main.py", test_text, sizeof(test_text) - 1}, {"tests.json", tests, strlen(tests)}};
    const struct box_file program_files[] = {
        {"main.py", program_text, sizeof(program_text) - 1}, {"program.py", source.at, source.n}};
    struct box_request q[BOX_PAIR] = {
        {.language = "python",
            .limits = code_box_limits(limits),
            .files = test_files,
            .file_count = 2},
        {.language = "python",
            .limits = code_box_limits(limits),
            .files = program_files,
            .file_count = 2},
    };
    q[0].limits.cpu_ms += TEST_CPU_MORE_MS; /* so that it is the program that runs out first */
    q[0].limits.wall_ms += TEST_WALL_MORE_MS;
    struct box_result r[BOX_PAIR] = {0};
    code_box_run(q, BOX_PAIR, r);
    code_isolation(&r[1], a, out);
    judge_test(&r[0], &r[1], a, out);
    *ret_cpu_us = r[1].cpu_us;
    for (size_t i = 0; i < BOX_PAIR; i++)
        box_result_done(&r[i]);
}
