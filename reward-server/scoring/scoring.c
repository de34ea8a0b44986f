/* scoring.c: the table of kinds, and sets of scorers made from it. */
#include "reward-server/scoring/scoring.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "reward-server/scoring/scorer.h"

static const struct scorer_kind *const kinds[] = {&scorer_exact, &scorer_math, &scorer_code,
    &scorer_choice, &scorer_countdown, &scorer_format, &scorer_language, &scorer_length,
    &scorer_lint, &scorer_random, &scorer_readability, &scorer_repetition, &scorer_runtime};

const struct scorer_kind *const *scoring_kinds(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(kinds);
    return kinds;
}

const struct scorer_kind *scoring_kind(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    }
    return NULL;
}

/* ---- a set ---- */

struct scorer {
    char *name; /* owned */
    const struct scorer_kind *kind;
    void *state; /* owned; closed by kind */
};

struct scoring {
    struct scorer scorers[LIMIT_SCORERS];
    size_t count;
    struct scorer gate; /* the tests, for kinds that come after them in a set without code */
};

static int unknown_kind(const char *name, struct err *e)
{
    CLEANUP_BUF struct buf known = {0};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", kinds[i]->name);
    return err_set(
        e, ERR_CONFIG, "unknown kind '%.64s', expected %s", name, (const char *)known.data);
}

static int scorer_open(struct scoring *s, const struct scorer_spec *spec, struct err *e)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->scorers[i].name, spec->name) == 0)
            return err_set(e, ERR_CONFIG, "another scorer has this name");
    }
    size_t n = strlen(spec->name);
    if (n == 0 || n > LIMIT_NAME)
        return err_set(e, ERR_CONFIG, "a name of %zu bytes, expected 1 to %d", n, LIMIT_NAME);
    const struct scorer_kind *kind = scoring_kind(spec->kind);
    if (kind == NULL)
        return unknown_kind(spec->kind, e);
    struct scorer *scorer = &s->scorers[s->count];
    int r = kind->open(spec->params_json != NULL ? spec->params_json : "{}", &scorer->state, e);
    if (r != 0)
        return err_ctx(e, "kind %s", kind->name);
    scorer->kind = kind;
    scorer->name = mem_strdup(spec->name);
    s->count++;
    return 0;
}

/* The code scorer of the set, or its index beyond the last when there is none. */
static size_t find_code(const struct scoring *s)
{
    size_t i = 0;
    while (i < s->count && s->scorers[i].kind != &scorer_code)
        i++;
    return i;
}

static int gate_open(struct scoring *s, struct err *e)
{
    bool needed = false;
    for (size_t i = 0; i < s->count; i++)
        needed |= s->scorers[i].kind->after_tests;
    if (!needed || find_code(s) < s->count)
        return 0;
    s->gate = (struct scorer){.name = mem_strdup(scorer_code.name), .kind = &scorer_code};
    return scorer_code.open("{}", &s->gate.state, e);
}

