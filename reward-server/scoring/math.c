/* math.c: the scorer for mathematical answers: math/grade.c finds and compares the answer, in a
 * worker process where the program has opened workers (math/pool.h). */
#include <string.h>

#include "reward-server/scoring/math/pool.h"
#include "reward-server/scoring/scorer.h"

static struct math_pool *workers; /* borrowed; set before there are threads */

void scoring_use_math(struct math_pool *p)
{
    workers = p;
}

/* Any text can be compared, if only as text: a reference is unusable when it is missing or longer
 * than the checker reads. */
static const void *math_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    const char *reference = task_answer(in, a, ret_why);
    if (reference == NULL || strlen(reference) <= MATH_TEXT_MAX)
        return reference;
    *ret_why = "the reference answer is longer than 4096 bytes";
    return NULL;
}

/* Where there are workers they grade; the answer is theirs as it is ours. */
static bool grade(const struct math_request *q, struct arena *a, struct math_outcome *ret,
    struct score_result *out)
{
    struct err e;
    if (workers == NULL) {
        math_grade(q, ret);
        return true;
    }
    if (math_pool_grade(workers, q, a, ret, &e) == 0)
        return true;
    out->has_value = false;
    out->verdict = VERDICT_JUDGE_FAULT;
    out->fault = SCORE_FAULT_TRANSIENT;
    out->reason = reason_text(a, "%s", e.msg);
    return false;
}

static void math_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct scorer_tag *s = state;
    struct span text = {(const char *)completion->text, completion->text_len};
    const char *reference = task;
    struct math_outcome o;
    if (s->tag[0] != '\0' && !answer_in_tag(text, s->tag, a, &text, out))
        return;
    const struct math_request q = {{reference, strlen(reference)}, text, s->tag[0] != '\0'};
    if (!grade(&q, a, &o, out))
        return;
    if (!o.found) {
        out->verdict = VERDICT_NO_ANSWER;
        out->reason = "no \\boxed, no \"answer is\", no formula and no number";
        return;
    }
    result_extracted(out, a, o.extracted);
    if (o.answer == MATH_EQUAL) {
        out->value = 1;
        out->verdict = VERDICT_PASS;
        return;
    }
    const char *doubt = o.answer == MATH_UNKNOWN ? "undecided, counts as wrong; " : "";
    const char *gap = o.why[0] != '\0' ? " (" : "", *end = o.why[0] != '\0' ? ")" : "";
    out->reason = reason_text(a, "%sexpected %s%s%s%s", doubt, reference, gap, o.why, end);
}

const struct scorer_kind scorer_math = {
    .name = "math",
    .help = "1 when the answer is the reference as mathematics (numbers, expressions, equations, "
            "sets, intervals, tuples, matrices, units), else 0",
    .deterministic = true,
    .open = scorer_tag_open,
    .close = scorer_state_close,
    .read = math_read,
    .score = math_score,
};
