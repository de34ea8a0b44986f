/* progress.c: polls run.db and prints one line per step. */
#include "cli/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/figures.h"
#include "cli/rundb.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum {
    PRETRAIN_EVERY = 20, /* steps between printed lines of a stage that has very many */
    PRETRAIN_LINES = 40, /* ... or fewer lines than this */
    HEADER_EVERY = 30,   /* lines between headers on a terminal */
    RATE_STEPS = 10,     /* steps over which the remaining time is estimated */
    STEPS_PER_POLL = 200,
    STAGE_WIDTH = 8,
    NOTE_INDENT = 4, /* of what follows in a long line */
};

enum column_kind { COLUMN_STEP, COLUMN_REAL, COLUMN_SHARE, COLUMN_SMALL, COLUMN_SPEED, COLUMN_ETA };

struct column {
    const char *title;
    enum column_kind kind;
    int width, digits;
    int rank;           /* the highest are left out first on a narrow terminal */
    const char *metric; /* of table metrics; NULL for those made here */
    const char *addend; /* a metric that is added */
};

static const struct column grpo_columns[] = {
    {"step", COLUMN_STEP, 9, 0, 0, NULL, NULL},
    {"reward", COLUMN_REAL, 7, 3, 0, "reward", NULL},
    {"pass@1", COLUMN_SHARE, 8, 1, 0, "pass@1", NULL},
    {"length", COLUMN_REAL, 7, 1, 1, "length", NULL},
    {"trunc", COLUMN_SHARE, 7, 1, 3, "truncated", NULL},
    {"tied", COLUMN_SHARE, 7, 1, 3, "tied", NULL},
    {"entropy", COLUMN_REAL, 8, 3, 2, "entropy", NULL},
    {"KL", COLUMN_REAL, 8, 4, 4, "kl_ref", NULL},
    {"clip", COLUMN_SHARE, 7, 2, 4, "clip_low", "clip_high"},
    {"lag", COLUMN_REAL, 4, 0, 5, "staleness", NULL},
    {"wait", COLUMN_SHARE, 6, 0, 5, "seconds/wait_share", NULL},
    {"tok/s", COLUMN_SPEED, 7, 0, 2, "tokens_sampled", NULL},
    {"ETA", COLUMN_ETA, 8, 0, 1, NULL, NULL},
};

static const struct column pretrain_columns[] = {
    {"step", COLUMN_STEP, 9, 0, 0, NULL, NULL},
    {"loss", COLUMN_REAL, 8, 4, 0, "loss", NULL},
    {"gradient", COLUMN_REAL, 10, 3, 2, "grad_norm", NULL},
    {"lr", COLUMN_SMALL, 10, 2, 3, "lr", NULL},
    {"tok/s", COLUMN_SPEED, 8, 0, 2, "tokens_trained", NULL},
    {"ETA", COLUMN_ETA, 8, 0, 1, NULL, NULL},
};

struct stage_view {
    int64_t stage, steps;
    char name[80];
    bool pretrain;
};

struct progress {
    struct progress_options o;
    struct rundb *db;         /* owned; NULL until there is one */
    int64_t step_stage, step; /* last step printed or passed over */
    int64_t eval_stage, eval; /* as that, of evaluations */
    int64_t event;            /* last event printed */
    int64_t header_stage;
    unsigned lines_since_header;
    bool status_shown, polling;
    struct buf text; /* not printed yet */
};

struct progress *progress_new(const struct progress_options *o)
{
    struct progress *p = mem_alloc(sizeof(*p));
    *p = (struct progress){
        .o = *o, .step_stage = -1, .step = -1, .eval_stage = -1, .eval = -1, .header_stage = -1};
    return p;
}

/* ---- the screen ---- */

/* Never inside a snapshot: a terminal that is held with Ctrl-S, or a full pipe, would keep it open,
 * and the learner's write-ahead log would grow. */
static void flush(struct progress *p)
{
    if (p->text.len > 0)
        (void)fwrite(p->text.data, 1, p->text.len, p->o.out); /* nobody may be reading any more */
    (void)fflush(p->o.out);
    buf_clear(&p->text);
}

static void status_clear(struct progress *p)
{
    if (p->status_shown)
        buf_puts(&p->text, "\r\x1b[K");
    p->status_shown = false;
}

