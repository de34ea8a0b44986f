/* hub_rig.c: see hub_rig.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "hub_rig.h"

static void make_hub(struct rig *r)
{
    struct snapshot s = {.arena = arena_new(0), .epoch = 1};
    if (r->store) {
        snapshot_done(&s);
        assert_int_equal(store_snapshot(r->store, &s, &r->err), 0);
    }
    uint64_t first = r->hub ? hub_next_session(r->hub) : 1;
    hub_free(r->hub);
    r->hub = hub_new(&r->options, &s, first, r->now_ms);
    snapshot_done(&s);
}

void rig_open(struct rig *r, const char *run_dir)
{
    *r = (struct rig){
        .now_ms = 1000, .next_request = 1, .build_inputs = true, .arena = arena_new(0)};
    fake_run_init(&r->run, 42, 4);
    for (size_t i = 0; i < FAKE_SCORERS; i++)
        r->scorers[i] = (struct hub_scorer){.name = r->run.recipe.rewards[i].spec.name,
            .kind = r->run.recipe.rewards[i].spec.kind,
            .term = r->run.recipe.rewards[i].term};
    r->stop_ids[0] = FAKE_STOP;
    r->options = (struct hub_options){.run = "fake",
        .seed = 42,
        .lease_ms = 10000,
        .numerics_id = r->run.numerics_id,
        .vocab = tokenizer_size(r->run.tokenizer),
        .stop = r->stop_ids,
        .stop_count = 1,
        .scorers = r->scorers,
        .scorer_count = FAKE_SCORERS};
    batch_init(&r->last);
    if (run_dir) {
        struct store_options o = fake_store_options(&r->run, run_dir);
        int code = store_open(&o, &r->store, &r->err);
        if (code)
            fail_msg("%s", r->err.msg);
    }
    make_hub(r);
}

void rig_reload(struct rig *r)
{
    make_hub(r);
}

void rig_close(struct rig *r)
{
    hub_free(r->hub);
    store_close(r->store);
    batch_done(&r->last);
    arena_free(r->arena);
    fake_run_done(&r->run);
}

static void build_inputs(struct rig *r)
{
    uint64_t jobs[64];
    size_t count = 0;
    for (size_t i = 0; i < r->last.out_count; i++) {
        if (r->last.outs[i].kind == OUT_INPUT_WANT)
            jobs[count++] = r->last.outs[i].job;
    }
    for (size_t i = 0; i < count && r->build_inputs; i++) {
        struct hub_event ev = {
            .type = HUB_INPUT, .input = {.job = jobs[i], .bytes = 8, .hash = hash_of(&jobs[i], 8)}};
        hub_step(r->hub, &ev, r->now_ms, &r->last);
    }
}

int rig_step(struct rig *r, const struct hub_event *ev)
{
    batch_done(&r->last);
    batch_init(&r->last);
    hub_step(r->hub, ev, r->now_ms, &r->last);
    build_inputs(r);
    r->err = (struct err){0};
    return r->store ? store_apply(r->store, &r->last, &r->err) : 0;
}

void rig_tick(struct rig *r, uint64_t ms)
{
    /* In steps that a living loop would make: a long one is a stall, which is another thing. */
    for (uint64_t done = 0; done < ms;) {
        uint64_t part = ms - done < 500 ? ms - done : 500;
        done += part;
        r->now_ms += part;
        assert_int_equal(rig_step(r, &(struct hub_event){.type = HUB_TICK}), 0);
    }
}

const struct msg *rig_reply(const struct rig *r, enum frame_type type)
{
    for (size_t i = 0; i < r->last.out_count; i++) {
        const struct out *o = &r->last.outs[i];
        if (o->kind == OUT_REPLY && o->reply.msg->type == type)
            return o->reply.msg;
    }
    return NULL;
}

const struct row *rig_row(const struct rig *r, enum row_kind kind)
{
    for (size_t i = 0; i < r->last.row_count; i++) {
        if (r->last.rows[i].kind == kind)
            return &r->last.rows[i];
    }
    return NULL;
}

bool rig_has_row(const struct rig *r, enum row_kind kind)
{
    return rig_row(r, kind) != NULL;
}

static const struct msg *answer(const struct rig *r, uint64_t request)
{
    for (size_t i = 0; i < r->last.out_count; i++) {
        const struct out *o = &r->last.outs[i];
        if (o->kind == OUT_REPLY && o->reply.peer.request_id == request)
            return o->reply.msg;
    }
    return NULL;
}

const struct msg *rig_send_as(
    struct rig *r, struct rig_worker *w, const struct msg *m, const char *payload)
{
    struct hub_peer peer = {.len = 1, .request_id = r->next_request++};
    struct frame f = {.type = (uint16_t)m->type,
        .role = (uint8_t)w->role,
        .epoch = w->epoch,
        .session = w->session,
        .sequence = ++w->sequence,
        .request_id = peer.request_id,
        .payload = (const uint8_t *)payload,
        .payload_bytes = (uint32_t)strlen(payload)};
    struct hub_event ev = {.type = HUB_MESSAGE, .message = {.peer = &peer, .frame = &f, .msg = m}};
    assert_int_equal(rig_step(r, &ev), 0);
    return answer(r, peer.request_id);
}

const struct msg *rig_send(struct rig *r, struct rig_worker *w, const struct msg *m)
{
    return rig_send_as(r, w, m, "");
}

