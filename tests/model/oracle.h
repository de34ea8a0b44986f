/* oracle.h: the same transformer written again, plainly, in double precision: one sequence at a
 * time, no pages, no sharing, libm. What the fast one is compared with, and what finite differences
 * are taken of. */
#ifndef COHORT_TESTS_MODEL_ORACLE_H
#define COHORT_TESTS_MODEL_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/params.h"
#include "common/model/train.h"

struct oracle {
    const struct param_table *table;
    double *data; /* owned; layout of the table */
};

void oracle_init(struct oracle *o, const struct params *p);
void oracle_done(struct oracle *o);

/* logp and entropy of every completion token, in the order of train_forward. */
void oracle_forward(
    const struct oracle *o, const struct micro_batch *b, double *logp, double *entropy);

#endif
