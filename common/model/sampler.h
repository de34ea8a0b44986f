/* sampler.h: from logits to one token and its log-probability.
 *
 * The log-probability is always that of the whole allowed vocabulary at the sampling temperature,
 * before top-k, top-p and min-p: the number that training computes again. Pure but for its scratch.
 */
#ifndef COHORT_MODEL_SAMPLER_H
#define COHORT_MODEL_SAMPLER_H

#include <stdint.h>

#include "common/model/engine.h"
#include "common/tensor/ops.h"

struct sampler {
    const struct ops *ops;
    float *p;       /* owned: probabilities, vocab of them */
    uint32_t *heap; /* owned: ids, most probable on top */
};

void sampler_init(struct sampler *s, const struct ops *ops, uint32_t vocab);
void sampler_done(struct sampler *s);

/* u: uniform in [0, 1). z: logits of at least params->vocab ids. */
uint32_t sampler_pick(struct sampler *s, const struct sample_params *params, const float *z,
    double u, float *ret_logp);

#endif
