/* optim.h: AdamW over the parameter table (Loshchilov and Hutter 2019, alg. 2).
 *
 * Owns the two moments and the count of updates since they were reset. The gradient's global norm
 * and a guard against NaN and Inf come before anything is changed. Work goes over a pool in chunks
 * of fixed size, and what is summed is added in the order of the chunks: results do not depend on
 * the number of threads. One caller at a time.
 */
#ifndef COHORT_LEARNER_OPTIM_H
#define COHORT_LEARNER_OPTIM_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/model/params.h"
#include "common/recipe/recipe.h"
#include "common/tensor/ops.h"
#include "common/tensor/pool.h"

struct optim_chunk;

struct optim {
    struct params m, v;         /* first and second moments, in the layout of the table */
    uint64_t updates;           /* since the reset */
    struct optim_chunk *chunks; /* owned: all tensors, cut */
    size_t chunk_count;
};

struct optim_stats {
    double grad_norm;    /* global, before the clip */
    double update_ratio; /* |change of the weights| / |weights before| */
};

int optim_new(const struct param_table *t, struct optim *ret, struct err *e) ERR_WARN_UNUSED;
void optim_done(struct optim *o);
void optim_reset(struct optim *o);

/* One update of params by grads, scaled so that its global norm is at most clip_norm (0: no clip).
 * ERR_FAIL naming the first tensor whose gradient is not finite: nothing was changed then. */
struct optim_gradient {
    const float *data;
    const struct recipe_optim *options;
    double lr;
};
int optim_step(struct optim *o, const struct ops *ops, struct pool *pool,
    const struct optim_gradient *g, struct params *params, struct optim_stats *ret,
    struct err *e) ERR_WARN_UNUSED;

#endif
