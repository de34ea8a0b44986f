/* hub_plan.c: what the stage thread commits, and what it waits for.
 *
 * A commit becomes rows in an order that the foreign keys allow: stage, version, step, its groups,
 * checkpoint, metrics, plan, pruned things, event. Ids of new groups count up in plan order; those
 * of new tasks in the order of first use.
 */
#include "learner/hub_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(struct batch *out, const char *text)
{
    batch_out(out, OUT_FAILED)->failed = batch_strdup(out, text);
}

/* ---- checking ---- */

static const char *check_item(
    const struct hub *h, const struct commit *c, size_t i, char *text, size_t text_bytes)
{
    const struct plan_item *p = &c->plan[i];
    bool known =
        (c->version && c->version->version == p->version) || idmap_get(&h->versions, p->version);
    uint64_t submit_bytes = (uint64_t)p->n * p->max_tokens * 8;
    const char *broken = NULL;
    if (!known)
        broken = "its version is not published";
    else if (p->n == 0 || p->n > LIMIT_GROUP)
        broken = "completions outside 1 to 1024";
    else if (p->max_tokens == 0 || p->max_tokens > LIMIT_COMPLETION_TOKENS)
        broken = "max-tokens outside the limit";
    else if (submit_bytes > LIMIT_SUBMIT_BYTES / 16 * 15)
        broken = "group x max-tokens does not fit into one submission of 16 MiB";
    else if (p->prompt_len == 0 || p->prompt_len > LIMIT_PROMPT_TOKENS)
        broken = "prompt outside 1 to 4096 tokens";
    if (!broken)
        return NULL;
    (void)snprintf(text, text_bytes, "plan of stage %u step %u slot %u: %s", p->stage, p->step,
        p->slot, broken);
    return text;
}

static const char *check_commit(
    const struct hub *h, const struct hub_event *ev, char *text, size_t text_bytes)
{
    const struct commit *c = ev->commit.c;
    if (c->version && idmap_get(&h->versions, c->version->version)) {
        (void)snprintf(
            text, text_bytes, "version %ju is published already", (uintmax_t)c->version->version);
        return text;
    }
    for (size_t i = 0; i < c->plan_count; i++) {
        if (ev->commit.groups[i] == 0 && check_item(h, c, i, text, text_bytes))
            return text;
    }
    return NULL;
}

/* ---- rows ---- */

static void stage_rows(const struct commit *c, struct batch *out)
{
    if (c->mark == STAGE_MARK_NONE)
        return;
    batch_row(out, ROW_STAGE_MARK)->stage_mark = (struct row_stage_mark){.stage = c->stage,
        .mark = c->mark,
        .has_version = c->version != NULL,
        .first_version = c->version ? c->version->version : 0};
}

static void version_rows(struct hub *h, const struct commit *c, struct batch *out)
{
    const struct commit_version *v = c->version;
    if (!v)
        return;
    struct snapshot_version *known = mem_alloc(sizeof(*known));
    *known = (struct snapshot_version){v->version, v->digest};
    idmap_put(&h->versions, v->version, known);
    batch_row(out, ROW_VERSION)->version = (struct row_version){.version = v->version,
        .stage = c->stage,
        .updates = v->updates,
        .has_step = c->step != NULL,
        .step = c->step ? c->step->step : 0,
        .digest = v->digest,
        .path = batch_strdup(out, v->path),
        .bytes = v->bytes};
}

static void step_rows(const struct commit *c, struct batch *out)
{
    const struct commit_step *s = c->step;
    if (!s)
        return;
    batch_row(out, ROW_STEP)->step = (struct row_step){.stage = c->stage,
        .step = s->step,
        .updates = s->updates,
        .groups = s->groups,
        .has_version = c->version != NULL,
        .version = c->version ? c->version->version : 0,
        .tokens = s->tokens,
        .wall_ms = s->wall_ms,
        .digest = s->digest};
    for (size_t i = 0; i < c->group_count; i++) {
        const struct commit_group *g = &c->groups[i];
        batch_row(out, ROW_STEP_GROUP)->step_group = (struct row_step_group){.group = g->group,
            .stage = c->stage,
            .step = s->step,
            .lag = g->lag,
            .minibatch = g->minibatch,
            .advantage = g->advantage ? batch_dup(out, g->advantage, g->n * sizeof(double)) : NULL,
            .n = g->advantage ? g->n : 0};
    }
}

static void metric_rows(const struct commit *c, struct batch *out)
{
    for (size_t i = 0; i < c->metric_count; i++)
        batch_row(out, ROW_METRIC)->metric = (struct row_metric){.stage = c->stage,
            .step = c->metrics_step,
            .name = batch_strdup(out, c->metrics[i].name),
            .value = c->metrics[i].value};
}

static void checkpoint_row(const struct commit *c, struct batch *out)
{
    const struct commit_checkpoint *k = c->checkpoint;
    if (!k)
        return;
    batch_row(out, ROW_CHECKPOINT)->checkpoint = (struct row_checkpoint){.updates = k->updates,
        .stage = c->stage,
        .step = k->step,
        .path = batch_strdup(out, k->path),
        .manifest = k->manifest,
        .digest = k->digest};
}

static void pruned_rows(struct hub *h, const struct commit *c, struct batch *out)
{
    for (size_t i = 0; i < c->pruned_version_count; i++) {
        batch_row(out, ROW_VERSION_PRUNED)->version_pruned = c->pruned_versions[i];
        free(idmap_take(&h->versions, c->pruned_versions[i]));
    }
    for (size_t i = 0; i < c->pruned_checkpoint_count; i++)
        batch_row(out, ROW_CHECKPOINT_PRUNED)->checkpoint_pruned = c->pruned_checkpoints[i];
}

