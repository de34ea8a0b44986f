/* step.c: a pretrain step and a grpo step. */
#include "learner/step.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "learner/plan.h"
#include "learner/schedule.h"

static const struct recipe_stage *stage_of(const struct step_context *c)
{
    return &c->recipe->stages[c->stage];
}

static bool uses_reference(const struct recipe_stage *st)
{
    return st->kind == STAGE_GRPO && st->loss.kl_coef != 0;
}

int step_begin_stage(const struct step_context *c, struct err *e)
{
    trainer_reset_optim(c->trainer);
    if (uses_reference(stage_of(c)))
        return trainer_set_reference(c->trainer, e);
    trainer_drop_reference(c->trainer);
    return 0;
}

/* ---- updates ---- */

static void result_begin(struct step_result *r)
{
    *r = (struct step_result){.lr = NAN, .logp_gap = NAN};
}

/* One update by the gradient just computed. */
static int apply_update(const struct step_context *c, uint64_t total_updates,
    const struct loss_parts *parts, struct step_result *r, struct err *e)
{
    const struct recipe_stage *st = stage_of(c);
    uint64_t update = trainer_state(c->trainer).optim->updates;
    double lr = schedule_lr(&st->optim, update, total_updates);
    if (!isfinite(parts->loss))
        return err_set(e, ERR_FAIL, "loss is not finite at update %llu of stage '%s'",
            (unsigned long long)update, st->name);
    struct optim_stats stats;
    int rc = trainer_update(c->trainer, &st->optim, lr, &stats, e);
    if (rc != 0)
        return err_ctx(e, "update %llu of stage '%s'", (unsigned long long)update, st->name);
    loss_parts_add(&r->parts, parts);
    r->updates++;
    r->loss += parts->loss;
    r->grad_norm += stats.grad_norm;
    r->update_ratio += stats.update_ratio;
    r->lr = lr;
    uint32_t every = st->loss.reference_every;
    if (uses_reference(st) && every > 0 && (update + 1) % every == 0)
        return trainer_set_reference(c->trainer, e);
    return 0;
}

static void result_end(const struct step_context *c, struct step_result *r)
{
    double n = r->updates > 0 ? (double)r->updates : NAN;
    r->loss /= n;
    r->grad_norm /= n;
    r->update_ratio /= n;
    r->digest = params_digest(trainer_state(c->trainer).params);
}

/* ---- pretrain ---- */

static void likelihood(void *arg, const struct pack_slice *s, const float *logp,
    const float *entropy, float *dlogp, float *dentropy, struct loss_parts *ret)
{
    (void)entropy;
    (void)dentropy;
    const struct loss_completion *completions = arg;
    loss_likelihood(completions + s->completion, s->completion_count, logp, dlogp, ret);
}

int step_pretrain(const struct step_context *c, uint32_t step, const struct corpus *demos,
    struct step_result *ret, struct err *e)
{
    const struct recipe_stage *st = stage_of(c);
    CLEANUP_FREE struct train_group *groups = mem_array(st->batch, sizeof(*groups));
    CLEANUP_FREE struct train_completion *rows = mem_array(st->batch, sizeof(*rows));
    CLEANUP_FREE struct loss_completion *completions = mem_array(st->batch, sizeof(*completions));
    double tokens = 0;
    for (uint32_t i = 0; i < st->batch; i++) {
        uint64_t ordinal = plan_ordinal(step, st->batch, i);
        size_t row = plan_row(c->recipe->seed, c->stage, corpus_count(demos), ordinal);
        rows[i] = corpus_completion(demos, row);
        groups[i] = (struct train_group){.completions = &rows[i], .n = 1};
        groups[i].prompt = corpus_prompt(demos, row, &groups[i].prompt_len);
        tokens += rows[i].len;
    }
    for (uint32_t i = 0; i < st->batch; i++)
        completions[i] = (struct loss_completion){.len = rows[i].len, .weight = 1 / tokens};
    struct trainer_batch batch = {groups, st->batch, 1};
    struct trainer_loss loss = {.fn = likelihood, .arg = completions};
    struct loss_parts parts;
    struct step_result r;
    result_begin(&r);
    if (trainer_backward(c->trainer, &batch, &loss, &parts, NULL, e) != 0 ||
        apply_update(c, st->steps, &parts, &r, e) != 0)
        return err_ctx(e, "step %u", step);
    result_end(c, &r);
    *ret = r;
    return 0;
}

/* ---- stored groups ---- */

/* All completions of some stored groups, in order. */
struct stored_batch {
    struct train_group *groups;
    float *behaviour;
    size_t count, tokens;
};

