/* store_apply.c: one batch of row effects, durably: segments first, then one transaction (G1). */
#include "learner/store_db.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"

/* What the transaction needs beside the rows: where the segment records went, in row order. */
struct applying {
    struct store *s;
    const struct segment_place *places;
    size_t place_next;
    bool checkpoints_changed;
};

typedef int apply_fn(struct applying *a, const struct row *row, struct err *e);

/* An update that must meet its row: none means that hub and tables disagree, which is our own bug.
 */
static int one_row(struct applying *a, int r, const char *what, uint64_t id, struct err *e)
{
    if (r == 0 && sqlite3_changes(a->s->db) != 1)
        return err_set(e, ERR_FAIL, "%s %ju: not in the expected state", what, (uintmax_t)id);
    return r;
}

/* ---- run, stages, versions, steps ---- */

static int apply_run_state(struct applying *a, const struct row *row, struct err *e)
{
    return db_run(a->s, row->kind, "UPDATE run SET state = ?, why = ?", e, "tt",
        row->run_state.state, row->run_state.why ? row->run_state.why : "");
}

static int apply_run_commits(struct applying *a, const struct row *row, struct err *e)
{
    int r = db_run(a->s, row->kind, "UPDATE run SET commits = ?1 WHERE commits = ?1 - 1", e, "i",
        (int64_t)row->run_commits);
    return one_row(a, r, "commit", row->run_commits, e);
}

static int apply_stage_mark(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_stage_mark *m = &row->stage_mark;
    static const char *const states[] = {
        [STAGE_MARK_STARTED] = "running",
        [STAGE_MARK_FINISHED] = "finished",
        [STAGE_MARK_FAILED] = "failed",
    };
    bool starts = m->mark == STAGE_MARK_STARTED;
    int r = db_run(a->s, row->kind,
        "UPDATE stages SET state = ?2,"
        " started_ms = CASE WHEN ?3 THEN coalesce(started_ms, ?4) ELSE started_ms END,"
        " finished_ms = CASE WHEN ?3 THEN NULL ELSE ?4 END,"
        " first_version = CASE WHEN ?3 THEN"
        "  coalesce(first_version, ?5, (SELECT max(version) FROM versions)) ELSE first_version END"
        " WHERE stage = ?1",
        e, m->has_version ? "itiii" : "itiin", (int64_t)m->stage, states[m->mark], (int64_t)starts,
        a->s->now_ms, (int64_t)m->first_version);
    return one_row(a, r, "stage", m->stage, e);
}

static int apply_version(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_version *v = &row->version;
    return db_run(a->s, row->kind,
        "INSERT INTO versions (version, stage, step, updates, digest, path, bytes, created_ms)"
        " VALUES (?1, ?2, CASE WHEN ?3 THEN ?4 END, ?5, ?6, ?7, ?8, ?9)",
        e, "iiiiihtii", (int64_t)v->version, (int64_t)v->stage, (int64_t)v->has_step,
        (int64_t)v->step, (int64_t)v->updates, &v->digest, v->path, (int64_t)v->bytes,
        a->s->now_ms);
}

static int apply_version_pruned(struct applying *a, const struct row *row, struct err *e)
{
    int r = db_run(a->s, row->kind, "UPDATE versions SET path = NULL WHERE version = ?", e, "i",
        (int64_t)row->version_pruned);
    return one_row(a, r, "version", row->version_pruned, e);
}

static int apply_step(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_step *t = &row->step;
    return db_run(a->s, row->kind,
        "INSERT INTO steps (stage, step, version, updates, digest, groups, tokens, wall_ms,"
        " committed_ms) VALUES (?1, ?2, CASE WHEN ?3 THEN ?4 END, ?5, ?6, ?7, ?8, ?9, ?10)",
        e, "iiiiihiiii", (int64_t)t->stage, (int64_t)t->step, (int64_t)t->has_version,
        (int64_t)t->version, (int64_t)t->updates, &t->digest, (int64_t)t->groups,
        (int64_t)t->tokens, (int64_t)t->wall_ms, a->s->now_ms);
}

