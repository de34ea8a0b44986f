/* lease.c: jobs and leases: granting, extending, ending.
 *
 * Jobs that wait stand in one list per kind, in the order of granting: train before eval, then by
 * id. A grade job is granted once its input blob is built; HUB_INPUTS_AHEAD bounds how many are
 * built early.
 */
#include "learner/hub_state.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/rng.h"

/* ---- jobs ---- */

struct job *job_new(struct hub *h, struct group *g, uint64_t id, enum job_kind kind)
{
    struct job *j = mem_alloc(sizeof(*j));
    *j = (struct job){.id = id, .kind = kind, .group = g};
    idmap_put(&h->jobs, id, j);
    return j;
}

void job_add(struct hub *h, struct job *j, struct batch *out)
{
    batch_row(out, ROW_JOB)->job = (struct row_job){.id = j->id,
        .group = j->group->id,
        .kind = j->kind,
        .members = batch_dup(out, j->members, j->member_count * sizeof(uint32_t)),
        .member_count = j->member_count,
        .faults = j->faults};
    job_ready(h, j);
}

/* Whether a is granted before b. */
static bool job_before(const struct job *a, const struct job *b)
{
    if (a->group->purpose != b->group->purpose)
        return a->group->purpose == PURPOSE_TRAIN;
    return a->id < b->id;
}

static size_t ready_place(const struct ready *r, const struct job *j)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (job_before(r->jobs[mid], j))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void job_ready(struct hub *h, struct job *j)
{
    struct ready *r = &h->ready[j->kind];
    assert(!j->lease);
    if (r->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 64;
        r->jobs = mem_grow(r->jobs, r->cap, sizeof(struct job *));
    }
    size_t at = ready_place(r, j);
    memmove(&r->jobs[at + 1], &r->jobs[at], (r->count - at) * sizeof(struct job *));
    r->jobs[at] = j;
    r->count++;
    if (j->input_state != INPUT_NONE)
        h->inputs_ahead++;
}

static void ready_remove(struct hub *h, struct job *j)
{
    struct ready *r = &h->ready[j->kind];
    size_t at = ready_place(r, j);
    assert(at < r->count && r->jobs[at] == j);
    memmove(&r->jobs[at], &r->jobs[at + 1], (r->count - at - 1) * sizeof(struct job *));
    r->count--;
    if (j->input_state != INPUT_NONE)
        h->inputs_ahead--;
}

void job_done(struct hub *h, struct job *j, struct batch *out)
{
    assert(!j->lease);
    batch_row(out, ROW_JOB_STATE)->job_state = (struct row_job_state){
        .id = j->id, .state = JOB_DONE, .attempts = j->attempts, .faults = j->faults};
    if (j->input_state != INPUT_NONE)
        batch_out(out, OUT_INPUT_DROP)->job = j->id;
    idmap_take(&h->jobs, j->id);
    free(j->members);
    free(j);
}

/* ---- leases ---- */

struct lease *lease_of(const struct hub *h, uint64_t id, const struct worker *w)
{
    struct lease *l = idmap_get(&h->leases, id);
    return l && l->worker == w ? l : NULL;
}

const struct ended *lease_ended(const struct hub *h, uint64_t id)
{
    if (!h->ended_cap)
        return NULL;
    const struct ended *x = &h->ended[id % h->ended_cap];
    return x->id == id && id != 0 ? x : NULL;
}

/* The ring doubles until it has LEASES_REMEMBERED places; then the oldest give way. */
static void ended_grow(struct hub *h)
{
    size_t cap = h->ended_cap ? 2 * h->ended_cap : 1024;
    struct ended *ring = mem_array(cap, sizeof(*ring));
    for (size_t i = 0; i < h->ended_cap; i++) {
        if (h->ended[i].id)
            ring[h->ended[i].id % cap] = h->ended[i];
    }
    free(h->ended);
    h->ended = ring;
    h->ended_cap = cap;
}

void lease_remember(
    struct hub *h, uint64_t id, enum lease_outcome outcome, const struct hash *result)
{
    while (h->ended_cap < LEASES_REMEMBERED && h->last_lease >= h->ended_cap)
        ended_grow(h);
    struct ended *x = &h->ended[id % h->ended_cap];
    if (x->id < id)
        *x = (struct ended){id, outcome, result ? *result : (struct hash){{0}}};
}

