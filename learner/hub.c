/* hub.c: making a hub from a snapshot, dispatching events, and what is common to its parts. */
#include "learner/hub_state.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

void snapshot_done(struct snapshot *s)
{
    arena_free(s->arena);
    *s = (struct snapshot){0};
}

/* ---- groups ---- */

struct group *hub_group(const struct hub *h, uint64_t id)
{
    return idmap_get(&h->groups, id);
}

static void group_free(struct group *g)
{
    if (!g)
        return;
    free(g->prompt);
    free(g->settled);
    free(g->reward);
    free(g);
}

/* Mean, n-1 standard deviation and tie of the scored completions, in double and in index order: the
 * numbers that a person sees in the table. */
static struct row_group_scored summarize(const struct group *g)
{
    struct row_group_scored r = {.group = g->id, .mean = NAN, .std = NAN, .tied = true};
    double sum = 0, low = INFINITY, high = -INFINITY;
    for (uint32_t i = 0; i < g->n; i++) {
        if (isnan(g->reward[i]))
            continue;
        r.scored++;
        sum += g->reward[i];
        low = fmin(low, g->reward[i]);
        high = fmax(high, g->reward[i]);
    }
    if (r.scored == 0)
        return r;
    r.mean = sum / r.scored;
    r.tied = low == high;
    double squares = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        if (!isnan(g->reward[i]))
            squares += (g->reward[i] - r.mean) * (g->reward[i] - r.mean);
    }
    if (r.scored > 1)
        r.std = sqrt(squares / (r.scored - 1));
    return r;
}

void hub_group_scored(struct hub *h, struct group *g, struct batch *out)
{
    assert(g->state == GROUP_SAMPLED && g->settled_count == g->n);
    batch_row(out, ROW_GROUP_SCORED)->group_scored = summarize(g);
    if (g->awaited && --h->waiting_open == 0)
        batch_out(out, OUT_SCORED);
    idmap_take(&h->groups, g->id);
    group_free(g);
}

/* ---- from a snapshot ---- */

static void restore_group(struct hub *h, const struct snapshot_group *s)
{
    struct group *g = mem_alloc(sizeof(*g));
    *g = (struct group){.id = s->id,
        .ordinal = s->ordinal,
        .version = s->version,
        .purpose = s->purpose,
        .stage = s->stage,
        .n = s->n,
        .max_tokens = s->max_tokens,
        .temperature = s->temperature,
        .weights_type = s->weights_type,
        .state = s->state,
        .jobs = s->jobs,
        .prompt = mem_dup(s->prompt, s->prompt_len * sizeof(uint32_t)),
        .prompt_len = s->prompt_len};
    if (s->state == GROUP_SAMPLED) {
        /* Settled is what no open grade job has among its members: restore_job clears those. */
        g->settled = mem_array(s->n, sizeof(bool));
        g->reward = mem_dup(s->reward, s->n * sizeof(double));
        for (uint32_t i = 0; i < s->n; i++)
            g->settled[i] = true;
        g->settled_count = s->n;
    }
    idmap_put(&h->groups, g->id, g);
}

static void unsettle(struct group *g, uint32_t index)
{
    if (index < g->n && g->settled[index]) {
        g->settled[index] = false;
        g->settled_count--;
    }
}

static void restore_job(struct hub *h, const struct snapshot_job *s)
{
    struct group *g = hub_group(h, s->id / JOBS_PER_GROUP);
    assert(g); /* an open job has an open group: the store loads both in one transaction */
    struct job *j = job_new(h, g, s->id, s->kind);
    j->attempts = s->attempts;
    j->faults = s->faults;
    j->member_count = s->member_count;
    if (s->member_count)
        j->members = mem_dup(s->members, s->member_count * sizeof(uint32_t));
    if (s->kind == JOB_GRADE) {
        for (uint32_t i = 0; i < (s->member_count ? s->member_count : g->n); i++)
            unsettle(g, s->member_count ? s->members[i] : i);
    }
}

