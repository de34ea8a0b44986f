/* optim.c: the norm of a gradient and the AdamW update (Loshchilov and Hutter 2019, alg. 2). */
#include "common/tensor/kernels.h"

double OPS_FN(sum_squares)(const float *x, size_t n)
{
    d16 sum = d16_zero();
    for (size_t i = 0; i < n; i += 16)
        sum = d16_add_square(sum, v16_load_first(x + i, n - i));
    return d16_reduce_sum(sum);
}

/* m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2 with g scaled,
 * w -= lr ((m / bias1) / (sqrt(v / bias2) + eps) + decay w). */
void OPS_FN(adamw)(float *w, float *m, float *v, const float *g, size_t n, float grad_scale,
    float lr, float beta1, float beta2, float eps, float decay, float bias1, float bias2)
{
    const v16 scale = v16_set1(grad_scale), b1 = v16_set1(beta1), b2 = v16_set1(beta2);
    const v16 c1 = v16_set1(1.0f - beta1), c2 = v16_set1(1.0f - beta2);
    for (size_t i = 0; i < n; i += 16) {
        v16 grad = v16_mul(v16_load_first(g + i, n - i), scale);
        v16 mean = v16_fma(b1, v16_load_first(m + i, n - i), v16_mul(c1, grad));
        v16 var = v16_fma(b2, v16_load_first(v + i, n - i), v16_mul(c2, v16_mul(grad, grad)));
        v16 root = v16_sqrt(v16_div(var, v16_set1(bias2)));
        v16 step = v16_div(v16_div(mean, v16_set1(bias1)), v16_add(root, v16_set1(eps)));
        v16 weight = v16_load_first(w + i, n - i);
        step = v16_fma(v16_set1(decay), weight, step);
        v16_store_first(w + i, n - i, v16_fnma(v16_set1(lr), step, weight));
        v16_store_first(m + i, n - i, mean);
        v16_store_first(v + i, n - i, var);
    }
}