/* Until the worker lists it for the first time a lease is only a hope: the worker may have died
 * while its poll was parked. */
static uint64_t first_deadline(const struct hub *h, uint64_t now_ms)
{
    return now_ms + (h->o.lease_ms < HUB_LOST_MS ? h->o.lease_ms : (uint32_t)HUB_LOST_MS);
}

static void lease_grant(
    struct hub *h, struct job *j, struct session *s, uint64_t now_ms, struct batch *out)
{
    struct worker *w = s->worker;
    assert(!j->lease && w->lease_count < LIMIT_LEASES_PER_WORKER);
    ready_remove(h, j);
    struct lease *l = mem_alloc(sizeof(*l));
    *l = (struct lease){
        .id = ++h->last_lease, .job = j, .worker = w, .deadline_ms = first_deadline(h, now_ms)};
    j->lease = l;
    j->attempts++;
    w->leases[w->lease_count++] = l;
    idmap_put(&h->leases, l->id, l);
    s->granted[s->granted_count++] = l->id;
    batch_row(out, ROW_LEASE)->lease = (struct row_lease){
        .id = l->id, .job = j->id, .worker = batch_strdup(out, w->name), .epoch = h->epoch};
    batch_row(out, ROW_JOB_STATE)->job_state = (struct row_job_state){
        .id = j->id, .state = JOB_LEASED, .attempts = j->attempts, .faults = j->faults};
}

void lease_end(struct hub *h, struct lease *l, enum lease_outcome outcome,
    const struct hash *result, struct batch *out)
{
    struct worker *w = l->worker;
    struct job *j = l->job;
    assert(j->lease == l && outcome != LEASE_LIVE);
    batch_row(out, ROW_LEASE_END)->lease_end = (struct row_lease_end){
        .id = l->id, .outcome = outcome, .result = result ? *result : (struct hash){{0}}};
    uint32_t i = 0;
    while (w->leases[i] != l)
        i++;
    w->leases[i] = w->leases[--w->lease_count];
    lease_remember(h, l->id, outcome, result);
    idmap_take(&h->leases, l->id);
    free(l);
    j->lease = NULL;
    if (outcome == LEASE_SUBMITTED)
        return;
    batch_row(out, ROW_JOB_STATE)->job_state = (struct row_job_state){
        .id = j->id, .state = JOB_READY, .attempts = j->attempts, .faults = j->faults};
    job_ready(h, j);
}

void lease_extend_all(struct hub *h, uint64_t now_ms)
{
    size_t at = 0;
    for (struct lease *l = idmap_next(&h->leases, &at); l; l = idmap_next(&h->leases, &at))
        l->deadline_ms = now_ms + h->o.lease_ms;
    for (struct session *s = h->sessions; s; s = s->next)
        s->seen_ms = now_ms;
}

/* Ends what is overdue. Found first, ended after: the map must not change under the walk. */
void lease_tick(struct hub *h, uint64_t now_ms, struct batch *out)
{
    struct lease *due[64]; /* the rest is due at the next tick */
    size_t count = 0, at = 0;
    for (struct lease *l; count < ARRAY_LEN(due) && (l = idmap_next(&h->leases, &at));) {
        if (l->deadline_ms <= now_ms)
            due[count++] = l;
    }
    for (size_t i = 0; i < count; i++) {
        batch_event(out, EVENT_WARN, "lease.expired", due[i]->worker->name,
            "lease %ju of job %ju: no word of it in time, the job is ready again",
            (uintmax_t)due[i]->id, (uintmax_t)due[i]->job->id);
        lease_end(h, due[i], LEASE_EXPIRED, NULL, out);
    }
}

/* ---- granting ---- */

enum { /* upper bounds of what a lease adds to a grant, beside its token ids */
    GRANT_SAMPLE_BYTES = 192,
    GRANT_GRADE_BYTES = 128,
    GRANT_REVOKED_BYTES = 11,
    GRANT_FIXED_BYTES = 64,
};