static int apply_step_group(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_step_group *g = &row->step_group;
    int r = db_run(a->s, row->kind,
        "INSERT INTO step_groups (group_id, stage, step, minibatch, lag) VALUES (?, ?, ?, ?, ?)", e,
        "iiiii", (int64_t)g->group, (int64_t)g->stage, (int64_t)g->step, (int64_t)g->minibatch,
        (int64_t)g->lag);
    for (uint32_t i = 0; i < g->n && r == 0; i++) {
        r = db_run(a->s, SLOT_ADVANTAGE,
            "UPDATE completions SET advantage = ? WHERE group_id = ? AND idx = ?", e, "dii",
            g->advantage[i], (int64_t)g->group, (int64_t)i);
        r = one_row(a, r, "completion of group", g->group, e);
    }
    return r;
}

static int apply_checkpoint(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_checkpoint *c = &row->checkpoint;
    a->checkpoints_changed = true;
    /* The directory of a checkpoint that was pruned may be written again after going back. */
    return db_run(a->s, row->kind,
        "INSERT INTO checkpoints (updates, stage, step, path, manifest, digest, state, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, 'valid', ?) ON CONFLICT (updates) DO UPDATE SET stage ="
        " excluded.stage, step = excluded.step, path = excluded.path, manifest = excluded.manifest,"
        " digest = excluded.digest, state = 'valid', created_ms = excluded.created_ms",
        e, "iiithhi", (int64_t)c->updates, (int64_t)c->stage, (int64_t)c->step, c->path,
        &c->manifest, &c->digest, a->s->now_ms);
}

static int apply_checkpoint_pruned(struct applying *a, const struct row *row, struct err *e)
{
    a->checkpoints_changed = true;
    int r = db_run(a->s, row->kind, "UPDATE checkpoints SET state = 'pruned' WHERE updates = ?", e,
        "i", (int64_t)row->checkpoint_pruned);
    return one_row(a, r, "checkpoint", row->checkpoint_pruned, e);
}

/* A value that is not finite has no place in a column that people average: it is left out. */
static int apply_metric(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_metric *m = &row->metric;
    if (!isfinite(m->value))
        return 0;
    return db_run(a->s, row->kind,
        "INSERT OR REPLACE INTO metrics (stage, step, name, value) VALUES (?, ?, ?, ?)", e, "iitd",
        (int64_t)m->stage, (int64_t)m->step, m->name, m->value);
}

/* ---- tasks, groups, completions ---- */

static const char *escaped(struct buf *b, const void *text, size_t n)
{
    buf_clear(b);
    text_escape(b, text, n);
    return b->len ? (const char *)b->data : "";
}

static int apply_task(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_task *t = &row->task;
    CLEANUP_BUF struct buf prompt = {0}, answer = {0};
    const char *wanted = t->answer ? t->answer : "";
    return db_run(a->s, row->kind,
        "INSERT INTO tasks (id, data, row, row_key, prompt, answer, prompt_ids, json)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        e, "ititttbt", (int64_t)t->id, t->data, (int64_t)t->row, t->row_key,
        escaped(&prompt, t->prompt, strlen(t->prompt)), escaped(&answer, wanted, strlen(wanted)),
        t->prompt_ids, (int)(t->prompt_len * sizeof(uint32_t)), t->json);
}

static int apply_group(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_group *g = &row->group;
    return db_run(a->s, row->kind,
        "INSERT INTO groups (id, purpose, stage, step, wave, slot, mode, task, ordinal, version, n,"
        " temperature, max_tokens, weights_type, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " ?, ?, 'planned')",
        e, "itiiiitiiiidit", (int64_t)g->id, purpose_name(g->purpose), (int64_t)g->stage,
        (int64_t)g->step, (int64_t)g->wave, (int64_t)g->slot, sample_mode_name(g->mode),
        (int64_t)g->task, (int64_t)g->ordinal, (int64_t)g->version, (int64_t)g->n,
        (double)g->temperature, (int64_t)g->max_tokens, weights_type_name(g->weights_type));
}

