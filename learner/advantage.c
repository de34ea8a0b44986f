/* advantage.c: advantages relative to a group, or to a step. */
#include "learner/advantage.h"

#include <math.h>

static struct advantage_stats stats_of(const double *reward, const bool *scored, size_t n)
{
    struct advantage_stats s = {.tied = true};
    double sum = 0, first = 0;
    for (size_t i = 0; i < n; i++) {
        if (!scored[i])
            continue;
        if (s.scored == 0)
            first = reward[i];
        if (reward[i] != first)
            s.tied = false;
        sum += reward[i];
        s.scored++;
    }
    if (s.scored == 0)
        return s;
    s.mean =
        s.tied ? first : sum / (double)s.scored; /* the sum of equal values need not divide back */
    if (s.tied)
        return s;
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        if (scored[i])
            squares += (reward[i] - s.mean) * (reward[i] - s.mean);
    }
    s.std = sqrt(squares / (double)(s.scored - 1));
    return s;
}

static double factor_of(enum advantage_kind kind, const struct advantage_stats *s)
{
    switch (kind) {
    case ADVANTAGE_STD:
    case ADVANTAGE_BATCH:
        return 1 / (s->std + 1e-6);
    case ADVANTAGE_LOO:
        return (double)s->scored / (double)(s->scored - 1);
    case ADVANTAGE_MEAN:
        break;
    }
    return 1;
}

struct advantage_stats advantage_of_group(enum advantage_kind kind, const double *reward,
    const bool *scored, size_t n, double *ret_advantage)
{
    struct advantage_stats s = stats_of(reward, scored, n);
    double factor = s.tied ? 0 : factor_of(kind, &s);
    for (size_t i = 0; i < n; i++) {
        if (!scored[i])
            ret_advantage[i] = NAN;
        else
            ret_advantage[i] = s.tied ? 0 : (reward[i] - s.mean) * factor;
    }
    return s;
}