int scoring_open(const struct scorer_spec *specs, size_t n, struct scoring **ret, struct err *e)
{
    if (n < 1 || n > LIMIT_SCORERS)
        return err_set(e, ERR_CONFIG, "%zu scorers, expected 1 to %d", n, LIMIT_SCORERS);
    struct scoring *s = mem_alloc(sizeof(*s));
    for (size_t i = 0; i < n; i++) {
        int r = scorer_open(s, &specs[i], e);
        if (r != 0) {
            scoring_close(s);
            return err_ctx(e, "scorer '%.64s'", specs[i].name);
        }
    }
    int r = gate_open(s, e);
    if (r != 0) {
        scoring_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void scorer_close(struct scorer *scorer)
{
    if (scorer->kind != NULL)
        scorer->kind->close(scorer->state);
    free(scorer->name);
}

void scoring_close(struct scoring *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        scorer_close(&s->scorers[i]);
    scorer_close(&s->gate);
    free(s);
}

size_t scoring_count(const struct scoring *s)
{
    return s->count;
}

/* ---- scoring ---- */

static struct scoring_reading read_task(
    const struct scorer *s, const struct grade_input *in, struct arena *a)
{
    struct scoring_reading r = {NULL, NULL};
    if (s->kind == NULL || s->kind->read == NULL)
        return r;
    const char *why = "";
    r.task = s->kind->read(s->state, in, a, &why);
    r.why = r.task == NULL ? why : NULL;
    return r;
}

void scoring_read(const struct scoring *s, const struct grade_input *in, struct arena *a,
    struct scoring_task *ret)
{
    ret->set = s;
    ret->in = in;
    for (size_t i = 0; i < s->count; i++)
        ret->readings[i] = read_task(&s->scorers[i], in, a);
    ret->gate = read_task(&s->gate, in, a);
}

static void judge(const struct scorer *s, const struct scoring_reading *r,
    const struct grade_input *in, const struct grade_text *completion, struct arena *a,
    struct score_result *out)
{
    if (r->why != NULL) {
        out->has_value = false;
        out->verdict = VERDICT_JUDGE_FAULT;
        out->fault = SCORE_FAULT_PERMANENT;
        out->reason = r->why;
    } else if (completion->truncated && !s->kind->scores_truncated) {
        out->verdict = VERDICT_TRUNCATED;
        out->reason = "the completion was cut off at the token limit";
    } else if (completion->text_len > LIMIT_COMPLETION_TEXT) {
        out->verdict = VERDICT_MALFORMED;
        out->reason = "the completion is longer than 4 MiB";
    } else {
        s->kind->score(s->state, r->task, in, completion, a, out);
    }
}

/* Whether the tests are passed; else out says how they ended. */
static bool passes(const struct score_result *tests, struct score_result *out)
{
    if (tests->has_value && tests->verdict == VERDICT_PASS)
        return true;
    out->has_value = tests->has_value;
    out->verdict = tests->verdict;
    out->fault = tests->fault;
    out->isolation = tests->isolation;
    out->reason = tests->reason;
    return false;
}

/* tests: of a kind that comes after them; else NULL. */
static void score_one(const struct scorer *s, const struct scoring_reading *r,
    const struct grade_input *in, size_t i, const struct score_result *tests, struct arena *a,
    struct score_result *out)
{
    uint64_t start_ns = clock_mono_ns();
    *out = (struct score_result){
        .index = in->completions[i].index,
        .scorer = s->name,
        .has_value = true,
        .verdict = VERDICT_WRONG,
        .fault = SCORE_FAULT_NONE,
        .reason = "",
        .extracted = "",
        .isolation = "",
    };
    if (tests == NULL || passes(tests, out))
        judge(s, r, in, &in->completions[i], a, out);
    out->wall_us = (clock_mono_ns() - start_ns) / 1000;
}

struct grade_input scoring_row_input(
    const struct dataset_row *row, const struct grade_text *completion)
{
    return (struct grade_input){.row_key = row->key,
        .prompt = (const uint8_t *)row->prompt,
        .prompt_len = strlen(row->prompt),
        .task_json = row->json,
        .completions = completion,
        .completion_count = 1};
}

void scoring_judge(
    const struct scoring_task *t, size_t i, struct arena *a, struct score_result *results)
{
    const struct scoring *s = t->set;
    struct score_result own;
    size_t code = find_code(s);
    const struct score_result *tests = code < s->count ? &results[code] : &own;
    for (size_t k = 0; k < s->count; k++) {
        if (!s->scorers[k].kind->after_tests)
            score_one(&s->scorers[k], &t->readings[k], t->in, i, NULL, a, &results[k]);
    }
    if (s->gate.kind != NULL)
        score_one(&s->gate, &t->gate, t->in, i, NULL, a, &own);
    for (size_t k = 0; k < s->count; k++) {
        if (s->scorers[k].kind->after_tests)
            score_one(&s->scorers[k], &t->readings[k], t->in, i, tests, a, &results[k]);
    }
}

void scoring_score(const struct scoring *s, const struct grade_input *in, size_t i, struct arena *a,
    struct score_result *results)
{
    struct scoring_task t;
    scoring_read(s, in, a, &t);
    scoring_judge(&t, i, a, results);
}
