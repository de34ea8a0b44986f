/* store_groups.c: groups with what was sampled: for the trainer, and as grade inputs. */
#include "learner/store_db.h"

#include <math.h>
#include <stdlib.h>

static int missing(struct store *s, const char *what, uint64_t id, struct err *e)
{
    return err_set(e, ERR_DATA, "'%s': %s of group %ju: not there, or not whole", s->db_path, what,
        (uintmax_t)id);
}

static int finish(struct store *s, int r, struct err *e, const char *what, uint64_t id)
{
    db_reset(s, SLOT_READ_GROUP);
    db_reset(s, SLOT_READ_COMPLETIONS);
    db_reset(s, SLOT_READ_SCORES);
    db_reset(s, SLOT_INPUT_JOB);
    if (r == 0)
        return 0;
    (void)store_broken(s, r);
    return err_ctx(e, "%s %ju", what, (uintmax_t)id);
}

/* ---- one group ---- */

static int read_row(struct store *s, uint64_t id, struct arena *a, struct stored_group *g,
    struct segment_place *place, struct err *e)
{
    int r = db_bind(s, SLOT_READ_GROUP,
        "SELECT g.ordinal, g.version, g.stage, g.step, g.slot, g.n, g.task, g.sample_us, g.segment,"
        " g.offset, g.length, t.prompt_ids FROM groups g JOIN tasks t ON t.id = g.task"
        " WHERE g.id = ? AND g.state <> 'planned'",
        e, "i", (int64_t)id);
    if (r == 0)
        r = db_next(s, SLOT_READ_GROUP, e);
    if (r <= 0)
        return r ? r : missing(s, "the row", id, e);
    if (db_null(s, SLOT_READ_GROUP, 8))
        return err_set(e, ERR_DATA,
            "group %ju: its samples are not kept any more ([learner] keep-samples = needed)",
            (uintmax_t)id);
    const void *prompt = sqlite3_column_blob(s->statements[SLOT_READ_GROUP], 11);
    int bytes = sqlite3_column_bytes(s->statements[SLOT_READ_GROUP], 11);
    *g = (struct stored_group){.id = id,
        .ordinal = (uint64_t)db_int(s, SLOT_READ_GROUP, 0),
        .version = (uint64_t)db_int(s, SLOT_READ_GROUP, 1),
        .stage = (uint32_t)db_int(s, SLOT_READ_GROUP, 2),
        .step = (uint32_t)db_int(s, SLOT_READ_GROUP, 3),
        .slot = (uint32_t)db_int(s, SLOT_READ_GROUP, 4),
        .n = (uint32_t)db_int(s, SLOT_READ_GROUP, 5),
        .task = (uint64_t)db_int(s, SLOT_READ_GROUP, 6),
        .sample_us = (uint64_t)db_int(s, SLOT_READ_GROUP, 7),
        .prompt = arena_dup(a, bytes ? prompt : "", (size_t)bytes),
        .prompt_len = (uint32_t)bytes / 4};
    *place = (struct segment_place){.segment = (uint32_t)db_int(s, SLOT_READ_GROUP, 8),
        .offset = (uint64_t)db_int(s, SLOT_READ_GROUP, 9),
        .length = (uint64_t)db_int(s, SLOT_READ_GROUP, 10)};
    db_reset(s, SLOT_READ_GROUP);
    return g->n == 0 || g->n > LIMIT_GROUP ? missing(s, "its size", id, e) : 0;
}

/* Fills everything but tokens and log-probs. */
static int read_completions(
    struct store *s, struct stored_group *g, const struct completion *sampled, struct err *e)
{
    uint32_t count = 0;
    int r = db_bind(s, SLOT_READ_COMPLETIONS,
        "SELECT idx, tokens, think_tokens, stop, reward, verdict FROM completions WHERE group_id = "
        "?"
        " ORDER BY idx",
        e, "i", (int64_t)g->id);
    while (r == 0 && (r = db_next(s, SLOT_READ_COMPLETIONS, e)) == 1) {
        if (count == g->n || db_int(s, SLOT_READ_COMPLETIONS, 0) != count ||
            db_int(s, SLOT_READ_COMPLETIONS, 1) != sampled[count].len)
            return missing(s, "a completion", g->id, e);
        int verdict = verdict_parse(db_text(s, SLOT_READ_COMPLETIONS, 5));
        g->completions[count] = (struct stored_completion){.tokens = sampled[count].tokens,
            .logp = sampled[count].logp,
            .len = sampled[count].len,
            .think_tokens = (uint32_t)db_int(s, SLOT_READ_COMPLETIONS, 2),
            .stop =
                strcmp(db_text(s, SLOT_READ_COMPLETIONS, 3), "eos") == 0 ? STOP_EOS : STOP_LENGTH,
            .scored = !db_null(s, SLOT_READ_COMPLETIONS, 4),
            .reward = db_double(s, SLOT_READ_COMPLETIONS, 4),
            .verdict = verdict < 0 ? VERDICT_JUDGE_FAULT : (enum verdict)verdict};
        count++;
        r = 0;
    }
    if (r == 0 && count != g->n)
        return missing(s, "a completion", g->id, e);
    return r;
}

