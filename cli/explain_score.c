/* explain_score.c: what a completion was worth, as arithmetic, and what was made of it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/display.h"
#include "cli/explain.h"

static int bind_completion(
    const struct explain *x, const char *sql, struct rundb_query **ret, struct err *e)
{
    int rc = rundb_prepare(x->run.db, sql, ret, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(*ret, 1, (int64_t)x->group.id);
    rundb_bind_int(*ret, 2, x->index);
    return 0;
}

static const struct recipe_stage *stage_of(const struct explain *x)
{
    const struct recipe *r = &x->run.recipe;
    return x->group.stage < r->stage_count ? &r->stages[x->group.stage] : NULL;
}

/* ---- scores ---- */

static int reward_index(const struct recipe *r, const char *name)
{
    for (size_t i = 0; i < r->reward_count; i++)
        if (strcmp(r->rewards[i].spec.name, name) == 0)
            return (int)i;
    return -1;
}

static void say_score(struct rundb_query *q, const struct recipe_reward *reward)
{
    CLEANUP_FREE char *reason = display_dup(rundb_text(q, 4));
    CLEANUP_FREE char *extracted = display_dup(rundb_text(q, 5));
    char value[32] = "none";
    if (!rundb_is_null(q, 1))
        (void)snprintf(value, sizeof(value), "%.6g", rundb_real(q, 1));
    explain_say(rundb_text(q, 0), "%s, verdict %s%s%s", value, rundb_text(q, 2),
        reason[0] ? ": " : "", reason);
    if (extracted[0])
        explain_say("", "extracted '%s'", extracted);
    if (strcmp(rundb_text(q, 3), score_fault_name(SCORE_FAULT_NONE)) != 0)
        explain_say("", "a fault of the judge (%s), not of the completion", rundb_text(q, 3));
    explain_say("", "%s%sby %s under lease %lld in %.3f ms%s%s",
        reward != NULL ? reward->spec.kind : "", reward != NULL ? " scorer, " : "",
        rundb_text(q, 8), (long long)rundb_int(q, 9), (double)rundb_int(q, 7) / 1000,
        rundb_text(q, 6)[0] ? ", isolation " : "", rundb_text(q, 6));
}

static int say_components(const struct explain *x, struct reward_part c[RECIPE_REWARDS_MAX],
    size_t *ret_count, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = bind_completion(x,
        "SELECT scorer, value, verdict, fault, reason, extracted, isolation, wall_us, worker, "
        "lease "
        "FROM scores WHERE group_id = ?1 AND idx = ?2",
        &q, e);
    if (rc < 0)
        return rc;
    *ret_count = 0;
    while ((rc = rundb_next(q, e)) == 1) {
        int i = reward_index(&x->run.recipe, rundb_text(q, 0));
        say_score(q, i >= 0 ? &x->run.recipe.rewards[i] : NULL);
        if (i >= 0)
            c[i] = (struct reward_part){&x->run.recipe.rewards[i].term, !rundb_is_null(q, 1),
                rundb_real(q, 1), (enum verdict)verdict_parse(rundb_text(q, 2))};
        ++*ret_count;
    }
    return rc;
}

/* The jobs that the scores are waited for from. */
static int say_grading(const struct explain *x, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = bind_completion(x,
        "SELECT j.id, j.state, j.attempts, j.faults, coalesce(l.worker, '') FROM jobs j "
        "LEFT JOIN leases l ON l.job = j.id AND l.ended_ms IS NULL "
        "WHERE j.group_id = ?1 AND j.kind = 'grade' AND j.state <> 'done' ORDER BY j.id",
        &q, e);
    if (rc < 0)
        return rc;
    explain_say("state", "sampled; it waits for its scores");
    while ((rc = rundb_next(q, e)) == 1)
        explain_say("job", "%lld is %s%s%s; %lld leases so far, %lld faults of a judge",
            (long long)rundb_int(q, 0), rundb_text(q, 1), rundb_text(q, 4)[0] ? " to " : "",
            rundb_text(q, 4), (long long)rundb_int(q, 2), (long long)rundb_int(q, 3));
    return rc;
}