static struct stored_batch stored_batch_of(
    const struct stored_group *groups, size_t count, struct arena *a)
{
    struct stored_batch b = {.count = count, .groups = arena_alloc(a, count * sizeof(*b.groups))};
    for (size_t i = 0; i < count; i++) {
        const struct stored_group *g = &groups[i];
        struct train_completion *completions = arena_alloc(a, g->n * sizeof(*completions));
        for (uint32_t k = 0; k < g->n; k++) {
            completions[k] =
                (struct train_completion){g->completions[k].tokens, g->completions[k].len};
            b.tokens += g->completions[k].len;
        }
        b.groups[i] = (struct train_group){g->prompt, g->prompt_len, completions, g->n};
    }
    float *at = b.behaviour = arena_alloc(a, b.tokens * sizeof(*b.behaviour));
    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < groups[i].n; k++) {
            const struct stored_completion *from = &groups[i].completions[k];
            memcpy(at, from->logp, from->len * sizeof(*at));
            at += from->len;
        }
    }
    return b;
}

static int stored_logprob(const struct step_context *c, enum trainer_weights which,
    const struct stored_batch *b, struct arena *a, float **ret, struct err *e)
{
    struct trainer_batch batch = {b->groups, b->count, stage_of(c)->temperature};
    *ret = arena_alloc(a, b->tokens * sizeof(**ret));
    return trainer_logprob(c->trainer, which, &batch, *ret, e);
}

/* What the KL takes from the rewards: by the policy that sampled, before any update of the step. */
static int kl_penalties(const struct step_context *c, const struct stored_group *groups,
    size_t count, struct step_kl *ret, struct err *e)
{
    struct arena *a = arena_new(0);
    struct stored_batch b = stored_batch_of(groups, count, a);
    float *reference;
    int r = stored_logprob(c, TRAINER_REFERENCE, &b, a, &reference, e);
    if (r == 0) {
        size_t completions = 0, k = 0, at = 0;
        for (size_t i = 0; i < count; i++)
            completions += groups[i].n;
        ret->penalty = mem_array(completions, sizeof(*ret->penalty));
        ret->reference = mem_dup(reference, b.tokens * sizeof(*reference));
        for (size_t i = 0; i < count; i++) {
            for (uint32_t n = 0; n < b.groups[i].n; n++, k++) {
                uint32_t len = b.groups[i].completions[n].len;
                ret->penalty[k] = loss_kl_penalty(&stage_of(c)->loss, trainer_ops(c->trainer),
                    b.behaviour + at, reference + at, len);
                at += len;
            }
        }
    }
    arena_free(a);
    return r != 0 ? err_ctx(e, "KL to the reference") : 0;
}

int step_groups_open(const struct step_context *c, uint32_t step, const struct stored_group *groups,
    size_t count, struct step_groups *ret, struct err *e)
{
    const struct recipe_stage *st = stage_of(c);
    struct step_kl kl = {0};
    bool in_reward = uses_reference(st) && st->loss.kl_in_reward;
    if (in_reward && kl_penalties(c, groups, count, &kl, e) != 0)
        return e->code;
    step_groups_make(c->recipe, c->stage, step, groups, count, in_reward ? &kl : NULL, ret);
    return 0;
}

/* ---- grpo ---- */

struct policy_loss {
    const struct recipe_loss *options;
    const struct ops *ops;
    const struct minibatch *mb;
    const float *reference; /* of the minibatch, or NULL */
};

static void policy(void *arg, const struct pack_slice *s, const float *logp, const float *entropy,
    float *dlogp, float *dentropy, struct loss_parts *ret)
{
    const struct policy_loss *p = arg;
    struct loss_tokens in = {.logp = logp,
        .old = p->mb->old != NULL ? p->mb->old + s->token : NULL,
        .behaviour = p->options->old_recomputed ? p->mb->behaviour + s->token : NULL,
        .entropy = entropy,
        .reference = p->reference != NULL ? p->reference + s->token : NULL};
    loss_policy(p->options, p->ops, p->mb->completions + s->completion, s->completion_count, &in,
        dlogp, dentropy, ret);
}

static double gap_max(const float *a, const float *b, size_t n)
{
    double gap = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= gap))
            gap = d; /* NaN is kept too */
    }
    return gap;
}

/* Forward, loss and backward of one minibatch; logp: room for its tokens. */
static int minibatch_gradient(const struct step_context *c, const struct minibatch *mb, float *logp,
    struct loss_parts *ret, struct err *e)
{
    const struct recipe_stage *st = stage_of(c);
    struct trainer_batch batch = {mb->groups, mb->group_count, st->temperature};
    CLEANUP_FREE float *reference = NULL;
    if (uses_reference(st) && mb->reference == NULL) {
        reference = mem_array(mb->token_count, sizeof(*reference));
        int r = trainer_logprob(c->trainer, TRAINER_REFERENCE, &batch, reference, e);
        if (r != 0)
            return err_ctx(e, "reference");
    }
    struct policy_loss p = {
        &st->loss, trainer_ops(c->trainer), mb, reference != NULL ? reference : mb->reference};
    struct trainer_loss loss = {
        .fn = policy, .arg = &p, .entropy = true, .dentropy = st->loss.entropy_coef != 0};
    return trainer_backward(c->trainer, &batch, &loss, ret, logp, e);
}

