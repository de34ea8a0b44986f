/* preflight.c: see preflight.h. */
#include "learner/preflight.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static void __attribute__((format(printf, 3, 4)))
found(struct preflight_findings *f, int code, const char *fmt, ...)
{
    if (f->count == PREFLIGHT_FINDINGS_MAX)
        return; /* more rules than that do not exist */
    struct preflight_finding *x = &f->list[f->count++];
    x->code = code;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(x->text, sizeof(x->text), fmt, args);
    va_end(args);
}

static unsigned percent(double part, double all)
{
    return all > 0 ? (unsigned)lround(100 * part / all) : 0;
}

/* ---- before anything is planned ---- */

/* Some broken answers are a dataset's everyday life; more than half of them are a wrong scorer, a
 * wrong tag or a wrong column. */
static void judge_gold(const struct preflight_data *d, struct preflight_findings *ret)
{
    const struct preflight_gold *g = &d->gold;
    if (g->unfit > 0)
        found(ret, 2 * g->unfit > g->tasks ? ERR_DATA : 0,
            "reward '%s' cannot judge %u of the first %u tasks, e.g. %s: look at the dataset's "
            "answers and at the reward's scorer",
            d->scorer, g->unfit, g->tasks, g->failure);
    else if (g->passed < g->formed)
        found(ret, 2 * g->passed < g->formed ? ERR_DATA : 0,
            "%u of the first %u gold answers do not pass reward '%s', e.g. %s: no completion of "
            "these tasks can be right; look at the dataset's answers and at the reward's scorer "
            "and tag",
            g->formed - g->passed, g->formed, d->scorer, g->failure);
}

void preflight_judge_data(
    const struct recipe_stage *st, const struct preflight_data *d, struct preflight_findings *ret)
{
    *ret = (struct preflight_findings){0};
    judge_gold(d, ret);
    if (!d->ends)
        found(ret, ERR_CONFIG,
            "the model's config.json names no end-of-text id that the tokenizer has: every "
            "completion would run to max-tokens = %u",
            st->max_tokens);
    if (d->memory_bytes > d->memory_max)
        found(ret, ERR_CONFIG,
            "the learner needs about %ju MiB, %ju MiB are there: use fewer learner.threads, fewer "
            "learner.micro-batch-tokens, a smaller net.receive-mib or a smaller model",
            (uintmax_t)d->memory_bytes >> 20, (uintmax_t)d->memory_max >> 20);
    if (d->cache_bytes > d->cache_max)
        found(ret, ERR_CONFIG,
            "the longest prompt and %u tokens need %ju MiB of an actor's cache, actor.kv-mib is "
            "%ju: raise it, or lower sampling.max-tokens",
            st->max_tokens, (uintmax_t)d->cache_bytes >> 20, (uintmax_t)d->cache_max >> 20);
}

/* ---- the first groups ---- */

static void judge_truncated(
    const struct recipe_stage *st, const struct figures *f, struct preflight_findings *ret)
{
    if (f->truncated == f->completions && f->completions >= PREFLIGHT_TRUNCATED)
        found(ret, ERR_CONFIG,
            "none of the first %.0f completions reached its end-of-text within max-tokens = %u: "
            "raise sampling.max-tokens, or begin from a model that ends its answers",
            f->completions, st->max_tokens);
    else if (2 * f->truncated > f->completions)
        found(ret, 0,
            "%u %% of the first completions were cut off at max-tokens = %u and could not be "
            "right",
            percent(f->truncated, f->completions), st->max_tokens);
}

/* Tied groups teach nothing. */
static void judge_tied(
    const struct recipe_stage *st, const struct figures *f, struct preflight_findings *ret)
{
    if (f->groups == 0 || f->tied < f->groups)
        return;
    const char *advice = "the rewards do not tell the completions of a task apart";
    if (f->tied_right == f->groups)
        advice = "the tasks are too easy: take harder ones";
    else if (f->tied_wrong == f->groups)
        advice = "no completion is right: take easier tasks, a larger sampling.group, or a model "
                 "that was shown how";
    found(ret, f->groups >= PREFLIGHT_TIED_GROUPS ? ERR_CONFIG : 0,
        "in each of the first %.0f groups all %u completions have the same reward, so there is "
        "nothing to learn from: %s",
        f->groups, st->group_size, advice);
}

void preflight_judge_groups(
    const struct recipe_stage *st, const struct preflight_groups *g, struct preflight_findings *ret)
{
    const struct figures *f = &g->figures;
    *ret = (struct preflight_findings){0};
    if (!(g->gap == 0))
        found(ret, ERR_FAIL,
            "log-probs of actors and learner differ by up to %.3g, expected 0: an actor computes "
            "other bits, by its build or by a fault of its machine",
            g->gap);
    if (f->scored == 0)
        found(ret, ERR_DATA,
            "none of the first %.0f completions could be scored; `cohort inspect RUN verdicts` "
            "says why",
            f->completions);
    else if (f->unscored > 0)
        found(ret, 0, "%.0f of the first %.0f completions could not be scored", f->unscored,
            f->completions);
    judge_truncated(st, f, ret);
    judge_tied(st, f, ret);
}

/* ---- the report ---- */

static void report_gold(const struct preflight_data *d, struct buf *out)
{
    const struct preflight_gold *g = &d->gold;
    if (g->formed > 0)
        buf_printf(out, "%u of %u gold answers pass '%s'", g->passed, g->formed, d->scorer);
    else if (g->tasks > 0)
        buf_printf(out, "'%s' can judge %u of %u tasks", d->scorer, g->tasks - g->unfit, g->tasks);
    else
        buf_printf(out,
            "gold answers not checked ('%s' judges without them, or runs programs: those `cohort "
            "run` "
            "tries)",
            d->scorer);
}

static void report_time(double seconds, uint32_t steps, struct buf *out)
{
    if (isnan(seconds))
        return;
    if (seconds < 90)
        buf_printf(out, "; about %.0f s", ceil(seconds));
    else if (seconds < 5400)
        buf_printf(out, "; about %.0f minutes", ceil(seconds / 60));
    else
        buf_printf(out, "; about %.1f hours", seconds / 3600);
    buf_printf(out, " for %u steps", steps);
}

void preflight_report(const struct recipe_stage *st, const struct preflight_data *d,
    const struct preflight_groups *g, struct buf *out)
{
    const struct figures *f = &g->figures;
    buf_printf(out, "stage '%s': ", st->name);
    report_gold(d, out);
    if (g->gap == 0)
        buf_printf(
            out, "; actors and learner agree bit for bit on %zu completions", g->gap_completions);
    buf_printf(out, "; %u %% of the first %.0f completions end by themselves",
        percent(f->completions - f->truncated, f->completions), f->completions);
    buf_printf(out, "; %.0f of %.0f groups tied", f->tied, f->groups);
    buf_printf(out, "; memory of the learner about %ju MiB of %.1f GiB",
        (uintmax_t)d->memory_bytes >> 20, (double)d->memory_max / (1 << 30));
    report_time(g->expect_seconds, st->steps, out);
}