static void status_show(struct progress *p, const char *text)
{
    if (!p->o.terminal)
        return;
    status_clear(p);
    int width = p->o.width > 1 ? p->o.width - 1 : 200;
    buf_printf(&p->text, "%.*s", width, text);
    p->status_shown = true;
}

void progress_note(struct progress *p, const char *line)
{
    CLEANUP_BUF struct buf shown = {0};
    status_clear(p);
    text_escape(&shown, line, strlen(line));
    buf_printf(&p->text, "%s\n", (const char *)shown.data);
    if (!p->polling)
        flush(p);
}

/* A long line, parted behind separators to fit the terminal. */
static void note_parts(struct progress *p, const char *line, const char *separator)
{
    size_t width = p->o.terminal && p->o.width > NOTE_INDENT ? (size_t)p->o.width - 1 : SIZE_MAX;
    CLEANUP_BUF struct buf part = {0};
    for (const char *at = line, *end; *at != '\0'; at = end) {
        end = strstr(at, separator);
        end = end != NULL ? end + strlen(separator) : at + strlen(at);
        if (part.len > NOTE_INDENT && part.len + (size_t)(end - at) > width) {
            progress_note(p, (const char *)part.data);
            buf_clear(&part);
            buf_printf(&part, "%*s", NOTE_INDENT, "");
        }
        buf_append(&part, at, (size_t)(end - at));
    }
    progress_note(p, part.data != NULL ? (const char *)part.data : "");
}

void progress_free(struct progress *p)
{
    if (p == NULL)
        return;
    status_clear(p);
    flush(p);
    buf_done(&p->text);
    rundb_close(p->db);
    free(p);
}

/* ---- reading ---- */

/* True and the value when the metric is there. */
static bool metric(struct progress *p, int64_t stage, int64_t step, const char *name, double *ret)
{
    struct err e = {0};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    if (rundb_prepare(p->db,
            "SELECT value FROM metrics WHERE stage = ?1 AND step = ?2 AND name = ?3", &q, &e) < 0)
        return false;
    rundb_bind_int(q, 1, stage);
    rundb_bind_int(q, 2, step);
    rundb_bind_text(q, 3, name);
    if (rundb_next(q, &e) != 1)
        return false;
    *ret = rundb_real(q, 0);
    return true;
}

static bool read_stage(struct progress *p, int64_t stage, struct stage_view *ret)
{
    struct err e = {0};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    if (rundb_prepare(p->db, "SELECT name, steps, kind FROM stages WHERE stage = ?1", &q, &e) < 0)
        return false;
    rundb_bind_int(q, 1, stage);
    if (rundb_next(q, &e) != 1)
        return false;
    *ret = (struct stage_view){.stage = stage,
        .steps = rundb_int(q, 1),
        .pretrain = strcmp(rundb_text(q, 2), "grpo") != 0};
    (void)snprintf(ret->name, sizeof(ret->name), "%s", rundb_text(q, 0));
    return true;
}

static int64_t one_int(struct progress *p, const char *sql, int64_t a, int64_t b, int64_t otherwise)
{
    struct err e = {0};
    const int64_t binds[] = {a, b};
    int64_t v = otherwise;
    if (rundb_one_int(p->db, sql, binds, 2, &v, &e) < 0)
        return otherwise; /* asked again at the next poll */
    return v;
}

/* ---- a step's line ---- */

struct step_view {
    struct stage_view stage;
    int64_t step, tokens, wall_ms;
};

static void column_eta(struct progress *p, const struct step_view *s, char out[FIGURE_MAX])
{
    struct err e = {0};
    const int64_t binds[] = {s->stage.stage, s->step, RATE_STEPS};
    double mean_ms = NAN;
    int r = rundb_one_real(p->db,
        "SELECT avg(wall_ms) FROM (SELECT wall_ms FROM steps WHERE stage = ?1 AND step <= ?2 "
        "ORDER BY step DESC LIMIT ?3)",
        binds, 3, &mean_ms, &e);
    figure_duration(out, r == 1 ? (double)(s->stage.steps - s->step - 1) * mean_ms / 1000 : NAN);
}

/* What a speed is per: imitation only computes, the other stages wait for workers too. */
static double step_seconds(struct progress *p, const struct step_view *s)
{
    double train;
    if (s->stage.pretrain && metric(p, s->stage.stage, s->step, "seconds/train", &train))
        return train;
    return s->wall_ms > 0 ? (double)s->wall_ms / 1000 : NAN;
}

