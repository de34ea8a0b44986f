/* service_fake.c: the service without sockets, threads or a database. */
#include "tests/learner/service_fake.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "learner/plan.h"

void fake_open(struct service *s, const char *dir, const struct recipe *r, uint32_t vocab)
{
    *s = (struct service){.dir = dir, .recipe = r, .vocab = vocab};
    for (size_t i = 0; i < ARRAY_LEN(s->greedy_share); i++)
        s->greedy_share[i] = -1;
}

void fake_done(struct service *s)
{
    for (size_t i = 0; i < s->group_count; i++)
        free(s->groups[i].prompt);
    free(s->groups);
    free(s->versions);
    free(s->steps);
    free(s->metrics);
    free(s->checkpoints);
    free(s->events);
}

size_t fake_events(const struct service *s, const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < s->event_count; i++)
        n += strcmp(s->events[i], kind) == 0;
    return n;
}

/* ---- lookups ---- */

static struct fake_version *find_version(struct service *s, uint64_t version)
{
    for (size_t i = 0; i < s->version_count; i++) {
        if (s->versions[i].version == version)
            return &s->versions[i];
    }
    return NULL;
}

static struct fake_step *find_step(struct service *s, uint32_t stage, uint32_t step)
{
    for (size_t i = 0; i < s->step_count; i++) {
        if (s->steps[i].stage == stage && s->steps[i].step == step)
            return &s->steps[i];
    }
    return NULL;
}

static struct fake_group *find_item(struct service *s, const struct plan_item *p)
{
    for (size_t i = 0; i < s->group_count; i++) {
        const struct plan_item *q = &s->groups[i].item;
        if (q->stage == p->stage && q->step == p->step && q->purpose == p->purpose &&
            q->mode == p->mode && q->slot == p->slot)
            return &s->groups[i];
    }
    return NULL;
}

static struct fake_group *by_id(struct service *s, uint64_t id)
{
    assert_in_range(id, 1, s->group_count);
    return &s->groups[id - 1];
}

static bool has_file(const struct service *s, uint64_t version)
{
    char *path = mem_printf("%s/weights/version-%" PRIu64 ".safetensors", s->dir, version);
    bool there = file_exists(path);
    free(path);
    return there;
}

/* ---- commit ---- */

static void commit_version(struct service *s, const struct commit *c)
{
    const struct commit_version *v = c->version;
    if (v == NULL)
        return;
    assert_null(find_version(s, v->version));
    assert_int_equal(v->version, s->version_count); /* counted without gaps */
    assert_true(has_file(s, v->version));           /* durable before the commit that names it */
    s->versions = mem_grow(s->versions, s->version_count + 1, sizeof(*s->versions));
    s->versions[s->version_count++] = (struct fake_version){v->version, v->digest, false};
}

static void commit_mark(struct service *s, const struct commit *c)
{
    struct fake_stage *st = &s->stages[c->stage];
    if (c->mark == STAGE_MARK_STARTED) {
        assert_false(st->row.started);
        st->row.started = true;
        st->row.first_version = s->versions[s->version_count - 1].version;
    }
    st->row.failed = c->mark == STAGE_MARK_FAILED || st->row.failed;
    st->row.finished = c->mark == STAGE_MARK_FINISHED || st->row.finished;
}

/* G2 and G3: each group once, and of exactly the version that the lag prescribes. */
static void commit_groups(struct service *s, const struct commit *c)
{
    const struct recipe_stage *st = &s->recipe->stages[c->stage];
    assert_int_equal(c->group_count, st->kind == STAGE_GRPO ? st->groups : 0);
    for (size_t i = 0; i < c->group_count; i++) {
        struct fake_group *g = by_id(s, c->groups[i].group);
        uint64_t first = s->stages[c->stage].row.first_version;
        uint64_t expected = plan_version(first, st->lag, c->step->step);
        assert_true(g->item.purpose == PURPOSE_TRAIN && g->scored && !g->consumed);
        assert_true(
            g->item.stage == c->stage && g->item.step == c->step->step && g->item.slot == i);
        assert_int_equal(g->item.version, expected);
        assert_int_equal(c->groups[i].lag, first + c->step->step - expected);
        g->consumed = true;
    }
}

