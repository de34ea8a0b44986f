/* exact.c: the scorer for answers that are text. */
#include <string.h>

#include "reward-server/scoring/scorer.h"

static const void *exact_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    return task_answer(in, a, ret_why);
}

static void exact_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct scorer_tag *s = state;
    struct span text = {(const char *)completion->text, completion->text_len}, found;
    const char *reference = task;
    if (!answer_in_tag(text, s->tag, a, &found, out))
        return;
    result_extracted(out, a, found);
    if (span_is(found, reference)) {
        out->value = 1;
        out->verdict = VERDICT_PASS;
        return;
    }
    out->reason = reason_text(a, "expected '%s'", reference);
}

const struct scorer_kind scorer_exact = {
    .name = "exact",
    .help = "1 when the answer is the reference text but for white space around it, else 0",
    .deterministic = true,
    .open = scorer_tag_open,
    .close = scorer_state_close,
    .read = exact_read,
    .score = exact_score,
};
