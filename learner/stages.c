/* stages.c: the order of stages, the life of the stage thread's state, stopping. */
#include "learner/stages.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "learner/plan.h"
#include "learner/stages_impl.h"

enum {
    PAUSE_MS = 2000,  /* between two tries to write to a full disk */
    WAIT_MS_MIN = 20, /* shorter: the groups were there already */
};

/* ---- stopping and waiting ---- */

bool stages_request_stop(struct stages *s)
{
    atomic_store(&s->stop, true);
    if (eventfd_write(s->stop_fd, 1) != 0)
        log_warn("stages", "cannot wake the stage thread, ignoring");
    return atomic_load(&s->waiting);
}

bool stages_stopping(struct stages *s, struct err *e)
{
    if (!atomic_load(&s->stop))
        return false;
    (void)err_set(e, ERR_INTERRUPTED, "asked to stop");
    return true;
}

/* Either this sees stop, or stages_request_stop sees waiting: a stop is never missed. */
int stages_wait(struct stages *s, const uint64_t *groups, size_t n, struct err *e)
{
    atomic_store(&s->waiting, true);
    int r =
        stages_stopping(s, e) ? ERR_INTERRUPTED : service_wait_scored(s->o.service, groups, n, e);
    atomic_store(&s->waiting, false);
    return r;
}

void stages_note_speed(struct stages *s, double completions, double seconds)
{
    if (seconds * 1000 >= WAIT_MS_MIN)
        s->completions_per_s = completions / seconds;
}

int stages_pause(struct stages *s, const struct err *failure, struct err *e)
{
    log_warn("stages", "retrying", LOG_ERR(failure), LOG_U64("in_ms", PAUSE_MS));
    struct pollfd p = {.fd = s->stop_fd, .events = POLLIN};
    (void)poll(&p, 1, PAUSE_MS); /* woken early: the next line decides */
    return stages_stopping(s, e) ? ERR_INTERRUPTED : 0;
}

int stages_event(
    struct stages *s, const char *level, const char *kind, const char *message, struct err *e)
{
    struct commit c = {
        .stage = s->stage, .event_level = level, .event_kind = kind, .event_message = message};
    return service_commit(s->o.service, &c, NULL, e);
}

/* ---- life ---- */

static int open_trainer(struct stages *s, struct err *e)
{
    const struct recipe *r = s->o.recipe;
    struct trainer_options t = {.isa = r->isa,
        .threads = r->learner_threads,
        .shards = r->learner_shards,
        .rows_max = r->micro_batch_tokens,
        .recompute = r->recompute,
        .vocab = tokenizer_size(s->o.model->tokenizer)};
    int rc = trainer_new(&t, &s->o.model->params, &s->trainer, e);
    return rc != 0 ? rc : params_new(s->o.model->table, &s->scratch, e);
}

int stages_new(const struct stages_options *o, struct stages **ret, struct err *e)
{
    struct stages *s = mem_alloc(sizeof(*s));
    s->o = *o;
    s->best_greedy = s->completions_per_s = NAN;
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    int r = s->stop_fd < 0 ? err_sys(e, ERR_FAIL, "eventfd") : open_trainer(s, e);
    if (r != 0) {
        stages_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void close_corpora(struct stages *s)
{
    corpus_free(s->data);
    corpus_free(s->eval);
    s->data = s->eval = NULL;
}

void stages_free(struct stages *s)
{
    if (s == NULL)
        return;
    close_corpora(s);
    trainer_free(s->trainer);
    params_done(&s->scratch);
    free(s->checkpoints);
    if (s->stop_fd >= 0)
        (void)close(s->stop_fd); /* nothing is buffered in it */
    free(s);
}

/* ---- a stage ---- */

static int open_corpus(
    struct stages *s, int data, bool demos, const char *dir, struct corpus **ret, struct err *e)
{
    struct corpus_options c = {.recipe = s->o.recipe,
        .data = (size_t)data,
        .dir = dir,
        .tokenizer = s->o.model->tokenizer,
        .model = &s->o.model->table->config,
        .demos = demos,
        .max_tokens = demos ? 0 : s->st->max_tokens};
    return corpus_open(&c, ret, e);
}

static int open_corpora(struct stages *s, struct err *e)
{
    CLEANUP_FREE char *dir = mem_printf("%s/data", s->o.run_dir);
    int r = open_corpus(s, s->st->data, s->st->kind == STAGE_PRETRAIN, dir, &s->data, e);
    if (r == 0 && s->st->eval.data >= 0)
        r = open_corpus(s, s->st->eval.data, false, dir, &s->eval, e);
    return r != 0 ? err_ctx(e, "stage '%s'", s->st->name) : 0;
}

/* Steps from `from` on; from > 0: the trainer holds the state after that many. */
static int run_steps(struct stages *s, uint32_t from, struct err *e)
{
    int r = stages_recall_best(s, from, e);
    if (r == 0)
        r = stages_evaluate(s, from, e);
    for (uint32_t step = from; r == 0 && step < s->st->steps; step++) {
        r = stages_step(s, step, e);
        if (r == 0)
            r = stages_evaluate(s, step + 1, e);
    }
    return r;
}

static int run_stage(struct stages *s, uint32_t stage, uint32_t from, struct err *e)
{
    s->stage = stage;
    s->st = &s->o.recipe->stages[stage];
    s->context =
        (struct step_context){.recipe = s->o.recipe, .stage = stage, .trainer = s->trainer};
    s->best_greedy = NAN;
    if (from > s->st->steps)
        return err_set(e, ERR_CONFIG, "stage '%s': %u steps are done, steps = %u is fewer",
            s->st->name, from, s->st->steps);
    int r = open_corpora(s, e);
    if (r == 0 && from == 0)
        r = step_begin_stage(&s->context, e);
    if (r == 0 && from == 0)
        r = stages_preflight_data(s, e);
    if (r == 0)
        r = stages_begin(s, e);
    if (r == 0 && from == 0)
        r = stages_ensure_file(s, s->first_version, e);
    if (r != 0)
        return r;
    stages_log_summary(s, from);
    r = run_steps(s, from, e);
    if (r == 0)
        r = stages_finish(s, e);
    close_corpora(s);
    return r;
}

int stages_run(struct stages *s, struct err *e)
{
    uint32_t stage, step;
    for (size_t i = 0; i < s->o.change_count; i++) {
        int r = stages_event(s, "info", "option_changed", s->o.changes[i], e);
        if (r != 0)
            return r;
    }
    int r = stages_resume(s, &stage, &step, e);
    for (; r == 0 && stage < s->o.recipe->stage_count; stage++, step = 0)
        r = run_stage(s, stage, step, e);
    return r;
}
