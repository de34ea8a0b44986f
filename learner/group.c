/* group.c: tied, unscored and truncated completions on their way into an update. */
#include "learner/group.h"

#include <stdlib.h>
#include <string.h>

#include "learner/plan.h"

/* The completions of a step, all groups behind one another. */
struct step_rewards {
    double *reward, *advantage;
    bool *scored;
    size_t count;
};

static struct step_rewards gather_rewards(
    const struct stored_group *groups, size_t count, struct arena *a)
{
    struct step_rewards all = {.count = 0};
    for (size_t i = 0; i < count; i++)
        all.count += groups[i].n;
    all.reward = arena_alloc(a, (all.count + 1) * sizeof(*all.reward));
    all.advantage = arena_alloc(a, (all.count + 1) * sizeof(*all.advantage));
    all.scored = arena_alloc(a, (all.count + 1) * sizeof(*all.scored));
    for (size_t i = 0, at = 0; i < count; i++) {
        for (uint32_t k = 0; k < groups[i].n; k++, at++) {
            all.reward[at] = groups[i].completions[k].reward;
            all.scored[at] = groups[i].completions[k].scored;
        }
    }
    return all;
}

/* Statistics of the task's rewards, then the advantages. */
static void make_advantages(const struct recipe_loss *o, const struct step_rewards *all,
    const double *penalty, struct step_groups *s)
{
    size_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct step_group *g = &s->groups[i];
        uint32_t n = g->stored->n;
        g->advantage = all->advantage + at;
        g->stats =
            advantage_of_group(o->advantage, all->reward + at, all->scored + at, n, g->advantage);
        for (uint32_t k = 0; penalty != NULL && k < n; k++)
            all->reward[at + k] -= penalty[at + k];
        if (penalty != NULL && (!g->stats.tied || o->keep_tied))
            (void)advantage_of_group(
                o->advantage, all->reward + at, all->scored + at, n, g->advantage);
        at += n;
    }
    if (o->advantage == ADVANTAGE_BATCH)
        (void)advantage_of_group(
            o->advantage, all->reward, all->scored, all->count, all->advantage);
}

/* Hands each group its part of the reference's log-probs. */
static void share_reference(struct step_groups *s)
{
    const float *at = s->reference;
    for (size_t i = 0; at != NULL && i < s->count; i++) {
        s->groups[i].reference = at;
        for (uint32_t k = 0; k < s->groups[i].stored->n; k++)
            at += s->groups[i].stored->completions[k].len;
    }
}

void step_groups_make(const struct recipe *r, uint32_t stage, uint32_t step,
    const struct stored_group *groups, size_t count, struct step_kl *kl, struct step_groups *ret)
{
    const struct recipe_stage *st = &r->stages[stage];
    struct step_groups s = {.count = count, .minibatches = st->minibatches, .arena = arena_new(0)};
    s.groups = arena_alloc(s.arena, (count + 1) * sizeof(*s.groups));
    for (size_t i = 0; i < count; i++)
        s.groups[i].stored = &groups[i];
    struct step_rewards all = gather_rewards(groups, count, s.arena);
    make_advantages(&st->loss, &all, kl != NULL ? kl->penalty : NULL, &s);
    if (kl != NULL) {
        s.reference = kl->reference;
        free(kl->penalty);
        *kl = (struct step_kl){0};
    }
    share_reference(&s);
    for (size_t i = 0; i < count; i++) {
        struct step_group *g = &s.groups[i];
        bool used = g->stats.scored > 0 && (!g->stats.tied || st->loss.keep_tied);
        g->minibatch = used ? 0 : -1;
        s.used += used;
    }
    int32_t *minibatch = arena_alloc(s.arena, (s.used + 1) * sizeof(*minibatch));
    plan_minibatches(r->seed, stage, step, st->minibatches, s.used, minibatch);
    for (size_t i = 0, k = 0; i < count; i++) {
        if (s.groups[i].minibatch >= 0)
            s.groups[i].minibatch = minibatch[k++];
    }
    *ret = s;
}

void step_groups_done(struct step_groups *s)
{
    arena_free(s->arena);
    free(s->reference);
    *s = (struct step_groups){0};
}

static bool is_masked(const struct recipe_loss *o, const struct stored_completion *c)
{
    return o->mask_truncated && c->stop == STOP_LENGTH;
}

/* Counts the denominators and the room that the arrays of the minibatch need. */
static void count_minibatch(
    const struct recipe_stage *st, const struct step_groups *s, int32_t number, struct minibatch *m)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct stored_group *g = s->groups[i].stored;
        if (s->groups[i].minibatch != number)
            continue;
        size_t before = m->completion_count;
        for (uint32_t k = 0; k < g->n; k++) {
            const struct stored_completion *c = &g->completions[k];
            if (!c->scored || c->len == 0)
                continue;
            m->count.completions += 1;
            m->count.tokens += c->len;
            if (is_masked(&st->loss, c))
                continue;
            m->completion_count++;
            m->token_count += c->len;
        }
        m->group_count += m->completion_count > before;
    }
}

/* Appends the forwarded completions of one group; at: next free places. */
static void add_group(const struct recipe_stage *st, const struct step_group *g, struct arena *a,
    struct minibatch *m, struct minibatch *at)
{
    const struct stored_group *stored = g->stored;
    struct train_completion *list = arena_alloc(a, stored->n * sizeof(*list));
    const float *reference = g->reference, *next = reference;
    uint32_t n = 0;
    for (uint32_t k = 0; k < stored->n; k++, reference = next) {
        const struct stored_completion *c = &stored->completions[k];
        next = reference != NULL ? reference + c->len : NULL;
        if (!c->scored || c->len == 0 || is_masked(&st->loss, c))
            continue;
        list[n++] = (struct train_completion){c->tokens, c->len};
        m->completions[at->completion_count++] = (struct loss_completion){.len = c->len,
            .advantage = g->advantage[k],
            .weight = loss_weight(st->loss.normalise, &m->count, c->len)};
        memcpy(m->behaviour + at->token_count, c->logp, c->len * sizeof(float));
        if (reference != NULL)
            memcpy(m->reference + at->token_count, reference, c->len * sizeof(float));
        at->token_count += c->len;
    }
    if (n > 0)
        m->groups[at->group_count++] =
            (struct train_group){stored->prompt, stored->prompt_len, list, n};
}

void minibatch_make(const struct recipe_stage *st, const struct step_groups *s, int32_t number,
    struct minibatch *ret)
{
    struct minibatch m = {.count.max_tokens = st->max_tokens}, at = {0};
    count_minibatch(st, s, number, &m);
    m.groups = arena_alloc(s->arena, (m.group_count + 1) * sizeof(*m.groups));
    m.completions = arena_alloc(s->arena, (m.completion_count + 1) * sizeof(*m.completions));
    m.behaviour = arena_alloc(s->arena, (m.token_count + 1) * sizeof(*m.behaviour));
    m.old = st->loss.old_recomputed ? NULL : m.behaviour;
    if (s->reference != NULL)
        m.reference = arena_alloc(s->arena, (m.token_count + 1) * sizeof(*m.reference));
    for (size_t i = 0; i < s->count; i++) {
        if (s->groups[i].minibatch == number)
            add_group(st, &s->groups[i], s->arena, &m, &at);
    }
    *ret = m;
}