static int add_completion(
    struct applying *a, uint64_t group, uint32_t index, const struct completion *c, struct err *e)
{
    CLEANUP_BUF struct buf text = {0}, display = {0};
    completion_text(a->s, c, &text);
    double logp_sum = 0;
    for (uint32_t t = 0; t < c->len; t++)
        logp_sum += (double)c->logp[t];
    return db_run(a->s, SLOT_COMPLETION,
        "INSERT INTO completions (group_id, idx, tokens, think_tokens, stop, text, logp_sum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        e, "iiiittd", (int64_t)group, (int64_t)index, (int64_t)c->len,
        (int64_t)completion_think_tokens(a->s, c), stop_reason_name(c->stop),
        escaped(&display, text.data, text.len), logp_sum);
}

/* Of what was sampled, and of nothing that differs between two runs of one recipe. */
static struct hash group_digest(const struct row_group_sampled *g)
{
    struct hasher h;
    hasher_init(&h);
    for (uint32_t i = 0; i < g->n; i++) {
        const struct completion *c = &g->completions[i];
        hasher_add_u64(&h, c->len);
        hasher_add_u64(&h, (uint64_t)c->stop);
        hasher_add(&h, c->tokens, 4 * (size_t)c->len);
        hasher_add(&h, c->logp, 4 * (size_t)c->len);
    }
    return hasher_done(&h);
}

static int apply_group_sampled(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_group_sampled *g = &row->group_sampled;
    const struct segment_place *p = &a->places[a->place_next++];
    struct hash digest = group_digest(g);
    int r = db_run(a->s, row->kind,
        "UPDATE groups SET state = 'sampled', worker = ?2, weights = ?3, numerics_id = ?4,"
        " digest = ?5, segment = ?6, offset = ?7, length = ?8, sampled_ms = ?9, sample_us = ?10"
        " WHERE id = ?1 AND state = 'planned'",
        e, "ithhhiiiii", (int64_t)g->group, g->worker, &g->weights, &g->numerics_id, &digest,
        (int64_t)p->segment, (int64_t)p->offset, (int64_t)p->length, a->s->now_ms,
        (int64_t)g->sample_us);
    r = one_row(a, r, "group", g->group, e);
    for (uint32_t i = 0; i < g->n && r == 0; i++)
        r = add_completion(a, g->group, i, &g->completions[i], e);
    return r;
}

static int apply_group_scored(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_group_scored *g = &row->group_scored;
    int r = db_run(a->s, row->kind,
        "UPDATE groups SET state = 'scored', reward_mean = ?2, reward_std = ?3, tied = ?4,"
        " scored_ms = ?5 WHERE id = ?1 AND state = 'sampled'",
        e, "iddii", (int64_t)g->group, g->mean, g->std, (int64_t)g->tied, a->s->now_ms);
    return one_row(a, r, "group", g->group, e);
}

static int apply_reward(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_reward *w = &row->reward;
    int r = db_run(a->s, row->kind,
        "UPDATE completions SET reward = ?3, verdict = ?4"
        " WHERE group_id = ?1 AND idx = ?2 AND verdict IS NULL",
        e, "iidt", (int64_t)w->group, (int64_t)w->index, w->reward, verdict_name(w->verdict));
    return one_row(a, r, "completion of group", w->group, e);
}

/* Texts from the wire are display text already: the codec has seen to it. */
static int apply_score(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_score *c = &row->score;
    return db_run(a->s, row->kind,
        "INSERT INTO scores (group_id, idx, scorer, value, verdict, fault, reason, extracted,"
        " isolation, wall_us, worker, lease) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        e, "iitdtttttiti", (int64_t)c->group, (int64_t)c->index, c->scorer, c->value,
        verdict_name(c->verdict), score_fault_name(c->fault), c->reason, c->extracted, c->isolation,
        (int64_t)c->wall_us, c->worker, (int64_t)c->lease);
}

/* ---- jobs, leases, workers, events ---- */

static int apply_job(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_job *j = &row->job;
    CLEANUP_BUF struct buf members = {0};
    members_print(j->members, j->member_count, &members);
    return db_run(a->s, row->kind,
        "INSERT INTO jobs (id, kind, group_id, members, state, faults)"
        " VALUES (?, ?, ?, ?, 'ready', ?)",
        e, "ititi", (int64_t)j->id, job_kind_name(j->kind), (int64_t)j->group,
        (const char *)members.data, (int64_t)j->faults);
}

