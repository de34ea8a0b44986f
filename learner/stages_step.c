/* stages_step.c: one step, from its groups to its commit; and the commit that starts a stage. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "learner/eval.h"
#include "learner/plan.h"
#include "learner/publish.h"
#include "learner/stages_impl.h"

enum { PRETRAIN_LOG_STEPS = 50 };

static double seconds_since(uint64_t ns)
{
    return (double)(clock_mono_ns() - ns) / 1e9;
}

/* ---- planning ---- */

struct plan_list {
    struct plan_item *items; /* owned */
    size_t count;
};

static void plan_append(struct plan_list *l, const struct plan_item *items, size_t n)
{
    l->items = mem_grow(l->items, l->count + n + 1, sizeof(*l->items));
    if (n > 0)
        memcpy(l->items + l->count, items, n * sizeof(*items));
    l->count += n;
}

static void plan_groups(const struct stages *s, uint32_t step, struct plan_list *l)
{
    const struct recipe_stage *st = s->st;
    for (uint32_t slot = 0; slot < st->groups; slot++) {
        uint64_t ordinal = plan_ordinal(step, st->groups, slot);
        uint64_t row = plan_row(s->o.recipe->seed, s->stage, corpus_count(s->data), ordinal);
        struct plan_item p = {.purpose = PURPOSE_TRAIN,
            .mode = MODE_SAMPLED,
            .stage = s->stage,
            .step = step,
            .slot = slot,
            .data = s->o.recipe->data[st->data].name,
            .row = row,
            .task = corpus_row(s->data, row),
            .ordinal = ordinal,
            .version = plan_version(s->first_version, st->lag, step),
            .n = st->group_size,
            .max_tokens = st->max_tokens,
            .temperature = st->temperature,
            .weights_type = st->weights_type};
        p.prompt = corpus_prompt(s->data, row, &p.prompt_len);
        plan_append(l, &p, 1);
    }
}

/* What the commit plans after which `done` steps are done and `version` is the newest. */
static void plan_after(const struct stages *s, uint32_t done, uint64_t version, struct plan_list *l)
{
    uint32_t first = 0, n = 0;
    if (s->st->kind == STAGE_GRPO)
        n = plan_steps_after(s->st->steps, s->st->lag, done, &first);
    for (uint32_t step = first; step < first + n; step++)
        plan_groups(s, step, l);
    if (eval_due(s->st, done)) {
        size_t count;
        CLEANUP_FREE struct plan_item *items =
            eval_plan(s->o.recipe, s->stage, done, s->eval, version, &count);
        plan_append(l, items, count);
    }
}

/* ---- the start of a stage ---- */

/* Version 0 is the initial model: its file and row come with the first stage's start. */
static int first_version(
    struct stages *s, struct commit_version *ret, char path[PUBLISH_PATH], struct err *e)
{
    ret->version = 0;
    ret->digest = params_digest(trainer_state(s->trainer).params);
    ret->path = path;
    publish_path(0, path);
    return stages_publish(s, 0, &ret->digest, &ret->bytes, e);
}

/* A stage may grow as long as the next one has not begun from its result. */
static int check_growth(struct stages *s, struct err *e)
{
    struct stage_row next = {0};
    struct step_row last = {.committed = true};
    if (s->stage + 1 == s->o.recipe->stage_count)
        return 0;
    int r = service_stage(s->o.service, s->stage + 1, &next, e);
    if (r == 0 && s->st->steps > 0)
        r = service_step(s->o.service, s->stage, s->st->steps - 1, &last, e);
    if (r == 0 && next.started && !last.committed)
        return err_set(e, ERR_CONFIG,
            "stage '%s' cannot grow to %u steps: stage '%s' has begun from its result", s->st->name,
            s->st->steps, s->o.recipe->stages[s->stage + 1].name);
    return r;
}

int stages_begin(struct stages *s, struct err *e)
{
    struct stage_row row = {0};
    int r = service_stage(s->o.service, s->stage, &row, e);
    if (r != 0)
        return r;
    if (row.started) {
        s->first_version = row.first_version;
        return check_growth(s, e);
    }
    struct commit_version version = {0};
    char path[PUBLISH_PATH];
    bool first = !s->has_version;
    if (first && (r = first_version(s, &version, path, e)) != 0)
        return r;
    s->first_version = s->last_version;
    struct plan_list plan = {0};
    plan_after(s, 0, s->first_version, &plan);
    struct commit c = {.stage = s->stage,
        .mark = STAGE_MARK_STARTED,
        .version = first ? &version : NULL,
        .plan = plan.items,
        .plan_count = plan.count};
    r = service_commit(s->o.service, &c, NULL, e);
    free(plan.items);
    if (r == 0)
        s->has_version = true;
    return r != 0 ? err_ctx(e, "start of stage '%s'", s->st->name) : 0;
}

