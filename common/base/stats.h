/* stats.h: the few statistics that evaluations report. Pure; any thread. */
#ifndef COHORT_BASE_STATS_H
#define COHORT_BASE_STATS_H

#include <stdint.h>

/* 95 % Wilson score interval of passes out of n (Wilson 1927); 0..1 when n = 0. */
void stats_wilson(double passes, double n, double *ret_low, double *ret_high);

/* Unbiased pass@k of one task: 1 - C(n-c, k)/C(n, k) (Chen et al. 2021, eq. 1); needs k <= n. */
double stats_pass_at_k(unsigned n, unsigned c, unsigned k);

#endif