/* "1 x 0 (accuracy) + 0.3 x 1 (format)" */
static double put_sum(const struct recipe *r, const struct reward_part *c, struct buf *out)
{
    buf_puts(out, "");
    for (size_t i = 0; i < r->reward_count; i++) {
        const struct recipe_reward *w = &r->rewards[i];
        buf_printf(out, "%s%g x ", i > 0 ? " + " : "", w->term.weight);
        if (c[i].has_value)
            buf_printf(out, "%.6g (%s", c[i].value, w->spec.name);
        else
            buf_printf(out, "none (%s", w->spec.name);
        if (!reward_counts(&c[i], c, r->reward_count))
            buf_printf(out, ", not counted: only on %s", reward_when_name(w->term.when));
        buf_puts(out, ")");
    }
    return reward_sum(c, r->reward_count);
}

static int say_reward(const struct explain *x, const struct reward_part *c, struct err *e)
{
    const struct recipe *r = &x->run.recipe;
    CLEANUP_QUERY struct rundb_query *q = NULL;
    CLEANUP_BUF struct buf sum = {0};
    int rc = bind_completion(
        x, "SELECT reward, verdict FROM completions WHERE group_id = ?1 AND idx = ?2", &q, e);
    if (rc < 0 || (rc = rundb_next(q, e)) < 0)
        return rc;
    double added = put_sum(r, c, &sum), stored = rundb_real(q, 0);
    if (rundb_is_null(q, 0))
        explain_say("reward", "= %s: unscored, there is no reward", (const char *)sum.data);
    else if (added == stored)
        explain_say("reward", "= %s = %.6g", (const char *)sum.data, stored);
    else
        explain_say(
            "reward", "= %s = %.6g, but %.6g is stored", (const char *)sum.data, added, stored);
    explain_say("verdict", "%s (of %s, the primary scorer)", rundb_text(q, 1),
        r->reward_count > 0 ? r->rewards[r->primary].spec.name : "?");
    return 0;
}

int explain_scores(const struct explain *x, struct err *e)
{
    struct reward_part components[RECIPE_REWARDS_MAX] = {0};
    size_t count;
    for (size_t i = 0; i < x->run.recipe.reward_count; i++)
        components[i].term = &x->run.recipe.rewards[i].term;
    printf("\nScores\n");
    int rc = say_components(x, components, &count, e);
    if (rc < 0)
        return rc;
    return count > 0 ? say_reward(x, components, e) : say_grading(x, e);
}

/* ---- advantage ---- */

struct moments {
    unsigned scored;
    bool has_std, has_advantage, tied;
    double mean, std, advantage; /* of the group; and this completion's, once a step has used it */
};

static int read_moments(const struct explain *x, struct moments *ret, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = bind_completion(x,
        "SELECT reward_mean, reward_std, tied, (SELECT count(reward) FROM completions k WHERE "
        "k.group_id = g.id), k.advantage FROM groups g JOIN completions k ON k.group_id = g.id AND "
        "k.idx = ?2 WHERE id = ?1",
        &q, e);
    if (rc < 0 || (rc = rundb_next(q, e)) < 0)
        return rc;
    *ret = (struct moments){.scored = (unsigned)rundb_int(q, 3),
        .has_std = !rundb_is_null(q, 1),
        .tied = rundb_int(q, 2) != 0,
        .mean = rundb_real(q, 0),
        .std = rundb_real(q, 1),
        .has_advantage = !rundb_is_null(q, 4),
        .advantage = rundb_real(q, 4)};
    return 0;
}