const struct msg *rig_hello(
    struct rig *r, struct rig_worker *w, enum frame_role role, const char *name)
{
    static const char *kinds[] = {"exact", "format"};
    *w = (struct rig_worker){.role = role, .name = name};
    struct msg m = {.type = MSG_HELLO};
    m.hello = (struct msg_hello){.name = name,
        .build = "test",
        .host = "here",
        .protocol = PROTOCOL_VERSION,
        .has_numerics = role == ROLE_ACTOR,
        .numerics_id = r->run.numerics_id,
        .scorers = kinds,
        .scorer_count = role == ROLE_REWARD ? 2 : 0};
    const struct msg *reply = rig_send(r, w, &m);
    if (reply && reply->type == MSG_WELCOME) {
        w->session = reply->welcome.session;
        w->epoch = reply->welcome.epoch;
    }
    return reply;
}

const struct msg *rig_poll(
    struct rig *r, struct rig_worker *w, uint32_t jobs, const uint64_t *leases, size_t count)
{
    struct msg m = {.type = MSG_POLL};
    m.poll = (struct msg_poll){
        .max_jobs = jobs, .wait_ms = TIMING_POLL_MS, .leases = leases, .lease_count = count};
    return rig_send(r, w, &m);
}

void rig_plan(struct rig *r, uint64_t version, uint32_t step, uint32_t groups)
{
    struct plan_item *plan = arena_alloc(r->arena, groups * sizeof(*plan));
    uint64_t *ids = arena_alloc(r->arena, groups * sizeof(*ids));
    uint64_t *tasks = arena_alloc(r->arena, groups * sizeof(*tasks));
    for (uint32_t i = 0; i < groups; i++)
        plan[i] = fake_plan_item(PURPOSE_TRAIN, step, i, version, r->arena);
    if (r->store)
        assert_int_equal(store_find_plan(r->store, plan, groups, ids, tasks, &r->err), 0);
    struct commit_version v = {
        .version = version, .digest = hash_of(&version, 8), .path = "weights/x", .bytes = 8};
    struct commit c = {.mark = version == 1 ? STAGE_MARK_STARTED : STAGE_MARK_NONE,
        .version = &v,
        .plan = plan,
        .plan_count = groups};
    struct hub_event ev = {.type = HUB_COMMIT, .commit = {.c = &c, .groups = ids, .tasks = tasks}};
    assert_int_equal(rig_step(r, &ev), 0);
}

struct msg rig_group_result(struct rig *r, const struct sample_lease *l)
{
    struct completion *c = arena_alloc(r->arena, l->n * sizeof(*c));
    struct rng_key key = {
        .seed = l->seed, .domain = l->domain, .stage = l->stage, .ordinal = l->ordinal};
    fake_sample(&key, l->n, l->max_tokens, l->vocab, r->arena, c);
    struct msg m = {.type = MSG_SUBMIT_GROUP};
    m.submit_group = (struct msg_submit_group){.lease = l->lease,
        .weights = l->weights,
        .numerics_id = r->run.numerics_id,
        .completions = c,
        .completion_count = l->n};
    return m;
}

struct msg rig_scores(
    struct rig *r, const struct grade_lease *l, const uint32_t *members, uint32_t count)
{
    uint32_t n = members ? count : FAKE_SIZE;
    struct score_result *s = arena_alloc(r->arena, n * FAKE_SCORERS * sizeof(*s));
    for (uint32_t i = 0; i < n * FAKE_SCORERS; i++)
        s[i] =
            (struct score_result){.index = members ? members[i / FAKE_SCORERS] : i / FAKE_SCORERS,
                .scorer = r->scorers[i % FAKE_SCORERS].name,
                .has_value = true,
                .value = 1,
                .verdict = VERDICT_PASS,
                .reason = "because",
                .extracted = "x",
                .isolation = "none"};
    struct msg m = {.type = MSG_SUBMIT_SCORES};
    m.submit_scores = (struct msg_submit_scores){
        .lease = l->lease, .results = s, .result_count = n * FAKE_SCORERS};
    return m;
}

enum submit_status rig_submit(
    struct rig *r, struct rig_worker *w, const struct msg *m, const char *payload)
{
    const struct msg *reply = rig_send_as(r, w, m, payload);
    assert_non_null(reply);
    assert_int_equal(reply->type, MSG_SUBMIT_REPLY);
    return reply->submit_reply.status;
}

uint32_t rig_sample_all(struct rig *r, struct rig_worker *actor)
{
    for (uint32_t n = 0;; n++) {
        const struct msg *grant = rig_poll(r, actor, 1, NULL, 0);
        if (!grant || grant->grant.sample_count == 0)
            return n;
        struct sample_lease l = grant->grant.sample[0];
        struct msg m = rig_group_result(r, &l);
        CLEANUP_FREE char *payload = mem_printf("lease %ju", (uintmax_t)l.lease);
        assert_int_equal(rig_submit(r, actor, &m, payload), SUBMIT_OK);
    }
}

void rig_start_grading(struct rig *r, struct rig_grading *g)
{
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &g->actor, ROLE_ACTOR, "a");
    rig_hello(r, &g->judge, ROLE_REWARD, "r");
    assert_int_equal(rig_sample_all(r, &g->actor), 1);
    const struct msg *m = rig_poll(r, &g->judge, 1, NULL, 0);
    assert_int_equal(m->grant.grade_count, 1);
    g->lease = m->grant.grade[0];
}
