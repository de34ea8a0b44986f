/* inspect.c: `cohort inspect`: a run as tables. What is shown is a table of subjects below, each a
 * list or a page of sections, each section one query on the views.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/display.h"
#include "cli/table.h"
#include "common/base/mem.h"
#include "proto/limits.h"

enum { KEY_JSON = 256, KEY_LIMIT, ROWS_SHOWN = 40, SECTIONS_MAX = 6 };

/* One query; ?1 is the number after the subject where there is one. */
struct section {
    const char *name, *title; /* name is its key in JSON */
    const char *sql;
    bool single;       /* one row, shown as a list of its columns */
    bool newest_first; /* as it is read; shown the other way round */
    size_t rows_max;   /* of a page that people read; 0: all */
};

struct subject {
    const char *name;
    bool wants_id;
    bool page; /* several sections, one JSON object; else the one section's rows, JSONL */
    struct section sections[SECTIONS_MAX];
};

/* ---- the queries ---- */

static const char run_sql[] = "SELECT * FROM v_run";

static const char stages_sql[] =
    "SELECT name AS stage, kind, state,"
    "  (SELECT count(*) FROM steps x WHERE x.stage = s.stage) AS done, steps,"
    "  (finished_ms - started_ms) / 1000.0 AS seconds "
    "FROM stages s ORDER BY s.stage";

static const char last_step_sql[] =
    "SELECT stage, step, reward, pass_rate, tokens_mean AS length, truncated, tied_groups AS tied,"
    "  lag, seconds, committed "
    "FROM v_steps ORDER BY updates DESC LIMIT 1";

static const char evaluations_sql[] =
    "SELECT v.stage, step, mode, version, completions, pass_rate, reward, tokens_mean AS length,"
    "  think_tokens_mean AS think, truncated "
    "FROM v_evals v JOIN stages st ON st.name = v.stage ORDER BY st.stage DESC, step DESC, mode";

static const char workers_sql[] =
    "SELECT name, role, state, host, seen, live_leases AS leases, groups, jobs, tokens, sessions "
    "FROM v_workers ORDER BY role, name";

static const char alarms_sql[] =
    "SELECT id, at, kind, subject, message FROM v_alarms ORDER BY id DESC";

static const char steps_sql[] =
    "SELECT v.stage, v.step, version, reward, pass_rate, tokens_mean AS length,"
    "  think_tokens_mean AS think, truncated, tied_groups AS tied,"
    "  (SELECT value FROM metrics m"
    "    WHERE m.stage = st.stage AND m.step = v.step AND m.name = 'entropy') AS entropy,"
    "  (SELECT value FROM metrics m"
    "    WHERE m.stage = st.stage AND m.step = v.step AND m.name = 'kl_ref') AS kl,"
    "  (SELECT value FROM metrics m"
    "    WHERE m.stage = st.stage AND m.step = v.step AND m.name = 'loss') AS loss,"
    "  lag, seconds, unscored "
    "FROM v_steps v JOIN stages st ON st.name = v.stage ORDER BY st.stage DESC, v.step DESC";

static const char groups_sql[] =
    "SELECT id, stage, step, purpose, mode, state, prompt, version, lag, reward, reward_std AS std,"
    "  pass_rate, tied, minibatch, worker "
    "FROM v_groups ORDER BY id DESC";

static const char group_sql[] = "SELECT * FROM v_groups WHERE id = ?1";

static const char completions_sql[] =
    "SELECT id, reward, verdict, advantage, stop, tokens, think_tokens AS think, logp_sum AS logp,"
    "  text "
    "FROM v_completions WHERE group_id = ?1 ORDER BY id";

static const char scores_sql[] =
    "SELECT group_id * 1024 + idx AS completion, scorer, value, verdict, fault, extracted, reason "
    "FROM scores WHERE group_id = ?1 ORDER BY 1, 2";