int stages_version_after(struct stages *s, uint32_t done, uint64_t *ret, struct err *e)
{
    if (done == 0) {
        *ret = s->first_version;
        return 0;
    }
    struct step_row row;
    int r = service_step(s->o.service, s->stage, done - 1, &row, e);
    if (r != 0)
        return r;
    if (!row.has_version)
        return err_set(
            e, ERR_FAIL, "stage '%s': no version was published after %u steps", s->st->name, done);
    *ret = row.version;
    return 0;
}

/* ---- one step ---- */

struct work_done {
    struct step_result result;
    struct step_groups groups;    /* grpo */
    struct stored_groups *stored; /* owned */
    uint64_t version;             /* before the step; grpo */
    struct step_times times;
    uint64_t began_ns;
};

static void work_free(struct work_done *w)
{
    if (w->groups.arena != NULL)
        step_groups_done(&w->groups);
    stored_groups_free(w->stored);
}

/* Ids of the step's groups. They were planned long ago, unless the stage has grown since. */
static int find_groups(
    struct stages *s, uint32_t step, uint64_t **ret, size_t *ret_count, struct err *e)
{
    int r = service_find_groups(
        s->o.service, s->stage, step, PURPOSE_TRAIN, MODE_SAMPLED, ret, ret_count, e);
    if (r != 0 || *ret_count == s->st->groups)
        return r;
    free(*ret);
    struct plan_list plan = {0};
    plan_groups(s, step, &plan);
    *ret = mem_array(plan.count, sizeof(**ret));
    *ret_count = plan.count;
    struct commit c = {.stage = s->stage, .plan = plan.items, .plan_count = plan.count};
    r = service_commit(s->o.service, &c, *ret, e);
    free(plan.items);
    if (r != 0) {
        free(*ret);
        *ret = NULL;
    }
    return r;
}

/* With a lag, or rounded weights, the log-probs of one keyed group are computed again under its own
 * version. A file that is pruned already (a resume that is far behind) leaves the metric out. */
static int measure_gap(struct stages *s, uint32_t step, struct work_done *w, struct err *e)
{
    const struct stored_group *g =
        &w->stored->groups[plan_gap_group(s->o.recipe->seed, s->stage, step, w->stored->count)];
    char relative[PUBLISH_PATH];
    publish_path(g->version, relative);
    CLEANUP_FREE char *path = mem_printf("%s/%s", s->o.run_dir, relative);
    if (!isnan(w->result.logp_gap) || !file_exists(path))
        return 0;
    int r = params_read(&s->scratch, path, e);
    return r != 0 ? r : step_gap(&s->context, g, &s->scratch, &w->result.logp_gap, e);
}

static int compute_grpo(
    struct stages *s, uint32_t step, bool again, struct work_done *w, struct err *e)
{
    CLEANUP_FREE uint64_t *ids = NULL;
    size_t count = 0;
    int r = find_groups(s, step, &ids, &count, e);
    uint64_t begin = clock_mono_ns();
    if (r == 0)
        r = stages_wait(s, ids, count, e);
    w->times.wait = seconds_since(begin);
    stages_note_speed(s, (double)count * s->st->group_size, w->times.wait);
    if (r == 0)
        r = service_read_groups(s->o.service, ids, count, &w->stored, e);
    if (r != 0)
        return r;
    if (step == 0 && !again &&
        (r = stages_preflight_groups(s, w->stored->groups, w->stored->count, e)) != 0)
        return r;
    begin = clock_mono_ns();
    w->version = s->first_version + step;
    r = step_groups_open(&s->context, step, w->stored->groups, w->stored->count, &w->groups, e);
    if (r == 0)
        r = step_grpo(&s->context, step, &w->groups, w->version, &w->result, e);
    if (r == 0 && !again && (s->st->lag > 0 || s->st->weights_type != WEIGHTS_F32))
        r = measure_gap(s, step, w, e);
    w->times.train = seconds_since(begin);
    return r;
}

static int compute(struct stages *s, uint32_t step, bool again, struct work_done *w, struct err *e)
{
    w->began_ns = clock_mono_ns();
    int r;
    if (s->st->kind == STAGE_PRETRAIN) {
        w->times.wait = NAN;
        r = step_pretrain(&s->context, step, s->data, &w->result, e);
        w->times.train = seconds_since(w->began_ns);
    } else {
        r = compute_grpo(s, step, again, w, e);
    }
    if (r == 0)
        s->updates += w->result.updates;
    return r != 0 ? err_ctx(e, "stage '%s'", s->st->name) : 0;
}

