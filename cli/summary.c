/* summary.c: the end of `cohort run`: before and after, one task, seconds by phase, what to try
 * next. */
#include "cli/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/figures.h"
#include "common/base/mem.h"

enum { LABEL_WIDTH = 24, CELL_WIDTH = 24 };

/* One evaluation: after `step` steps of the stage. stage < 0: there is none. */
struct eval_at {
    int64_t stage, step;
};

enum row_kind { ROW_SHARE, ROW_TOKENS };

struct row {
    const char *label;
    enum row_kind kind;
    const char *metric; /* its interval is metric_low, metric_high */
};

static const struct row rows[] = {
    {"pass@1, sampled", ROW_SHARE, "eval/pass@1"},
    {"pass@1, greedy", ROW_SHARE, "eval/greedy"},
    {"well-formed answers", ROW_SHARE, "eval/format"},
    {"length of reasoning", ROW_TOKENS, "eval/think_length"},
    {"length of response", ROW_TOKENS, "eval/length"},
    {"truncated", ROW_SHARE, "eval/truncated"},
};

int summary_state(struct rundb *db, char **ret_state, char **ret_why, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = rundb_prepare(db, "SELECT state, why FROM run", &q, e);
    if (r < 0)
        return r;
    r = rundb_next(q, e);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_RETRY, "%s/run.db describes no run yet", rundb_dir(db));
    *ret_state = mem_strdup(rundb_text(q, 0));
    *ret_why = mem_strdup(rundb_text(q, 1));
    return 0;
}

/* 1 and the value, 0 when the metric is not there. */
static int metric(struct rundb *db, struct eval_at at, const char *name, double *ret, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = rundb_prepare(
        db, "SELECT value FROM metrics WHERE stage = ?1 AND step = ?2 AND name = ?3", &q, e);
    if (r < 0)
        return r;
    rundb_bind_int(q, 1, at.stage);
    rundb_bind_int(q, 2, at.step);
    rundb_bind_text(q, 3, name);
    r = rundb_next(q, e);
    if (r == 1)
        *ret = rundb_real(q, 0);
    return r;
}

/* The newest evaluation, and the one that the same stage began with: its own before the first step,
 * else the last of the stage before. */
static int find_evals(
    struct rundb *db, struct eval_at *ret_before, struct eval_at *ret_after, struct err *e)
{
    static const char sql[] = "SELECT stage, step FROM metrics WHERE name = 'eval/pass@1' "
                              "ORDER BY stage DESC, step DESC";
    *ret_before = *ret_after = (struct eval_at){-1, -1};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = rundb_prepare(db, sql, &q, e);
    if (r < 0)
        return r;
    while ((r = rundb_next(q, e)) == 1) {
        struct eval_at at = {rundb_int(q, 0), rundb_int(q, 1)};
        if (ret_after->stage < 0) {
            *ret_after = at;
            continue;
        }
        *ret_before = at;
        if (at.stage < ret_after->stage || at.step == 0)
            break;
    }
    return r < 0 ? r : 0;
}

/* ---- the table ---- */

static int make_cell(struct rundb *db, struct eval_at at, const struct row *row,
    char text[CELL_WIDTH], double *ret, struct err *e)
{
    char low_name[48], high_name[48];
    double v = NAN, low = NAN, high = NAN;
    (void)snprintf(low_name, sizeof(low_name), "%s_low", row->metric);
    (void)snprintf(high_name, sizeof(high_name), "%s_high", row->metric);
    if (metric(db, at, row->metric, &v, e) < 0 || metric(db, at, low_name, &low, e) < 0 ||
        metric(db, at, high_name, &high, e) < 0)
        return e->code;
    if (isnan(v))
        (void)snprintf(text, CELL_WIDTH, "-");
    else if (row->kind == ROW_TOKENS)
        (void)snprintf(text, CELL_WIDTH, "%.1f tokens", v);
    else if (!isnan(low) && !isnan(high))
        (void)snprintf(text, CELL_WIDTH, "%.1f%% [%.1f, %.1f]", 100 * v, 100 * low, 100 * high);
    else
        (void)snprintf(text, CELL_WIDTH, "%.1f%%", 100 * v);
    *ret = v;
    return 0;
}

static int print_table(
    struct rundb *db, struct eval_at before, struct eval_at after, FILE *out, struct err *e)
{
    fprintf(out, "\n%-*s%-*s%s\n", LABEL_WIDTH, "held-out tasks", CELL_WIDTH,
        before.stage < 0 ? "" : "before", "after");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double was = NAN, is = NAN;
        char left[CELL_WIDTH] = "", right[CELL_WIDTH];
        if ((before.stage >= 0 && make_cell(db, before, &rows[i], left, &was, e) < 0) ||
            make_cell(db, after, &rows[i], right, &is, e) < 0)
            return e->code;
        fprintf(out, "  %-*s%-*s%s", LABEL_WIDTH - 2, rows[i].label, CELL_WIDTH, left, right);
        if (rows[i].kind == ROW_TOKENS && was > 0 && is >= 0)
            fprintf(out, "  (x %.2f)", is / was);
        fputc('\n', out);
    }
    fputs("  (intervals: 95 %)\n", out);
    return 0;
}

/* ---- one task ---- */

struct example {
    char *prompt; /* owned; NULL: there is none */
    int64_t completion, max_tokens;
};

