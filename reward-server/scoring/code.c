/* code.c: the scorer that runs the program of a completion against the tests of its task.
 *
 * Everything of the completion runs in boxes (reward-server/box). What a test expects stays here:
 * the output of the program is compared in this file, after the box is gone. The first test that
 * fails settles the verdict. A fault of the host is never the program's: see fault_of.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "reward-server/box/box.h"
#include "reward-server/scoring/code.h"

enum {
    WALL_FACTOR = 4, /* of the processor time, and ... */
    WALL_MORE_MS = 2000,
    PROCESSES = 32,
    OUTPUT_BYTES = 4 << 20,
    WORK_BYTES = 32 << 20,
    WORK_FILES = 1024,
    COMPILE_CPU_MS = 20000,
    COMPILE_MEMORY_BYTES = 1 << 30,
    EXCERPT = 160,
};

static struct box *box; /* borrowed; set before any thread */

struct code {
    char tag[SCORER_TAG_BYTES_MAX];
    int64_t cpu_ms, memory_mib;
};

void scoring_use_box(struct box *b)
{
    box = b;
}

bool scoring_kind_ready(const struct scorer_kind *kind)
{
    return kind != &scorer_code || box != NULL;
}

static int code_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {"tag", PARAM_TAG, offsetof(struct code, tag), false, 0, 0},
        {"cpu-ms", PARAM_INT, offsetof(struct code, cpu_ms), false, 10, 600000},
        {"memory-mib", PARAM_INT, offsetof(struct code, memory_mib), false, 16, 16384},
    };
    CLEANUP_FREE struct code *state = mem_alloc(sizeof(*state));
    *state = (struct code){.cpu_ms = 4000, .memory_mib = 512};
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

static bool code_check(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    struct code_task task;
    if (box == NULL) {
        *ret_why = "there is no sandbox here, and programs do not run without";
        return false;
    }
    if (!code_task(in, a, &task, ret_why))
        return false;
    if (task.tests[0].text != NULL) {
        *ret_why = "tests that are code of their own cannot be judged; expected stdin and stdout";
        return false;
    }
    return true;
}

/* ---- verdicts ---- */

static void no_value(struct score_result *out, enum score_fault fault, const char *reason)
{
    out->has_value = false;
    out->verdict = VERDICT_JUDGE_FAULT;
    out->fault = fault;
    out->reason = reason;
}

static const char *excerpt(const struct box_result *r, struct arena *a)
{
    struct span s = span_trim((struct span){(const char *)r->errors, r->errors_len});
    if (s.n > EXCERPT) { /* the end says what happened */
        s.at += s.n - EXCERPT;
        s.n = EXCERPT;
    }
    return s.n > 0 ? display_text(a, s.at, s.n, 2 * EXCERPT) : "";
}

/* Fills out for an end that is no proper exit; what is the run's name in the reason. */
static void judge_end(
    const struct box_result *r, const char *what, struct arena *a, struct score_result *out)
{
    static const struct {
        enum verdict verdict;
        const char *text;
    } ends[BOX_END_COUNT] = {
        [BOX_EXITED] = {VERDICT_CRASH, "exit status"},
        [BOX_SIGNALLED] = {VERDICT_CRASH, "signal"},
        [BOX_CPU] = {VERDICT_TIMEOUT, "processor time is up"},
        [BOX_WALL] = {VERDICT_TIMEOUT, "waited until time was up"},
        [BOX_MEMORY] = {VERDICT_MEMORY, "out of memory"},
        [BOX_OUTPUT] = {VERDICT_OUTPUT, "too much output"},
        [BOX_VIOLATION] = {VERDICT_VIOLATION, "a forbidden system call"},
    };
    if (r->end == BOX_STARVED || r->end == BOX_FAULT) {
        no_value(out, SCORE_FAULT_TRANSIENT,
            r->end == BOX_FAULT ? reason_text(a, "%s: %s", what, r->message)
                                : reason_text(a, "%s: the host is overloaded", what));
        return;
    }
    out->verdict = ends[r->end].verdict;
    const char *said = excerpt(r, a);
    if (r->end == BOX_EXITED || r->end == BOX_SIGNALLED)
        out->reason = reason_text(a, "%s: %s %d%s%s", what, ends[r->end].text, r->detail,
            said[0] != '\0' ? ": " : "", said);
    else
        out->reason = reason_text(a, "%s: %s", what, ends[r->end].text);
}

static void set_isolation(struct score_result *out, struct arena *a, const struct box_result *r)
{
    const char *copy = arena_strdup(a, r->isolation);
    out->isolation = copy != NULL ? copy : "";
}

/* ---- runs ---- */

static struct box_limits limits_of(const struct code *c)
{
    return (struct box_limits){.cpu_ms = (uint64_t)c->cpu_ms,
        .wall_ms = (uint64_t)c->cpu_ms * WALL_FACTOR + WALL_MORE_MS,
        .memory_bytes = (uint64_t)c->memory_mib << 20,
        .processes = PROCESSES,
        .output_bytes = OUTPUT_BYTES,
        .work_bytes = WORK_BYTES,
        .work_files = WORK_FILES};
}

/* False with out filled when the box could not be had. */
static bool run(
    const struct box_request *q, struct arena *a, struct box_result *ret, struct score_result *out)
{
    struct err e = {0};
    if (box_run(box, q, ret, &e) == 0) {
        set_isolation(out, a, ret);
        return true;
    }
    no_value(out, SCORE_FAULT_TRANSIENT, reason_text(a, "%s", e.msg));
    return false;
}

/* The file to run, out of the source; its bytes belong to compiled. */
static bool build(const struct code_task *task, struct span source, struct arena *a,
    struct box_file *ret, struct box_result *compiled, struct score_result *out)
{
    *ret = (struct box_file){task->language->source, source.at, source.n};
    if (task->language->built == NULL)
        return true;
    struct box_request q = {.language = task->language->name,
        .phase = BOX_COMPILE,
        .limits = limits_of(&(struct code){.cpu_ms = COMPILE_CPU_MS, .memory_mib = 1024}),
        .files = ret,
        .file_count = 1};
    if (!run(&q, a, compiled, out))
        return false;
    if (compiled->end != BOX_EXITED || compiled->detail != 0) {
        judge_end(compiled, "compiling", a, out);
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
        .limits = limits_of(c),
        .input = test->input.at,
        .input_len = test->input.n,
        .files = file,
        .file_count = 1};
    if (!run(&q, a, &r, out))
        return false;
    const char *what = reason_text(a, "test %zu of %zu", i + 1, task->count);
    struct span found = {(const char *)r.output, r.output_len};
    bool ended = r.end == BOX_EXITED && r.detail == 0;
    bool same = ended && code_output_same(test->output, found);
    if (!ended)
        judge_end(&r, what, a, out);
    else if (!same)
        out->reason = reason_text(a, "%s: expected '%s', found '%s'", what,
            display_text(a, test->output.at, test->output.n, EXCERPT),
            display_text(a, found.at, found.n, EXCERPT));
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
        no_value(out, SCORE_FAULT_TRANSIENT, why);
        return;
    }
    if (!code_program(text, c->tag, &task, a, &source, out))
        return;
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