static void column_text(
    struct progress *p, const struct column *c, const struct step_view *s, char out[FIGURE_MAX])
{
    double v = NAN, more = 0;
    bool known = c->metric != NULL && metric(p, s->stage.stage, s->step, c->metric, &v);
    if (c->addend != NULL && metric(p, s->stage.stage, s->step, c->addend, &more))
        v = known ? v + more : more;
    if (c->kind == COLUMN_SPEED)
        v = (known ? v : (double)s->tokens) / step_seconds(p, s);
    if (c->kind == COLUMN_STEP)
        (void)snprintf(
            out, FIGURE_MAX, "%lld/%lld", (long long)s->step + 1, (long long)s->stage.steps);
    else if (c->kind == COLUMN_ETA)
        column_eta(p, s, out);
    else if (isnan(v))
        (void)snprintf(out, FIGURE_MAX, "-");
    else if (c->kind == COLUMN_SHARE)
        (void)snprintf(out, FIGURE_MAX, "%.*f%%", c->digits, 100 * v);
    else if (c->kind == COLUMN_SMALL)
        (void)snprintf(out, FIGURE_MAX, "%.*e", c->digits, v);
    else if (c->kind == COLUMN_SPEED)
        figure_count(out, v);
    else
        (void)snprintf(out, FIGURE_MAX, "%.*f", c->digits, v);
}

/* Columns of this rank and above do not fit. */
static int rank_limit(const struct progress *p, const struct column *columns, size_t n)
{
    for (int limit = 6; limit > 1; limit--) {
        int width = STAGE_WIDTH;
        for (size_t i = 0; i < n; i++)
            width += columns[i].rank < limit ? columns[i].width : 0;
        if (!p->o.terminal || p->o.width == 0 || width < p->o.width)
            return limit;
    }
    return 1;
}

static void print_header(struct progress *p, const struct stage_view *s,
    const struct column *columns, size_t n, int limit)
{
    bool again = p->o.terminal && p->lines_since_header >= HEADER_EVERY;
    if (p->header_stage == s->stage && !again)
        return;
    buf_printf(&p->text, "%-*s", STAGE_WIDTH, "stage");
    for (size_t i = 0; i < n; i++)
        if (columns[i].rank < limit)
            buf_printf(&p->text, "%*s", columns[i].width, columns[i].title);
    buf_puts(&p->text, "\n");
    p->header_stage = s->stage;
    p->lines_since_header = 0;
}

static void print_step(struct progress *p, const struct step_view *s)
{
    const struct column *columns = s->stage.pretrain ? pretrain_columns : grpo_columns;
    size_t n = s->stage.pretrain ? ARRAY_LEN(pretrain_columns) : ARRAY_LEN(grpo_columns);
    int limit = rank_limit(p, columns, n);
    status_clear(p);
    print_header(p, &s->stage, columns, n, limit);
    buf_printf(&p->text, "%-*s", STAGE_WIDTH, s->stage.name);
    for (size_t i = 0; i < n; i++) {
        char text[FIGURE_MAX];
        if (columns[i].rank >= limit)
            continue;
        column_text(p, &columns[i], s, text);
        buf_printf(&p->text, "%*s", columns[i].width, text);
    }
    buf_puts(&p->text, "\n");
    p->lines_since_header++;
}

/* Imitation has many short steps: some of them are enough. */
static bool step_is_shown(const struct step_view *s)
{
    if (!s->stage.pretrain || s->step + 1 == s->stage.steps)
        return true;
    int64_t every = s->stage.steps / PRETRAIN_LINES;
    every = every > PRETRAIN_EVERY ? every : s->stage.steps <= PRETRAIN_LINES ? 1 : PRETRAIN_EVERY;
    return (s->step + 1) % every == 0;
}

/* ---- evaluations ---- */

static void eval_rate(struct progress *p, int64_t stage, int64_t step, const char *name,
    const char *title, struct buf *out)
{
    char key[64];
    double mid, low, high;
    (void)snprintf(key, sizeof(key), "eval/%s", name);
    if (!metric(p, stage, step, key, &mid))
        return;
    buf_printf(out, "  %s %.1f%%", title, 100 * mid);
    (void)snprintf(key, sizeof(key), "eval/%s_low", name);
    bool has_low = metric(p, stage, step, key, &low);
    (void)snprintf(key, sizeof(key), "eval/%s_high", name);
    if (has_low && metric(p, stage, step, key, &high))
        buf_printf(out, " [%.1f, %.1f]", 100 * low, 100 * high);
}

