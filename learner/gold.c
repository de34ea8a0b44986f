/* gold.c: see gold.h. */
#include "learner/gold.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "learner/plan.h"
#include "reward-server/scoring/scoring.h"

/* Appends what a completion says that has the answer right; false where no such text is known. */
static bool gold_text(
    const struct scorer_spec *spec, const char *tag, const char *answer, struct buf *out)
{
    bool math = strcmp(spec->kind, "math") == 0;
    if (answer == NULL || (!math && strcmp(spec->kind, "exact") != 0))
        return false;
    if (tag[0] != '\0')
        buf_printf(out, "<%s>%s</%s>", tag, answer, tag);
    else
        buf_printf(out, math ? "\\boxed{%s}" : "%s", answer);
    return true;
}

static void remember_failure(
    struct preflight_gold *g, const struct dataset_row *row, const struct score_result *result)
{
    if (g->failure[0] == '\0')
        (void)snprintf(g->failure, sizeof(g->failure), "row '%.60s' with answer '%.80s': %s",
            row->key, row->answer != NULL ? row->answer : "", result->reason);
}

static void check_row(const struct recipe *r, const struct scoring *set, const char *tag,
    const struct dataset_row *row, struct preflight_gold *g)
{
    const struct scorer_spec *spec = &r->rewards[r->primary].spec;
    CLEANUP_BUF struct buf text = {0};
    bool formed = gold_text(spec, tag, row->answer, &text);
    struct grade_text completion = {.text = text.data, .text_len = text.len};
    struct grade_input in = scoring_row_input(row, &completion);
    in.seed = r->seed;
    struct arena *a = arena_new(0);
    struct score_result result;
    scoring_score(set, &in, 0, a, &result);
    bool unfit = result.fault != SCORE_FAULT_NONE;
    bool passed = !unfit && result.verdict == VERDICT_PASS;
    g->tasks++;
    g->unfit += unfit;
    g->formed += formed && !unfit;
    g->passed += formed && passed;
    if (unfit || (formed && !passed))
        remember_failure(g, row, &result);
    arena_free(a);
}

/* Whether the kind looks at the task: the others have no gold. */
static bool looks_at_task(const struct scorer_kind *kind)
{
    return kind != NULL && kind->read != NULL && scoring_kind_ready(kind);
}

int gold_check(const struct recipe *r, uint32_t stage, const struct corpus *tasks,
    struct preflight_gold *ret, struct err *e)
{
    const struct scorer_spec *spec = &r->rewards[r->primary].spec;
    *ret = (struct preflight_gold){0};
    if (!looks_at_task(scoring_kind(spec->kind)))
        return 0;
    struct scoring *set;
    int rc = scoring_open(spec, 1, &set, e);
    if (rc != 0)
        return rc;
    json_t *params = json_loads(spec->params_json, 0, NULL); /* recipe.c wrote it */
    const char *tag = json_string_value(json_object_get(params, "tag"));
    size_t count = corpus_count(tasks);
    for (uint64_t i = 0; i < count && i < PREFLIGHT_TASKS; i++) {
        size_t row = plan_row(r->seed, stage, count, i);
        check_row(r, set, tag != NULL ? tag : "", corpus_row(tasks, row), ret);
    }
    json_decref(params);
    scoring_close(set);
    return 0;
}