/* A task that was not solved before and is now, when there is one; greedy answers. */
static int print_example(struct rundb *db, struct eval_at before, struct eval_at after, FILE *out,
    struct example *ret, struct err *e)
{
    static const char sql[] =
        "SELECT t.prompt, t.answer, kb.text, kb.verdict, ka.text, ka.verdict, ga.id * 1024 + "
        "ka.idx, ga.max_tokens "
        "FROM groups ga JOIN completions ka ON ka.group_id = ga.id AND ka.idx = 0 "
        "JOIN tasks t ON t.id = ga.task "
        "LEFT JOIN groups gb ON gb.task = ga.task AND gb.purpose = 'eval' AND gb.mode = 'greedy' "
        "AND gb.stage = ?1 AND gb.step = ?2 "
        "LEFT JOIN completions kb ON kb.group_id = gb.id AND kb.idx = 0 "
        "WHERE ga.purpose = 'eval' AND ga.mode = 'greedy' AND ga.stage = ?3 AND ga.step = ?4 "
        "ORDER BY (ka.verdict = 'pass') DESC, (kb.verdict = 'pass'), ga.slot LIMIT 1";
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = rundb_prepare(db, sql, &q, e);
    if (r < 0)
        return r;
    const int64_t binds[] = {before.stage, before.step, after.stage, after.step};
    for (int i = 0; i < 4; i++)
        rundb_bind_int(q, i + 1, binds[i]);
    r = rundb_next(q, e);
    if (r != 1)
        return r;
    fprintf(
        out, "\nOne of them: %s   (reference answer: %s)\n", rundb_text(q, 0), rundb_text(q, 1));
    if (!rundb_is_null(q, 2))
        fprintf(out, "  before  %s   %s\n", rundb_text(q, 2), rundb_text(q, 3));
    fprintf(out, "  after   %s   %s\n", rundb_text(q, 4), rundb_text(q, 5));
    ret->completion = rundb_int(q, 6);
    ret->max_tokens = rundb_int(q, 7);
    ret->prompt = mem_strdup(rundb_text(q, 0));
    return 1;
}

/* ---- time ---- */

static int print_times(struct rundb *db, FILE *out, struct err *e)
{
    static const char sql[] =
        "SELECT s.name, (coalesce(s.finished_ms, s.started_ms) - s.started_ms) / 1000.0, "
        "(SELECT sum(value) FROM metrics m WHERE m.stage = s.stage AND m.name = 'seconds/wait'), "
        "(SELECT sum(value) FROM metrics m WHERE m.stage = s.stage AND m.name = 'seconds/train'), "
        "(SELECT sum(value) FROM metrics m WHERE m.stage = s.stage AND m.name = "
        "'seconds/publish'), "
        "(SELECT sum(value) FROM metrics m WHERE m.stage = s.stage AND m.name = 'seconds/eval') "
        "FROM stages s WHERE s.started_ms IS NOT NULL ORDER BY s.stage";
    static const char *const phases[] = {
        "waiting for samples", "training", "publishing", "evaluation"};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = rundb_prepare(db, sql, &q, e);
    if (r < 0)
        return r;
    fputs("\nSeconds:\n", out);
    while ((r = rundb_next(q, e)) == 1) {
        CLEANUP_BUF struct buf parts = {0};
        double rest = rundb_real(q, 1);
        for (int i = 0; i < (int)ARRAY_LEN(phases); i++) {
            if (rundb_is_null(q, 2 + i))
                continue;
            buf_printf(&parts, "%s %.1f, ", phases[i], rundb_real(q, 2 + i));
            rest -= rundb_real(q, 2 + i);
        }
        if (parts.len > 0)
            buf_printf(&parts, "other %.1f", rest > 0 ? rest : 0);
        fprintf(out, "  %-10s%7.1f   %s\n", rundb_text(q, 0), rundb_real(q, 1),
            parts.len > 0 ? (const char *)parts.data : "");
    }
    return r;
}

/* ---- what next ---- */

static void print_call(FILE *out, const char *program, const char *command, const char *dir)
{
    fputs("  ", out);
    figure_word(out, program);
    fprintf(out, " %s ", command);
    figure_word(out, dir);
}

static int print_next(
    struct rundb *db, const char *program, const struct example *x, FILE *out, struct err *e)
{
    CLEANUP_FREE char *stage = NULL;
    const char *dir = rundb_dir(db);
    int r = rundb_one_text(db,
        "SELECT name FROM stages WHERE state = 'finished' ORDER BY stage DESC LIMIT 1", NULL, 0,
        &stage, e);
    if (r < 0)
        return r;
    CLEANUP_FREE char *file = mem_printf("%s/run.db", dir);
    fprintf(out,
        "\nEverything is in %s, also for sqlite3 -readonly (views v_steps, v_completions, ...).\n"
        "Try next:\n",
        file);
    print_call(out, program, "inspect", dir);
    fputs(" steps\n", out);
    if (x->prompt == NULL)
        return 0;
    print_call(out, program, "explain", dir);
    fprintf(out, " %lld\n", (long long)x->completion);
    if (stage == NULL)
        return 0;
    CLEANUP_FREE char *model = mem_printf("%s/models/%s", dir, stage);
    print_call(out, program, "sample", model);
    fputs(" --prompt ", out);
    figure_word(out, x->prompt);
    fprintf(out, " --max-tokens %lld\n", (long long)x->max_tokens);
    return 0;
}

int summary_print(struct rundb *db, const char *program, FILE *out, struct err *e)
{
    struct eval_at before, after;
    struct example example = {0};
    int r = find_evals(db, &before, &after, e);
    if (r == 0 && after.stage >= 0)
        r = print_table(db, before, after, out, e);
    if (r == 0 && after.stage >= 0)
        r = print_example(db, before, after, out, &example, e);
    if (r >= 0)
        r = print_times(db, out, e);
    if (r >= 0)
        r = print_next(db, program, &example, out, e);
    free(example.prompt);
    return r;
}