static void commit_step(struct service *s, const struct commit *c)
{
    if (c->step == NULL)
        return;
    assert_null(find_step(s, c->stage, c->step->step));
    assert_true(c->step->step == 0 || find_step(s, c->stage, c->step->step - 1) != NULL);
    commit_groups(s, c);
    s->steps = mem_grow(s->steps, s->step_count + 1, sizeof(*s->steps));
    s->steps[s->step_count++] = (struct fake_step){c->stage, c->step->step,
        {.committed = true,
            .has_version = c->version != NULL,
            .version = c->version != NULL ? c->version->version : 0,
            .updates = c->step->updates,
            .digest = c->step->digest}};
}

static void commit_checkpoint(struct service *s, const struct commit *c)
{
    const struct commit_checkpoint *k = c->checkpoint;
    if (k == NULL)
        return;
    char *path = mem_printf("%s/%s", s->dir, k->path);
    assert_true(file_exists(path));
    free(path);
    s->checkpoints = mem_grow(s->checkpoints, s->checkpoint_count + 1, sizeof(*s->checkpoints));
    struct resume_state *r = &s->checkpoints[s->checkpoint_count++];
    *r = (struct resume_state){.has_checkpoint = true,
        .checkpoint_updates = k->updates,
        .checkpoint_stage = c->stage,
        .checkpoint_step = k->step,
        .checkpoint_manifest = k->manifest,
        .checkpoint_digest = k->digest};
    (void)snprintf(r->checkpoint_path, sizeof(r->checkpoint_path), "%s", k->path);
}

static void commit_plan(struct service *s, const struct commit *c, uint64_t *ret_groups)
{
    for (size_t i = 0; i < c->plan_count; i++) {
        const struct plan_item *p = &c->plan[i];
        struct fake_group *g = find_item(s, p);
        if (g == NULL) {
            const struct fake_version *v = find_version(s, p->version);
            assert_true(v != NULL && !v->pruned && has_file(s, p->version));
            s->groups = mem_grow(s->groups, s->group_count + 1, sizeof(*s->groups));
            g = &s->groups[s->group_count++];
            *g = (struct fake_group){.item = *p,
                .prompt = mem_dup(p->prompt, p->prompt_len * sizeof(uint32_t)),
                .id = s->group_count};
        }
        assert_true(g->item.version == p->version && g->item.ordinal == p->ordinal);
        assert_true(g->item.n == p->n && g->item.row == p->row);
        if (ret_groups != NULL)
            ret_groups[i] = g->id;
    }
}

static void commit_pruned(struct service *s, const struct commit *c)
{
    for (size_t i = 0; i < c->pruned_version_count; i++) {
        struct fake_version *v = find_version(s, c->pruned_versions[i]);
        assert_true(v != NULL && !v->pruned && !has_file(s, v->version));
        for (size_t g = 0; g < s->group_count; g++)
            assert_true(s->groups[g].scored || s->groups[g].item.version != v->version);
        v->pruned = true;
    }
    for (size_t i = 0; i < c->pruned_checkpoint_count; i++) {
        size_t kept = 0;
        for (size_t k = 0; k < s->checkpoint_count; k++) {
            if (s->checkpoints[k].checkpoint_updates != c->pruned_checkpoints[i])
                s->checkpoints[kept++] = s->checkpoints[k];
        }
        s->checkpoint_count = kept;
    }
}

static void commit_metrics(struct service *s, const struct commit *c)
{
    for (size_t i = 0; i < c->metric_count; i++) {
        s->metrics = mem_grow(s->metrics, s->metric_count + 1, sizeof(*s->metrics));
        struct fake_metric *m = &s->metrics[s->metric_count++];
        *m = (struct fake_metric){
            .stage = c->stage, .step = c->metrics_step, .value = c->metrics[i].value};
        (void)snprintf(m->name, sizeof(m->name), "%s", c->metrics[i].name);
        assert_true(isfinite(m->value));
    }
}

