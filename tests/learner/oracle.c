/* oracle.c: a whole run in one process, without sockets, database or workers: what the daemons must
 * equal.
 *
 *     oracle CONF [--set SECTION.KEY=VALUE]... [--dir DIR] [--threads N] [--quiet]
 *
 * DIR keeps the generated data; without it they lie in a temporary directory.
 *
 * It shares the pure modules, the trainer and the engine with the daemons, but plans, versions and
 * the order of things are written again here, plainly. Prints one line per step and evaluation on
 * stderr, and on stdout for each stage "stage NAME digest HEX" and its evaluations as "eval STAGE
 * STEP NAME VALUE".
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/recipe/recipe_files.h"
#include "learner/metrics.h"
#include "learner/plan.h"
#include "learner/step.h"
#include "tests/learner/oracle_sample.h"

struct oracle {
    struct recipe recipe;
    struct recipe_model model;
    struct trainer *trainer;
    struct oracle_sampler sampler;
    const char *dir;
    uint64_t next_group; /* ids in the order in which the daemons plan them */
    bool quiet;
};

static double seconds_since(uint64_t ns)
{
    return (double)(clock_mono_ns() - ns) / 1e9;
}

static int open_corpus(
    struct oracle *o, int data, bool demos, uint32_t max_tokens, struct corpus **ret, struct err *e)
{
    struct corpus_options c = {.recipe = &o->recipe,
        .data = (size_t)data,
        .dir = o->dir,
        .tokenizer = o->model.tokenizer,
        .model = &o->model.table->config,
        .demos = demos,
        .max_tokens = max_tokens};
    return corpus_open(&c, ret, e);
}

struct stage_run {
    struct oracle *o;
    struct step_context context;
    const struct recipe_stage *st;
    struct corpus *data, *eval;
    struct params *history; /* grpo: parameters before step s at s mod (lag + 1) */
    uint64_t *train_ids,
        *eval_ids; /* first group id of a step; of the evaluation after so many steps */
};

/* ---- evaluation ---- */

static uint32_t eval_tasks(const struct stage_run *r)
{
    size_t rows = corpus_count(r->eval);
    return r->st->eval.tasks < rows ? r->st->eval.tasks : (uint32_t)rows;
}

static int eval_groups(
    struct stage_run *r, uint32_t step, bool greedy, struct stored_groups *ret, struct err *e)
{
    const struct recipe_stage *st = r->st;
    uint32_t count = eval_tasks(r);
    CLEANUP_FREE uint64_t *rows = mem_array(count, sizeof(*rows));
    CLEANUP_FREE uint64_t *ordinals = mem_array(count, sizeof(*ordinals));
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = i;
        ordinals[i] = plan_eval_ordinal((uint32_t)st->eval.data, i);
    }
    struct oracle_plan plan = {.corpus = r->eval,
        .purpose = PURPOSE_EVAL,
        .stage = r->context.stage,
        .step = step,
        .count = count,
        .n = greedy ? 1 : st->eval.samples,
        .max_tokens = st->max_tokens,
        .first_id = r->eval_ids[step] + (greedy ? count : 0),
        .temperature = greedy ? 0 : st->temperature,
        .rows = rows,
        .ordinals = ordinals};
    return oracle_sample(&r->o->sampler, trainer_state(r->o->trainer).params, &plan, ret, e);
}

static bool eval_due(const struct stage_run *r, uint32_t done)
{
    const struct recipe_eval *ev = &r->st->eval;
    if (r->eval == NULL || done == 0)
        return r->eval != NULL && ev->before;
    return done == r->st->steps || (ev->every > 0 && done % ev->every == 0);
}

static int evaluate(struct stage_run *r, uint32_t step, struct err *e)
{
    struct oracle *o = r->o;
    const struct recipe_stage *st = r->st;
    struct stored_groups sampled, greedy;
    uint64_t begin = clock_mono_ns();
    if (eval_groups(r, step, false, &sampled, e) != 0 ||
        eval_groups(r, step, true, &greedy, e) != 0)
        return e->code;
    struct metric_list l = {0};
    metrics_of_eval(&l, &o->recipe, &sampled, &greedy, st->eval.samples, NAN);
    for (size_t i = 0; i < l.count; i++)
        printf("eval %s %u %s %.17g\n", st->name, step, l.items[i].name, l.items[i].value);
    if (!o->quiet)
        fprintf(stderr,
            "%s eval after %u: sampled %.3f greedy %.3f format %.3f length %.1f think %.1f greedy "
            "length %.1f truncated %.3f (%.1f s)\n",
            st->name, step, metric_value(&l, "eval/pass@1"), metric_value(&l, "eval/greedy"),
            metric_value(&l, "eval/format"), metric_value(&l, "eval/length"),
            metric_value(&l, "eval/think_length"), metric_value(&l, "eval/greedy_length"),
            metric_value(&l, "eval/truncated"), seconds_since(begin));
    metric_list_done(&l);
    arena_free(sampled.arena);
    arena_free(greedy.arena);
    return 0;
}

