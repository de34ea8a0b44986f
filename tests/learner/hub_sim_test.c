/* hub_sim_test.c: the pure hub in a seeded world: lost, doubled and overtaken messages, workers
 * that crash and come back under their names, a store that fails before or after its commit, a
 * learner that is killed.
 *
 *     hub_sim_test [SEED [WORLDS]]
 *
 * The tables are hub_model's, which checks G1 and G2 with every row. Here it is checked that an
 * acknowledged result is in the tables (then and for ever), that every group is scored with the
 * very rewards that an undisturbed run gives, and that a hub made from the tables equals the one
 * that wrote them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "hub_fake.h"
#include "hub_model.h"
#include "learner/hub.h"

enum {
    WORLD_WORKERS = 6,
    WORLD_STEPS = 5,
    WORLD_GROUPS = 8,
    WORLD_MS_MAX =
        3600 * 1000, /* simulated; a world that needs longer has stopped making progress */
    SLOTS = 4,
    RESULTS_MAX = 16,
    PACKETS_MAX = 4096,
    VOCAB = 32,
};

/* ---- the world ---- */

struct packet {
    uint64_t at_ms, order;
    int to;        /* worker, or -1: the hub */
    uint32_t life; /* of the worker that it is from or for */
    struct frame frame;
    const struct msg *msg; /* in the world's arena */
};

struct result { /* a worker's outbox */
    uint64_t lease, request, sequence, again_ms;
    struct msg msg;
    struct hash digest;
    uint8_t payload[8];
    bool used;
};

struct sim_worker {
    char name[16];
    enum frame_role role;
    uint32_t life, epoch;
    uint64_t down_until_ms;
    uint64_t session, sequence, request; /* request: of the poll or Hello under way, 0: none */
    uint64_t request_sequence, again_ms, beat_ms;
    bool asks_hello;
    struct msg asking;
    uint64_t held[LIMIT_LEASES_PER_WORKER];
    uint32_t held_count;
    struct result results[RESULTS_MAX];
};

struct world {
    uint64_t seed, now_ms, order, next_request;
    struct rng rng;
    struct arena *arena;
    struct model tables;
    struct hub *hub;
    struct hub_options options;
    struct hub_scorer scorers[FAKE_SCORERS];
    uint32_t stop_ids[1];
    uint64_t next_session;
    struct batch filling, flying;
    bool in_flight, quiet;
    uint64_t flight_end_ms, hub_down_until_ms;
    struct packet packets[PACKETS_MAX];
    size_t packet_count;
    struct sim_worker workers[WORLD_WORKERS];
    /* the stage thread */
    uint32_t step; /* committed so far; 0: nothing is planned yet */
    bool calling, waiting;
    uint64_t commits_before;
    uint64_t groups[WORLD_GROUPS];
    bool done;
    /* what workers were told is stored */
    struct {
        uint64_t lease;
        struct hash digest;
    } acked[1 << 15];
    size_t acked_count;
    uint64_t restarts, failures, conflicts;
};

static bool chance(struct world *w, unsigned permille)
{
    return !w->quiet && rng_below(&w->rng, 1000) < permille;
}

static uint64_t jitter(struct world *w, uint64_t ms)
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

/* Loses 1 in 10, doubles 1 in 10 (the copy may come much later), delays all: so they overtake each
 * other. */
static void send_packet(struct world *w, struct packet p)
{
    p.msg = p.msg ? arena_dup(w->arena, p.msg, sizeof(*p.msg)) : NULL;
    if (!chance(w, 100)) {
        p.at_ms = w->now_ms + jitter(w, 50);
        push(w, p);
    }
    if (chance(w, 100)) {
        p.at_ms = w->now_ms + jitter(w, chance(w, 100) ? 60000 : 3000);
        push(w, p);
    }
}

static bool pop(struct world *w, struct packet *ret)
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

/* ---- hub and store ---- */

static void stage_turn(struct world *w);
static void drop_state(struct world *w);

/* What follows a commit: waiting for its groups; after the last one, nothing. */
static void committed(struct world *w)
{
    w->step++;
    w->waiting = w->step <= WORLD_STEPS;
}

