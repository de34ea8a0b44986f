/* hub_sim_world.c: see hub_sim.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>

#include "hub_sim.h"

bool world_chance(struct world *w, unsigned permille)
{
    return !w->quiet && rng_below(&w->rng, 1000) < permille;
}

uint64_t world_jitter(struct world *w, uint64_t ms)
{
    return 1 + rng_below(&w->rng, ms);
}

/* ---- network ---- */

static void push(struct world *w, struct packet p)
{
    if (w->packet_count == PACKETS_MAX)
        return; /* a full network loses packets */
    p.order = w->order++;
    w->packets[w->packet_count++] = p;
}

void world_send(struct world *w, struct packet p)
{
    p.msg = p.msg ? arena_dup(w->arena, p.msg, sizeof(*p.msg)) : NULL;
    if (!world_chance(w, 100)) {
        p.at_ms = w->now_ms + world_jitter(w, 50);
        push(w, p);
    }
    if (world_chance(w, 100)) {
        p.at_ms = w->now_ms + world_jitter(w, world_chance(w, 100) ? 60000 : 3000);
        push(w, p);
    }
}

bool world_receive(struct world *w, struct packet *ret)
{
    size_t best = w->packet_count;
    for (size_t i = 0; i < w->packet_count; i++) {
        const struct packet *p = &w->packets[i], *b = &w->packets[best];
        if (p->at_ms <= w->now_ms && (best == w->packet_count || p->at_ms < b->at_ms ||
                                         (p->at_ms == b->at_ms && p->order < b->order)))
            best = i;
    }
    if (best == w->packet_count)
        return false;
    *ret = w->packets[best];
    w->packets[best] = w->packets[--w->packet_count];
    return true;
}

/* ---- workers ---- */

static void request(struct world *w, int i, struct sim_worker *k, const struct msg *m, uint64_t id,
    uint64_t sequence, const uint8_t *payload)
{
    struct packet p = {.to = i, .life = k->life, .msg = m};
    uint8_t *bytes = arena_alloc(w->arena, 8);
    if (payload)
        memcpy(bytes, payload, 8);
    p.frame = (struct frame){.type = (uint16_t)m->type,
        .role = (uint8_t)k->role,
        .epoch = k->epoch,
        .session = k->session,
        .sequence = sequence,
        .request_id = id,
        .payload = bytes,
        .payload_bytes = 8};
    p.frame.key_id = 1; /* to the hub; a reply has 0 */
    world_send(w, p);
}

static void lose_session(struct sim_worker *k)
{
    k->session = 0;
    k->request = 0;
    for (size_t i = 0; i < RESULTS_MAX; i++)
        k->results[i].again_ms = 0;
}

static void crash(struct world *w, struct sim_worker *k)
{
    uint32_t life = k->life + 1;
    enum frame_role role = k->role;
    char name[sizeof(k->name)];
    memcpy(name, k->name, sizeof(name));
    *k = (struct sim_worker){.role = role, .life = life};
    memcpy(k->name, name, sizeof(name));
    k->down_until_ms = w->now_ms + world_jitter(w, 8000);
}

static void ask(struct world *w, int i, struct sim_worker *k)
{
    if (!k->request) {
        k->request = w->next_request++;
        k->request_sequence = ++k->sequence;
        k->asking = (struct msg){.type = k->session ? MSG_POLL : MSG_HELLO};
        if (k->session) {
            uint64_t *held = arena_dup(w->arena, k->held, k->held_count * sizeof(uint64_t));
            k->asking.poll = (struct msg_poll){.max_jobs = SLOTS - k->held_count,
                .leases = held,
                .lease_count = k->held_count,
                .wait_ms = 5000};
        } else {
            static const char *kinds[] = {"exact", "format"};
            k->asking.hello = (struct msg_hello){.name = k->name,
                .build = "",
                .host = "",
                .protocol = PROTOCOL_VERSION,
                .has_numerics = true,
                .numerics_id = w->options.numerics_id,
                .scorers = kinds,
                .scorer_count = 2};
        }
    } else if (w->now_ms < k->again_ms) {
        return;
    }
    k->again_ms = w->now_ms + 2000 + (k->session ? 5000 : 0);
    request(w, i, k, &k->asking, k->request, k->request_sequence, NULL);
}

static void submit(struct world *w, struct sim_worker *k, uint64_t lease, const struct msg *m)
{
    if (k->held_count == SLOTS)
        return;
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        struct result *r = &k->results[i];
        if (r->used)
            continue;
        *r = (struct result){.lease = lease,
            .msg = *m,
            .used = true,
            .request = w->next_request++,
            .sequence = ++k->sequence,
            .again_ms = w->now_ms + world_jitter(w, 1500)}; /* working takes its time */
        put_u64(r->payload, rng_next(&w->rng));
        r->digest = hash_of(r->payload, 8);
        k->held[k->held_count++] = lease;
        return;
    }
}

static void take_sample(struct world *w, struct sim_worker *k, const struct sample_lease *l)
{
    struct completion *c = arena_alloc(w->arena, l->n * sizeof(*c));
    struct rng_key key = {.seed = l->seed, .domain = l->domain, .ordinal = l->ordinal};
    fake_sample(&key, l->n, l->max_tokens, l->vocab, w->arena, c);
    struct msg m = {.type = MSG_SUBMIT_GROUP};
    m.submit_group = (struct msg_submit_group){.lease = l->lease,
        .weights = l->weights,
        .numerics_id = w->options.numerics_id,
        .completions = c,
        .completion_count = l->n};
    submit(w, k, l->lease, &m);
}

