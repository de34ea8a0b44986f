/* eval_figures.c: see eval_figures.h. */
#include "cli/eval_figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/stats.h"

static bool is_pass(const struct eval_completion *c)
{
    return c->scored && c->verdict == VERDICT_PASS;
}

/* Votes that completion i's answer has; 0 when it is not the first that gives it, or gives none. */
static unsigned votes(const struct eval_completion *c, unsigned k, unsigned i)
{
    unsigned count = 0;
    if (!c[i].scored || c[i].extracted[0] == '\0')
        return 0;
    for (unsigned j = 0; j < k; j++) {
        if (!c[j].scored || strcmp(c[j].extracted, c[i].extracted) != 0)
            continue;
        if (j < i)
            return 0;
        count++;
    }
    return count;
}

/* Whether the majority is right; *ret_any: there was a vote. */
static bool majority_right(const struct eval_completion *c, unsigned k, bool *ret_any)
{
    unsigned most = 0;
    bool right = false;
    for (unsigned i = 0; i < k; i++) {
        unsigned n = votes(c, k, i);
        if (n > most) {
            most = n;
            right = is_pass(&c[i]);
        }
    }
    *ret_any = most > 0;
    return right;
}

static int compare_lengths(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double median_of(const struct eval_completion *c, size_t n)
{
    if (n == 0)
        return NAN;
    CLEANUP_FREE uint32_t *lengths = mem_array(n, sizeof(*lengths));
    for (size_t i = 0; i < n; i++)
        lengths[i] = c[i].tokens;
    qsort(lengths, n, sizeof(*lengths), compare_lengths);
    return ((double)lengths[(n - 1) / 2] + (double)lengths[n / 2]) / 2;
}

struct sums {
    double scored, passes, tokens, tokens_right, tokens_wrong, truncated;
    double pass_k, pass_k_tasks, majority, scored_tasks;
    bool any_vote;
};

static void add_completion(const struct eval_completion *c, struct sums *s, struct eval_figures *f)
{
    f->verdicts[c->verdict]++;
    f->unscored += !c->scored;
    f->length_max = c->tokens > f->length_max ? c->tokens : f->length_max;
    s->tokens += c->tokens;
    s->truncated += c->truncated;
    if (!c->scored)
        return;
    s->scored++;
    s->passes += is_pass(c);
    *(is_pass(c) ? &s->tokens_right : &s->tokens_wrong) += c->tokens;
}

static void add_task(
    const struct eval_completion *c, unsigned k, struct sums *s, struct eval_figures *f)
{
    unsigned scored = 0, right = 0;
    for (unsigned i = 0; i < k; i++) {
        add_completion(&c[i], s, f);
        scored += c[i].scored;
        right += is_pass(&c[i]);
    }
    if (scored == 0) {
        f->unscored_tasks++;
        return;
    }
    bool any;
    s->scored_tasks++;
    s->majority += majority_right(c, k, &any);
    s->any_vote |= any;
    if (scored == k) {
        s->pass_k += stats_pass_at_k(scored, right, k);
        s->pass_k_tasks++;
    }
}

static double ratio(double sum, double n)
{
    return n > 0 ? sum / n : NAN;
}

void eval_figures_of(
    const struct eval_completion *completions, size_t tasks, unsigned k, struct eval_figures *ret)
{
    struct eval_figures f = {.tasks = tasks, .completions = tasks * k};
    struct sums s = {0};
    for (size_t i = 0; i < tasks; i++)
        add_task(completions + i * k, k, &s, &f);
    stats_wilson(s.passes, s.scored, &f.low, &f.high);
    f.pass_1 = ratio(s.passes, s.scored);
    f.pass_k = ratio(s.pass_k, s.pass_k_tasks);
    f.maj_k = s.any_vote ? ratio(s.majority, s.scored_tasks) : NAN;
    f.length = ratio(s.tokens, (double)f.completions);
    f.length_right = ratio(s.tokens_right, s.passes);
    f.length_wrong = ratio(s.tokens_wrong, s.scored - s.passes);
    f.length_median = median_of(completions, f.completions);
    f.truncated = ratio(s.truncated, (double)f.completions);
    *ret = f;
}
