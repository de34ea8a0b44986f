/* code.c: the scorer that runs the program of a completion against the tests of its task.
 *
 * Everything of the completion runs in boxes (reward-server/box). What a test expects stays here:
 * what a program printed or returned is compared in this process, after the box is gone, and tests
 * that are code run in a box of their own. The first test that is not passed settles the verdict.
 * A fault of the host is never the program's.
 */
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/code.h"

struct code {
    char tag[SCORER_TAG_BYTES_MAX];
    struct code_limits limits;
};

bool scoring_kind_ready(const struct scorer_kind *kind)
{
    return !kind->runs_programs || code_has_box();
}

static int code_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {"tag", PARAM_TAG, offsetof(struct code, tag), false, 0, 0},
        {"cpu-ms", PARAM_INT, offsetof(struct code, limits.cpu_ms), false, 10, 600000},
        {"memory-mib", PARAM_INT, offsetof(struct code, limits.memory_mib), false, 16, 16384},
    };
    CLEANUP_FREE struct code *state = mem_alloc(sizeof(*state));
    *state = (struct code){.limits = CODE_LIMITS};
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

static const void *code_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    return code_task(in, a, ret_why);
}

void code_judge(const struct code_limits *limits, const struct code_task *task, struct span source,
    struct arena *a, struct score_result *out, uint64_t *ret_cpu_us)
{
    struct code_files files;
    *ret_cpu_us = 0;
    if (code_is_python(task)) {
        code_run_python(limits, task, source, a, out, ret_cpu_us);
        return;
    }
    if (task->tests[0].kind == CODE_CALL)
        code_call_files(task->language, source, &files);
    else if (!code_build(task, source, a, &files, out))
        return;
    code_run_data(limits, task, &files, a, out, ret_cpu_us);
    code_files_done(&files);
}

static void code_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct code *c = state;
    struct span text = {(const char *)completion->text, completion->text_len}, source;
    uint64_t cpu_us;
    if (code_program(text, c->tag, task, a, &source, out))
        code_judge(&c->limits, task, source, a, out, &cpu_us);
}

const struct scorer_kind scorer_code = {
    .name = "code",
    .help = "1 when the program passes all tests of the task, in a sandbox, else 0",
    .deterministic = false,
    .runs_programs = true,
    .open = code_open,
    .close = scorer_state_close,
    .read = code_read,
    .score = code_score,
};