static size_t grant_bytes(const struct hub *h, const struct job *j)
{
    if (j->kind == JOB_GRADE)
        return GRANT_GRADE_BYTES;
    return GRANT_SAMPLE_BYTES + 4 * ((size_t)j->group->prompt_len + h->o.stop_count);
}

static bool is_alone(const struct job *j)
{
    return j->faults >= HUB_FAULTS_ALONE;
}

static bool may_grant(const struct worker *w, const struct job *j, uint64_t now_ms)
{
    if (j->not_before_ms > now_ms || (j->kind == JOB_GRADE && j->input_state != INPUT_BUILT))
        return false;
    if (w->lease_count == LIMIT_LEASES_PER_WORKER)
        return false;
    if (is_alone(j))
        return w->lease_count == 0;
    return w->lease_count == 0 || !is_alone(w->leases[0]->job);
}

/* Grants up to jobs_max jobs to the session's poll; bytes is what its reply already takes. */
static void grant_jobs(struct hub *h, struct session *s, uint32_t jobs_max, size_t bytes,
    uint64_t now_ms, struct batch *out)
{
    struct ready *r = &h->ready[s->worker->role == ROLE_ACTOR ? JOB_SAMPLE : JOB_GRADE];
    for (size_t i = 0; i < r->count && s->granted_count < jobs_max;) {
        struct job *j = r->jobs[i];
        if (!may_grant(s->worker, j, now_ms)) {
            i++;
            continue;
        }
        bytes += grant_bytes(h, j);
        if (bytes > LIMIT_CONTROL_REPLY_BYTES)
            return;
        lease_grant(h, j, s, now_ms, out); /* takes it from the list: i is the next one */
    }
}

static struct sample_lease sample_of(const struct hub *h, const struct lease *l, struct batch *out)
{
    const struct group *g = l->job->group;
    const struct snapshot_version *v = idmap_get(&h->versions, g->version);
    assert(v); /* plan_commit takes no unknown version, and a planned group's version is kept */
    bool train = g->purpose == PURPOSE_TRAIN;
    return (struct sample_lease){.lease = l->id,
        .job = l->job->id,
        .group = g->id,
        .lease_ms = h->o.lease_ms,
        .version = g->version,
        .weights = v->digest,
        .prompt = batch_dup(out, g->prompt, g->prompt_len * sizeof(uint32_t)),
        .prompt_len = g->prompt_len,
        .n = g->n,
        .max_tokens = g->max_tokens,
        .vocab = h->o.vocab,
        .temperature = g->temperature,
        .weights_type = g->weights_type,
        .seed = h->o.seed,
        .ordinal = g->ordinal,
        .domain = train ? RNG_TRAIN : RNG_EVAL,
        .stage = train ? g->stage : 0,
        .stop = batch_dup(out, h->o.stop, h->o.stop_count * sizeof(uint32_t)),
        .stop_count = h->o.stop_count};
}

/* Fills the grant with those of the session's last granted leases that live: the same for a repeat.
 */
static void fill_leases(
    const struct hub *h, const struct session *s, struct msg_grant *g, struct batch *out)
{
    struct sample_lease *sample = batch_alloc(out, LIMIT_GRANT * sizeof(*sample));
    struct grade_lease *grade = batch_alloc(out, LIMIT_GRANT * sizeof(*grade));
    for (uint32_t i = 0; i < s->granted_count; i++) {
        const struct lease *l = lease_of(h, s->granted[i], s->worker);
        if (!l)
            continue;
        if (l->job->kind == JOB_SAMPLE)
            sample[g->sample_count++] = sample_of(h, l, out);
        else
            grade[g->grade_count++] = (struct grade_lease){.lease = l->id,
                .job = l->job->id,
                .group = l->job->group->id,
                .lease_ms = h->o.lease_ms,
                .input = l->job->input};
    }
    g->sample = sample;
    g->grade = grade;
}

/* Of the listed leases, those that the worker should stop working on. A lease that ended by its
 * result is not among them: the answer to that result is on its way. Extends the live ones. */