/* ---- stages ---- */

static int pretrain_step(struct stage_run *r, uint32_t step, struct err *e)
{
    struct step_result result;
    int rc = step_pretrain(&r->context, step, r->data, &result, e);
    if (rc == 0 && !r->o->quiet && (step % 50 == 0 || step + 1 == r->st->steps))
        fprintf(stderr, "%s step %u loss %.4f grad_norm %.3f update_ratio %.2g lr %.2g\n",
            r->st->name, step, result.loss, result.grad_norm, result.update_ratio, result.lr);
    return rc;
}

/* Samples the groups of a step from the parameters that the lag prescribes. */
static int sample_step(struct stage_run *r, uint32_t step, struct stored_groups *ret, struct err *e)
{
    const struct recipe_stage *st = r->st;
    CLEANUP_FREE uint64_t *rows = mem_array(st->groups, sizeof(*rows));
    CLEANUP_FREE uint64_t *ordinals = mem_array(st->groups, sizeof(*ordinals));
    for (uint32_t i = 0; i < st->groups; i++) {
        ordinals[i] = (uint64_t)step * st->groups + i;
        rows[i] = plan_row(r->o->recipe.seed, r->context.stage, corpus_count(r->data), ordinals[i]);
    }
    uint32_t version = step > st->lag ? step - st->lag : 0;
    struct oracle_plan plan = {.corpus = r->data,
        .purpose = PURPOSE_TRAIN,
        .stage = r->context.stage,
        .step = step,
        .count = st->groups,
        .n = st->group_size,
        .max_tokens = st->max_tokens,
        .version = version,
        .first_id = r->train_ids[step],
        .temperature = st->temperature,
        .rows = rows,
        .ordinals = ordinals};
    return oracle_sample(&r->o->sampler, &r->history[version % (st->lag + 1)], &plan, ret, e);
}

static int grpo_step(struct stage_run *r, uint32_t step, struct err *e)
{
    struct params *now = trainer_state(r->o->trainer).params;
    memcpy(r->history[step % (r->st->lag + 1)].data, now->data, now->table->floats * sizeof(float));
    uint64_t begin = clock_mono_ns();
    struct stored_groups stored;
    int rc = sample_step(r, step, &stored, e);
    if (rc != 0)
        return rc;
    struct step_times times = {.wait = seconds_since(begin), .publish = NAN};
    begin = clock_mono_ns();
    struct step_groups groups = {0};
    struct step_result result;
    rc = step_groups_open(&r->context, step, stored.groups, stored.count, &groups, e);
    if (rc == 0)
        rc = step_grpo(&r->context, step, &groups, step, &result, e);
    times.train = seconds_since(begin);
    struct metric_list l = {0};
    if (rc == 0)
        metrics_of_grpo(&l, &r->o->recipe, &groups, step, &result, &times);
    if (rc == 0 && !r->o->quiet)
        fprintf(stderr,
            "%s step %u reward %.3f pass %.3f length %.1f tied %.2f entropy %.3f ratio %.2f gap %g "
            "sample "
            "%.2f s train %.2f s\n",
            r->st->name, step, metric_value(&l, "reward"), metric_value(&l, "pass@1"),
            metric_value(&l, "length"), metric_value(&l, "tied"), metric_value(&l, "entropy"),
            metric_value(&l, "ratio_max"), metric_value(&l, "logp_gap"), times.wait, times.train);
    metric_list_done(&l);
    step_groups_done(&groups);
    arena_free(stored.arena);
    return rc;
}

/* Group ids as the daemons give them: the commit after which `done` steps are done plans the train
 * groups of step done + lag (at the start: of all steps up to lag), then the evaluation's. */
static void assign_ids(struct stage_run *r)
{
    const struct recipe_stage *st = r->st;
    uint64_t *next = &r->o->next_group;
    for (uint32_t done = 0; done <= st->steps; done++) {
        uint64_t first = done == 0 ? 0 : (uint64_t)done + st->lag;
        for (uint64_t step = first; st->kind == STAGE_GRPO && step <= (uint64_t)done + st->lag;
             step++) {
            if (step >= st->steps)
                break;
            r->train_ids[step] = *next;
            *next += st->groups;
        }
        if (eval_due(r, done)) {
            r->eval_ids[done] = *next;
            *next += 2 * eval_tasks(r);
        }
    }
}

static int run_steps(struct stage_run *r, struct err *e)
{
    const struct recipe_stage *st = r->st;
    assign_ids(r);
    int rc = eval_due(r, 0) ? evaluate(r, 0, e) : 0;
    for (uint32_t step = 0; rc == 0 && step < st->steps; step++) {
        rc = st->kind == STAGE_PRETRAIN ? pretrain_step(r, step, e) : grpo_step(r, step, e);
        if (rc == 0 && eval_due(r, step + 1))
            rc = evaluate(r, step + 1, e);
    }
    return rc;
}