static const char verdicts_sql[] =
    "SELECT v.stage, step, purpose, scorer, verdict, completions, value_mean AS value, example,"
    "  reason "
    "FROM v_verdicts v JOIN stages st ON st.name = v.stage "
    "ORDER BY st.stage DESC, step DESC, purpose DESC, scorer DESC, completions";

static const char events_sql[] =
    "SELECT id, at, level, kind, subject, message FROM v_events ORDER BY id DESC";

static const struct subject subjects[] = {
    {.name = "overview",
        .page = true,
        .sections = {{"run", "Run", run_sql, .single = true}, {"stages", "Stages", stages_sql},
            {"last_step", "Last step", last_step_sql, .single = true},
            {"evaluations", "Evaluations", evaluations_sql, .newest_first = true, .rows_max = 12},
            {"workers", "Workers", workers_sql},
            {"alarms", "Alarms", alarms_sql, .newest_first = true, .rows_max = 5}}},
    {.name = "group",
        .wants_id = true,
        .page = true,
        .sections = {{"group", "Group", group_sql, .single = true},
            {"completions", "Completions", completions_sql}, {"scores", "Scores", scores_sql}}},
    {.name = "steps", .sections = {{.sql = steps_sql, .newest_first = true}}},
    {.name = "groups", .sections = {{.sql = groups_sql, .newest_first = true}}},
    {.name = "workers", .sections = {{.sql = workers_sql}}},
    {.name = "verdicts", .sections = {{.sql = verdicts_sql, .newest_first = true}}},
    {.name = "events", .sections = {{.sql = events_sql, .newest_first = true}}},
};

struct inspect_args {
    const char *run, *subject_name, *id_text;
    const struct subject *subject;
    uint64_t id;
    size_t limit; /* 0: all; SIZE_MAX: not given */
    bool json;
};

static int read_section(struct rundb *db, const struct section *s, const struct inspect_args *args,
    size_t rows_max, struct table *ret, bool *ret_more, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(db, s->sql, &q, e);
    if (rc < 0)
        return rc;
    if (args->subject->wants_id)
        rundb_bind_int(q, 1, (int64_t)args->id);
    return table_read(q, rows_max > 0 ? rows_max : SIZE_MAX, s->newest_first, ret, ret_more, e);
}

static void print_json(json_t *value)
{
    (void)json_dumpf(
        value, stdout, JSON_REAL_PRECISION(15)); /* main.c looks for errors of stdout */
    (void)putchar('\n');
    json_decref(value);
}

/* ---- lists ---- */

static int show_list(struct rundb *db, const struct inspect_args *args, struct err *e)
{
    struct table t;
    bool more;
    if (read_section(db, &args->subject->sections[0], args, args->limit, &t, &more, e) < 0)
        return e->code;
    if (args->json) {
        for (size_t i = 0; i < table_rows(&t); i++)
            print_json(table_json_row(&t, i));
    } else if (table_rows(&t) == 0) {
        printf("no %s yet\n", args->subject->name);
    } else {
        table_print(&t, "", display_terminal_width(), stdout);
        if (more)
            printf("the newest %zu; --limit 0 shows all\n", table_rows(&t));
    }
    table_done(&t);
    return 0;
}

/* ---- pages ---- */

static void show_section(const struct section *s, const struct table *t)
{
    if (table_rows(t) == 0)
        return;
    printf("%s\n", s->title);
    if (s->single)
        table_print_row(t, "  ", stdout);
    else
        table_print(t, "  ", display_terminal_width(), stdout);
    (void)putchar('\n');
}

static json_t *section_json(const struct section *s, const struct table *t)
{
    if (!s->single)
        return table_json(t);
    return table_rows(t) > 0 ? table_json_row(t, 0) : json_null();
}