static void print_eval(struct progress *p, int64_t stage, int64_t step)
{
    CLEANUP_BUF struct buf line = {0};
    struct stage_view s;
    double v;
    if (!read_stage(p, stage, &s))
        return;
    buf_printf(
        &line, "%-*s held-out tasks after step %lld:", STAGE_WIDTH - 1, s.name, (long long)step);
    eval_rate(p, stage, step, "pass@1", "pass@1", &line);
    eval_rate(p, stage, step, "greedy", "greedy", &line);
    eval_rate(p, stage, step, "format", "well-formed", &line);
    if (metric(p, stage, step, "eval/length", &v))
        buf_printf(&line, "  length %.1f", v);
    if (metric(p, stage, step, "eval/think_length", &v))
        buf_printf(&line, "  reasoning %.1f", v);
    note_parts(p, (const char *)line.data, "  ");
    p->lines_since_header++;
}

/* Evaluations up to the one before this step, or all when the step is beyond any. */
static void print_evals(struct progress *p, int64_t stage, int64_t step)
{
    struct err e = {0};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    if (rundb_prepare(p->db,
            "SELECT s.stage, m.step FROM stages s JOIN metrics m "
            "ON m.stage = s.stage AND m.name = 'eval/pass@1' "
            "WHERE (m.stage, m.step) > (?1, ?2) AND (m.stage, m.step) <= (?3, ?4) "
            "ORDER BY m.stage, m.step",
            &q, &e) < 0)
        return;
    rundb_bind_int(q, 1, p->eval_stage);
    rundb_bind_int(q, 2, p->eval);
    rundb_bind_int(q, 3, stage);
    rundb_bind_int(q, 4, step);
    while (rundb_next(q, &e) == 1) {
        p->eval_stage = rundb_int(q, 0);
        p->eval = rundb_int(q, 1);
        print_eval(p, p->eval_stage, p->eval);
    }
}

/* ---- polling ---- */

/* What an event is called in the progress; NULL: it is not shown. */
static const char *event_title(const char *level, const char *kind)
{
    if (strcmp(level, "alarm") == 0)
        return "alarm";
    if (strcmp(kind, "preflight") != 0)
        return NULL;
    return strcmp(level, "warn") == 0 ? "warning" : "preflight";
}

static void print_events(struct progress *p)
{
    struct err e = {0};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    if (rundb_prepare(p->db,
            "SELECT id, level, kind, subject, message FROM events WHERE id > ?1 ORDER BY id "
            "LIMIT 100",
            &q, &e) < 0)
        return;
    rundb_bind_int(q, 1, p->event);
    while (rundb_next(q, &e) == 1) {
        p->event = rundb_int(q, 0);
        const char *title = event_title(rundb_text(q, 1), rundb_text(q, 2));
        if (title == NULL)
            continue;
        const char *about = rundb_text(q, 3);
        CLEANUP_FREE char *line =
            mem_printf("%s: %s%s%s", title, about, about[0] != '\0' ? ": " : "", rundb_text(q, 4));
        note_parts(p, line, "; ");
    }
}

static void print_steps(struct progress *p)
{
    struct err e = {0};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    if (rundb_prepare(p->db,
            "SELECT stage, step, tokens, wall_ms FROM steps WHERE (stage, step) > (?1, ?2) "
            "ORDER BY stage, step LIMIT ?3",
            &q, &e) < 0)
        return;
    rundb_bind_int(q, 1, p->step_stage);
    rundb_bind_int(q, 2, p->step);
    rundb_bind_int(q, 3, STEPS_PER_POLL);
    while (rundb_next(q, &e) == 1) {
        struct step_view s = {
            .step = rundb_int(q, 1), .tokens = rundb_int(q, 2), .wall_ms = rundb_int(q, 3)};
        if (!read_stage(p, rundb_int(q, 0), &s.stage))
            return;
        print_evals(p, s.stage.stage, s.step);
        if (s.step == 0 && !s.stage.pretrain)
            print_events(p); /* the stage's preflight comes before its first line */
        p->step_stage = s.stage.stage;
        p->step = s.step;
        if (step_is_shown(&s))
            print_step(p, &s);
    }
}

