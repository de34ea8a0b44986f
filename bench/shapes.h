/* shapes.h: the model shapes that benchmarks use, and random weights for them.
 *
 * T, S and M are Llama-like, Q is Qwen2.5-0.5B. Peers are run on the same shapes.
 */
#ifndef COHORT_BENCH_SHAPES_H
#define COHORT_BENCH_SHAPES_H

#include "common/base/err.h"
#include "common/model/params.h"

/* name: "T", "S", "M" or "Q". ERR_CONFIG when there is no such shape. */
int bench_shape(
    const char *name, uint32_t context, struct model_config *ret, struct err *e) ERR_WARN_UNUSED;

/* Normal(0, 0.02) from a table that is read again and again, norms 1: made in a moment, whatever
 * the size. Both are released by bench_model_done. */
struct bench_model {
    struct model_config config;
    struct param_table *table; /* owned */
    struct params params;
};

int bench_model_init(
    struct bench_model *m, const char *shape, uint32_t context, struct err *e) ERR_WARN_UNUSED;
void bench_model_done(struct bench_model *m);

#endif
