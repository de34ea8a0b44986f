/* store_load.c: the snapshot that a hub starts from: everything that is not finished, and the
 * counters. */
#include "learner/store_db.h"

#include <math.h>
#include <stdlib.h>

/* Appends an item to a growing array in buf. */
#define PUSH(buf, item) buf_append((buf), &(item), sizeof(item))

/* Hands the array over to the arena. */
static const void *keep(struct arena *a, const struct buf *b)
{
    return arena_dup(a, b->len ? b->data : (const void *)"", b->len);
}

/* Words come from columns with a CHECK; an unknown one means a database that somebody else wrote.
 */
static int word_of(struct store *s, int slot, int column, const char *const *names, int count,
    int *ret, struct err *e)
{
    *ret = db_word(db_text(s, slot, column), names, count);
    return *ret < 0 ? err_set(e, ERR_DATA, "'%s': unknown word '%.50s'", s->db_path,
                          db_text(s, slot, column))
                    : 0;
}

static int load_counters(struct store *s, struct snapshot *ret, struct err *e)
{
    int r = db_bind(s, SLOT_ONE,
        "SELECT epoch, commits, (SELECT coalesce(max(id), 0) FROM groups),"
        " (SELECT coalesce(max(id), 0) FROM tasks), (SELECT coalesce(max(id), 0) FROM leases) FROM "
        "run",
        e, "");
    if (r == 0)
        r = db_next(s, SLOT_ONE, e);
    if (r == 1) {
        ret->epoch = (uint32_t)db_int(s, SLOT_ONE, 0);
        ret->commits = (uint64_t)db_int(s, SLOT_ONE, 1);
        ret->last_group = (uint64_t)db_int(s, SLOT_ONE, 2);
        ret->last_task = (uint64_t)db_int(s, SLOT_ONE, 3);
        ret->last_lease = (uint64_t)db_int(s, SLOT_ONE, 4);
    }
    db_reset(s, SLOT_ONE);
    return r < 0 ? r : 0;
}

/* ---- groups ---- */

static int load_rewards(struct store *s, struct arena *a, struct snapshot_group *g, struct err *e)
{
    double *reward = arena_alloc(a, g->n * sizeof(*reward));
    for (uint32_t i = 0; i < g->n; i++)
        reward[i] = NAN;
    int r = db_bind(s, SLOT_LOAD_REWARDS, "SELECT idx, reward FROM completions WHERE group_id = ?",
        e, "i", (int64_t)g->id);
    while (r == 0 && (r = db_next(s, SLOT_LOAD_REWARDS, e)) == 1) {
        int64_t index = db_int(s, SLOT_LOAD_REWARDS, 0);
        if (index >= 0 && index < g->n)
            reward[index] = db_double(s, SLOT_LOAD_REWARDS, 1);
        r = 0;
    }
    db_reset(s, SLOT_LOAD_REWARDS);
    g->reward = reward;
    return r;
}

static int read_group(struct store *s, struct arena *a, struct snapshot_group *g, struct err *e)
{
    const void *prompt = sqlite3_column_blob(s->statements[SLOT_LOAD_GROUPS], 8);
    int bytes = sqlite3_column_bytes(s->statements[SLOT_LOAD_GROUPS], 8);
    *g = (struct snapshot_group){.id = (uint64_t)db_int(s, SLOT_LOAD_GROUPS, 0),
        .ordinal = (uint64_t)db_int(s, SLOT_LOAD_GROUPS, 1),
        .version = (uint64_t)db_int(s, SLOT_LOAD_GROUPS, 2),
        .stage = (uint32_t)db_int(s, SLOT_LOAD_GROUPS, 3),
        .n = (uint32_t)db_int(s, SLOT_LOAD_GROUPS, 4),
        .max_tokens = (uint32_t)db_int(s, SLOT_LOAD_GROUPS, 5),
        .temperature = (float)db_double(s, SLOT_LOAD_GROUPS, 6),
        .jobs = (uint32_t)db_int(s, SLOT_LOAD_GROUPS, 7),
        .prompt = arena_dup(a, bytes ? prompt : "", (size_t)bytes),
        .prompt_len = (uint32_t)bytes / 4,
        .purpose =
            strcmp(db_text(s, SLOT_LOAD_GROUPS, 9), "train") == 0 ? PURPOSE_TRAIN : PURPOSE_EVAL,
        .state = strcmp(db_text(s, SLOT_LOAD_GROUPS, 10), "sampled") == 0 ? GROUP_SAMPLED
                                                                          : GROUP_PLANNED};
    int type = weights_type_parse(db_text(s, SLOT_LOAD_GROUPS, 11));
    if (type < 0)
        return err_set(e, ERR_DATA, "'%s': group %ju has weights type '%s'", s->db_path,
            (uintmax_t)g->id, db_text(s, SLOT_LOAD_GROUPS, 11));
    g->weights_type = (enum weights_type)type;
    if (g->n == 0 || g->n > LIMIT_GROUP || bytes == 0 || bytes % 4)
        return err_set(e, ERR_DATA, "'%s': group %ju has %u completions and a prompt of %d bytes",
            s->db_path, (uintmax_t)g->id, g->n, bytes);
    return 0;
}