static void deliver(struct world *w, struct batch *b)
{
    for (size_t i = 0; i < b->out_count; i++) {
        const struct out *o = &b->outs[i];
        if (o->kind == OUT_REPLY) {
            struct packet p = {.to = o->reply.peer.bytes[0], .msg = o->reply.msg};
            memcpy(&p.life, o->reply.peer.bytes + 4, sizeof(p.life));
            p.frame = (struct frame){.type = (uint16_t)o->reply.msg->type,
                .request_id = o->reply.peer.request_id,
                .session = o->reply.session};
            struct msg copy = *o->reply.msg; /* its arrays die with the batch */
            if (copy.type == MSG_GRANT) {
                copy.grant.sample = arena_dup(w->arena, copy.grant.sample,
                    copy.grant.sample_count * sizeof(*copy.grant.sample));
                copy.grant.grade = arena_dup(
                    w->arena, copy.grant.grade, copy.grant.grade_count * sizeof(*copy.grant.grade));
                copy.grant.revoked = arena_dup(
                    w->arena, copy.grant.revoked, copy.grant.revoked_count * sizeof(uint64_t));
            }
            p.msg = &copy;
            send_packet(w, p);
        } else if (o->kind == OUT_COMMITTED) {
            assert_int_equal(o->committed.count, w->step == WORLD_STEPS ? 0 : WORLD_GROUPS);
            memcpy(w->groups, o->committed.groups, o->committed.count * sizeof(uint64_t));
            w->calling = false;
            committed(w);
        } else if (o->kind == OUT_SCORED) {
            w->waiting = w->calling = false;
            for (size_t k = 0; k < WORLD_GROUPS; k++)
                assert_int_equal(model_group(&w->tables, w->groups[k])->state, GROUP_SCORED);
        } else if (o->kind == OUT_INPUT_WANT) {
            struct hub_event ev = {.type = HUB_INPUT,
                .input = {.job = o->job, .bytes = 1, .hash = hash_of(&o->job, 8)}};
            hub_step(w->hub, &ev, w->now_ms, &w->filling);
        } else {
            assert_int_not_equal(o->kind, OUT_FAILED);
        }
    }
    batch_done(b);
    batch_init(b);
}

static void begin_flight(struct world *w)
{
    if (w->in_flight || !w->hub || batch_empty(&w->filling))
        return;
    batch_done(&w->flying);
    w->flying = w->filling;
    batch_init(&w->filling);
    w->in_flight = true;
    w->flight_end_ms = w->now_ms + jitter(w, 20);
}

/* A hub made from the tables must be the one that wrote them, but for what is still in batches. */
static void check_restart(struct world *w)
{
    if (w->in_flight || w->filling.row_count)
        return;
    CLEANUP_BUF struct buf before = {0}, after = {0};
    struct snapshot s = model_snapshot(&w->tables);
    struct hub *twin = hub_new(&w->options, &s, w->next_session, w->now_ms);
    snapshot_done(&s);
    hub_print(w->hub, &before);
    hub_print(twin, &after);
    assert_string_equal((const char *)before.data, (const char *)after.data);
    hub_free(twin);
}

static void check_acked(const struct world *w)
{
    for (size_t i = 0; i < w->acked_count; i++) {
        const struct model_lease *l = model_lease(&w->tables, w->acked[i].lease);
        assert_non_null(l);
        assert_int_equal(l->outcome, LEASE_SUBMITTED);
        assert_memory_equal(l->result.b, w->acked[i].digest.b, HASH_BYTES);
    }
}

static void new_hub(struct world *w)
{
    struct snapshot s = model_snapshot(&w->tables);
    w->hub = hub_new(&w->options, &s, w->next_session, w->now_ms);
    snapshot_done(&s);
    check_acked(w);
}

static void drop_state(struct world *w)
{
    w->next_session = hub_next_session(w->hub);
    hub_free(w->hub);
    w->hub = NULL;
    batch_done(&w->filling);
    batch_init(&w->filling);
    w->in_flight = false;
}

static void end_flight(struct world *w)
{
    if (!w->in_flight || w->now_ms < w->flight_end_ms || !w->hub)
        return;
    if (chance(w, 5)) { /* the store fails: before its commit, or after it without knowing */
        if (rng_below(&w->rng, 2))
            model_apply(&w->tables, &w->flying);
        w->failures++;
        drop_state(w);
        w->hub_down_until_ms = w->now_ms + jitter(w, 2000);
        return;
    }
    w->in_flight = false;
    model_apply(&w->tables, &w->flying);
    deliver(w, &w->flying);
    if (rng_below(&w->rng, 64) == 0)
        check_restart(w);
}

