/* countdown.c: the scorer for "make the target out of these numbers". */
#include <string.h>

#include "reward-server/scoring/number.h"

static const void *countdown_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    return task_countdown(in, a, ret_why);
}

/* Without a tag the expression is the last line. */
static bool find_expression(const struct scorer_tag *s, struct span text, struct arena *a,
    struct span *ret, struct score_result *out)
{
    if (!answer_in_tag(text, s->tag, a, ret, out))
        return false;
    if (s->tag[0] == '\0') {
        const char *line = memrchr(ret->at, '\n', ret->n);
        if (line != NULL)
            *ret = span_trim((struct span){line + 1, ret->n - (size_t)(line + 1 - ret->at)});
    }
    return true;
}

/* "EXPRESSION = NUMBER" is allowed when the number is the target: *s becomes the expression. */
static bool split_equation(
    struct span *s, const mpq_t target, struct arena *a, struct score_result *out)
{
    const char *equals = memchr(s->at, '=', s->n), *why = "";
    if (equals == NULL)
        return true;
    mpq_t stated;
    mpq_init(stated);
    struct span right = {equals + 1, s->n - (size_t)(equals + 1 - s->at)};
    bool ok = number_parse(right, stated, &why);
    if (!ok) {
        out->verdict = VERDICT_MALFORMED;
        out->reason = reason_text(a, "after '=': %s", why);
    } else if (!mpq_equal(stated, target)) {
        ok = false;
        out->reason = "the number after '=' is not the target";
    }
    mpq_clear(stated);
    s->n = (size_t)(equals - s->at);
    return ok;
}

static void judge(
    struct span s, const struct task_countdown *task, struct arena *a, struct score_result *out)
{
    mpq_t value, target;
    const char *why = "";
    mpq_inits(value, target, NULL);
    mpz_set_si(mpq_numref(target), task->target);
    if (split_equation(&s, target, a, out)) {
        enum expression_status status =
            expression_value(s, task->nums, task->count, value, a, &why);
        if (status != EXPRESSION_OK) {
            out->verdict = status == EXPRESSION_MALFORMED ? VERDICT_MALFORMED : VERDICT_WRONG;
            out->reason = why;
        } else if (mpq_equal(value, target)) {
            out->value = 1;
            out->verdict = VERDICT_PASS;
        } else {
            /* At most 16 numbers of 63 bits: the text fits. */
            char text[2 * SCORER_NUMS_MAX * 20 + 8];
            out->reason = reason_text(
                a, "is %s, expected %lld", mpq_get_str(text, 10, value), (long long)task->target);
        }
    }
    mpq_clears(value, target, NULL);
}

static void countdown_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    struct span text = {(const char *)completion->text, completion->text_len}, found;
    if (!find_expression(state, text, a, &found, out))
        return;
    result_extracted(out, a, found);
    judge(found, task, a, out);
}

const struct scorer_kind scorer_countdown = {
    .name = "countdown",
    .help = "1 when the expression uses each number once and equals the target, else 0",
    .deterministic = true,
    .open = scorer_tag_open,
    .close = scorer_state_close,
    .read = countdown_read,
    .score = countdown_score,
};