static const uint64_t *check_listed(struct hub *h, const struct worker *w, const uint64_t *listed,
    size_t count, uint64_t now_ms, size_t *ret_revoked, struct batch *out)
{
    uint64_t *revoked = batch_alloc(out, count * sizeof(*revoked));
    *ret_revoked = 0;
    for (size_t i = 0; i < count; i++) {
        struct lease *l = lease_of(h, listed[i], w);
        const struct ended *x = lease_ended(h, listed[i]);
        if (l)
            l->deadline_ms = now_ms + h->o.lease_ms;
        else if (!x || x->outcome != LEASE_SUBMITTED)
            revoked[(*ret_revoked)++] = listed[i];
    }
    return revoked;
}

static bool is_listed(const struct msg_poll *p, uint64_t lease)
{
    for (size_t i = 0; i < p->lease_count; i++) {
        if (p->leases[i] == lease)
            return true;
    }
    return false;
}

/* A lease that the worker does not list in a later poll than the one that was granted it is not
 * being worked on: it had the answer before it asked again, or the process that had it is gone. */
static void end_unlisted(struct hub *h, const struct request *r, struct batch *out)
{
    struct worker *w = r->session->worker;
    for (uint32_t n = w->lease_count; n-- > 0;) {
        struct lease *l = w->leases[n];
        if (!is_listed(&r->msg->poll, l->id))
            lease_end(h, l, LEASE_LOST, NULL, out);
    }
}

/* The zeroed answer to the session's latest poll. */
static struct msg *answer_parked(struct session *s, struct batch *out)
{
    struct msg *m = batch_alloc(out, sizeof(*m));
    struct out *o = batch_out(out, OUT_REPLY);
    o->reply.peer = s->peer;
    o->reply.session = s->id;
    o->reply.sequence = s->poll_sequence;
    o->reply.msg = m;
    s->parked = false;
    return m;
}

static void answer_poll(
    struct hub *h, struct session *s, const struct msg_grant *g, struct batch *out)
{
    struct msg *m = answer_parked(s, out);
    m->type = MSG_GRANT;
    m->grant = *g;
    fill_leases(h, s, &m->grant, out);
    m->grant.drain = h->draining;
}

/* The same grant once more: its first answer was lost, and the worker gets as long as the first
 * time. */
static void grant_again(
    struct hub *h, struct session *s, const struct msg_grant *g, uint64_t now_ms, struct batch *out)
{
    for (uint32_t i = 0; i < s->granted_count; i++) {
        struct lease *l = lease_of(h, s->granted[i], s->worker);
        if (l && l->deadline_ms < first_deadline(h, now_ms))
            l->deadline_ms = first_deadline(h, now_ms);
    }
    answer_poll(h, s, g, out);
}

void lease_poll(struct hub *h, const struct request *r, struct batch *out)
{
    struct session *s = r->session;
    const struct msg_poll *p = &r->msg->poll;
    bool repeat = s->polled && r->frame->sequence == s->poll_sequence &&
                  r->peer->request_id == s->poll_request;
    if (!repeat && s->polled && r->frame->sequence <= s->poll_sequence)
        return; /* overtaken by a later poll of this session: nobody waits for the answer */
    struct msg_grant g = {0};
    g.revoked =
        check_listed(h, s->worker, p->leases, p->lease_count, r->now_ms, &g.revoked_count, out);
    s->peer = *r->peer;
    s->tokens = p->tokens;
    if (repeat) {
        if (!s->parked)
            grant_again(h, s, &g, r->now_ms, out);
        return;
    }
    end_unlisted(h, r, out);
    s->polled = true;
    s->poll_sequence = r->frame->sequence;
    s->poll_request = r->peer->request_id;
    s->granted_count = 0;
    s->max_jobs = p->max_jobs < LIMIT_GRANT ? p->max_jobs : LIMIT_GRANT;
    size_t bytes = GRANT_FIXED_BYTES + g.revoked_count * GRANT_REVOKED_BYTES;
    if (!h->stopped)
        grant_jobs(h, s, s->max_jobs, bytes, r->now_ms, out);
    if (s->granted_count || g.revoked_count || h->draining || p->wait_ms == 0) {
        answer_poll(h, s, &g, out);
        return;
    }
    s->parked = true;
    hub_session_last(h, s);
    s->parked_until_ms =
        r->now_ms + (p->wait_ms < TIMING_POLL_MS ? p->wait_ms : (uint32_t)TIMING_POLL_MS);
}