static void hub_turn(struct world *w)
{
    if (w->hub && chance(w, 1)) { /* kill -9 */
        if (w->in_flight && rng_below(&w->rng, 2))
            model_apply(&w->tables, &w->flying);
        w->restarts++;
        drop_state(w);
        w->tables.epoch++;
        w->next_session = ((uint64_t)w->tables.epoch << 32) + 1;
        w->hub_down_until_ms = w->now_ms + jitter(w, 5000);
    }
    if (!w->hub && w->now_ms >= w->hub_down_until_ms) {
        new_hub(w);
        w->calling = false; /* the stage thread's call is given to the new hub */
    }
    if (!w->hub)
        return;
    if (w->now_ms % 100 == 0)
        hub_step(w->hub, &(struct hub_event){.type = HUB_TICK}, w->now_ms, &w->filling);
    end_flight(w);
    if (w->hub)
        stage_turn(w);
    begin_flight(w);
}

static void to_hub(struct world *w, const struct packet *p)
{
    if (!w->hub)
        return;
    struct hub_peer peer = {.len = 8, .request_id = p->frame.request_id};
    peer.bytes[0] = (uint8_t)p->to;
    memcpy(peer.bytes + 4, &p->life, sizeof(p->life));
    struct hub_event ev = {
        .type = HUB_MESSAGE, .message = {.peer = &peer, .frame = &p->frame, .msg = p->msg}};
    hub_step(w->hub, &ev, w->now_ms, &w->filling);
    begin_flight(w);
}

/* ---- the stage thread ---- */

static void commit_step(struct world *w)
{
    struct commit_version version = {.version = w->step + 1,
        .digest = hash_of(&w->step, sizeof(w->step)),
        .path = "w",
        .bytes = 1};
    struct commit_step step = {.step = w->step ? w->step - 1 : 0};
    struct plan_item plan[WORLD_GROUPS];
    uint64_t groups[WORLD_GROUPS] = {0}, tasks[WORLD_GROUPS] = {0};
    struct commit_group used[WORLD_GROUPS];
    size_t used_count = 0;
    bool last = w->step == WORLD_STEPS;
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        enum purpose purpose = i < WORLD_GROUPS - 2 ? PURPOSE_TRAIN : PURPOSE_EVAL;
        plan[i] = fake_plan_item(purpose, w->step, i, w->step + 1, w->arena);
        plan[i].row = 100 * w->step + i; /* a task of its own: the model looks none up */
        if (purpose == PURPOSE_TRAIN && w->step)
            used[used_count++] = (struct commit_group){.group = w->groups[i]};
    }
    struct commit c = {.version = &version,
        .step = w->step ? &step : NULL,
        .groups = used,
        .group_count = used_count,
        .plan = plan,
        .plan_count = last ? 0 : WORLD_GROUPS};
    struct hub_event ev = {
        .type = HUB_COMMIT, .commit = {.c = &c, .groups = groups, .tasks = tasks}};
    hub_step(w->hub, &ev, w->now_ms, &w->filling);
}

/* Like the service: a commit that a failed attempt made durable is not made again. */
static void stage_turn(struct world *w)
{
    if (w->calling || w->done)
        return;
    if (w->step > WORLD_STEPS) {
        w->done = true;
        return;
    }
    if (w->waiting) {
        w->calling = true;
        hub_step(w->hub,
            &(struct hub_event){
                .type = HUB_WAIT, .wait = {.groups = w->groups, .count = WORLD_GROUPS}},
            w->now_ms, &w->filling);
        return;
    }
    if (hub_commits(w->hub) > w->step) { /* groups of the step: ids count up in plan order */
        for (uint64_t i = 0; i < WORLD_GROUPS; i++)
            w->groups[i] = (uint64_t)w->step * WORLD_GROUPS + i + 1;
        committed(w);
        return;
    }
    w->calling = true;
    commit_step(w);
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
    send_packet(w, p);
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
    k->down_until_ms = w->now_ms + jitter(w, 8000);
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
            .again_ms = w->now_ms + jitter(w, 1500)}; /* working takes its time */
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