static int minibatch_step(const struct step_context *c, const struct minibatch *mb,
    bool measure_gap, struct step_result *r, struct err *e)
{
    const struct recipe_stage *st = stage_of(c);
    CLEANUP_FREE float *logp = mem_array(mb->token_count, sizeof(*logp));
    struct loss_parts parts;
    int rc = minibatch_gradient(c, mb, logp, &parts, e);
    if (rc == 0 && measure_gap)
        r->logp_gap = gap_max(mb->behaviour, logp, mb->token_count);
    return rc != 0 ? rc : apply_update(c, (uint64_t)st->steps * st->minibatches, &parts, r, e);
}

/* pi_old of the updates after the step's first: that one's own forward gives it the same bits. */
static int recompute_old(const struct step_context *c, const struct step_groups *groups,
    struct minibatch *list, struct err *e)
{
    const struct recipe_stage *st = stage_of(c);
    bool first = true;
    for (uint32_t m = 0; m < groups->minibatches; m++) {
        struct minibatch *mb = &list[m];
        if (mb->group_count == 0)
            continue;
        if (!first) {
            struct trainer_batch batch = {mb->groups, mb->group_count, st->temperature};
            mb->old = arena_alloc(groups->arena, mb->token_count * sizeof(*mb->old));
            if (trainer_logprob(c->trainer, TRAINER_POLICY, &batch, mb->old, e) != 0)
                return err_ctx(e, "log-probs of pi_old, minibatch %u", m);
        }
        first = false;
    }
    return 0;
}

/* Whether every group was sampled from the parameters that the step begins with. */
static bool all_of_version(const struct step_groups *g, uint64_t version)
{
    for (size_t i = 0; i < g->count; i++) {
        if (g->groups[i].stored->version != version)
            return false;
    }
    return true;
}

int step_grpo(const struct step_context *c, uint32_t step, const struct step_groups *groups,
    uint64_t version, struct step_result *ret, struct err *e)
{
    struct step_result r;
    result_begin(&r);
    r.groups = (uint32_t)groups->used;
    const struct recipe_stage *st = stage_of(c);
    bool exact = st->weights_type == WEIGHTS_F32 && all_of_version(groups, version);
    struct minibatch *list = arena_alloc(groups->arena, groups->minibatches * sizeof(*list));
    for (uint32_t m = 0; m < groups->minibatches; m++)
        minibatch_make(st, groups, (int32_t)m, &list[m]);
    int rc = st->loss.old_recomputed ? recompute_old(c, groups, list, e) : 0;
    for (uint32_t m = 0; m < groups->minibatches && rc == 0; m++) {
        if (list[m].group_count > 0)
            rc = minibatch_step(c, &list[m], exact && r.updates == 0, &r, e);
        if (rc != 0)
            err_ctx(e, "minibatch %u", m);
    }
    if (rc != 0)
        return err_ctx(e, "step %u", step);
    result_end(c, &r);
    *ret = r;
    return 0;
}

/* max |behaviour - recomputed| over groups. */
static int gap_of(const struct step_context *c, enum trainer_weights which,
    const struct stored_group *groups, size_t count, double *ret, struct err *e)
{
    struct arena *a = arena_new(0);
    struct stored_batch b = stored_batch_of(groups, count, a);
    float *logp;
    int r = stored_logprob(c, which, &b, a, &logp, e);
    if (r == 0)
        *ret = gap_max(b.behaviour, logp, b.tokens);
    arena_free(a);
    return r;
}

int step_gap(const struct step_context *c, const struct stored_group *group,
    const struct params *version, double *ret, struct err *e)
{
    if (trainer_set_other(c->trainer, version, stage_of(c)->weights_type, e) != 0 ||
        gap_of(c, TRAINER_OTHER, group, 1, ret, e) != 0)
        return err_ctx(
            e, "log-probs of group %llu under its own version", (unsigned long long)group->id);
    return 0;
}

int step_gap_now(const struct step_context *c, const struct stored_group *groups, size_t count,
    double *ret, struct err *e)
{
    enum weights_type type = stage_of(c)->weights_type;
    if (type == WEIGHTS_F32)
        return gap_of(c, TRAINER_POLICY, groups, count, ret, e);
    int r = trainer_set_other(c->trainer, trainer_state(c->trainer).params, type, e);
    return r != 0 ? r : gap_of(c, TRAINER_OTHER, groups, count, ret, e);
}
