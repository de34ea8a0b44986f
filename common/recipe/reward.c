/* reward.c: see reward.h. */
#include "common/recipe/reward.h"

#include <math.h>
#include <string.h>

static const char *const when_names[REWARD_WHEN_COUNT] = {"always", "pass", "fail"};

const char *reward_when_name(enum reward_when w)
{
    return (unsigned)w < REWARD_WHEN_COUNT ? when_names[w] : "?";
}

int reward_when_parse(const char *name)
{
    for (int i = 0; i < REWARD_WHEN_COUNT; i++) {
        if (strcmp(when_names[i], name) == 0)
            return i;
    }
    return -1;
}

bool reward_counts(const struct reward_part *part, const struct reward_part *parts, size_t n)
{
    if (part->term->when == REWARD_ALWAYS || part->term->primary)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].term->primary)
            return (parts[i].verdict == VERDICT_PASS) == (part->term->when == REWARD_PASS);
    }
    return false;
}

double reward_sum(const struct reward_part *parts, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct reward_part *p = &parts[i];
        if (!p->has_value && p->term->primary)
            return NAN;
        if (!reward_counts(p, parts, n))
            continue;
        if (p->has_value)
            sum += p->term->weight * p->value;
        else if (p->term->weight != 0)
            return NAN;
    }
    return sum;
}
