/* format.c: the scorer for <think>...</think><answer>...</answer> and nothing else around them.
 *
 * Some templates end the prompt with <think>, so that the completion starts inside it: then the
 * opening tag is taken as given and must not come again.
 */
#include <string.h>

#include "reward-server/scoring/scorer.h"

enum mark { MARK_THINK, MARK_THINK_END, MARK_ANSWER, MARK_ANSWER_END, MARK_COUNT };
static const char *const marks[MARK_COUNT] = {"<think>", "</think>", "<answer>", "</answer>"};

static bool prompt_opens(const struct grade_input *in)
{
    struct span prompt = span_trim((struct span){(const char *)in->prompt, in->prompt_len});
    size_t n = strlen(marks[MARK_THINK]);
    return prompt.n >= n && memcmp(prompt.at + prompt.n - n, marks[MARK_THINK], n) == 0;
}

static bool is_white(struct span text, size_t from, size_t to)
{
    return span_trim((struct span){text.at + from, to - from}).n == 0;
}

/* NULL when all is well, else what is not. */
static const char *format_problem(struct span text, bool opened, struct arena *a)
{
    size_t at[MARK_COUNT] = {0}, end = 0;
    for (unsigned m = 0; m < MARK_COUNT; m++) {
        bool given = m == MARK_THINK && opened;
        struct mark_count found = mark_count(text, marks[m]);
        if (given && found.count > 0)
            return "<think> again, although the prompt ends with it";
        if (!given && found.count != 1)
            return reason_text(a, "%s %s", marks[m], mark_count_word(found.count));
        if (found.at < end)
            return reason_text(a, "%s before %s", marks[m], marks[m - 1]);
        at[m] = found.at;
        if (!given)
            end = found.at + strlen(marks[m]);
    }
    if (!is_white(text, 0, at[MARK_THINK]))
        return "text before <think>";
    if (!is_white(text, at[MARK_THINK_END] + strlen(marks[MARK_THINK_END]), at[MARK_ANSWER]))
        return "text between </think> and <answer>";
    return is_white(text, end, text.n) ? NULL : "text after </answer>";
}

static void format_score(const void *state, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    struct span text = {(const char *)completion->text, completion->text_len};
    const char *problem = format_problem(text, prompt_opens(in), a);
    out->value = problem == NULL;
    out->verdict = problem == NULL ? VERDICT_PASS : VERDICT_MALFORMED;
    out->reason = problem != NULL ? problem : "";
}

const struct scorer_kind scorer_format = {
    .name = "format",
    .help = "1 when think and answer tags stand once each, in order, with nothing outside, else 0",
    .deterministic = true,
    .open = scorer_empty_open,
    .close = scorer_state_close,
    .score = format_score,
};
