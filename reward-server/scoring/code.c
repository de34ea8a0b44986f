/* code.c: the scorer that runs the program of a completion against the tests of its task.
 *
 * Everything of the completion runs in boxes (reward-server/box). What a test expects stays here:
 * the output of the program is compared in this file, after the box is gone, and tests that are
 * code run in a box of their own (code_python.c). The first test that fails settles the verdict. A
 * fault of the host is never the program's.
 */
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/code.h"

enum {
    COMPILE_CPU_MS = 20000,
    COMPILE_MEMORY_MIB = 1024,
};

struct code {
    char tag[SCORER_TAG_BYTES_MAX];
    struct code_limits limits;
};

bool scoring_kind_ready(const struct scorer_kind *kind)
{
    return kind != &scorer_code || code_has_box();
}

static int code_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {"tag", PARAM_TAG, offsetof(struct code, tag), false, 0, 0},
        {"cpu-ms", PARAM_INT, offsetof(struct code, limits.cpu_ms), false, 10, 600000},
        {"memory-mib", PARAM_INT, offsetof(struct code, limits.memory_mib), false, 16, 16384},
    };
    CLEANUP_FREE struct code *state = mem_alloc(sizeof(*state));
    *state = (struct code){.limits = {.cpu_ms = 4000, .memory_mib = 512}};
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

static bool code_check(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    struct code_task task;
    if (!code_has_box()) {
        *ret_why = "there is no sandbox here, and programs do not run without";
        return false;
    }
    if (!code_task(in, a, &task, ret_why))
        return false;
    if (task.tests[0].text != NULL && strcmp(task.language->name, "python") != 0) {
        *ret_why = "assertions are judged in Python only; expected tests of stdin and stdout";
        return false;
    }
    return true;
}

/* ---- tests of input and output ---- */

/* The file to run, out of the source; its bytes belong to compiled. */
static bool build(const struct code_task *task, struct span source, struct arena *a,
    struct box_file *ret, struct box_result *compiled, struct score_result *out)
{
    *ret = (struct box_file){task->language->source, source.at, source.n};
    if (task->language->built == NULL)
        return true;
    static const struct code_limits compile_limits = {COMPILE_CPU_MS, COMPILE_MEMORY_MIB};
    struct box_request q = {.language = task->language->name,
        .phase = BOX_COMPILE,
        .limits = code_box_limits(&compile_limits),
        .files = ret,
        .file_count = 1};
    if (!code_box_run(&q, 1, a, compiled, out))
        return false;
    if (compiled->end != BOX_EXITED || compiled->detail != 0) {
        code_judge_end(compiled, "compiling", a, out);
        return false;
    }
    *ret = (struct box_file){task->language->built, compiled->output, compiled->output_len};
    return true;
}

/* True when the program printed what the test expects. */
static bool pass_output(const struct code *c, const struct code_task *task, size_t i,
    const struct box_file *file, struct arena *a, struct score_result *out)
{
    const struct code_test *test = &task->tests[i];
    struct box_result r = {0};
    struct box_request q = {.language = task->language->name,
        .limits = code_box_limits(&c->limits),
        .input = test->input.at,
        .input_len = test->input.n,
        .files = file,
        .file_count = 1};
    if (!code_box_run(&q, 1, a, &r, out))
        return false;
    const char *what = reason_text(a, "test %zu of %zu", i + 1, task->count);
    struct span found = {(const char *)r.output, r.output_len};
    bool ended = r.end == BOX_EXITED && r.detail == 0;
    bool same = ended && code_output_same(test->output, found);
    if (!ended)
        code_judge_end(&r, what, a, out);
    else if (!same)
        out->reason = reason_text(a, "%s: expected '%s', found '%s'", what,
            display_text(a, test->output.at, test->output.n, CODE_EXCERPT),
            display_text(a, found.at, found.n, CODE_EXCERPT));
    box_result_done(&r);
    return same;
}

static void code_score(const void *state, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct code *c = state;
    struct code_task task;
    const char *why = "";
    struct span text = {(const char *)completion->text, completion->text_len}, source;
    struct box_file file;
    struct box_result compiled = {0};
    if (!code_task(in, a, &task, &why)) { /* passed code_check: only memory can be short */
        code_no_value(out, SCORE_FAULT_TRANSIENT, why);
        return;
    }
    if (!code_program(text, c->tag, &task, a, &source, out))
        return;
    if (task.tests[0].text != NULL) {
        code_run_python(&c->limits, &task, source, a, out);
        return;
    }
    if (build(&task, source, a, &file, &compiled, out)) {
        size_t passed = 0;
        while (passed < task.count && pass_output(c, &task, passed, &file, a, out))
            passed++;
        if (passed == task.count) {
            out->value = 1;
            out->verdict = VERDICT_PASS;
        }
    }
    box_result_done(&compiled);
}

const struct scorer_kind scorer_code = {
    .name = "code",
    .help = "1 when the program passes all tests of the task, in a sandbox, else 0",
    .deterministic = false,
    .open = code_open,
    .close = scorer_state_close,
    .check = code_check,
    .score = code_score,
};
