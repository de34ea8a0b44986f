/* hub_model.c: see hub_model.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "hub_model.h"

struct model_worker {
    char *name;
    enum frame_role role;
};

void model_init(struct model *m, uint32_t scorers)
{
    *m = (struct model){.scorers = scorers};
}

struct model_group *model_group(const struct model *m, uint64_t id)
{
    return idmap_get(&m->groups, id);
}

struct model_lease *model_lease(const struct model *m, uint64_t id)
{
    return idmap_get(&m->leases, id);
}

/* ---- rows ---- */

static void apply_version(struct model *m, const struct row *r)
{
    assert_null(idmap_get(&m->versions, r->version.version));
    struct snapshot_version *v = mem_alloc(sizeof(*v));
    *v = (struct snapshot_version){r->version.version, r->version.digest};
    idmap_put(&m->versions, v->version, v);
}

static void apply_task(struct model *m, const struct row *r)
{
    assert_int_equal(r->task.id, m->last_task + 1);
    m->last_task++;
    struct model_task *t = mem_alloc(sizeof(*t));
    t->prompt = mem_dup(r->task.prompt_ids, r->task.prompt_len * sizeof(uint32_t));
    t->prompt_len = r->task.prompt_len;
    idmap_put(&m->tasks, r->task.id, t);
}

static void apply_group(struct model *m, const struct row *r)
{
    const struct model_task *t = idmap_get(&m->tasks, r->group.task);
    assert_int_equal(r->group.id, m->last_group + 1); /* ids in plan order, without holes */
    assert_non_null(t);
    assert_non_null(idmap_get(&m->versions, r->group.version));
    m->last_group++;
    struct model_group *g = mem_alloc(sizeof(*g));
    *g = (struct model_group){.row = r->group,
        .prompt = mem_dup(t->prompt, t->prompt_len * sizeof(uint32_t)),
        .prompt_len = t->prompt_len,
        .reward = mem_array(r->group.n, sizeof(double)),
        .settled = mem_array(r->group.n, sizeof(bool)),
        .scores = mem_array(r->group.n, sizeof(uint32_t))};
    for (uint32_t i = 0; i < r->group.n; i++)
        g->reward[i] = NAN;
    idmap_put(&m->groups, r->group.id, g);
}

static void apply_sampled(struct model *m, const struct row *r)
{
    struct model_group *g = model_group(m, r->group_sampled.group);
    assert_non_null(g);
    assert_int_equal(g->state, GROUP_PLANNED);
    assert_int_equal(r->group_sampled.n, g->row.n);
    g->state = GROUP_SAMPLED;
    g->sampled =
        hash_of(r->group_sampled.completions[0].tokens, 4 * r->group_sampled.completions[0].len);
}

static void apply_reward(struct model *m, const struct row *r)
{
    struct model_group *g = model_group(m, r->reward.group);
    assert_int_equal(g->state, GROUP_SAMPLED);
    assert_true(r->reward.index < g->row.n);
    assert_false(g->settled[r->reward.index]); /* scored once */
    assert_int_equal(g->scores[r->reward.index], m->scorers);
    g->settled[r->reward.index] = true;
    g->reward[r->reward.index] = r->reward.reward;
}

static void apply_score(struct model *m, const struct row *r)
{
    struct model_group *g = model_group(m, r->score.group);
    const struct model_lease *l = model_lease(m, r->score.lease);
    assert_int_equal(g->state, GROUP_SAMPLED);
    assert_non_null(l);
    assert_int_equal(l->outcome, LEASE_SUBMITTED);
    assert_int_equal(l->job / JOBS_PER_GROUP, r->score.group);
    assert_true(++g->scores[r->score.index] <= m->scorers);
}

static void apply_scored(struct model *m, const struct row *r)
{
    struct model_group *g = model_group(m, r->group_scored.group);
    assert_int_equal(g->state, GROUP_SAMPLED);
    for (uint32_t i = 0; i < g->row.n; i++)
        assert_true(g->settled[i]);
    g->state = GROUP_SCORED;
}

