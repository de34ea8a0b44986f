/* hub_submit.c: results. A group of completions, or the scores of some: checked whole, stored once.
 *
 * The lease id is the idempotency key: the same bytes again get OK, other bytes for a submitted
 * lease get CONFLICT and the first are kept, a result for a lease that ended otherwise gets
 * STALE_LEASE.
 */
#include "learner/hub_state.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void answer(
    const struct request *r, enum submit_status status, const char *message, struct batch *out)
{
    struct msg *m = hub_reply(r, MSG_SUBMIT_REPLY, out);
    m->submit_reply = (struct msg_submit_reply){
        .status = status, .message = batch_strdup(out, message), .retry_ms = 0};
}

/* The live lease that the result is for, or NULL after answering. */
static struct lease *find_lease(struct hub *h, const struct request *r, uint64_t id,
    const struct hash *result, struct batch *out)
{
    const struct worker *w = r->session->worker;
    struct lease *l = lease_of(h, id, w);
    if (l)
        return l;
    const struct ended *x = lease_ended(h, id);
    if (!x || x->outcome != LEASE_SUBMITTED) {
        answer(r, SUBMIT_STALE_LEASE, "the lease has ended", out);
    } else if (hash_equal(&x->result, result)) {
        answer(r, SUBMIT_OK, "stored before", out);
    } else {
        answer(r, SUBMIT_CONFLICT, "another result is stored for this lease", out);
        batch_event(out, EVENT_WARN, "submit.conflict", w->name,
            "lease %ju has a result; a different one came later", (uintmax_t)id);
    }
    return NULL;
}

/* A broken result: the job is ready again; a worker that keeps sending them is refused. */
static void reject(
    struct hub *h, const struct request *r, struct lease *l, const char *why, struct batch *out)
{
    struct worker *w = r->session->worker;
    batch_event(out, EVENT_WARN, "submit.bad", w->name, "lease %ju of job %ju: %s",
        (uintmax_t)l->id, (uintmax_t)l->job->id, why);
    lease_end(h, l, LEASE_REJECTED, NULL, out);
    answer(r, SUBMIT_BAD, why, out);
    if (++w->bad <= HUB_BAD_MAX)
        return;
    batch_event(out, EVENT_ALARM, "worker.refused", w->name, "%u broken results", w->bad);
    while (w->lease_count)
        lease_end(h, w->leases[0], LEASE_REJECTED, NULL, out);
    hub_session_drop(h, r->session, WORKER_GONE, out);
}

/* ---- completions ---- */

static bool is_stop(const struct hub *h, uint32_t id)
{
    for (size_t i = 0; i < h->o.stop_count; i++) {
        if (h->o.stop[i] == id)
            return true;
    }
    return false;
}

/* NULL when the completion keeps the rules; else what it breaks, written to text. */
static const char *check_completion(const struct hub *h, const struct group *g, uint32_t index,
    const struct completion *c, char text[LIMIT_TEXT])
{
    if (c->len == 0 || c->len > g->max_tokens) {
        (void)snprintf(text, LIMIT_TEXT, "completion %u: %u tokens, expected 1 to %u", index,
            c->len, g->max_tokens);
        return text;
    }
    for (uint32_t t = 0; t < c->len; t++) {
        const char *broken = NULL;
        if (c->tokens[t] >= h->o.vocab)
            broken = "id outside the vocabulary";
        else if (is_stop(h, c->tokens[t]) && t + 1 < c->len)
            broken = "tokens after a stop id";
        else if (!isfinite(c->logp[t]) || c->logp[t] > 0)
            broken = "log-prob not in (-inf, 0]";
        if (broken) {
            (void)snprintf(text, LIMIT_TEXT, "completion %u, token %u: %s", index, t, broken);
            return text;
        }
    }
    bool ends = is_stop(h, c->tokens[c->len - 1]);
    if (c->stop == STOP_EOS ? ends : !ends && c->len == g->max_tokens)
        return NULL;
    (void)snprintf(text, LIMIT_TEXT,
        "completion %u: stop reason %s after %u of %u tokens, the last %s", index,
        stop_reason_name(c->stop), c->len, g->max_tokens, ends ? "a stop id" : "no stop id");
    return text;
}