/* A committed step was computed again: it must have given the same parameters (G4). */
static int check_again(struct stages *s, uint32_t step, const struct step_row *row,
    const struct work_done *w, struct err *e)
{
    char a[HASH_HEX], b[HASH_HEX];
    if (!hash_equal(&row->digest, &w->result.digest))
        return err_set(e, ERR_FAIL,
            "stage '%s' step %u computed again gives parameters %s, the database has %s: data, "
            "code or "
            "arithmetic have changed since; nothing was overwritten",
            s->st->name, step, hash_hex(&w->result.digest, a), hash_hex(&row->digest, b));
    return row->has_version ? stages_ensure_file(s, row->version, e) : 0;
}

/* ---- the commit of a step ---- */

static bool checkpoint_due(const struct stages *s, uint32_t done, uint32_t updates)
{
    uint64_t every = s->o.recipe->checkpoint_every;
    return done == s->st->steps || atomic_load(&s->stop) ||
           s->updates / every != (s->updates - updates) / every;
}

static struct commit_group *commit_groups(const struct work_done *w)
{
    struct commit_group *list = mem_array(w->groups.count + 1, sizeof(*list));
    for (size_t i = 0; i < w->groups.count; i++) {
        const struct step_group *g = &w->groups.groups[i];
        list[i] = (struct commit_group){.group = g->stored->id,
            .minibatch = g->minibatch,
            .lag = (uint32_t)(w->version - g->stored->version),
            .advantage = g->advantage,
            .n = g->stored->n};
    }
    return list;
}

static void log_step(
    const struct stages *s, uint32_t step, const struct work_done *w, const struct metric_list *l)
{
    if (s->st->kind == STAGE_GRPO)
        log_info("stages", "step", LOG_STR("stage", s->st->name), LOG_U64("step", step),
            LOG_F64("reward", metric_value(l, "reward")),
            LOG_F64("pass", metric_value(l, "pass@1")),
            LOG_F64("length", metric_value(l, "length")), LOG_F64("tied", metric_value(l, "tied")),
            LOG_F64("entropy", metric_value(l, "entropy")), LOG_F64("wait_s", w->times.wait),
            LOG_F64("train_s", w->times.train));
    else if (step % PRETRAIN_LOG_STEPS == 0 || step + 1 == s->st->steps)
        log_info("stages", "step", LOG_STR("stage", s->st->name), LOG_U64("step", step),
            LOG_F64("loss", w->result.loss), LOG_F64("train_s", w->times.train));
}

static void step_metrics(const struct stages *s, const struct work_done *w, struct metric_list *l)
{
    if (s->st->kind == STAGE_PRETRAIN)
        metrics_of_pretrain(l, &w->result, &w->times);
    else
        metrics_of_grpo(l, s->o.recipe, &w->groups, w->version, &w->result, &w->times);
}

/* Everything that the commit points to. */
struct step_commit {
    struct commit c;
    struct commit_version version;
    struct commit_step step;
    struct commit_checkpoint checkpoint;
    struct plan_list plan;
    struct metric_list metrics;
    struct commit_group *groups; /* owned */
    uint64_t *pruned_versions;   /* owned */
    uint32_t pruned_checkpoint;
    char version_path[PUBLISH_PATH], checkpoint_path[CHECKPOINT_PATH], event[160];
};

static void step_commit_free(struct step_commit *sc)
{
    free(sc->plan.items);
    metric_list_done(&sc->metrics);
    free(sc->groups);
    free(sc->pruned_versions);
}

static int add_version(
    struct stages *s, struct step_commit *sc, const struct hash *digest, struct err *e)
{
    sc->version = (struct commit_version){.version = s->last_version + 1,
        .updates = (uint32_t)s->updates,
        .digest = *digest,
        .path = sc->version_path};
    publish_path(sc->version.version, sc->version_path);
    sc->c.version = &sc->version;
    int r = stages_publish(s, sc->version.version, digest, &sc->version.bytes, e);
    if (r != 0)
        return r;
    r = stages_prune_versions(
        s, sc->version.version, &sc->pruned_versions, &sc->c.pruned_version_count, e);
    sc->c.pruned_versions = sc->pruned_versions;
    return r;
}