int service_commit(struct service *s, const struct commit *c, uint64_t *ret_groups, struct err *e)
{
    s->commits++;
    bool crash = s->crash_at > 0 && s->commits >= s->crash_at;
    if (crash && (!s->crash_after || s->commits > s->crash_at))
        return err_set(e, ERR_FAIL, "crash");
    commit_version(s, c);
    commit_mark(s, c);
    commit_step(s, c);
    commit_checkpoint(s, c);
    commit_plan(s, c, ret_groups);
    commit_pruned(s, c);
    commit_metrics(s, c);
    if (c->event_kind != NULL) {
        s->events = mem_grow(s->events, s->event_count + 1, sizeof(*s->events));
        (void)snprintf(s->events[s->event_count++], sizeof(*s->events), "%s", c->event_kind);
    }
    return crash ? err_set(e, ERR_FAIL, "crash") : 0;
}

/* ---- groups ---- */

int service_wait_scored(struct service *s, const uint64_t *groups, size_t n, struct err *e)
{
    (void)e;
    for (size_t i = 0; i < n; i++) {
        struct fake_group *g = by_id(s, groups[i]);
        assert_true(g->scored || has_file(s, g->item.version)); /* an actor would need it */
        g->scored = true;
    }
    return 0;
}

static void make_completion(const struct service *s, const struct fake_group *g, uint32_t i,
    struct arena *a, struct stored_completion *c)
{
    const struct plan_item *p = &g->item;
    struct rng r = rng_stream((struct rng_key){.seed = p->version * 2 + p->mode,
        .domain = p->purpose == PURPOSE_TRAIN ? RNG_TRAIN : RNG_EVAL,
        .stage = p->stage,
        .ordinal = p->ordinal,
        .completion = i});
    double *component = arena_alloc(a, s->recipe->reward_count * sizeof(*component));
    uint32_t *tokens = arena_alloc(a, p->max_tokens * sizeof(*tokens));
    float *logp = arena_alloc(a, p->max_tokens * sizeof(*logp));
    c->len = 1 + (uint32_t)rng_below(&r, p->max_tokens);
    for (uint32_t t = 0; t < c->len; t++) {
        tokens[t] = (uint32_t)rng_below(&r, s->vocab);
        logp[t] = (float)(-3 * rng_next_uniform(&r));
    }
    double share = p->mode == MODE_GREEDY && p->step < 64 ? s->greedy_share[p->step] : -1;
    bool right = share >= 0 ? p->slot < share * 4 : rng_below(&r, 2) == 1;
    c->tokens = tokens;
    c->logp = logp;
    c->scored = true;
    c->verdict = right ? VERDICT_PASS : VERDICT_WRONG;
    c->reward = right;
    component[0] = right;
    c->component = component;
}

int service_read_groups(
    struct service *s, const uint64_t *groups, size_t n, struct stored_groups **ret, struct err *e)
{
    (void)e;
    struct stored_groups *out = mem_alloc(sizeof(*out));
    out->arena = arena_new(0);
    out->count = n;
    out->groups = arena_alloc(out->arena, n * sizeof(*out->groups));
    for (size_t i = 0; i < n; i++) {
        const struct fake_group *g = by_id(s, groups[i]);
        assert_true(g->scored);
        struct stored_group *sg = &out->groups[i];
        *sg = (struct stored_group){.id = g->id,
            .ordinal = g->item.ordinal,
            .version = g->item.version,
            .stage = g->item.stage,
            .step = g->item.step,
            .slot = g->item.slot,
            .prompt = g->prompt,
            .prompt_len = g->item.prompt_len,
            .n = g->item.n};
        sg->completions = arena_alloc(out->arena, sg->n * sizeof(*sg->completions));
        for (uint32_t k = 0; k < sg->n; k++)
            make_completion(s, g, k, out->arena, &sg->completions[k]);
    }
    *ret = out;
    return 0;
}

void stored_groups_free(struct stored_groups *g)
{
    if (g == NULL)
        return;
    arena_free(g->arena);
    free(g);
}