double world_true_value(uint64_t group, uint32_t index, const char *scorer)
{
    uint8_t text[16];
    put_u64(text, group);
    put_u64(text + 8, index);
    if (hash_u64(text, 16) % 16 == 0)
        return NAN;
    return fake_score(scorer, text, 16);
}

static void take_grade(struct world *w, struct sim_worker *k, const struct grade_lease *l)
{
    const struct model_job *j = idmap_get(&w->tables.jobs, l->job);
    uint32_t n = j->member_count ? j->member_count : FAKE_SIZE;
    struct score_result *results = arena_alloc(w->arena, n * FAKE_SCORERS * sizeof(*results));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = j->member_count ? j->members[i] : i;
        bool transient = world_chance(w, 100);
        for (uint32_t s = 0; s < FAKE_SCORERS; s++) {
            double value = world_true_value(l->group, index, w->scorers[s].name);
            bool faulty = transient || isnan(value);
            results[i * FAKE_SCORERS + s] = (struct score_result){.index = index,
                .scorer = w->scorers[s].name,
                .has_value = !faulty,
                .value = faulty ? 0 : value,
                .fault = transient ? SCORE_FAULT_TRANSIENT
                         : faulty  ? SCORE_FAULT_PERMANENT
                                   : SCORE_FAULT_NONE,
                .reason = "",
                .extracted = "",
                .isolation = ""};
        }
    }
    struct msg m = {.type = MSG_SUBMIT_SCORES};
    m.submit_scores = (struct msg_submit_scores){
        .lease = l->lease, .results = results, .result_count = n * FAKE_SCORERS};
    submit(w, k, l->lease, &m);
}

static void forget_lease(struct sim_worker *k, uint64_t lease)
{
    for (uint32_t i = 0; i < k->held_count; i++) {
        if (k->held[i] == lease)
            k->held[i] = k->held[--k->held_count];
    }
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        if (k->results[i].used && k->results[i].lease == lease)
            k->results[i].used = false;
    }
}

static void on_submit_reply(
    struct world *w, struct sim_worker *k, struct result *r, const struct msg *m)
{
    if (m->type != MSG_SUBMIT_REPLY)
        return;
    assert_int_not_equal(m->submit_reply.status, SUBMIT_BAD);
    assert_int_not_equal(m->submit_reply.status, SUBMIT_CONFLICT);
    if (m->submit_reply.status == SUBMIT_OK) {
        assert_true(w->acked_count < ARRAY_LEN(w->acked));
        w->acked[w->acked_count].lease = r->lease;
        w->acked[w->acked_count++].digest = r->digest;
    }
    if (m->submit_reply.status != SUBMIT_RETRY)
        forget_lease(k, r->lease);
}

void world_to_worker(struct world *w, struct packet *p)
{
    struct sim_worker *k = &w->workers[p->to];
    const struct msg *m = p->msg;
    if (p->life != k->life || w->now_ms < k->down_until_ms)
        return;
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        struct result *r = &k->results[i];
        if (r->used && r->request == p->frame.request_id) {
            if (m->type == MSG_NACK && m->nack.code == NACK_UNKNOWN_SESSION)
                lose_session(k);
            else
                on_submit_reply(w, k, r, m);
            return;
        }
    }
    if (p->frame.request_id != k->request || !k->request)
        return;
    k->request = 0;
    if (m->type == MSG_NACK && m->nack.code == NACK_UNKNOWN_SESSION) {
        lose_session(k);
    } else if (m->type == MSG_WELCOME) {
        k->session = m->welcome.session;
        k->epoch = m->welcome.epoch;
    } else if (m->type == MSG_GRANT) {
        for (size_t i = 0; i < m->grant.revoked_count; i++)
            forget_lease(k, m->grant.revoked[i]);
        for (size_t i = 0; i < m->grant.sample_count; i++)
            take_sample(w, k, &m->grant.sample[i]);
        for (size_t i = 0; i < m->grant.grade_count; i++)
            take_grade(w, k, &m->grant.grade[i]);
    }
}

static void heartbeat(struct world *w, int i, struct sim_worker *k)
{
    if (w->now_ms < k->beat_ms || !k->held_count)
        return;
    k->beat_ms = w->now_ms + 2000;
    uint64_t *held = arena_dup(w->arena, k->held, k->held_count * sizeof(uint64_t));
    struct msg m = {.type = MSG_HEARTBEAT};
    m.heartbeat = (struct msg_heartbeat){.leases = held, .lease_count = k->held_count};
    request(w, i, k, &m, w->next_request++, ++k->sequence, NULL);
}

void world_worker_turn(struct world *w, int i)
{
    struct sim_worker *k = &w->workers[i];
    if (w->now_ms < k->down_until_ms)
        return;
    if (world_chance(w, 2)) {
        crash(w, k);
        return;
    }
    if (k->request || !k->session || k->held_count < SLOTS)
        ask(w, i, k);
    if (!k->session)
        return;
    heartbeat(w, i, k);
    for (size_t r = 0; r < RESULTS_MAX; r++) {
        struct result *x = &k->results[r];
        if (!x->used || w->now_ms < x->again_ms)
            continue;
        x->again_ms = w->now_ms + 2000;
        request(w, i, k, &x->msg, x->request, x->sequence, x->payload);
    }
}
