/* figures.c: one walk over groups and completions. */
#include "learner/figures.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/stats.h"
#include "learner/advantage.h"

static void add_completion(const struct stored_completion *c, size_t rewards, struct figures *f)
{
    f->completions++;
    f->tokens += c->len;
    f->thinking += c->think_tokens > 0;
    f->think_tokens += c->think_tokens;
    f->truncated += c->stop == STOP_LENGTH;
    for (size_t i = 0; i < rewards; i++) {
        if (!isnan(c->component[i])) {
            f->component[i] += c->component[i];
            f->component_count[i]++;
        }
    }
    if (!c->scored) {
        f->unscored++;
        return;
    }
    bool right = c->verdict == VERDICT_PASS;
    f->scored++;
    f->reward += c->reward;
    f->right += right;
    *(right ? &f->tokens_right : &f->tokens_wrong) += c->len;
}

static void add_group(const struct stored_group *g, unsigned k, struct figures *f)
{
    CLEANUP_FREE double *reward = mem_array(g->n, sizeof(*reward));
    CLEANUP_FREE double *advantage = mem_array(g->n, sizeof(*advantage));
    CLEANUP_FREE bool *scored = mem_array(g->n, sizeof(*scored));
    unsigned right = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        reward[i] = g->completions[i].reward;
        scored[i] = g->completions[i].scored;
        right += scored[i] && g->completions[i].verdict == VERDICT_PASS;
    }
    struct advantage_stats s = advantage_of_group(ADVANTAGE_MEAN, reward, scored, g->n, advantage);
    if (s.scored == 0)
        return;
    f->groups++;
    f->groups_right += right > 0;
    f->reward_std += s.std;
    f->tied += s.tied;
    f->tied_right += s.tied && right == s.scored;
    f->tied_wrong += s.tied && right == 0;
    if (k > 0 && s.scored >= k) {
        f->pass_at_k += stats_pass_at_k((unsigned)s.scored, right, k);
        f->pass_at_k_groups++;
    }
}

void figures_of(const struct stored_group *groups, size_t count, size_t rewards, unsigned k,
    struct figures *ret)
{
    struct figures f = {0};
    for (size_t i = 0; i < count; i++) {
        for (uint32_t c = 0; c < groups[i].n; c++)
            add_completion(&groups[i].completions[c], rewards, &f);
        add_group(&groups[i], k, &f);
        f.sample_us += (double)groups[i].sample_us;
    }
    *ret = f;
}
