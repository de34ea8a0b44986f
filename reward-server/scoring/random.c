/* random.c: a reward that carries no information, for control runs: what improves under it did not
 * improve because of the reward.
 */
#include "common/base/hash.h"
#include "reward-server/scoring/scorer.h"

static void random_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    struct hasher h;
    hasher_init(&h);
    hasher_add_str(&h, "random reward");
    hasher_add_u64(&h, in->seed);
    hasher_add_u64(&h, in->group);
    hasher_add_u64(&h, completion->index);
    struct hash bits = hasher_done(&h);
    out->value = bits.b[0] & 1;
    out->verdict = out->value > 0 ? VERDICT_PASS : VERDICT_WRONG;
    out->reason = "drawn by lot";
}

const struct scorer_kind scorer_random = {
    .name = "random",
    .help = "0 or 1 by lot, keyed by run, group and completion: a control without information",
    .deterministic = true,
    .open = scorer_empty_open,
    .close = scorer_state_close,
    .score = random_score,
};