/* The group's rewards; this completion's in brackets. */
static int say_rewards(const struct explain *x, double *ret_own, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    CLEANUP_BUF struct buf list = {0};
    int rc = bind_completion(
        x, "SELECT idx, reward FROM completions WHERE group_id = ?1 ORDER BY idx", &q, e);
    if (rc < 0)
        return rc;
    *ret_own = NAN;
    while ((rc = rundb_next(q, e)) == 1) {
        bool own = rundb_int(q, 0) == x->index;
        buf_puts(&list, own ? " [" : " ");
        if (rundb_is_null(q, 1))
            buf_puts(&list, "none");
        else
            buf_printf(&list, "%.6g", rundb_real(q, 1));
        buf_puts(&list, own ? "]" : "");
        if (own && !rundb_is_null(q, 1))
            *ret_own = rundb_real(q, 1);
    }
    if (rc == 0)
        explain_say("rewards", "of the group:%s", (const char *)list.data);
    return rc;
}

/* Where the group's rewards alone do not give the advantage, what the step has used is told. */
static void say_stored(const struct moments *m, const struct recipe_loss *o)
{
    bool penalised = o->kl_in_reward && o->kl_coef != 0;
    const char *of = o->advantage == ADVANTAGE_BATCH ? "all completions of the step"
                                                     : "the completions of the group";
    const char *how = o->advantage == ADVANTAGE_MEAN ? "less the mean"
                      : o->advantage == ADVANTAGE_LOO
                          ? "less the mean of the others"
                          : "less the mean, over the standard deviation";
    CLEANUP_FREE char *kl =
        penalised ? mem_printf(" after %g x the KL to the reference", o->kl_coef) : mem_strdup("");
    if (m->has_advantage)
        explain_say("advantage", "= %.6g: its reward%s, %s of %s", m->advantage, kl, how, of);
    else
        explain_say("advantage", "made by the step: its reward%s, %s of %s", kl, how, of);
}

static void say_formula(
    const struct moments *m, enum advantage_kind kind, double reward, double advantage)
{
    switch (kind) {
    case ADVANTAGE_BATCH:
        break; /* say_stored */
    case ADVANTAGE_STD:
        explain_say("advantage", "= (%.6g - %.6g) / (%.6g + 1e-06) = %.6g", reward, m->mean, m->std,
            advantage);
        break;
    case ADVANTAGE_MEAN:
        explain_say("advantage", "= %.6g - %.6g = %.6g", reward, m->mean, advantage);
        break;
    case ADVANTAGE_LOO:
        explain_say("advantage",
            "= %u/%u x (%.6g - %.6g) = %.6g, the mean of the others taken away", m->scored,
            m->scored - 1, reward, m->mean, advantage);
        break;
    }
    /* What the step has used is the same number; the tables' means may be rounded otherwise. */
    if (m->has_advantage && fabs(m->advantage - advantage) > 1e-6 * (1 + fabs(advantage)))
        explain_say("", "but %.6g is stored", m->advantage);
}

static double advantage_of(enum advantage_kind kind, const struct moments *m, double reward)
{
    double centred = reward - m->mean;
    if (kind == ADVANTAGE_STD)
        return centred * (1 / (m->std + 1e-6));
    return kind == ADVANTAGE_LOO ? (double)m->scored / (double)(m->scored - 1) * centred : centred;
}

int explain_advantage(const struct explain *x, struct err *e)
{
    const struct recipe_stage *stage = stage_of(x);
    struct moments m;
    double reward;
    if (!x->group.scored)
        return 0;
    printf("\nAdvantage\n");
    if (say_rewards(x, &reward, e) < 0 || read_moments(x, &m, e) < 0)
        return e->code;
    if (m.scored > 0 && m.has_std)
        explain_say(
            "", "mean %.6g, standard deviation (n - 1) %.6g over %u", m.mean, m.std, m.scored);
    if (x->group.purpose == PURPOSE_EVAL || stage == NULL)
        explain_say("advantage", "none: evaluations are measured, not learned from");
    else if (isnan(reward))
        explain_say("advantage", "none: unscored completions take no part");
    else if (stage->loss.advantage == ADVANTAGE_BATCH ||
             (stage->loss.kl_in_reward && stage->loss.kl_coef != 0 &&
                 (!m.tied || stage->loss.keep_tied)))
        say_stored(&m, &stage->loss);
    else if (m.tied)
        explain_say("advantage", "= 0: the group is tied, all its rewards are equal");
    else
        say_formula(
            &m, stage->loss.advantage, reward, advantage_of(stage->loss.advantage, &m, reward));
    return 0;
}

