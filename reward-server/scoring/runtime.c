/* runtime.c: the scorer of a program's processor time beside that of the task's own solution.
 *
 * Both run against the task's tests, in boxes, one after the other and several times; the least
 * time of each counts, as noise only adds. Processor time is that of the whole box, taken outside
 * by the kernel's accounting: no clock of the program plays a part, and what it starts is counted
 * with it. The time to start the language is in both, which draws the ratio of short runs towards
 * one.
 */
#include <math.h>
#include <stdlib.h>

#include "reward-server/scoring/code.h"

struct runtime {
    char tag[SCORER_TAG_BYTES_MAX];
    struct code_limits limits;
    int64_t repeats, floor_ms;
};

#define FLOOR_SHARE 0.1 /* of the solution's time: what is nearer is the same */

static int runtime_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {"tag", PARAM_TAG, offsetof(struct runtime, tag), false, 0, 0},
        {"cpu-ms", PARAM_INT, offsetof(struct runtime, limits.cpu_ms), false, 10, 600000},
        {"memory-mib", PARAM_INT, offsetof(struct runtime, limits.memory_mib), false, 16, 16384},
        {"repeats", PARAM_INT, offsetof(struct runtime, repeats), false, 1, 20},
        {"floor-ms", PARAM_INT, offsetof(struct runtime, floor_ms), false, 0, 600000},
    };
    CLEANUP_FREE struct runtime *state = mem_alloc(sizeof(*state));
    *state = (struct runtime){.limits = CODE_LIMITS, .repeats = 3, .floor_ms = 20};
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

static const void *runtime_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    const struct code_task *task = code_task(in, a, ret_why);
    if (task == NULL || task->solution[0] != '\0')
        return task;
    *ret_why = "the task has no solution whose time could be compared";
    return NULL;
}

/* One run of all tests: *least becomes its time when that is less. False when it does not pass. */
static bool measure(const struct runtime *s, const struct code_task *task, struct span source,
    struct arena *a, struct score_result *ret, uint64_t *least)
{
    uint64_t cpu_us;
    code_judge(&s->limits, task, source, a, ret, &cpu_us);
    if (cpu_us < *least)
        *least = cpu_us;
    return ret->has_value && ret->verdict == VERDICT_PASS;
}

static double value_of(double solution_ms, double program_ms, double floor_ms)
{
    double near = fmax(floor_ms, FLOOR_SHARE * solution_ms);
    if (fabs(solution_ms - program_ms) <= near)
        return 0.5;
    return fmin(1, fmax(0, 0.5 + 0.5 * log2(solution_ms / fmax(program_ms, 1e-3))));
}

/* A solution that does not pass is the task's fault, and for good; that of a host is neither's. */
static void refuse_solution(
    const struct score_result *how, struct arena *a, struct score_result *out)
{
    if (how->has_value)
        code_no_value(out, SCORE_FAULT_PERMANENT,
            reason_text(a, "the task's solution does not pass: %s", how->reason));
    else
        code_no_value(out, how->fault, how->reason);
}

static void compare(const struct runtime *s, const struct code_task *task, struct span source,
    struct arena *a, struct score_result *out)
{
    uint64_t program_us = UINT64_MAX, solution_us = UINT64_MAX;
    struct span solution = {task->solution, strlen(task->solution)};
    solution = code_with_prefix(task, solution, a);
    for (int64_t i = 0; i < s->repeats; i++) {
        struct score_result how = {.has_value = true, .verdict = VERDICT_WRONG, .reason = ""};
        if (!measure(s, task, solution, a, &how, &solution_us)) {
            refuse_solution(&how, a, out);
            return;
        }
        if (!measure(s, task, source, a, out, &program_us)) {
            out->value = 0; /* it passed before: out says how it ended now */
            return;
        }
    }
    double program_ms = (double)program_us / 1000, solution_ms = (double)solution_us / 1000;
    out->value = value_of(solution_ms, program_ms, (double)s->floor_ms);
    out->reason = reason_text(
        a, "%.1f ms of processor time, the task's solution %.1f ms", program_ms, solution_ms);
}

static void runtime_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct runtime *s = state;
    struct span text = {(const char *)completion->text, completion->text_len}, source;
    if (code_program(text, s->tag, task, a, &source, out))
        compare(s, task, source, a, out);
}

const struct scorer_kind scorer_runtime = {
    .name = "runtime",
    .help = "a program that passes: 0.5 as fast as the task's solution, 1 twice as fast, 0 half",
    .deterministic = false,
    .runs_programs = true,
    .after_tests = true,
    .open = runtime_open,
    .close = scorer_state_close,
    .read = runtime_read,
    .score = runtime_score,
};