static int load_groups(struct store *s, struct snapshot *ret, struct err *e)
{
    CLEANUP_BUF struct buf groups = {0};
    int r = db_bind(s, SLOT_LOAD_GROUPS,
        "SELECT g.id, g.ordinal, g.version, g.stage, g.n, g.max_tokens, g.temperature,"
        " (SELECT max(j.id) % 64 + 1 FROM jobs j WHERE"
        "  j.id BETWEEN g.id * 64 AND g.id * 64 + 63), t.prompt_ids, g.purpose, g.state,"
        " g.weights_type"
        " FROM groups g JOIN tasks t ON t.id = g.task WHERE g.state <> 'scored' ORDER BY g.id",
        e, "");
    while (r == 0 && (r = db_next(s, SLOT_LOAD_GROUPS, e)) == 1) {
        struct snapshot_group g;
        r = read_group(s, ret->arena, &g, e);
        if (r == 0 && g.state == GROUP_SAMPLED)
            r = load_rewards(s, ret->arena, &g, e);
        PUSH(&groups, g);
    }
    db_reset(s, SLOT_LOAD_GROUPS);
    ret->groups = keep(ret->arena, &groups);
    ret->group_count = groups.len / sizeof(struct snapshot_group);
    return r;
}

/* ---- jobs and leases ---- */

static const struct snapshot_group *find_group(const struct snapshot *s, uint64_t id)
{
    size_t low = 0, high = s->group_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->groups[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->group_count && s->groups[low].id == id ? &s->groups[low] : NULL;
}

static int read_job(struct store *s, struct snapshot *ret, struct snapshot_job *j, struct err *e)
{
    static const char *const kinds[] = {"sample", "grade"};
    int kind = 0;
    int r = word_of(s, SLOT_ONE, 1, kinds, ARRAY_LEN(kinds), &kind, e);
    *j = (struct snapshot_job){.id = (uint64_t)db_int(s, SLOT_ONE, 0),
        .kind = (enum job_kind)kind,
        .attempts = (uint32_t)db_int(s, SLOT_ONE, 2),
        .faults = (uint32_t)db_int(s, SLOT_ONE, 3)};
    const struct snapshot_group *g = find_group(ret, j->id / JOBS_PER_GROUP);
    if (r == 0 && (!g || !members_parse(db_text(s, SLOT_ONE, 4), g->n, ret->arena, &j->members,
                             &j->member_count)))
        r = err_set(e, ERR_DATA, "'%s': job %ju: members '%.50s' of %s group", s->db_path,
            (uintmax_t)j->id, db_text(s, SLOT_ONE, 4), g ? "an open" : "no open");
    return r;
}

static int load_jobs(struct store *s, struct snapshot *ret, struct err *e)
{
    CLEANUP_BUF struct buf jobs = {0};
    int r = db_bind(s, SLOT_ONE,
        "SELECT id, kind, attempts, faults, members FROM jobs WHERE state <> 'done' ORDER BY id", e,
        "");
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        struct snapshot_job j;
        r = read_job(s, ret, &j, e);
        PUSH(&jobs, j);
    }
    db_reset(s, SLOT_ONE);
    ret->jobs = keep(ret->arena, &jobs);
    ret->job_count = jobs.len / sizeof(struct snapshot_job);
    return r;
}