static int show_page(struct rundb *db, const struct inspect_args *args, struct err *e)
{
    json_t *page = json_object();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < SECTIONS_MAX; i++) {
        const struct section *s = &args->subject->sections[i];
        struct table t;
        bool more;
        if (s->sql == NULL)
            break;
        rc = read_section(db, s, args, args->json ? 0 : s->rows_max, &t, &more, e);
        if (rc < 0)
            break;
        if (args->subject->wants_id && i == 0 && table_rows(&t) == 0)
            rc = err_set(e, ERR_DATA, "%s: there is no group %llu", rundb_dir(db),
                (unsigned long long)args->id);
        else if (args->json)
            json_object_set_new(page, s->name, section_json(s, &t));
        else
            show_section(s, &t);
        table_done(&t);
    }
    if (rc == 0 && args->json)
        print_json(json_incref(page));
    json_decref(page);
    return rc;
}

static int inspect(const struct inspect_args *args, struct err *e)
{
    struct rundb *db = NULL;
    int rc = rundb_open(args->run, &db, e);
    if (rc < 0)
        return rc;
    rc = rundb_snapshot_begin(db, e); /* the sections of a page agree with each other */
    if (rc == 0)
        rc = args->subject->page ? show_page(db, args, e) : show_list(db, args, e);
    rundb_snapshot_end(db);
    rundb_close(db);
    return rc;
}

/* ---- the command ---- */

static const struct subject *find_subject(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
        if (strcmp(subjects[i].name, name) == 0)
            return &subjects[i];
    return NULL;
}

static void take_word(struct inspect_args *args, char *arg, struct argp_state *state)
{
    if (args->run == NULL)
        args->run = arg;
    else if (args->subject_name == NULL)
        args->subject_name = arg;
    else
        args_take(&args->id_text, arg, "GROUP_ID", state);
}

static void check_words(struct inspect_args *args, struct argp_state *state)
{
    if (args->run == NULL)
        argp_error(state, "a RUN directory is needed");
    if (args->limit == SIZE_MAX)
        args->limit = args->json ? 0 : ROWS_SHOWN;
    args->subject = find_subject(args->subject_name != NULL ? args->subject_name : "overview");
    if (args->subject == NULL)
        argp_error(state,
            "'%s': expected steps, groups, group ID, workers, verdicts or events, or nothing for "
            "the overview",
            args->subject_name);
    if (args->subject->wants_id != (args->id_text != NULL))
        argp_error(state,
            args->subject->wants_id ? "'%s': a group id is needed, e.g. group 12"
                                    : "'%s' takes no id",
            args->subject->name);
    if (args->id_text != NULL)
        args->id = args_integer(args->id_text, "GROUP_ID", 1, INT64_MAX / LIMIT_GROUP, state);
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct inspect_args *args = state->input;
    switch (key) {
    case KEY_JSON:
        args->json = true;
        return 0;
    case KEY_LIMIT:
        args->limit = args_integer(arg, "--limit", 0, 1000000000, state);
        return 0;
    case ARGP_KEY_ARG:
        take_word(args, arg, state);
        return 0;
    case ARGP_KEY_END:
        check_words(args, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_inspect(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", KEY_JSON, NULL, 0, "one JSON object per row; one in all for overview and group",
            0},
        {"limit", KEY_LIMIT, "N", 0, "rows of a list, the newest (40; with --json all); 0: all", 0},
        {0}};
    static const struct argp argp = {.options = options,
        .parser = parse_opt,
        .args_doc = "RUN [steps|groups|group ID|workers|verdicts|events]",
        .doc = "Shows a run, while it goes on or afterwards; without a subject an overview. It "
               "only reads.\v"
               "Example:\n"
               "  cohort inspect quickstart-run\n"
               "  cohort inspect quickstart-run steps --json | jq .reward\n"
               "  cohort inspect quickstart-run group 4711\n"
               "The same tables in SQL: sqlite3 -readonly quickstart-run/run.db, views v_steps, "
               "v_groups, v_completions, v_scores, v_verdicts, v_workers, v_evals, v_events\n"};
    struct inspect_args args = {.limit = SIZE_MAX};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    int rc = inspect(&args, &e);
    return rc < 0 ? command_failed("inspect", &e) : 0;
}