static const char *check_group(const struct hub *h, const struct lease *l,
    const struct msg_submit_group *m, char text[LIMIT_TEXT])
{
    const struct group *g = l->job->group;
    const struct snapshot_version *v = idmap_get(&h->versions, g->version);
    if (l->job->kind != JOB_SAMPLE)
        return "the lease is on a grade job";
    if (!v || !hash_equal(&m->weights, &v->digest))
        return "sampled from other weights than the version's";
    if (!hash_equal(&m->numerics_id, &h->o.numerics_id))
        return "sampled with another numerics id than the run's";
    if (m->weights_type != g->weights_type) {
        (void)snprintf(text, LIMIT_TEXT, "sampled with %s weights, expected %s",
            weights_type_name(m->weights_type), weights_type_name(g->weights_type));
        return text;
    }
    if (m->completion_count != g->n) {
        (void)snprintf(text, LIMIT_TEXT, "%zu completions, expected %u", m->completion_count, g->n);
        return text;
    }
    for (uint32_t i = 0; i < g->n; i++) {
        if (check_completion(h, g, i, &m->completions[i], text))
            return text;
    }
    return NULL;
}

/* The first job number that is free, or 0 when all are used. */
static uint32_t next_number(const struct group *g)
{
    return g->jobs < JOBS_PER_GROUP ? g->jobs : 0;
}

static void sampled_row(const struct request *r, const struct group *g, struct batch *out)
{
    const struct msg_submit_group *m = &r->msg->submit_group;
    struct completion *copies = batch_alloc(out, g->n * sizeof(*copies));
    for (uint32_t i = 0; i < g->n; i++) {
        const struct completion *c = &m->completions[i];
        copies[i] = *c;
        copies[i].tokens = batch_dup(out, c->tokens, c->len * sizeof(*c->tokens));
        copies[i].logp = batch_dup(out, c->logp, c->len * sizeof(*c->logp));
    }
    batch_row(out, ROW_GROUP_SAMPLED)->group_sampled = (struct row_group_sampled){.group = g->id,
        .worker = batch_strdup(out, r->session->worker->name),
        .weights = m->weights,
        .numerics_id = m->numerics_id,
        .completions = copies,
        .n = g->n,
        .sample_us = m->wall_us};
}

static void submitted_row(const struct request *r, uint64_t tokens, struct batch *out)
{
    batch_row(out, ROW_WORKER_SEEN)->worker_seen =
        (struct row_worker_seen){.name = batch_strdup(out, r->session->worker->name),
            .state = WORKER_UP,
            .jobs = 1,
            .tokens = tokens};
}

void submit_group(struct hub *h, const struct request *r, struct batch *out)
{
    const struct msg_submit_group *m = &r->msg->submit_group;
    struct hash result = hash_of(r->frame->payload, r->frame->payload_bytes);
    struct lease *l = find_lease(h, r, m->lease, &result, out);
    if (!l)
        return;
    char text[LIMIT_TEXT];
    const char *broken = check_group(h, l, m, text);
    if (broken) {
        reject(h, r, l, broken, out);
        return;
    }
    struct job *j = l->job;
    struct group *g = j->group;
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < g->n; i++)
        tokens += m->completions[i].len;
    lease_end(h, l, LEASE_SUBMITTED, &result, out);
    job_done(h, j, out);
    sampled_row(r, g, out);
    submitted_row(r, tokens, out);
    g->state = GROUP_SAMPLED;
    g->settled = mem_array(g->n, sizeof(bool));
    g->reward = mem_array(g->n, sizeof(double));
    for (uint32_t i = 0; i < g->n; i++)
        g->reward[i] = NAN;
    job_add(h, job_new(h, g, g->id * JOBS_PER_GROUP + g->jobs++, JOB_GRADE), out);
    answer(r, SUBMIT_OK, "", out);
}

/* ---- scores ---- */

/* The results of one job as a table: found[completion][scorer]. */
struct score_table {
    const struct score_result **found; /* in the batch's arena */
    bool *asked;                       /* completions of the job */
};

