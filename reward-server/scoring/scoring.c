/* scoring.c: the table of kinds, and sets of scorers made from it. */
#include "reward-server/scoring/scoring.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "reward-server/scoring/scorer.h"

static const struct scorer_kind *const kinds[] = {&scorer_exact, &scorer_math, &scorer_code,
    &scorer_countdown, &scorer_format, &scorer_language, &scorer_length, &scorer_random};

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
    *ret = s;
    return 0;
}

void scoring_close(struct scoring *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++) {
        s->scorers[i].kind->close(s->scorers[i].state);
        free(s->scorers[i].name);
    }
    free(s);
}

size_t scoring_count(const struct scoring *s)
{
    return s->count;
}

/* ---- scoring ---- */

static void judge(const struct scorer *s, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const char *why = "";
    if (s->kind->check != NULL && !s->kind->check(s->state, in, a, &why)) {
        out->has_value = false;
        out->verdict = VERDICT_JUDGE_FAULT;
        out->fault = SCORE_FAULT_PERMANENT;
        out->reason = why;
    } else if (completion->truncated && !s->kind->scores_truncated) {
        out->verdict = VERDICT_TRUNCATED;
        out->reason = "the completion was cut off at the token limit";
    } else if (completion->text_len > LIMIT_COMPLETION_TEXT) {
        out->verdict = VERDICT_MALFORMED;
        out->reason = "the completion is longer than 4 MiB";
    } else {
        s->kind->score(s->state, in, completion, a, out);
    }
}

void scoring_score(const struct scoring *s, const struct grade_input *in, size_t i, struct arena *a,
    struct score_result *results)
{
    for (size_t k = 0; k < s->count; k++) {
        uint64_t start_ns = clock_mono_ns();
        results[k] = (struct score_result){
            .index = in->completions[i].index,
            .scorer = s->scorers[k].name,
            .has_value = true,
            .verdict = VERDICT_WRONG,
            .fault = SCORE_FAULT_NONE,
            .reason = "",
            .extracted = "",
            .isolation = "",
        };
        judge(&s->scorers[k], in, &in->completions[i], a, &results[k]);
        results[k].wall_us = (clock_mono_ns() - start_ns) / 1000;
    }
}