static int apply_job_state(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_job_state *j = &row->job_state;
    int r = db_run(a->s, row->kind,
        "UPDATE jobs SET state = ?2, attempts = ?3, faults = ?4 WHERE id = ?1 AND state <> 'done'",
        e, "itii", (int64_t)j->id, job_state_name(j->state), (int64_t)j->attempts,
        (int64_t)j->faults);
    r = one_row(a, r, "job", j->id, e);
    if (r || !j->members)
        return r;
    CLEANUP_BUF struct buf members = {0};
    members_print(j->members, j->member_count, &members);
    return db_run(a->s, SLOT_JOB_MEMBERS, "UPDATE jobs SET members = ? WHERE id = ?", e, "ti",
        (const char *)members.data, (int64_t)j->id);
}

static int apply_lease(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_lease *l = &row->lease;
    return db_run(a->s, row->kind,
        "INSERT INTO leases (id, job, worker, epoch, granted_ms) VALUES (?, ?, ?, ?, ?)", e,
        "iitii", (int64_t)l->id, (int64_t)l->job, l->worker, (int64_t)l->epoch, a->s->now_ms);
}

static int apply_lease_end(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_lease_end *l = &row->lease_end;
    int r = db_run(a->s, row->kind,
        "UPDATE leases SET ended_ms = ?2, outcome = ?3, result = ?4"
        " WHERE id = ?1 AND ended_ms IS NULL",
        e, "iith", (int64_t)l->id, a->s->now_ms, lease_outcome_name(l->outcome),
        l->outcome == LEASE_SUBMITTED ? &l->result : NULL);
    return one_row(a, r, "lease", l->id, e);
}

static int apply_worker_up(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_worker_up *w = &row->worker_up;
    return db_run(a->s, row->kind,
        "INSERT INTO workers (name, role, host, build, numerics_id, state, first_ms, seen_ms,"
        " sessions) VALUES (?1, ?2, ?3, ?4, ?5, 'up', ?6, ?6, 1) ON CONFLICT (name) DO UPDATE SET"
        " role = ?2, host = ?3, build = ?4, numerics_id = ?5, state = 'up', seen_ms = ?6,"
        " sessions = sessions + 1",
        e, "tttthi", w->name, w->role == ROLE_ACTOR ? "actor" : "reward", w->host, w->build,
        w->has_numerics ? &w->numerics_id : NULL, a->s->now_ms);
}

static int apply_worker_seen(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_worker_seen *w = &row->worker_seen;
    return db_run(a->s, row->kind,
        "UPDATE workers SET state = ?2, seen_ms = ?3, jobs = jobs + ?4, tokens = tokens + ?5"
        " WHERE name = ?1",
        e, "ttiii", w->name, worker_state_name(w->state), a->s->now_ms, (int64_t)w->jobs,
        (int64_t)w->tokens);
}

static int apply_event(struct applying *a, const struct row *row, struct err *e)
{
    const struct row_event *v = &row->event;
    CLEANUP_BUF struct buf subject = {0}, message = {0};
    const char *text = v->message ? v->message : "", *about = v->subject ? v->subject : "";
    return db_run(a->s, row->kind,
        "INSERT INTO events (at_ms, level, kind, subject, message) VALUES (?, ?, ?, ?, ?)", e,
        "itttt", a->s->now_ms, event_level_name(v->level), v->kind,
        escaped(&subject, about, strlen(about)), escaped(&message, text, strlen(text)));
}

