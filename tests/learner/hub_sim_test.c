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
#include "hub_sim.h"

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
            world_send(w, p);
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
    w->flight_end_ms = w->now_ms + world_jitter(w, 20);
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
    if (world_chance(w, 5)) { /* the store fails: before its commit, or after it without knowing */
        if (rng_below(&w->rng, 2))
            model_apply(&w->tables, &w->flying);
        w->failures++;
        drop_state(w);
        w->hub_down_until_ms = w->now_ms + world_jitter(w, 2000);
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
    if (w->hub && world_chance(w, 1)) { /* kill -9 */
        if (w->in_flight && rng_below(&w->rng, 2))
            model_apply(&w->tables, &w->flying);
        w->restarts++;
        drop_state(w);
        w->tables.epoch++;
        w->next_session = ((uint64_t)w->tables.epoch << 32) + 1;
        w->hub_down_until_ms = w->now_ms + world_jitter(w, 5000);
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

/* ---- worlds ---- */

static void world_init(struct world *w, uint64_t seed)
{
    static const char *const names[] = {"right", "shape"}, *const kinds[] = {"exact", "format"};
    *w = (struct world){.seed = seed, .next_request = 1, .arena = arena_new(0)};
    w->rng = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER});
    for (size_t i = 0; i < FAKE_SCORERS; i++)
        w->scorers[i] = (struct hub_scorer){names[i], kinds[i], {i == 0 ? 1.0 : 0.25, i == 0}};
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
            double expected =
                world_true_value(id, i, "right") + 0.25 * world_true_value(id, i, "shape");
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
            world_worker_turn(w, i);
        while (world_receive(w, &p)) {
            if (p.frame.key_id)
                to_hub(w, &p);
            else
                world_to_worker(w, &p);
        }
    }
    check_end(w);
    print_message("seed %ju: %ju s, %ju leases, %ju results, %ju kills, %ju failed commits\n",
        (uintmax_t)seed, (uintmax_t)w->now_ms / 1000, (uintmax_t)w->tables.last_lease,
        (uintmax_t)w->tables.submitted, (uintmax_t)w->restarts, (uintmax_t)w->failures);
    world_done(w);
    free(w);
}

static uint64_t first_seed = 1, worlds = 300;

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