static int add_checkpoint(struct stages *s, struct step_commit *sc, uint32_t done,
    const struct hash *digest, struct err *e)
{
    sc->checkpoint = (struct commit_checkpoint){.updates = (uint32_t)s->updates,
        .step = done,
        .path = sc->checkpoint_path,
        .digest = *digest};
    checkpoint_path(s->updates, sc->checkpoint_path);
    sc->c.checkpoint = &sc->checkpoint;
    return stages_write_checkpoint(s, done, digest, &sc->checkpoint.manifest, e);
}

/* Weights file and checkpoint, each when due; then what they let go. */
static int make_durable(struct stages *s, struct step_commit *sc, uint32_t done,
    const struct step_result *result, struct err *e)
{
    bool publish = s->st->kind == STAGE_GRPO || done == s->st->steps || eval_due(s->st, done);
    int r = stages_prune_checkpoint(s, &sc->pruned_checkpoint, &sc->c.pruned_checkpoint_count, e);
    sc->c.pruned_checkpoints = &sc->pruned_checkpoint;
    if (r == 0 && publish)
        r = add_version(s, sc, &result->digest, e);
    bool known = s->checkpoint_count > 0 && s->checkpoints[s->checkpoint_count - 1] == s->updates;
    if (r == 0 && !known && checkpoint_due(s, done, result->updates))
        r = add_checkpoint(s, sc, done, &result->digest, e);
    return r;
}

/* The commit is durable: what is remembered of the tables follows. */
static void committed(struct stages *s, const struct step_commit *sc)
{
    if (sc->c.version != NULL)
        s->last_version = sc->version.version;
    if (sc->c.checkpoint != NULL) {
        s->checkpoints = mem_grow(s->checkpoints, s->checkpoint_count + 1, sizeof(*s->checkpoints));
        s->checkpoints[s->checkpoint_count++] = s->updates;
        s->has_checkpoint_version = sc->c.version != NULL;
        s->checkpoint_version = sc->version.version;
    }
    (void)fault_hit(FAULT_STEP_COMMITTED); /* there is no error left to make here */
}

static void add_gap_alarm(struct step_commit *sc, const struct step_result *r)
{
    if (!(r->logp_gap > 0))
        return;
    (void)snprintf(sc->event, sizeof(sc->event),
        "log-probs of actor and learner differ by up to %.3g where the weights are the same; "
        "expected 0",
        r->logp_gap);
    sc->c.event_level = "alarm";
    sc->c.event_kind = "logp_gap";
    sc->c.event_message = sc->event;
}

static int commit_step(struct stages *s, uint32_t step, struct work_done *w, struct err *e)
{
    struct step_commit sc = {.c = {.stage = s->stage, .metrics_step = step}};
    uint64_t begin = clock_mono_ns();
    int r = make_durable(s, &sc, step + 1, &w->result, e);
    w->times.publish = seconds_since(begin);
    if (r == 0) {
        sc.step = (struct commit_step){.step = step,
            .updates = (uint32_t)s->updates,
            .groups = w->result.groups,
            .tokens = (uint64_t)w->result.parts.tokens,
            .wall_ms = (clock_mono_ns() - w->began_ns) / 1000000,
            .digest = w->result.digest};
        sc.groups = commit_groups(w);
        plan_after(s, step + 1, sc.version.version, &sc.plan);
        step_metrics(s, w, &sc.metrics);
        add_gap_alarm(&sc, &w->result);
        sc.c.step = &sc.step;
        sc.c.groups = sc.groups;
        sc.c.group_count = w->groups.count;
        sc.c.plan = sc.plan.items;
        sc.c.plan_count = sc.plan.count;
        sc.c.metrics = sc.metrics.items;
        sc.c.metric_count = sc.metrics.count;
        r = service_commit(s->o.service, &sc.c, NULL, e);
    }
    if (r == 0) {
        committed(s, &sc);
        log_step(s, step, w, &sc.metrics);
    }
    step_commit_free(&sc);
    return r != 0 ? err_ctx(e, "stage '%s' step %u", s->st->name, step) : 0;
}

int stages_step(struct stages *s, uint32_t step, struct err *e)
{
    struct step_row row = {0};
    struct work_done w = {.times = {NAN, NAN, NAN}};
    int r = service_step(s->o.service, s->stage, step, &row, e);
    if (r == 0)
        r = compute(s, step, row.committed, &w, e);
    if (r == 0)
        r = row.committed ? check_again(s, step, &row, &w, e) : commit_step(s, step, &w, e);
    work_free(&w);
    if (r == 0 && stages_stopping(s, e))
        r = ERR_INTERRUPTED;
    return r;
}
