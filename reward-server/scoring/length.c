/* length.c: the soft overlong penalty of DAPO (arXiv 2503.14476, eq. 13): with L tokens,
 *
 *     0                         L <= max - cache
 *     (max - cache - L) / cache L <= max
 *     -1                        otherwise
 */
#include <string.h>

#include "reward-server/scoring/scorer.h"

struct length {
    int64_t max, cache;
};

static int length_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {"max", PARAM_INT, offsetof(struct length, max), true, 1, LIMIT_COMPLETION_TOKENS},
        {"cache", PARAM_INT, offsetof(struct length, cache), true, 1, LIMIT_COMPLETION_TOKENS},
    };
    CLEANUP_FREE struct length *state = mem_alloc(sizeof(*state));
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r != 0)
        return r;
    if (state->cache > state->max)
        return err_set(e, ERR_CONFIG,
            "parameter 'cache': %lld, expected at most max, which is %lld", (long long)state->cache,
            (long long)state->max);
    *ret_state = steal(&state);
    return 0;
}

static void length_score(const void *state, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct length *s = state;
    int64_t over = (int64_t)completion->tokens - (s->max - s->cache);
    if (over <= 0)
        out->value = 0;
    else
        out->value = over < s->cache ? -(double)over / (double)s->cache : -1;
    out->verdict = over <= 0 ? VERDICT_PASS : VERDICT_WRONG;
    if (over > 0)
        out->reason = reason_text(a, "%u tokens, %lld over the free %lld",
            (unsigned)completion->tokens, (long long)over, (long long)(s->max - s->cache));
}

const struct scorer_kind scorer_length = {
    .name = "length",
    .help = "0 up to max - cache tokens, then linearly down to -1 at max (soft overlong penalty)",
    .deterministic = true,
    .scores_truncated = true,
    .open = length_open,
    .close = scorer_state_close,
    .score = length_score,
};