int service_find_groups(struct service *s, uint32_t stage, uint32_t step, enum purpose purpose,
    enum sample_mode mode, uint64_t **ret, size_t *ret_count, struct err *e)
{
    (void)e;
    uint64_t *ids = mem_array(s->group_count + 1, sizeof(*ids));
    size_t n = 0;
    for (size_t i = 0; i < s->group_count; i++) {
        const struct plan_item *p = &s->groups[i].item;
        if (p->stage == stage && p->step == step && p->purpose == purpose && p->mode == mode)
            ids[n++] = s->groups[i].id;
    }
    *ret = ids;
    *ret_count = n;
    return 0;
}

/* ---- reading ---- */

int service_resume_state(struct service *s, struct resume_state *ret, struct err *e)
{
    (void)e;
    struct resume_state r = {0};
    if (s->checkpoint_count > 0)
        r = s->checkpoints[s->checkpoint_count - 1];
    r.has_version = s->version_count > 0;
    r.last_version = r.has_version ? s->versions[s->version_count - 1].version : 0;
    *ret = r;
    return 0;
}

int service_stage(struct service *s, uint32_t stage, struct stage_row *ret, struct err *e)
{
    (void)e;
    *ret = s->stages[stage].row;
    return 0;
}

int service_step(
    struct service *s, uint32_t stage, uint32_t step, struct step_row *ret, struct err *e)
{
    (void)e;
    const struct fake_step *found = find_step(s, stage, step);
    *ret = found != NULL ? found->row : (struct step_row){0};
    return 0;
}

int service_metric(
    struct service *s, uint32_t stage, uint32_t step, const char *name, double *ret, struct err *e)
{
    (void)e;
    for (size_t i = 0; i < s->metric_count; i++) {
        const struct fake_metric *m = &s->metrics[i];
        if (m->stage == stage && m->step == step && strcmp(m->name, name) == 0) {
            *ret = m->value;
            return 1;
        }
    }
    return 0;
}

int service_versions(struct service *s, struct version_row **ret, size_t *ret_count, struct err *e)
{
    (void)e;
    struct version_row *rows = mem_array(s->version_count + 1, sizeof(*rows));
    size_t n = 0;
    for (size_t i = 0; i < s->version_count; i++) {
        if (s->versions[i].pruned)
            continue;
        rows[n] = (struct version_row){.version = s->versions[i].version};
        for (size_t g = 0; g < s->group_count; g++)
            rows[n].needed = rows[n].needed ||
                             (!s->groups[g].scored && s->groups[g].item.version == rows[n].version);
        n++;
    }
    *ret = rows;
    *ret_count = n;
    return 0;
}

/* ---- comparing ---- */

static void compare_metrics(const struct service *a, const struct service *b)
{
    size_t compared = 0;
    for (size_t i = 0; i < a->metric_count; i++) {
        const struct fake_metric *m = &a->metrics[i];
        double v;
        if (strncmp(m->name, "seconds/", 8) == 0)
            continue;
        if (service_metric((struct service *)b, m->stage, m->step, m->name, &v, NULL) != 1 ||
            v != m->value)
            fail_msg("stage %u step %u %s differs", m->stage, m->step, m->name);
        compared++;
    }
    assert_true(compared > 0);
}

void fake_compare(const struct service *a, const struct service *b)
{
    assert_int_equal(a->step_count, b->step_count);
    assert_int_equal(a->group_count, b->group_count);
    assert_int_equal(a->version_count, b->version_count);
    assert_int_equal(a->metric_count, b->metric_count);
    for (size_t i = 0; i < a->step_count; i++) {
        const struct step_row *x = &a->steps[i].row, *y = &b->steps[i].row;
        assert_true(a->steps[i].stage == b->steps[i].stage && a->steps[i].step == b->steps[i].step);
        assert_true(hash_equal(&x->digest, &y->digest));
        assert_true(x->updates == y->updates && x->has_version == y->has_version &&
                    x->version == y->version);
    }
    for (size_t i = 0; i < a->version_count; i++)
        assert_true(hash_equal(&a->versions[i].digest, &b->versions[i].digest));
    for (size_t i = 0; i < a->group_count; i++) {
        const struct plan_item *x = &a->groups[i].item, *y = &b->groups[i].item;
        assert_true(x->ordinal == y->ordinal && x->version == y->version && x->row == y->row);
        assert_true(a->groups[i].consumed == b->groups[i].consumed);
    }
    compare_metrics(a, b);
}