static int scorer_index(const struct hub *h, const char *name)
{
    for (size_t k = 0; k < h->o.scorer_count; k++) {
        if (strcmp(h->o.scorers[k].name, name) == 0)
            return (int)k;
    }
    return -1;
}

static uint32_t member_count(const struct job *j)
{
    return j->member_count ? j->member_count : j->group->n;
}

static uint32_t member(const struct job *j, uint32_t i)
{
    return j->member_count ? j->members[i] : i;
}

static const char *check_result(const struct hub *h, const struct job *j, struct score_table *t,
    const struct score_result *s, char text[LIMIT_TEXT])
{
    int k = scorer_index(h, s->scorer);
    const char *broken = NULL;
    if (s->index >= j->group->n || !t->asked[s->index])
        broken = "a completion that was not asked for";
    else if (k < 0)
        broken = "a scorer that the recipe does not have";
    else if (t->found[s->index * h->o.scorer_count + (size_t)k])
        broken = "a second result";
    else if (s->has_value != (s->fault == SCORE_FAULT_NONE))
        broken = "a fault of the judge with a value, or neither";
    else if (s->has_value && !isfinite(s->value))
        broken = "a value that is not finite";
    if (!broken) {
        t->found[s->index * h->o.scorer_count + (size_t)k] = s;
        return NULL;
    }
    (void)snprintf(
        text, LIMIT_TEXT, "completion %u, scorer '%.64s': %s", s->index, s->scorer, broken);
    return text;
}

/* Fills the table; returns what breaks a rule, or NULL: then every asked place is filled. */
static const char *check_scores(const struct hub *h, const struct job *j,
    const struct msg_submit_scores *m, struct score_table *t, char text[LIMIT_TEXT])
{
    if (j->kind != JOB_GRADE)
        return "the lease is on a sample job";
    size_t expected = (size_t)member_count(j) * h->o.scorer_count;
    if (m->result_count != expected) {
        (void)snprintf(text, LIMIT_TEXT, "%zu results, expected %zu", m->result_count, expected);
        return text;
    }
    for (uint32_t i = 0; i < member_count(j); i++)
        t->asked[member(j, i)] = true;
    for (size_t i = 0; i < m->result_count; i++) {
        if (check_result(h, j, t, &m->results[i], text))
            return text;
    }
    return NULL; /* as many as expected, none twice: all are there */
}

static bool is_transient(const struct hub *h, const struct score_result *const *found)
{
    for (size_t k = 0; k < h->o.scorer_count; k++) {
        if (found[k]->fault == SCORE_FAULT_TRANSIENT)
            return true;
    }
    return false;
}

static double reward_of(const struct hub *h, const struct score_result *const *found)
{
    struct reward_part parts[LIMIT_SCORERS];
    for (size_t k = 0; k < h->o.scorer_count; k++)
        parts[k] = (struct reward_part){
            &h->o.scorers[k].term, found[k]->has_value, found[k]->value, found[k]->verdict};
    return reward_sum(parts, h->o.scorer_count);
}

static void score_row(const struct hub *h, const struct request *r, uint64_t group, size_t k,
    const struct score_result *s, struct batch *out)
{
    batch_row(out, ROW_SCORE)->score = (struct row_score){.group = group,
        .lease = r->msg->submit_scores.lease,
        .wall_us = s->wall_us,
        .index = s->index,
        .scorer = batch_strdup(out, h->o.scorers[k].name),
        .worker = batch_strdup(out, r->session->worker->name),
        .reason = batch_strdup(out, s->reason),
        .extracted = batch_strdup(out, s->extracted),
        .isolation = batch_strdup(out, s->isolation),
        .value = s->has_value ? s->value : NAN,
        .verdict = s->verdict,
        .fault = s->fault};
}

