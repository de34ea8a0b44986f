/* plan.c: keyed permutations of the data, versions by lag, minibatches. */
#include "learner/plan.h"

#include "common/base/rng.h"

/* RNG_DATA keys of a stage: an epoch's order has the epoch as ordinal; what is drawn per step lies
 * above all epochs. */
enum { PLAN_USE_MINIBATCH = 1, PLAN_USE_GAP = 2 };

static struct rng_key step_key(uint64_t seed, uint32_t stage, uint32_t step, uint64_t use)
{
    return (struct rng_key){
        .seed = seed, .domain = RNG_DATA, .stage = stage, .ordinal = use << 44 | step};
}

uint64_t plan_row(uint64_t seed, uint32_t stage, uint64_t rows, uint64_t ordinal)
{
    struct rng_key key = {
        .seed = seed, .domain = RNG_DATA, .stage = stage, .ordinal = ordinal / rows};
    return rng_permute(&key, rows, ordinal % rows);
}

uint64_t plan_ordinal(uint32_t step, uint32_t groups, uint32_t slot)
{
    return (uint64_t)step * groups + slot;
}

uint64_t plan_eval_ordinal(uint32_t data, uint64_t row)
{
    return (uint64_t)data << 40 | row;
}

uint64_t plan_version(uint64_t first_version, uint32_t lag, uint32_t step)
{
    return first_version + (step > lag ? step - lag : 0);
}

uint32_t plan_steps_after(uint32_t steps, uint32_t lag, uint32_t done, uint32_t *ret_first)
{
    uint64_t first = done == 0 ? 0 : (uint64_t)done + lag;
    uint64_t end = (uint64_t)done + lag + 1;
    if (end > steps)
        end = steps;
    if (first >= end)
        return 0;
    *ret_first = (uint32_t)first;
    return (uint32_t)(end - first);
}

void plan_minibatches(uint64_t seed, uint32_t stage, uint32_t step, uint32_t minibatches,
    size_t used, int32_t *ret_minibatch)
{
    struct rng_key key = step_key(seed, stage, step, PLAN_USE_MINIBATCH);
    for (size_t i = 0; i < used; i++)
        ret_minibatch[i] = (int32_t)(rng_permute(&key, used, i) * minibatches / used);
}

size_t plan_gap_group(uint64_t seed, uint32_t stage, uint32_t step, size_t groups)
{
    struct rng_key key = step_key(seed, stage, step, PLAN_USE_GAP);
    return (size_t)(rng_uniform(&key, 0) * (double)groups);
}
