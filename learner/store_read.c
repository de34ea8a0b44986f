/* store_read.c: what the stage thread asks of the tables. */
#include "learner/store_db.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Runs a query that is bound already and has at most one row: 1 found, 0 none. The caller reads the
 * columns and resets. */
static int first_row(struct store *s, int slot, int r, struct err *e)
{
    return r ? r : db_next(s, slot, e);
}

/* A read that fails closes the connection like a write: nothing of it is trusted further. */
static int done(struct store *s, int slot, int r, struct err *e)
{
    db_reset(s, slot);
    if (r < 0) {
        (void)store_broken(s, r);
        return err_ctx(e, "read the run's tables");
    }
    return r;
}

/* ---- plan ---- */

static int check_planned(struct store *s, const struct plan_item *p, uint64_t task, struct err *e)
{
    const struct {
        const char *name;
        uint64_t stored, now;
    } fields[] = {
        {"task", (uint64_t)db_int(s, SLOT_PLAN, 1), task},
        {"ordinal", (uint64_t)db_int(s, SLOT_PLAN, 2), p->ordinal},
        {"version", (uint64_t)db_int(s, SLOT_PLAN, 3), p->version},
        {"n", (uint64_t)db_int(s, SLOT_PLAN, 4), p->n},
        {"max_tokens", (uint64_t)db_int(s, SLOT_PLAN, 5), p->max_tokens},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (fields[i].stored != fields[i].now)
            return err_set(e, ERR_FAIL, "group %jd is planned with %s %ju, now it would be %ju",
                (intmax_t)db_int(s, SLOT_PLAN, 0), fields[i].name, (uintmax_t)fields[i].stored,
                (uintmax_t)fields[i].now);
    }
    if ((float)db_double(s, SLOT_PLAN, 6) != p->temperature)
        return err_set(e, ERR_FAIL, "group %jd is planned with another temperature",
            (intmax_t)db_int(s, SLOT_PLAN, 0));
    if (strcmp(db_text(s, SLOT_PLAN, 7), weights_type_name(p->weights_type)) != 0)
        return err_set(e, ERR_FAIL, "group %jd is planned with %s weights, now it would be %s",
            (intmax_t)db_int(s, SLOT_PLAN, 0), db_text(s, SLOT_PLAN, 7),
            weights_type_name(p->weights_type));
    return 0;
}

static int find_item(struct store *s, const struct plan_item *p, uint64_t *ret_group,
    uint64_t *ret_task, struct err *e)
{
    *ret_group = *ret_task = 0;
    int r = db_bind(s, SLOT_PLAN_TASK, "SELECT id FROM tasks WHERE data = ? AND row = ?", e, "ti",
        p->data, (int64_t)p->row);
    r = first_row(s, SLOT_PLAN_TASK, r, e);
    if (r == 1)
        *ret_task = (uint64_t)db_int(s, SLOT_PLAN_TASK, 0);
    db_reset(s, SLOT_PLAN_TASK);
    if (r < 0)
        return r;
    r = db_bind(s, SLOT_PLAN,
        "SELECT id, task, ordinal, version, n, max_tokens, temperature, weights_type FROM groups"
        " WHERE stage = ? AND step = ? AND purpose = ? AND mode = ? AND wave = ? AND slot = ?",
        e, "iittii", (int64_t)p->stage, (int64_t)p->step, purpose_name(p->purpose),
        sample_mode_name(p->mode), (int64_t)p->wave, (int64_t)p->slot);
    r = first_row(s, SLOT_PLAN, r, e);
    if (r == 1) {
        *ret_group = (uint64_t)db_int(s, SLOT_PLAN, 0);
        r = check_planned(s, p, *ret_task, e);
    }
    db_reset(s, SLOT_PLAN);
    return r;
}

int store_find_plan(struct store *s, const struct plan_item *plan, size_t n, uint64_t *ret_groups,
    uint64_t *ret_tasks, struct err *e)
{
    int r = store_ready(s, e);
    if (r)
        return r;
    for (size_t i = 0; i < n && r == 0; i++)
        r = find_item(s, &plan[i], &ret_groups[i], &ret_tasks[i], e);
    return done(s, SLOT_PLAN, r, e);
}

int store_find_groups(struct store *s, uint32_t stage, uint32_t step, enum purpose purpose,
    enum sample_mode mode, uint64_t **ret, size_t *ret_count, struct err *e)
{
    CLEANUP_BUF struct buf ids = {0};
    int r = store_ready(s, e);
    if (r)
        return r;
    r = db_bind(s, SLOT_ONE,
        "SELECT id FROM groups WHERE stage = ? AND step = ? AND purpose = ? AND mode = ?"
        " ORDER BY wave, slot",
        e, "iitt", (int64_t)stage, (int64_t)step, purpose_name(purpose), sample_mode_name(mode));
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        uint64_t id = (uint64_t)db_int(s, SLOT_ONE, 0);
        buf_append(&ids, &id, sizeof(id));
        r = 0;
    }
    r = done(s, SLOT_ONE, r, e);
    if (r)
        return r;
    *ret_count = ids.len / sizeof(uint64_t);
    *ret = ids.len ? mem_dup(ids.data, ids.len) : NULL;
    return 0;
}

/* ---- one row ---- */