/* "zero 13/60: 12 of 24 groups sampled, 8 scored" */
static void describe_work(struct progress *p, struct buf *out)
{
    struct stage_view s;
    int64_t stage = one_int(p, "SELECT stage FROM stages WHERE state = 'running'", 0, 0, -1);
    if (stage < 0 || !read_stage(p, stage, &s)) {
        buf_puts(out, "starting");
        return;
    }
    int64_t done = one_int(p, "SELECT count(*) FROM steps WHERE stage = ?1", stage, 0, 0);
    static const char counts[] =
        "SELECT %s FROM groups WHERE stage = ?1 AND step = ?2 AND purpose = '%s'";
    char sql[256];
    static const char *const purposes[] = {"eval", "train"};
    for (size_t i = 0; i < ARRAY_LEN(purposes); i++) {
        (void)snprintf(sql, sizeof(sql), counts, "count(*)", purposes[i]);
        int64_t all = one_int(p, sql, stage, done, 0);
        (void)snprintf(sql, sizeof(sql), counts, "sum(state <> 'planned')", purposes[i]);
        int64_t sampled = one_int(p, sql, stage, done, 0);
        (void)snprintf(sql, sizeof(sql), counts, "sum(state = 'scored')", purposes[i]);
        int64_t scored = one_int(p, sql, stage, done, 0);
        if (all == 0 || scored == all)
            continue;
        buf_printf(out, "%s %lld/%lld: %s%lld of %lld groups sampled, %lld scored", s.name,
            (long long)done, (long long)s.steps, i == 0 ? "evaluating, " : "", (long long)sampled,
            (long long)all, (long long)scored);
        return;
    }
    buf_printf(out, "%s %lld/%lld: learning", s.name, (long long)done, (long long)s.steps);
}

static void show_status(struct progress *p, const struct progress_children *c)
{
    CLEANUP_BUF struct buf line = {0};
    char time[FIGURE_MAX];
    if (p->db == NULL)
        buf_puts(&line, "starting");
    else
        describe_work(p, &line);
    buf_printf(&line, " | %u actor%s, %u reward server%s", c->actors, c->actors == 1 ? "" : "s",
        c->reward_servers, c->reward_servers == 1 ? "" : "s");
    if (c->restarts > 0)
        buf_printf(&line, ", %u restart%s", c->restarts, c->restarts == 1 ? "" : "s");
    buf_printf(&line, " | %s", figure_duration(time, c->seconds));
    if (c->stopping)
        buf_puts(&line, " | stopping, the state is being saved");
    status_show(p, (const char *)line.data);
}

static bool open_db(struct progress *p)
{
    struct err e = {0};
    return p->db != NULL || rundb_open(p->o.run_dir, &p->db, &e) == 0;
}

void progress_poll(struct progress *p, const struct progress_children *c)
{
    struct err e = {0};
    p->polling = true;
    if (open_db(p) && rundb_snapshot_begin(p->db, &e) == 0) {
        print_steps(p);
        print_evals(p, INT32_MAX, INT32_MAX);
        print_events(p);
        show_status(p, c);
        rundb_snapshot_end(p->db);
    } else {
        show_status(p, c);
    }
    p->polling = false;
    flush(p);
}

void progress_skip_past(struct progress *p)
{
    if (!open_db(p))
        return;
    p->step_stage = one_int(p, "SELECT max(stage) FROM steps", 0, 0, -1);
    p->step = one_int(p, "SELECT max(step) FROM steps WHERE stage = ?1", p->step_stage, 0, -1);
    p->eval_stage =
        one_int(p, "SELECT max(stage) FROM metrics WHERE name = 'eval/pass@1'", 0, 0, -1);
    p->eval = one_int(p, "SELECT max(step) FROM metrics WHERE name = 'eval/pass@1' AND stage = ?1",
        p->eval_stage, 0, -1);
    p->event = one_int(p, "SELECT max(id) FROM events", 0, 0, 0);
    struct stage_view s;
    if (p->step_stage < 0 || !read_stage(p, p->step_stage, &s))
        return;
    CLEANUP_FREE char *line = mem_printf("continuing after step %lld of %lld of stage %s",
        (long long)p->step + 1, (long long)s.steps, s.name);
    progress_note(p, line);
}