static void apply_job(struct model *m, const struct row *r)
{
    struct model_group *g = model_group(m, r->job.group);
    assert_null(idmap_get(&m->jobs, r->job.id));
    assert_non_null(g);
    assert_int_equal(r->job.id, r->job.group * JOBS_PER_GROUP + g->jobs);
    assert_true(g->jobs < JOBS_PER_GROUP);
    g->jobs++;
    struct model_job *j = mem_alloc(sizeof(*j));
    *j = (struct model_job){.id = r->job.id,
        .kind = r->job.kind,
        .faults = r->job.faults,
        .member_count = r->job.member_count};
    if (r->job.member_count)
        j->members = mem_dup(r->job.members, r->job.member_count * sizeof(uint32_t));
    idmap_put(&m->jobs, j->id, j);
}

static void apply_job_state(struct model *m, const struct row *r)
{
    struct model_job *j = idmap_get(&m->jobs, r->job_state.id);
    assert_non_null(j);
    assert_int_not_equal(j->state, JOB_DONE);
    assert_int_equal(j->live != 0, r->job_state.state == JOB_LEASED);
    j->state = r->job_state.state;
    j->attempts = r->job_state.attempts;
    j->faults = r->job_state.faults;
    if (r->job_state.members) {
        free(j->members);
        j->members = mem_dup(r->job_state.members, r->job_state.member_count * sizeof(uint32_t));
        j->member_count = r->job_state.member_count;
    }
}

static void apply_lease(struct model *m, const struct row *r)
{
    struct model_job *j = idmap_get(&m->jobs, r->lease.job);
    assert_non_null(j);
    assert_int_equal(j->state, JOB_READY);
    assert_int_equal(j->live, 0); /* G2: one live lease of a job */
    assert_non_null(idmap_get(&m->workers, hash_u64(r->lease.worker, strlen(r->lease.worker))));
    assert_int_equal(r->lease.id, m->last_lease + 1); /* never used before */
    assert_int_equal(r->lease.epoch, m->epoch);
    m->last_lease++;
    struct model_lease *l = mem_alloc(sizeof(*l));
    *l = (struct model_lease){
        .id = r->lease.id, .job = r->lease.job, .worker = mem_strdup(r->lease.worker)};
    idmap_put(&m->leases, l->id, l);
    j->live = l->id;
}

static void apply_lease_end(struct model *m, const struct row *r)
{
    struct model_lease *l = model_lease(m, r->lease_end.id);
    assert_non_null(l);
    assert_int_equal(l->outcome, LEASE_LIVE); /* a lease ends once */
    struct model_job *j = idmap_get(&m->jobs, l->job);
    assert_int_equal(j->live, l->id);
    j->live = 0;
    l->outcome = r->lease_end.outcome;
    l->result = r->lease_end.result;
    m->ended++;
    m->submitted += l->outcome == LEASE_SUBMITTED;
}

static void apply_worker(struct model *m, const struct row *r)
{
    uint64_t key = hash_u64(r->worker_up.name, strlen(r->worker_up.name));
    struct model_worker *w = idmap_get(&m->workers, key);
    if (!w) {
        w = mem_alloc(sizeof(*w));
        w->name = mem_strdup(r->worker_up.name);
        idmap_put(&m->workers, key, w);
    }
    w->role = r->worker_up.role;
}

static void apply_step_group(struct model *m, const struct row *r)
{
    struct model_group *g = model_group(m, r->step_group.group);
    assert_int_equal(g->state, GROUP_SCORED);
    assert_false(g->in_step); /* G2: consumed once */
    assert_int_equal(g->row.purpose, PURPOSE_TRAIN);
    g->in_step = true;
}

static void apply_commits(struct model *m, const struct row *r)
{
    assert_int_equal(r->run_commits, m->commits + 1);
    m->commits++;
}

void model_apply(struct model *m, const struct batch *b)
{
    static void (*const apply[ROW_KIND_COUNT])(struct model *, const struct row *) = {
        [ROW_RUN_COMMITS] = apply_commits,
        [ROW_VERSION] = apply_version,
        [ROW_STEP_GROUP] = apply_step_group,
        [ROW_TASK] = apply_task,
        [ROW_GROUP] = apply_group,
        [ROW_GROUP_SAMPLED] = apply_sampled,
        [ROW_GROUP_SCORED] = apply_scored,
        [ROW_JOB] = apply_job,
        [ROW_JOB_STATE] = apply_job_state,
        [ROW_LEASE] = apply_lease,
        [ROW_LEASE_END] = apply_lease_end,
        [ROW_WORKER_UP] = apply_worker,
        [ROW_REWARD] = apply_reward,
        [ROW_SCORE] = apply_score,
    };
    for (size_t i = 0; i < b->row_count; i++) {
        if (apply[b->rows[i].kind])
            apply[b->rows[i].kind](m, &b->rows[i]);
    }
}