static bool is_open_job(const struct snapshot *s, uint64_t id)
{
    size_t low = 0, high = s->job_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->jobs[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->job_count && s->jobs[low].id == id;
}

static int load_leases(struct store *s, struct snapshot *ret, struct err *e)
{
    static const char *const outcomes[] = {
        NULL, "submitted", "expired", "released", "lost", "rejected"};
    CLEANUP_BUF struct buf leases = {0};
    int r = db_bind(s, SLOT_ONE,
        "SELECT id, job, worker, outcome, result FROM leases WHERE ended_ms IS NULL OR id > ?"
        " ORDER BY id",
        e, "i", (int64_t)ret->last_lease - LEASES_REMEMBERED);
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        int outcome = LEASE_LIVE;
        r = db_null(s, SLOT_ONE, 3)
                ? 0
                : word_of(s, SLOT_ONE, 3, outcomes, ARRAY_LEN(outcomes), &outcome, e);
        struct snapshot_lease l = {.id = (uint64_t)db_int(s, SLOT_ONE, 0),
            .job = (uint64_t)db_int(s, SLOT_ONE, 1),
            .worker = arena_strdup(ret->arena, db_text(s, SLOT_ONE, 2)),
            .outcome = (enum lease_outcome)outcome};
        if (r == 0 && outcome == LEASE_LIVE && !is_open_job(ret, l.job))
            r = err_set(e, ERR_DATA, "'%s': live lease %ju of job %ju, which is done", s->db_path,
                (uintmax_t)l.id, (uintmax_t)l.job);
        (void)db_hash(s, SLOT_ONE, 4, &l.result); /* NULL of one that was not submitted: zeros */
        PUSH(&leases, l);
    }
    db_reset(s, SLOT_ONE);
    ret->leases = keep(ret->arena, &leases);
    ret->lease_count = leases.len / sizeof(struct snapshot_lease);
    return r;
}

/* ---- versions and workers ---- */

static int load_versions(struct store *s, struct snapshot *ret, struct err *e)
{
    CLEANUP_BUF struct buf versions = {0};
    int r = db_bind(s, SLOT_ONE,
        "SELECT version, digest FROM versions WHERE path IS NOT NULL ORDER BY version", e, "");
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        struct snapshot_version v = {.version = (uint64_t)db_int(s, SLOT_ONE, 0)};
        r = db_hash(s, SLOT_ONE, 1, &v.digest)
                ? 0
                : err_set(e, ERR_DATA, "'%s': version %ju has no digest", s->db_path,
                      (uintmax_t)v.version);
        PUSH(&versions, v);
    }
    db_reset(s, SLOT_ONE);
    ret->versions = keep(ret->arena, &versions);
    ret->version_count = versions.len / sizeof(struct snapshot_version);
    return r;
}

static int load_workers(struct store *s, struct snapshot *ret, struct err *e)
{
    CLEANUP_BUF struct buf workers = {0};
    int r = db_bind(s, SLOT_ONE, "SELECT name, role FROM workers ORDER BY name", e, "");
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        struct snapshot_worker w = {.name = arena_strdup(ret->arena, db_text(s, SLOT_ONE, 0)),
            .role = strcmp(db_text(s, SLOT_ONE, 1), "actor") == 0 ? ROLE_ACTOR : ROLE_REWARD};
        PUSH(&workers, w);
        r = 0;
    }
    db_reset(s, SLOT_ONE);
    ret->workers = keep(ret->arena, &workers);
    ret->worker_count = workers.len / sizeof(struct snapshot_worker);
    return r;
}

/* ---- all ---- */

int store_snapshot(struct store *s, struct snapshot *ret, struct err *e)
{
    static int (*const parts[])(struct store *, struct snapshot *, struct err *) = {
        load_counters, load_groups, load_jobs, load_leases, load_versions, load_workers};
    struct snapshot snapshot = {.arena = arena_new(0)};
    int r = store_ready(s, e);
    if (r == 0)
        r = db_exec(s, "BEGIN", e); /* one state of the tables for all parts */
    for (size_t i = 0; i < ARRAY_LEN(parts) && r == 0; i++)
        r = parts[i](s, &snapshot, e);
    if (r == 0)
        r = db_exec(s, "COMMIT", e);
    if (r) {
        snapshot_done(&snapshot);
        return store_broken(s, err_ctx(e, "load the state of the run"));
    }
    *ret = snapshot;
    return 0;
}