void lease_heartbeat(struct hub *h, const struct request *r, struct batch *out)
{
    const struct msg_heartbeat *b = &r->msg->heartbeat;
    struct msg *m = hub_reply(r, MSG_HEARTBEAT_REPLY, out);
    r->session->tokens = b->tokens;
    m->heartbeat_reply.revoked = check_listed(h, r->session->worker, b->leases, b->lease_count,
        r->now_ms, &m->heartbeat_reply.revoked_count, out);
    m->heartbeat_reply.drain = h->draining;
}

void lease_release(struct hub *h, const struct request *r, struct batch *out)
{
    const struct msg_release *m = &r->msg->release;
    struct worker *w = r->session->worker;
    uint32_t released = 0;
    for (size_t i = 0; i < m->lease_count; i++) {
        struct lease *l = lease_of(h, m->leases[i], w);
        if (l) {
            lease_end(h, l, LEASE_RELEASED, NULL, out);
            released++;
        }
    }
    if (released)
        batch_event(out, EVENT_INFO, "lease.released", w->name, "%u leases: %s", released, m->why);
    (void)hub_reply(r, MSG_RELEASED, out);
}

/* ---- serving parked polls ---- */

/* Wants inputs for the next grade jobs. */
static void want_inputs(struct hub *h, struct batch *out)
{
    struct ready *r = &h->ready[JOB_GRADE];
    for (size_t i = 0; i < r->count && h->inputs_ahead < HUB_INPUTS_AHEAD; i++) {
        struct job *j = r->jobs[i];
        if (j->input_state != INPUT_NONE)
            continue;
        j->input_state = INPUT_WANTED;
        h->inputs_ahead++;
        batch_out(out, OUT_INPUT_WANT)->job = j->id;
    }
}

void lease_input(struct hub *h, const struct hub_event *ev, struct batch *out)
{
    (void)out;
    struct job *j = idmap_get(&h->jobs, ev->input.job);
    if (!j || j->input_state != INPUT_WANTED)
        return; /* asked for by a hub before this one */
    j->input_state = INPUT_BUILT;
    j->input = (struct blob_ref){
        .kind = BLOB_GRADE_INPUT, .id = j->id, .bytes = ev->input.bytes, .hash = ev->input.hash};
}

static uint32_t parked_count(const struct hub *h, enum frame_role role)
{
    uint32_t n = 0;
    for (const struct session *s = h->sessions; s; s = s->next)
        n += s->parked && s->worker->role == role;
    return n;
}

/* Spreads the ready jobs over the parked polls, longest waiting first, so that the first worker
 * does not take what all could do at the same time. */
static void serve_role(struct hub *h, enum frame_role role, uint64_t now_ms, struct batch *out)
{
    size_t ready = h->ready[role == ROLE_ACTOR ? JOB_SAMPLE : JOB_GRADE].count;
    uint32_t parked = ready ? parked_count(h, role) : 0;
    if (!parked)
        return;
    uint32_t share = (uint32_t)((ready + parked - 1) / parked);
    for (struct session *s = h->sessions; s; s = s->next) {
        if (!s->parked || s->worker->role != role)
            continue;
        grant_jobs(h, s, share < s->max_jobs ? share : s->max_jobs, GRANT_FIXED_BYTES, now_ms, out);
        if (s->granted_count)
            answer_poll(h, s, &(struct msg_grant){0}, out);
    }
}

void hub_refuse_parked(struct hub *h, struct batch *out)
{
    for (struct session *s = h->sessions; s; s = s->next) {
        if (!s->parked)
            continue;
        struct msg *m = answer_parked(s, out);
        m->type = MSG_NACK;
        m->nack = (struct msg_nack){.code = NACK_RETRY, .message = "the learner is not ready"};
    }
}

void lease_serve(struct hub *h, uint64_t now_ms, struct batch *out)
{
    want_inputs(h, out);
    if (!h->stopped) {
        serve_role(h, ROLE_ACTOR, now_ms, out);
        serve_role(h, ROLE_REWARD, now_ms, out);
        want_inputs(h, out);
    }
    for (struct session *s = h->sessions; s; s = s->next) {
        if (s->parked && (h->draining || s->parked_until_ms <= now_ms))
            answer_poll(h, s, &(struct msg_grant){0}, out);
    }
}
