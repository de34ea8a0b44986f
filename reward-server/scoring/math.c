/* math.c: the scorer for mathematical answers: the answer that math/extract.c finds is compared by
 * math/check.c. */
#include <string.h>

#include "common/text/boxed.h"
#include "reward-server/scoring/math/check.h"

/* Any text can be compared, if only as text: a reference is unusable when it is missing or longer
 * than the checker reads. */
static bool math_check(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    const char *reference = task_answer(in, a, ret_why);
    if (reference == NULL)
        return false;
    if (strlen(reference) <= MATH_TEXT_MAX)
        return true;
    *ret_why = "the reference answer is longer than 4096 bytes";
    return false;
}

static bool find_answer(const struct scorer_tag *s, struct span text, struct arena *a,
    struct span *ret, struct score_result *out)
{
    if (s->tag[0] != '\0') {
        if (!answer_in_tag(text, s->tag, a, &text, out))
            return false;
        if (!math_extract_boxed(text, ret))
            *ret = text;
        return true;
    }
    if (math_extract(text, ret) != MATH_PLACE_NONE)
        return true;
    out->verdict = VERDICT_NO_ANSWER;
    out->reason = "no \\boxed, no \"answer is\", no formula and no number";
    return false;
}

static void math_score(const void *state, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    struct span text = {(const char *)completion->text, completion->text_len}, found;
    const char *why, *reference = task_answer(in, a, &why); /* checked: not NULL */
    if (!find_answer(state, text, a, &found, out))
        return;
    result_extracted(out, a, found);
    struct span wanted = {reference, strlen(reference)};
    if (strstr(reference, "\\boxed{") != NULL) /* a solution in place of its answer */
        (void)math_extract_boxed(wanted, &wanted);
    struct math_verdict v = math_check_pair(wanted, found);
    size_t begin, len;
    if (v.answer != MATH_EQUAL &&
        boxed_last(found.at, found.n, &begin, &len)) /* of a row of boxes */
        v = math_check_pair(wanted, span_trim((struct span){found.at + begin, len}));
    if (v.answer == MATH_EQUAL) {
        out->value = 1;
        out->verdict = VERDICT_PASS;
        return;
    }
    const char *doubt = v.answer == MATH_UNKNOWN ? "undecided, counts as wrong; " : "";
    const char *gap = v.why[0] != '\0' ? " (" : "", *end = v.why[0] != '\0' ? ")" : "";
    out->reason = reason_text(a, "%sexpected %s%s%s%s", doubt, reference, gap, v.why, end);
}

const struct scorer_kind scorer_math = {
    .name = "math",
    .help = "1 when the answer is the reference as mathematics (numbers, expressions, equations, "
            "sets, intervals, tuples, matrices, units), else 0",
    .deterministic = true,
    .open = scorer_tag_open,
    .close = scorer_state_close,
    .check = math_check,
    .score = math_score,
};