/* ---- snapshot ---- */

static void snapshot_groups(const struct model *m, struct snapshot *s)
{
    struct snapshot_group *groups = arena_alloc(s->arena, m->groups.count * sizeof(*groups));
    struct snapshot_job *jobs = arena_alloc(s->arena, m->jobs.count * sizeof(*jobs));
    for (uint64_t id = 1; id <= m->last_group; id++) {
        const struct model_group *g = model_group(m, id);
        if (g->state == GROUP_SCORED)
            continue;
        groups[s->group_count++] = (struct snapshot_group){.id = id,
            .ordinal = g->row.ordinal,
            .version = g->row.version,
            .purpose = g->row.purpose,
            .stage = g->row.stage,
            .n = g->row.n,
            .max_tokens = g->row.max_tokens,
            .temperature = g->row.temperature,
            .state = g->state,
            .jobs = g->jobs,
            .prompt = g->prompt,
            .prompt_len = g->prompt_len,
            .reward = g->reward};
        for (uint64_t k = 0; k < g->jobs; k++) {
            const struct model_job *j = idmap_get(&m->jobs, id * JOBS_PER_GROUP + k);
            if (j->state != JOB_DONE)
                jobs[s->job_count++] = (struct snapshot_job){.id = j->id,
                    .kind = j->kind,
                    .attempts = j->attempts,
                    .faults = j->faults,
                    .members = j->members,
                    .member_count = j->member_count};
        }
    }
    s->groups = groups;
    s->jobs = jobs;
}

struct snapshot model_snapshot(const struct model *m)
{
    struct snapshot s = {.arena = arena_new(0),
        .epoch = m->epoch,
        .commits = m->commits,
        .last_group = m->last_group,
        .last_task = m->last_task,
        .last_lease = m->last_lease};
    snapshot_groups(m, &s);
    struct snapshot_lease *leases = arena_alloc(s.arena, m->leases.count * sizeof(*leases));
    for (uint64_t id = 1; id <= m->last_lease; id++) {
        const struct model_lease *l = model_lease(m, id);
        leases[s.lease_count++] = (struct snapshot_lease){.id = id,
            .job = l->job,
            .worker = l->worker,
            .outcome = l->outcome,
            .result = l->result};
    }
    s.leases = leases;
    struct snapshot_version *versions = arena_alloc(s.arena, m->versions.count * sizeof(*versions));
    size_t at = 0;
    for (struct snapshot_version *v; (v = idmap_next(&m->versions, &at));)
        versions[s.version_count++] = *v;
    s.versions = versions;
    struct snapshot_worker *workers = arena_alloc(s.arena, m->workers.count * sizeof(*workers));
    at = 0;
    for (struct model_worker *w; (w = idmap_next(&m->workers, &at));)
        workers[s.worker_count++] = (struct snapshot_worker){w->name, w->role};
    s.workers = workers;
    return s;
}

/* ---- end ---- */

static void free_values(struct idmap *map, void (*part)(void *value))
{
    size_t at = 0;
    for (void *v; (v = idmap_next(map, &at));) {
        if (part)
            part(v);
        free(v);
    }
    idmap_done(map);
}

static void free_group(void *value)
{
    struct model_group *g = value;
    free(g->prompt);
    free(g->reward);
    free(g->settled);
    free(g->scores);
}

static void free_job(void *value)
{
    free(((struct model_job *)value)->members);
}

static void free_lease(void *value)
{
    free(((struct model_lease *)value)->worker);
}

static void free_task(void *value)
{
    free(((struct model_task *)value)->prompt);
}

static void free_worker(void *value)
{
    free(((struct model_worker *)value)->name);
}

void model_done(struct model *m)
{
    free_values(&m->groups, free_group);
    free_values(&m->jobs, free_job);
    free_values(&m->leases, free_lease);
    free_values(&m->tasks, free_task);
    free_values(&m->workers, free_worker);
    free_values(&m->versions, NULL);
}
