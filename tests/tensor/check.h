/* check.h: what the tensor tests share: seeded numbers, guarded arrays, the list of instruction
 * sets.
 *
 * A test program takes a seed as its argument and prints the one it used.
 */
#ifndef COHORT_TESTS_TENSOR_CHECK_H
#define COHORT_TESTS_TENSOR_CHECK_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/tensor/ops.h"

void check_start(int argc, char **argv); /* reads or sets the seed, prints it */

/* Numbers of the current test: check_reseed(i) makes the i-th sequence of this seed. */
void check_reseed(uint64_t i);
uint64_t check_u64(void);
size_t check_size(size_t low, size_t high); /* inclusive */
float check_float(void);                    /* about normal, standard deviation 1 */

/* rows x cols with a distance between rows that may be larger, in a block with guards around it.
 * What does not belong to the matrix holds NaN of a known pattern. */
struct mat {
    float *p;
    size_t rows, cols, ld;
    float *block; /* owned */
    size_t block_floats;
};

struct mat mat_new(size_t rows, size_t cols);   /* random entries, random ld */
struct mat mat_dense(size_t rows, size_t cols); /* ld = cols */
struct mat mat_copy(const struct mat *m);       /* same ld and entries */
void mat_fill(struct mat *m, float f);
void mat_done(struct mat *m);            /* checks the guards, frees */
double *mat_double(const struct mat *m); /* dense copy; free() */
void mat_assert_near(
    const struct mat *m, const double *expected, double tolerance, const char *what);
void mat_assert_same_bits(const struct mat *a, const struct mat *b, const char *what);

/* |got - expected| <= tolerance (1 + |expected|). */
void assert_near(double got, double expected, double tolerance, const char *what);

enum { ISAS_MAX = 5 };

/* The instruction sets that this CPU has; the others are named as skipped, once. */
size_t isas(const struct ops *ret[ISAS_MAX]);

/* d loss / d x by central differences. loss reads x through its context. */
double *gradient(double (*loss)(void *ctx), void *ctx, double *x, size_t n); /* free() */

#endif