/* The score of a completion, the same in every world: NAN for 1 in 16, whose judge is broken for
 * good. */
static double true_value(uint64_t group, uint32_t index, const char *scorer)
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
        bool transient = chance(w, 100);
        for (uint32_t s = 0; s < FAKE_SCORERS; s++) {
            double value = true_value(l->group, index, w->scorers[s].name);
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

static void to_worker(struct world *w, struct packet *p)
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

static void worker_turn(struct world *w, int i)
{
    struct sim_worker *k = &w->workers[i];
    if (w->now_ms < k->down_until_ms)
        return;
    if (chance(w, 2)) {
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

/* ---- worlds ---- */

static void world_init(struct world *w, uint64_t seed)
{
    static const char *const names[] = {"right", "shape"}, *const kinds[] = {"exact", "format"};
    *w = (struct world){.seed = seed, .next_request = 1, .arena = arena_new(0)};
    w->rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (size_t i = 0; i < FAKE_SCORERS; i++)
        w->scorers[i] = (struct hub_scorer){names[i], kinds[i], i == 0 ? 1.0 : 0.25, i == 0};
    w->stop_ids[0] = FAKE_STOP;
    w->options = (struct hub_options){.run = "sim",
        .seed = 7,
        .lease_ms = 10000,
        .numerics_id = hash_of("n", 1),
        .vocab = VOCAB,
        .stop = w->stop_ids,
        .stop_count = 1,
        .scorers = w->scorers,
        .scorer_count = FAKE_SCORERS};
    model_init(&w->tables, FAKE_SCORERS);
    w->tables.epoch = 1;
    w->next_session = 1;
    batch_init(&w->filling);
    batch_init(&w->flying);
    for (int i = 0; i < WORLD_WORKERS; i++) {
        struct sim_worker *k = &w->workers[i];
        k->role = i % 3 == 2 ? ROLE_REWARD : ROLE_ACTOR;
        (void)snprintf(k->name, sizeof(k->name), "w%d", i);
    }
    new_hub(w);
}

static void world_done(struct world *w)
{
    hub_free(w->hub);
    batch_done(&w->filling);
    batch_done(&w->flying);
    model_done(&w->tables);
    arena_free(w->arena);
}

/* The rewards that any world must end with. */
static void check_end(const struct world *w)
{
    assert_int_equal(w->tables.last_group, WORLD_STEPS * WORLD_GROUPS);
    for (uint64_t id = 1; id <= w->tables.last_group; id++) {
        const struct model_group *g = model_group(&w->tables, id);
        assert_int_equal(g->state, GROUP_SCORED);
        assert_int_equal(g->in_step, g->row.purpose == PURPOSE_TRAIN);
        for (uint32_t i = 0; i < g->row.n; i++) {
            double expected = true_value(id, i, "right") + 0.25 * true_value(id, i, "shape");
            if (isnan(expected))
                assert_true(isnan(g->reward[i]));
            else
                assert_true(g->reward[i] == expected);
        }
    }
    check_acked(w);
}

static void run_world(uint64_t seed)
{
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w, seed);
    while (!w->done) {
        struct packet p;
        w->now_ms += 10;
        if (w->now_ms > WORLD_MS_MAX)
            fail_msg("seed %ju: no end after %ju simulated ms, step %u", (uintmax_t)seed,
                (uintmax_t)w->now_ms, w->step);
        hub_turn(w);
        for (int i = 0; i < WORLD_WORKERS; i++)
            worker_turn(w, i);
        while (pop(w, &p)) {
            if (p.frame.key_id)
                to_hub(w, &p);
            else
                to_worker(w, &p);
        }
    }
    check_end(w);
    print_message("seed %ju: %ju s, %ju leases, %ju results, %ju kills, %ju failed commits\n",
        (uintmax_t)seed, (uintmax_t)w->now_ms / 1000, (uintmax_t)w->tables.last_lease,
        (uintmax_t)w->tables.submitted, (uintmax_t)w->restarts, (uintmax_t)w->failures);
    world_done(w);
    free(w);
}

static uint64_t first_seed = 1, worlds = 40;

static void test_worlds(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < worlds; i++)
        run_world(first_seed + i);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        first_seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        worlds = strtoull(argv[2], NULL, 10);
    log_setup(LOG_ERROR, "");
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_worlds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
