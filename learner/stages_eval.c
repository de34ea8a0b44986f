/* stages_eval.c: evaluations of a stage, its alarm, its gate and its end. */
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "learner/eval.h"
#include "learner/stages_impl.h"

static const double GREEDY_FALL_ALARM = 0.2; /* below the best so far */

static const char *metric_name(enum metric m)
{
    return metric_definition(m)->name;
}

/* Value of a stored metric, NAN when there is none. */
static int stored_metric(struct stages *s, uint32_t done, enum metric m, double *ret, struct err *e)
{
    double v = NAN;
    int r = service_metric(s->o.service, s->stage, done, metric_name(m), &v, e);
    if (r < 0)
        return r;
    *ret = r == 1 ? v : NAN;
    return 0;
}

static void remember_best(struct stages *s, double greedy)
{
    if (!isnan(greedy) && !(greedy <= s->best_greedy))
        s->best_greedy = greedy;
}

int stages_recall_best(struct stages *s, uint32_t done, struct err *e)
{
    for (uint32_t at = 0; at < done; at++) {
        double greedy = NAN;
        int r = eval_due(s->st, at) ? stored_metric(s, at, METRIC_EVAL_GREEDY, &greedy, e) : 0;
        if (r != 0)
            return r;
        remember_best(s, greedy);
    }
    return 0;
}

/* Ids of the evaluation's groups: sampled ones, then greedy ones. They were planned with the
 * version they are pinned to; planning them again only asks for their ids. */
static int find_eval(
    struct stages *s, uint32_t done, uint64_t **ret, size_t *ret_count, struct err *e)
{
    uint64_t version;
    int r = stages_version_after(s, done, &version, e);
    if (r != 0)
        return r;
    size_t count;
    CLEANUP_FREE struct plan_item *items =
        eval_plan(s->o.recipe, s->stage, done, s->eval, version, &count);
    CLEANUP_FREE uint64_t *ids = mem_array(count, sizeof(*ids));
    struct commit c = {.stage = s->stage, .plan = items, .plan_count = count};
    if ((r = service_commit(s->o.service, &c, ids, e)) != 0)
        return r;
    *ret = steal(&ids);
    *ret_count = count;
    return 0;
}

static int commit_eval(struct stages *s, uint32_t done, const struct metric_list *l, struct err *e)
{
    double greedy = metric_value(l, metric_name(METRIC_EVAL_GREEDY));
    struct commit c = {
        .stage = s->stage, .metrics_step = done, .metrics = l->items, .metric_count = l->count};
    CLEANUP_FREE char *text = NULL;
    if (greedy < s->best_greedy - GREEDY_FALL_ALARM) {
        text =
            mem_printf("stage '%s' after %u steps: greedy held-out accuracy is %.3f, it was %.3f",
                s->st->name, done, greedy, s->best_greedy);
        log_warn("stages", text);
        c.event_level = "alarm";
        c.event_kind = "greedy_fell";
        c.event_message = text;
    }
    return service_commit(s->o.service, &c, NULL, e);
}

static void log_eval(const struct stages *s, uint32_t done, const struct metric_list *l)
{
    log_info("stages", "evaluation", LOG_STR("stage", s->st->name), LOG_U64("steps_done", done),
        LOG_F64("sampled", metric_value(l, metric_name(METRIC_EVAL_PASS_1))),
        LOG_F64("greedy", metric_value(l, metric_name(METRIC_EVAL_GREEDY))),
        LOG_F64("format", metric_value(l, metric_name(METRIC_EVAL_FORMAT))),
        LOG_F64("length", metric_value(l, metric_name(METRIC_EVAL_LENGTH))),
        LOG_F64("think_length", metric_value(l, metric_name(METRIC_EVAL_THINK_LENGTH))));
}

static int run_eval(struct stages *s, uint32_t done, struct err *e)
{
    CLEANUP_FREE uint64_t *ids = NULL;
    size_t count = 0;
    struct metric_list l = {0};
    int r = find_eval(s, done, &ids, &count, e);
    uint64_t begin = clock_mono_ns();
    if (r == 0)
        r = stages_wait(s, ids, count, e);
    double seconds = (double)(clock_mono_ns() - begin) / 1e9;
    stages_note_speed(s, (double)count / 2 * (s->st->eval.samples + 1), seconds);
    if (r == 0)
        r = eval_collect(s->o.service, s->o.recipe, s->stage, ids, count, seconds, &l, e);
    if (r == 0)
        r = commit_eval(s, done, &l, e);
    if (r == 0) {
        log_eval(s, done, &l);
        remember_best(s, metric_value(&l, metric_name(METRIC_EVAL_GREEDY)));
    }
    metric_list_done(&l);
    return r != 0 ? err_ctx(e, "evaluation of stage '%s' after %u steps", s->st->name, done) : 0;
}

int stages_evaluate(struct stages *s, uint32_t done, struct err *e)
{
    double tasks;
    if (!eval_due(s->st, done))
        return 0;
    int r = stored_metric(s, done, METRIC_EVAL_TASKS, &tasks, e);
    if (r != 0)
        return r;
    if (isnan(tasks))
        return run_eval(s, done, e);
    double greedy = NAN;
    r = stored_metric(s, done, METRIC_EVAL_GREEDY, &greedy, e);
    remember_best(s, greedy);
    return r;
}

/* ---- the end of a stage ---- */

/* What a failed gate found is stored once, however often the run is started again. */
static int check_gate(struct stages *s, bool failed_before, struct err *e)
{
    static const enum metric gated[] = {METRIC_EVAL_PASS_1, METRIC_EVAL_GREEDY, METRIC_EVAL_FORMAT};
    struct metric_list l = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(gated); i++) {
        double v = NAN;
        r = stored_metric(s, s->st->steps, gated[i], &v, e);
        metric_add(&l, gated[i], v);
    }
    struct err why = {0};
    if (r == 0 && eval_gate(s->st, &l, &why) != 0) {
        struct commit c = {.stage = s->stage,
            .mark = STAGE_MARK_FAILED,
            .event_level = "alarm",
            .event_kind = "gate",
            .event_message = why.msg};
        r = failed_before ? 0 : service_commit(s->o.service, &c, NULL, e);
        if (r == 0) {
            *e = why;
            r = why.code;
        }
    }
    metric_list_done(&l);
    return r;
}

int stages_finish(struct stages *s, struct err *e)
{
    struct stage_row row;
    int r = service_stage(s->o.service, s->stage, &row, e);
    if (r == 0 && !row.finished)
        r = check_gate(s, row.failed, e);
    if (r == 0)
        r = stages_write_model(s, e);
    if (r != 0 || row.finished)
        return r;
    uint32_t pruned;
    struct commit c = {
        .stage = s->stage, .mark = STAGE_MARK_FINISHED, .pruned_checkpoints = &pruned};
    r = stages_prune_checkpoint(s, &pruned, &c.pruned_checkpoint_count, e);
    if (r == 0)
        r = service_commit(s->o.service, &c, NULL, e);
    if (r == 0)
        log_info("stages", "stage finished", LOG_STR("stage", s->st->name),
            LOG_U64("updates", s->updates));
    return r;
}