static void restore_lease(struct hub *h, const struct snapshot_lease *s, uint64_t now_ms)
{
    if (s->outcome != LEASE_LIVE) {
        lease_remember(h, s->id, s->outcome, &s->result);
        return;
    }
    struct job *j = idmap_get(&h->jobs, s->job);
    struct worker *w = hub_worker(h, s->worker, ROLE_ACTOR);
    assert(j && !j->lease && w && w->lease_count < LIMIT_LEASES_PER_WORKER);
    struct lease *l = mem_alloc(sizeof(*l));
    *l = (struct lease){.id = s->id, .job = j, .worker = w, .deadline_ms = now_ms + h->o.lease_ms};
    j->lease = l;
    w->leases[w->lease_count++] = l;
    idmap_put(&h->leases, l->id, l);
}

struct hub *hub_new(
    const struct hub_options *o, const struct snapshot *s, uint64_t first_session, uint64_t now_ms)
{
    struct hub *h = mem_alloc(sizeof(*h));
    *h = (struct hub){.o = *o,
        .epoch = s->epoch,
        .next_session = first_session,
        .commits = s->commits,
        .last_group = s->last_group,
        .last_task = s->last_task,
        .last_lease = s->last_lease,
        .last_tick_ms = now_ms};
    for (size_t i = 0; i < s->version_count; i++) {
        struct snapshot_version *v = mem_dup(&s->versions[i], sizeof(*v));
        idmap_put(&h->versions, v->version, v);
    }
    for (size_t i = 0; i < s->worker_count; i++)
        (void)hub_worker(h, s->workers[i].name, s->workers[i].role); /* a clash is met at Hello */
    for (size_t i = 0; i < s->group_count; i++)
        restore_group(h, &s->groups[i]);
    for (size_t i = 0; i < s->job_count; i++)
        restore_job(h, &s->jobs[i]);
    for (size_t i = 0; i < s->lease_count; i++)
        restore_lease(h, &s->leases[i], now_ms);
    for (size_t i = 0; i < s->job_count; i++) {
        struct job *j = idmap_get(&h->jobs, s->jobs[i].id);
        if (!j->lease)
            job_ready(h, j);
    }
    return h;
}

static void map_free(struct idmap *m, void (*free_value)(void *value))
{
    size_t at = 0;
    for (void *v = idmap_next(m, &at); v; v = idmap_next(m, &at))
        free_value(v);
    idmap_done(m);
}

static void group_free_value(void *value)
{
    group_free(value);
}