int store_resume_state(struct store *s, struct resume_state *ret, struct err *e)
{
    struct resume_state state = {0};
    int r = store_ready(s, e);
    if (r)
        return r;
    r = db_bind(s, SLOT_ONE,
        "SELECT r.epoch, (SELECT max(version) FROM versions), c.updates, c.stage, c.step, c.path,"
        " c.manifest, c.digest FROM run r LEFT JOIN (SELECT * FROM checkpoints WHERE state = "
        "'valid'"
        " ORDER BY updates DESC LIMIT 1) c",
        e, "");
    r = first_row(s, SLOT_ONE, r, e);
    if (r == 1) {
        state.epoch = (uint32_t)db_int(s, SLOT_ONE, 0);
        state.has_version = !db_null(s, SLOT_ONE, 1);
        state.last_version = (uint64_t)db_int(s, SLOT_ONE, 1);
        state.has_checkpoint = !db_null(s, SLOT_ONE, 2);
        state.checkpoint_updates = (uint32_t)db_int(s, SLOT_ONE, 2);
        state.checkpoint_stage = (uint32_t)db_int(s, SLOT_ONE, 3);
        state.checkpoint_step = (uint32_t)db_int(s, SLOT_ONE, 4);
        (void)snprintf(
            state.checkpoint_path, sizeof(state.checkpoint_path), "%s", db_text(s, SLOT_ONE, 5));
        (void)db_hash(s, SLOT_ONE, 6, &state.checkpoint_manifest);
        (void)db_hash(s, SLOT_ONE, 7, &state.checkpoint_digest);
        *ret = state;
    }
    r = done(s, SLOT_ONE, r, e);
    return r < 0 ? r : 0;
}

int store_stage_row(struct store *s, uint32_t stage, struct stage_row *ret, struct err *e)
{
    struct stage_row row = {0};
    int r = store_ready(s, e);
    if (r)
        return r;
    r = db_bind(s, SLOT_ONE, "SELECT state, first_version FROM stages WHERE stage = ?", e, "i",
        (int64_t)stage);
    r = first_row(s, SLOT_ONE, r, e);
    if (r == 1) {
        row.started = strcmp(db_text(s, SLOT_ONE, 0), "waiting") != 0;
        row.finished = strcmp(db_text(s, SLOT_ONE, 0), "finished") == 0;
        row.failed = strcmp(db_text(s, SLOT_ONE, 0), "failed") == 0;
        row.first_version = (uint64_t)db_int(s, SLOT_ONE, 1);
        *ret = row;
    } else if (r == 0) {
        r = err_set(e, ERR_FAIL, "stage %u: the run has no such stage", stage);
    }
    r = done(s, SLOT_ONE, r, e);
    return r < 0 ? r : 0;
}

int store_step_row(
    struct store *s, uint32_t stage, uint32_t step, struct step_row *ret, struct err *e)
{
    struct step_row row = {0};
    int r = store_ready(s, e);
    if (r)
        return r;
    r = db_bind(s, SLOT_ONE,
        "SELECT version, updates, digest FROM steps WHERE stage = ? AND step = ?", e, "ii",
        (int64_t)stage, (int64_t)step);
    r = first_row(s, SLOT_ONE, r, e);
    if (r == 1) {
        row.committed = true;
        row.has_version = !db_null(s, SLOT_ONE, 0);
        row.version = (uint64_t)db_int(s, SLOT_ONE, 0);
        row.updates = (uint32_t)db_int(s, SLOT_ONE, 1);
        (void)db_hash(s, SLOT_ONE, 2, &row.digest);
    }
    r = done(s, SLOT_ONE, r, e);
    if (r < 0)
        return r;
    *ret = row;
    return 0;
}

int store_metric(
    struct store *s, uint32_t stage, uint32_t step, const char *name, double *ret, struct err *e)
{
    int r = store_ready(s, e);
    if (r)
        return r;
    r = db_bind(s, SLOT_ONE, "SELECT value FROM metrics WHERE stage = ? AND step = ? AND name = ?",
        e, "iit", (int64_t)stage, (int64_t)step, name);
    r = first_row(s, SLOT_ONE, r, e);
    if (r == 1)
        *ret = db_double(s, SLOT_ONE, 0);
    return done(s, SLOT_ONE, r, e);
}

int store_versions(struct store *s, struct version_row **ret, size_t *ret_count, struct err *e)
{
    CLEANUP_BUF struct buf rows = {0};
    int r = store_ready(s, e);
    if (r)
        return r;
    r = db_bind(s, SLOT_ONE,
        "SELECT version, path, EXISTS (SELECT 1 FROM groups g WHERE g.version = v.version AND"
        " g.state <> 'scored') FROM versions v WHERE path IS NOT NULL ORDER BY version",
        e, "");
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        struct version_row row = {
            .version = (uint64_t)db_int(s, SLOT_ONE, 0), .needed = db_int(s, SLOT_ONE, 2) != 0};
        (void)snprintf(row.path, sizeof(row.path), "%s", db_text(s, SLOT_ONE, 1));
        buf_append(&rows, &row, sizeof(row));
        r = 0;
    }
    r = done(s, SLOT_ONE, r, e);
    if (r)
        return r;
    *ret_count = rows.len / sizeof(struct version_row);
    *ret = rows.len ? mem_dup(rows.data, rows.len) : NULL;
    return 0;
}

int store_version_file(struct store *s, uint64_t version, struct version_file *ret, struct err *e)
{
    int r = store_ready(s, e);
    if (r)
        return r;
    r = db_bind(s, SLOT_ONE,
        "SELECT path, digest, bytes FROM versions WHERE version = ? AND path IS NOT NULL", e, "i",
        (int64_t)version);
    r = first_row(s, SLOT_ONE, r, e);
    if (r == 1) {
        (void)snprintf(ret->path, sizeof(ret->path), "%s", db_text(s, SLOT_ONE, 0));
        (void)db_hash(s, SLOT_ONE, 1, &ret->digest);
        ret->bytes = (uint64_t)db_int(s, SLOT_ONE, 2);
    }
    r = done(s, SLOT_ONE, r, e);
    if (r == 0)
        return err_set(e, ERR_LIMIT, "version %ju has no file", (uintmax_t)version);
    return r < 0 ? r : 0;
}
