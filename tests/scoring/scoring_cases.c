/* scoring_cases.c: helpers of the scoring tests. */
#include "scoring_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/text/utf8.h"

struct score_result score_text(
    const char *kind, const char *params, const char *task_json, const void *text, size_t n)
{
    static struct arena *arena;
    struct scorer_spec spec = {"s", kind, params};
    struct grade_text completion = {.index = 3, .tokens = 10, .text = text, .text_len = n};
    struct grade_input in = {.group = 7,
        .seed = 1,
        .prompt = (const uint8_t *)"p",
        .prompt_len = 1,
        .task_json = task_json,
        .completions = &completion,
        .completion_count = 1};
    struct scoring *s = NULL;
    struct score_result r;
    struct err e;
    if (arena == NULL)
        arena = arena_new(0);
    arena_clear(arena);
    if (scoring_open(&spec, 1, &s, &e) != 0)
        fail_msg("%s", e.msg);
    scoring_score(s, &in, 0, arena, &r);
    scoring_close(s);
    r.scorer = "s";
    check_result(&r);
    return r;
}

static void check_text(const char *text, size_t limit)
{
    size_t n = strlen(text);
    assert_true(n <= limit);
    assert_true(utf8_valid(text, n));
    for (size_t i = 0; i < n; i++)
        assert_true((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

void check_result(const struct score_result *r)
{
    check_text(r->reason, LIMIT_TEXT);
    check_text(r->extracted, LIMIT_EXTRACTED);
    assert_string_equal(r->isolation, "");
    assert_true(isfinite(r->value));
    assert_int_equal(r->has_value, r->verdict != VERDICT_JUDGE_FAULT);
    assert_int_equal(r->fault, r->has_value ? SCORE_FAULT_NONE : SCORE_FAULT_PERMANENT);
    if (!r->has_value)
        assert_true(r->reason[0] != '\0');
}

void check_cases(const char *kind, const char *params, const struct score_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct score_case *c = &cases[i];
        struct score_result r = score_text(kind, params, c->task_json, c->text, strlen(c->text));
        bool ok = r.verdict == c->verdict && r.value == (c->verdict == VERDICT_PASS);
        ok = ok && (c->extracted == NULL || strcmp(c->extracted, r.extracted) == 0);
        ok = ok && (c->says == NULL || strstr(r.reason, c->says) != NULL);
        if (!ok)
            fail_msg("%s case %zu, text '%s', task %s: %s %g, extracted '%s', reason '%s'; "
                     "expected %s, '%s', '%s'",
                kind, i, c->text, c->task_json, verdict_name(r.verdict), r.value, r.extracted,
                r.reason, verdict_name(c->verdict), c->extracted != NULL ? c->extracted : "*",
                c->says != NULL ? c->says : "*");
    }
}