static void job_free_value(void *value)
{
    struct job *j = value;
    free(j->members);
    free(j);
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    for (struct session *s = h->sessions, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    map_free(&h->groups, group_free_value);
    map_free(&h->jobs, job_free_value);
    map_free(&h->leases, free);
    map_free(&h->workers, free);
    map_free(&h->versions, free);
    idmap_done(&h->sessions_by_id);
    free(h->ready[JOB_SAMPLE].jobs);
    free(h->ready[JOB_GRADE].jobs);
    free(h->ended);
    free(h);
}

/* ---- events ---- */

static void tick(struct hub *h, uint64_t now_ms, struct batch *out)
{
    /* The loop stood still (stopped, swapped out, a slow disk): nobody could be heard meanwhile. */
    if (now_ms - h->last_tick_ms > HUB_STALL_MS)
        lease_extend_all(h, now_ms);
    h->last_tick_ms = now_ms;
    lease_tick(h, now_ms, out);
    hub_sessions_tick(h, now_ms, out);
}

static void stop(struct hub *h, const struct hub_event *ev, struct batch *out)
{
    h->stopped = true;
    h->draining = ev->stop.drain;
    batch_row(out, ROW_RUN_STATE)->run_state =
        (struct row_run_state){batch_strdup(out, ev->stop.state), batch_strdup(out, ev->stop.why)};
    batch_event(out, strcmp(ev->stop.state, "failed") == 0 ? EVENT_ALARM : EVENT_INFO, "run.ended",
        "", "%s%s%s", ev->stop.state, ev->stop.why[0] ? ": " : "", ev->stop.why);
    if (!h->draining)
        hub_refuse_parked(h, out); /* the learner comes back: they ask again until it does */
}

void hub_step(struct hub *h, const struct hub_event *ev, uint64_t now_ms, struct batch *out)
{
    switch (ev->type) {
    case HUB_TICK:
        tick(h, now_ms, out);
        break;
    case HUB_MESSAGE:
        hub_message(h, ev, now_ms, out);
        break;
    case HUB_COMMIT:
        plan_commit(h, ev, out);
        break;
    case HUB_WAIT:
        plan_wait(h, ev, out);
        break;
    case HUB_INPUT:
        lease_input(h, ev, out);
        break;
    case HUB_STOP:
        stop(h, ev, out);
        break;
    }
    lease_serve(h, now_ms, out);
    if (h->draining && !h->drained && !h->sessions) {
        h->drained = true;
        batch_out(out, OUT_DRAINED);
    }
}

/* ---- looking ---- */

uint64_t hub_next_session(const struct hub *h)
{
    return h->next_session;
}

uint64_t hub_commits(const struct hub *h)
{
    return h->commits;
}

struct hub_counts hub_counts(const struct hub *h)
{
    return (struct hub_counts){.sessions = h->session_count,
        .leases = h->leases.count,
        .ready_jobs = h->ready[JOB_SAMPLE].count + h->ready[JOB_GRADE].count,
        .open_groups = h->groups.count};
}

static void print_group(const struct group *g, struct buf *out)
{
    buf_printf(out,
        "group %ju %s stage %u version %ju ordinal %ju n %u max %u t %a %s %s jobs %u prompt",
        (uintmax_t)g->id, purpose_name(g->purpose), g->stage, (uintmax_t)g->version,
        (uintmax_t)g->ordinal, g->n, g->max_tokens, (double)g->temperature,
        weights_type_name(g->weights_type), group_state_name(g->state), g->jobs);
    for (uint32_t i = 0; i < g->prompt_len; i++)
        buf_printf(out, " %u", g->prompt[i]);
    for (uint32_t i = 0; g->settled && i < g->n; i++)
        buf_printf(out, g->settled[i] ? " %a" : " -", g->reward[i]);
    buf_puts(out, "\n");
}

static void print_job(const struct job *j, struct buf *out)
{
    buf_printf(out, "job %ju %s attempts %u faults %u lease %ju worker %s members",
        (uintmax_t)j->id, job_kind_name(j->kind), j->attempts, j->faults,
        (uintmax_t)(j->lease ? j->lease->id : 0), j->lease ? j->lease->worker->name : "-");
    for (uint32_t i = 0; i < j->member_count; i++)
        buf_printf(out, " %u", j->members[i]);
    buf_puts(out, "\n");
}

void hub_print(const struct hub *h, struct buf *out)
{
    buf_printf(out, "epoch %u commits %ju groups %ju tasks %ju leases %ju\n", h->epoch,
        (uintmax_t)h->commits, (uintmax_t)h->last_group, (uintmax_t)h->last_task,
        (uintmax_t)h->last_lease);
    for (uint64_t id = 1; id <= h->last_group; id++) {
        const struct group *g = hub_group(h, id);
        if (!g)
            continue;
        print_group(g, out);
        for (uint64_t k = 0; k < JOBS_PER_GROUP; k++) {
            const struct job *j = idmap_get(&h->jobs, id * JOBS_PER_GROUP + k);
            if (j)
                print_job(j, out);
        }
    }
    for (uint64_t id = 1; id <= h->last_lease; id++) {
        const struct ended *x = lease_ended(h, id);
        char hex[HASH_HEX];
        if (x)
            buf_printf(out, "ended %ju %s %s\n", (uintmax_t)id, lease_outcome_name(x->outcome),
                hash_hex(&x->result, hex));
    }
}