static int run_stage(struct oracle *o, uint32_t stage, struct err *e)
{
    const struct recipe_stage *st = &o->recipe.stages[stage];
    struct stage_run r = {
        .o = o, .context = {.recipe = &o->recipe, .stage = stage, .trainer = o->trainer}, .st = st};
    uint64_t begin = clock_mono_ns();
    r.history = mem_array(st->lag + 1, sizeof(*r.history));
    r.train_ids = mem_array((size_t)st->steps + 1, sizeof(*r.train_ids));
    r.eval_ids = mem_array((size_t)st->steps + 1, sizeof(*r.eval_ids));
    int rc = step_begin_stage(&r.context, e);
    for (uint32_t i = 0; rc == 0 && i <= st->lag; i++)
        rc = params_new(o->model.table, &r.history[i], e);
    if (rc == 0)
        rc = open_corpus(o, st->data, st->kind == STAGE_PRETRAIN, st->max_tokens, &r.data, e);
    if (rc == 0 && st->eval.data >= 0)
        rc = open_corpus(o, st->eval.data, false, st->max_tokens, &r.eval, e);
    if (rc == 0)
        rc = run_steps(&r, e);
    if (rc == 0) {
        char hex[HASH_HEX];
        struct hash digest = params_digest(trainer_state(o->trainer).params);
        printf("stage %s digest %s\n", st->name, hash_hex(&digest, hex));
        fprintf(stderr, "%s: %.1f s\n", st->name, seconds_since(begin));
    }
    for (uint32_t i = 0; i <= st->lag; i++)
        params_done(&r.history[i]);
    free(r.history);
    free(r.train_ids);
    free(r.eval_ids);
    corpus_free(r.data);
    corpus_free(r.eval);
    return rc;
}

static int oracle_open(struct oracle *o, unsigned threads, struct err *e)
{
    const struct recipe *r = &o->recipe;
    if (recipe_model_open(r, &o->model, e) != 0)
        return e->code;
    struct trainer_options t = {.isa = r->isa,
        .threads = threads > 0 ? threads : r->learner_threads,
        .shards = r->learner_shards,
        .rows_max = r->micro_batch_tokens,
        .vocab = tokenizer_size(o->model.tokenizer)};
    if (trainer_new(&t, &o->model.params, &o->trainer, e) != 0)
        return e->code;
    struct engine_options en = {.threads = t.threads,
        .isa = r->isa,
        .batch_max = r->actor_batch,
        .kv_bytes_max = 256 << 20};
    o->sampler = (struct oracle_sampler){
        .recipe = r, .tokenizer = o->model.tokenizer, .model = &o->model.table->config};
    struct scorer_spec specs[RECIPE_REWARDS_MAX];
    for (size_t i = 0; i < r->reward_count; i++)
        specs[i] = r->rewards[i].spec;
    if (r->reward_count > 0 && scoring_open(specs, r->reward_count, &o->sampler.scoring, e) != 0)
        return e->code;
    return engine_new(&o->model.table->config, &en, &o->sampler.engine, e);
}

static int run(struct oracle *o, struct config *c, unsigned threads, struct err *e)
{
    int rc = recipe_check(c, e);
    if (rc == 0)
        rc = recipe_make(c, &o->recipe, e);
    if (rc == 0)
        rc = oracle_open(o, threads, e);
    for (uint32_t i = 0; rc == 0 && i < o->recipe.stage_count; i++)
        rc = run_stage(o, i, e);
    trainer_free(o->trainer);
    engine_free(o->sampler.engine);
    if (o->sampler.scoring != NULL)
        scoring_close(o->sampler.scoring);
    recipe_model_done(&o->model);
    recipe_done(&o->recipe);
    return rc;
}

int main(int argc, char **argv)
{
    char own_dir[] = "/tmp/cohort-oracle-XXXXXX";
    struct oracle o = {.next_group = 1};
    unsigned threads = 0;
    struct err e = {0};
    struct config *c = config_new(recipe_options);
    int rc = argc < 2 ? err_set(&e, ERR_USAGE,
                            "usage: oracle CONF [--set S.K=V] [--dir DIR] [--threads N]")
                      : config_read_file(c, argv[1], &e);
    for (int i = 2; rc == 0 && i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--quiet") == 0) {
            o.quiet = true;
            continue;
        }
        if (strcmp(argv[i], "--set") == 0)
            rc = config_set(c, value, &e);
        else if (strcmp(argv[i], "--dir") == 0)
            o.dir = value;
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (unsigned)atoi(value);
        else
            rc = err_set(&e, ERR_USAGE, "unknown argument '%s'", argv[i]);
        i++;
    }
    if (rc == 0 && o.dir == NULL && (o.dir = mkdtemp(own_dir)) == NULL)
        rc = err_sys(&e, ERR_FAIL, "cannot make '%s'", own_dir);
    if (rc == 0)
        rc = run(&o, c, threads, &e);
    if (o.dir == own_dir && file_remove_tree(own_dir, &e) != 0)
        rc = e.code;
    config_free(c);
    if (rc != 0)
        fprintf(stderr, "oracle: %s\n", e.msg);
    return err_exit_status(rc);
}