static apply_fn *const apply_row[ROW_KIND_COUNT] = {
    [ROW_RUN_STATE] = apply_run_state,
    [ROW_RUN_COMMITS] = apply_run_commits,
    [ROW_STAGE_MARK] = apply_stage_mark,
    [ROW_VERSION] = apply_version,
    [ROW_VERSION_PRUNED] = apply_version_pruned,
    [ROW_STEP] = apply_step,
    [ROW_STEP_GROUP] = apply_step_group,
    [ROW_CHECKPOINT] = apply_checkpoint,
    [ROW_CHECKPOINT_PRUNED] = apply_checkpoint_pruned,
    [ROW_METRIC] = apply_metric,
    [ROW_TASK] = apply_task,
    [ROW_GROUP] = apply_group,
    [ROW_GROUP_SAMPLED] = apply_group_sampled,
    [ROW_GROUP_SCORED] = apply_group_scored,
    [ROW_JOB] = apply_job,
    [ROW_JOB_STATE] = apply_job_state,
    [ROW_LEASE] = apply_lease,
    [ROW_LEASE_END] = apply_lease_end,
    [ROW_WORKER_UP] = apply_worker_up,
    [ROW_WORKER_SEEN] = apply_worker_seen,
    [ROW_REWARD] = apply_reward,
    [ROW_SCORE] = apply_score,
    [ROW_EVENT] = apply_event,
};

/* ---- the batch ---- */

static int append_groups(struct store *s, const struct batch *b, struct buf *places, struct err *e)
{
    int r = 0;
    for (size_t i = 0; i < b->row_count && r == 0; i++) {
        if (b->rows[i].kind != ROW_GROUP_SAMPLED)
            continue;
        const struct row_group_sampled *g = &b->rows[i].group_sampled;
        struct segment_place place = {0};
        r = segment_append(s->segments, g->group, g->completions, g->n, &place, e);
        buf_append(places, &place, sizeof(place));
    }
    return r ? r : segments_sync(s->segments, e);
}

static int apply_rows(
    struct store *s, const struct batch *b, const struct segment_place *places, struct err *e)
{
    struct applying a = {.s = s, .places = places};
    CLEANUP_BUF struct buf pruned = {0};
    int r = db_exec(s, "BEGIN IMMEDIATE", e);
    for (size_t i = 0; i < b->row_count && r == 0; i++)
        r = apply_row[b->rows[i].kind](&a, &b->rows[i], e);
    if (r == 0 && a.checkpoints_changed && s->o.prune_samples)
        r = store_prune_rows(s, &pruned, e);
    if (r == 0 && fault_hit(FAULT_STORE_COMMIT))
        r = err_set(e, ERR_RETRY, "commit: injected");
    if (r == 0)
        r = db_exec(s, "COMMIT", e);
    if (r == 0 && fault_hit(FAULT_STORE_COMMITTED))
        r = err_set(e, ERR_RETRY, "after the commit: injected");
    return r ? r : store_prune_files(s, &pruned, e);
}

/* Tells when the WAL grows because somebody reads for long; never waits for it. */
static int watch_wal(struct store *s, struct err *e)
{
    struct stat st;
    if (stat(s->wal_path, &st))
        return 0;
    int64_t mib = (int64_t)st.st_size >> 20;
    if (mib < (s->o.wal_alarm_mib ? s->o.wal_alarm_mib : (uint32_t)STORE_WAL_ALARM_MIB)) {
        s->wal_alarm = false;
        return 0;
    }
    if (s->wal_alarm)
        return 0;
    s->wal_alarm = true;
    log_warn(
        "store", "write-ahead log grows: a reader holds a transaction open", LOG_I64("mib", mib));
    struct batch b;
    batch_init(&b);
    batch_event(&b, EVENT_ALARM, "store.wal", "",
        "run.db-wal has %jd MiB: a reader holds a transaction open", (intmax_t)mib);
    int r = apply_rows(s, &b, NULL, e);
    batch_done(&b);
    return r;
}

int store_apply(struct store *s, const struct batch *b, struct err *e)
{
    CLEANUP_BUF struct buf places = {0};
    if (b->row_count == 0)
        return 0;
    int r = store_ready(s, e);
    if (r)
        return r;
    s->now_ms = clock_wall_ms();
    r = append_groups(s, b, &places, e);
    if (r == 0)
        r = apply_rows(s, b, (const void *)places.data, e);
    if (r == 0)
        r = watch_wal(s, e);
    return r ? store_broken(s, r) : 0;
}