static int read_scores(struct store *s, struct stored_group *g, struct arena *a, struct err *e)
{
    size_t scorers = s->o.scorer_count;
    double *component = arena_alloc(a, g->n * scorers * sizeof(*component));
    for (size_t i = 0; i < g->n * scorers; i++)
        component[i] = NAN;
    for (uint32_t i = 0; i < g->n; i++)
        g->completions[i].component = component + i * scorers;
    int r = db_bind(s, SLOT_READ_SCORES, "SELECT idx, scorer, value FROM scores WHERE group_id = ?",
        e, "i", (int64_t)g->id);
    while (r == 0 && (r = db_next(s, SLOT_READ_SCORES, e)) == 1) {
        int64_t index = db_int(s, SLOT_READ_SCORES, 0);
        int k = db_word(db_text(s, SLOT_READ_SCORES, 1), s->o.scorers, (int)scorers);
        if (k < 0 || index < 0 || index >= g->n)
            return missing(s, "a score's completion or scorer", g->id, e);
        component[(size_t)index * scorers + (size_t)k] = db_double(s, SLOT_READ_SCORES, 2);
        r = 0;
    }
    return r;
}

static int read_group(
    struct store *s, uint64_t id, struct arena *a, struct stored_group *g, struct err *e)
{
    struct segment_place place = {0};
    int r = read_row(s, id, a, g, &place, e);
    if (r)
        return r;
    struct completion *sampled = arena_alloc(a, g->n * sizeof(*sampled));
    g->completions = arena_alloc(a, g->n * sizeof(*g->completions));
    r = segment_read(s->segments, &place, id, g->n, a, sampled, e);
    if (r == 0)
        r = read_completions(s, g, sampled, e);
    return r ? r : read_scores(s, g, a, e);
}

int store_read_groups(
    struct store *s, const uint64_t *groups, size_t n, struct stored_groups **ret, struct err *e)
{
    int r = store_ready(s, e);
    if (r)
        return r;
    struct stored_groups *g = mem_alloc(sizeof(*g));
    g->arena = arena_new(0);
    g->count = n;
    g->groups = arena_alloc(g->arena, n * sizeof(*g->groups));
    for (size_t i = 0; i < n && r == 0; i++) {
        r = read_group(s, groups[i], g->arena, &g->groups[i], e);
        r = finish(s, r, e, "read group", groups[i]);
    }
    if (r) {
        stored_groups_free(g);
        return r;
    }
    *ret = g;
    return 0;
}

void stored_groups_free(struct stored_groups *g)
{
    if (!g)
        return;
    arena_free(g->arena);
    free(g);
}

/* ---- grade inputs ---- */

/* The task of the job's group, and which completions are asked for. */
static int read_task(struct store *s, uint64_t job, struct arena *a, struct grade_input *in,
    const char **ret_members, struct err *e)
{
    int r = db_bind(s, SLOT_INPUT_JOB,
        "SELECT j.members, t.row_key, t.prompt, t.json FROM jobs j JOIN groups g ON g.id = "
        "j.group_id"
        " JOIN tasks t ON t.id = g.task WHERE j.id = ? AND j.kind = 'grade'",
        e, "i", (int64_t)job);
    if (r == 0)
        r = db_next(s, SLOT_INPUT_JOB, e);
    if (r <= 0)
        return r ? r : err_set(e, ERR_DATA, "'%s': no grade job %ju", s->db_path, (uintmax_t)job);
    CLEANUP_BUF struct buf prompt = {0};
    text_unescape(&prompt, db_text(s, SLOT_INPUT_JOB, 2));
    *ret_members = arena_strdup(a, db_text(s, SLOT_INPUT_JOB, 0));
    in->group = job / JOBS_PER_GROUP;
    in->seed = s->o.seed;
    in->row_key = arena_strdup(a, db_text(s, SLOT_INPUT_JOB, 1));
    in->prompt = arena_dup(a, prompt.len ? prompt.data : (const void *)"", prompt.len);
    in->prompt_len = prompt.len;
    in->task_json = arena_strdup(a, db_text(s, SLOT_INPUT_JOB, 3));
    in->scorers = s->o.scorer_specs;
    in->scorer_count = s->o.scorer_count;
    db_reset(s, SLOT_INPUT_JOB);
    return 0;
}

static struct grade_text text_of(
    const struct store *s, const struct stored_group *g, uint32_t index, struct arena *a)
{
    const struct stored_completion *c = &g->completions[index];
    struct completion sampled = {.tokens = c->tokens, .len = c->len, .stop = c->stop};
    CLEANUP_BUF struct buf text = {0};
    completion_text(s, &sampled, &text);
    return (struct grade_text){.index = index,
        .tokens = c->len,
        .text = arena_dup(a, text.len ? text.data : (const void *)"", text.len),
        .text_len = text.len,
        .truncated = c->stop == STOP_LENGTH};
}

static int build_input(
    struct store *s, uint64_t job, struct arena *a, struct buf *out, struct err *e)
{
    struct grade_input in = {0};
    struct stored_group g;
    const char *text = "";
    const uint32_t *members = NULL;
    uint32_t count = 0;
    int r = read_task(s, job, a, &in, &text, e);
    if (r == 0)
        r = read_group(s, in.group, a, &g, e);
    if (r == 0 && !members_parse(text, g.n, a, &members, &count))
        r = err_set(
            e, ERR_DATA, "'%s': job %ju: members '%.50s'", s->db_path, (uintmax_t)job, text);
    if (r)
        return r;
    in.completion_count = count ? count : g.n;
    struct grade_text *texts = arena_alloc(a, in.completion_count * sizeof(*texts));
    for (uint32_t i = 0; i < in.completion_count; i++)
        texts[i] = text_of(s, &g, count ? members[i] : i, a);
    in.completions = texts;
    grade_input_pack(out, &in);
    return 0;
}

int store_grade_input(struct store *s, uint64_t job, struct buf *out, struct err *e)
{
    int r = store_ready(s, e);
    if (r)
        return r;
    struct arena *a = arena_new(0);
    r = build_input(s, job, a, out, e);
    arena_free(a);
    return finish(s, r, e, "build the grade input of job", job);
}