/* ---- training ---- */

static void say_step(struct rundb_query *q, const struct explain *x)
{
    const struct recipe_stage *stage = stage_of(x);
    long long minibatch = rundb_int(q, 2), before = rundb_int(q, 3) + (long long)x->group.version;
    char hex[HASH_HEX] = "";
    struct hash digest;
    struct err ignored = {0};
    if (minibatch < 0) {
        explain_say("step", "%lld of stage %s: left out, the group is tied (lag %lld)",
            (long long)rundb_int(q, 1), rundb_text(q, 0), (long long)rundb_int(q, 3));
        return;
    }
    explain_say("step", "%lld of stage %s, minibatch %lld of %u", (long long)rundb_int(q, 1),
        rundb_text(q, 0), minibatch, stage != NULL ? stage->minibatches : 1);
    explain_say("lag", "%lld: sampled from version %" PRIu64 ", trained on version %lld",
        (long long)rundb_int(q, 3), x->group.version, before);
    if (!rundb_is_null(q, 4) && stored_hash(q, 5, "digest", &digest, &ignored) == 0)
        explain_say("produced", "version %lld, after %lld updates, content hash %s",
            (long long)rundb_int(q, 4), (long long)rundb_int(q, 6), hash_hex(&digest, hex));
}

/* What kept this completion, unlike its group, out of the loss. */
static void say_exceptions(const struct explain *x, struct rundb_query *q)
{
    const struct recipe_stage *stage = stage_of(x);
    bool truncated = strcmp(rundb_text(q, 8), stop_reason_name(STOP_LENGTH)) == 0;
    if (rundb_is_null(q, 7))
        explain_say("but", "this completion is unscored: it is in no denominator and no gradient");
    else if (truncated && stage != NULL && stage->loss.mask_truncated)
        explain_say(
            "but", "it is truncated and so loss-masked: in mean, std and count, not in the loss");
    else if (rundb_int(q, 9) != 0 && rundb_real(q, 10) == 0)
        explain_say("but", "the group is tied: it moves the weights by the KL term alone");
}

static void say_waiting(const struct explain *x)
{
    if (x->group.purpose == PURPOSE_EVAL)
        explain_say("never", "an evaluation after %u steps of stage %s; these are not trained on",
            x->group.step, x->group.stage_name);
    else if (x->group.scored)
        explain_say(
            "not yet", "it waits for step %u of stage %s", x->group.step, x->group.stage_name);
    else
        explain_say("not yet", "the group is not scored; step %u of stage %s waits for it",
            x->group.step, x->group.stage_name);
}

int explain_training(const struct explain *x, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = bind_completion(x,
        "SELECT st.name, g.step, g.minibatch, g.lag, s.version, s.digest, s.updates, k.reward, "
        "k.stop, gr.tied, k.advantage FROM step_groups g JOIN steps s ON s.stage = g.stage AND "
        "s.step = g.step "
        "JOIN stages st ON st.stage = g.stage JOIN groups gr ON gr.id = g.group_id "
        "JOIN completions k ON k.group_id = g.group_id AND k.idx = ?2 WHERE g.group_id = ?1",
        &q, e);
    if (rc < 0 || (rc = rundb_next(q, e)) < 0)
        return rc;
    printf("\nTraining\n");
    if (rc == 0) {
        say_waiting(x);
        return 0;
    }
    say_step(q, x);
    if (rundb_int(q, 2) >= 0)
        say_exceptions(x, q);
    return 0;
}
