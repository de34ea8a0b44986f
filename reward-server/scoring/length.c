/* length.c: rewards of the number of tokens L, by one of two published curves.
 *
 * overlong: the soft overlong punishment of DAPO (arXiv 2503.14476, eq. 13):
 *
 *     0                         L <= max - cache
 *     (max - cache - L) / cache L <= max
 *     -1                        otherwise
 *
 * cosine: half a cosine from `from` at no token to `to` at max (Yeo et al., arXiv 2502.03373):
 *
 *     to + (from - to) (1 + cos(pi L / max)) / 2   L < max
 *     beyond                                       otherwise, and when truncated
 *
 * The paper has one such curve for right answers, falling, and one for wrong ones, rising: two
 * rewards, one with when = pass and one with when = fail.
 */
#include <string.h>

#include "reward-server/scoring/scorer.h"

enum shape { SHAPE_OVERLONG, SHAPE_COSINE };

struct length {
    int64_t shape, max, cache;
    double from, to, beyond;
};

static int check_shape(const struct length *s, struct err *e)
{
    if (s->shape == SHAPE_COSINE) {
        if (s->cache != 0)
            return err_set(e, ERR_CONFIG, "parameter 'cache': the cosine has none");
        return 0;
    }
    if (s->from != 1 || s->to != 0.5 || s->beyond != -1)
        return err_set(
            e, ERR_CONFIG, "parameters 'from', 'to', 'beyond': expected with shape = cosine alone");
    if (s->cache == 0)
        return err_set(e, ERR_CONFIG, "parameter 'cache': missing");
    if (s->cache > s->max)
        return err_set(e, ERR_CONFIG,
            "parameter 'cache': %lld, expected at most max, which is %lld", (long long)s->cache,
            (long long)s->max);
    return 0;
}

static int length_open(const char *params_json, void **ret_state, struct err *e)
{
    enum { VALUE_MAX = 1000 };
    static const struct scorer_param params[] = {
        {.name = "max",
            .type = PARAM_INT,
            .offset = offsetof(struct length, max),
            .required = true,
            .min = 1,
            .max = LIMIT_COMPLETION_TOKENS},
        {.name = "cache",
            .type = PARAM_INT,
            .offset = offsetof(struct length, cache),
            .min = 1,
            .max = LIMIT_COMPLETION_TOKENS},
        {.name = "shape",
            .type = PARAM_CHOICE,
            .offset = offsetof(struct length, shape),
            .choices = "overlong|cosine"},
        {.name = "from",
            .type = PARAM_REAL,
            .offset = offsetof(struct length, from),
            .min = -VALUE_MAX,
            .max = VALUE_MAX},
        {.name = "to",
            .type = PARAM_REAL,
            .offset = offsetof(struct length, to),
            .min = -VALUE_MAX,
            .max = VALUE_MAX},
        {.name = "beyond",
            .type = PARAM_REAL,
            .offset = offsetof(struct length, beyond),
            .min = -VALUE_MAX,
            .max = VALUE_MAX},
    };
    CLEANUP_FREE struct length *state = mem_alloc(sizeof(*state));
    *state = (struct length){.from = 1, .to = 0.5, .beyond = -1};
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        r = check_shape(state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

static void score_overlong(
    const struct length *s, uint32_t tokens, struct arena *a, struct score_result *out)
{
    int64_t over = (int64_t)tokens - (s->max - s->cache);
    if (over <= 0)
        out->value = 0;
    else
        out->value = over < s->cache ? -(double)over / (double)s->cache : -1;
    out->verdict = over <= 0 ? VERDICT_PASS : VERDICT_WRONG;
    if (over > 0)
        out->reason = reason_text(a, "%u tokens, %lld over the free %lld", (unsigned)tokens,
            (long long)over, (long long)(s->max - s->cache));
}

/* cos(pi x) for x from 0 to 1, as -sin(pi (x - 1/2)) by its series, whose next term is below 1e-18.
 * Not the libm's, whose last bit differs between instruction sets: a score is the same everywhere.
 */
static double cos_pi(double x)
{
    double y = 3.14159265358979323846 * (x - 0.5), sum = 0;
    for (int k = 21; k >= 3; k -= 2)
        sum = (1 + sum) * -(y * y) / (k * (k - 1));
    return -y * (1 + sum);
}

static void score_cosine(const struct length *s, const struct grade_text *completion,
    struct arena *a, struct score_result *out)
{
    bool beyond = completion->truncated || completion->tokens >= s->max;
    double progress = (double)completion->tokens / (double)s->max;
    out->value = beyond ? s->beyond : s->to + (s->from - s->to) * (1 + cos_pi(progress)) / 2;
    out->verdict = beyond ? VERDICT_WRONG : VERDICT_PASS;
    if (beyond)
        out->reason =
            reason_text(a, "%u tokens%s, the curve ends at %lld", (unsigned)completion->tokens,
                completion->truncated ? ", truncated" : "", (long long)s->max);
}

static void length_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct length *s = state;
    if (s->shape == SHAPE_COSINE)
        score_cosine(s, completion, a, out);
    else
        score_overlong(s, completion->tokens, a, out);
}

const struct scorer_kind scorer_length = {
    .name = "length",
    .help = "overlong: 0 up to max - cache tokens, then linearly down to -1 at max; cosine: from "
            "`from` at no token to `to` at max, `beyond` from there",
    .deterministic = true,
    .scores_truncated = true,
    .open = length_open,
    .close = scorer_state_close,
    .score = length_score,
};
