/* scoring_fuzz.c: completions of any bytes before the math and countdown scorers, and pairs before
 * the math checker. An input is one byte that chooses scorer, tag and task, then the text.
 */
#include <math.h>
#include <stdlib.h>

#include "common/text/utf8.h"
#include "reward-server/scoring/math/check.h"
#include "reward-server/scoring/number.h"
#include "reward-server/scoring/scoring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort(); /* reported by libFuzzer with the input */
}

static void check_text(const char *text, size_t limit)
{
    size_t n = strlen(text);
    must(n <= limit && utf8_valid(text, n));
    for (size_t i = 0; i < n; i++)
        must((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static const struct choice {
    const char *kind, *params, *task;
} choices[] = {
    {"math", "{}", "{\"answer\":\"5\"}"},
    {"math", "{\"tag\":\"answer\"}", "{\"answer\":\"-3/2\"}"},
    {"math", "{}", "{\"answer\":\"x^2+\\\\frac{\\\\sqrt{3}}{y}\"}"},
    {"math", "{}", "{\"answer\":\"(-\\\\infty,1)\\\\cup[2,3]\"}"},
    {"countdown", "{}", "{\"nums\":[1,2,3,4],\"target\":10}"},
    {"countdown", "{\"tag\":\"answer\"}", "{\"nums\":[9223372036854775807,7],\"target\":0}"},
    {"format", "{}", "{}"},
    {"exact", "{\"tag\":\"answer\"}", "{\"answer\":\"a\"}"},
};

static void score(const struct choice *c, const uint8_t *text, size_t n, bool truncated)
{
    struct scorer_spec spec = {"s", c->kind, c->params};
    struct grade_text completion = {.text = text, .text_len = n, .truncated = truncated};
    struct grade_input in = {
        .task_json = c->task, .completions = &completion, .completion_count = 1};
    struct arena *a = arena_new(1 << 20);
    struct scoring *s = NULL;
    struct score_result r;
    struct err e;
    must(scoring_open(&spec, 1, &s, &e) == 0);
    scoring_score(s, &in, 0, a, &r);
    must(r.has_value && r.fault == SCORE_FAULT_NONE && r.verdict < VERDICT_JUDGE_FAULT);
    must(r.value == (r.verdict == VERDICT_PASS));
    must(!truncated || r.verdict == VERDICT_TRUNCATED);
    check_text(r.reason, LIMIT_TEXT);
    check_text(r.extracted, LIMIT_EXTRACTED);
    scoring_close(s);
    arena_free(a);
}

/* What is read as a number is the number that its canonical form says. */
static void number(const uint8_t *text, size_t n)
{
    mpq_t a, b;
    const char *why = NULL;
    mpq_inits(a, b, NULL);
    if (number_parse((struct span){(const char *)text, n}, a, &why)) {
        size_t digits = mpz_sizeinbase(mpq_numref(a), 10) + mpz_sizeinbase(mpq_denref(a), 10);
        char *canonical = mpq_get_str(NULL, 10, a);
        if (digits <= NUMBER_DIGITS_MAX)
            must(number_parse((struct span){canonical, strlen(canonical)}, b, &why) &&
                 mpq_equal(a, b));
        free(canonical);
    } else {
        must(why != NULL);
    }
    mpq_clears(a, b, NULL);
}

/* The text, cut at its first line's end, as reference and answer: within the bound of steps, and
 * equal to itself when it has no NUL and no blank in it. */
static void pair(const uint8_t *text, size_t n)
{
    const uint8_t *cut = memchr(text, '\n', n);
    struct span a = {(const char *)text, cut != NULL ? (size_t)(cut - text) : n};
    struct span b = {(const char *)text + a.n, n - a.n};
    must(math_check_pair(a, b).steps <= MATH_STEPS_MAX);
    struct math_verdict self = math_check_pair(a, a);
    must(self.steps <= MATH_STEPS_MAX);
    if (a.n > 0 && a.n <= MATH_TEXT_MAX && memchr(a.at, '\0', a.n) == NULL && a.at[0] > ' ' &&
        a.at[0] < '\x7f' && a.at[0] != '$' && a.at[0] != '~' && a.at[0] != '.' && a.at[0] != '\\' &&
        a.at[0] != '{' && a.at[0] != '}')
        must(self.answer == MATH_EQUAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    score(&choices[data[0] % 16 % ARRAY_LEN(choices)], data + 1, size - 1, data[0] >= 0xf0);
    number(data + 1, size - 1);
    pair(data + 1, size - 1);
    return 0;
}
