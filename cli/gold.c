/* gold.c: see gold.h. */
#include "cli/gold.h"

#include <jansson.h>
#include <string.h>

#include "cli/display.h"
#include "common/base/clock.h"
#include "common/recipe/recipe_files.h"
#include "reward-server/box/box.h"
#include "reward-server/scoring/scoring.h"

struct gold {
    uint32_t looked, passed;
    char failure[2 * LIMIT_TEXT]; /* of the first that did not pass */
};

static bool is_wanted(const struct recipe *r, const struct recipe_stage *st)
{
    return st->kind == STAGE_GRPO && st->steps > 0 && st->preflight != PREFLIGHT_OFF &&
           r->data[st->data].path[0] != '\0';
}

/* The completion that says the row's solution where the scorer looks for it; false without one. */
static bool solution_text(const struct scorer_spec *spec, const char *task_json, struct buf *out)
{
    json_t *task = json_loads(task_json, 0, NULL), *params = json_loads(spec->params_json, 0, NULL);
    const char *solution = json_string_value(json_object_get(task, "solution"));
    const char *tag = json_string_value(json_object_get(params, "tag"));
    if (solution != NULL && tag != NULL)
        buf_printf(out, "<%s>%s</%s>", tag, solution, tag);
    else if (solution != NULL)
        buf_puts(out, solution);
    json_decref(task);
    json_decref(params);
    return solution != NULL;
}

/* A fault of this moment's host says nothing of the program. */
static void look_at_row(const struct recipe *r, const struct scoring *set,
    const struct dataset_row *row, struct gold *g)
{
    const struct scorer_spec *spec = &r->rewards[r->primary].spec;
    CLEANUP_BUF struct buf text = {0};
    if (!solution_text(spec, row->json, &text))
        return;
    struct grade_text completion = {.text = text.data, .text_len = text.len};
    struct grade_input in = scoring_row_input(row, &completion);
    in.seed = r->seed;
    struct arena *a = arena_new(0);
    struct score_result result;
    scoring_score(set, &in, 0, a, &result);
    if (result.fault != SCORE_FAULT_TRANSIENT) {
        bool passed = result.fault == SCORE_FAULT_NONE && result.verdict == VERDICT_PASS;
        g->looked++;
        g->passed += passed;
        CLEANUP_FREE char *key = display_dup(row->key);
        if (!passed && g->failure[0] == '\0')
            (void)snprintf(g->failure, sizeof(g->failure), "row '%.60s': %s", key, result.reason);
    }
    arena_free(a);
}

static void look_at_rows(
    const struct recipe *r, const struct scoring *set, const struct dataset *d, struct gold *g)
{
    uint64_t begin = clock_mono_ns();
    size_t rows = dataset_count(d), n = rows < GOLD_PROGRAMS_MAX ? rows : GOLD_PROGRAMS_MAX;
    for (size_t i = 0; i < n; i++) {
        if (clock_mono_ns() - begin > GOLD_SECONDS_MAX * 1000000000ull)
            return;
        look_at_row(r, set, dataset_row(d, i * rows / n), g);
    }
}

/* Some broken solutions are a dataset's everyday life; more than half of them are a wrong language,
 * a wrong tag or tests that cannot be passed. */
static int judge_stage(const struct recipe *r, const struct recipe_stage *st, const struct gold *g,
    FILE *out, struct err *e)
{
    const char *reward = r->rewards[r->primary].spec.name, *data = r->data[st->data].name;
    if (g->looked == 0) {
        fprintf(out, "  %-9sno reference programs in '%s' to try before '%s'\n", st->name, data,
            reward);
        return 0;
    }
    fprintf(out, "  %-9s%u of %u reference programs of '%s' pass '%s'\n", st->name, g->passed,
        g->looked, data, reward);
    if (g->passed == g->looked)
        return 0;
    if (2 * g->passed >= g->looked || st->preflight != PREFLIGHT_STOP) {
        fprintf(out, "           warning: %s\n", g->failure);
        return 0;
    }
    return err_set(e, ERR_DATA,
        "stage '%s': %u of %u reference programs of [data %s] do not pass reward '%s', e.g. %s: no "
        "completion of these tasks can be right; look at the dataset's solutions and tests and at "
        "the reward's tag (to go on all the same: --set \"stage %s.preflight=warn\")",
        st->name, g->looked - g->passed, g->looked, data, reward, g->failure, st->name);
}

static int look_at_stage(
    const struct recipe *r, const struct recipe_stage *st, FILE *out, struct err *e)
{
    struct dataset *d;
    struct scoring *set;
    struct gold g = {0};
    if (recipe_dataset_open(r, (size_t)st->data, "", &d, e) < 0) /* read from its path */
        return e->code;
    int rc = scoring_open(&r->rewards[r->primary].spec, 1, &set, e);
    if (rc == 0) {
        look_at_rows(r, set, d, &g);
        scoring_close(set);
        rc = judge_stage(r, st, &g, out, e);
    }
    dataset_free(d);
    return rc;
}

int gold_programs(const struct recipe *r, FILE *out, struct err *e)
{
    const struct scorer_kind *kind =
        r->reward_count > 0 ? scoring_kind(r->rewards[r->primary].spec.kind) : NULL;
    bool any = false;
    for (size_t i = 0; i < r->stage_count; i++)
        any = any || is_wanted(r, &r->stages[i]);
    if (kind == NULL || !kind->runs_programs || !any || r->reward_servers == 0)
        return 0;
    struct box *box;
    struct err why;
    if (box_open(NULL, &box, &why) != 0) {
        fprintf(out, "  reference programs are not tried: %s\n", why.msg);
        return 0;
    }
    scoring_use_box(box);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->stage_count; i++) {
        if (is_wanted(r, &r->stages[i]))
            rc = look_at_stage(r, &r->stages[i], out, e);
    }
    scoring_use_box(NULL);
    box_close(box);
    return rc;
}
