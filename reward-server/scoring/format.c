/* format.c: the scorer for the published forms of a completion.
 *
 * think-answer  <think>...</think><answer>...</answer> and nothing around them (DeepSeek-R1-Zero,
 *               arXiv 2501.12948, Table 1)
 * think         <think>...</think>, then an answer that is not empty (DeepSeek-R1)
 * answer        <answer>...</answer> once, not empty, anywhere
 * boxed         \boxed{...} once, closed and not empty
 * think-boxed   think, where the answer has \boxed{...} once; boxes of the thought do not count
 * tag-count     a quarter for each of the four tags of think-answer that occurs exactly once
 *               (open-r1's tag_count without its rules of line ends)
 *
 * A mark that must stand once is counted over the whole completion, so that no form is met by
 * repeating it. Some templates end the prompt with <think>, so that the completion starts inside
 * the thought: then the opening tag is taken as given and must not come again.
 */
#include <string.h>

#include "common/text/boxed.h"
#include "reward-server/scoring/scorer.h"

enum mark { MARK_THINK, MARK_THINK_END, MARK_ANSWER, MARK_ANSWER_END, MARK_COUNT };
static const char *const marks[MARK_COUNT] = {"<think>", "</think>", "<answer>", "</answer>"};

enum form {
    FORM_THINK_ANSWER,
    FORM_THINK,
    FORM_ANSWER,
    FORM_BOXED,
    FORM_THINK_BOXED,
    FORM_TAG_COUNT
};

struct format {
    int64_t form;
};

static int format_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {{.name = "form",
        .type = PARAM_CHOICE,
        .offset = offsetof(struct format, form),
        .choices = "think-answer|think|answer|boxed|think-boxed|tag-count"}};
    CLEANUP_FREE struct format *state = mem_alloc(sizeof(*state));
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

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

/* Each of the marks first to last once and in order; at tells where. NULL when all is well, else
 * what is not. */
static const char *marks_problem(struct span text, enum mark first, enum mark last, bool opened,
    size_t at[MARK_COUNT], struct arena *a)
{
    size_t end = 0;
    for (unsigned m = first; m <= last; m++) {
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
    return NULL;
}

static const char *think_answer_problem(struct span text, bool opened, struct arena *a)
{
    size_t at[MARK_COUNT] = {0};
    const char *problem = marks_problem(text, MARK_THINK, MARK_ANSWER_END, opened, at, a);
    if (problem != NULL)
        return problem;
    if (!is_white(text, 0, at[MARK_THINK]))
        return "text before <think>";
    if (!is_white(text, at[MARK_THINK_END] + strlen(marks[MARK_THINK_END]), at[MARK_ANSWER]))
        return "text between </think> and <answer>";
    size_t end = at[MARK_ANSWER_END] + strlen(marks[MARK_ANSWER_END]);
    return is_white(text, end, text.n) ? NULL : "text after </answer>";
}

static const char *answer_problem(struct span text, struct arena *a)
{
    size_t at[MARK_COUNT] = {0};
    const char *problem = marks_problem(text, MARK_ANSWER, MARK_ANSWER_END, false, at, a);
    if (problem != NULL)
        return problem;
    size_t begin = at[MARK_ANSWER] + strlen(marks[MARK_ANSWER]);
    return is_white(text, begin, at[MARK_ANSWER_END]) ? "the answer is empty" : NULL;
}

/* *ret_answer becomes what follows the thought. */
static const char *think_problem(
    struct span text, bool opened, struct arena *a, struct span *ret_answer)
{
    size_t at[MARK_COUNT] = {0};
    const char *problem = marks_problem(text, MARK_THINK, MARK_THINK_END, opened, at, a);
    if (problem != NULL)
        return problem;
    if (!is_white(text, 0, at[MARK_THINK]))
        return "text before <think>";
    size_t end = at[MARK_THINK_END] + strlen(marks[MARK_THINK_END]);
    *ret_answer = (struct span){text.at + end, text.n - end};
    return is_white(text, end, text.n) ? "nothing after </think>" : NULL;
}

/* boxed_last finds the box that opens last: another kind of box within or after it is refused too.
 */
static const char *boxed_problem(struct span text, struct arena *a)
{
    static const char mark[] = "\\boxed{";
    struct mark_count found = mark_count(text, "\\boxed");
    size_t begin, len;
    if (found.count != 1)
        return reason_text(a, "\\boxed %s", mark_count_word(found.count));
    size_t n = sizeof(mark) - 1;
    if (!boxed_last(text.at, text.n, &begin, &len) || begin != found.at + n ||
        memcmp(text.at + found.at, mark, n) != 0)
        return "\\boxed is not the only box, or has no braces that close";
    return is_white(text, begin, begin + len) ? "\\boxed is empty" : NULL;
}

static const char *form_problem(enum form form, struct span text, bool opened, struct arena *a)
{
    const char *problem;
    struct span answer;
    switch (form) {
    case FORM_THINK:
        return think_problem(text, opened, a, &answer);
    case FORM_ANSWER:
        return answer_problem(text, a);
    case FORM_BOXED:
        return boxed_problem(text, a);
    case FORM_THINK_BOXED:
        problem = think_problem(text, opened, a, &answer);
        return problem != NULL ? problem : boxed_problem(answer, a);
    default:
        return think_answer_problem(text, opened, a);
    }
}

static void count_tags(struct span text, bool opened, struct arena *a, struct score_result *out)
{
    for (unsigned m = 0; m < MARK_COUNT; m++) {
        size_t count = mark_count(text, marks[m]).count + (m == MARK_THINK && opened);
        if (count == 1)
            out->value += 0.25;
        else if (out->reason[0] == '\0')
            out->reason = reason_text(a, "%s %s", marks[m], mark_count_word(count));
    }
    out->verdict = out->value == 1 ? VERDICT_PASS : VERDICT_MALFORMED;
}

static void format_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct format *s = state;
    struct span text = {(const char *)completion->text, completion->text_len};
    if (s->form == FORM_TAG_COUNT) {
        count_tags(text, prompt_opens(in), a, out);
        return;
    }
    const char *problem = form_problem((enum form)s->form, text, prompt_opens(in), a);
    out->value = problem == NULL;
    out->verdict = problem == NULL ? VERDICT_PASS : VERDICT_MALFORMED;
    out->reason = problem != NULL ? problem : "";
}

const struct scorer_kind scorer_format = {
    .name = "format",
    .help = "1 when the completion has the form (think-answer, think, answer, boxed, think-boxed), "
            "else 0; tag-count: a quarter for each tag that occurs once",
    .deterministic = true,
    .open = format_open,
    .close = scorer_state_close,
    .score = format_score,
};