/* ---- planning ---- */

/* Id of the item's task: known to the tables, or new with an earlier item of this plan, or new now.
 */
static uint64_t task_of(
    struct hub *h, const struct hub_event *ev, size_t i, uint64_t *new_tasks, struct batch *out)
{
    const struct plan_item *p = &ev->commit.c->plan[i];
    if (ev->commit.tasks[i])
        return ev->commit.tasks[i];
    for (size_t k = 0; k < i; k++) {
        const struct plan_item *q = &ev->commit.c->plan[k];
        if (new_tasks[k] && q->row == p->row && strcmp(q->data, p->data) == 0)
            return new_tasks[k];
    }
    new_tasks[i] = ++h->last_task;
    batch_row(out, ROW_TASK)->task = (struct row_task){.id = new_tasks[i],
        .row = p->row,
        .data = batch_strdup(out, p->data),
        .row_key = batch_strdup(out, p->task->key),
        .prompt = batch_strdup(out, p->task->prompt),
        .answer = batch_strdup(out, p->task->answer),
        .json = batch_strdup(out, p->task->json),
        .prompt_ids = batch_dup(out, p->prompt, p->prompt_len * sizeof(uint32_t)),
        .prompt_len = p->prompt_len};
    return new_tasks[i];
}

static uint64_t plan_group(
    struct hub *h, const struct plan_item *p, uint64_t task, struct batch *out)
{
    struct group *g = mem_alloc(sizeof(*g));
    *g = (struct group){.id = ++h->last_group,
        .ordinal = p->ordinal,
        .version = p->version,
        .purpose = p->purpose,
        .stage = p->stage,
        .n = p->n,
        .max_tokens = p->max_tokens,
        .temperature = p->temperature,
        .weights_type = p->weights_type,
        .state = GROUP_PLANNED,
        .prompt = mem_dup(p->prompt, p->prompt_len * sizeof(uint32_t)),
        .prompt_len = p->prompt_len};
    idmap_put(&h->groups, g->id, g);
    batch_row(out, ROW_GROUP)->group = (struct row_group){.id = g->id,
        .task = task,
        .ordinal = p->ordinal,
        .version = p->version,
        .purpose = p->purpose,
        .mode = p->mode,
        .stage = p->stage,
        .step = p->step,
        .wave = p->wave,
        .slot = p->slot,
        .n = p->n,
        .max_tokens = p->max_tokens,
        .temperature = p->temperature,
        .weights_type = p->weights_type};
    job_add(h, job_new(h, g, g->id * JOBS_PER_GROUP + g->jobs++, JOB_SAMPLE), out);
    return g->id;
}

static const uint64_t *plan_rows(struct hub *h, const struct hub_event *ev, struct batch *out)
{
    const struct commit *c = ev->commit.c;
    uint64_t *ids = batch_alloc(out, c->plan_count * sizeof(*ids));
    uint64_t *new_tasks = batch_alloc(out, c->plan_count * sizeof(*new_tasks));
    for (size_t i = 0; i < c->plan_count; i++) {
        ids[i] = ev->commit.groups[i];
        if (ids[i] == 0)
            ids[i] = plan_group(h, &c->plan[i], task_of(h, ev, i, new_tasks, out), out);
    }
    return ids;
}

/* ---- events ---- */

void plan_commit(struct hub *h, const struct hub_event *ev, struct batch *out)
{
    const struct commit *c = ev->commit.c;
    char text[LIMIT_TEXT];
    const char *broken = check_commit(h, ev, text, sizeof(text));
    if (broken) {
        fail(out, broken);
        return;
    }
    batch_row(out, ROW_RUN_COMMITS)->run_commits = ++h->commits;
    version_rows(h, c, out);
    stage_rows(c, out);
    step_rows(c, out);
    checkpoint_row(c, out);
    metric_rows(c, out);
    const uint64_t *ids = plan_rows(h, ev, out);
    pruned_rows(h, c, out);
    if (c->event_kind) {
        int level = event_level_parse(c->event_level);
        batch_event(out, level < 0 ? EVENT_INFO : (enum event_level)level, c->event_kind, "", "%s",
            c->event_message);
    }
    struct out *o = batch_out(out, OUT_COMMITTED);
    o->committed.groups = ids;
    o->committed.count = c->plan_count;
}

static const char *check_wait(
    const struct hub *h, const struct hub_event *ev, char *text, size_t text_bytes)
{
    for (size_t i = 0; i < ev->wait.count; i++) {
        uint64_t id = ev->wait.groups[i];
        if (id == 0 || id > h->last_group) {
            (void)snprintf(text, text_bytes, "group %ju was never planned", (uintmax_t)id);
            return text;
        }
    }
    return NULL;
}

void plan_wait(struct hub *h, const struct hub_event *ev, struct batch *out)
{
    char text[LIMIT_TEXT];
    size_t at = 0;
    h->waiting_open = 0;
    for (struct group *g = idmap_next(&h->groups, &at); g; g = idmap_next(&h->groups, &at))
        g->awaited = false;
    if (check_wait(h, ev, text, sizeof(text))) {
        fail(out, text);
        return;
    }
    for (size_t i = 0; i < ev->wait.count; i++) {
        struct group *g = hub_group(h, ev->wait.groups[i]); /* NULL: scored already */
        if (g && !g->awaited) {
            g->awaited = true;
            h->waiting_open++;
        }
    }
    if (h->waiting_open == 0)
        batch_out(out, OUT_SCORED);
}
