/* naive.h: plain twins of the operations, in double and by libm, written from the formulas alone.
 *
 * Arrays are dense and row-major; keys and values are positions x J*D. Speed does not matter here,
 * and nothing is shared with the kernels.
 */
#ifndef COHORT_TESTS_TENSOR_NAIVE_H
#define COHORT_TESTS_TENSOR_NAIVE_H

#include <stddef.h>
#include <stdint.h>

struct naive_shape {
    size_t H, J, D;
    double scale;
};

void naive_gemm(
    double *y, const double *x, const double *w, const double *bias, size_t T, size_t N, size_t K);
void naive_rmsnorm(
    double *y, double *rstd, const double *x, const double *g, size_t T, size_t C, double eps);
void naive_rope(
    double *x, size_t pos0, size_t T, size_t heads, size_t D, double theta, int inverse);
void naive_swiglu(double *y, const double *gate, const double *up, size_t n);
void naive_attention(double *out, double *lse, const double *q, const double *k, const double *v,
    size_t pos0, size_t T, struct naive_shape s);
void naive_logprob(
    double *logp, double *lse, double *entropy, const double *z, size_t V, size_t id, double inv_T);
void naive_adamw(double *w, double *m, double *v, const double *g, size_t n, double grad_scale,
    double lr, double beta1, double beta2, double eps, double decay, double bias1, double bias2);

#endif