/* Settles one completion: its score rows and its reward, NULL when a fault leaves it unscored. */
static void settle(struct hub *h, const struct request *r, struct group *g, uint32_t index,
    const struct score_result *const *found, struct batch *out)
{
    assert(!g->settled[index]);
    enum verdict verdict = VERDICT_JUDGE_FAULT;
    for (size_t k = 0; k < h->o.scorer_count; k++) {
        score_row(h, r, g->id, k, found[k], out);
        if (h->o.scorers[k].term.primary)
            verdict = found[k]->verdict;
    }
    g->reward[index] = reward_of(h, found);
    g->settled[index] = true;
    g->settled_count++;
    batch_row(out, ROW_REWARD)->reward = (struct row_reward){
        .group = g->id, .index = index, .reward = g->reward[index], .verdict = verdict};
    if (isnan(g->reward[index]))
        batch_event(out, EVENT_WARN, "score.unscored", r->session->worker->name,
            "completion %ju: a judge has a permanent fault; it stays without a reward",
            (uintmax_t)(g->id * LIMIT_GROUP + index));
}

static uint64_t backoff_ms(uint32_t faults)
{
    uint32_t doublings = faults < 16 ? faults - 1 : 15;
    uint64_t ms = (uint64_t)HUB_BACKOFF_MS << doublings;
    return ms < HUB_BACKOFF_MAX_MS ? ms : HUB_BACKOFF_MAX_MS;
}

/* Completions with a transient fault become a job alone. When it would be the same set again, or
 * the group's job numbers are used up, the job itself goes back to ready. */
static void retry_faulty(struct hub *h, const struct request *r, struct job *j,
    const uint32_t *members, uint32_t count, struct batch *out)
{
    struct group *g = j->group;
    uint32_t faults = j->faults + 1, number = next_number(g);
    bool same = count == member_count(j);
    batch_event(out, faults < HUB_FAULTS_ALONE ? EVENT_WARN : EVENT_ALARM, "score.fault",
        r->session->worker->name, "group %ju: %u completions could not be judged, %u times now",
        (uintmax_t)g->id, count, faults);
    struct job *again = j;
    if (!same && number) {
        again = job_new(h, g, g->id * JOBS_PER_GROUP + number, JOB_GRADE);
        g->jobs++;
        job_done(h, j, out);
    } else if (!same && j->input_state != INPUT_NONE) {
        batch_out(out, OUT_INPUT_DROP)->job = j->id;
        j->input_state = INPUT_NONE;
    }
    if (!same) {
        free(again->members);
        again->members = mem_dup(members, count * sizeof(*members));
        again->member_count = count;
    }
    again->faults = faults;
    again->not_before_ms = r->now_ms + backoff_ms(faults);
    if (again != j) {
        job_add(h, again, out);
        return;
    }
    batch_row(out, ROW_JOB_STATE)->job_state = (struct row_job_state){.id = j->id,
        .state = JOB_READY,
        .attempts = j->attempts,
        .faults = j->faults,
        .members = same ? NULL : batch_dup(out, members, count * sizeof(*members)),
        .member_count = same ? 0 : count};
    job_ready(h, j);
}

void submit_scores(struct hub *h, const struct request *r, struct batch *out)
{
    const struct msg_submit_scores *m = &r->msg->submit_scores;
    struct hash result = hash_of(r->frame->payload, r->frame->payload_bytes);
    struct lease *l = find_lease(h, r, m->lease, &result, out);
    if (!l)
        return;
    struct job *j = l->job;
    struct group *g = j->group;
    size_t scorers = h->o.scorer_count;
    struct score_table t = {.found = batch_alloc(out, g->n * scorers * sizeof(*t.found)),
        .asked = batch_alloc(out, g->n * sizeof(bool))};
    char text[LIMIT_TEXT];
    const char *broken = check_scores(h, j, m, &t, text);
    if (broken) {
        reject(h, r, l, broken, out);
        return;
    }
    lease_end(h, l, LEASE_SUBMITTED, &result, out);
    submitted_row(r, 0, out);
    uint32_t *faulty = batch_alloc(out, g->n * sizeof(*faulty)), faulty_count = 0;
    for (uint32_t i = 0; i < member_count(j); i++) {
        uint32_t index = member(j, i);
        const struct score_result *const *found = &t.found[index * scorers];
        if (is_transient(h, found))
            faulty[faulty_count++] = index;
        else
            settle(h, r, g, index, found, out);
    }
    if (faulty_count)
        retry_faulty(h, r, j, faulty, faulty_count, out);
    else
        job_done(h, j, out);
    if (g->settled_count == g->n)
        hub_group_scored(h, g, out);
    answer(r, SUBMIT_OK, "", out);
}
