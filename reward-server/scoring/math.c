/* math.c: the scorer for answers that are numbers, compared exactly: 0.5, 1/2, \frac{1}{2} and 0.50
 * are one number, and no two different numbers are equal, however near.
 */
#include <string.h>

#include "common/text/boxed.h"
#include "reward-server/scoring/number.h"

static bool math_check(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    const char *reference = task_answer(in, a, ret_why), *why = NULL;
    if (reference == NULL)
        return false;
    mpq_t value;
    mpq_init(value);
    bool ok = number_parse((struct span){reference, strlen(reference)}, value, &why);
    mpq_clear(value);
    if (!ok)
        *ret_why = reason_text(
            a, "the reference answer cannot be read as a number (%s): '%s'", why, reference);
    return ok;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Length of the mark at s (of n bytes) that announces an answer, or 0. */
static size_t mark_at(const char *s, size_t n)
{
    static const char *const marks[] = {"####", "answer is", "answer:"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        size_t len = strlen(marks[i]), same = 0;
        while (same < len && same < n && lower(s[same]) == marks[i][same])
            same++;
        if (same == len)
            return len;
    }
    return 0;
}

/* The rest of the line after the last mark. */
static bool after_mark(struct span text, struct span *ret)
{
    for (size_t at = text.n; at-- > 0;) {
        size_t len = mark_at(text.at + at, text.n - at);
        if (len == 0)
            continue;
        struct span rest = {text.at + at + len, text.n - at - len};
        const char *end = memchr(rest.at, '\n', rest.n);
        if (end != NULL)
            rest.n = (size_t)(end - rest.at);
        *ret = span_trim(rest);
        return ret->n > 0;
    }
    return false;
}

/* After a mark a sentence may go on ("the answer is 18 dollars"): then its first number counts. */
static bool marked_answer(struct span text, struct span *ret)
{
    struct span line, number;
    const char *why;
    if (!after_mark(text, &line))
        return false;
    mpq_t value;
    mpq_init(value);
    bool alone = number_parse(line, value, &why);
    mpq_clear(value);
    *ret = !alone && number_find_first(line, &number) ? number : line;
    return true;
}

static bool boxed_answer(struct span text, struct span *ret)
{
    size_t begin, len;
    if (!boxed_last(text.at, text.n, &begin, &len))
        return false;
    *ret = span_trim((struct span){text.at + begin, len});
    return ret->n > 0;
}

static bool find_answer(const struct scorer_tag *s, struct span text, struct arena *a,
    struct span *ret, struct score_result *out)
{
    if (s->tag[0] != '\0') {
        if (!answer_in_tag(text, s->tag, a, &text, out))
            return false;
        if (!boxed_answer(text, ret))
            *ret = text;
        return true;
    }
    if (boxed_answer(text, ret) || marked_answer(text, ret) || number_find_last(text, ret))
        return true;
    out->verdict = VERDICT_NO_ANSWER;
    out->reason = "no \\boxed, no \"answer is\" and no number";
    return false;
}

static void compare(
    struct span found, const char *reference, struct arena *a, struct score_result *out)
{
    mpq_t given, wanted;
    const char *why = "";
    mpq_inits(given, wanted, NULL);
    (void)number_parse((struct span){reference, strlen(reference)}, wanted, &why); /* checked */
    if (!number_parse(found, given, &why)) {
        out->reason = reason_text(a, "cannot be read as a number: %s", why);
    } else if (mpq_equal(given, wanted)) {
        out->value = 1;
        out->verdict = VERDICT_PASS;
    } else {
        out->reason = reason_text(a, "expected %s", reference);
    }
    mpq_clears(given, wanted, NULL);
}

static void math_score(const void *state, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    struct span text = {(const char *)completion->text, completion->text_len}, found;
    const char *why, *reference = task_answer(in, a, &why); /* checked: not NULL */
    if (!find_answer(state, text, a, &found, out))
        return;
    result_extracted(out, a, found);
    compare(found, reference, a, out);
}

const struct scorer_kind scorer_math = {
    .name = "math",
    .help = "1 when the answer is the reference number, exactly (integers, decimals, fractions), "
            "else 0",
    .deterministic = true,
    .open = scorer_tag_open,
    .close = scorer_state_close,
    .check = math_check,
    .score = math_score,
};
