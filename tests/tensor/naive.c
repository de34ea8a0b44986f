/* naive.c: the formulas of ops.h, as loops. */
#include "tests/tensor/naive.h"

#include <math.h>

void naive_gemm(
    double *y, const double *x, const double *w, const double *bias, size_t T, size_t N, size_t K)
{
    for (size_t t = 0; t < T; t++) {
        for (size_t n = 0; n < N; n++) {
            double sum = bias ? bias[n] : 0;
            for (size_t k = 0; k < K; k++)
                sum += x[t * K + k] * w[n * K + k];
            y[t * N + n] = sum;
        }
    }
}

void naive_rmsnorm(
    double *y, double *rstd, const double *x, const double *g, size_t T, size_t C, double eps)
{
    for (size_t t = 0; t < T; t++) {
        double sum = 0;
        for (size_t c = 0; c < C; c++)
            sum += x[t * C + c] * x[t * C + c];
        double r = 1 / sqrt(sum / (double)C + eps);
        if (rstd)
            rstd[t] = r;
        for (size_t c = 0; c < C; c++)
            y[t * C + c] = x[t * C + c] * r * g[c];
    }
}

void naive_rope(double *x, size_t pos0, size_t T, size_t heads, size_t D, double theta, int inverse)
{
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < heads; h++) {
            double *a = x + (t * heads + h) * D, *b = a + D / 2;
            for (size_t i = 0; i < D / 2; i++) {
                double angle = (double)(pos0 + t) * pow(theta, -2.0 * (double)i / (double)D);
                double c = cos(angle), s = inverse ? -sin(angle) : sin(angle);
                double a0 = a[i], b0 = b[i];
                a[i] = a0 * c - b0 * s;
                b[i] = b0 * c + a0 * s;
            }
        }
    }
}

void naive_swiglu(double *y, const double *gate, const double *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
}

static void row_attend(double *out, double *lse, const double *q, const double *k, const double *v,
    size_t positions, size_t stride, struct naive_shape s)
{
    double max = -INFINITY, sum = 0;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t p = 0; p < positions; p++) {
            double score = 0;
            for (size_t d = 0; d < s.D; d++)
                score += q[d] * k[p * stride + d];
            score *= s.scale;
            if (pass == 0) {
                max = score > max ? score : max;
                continue;
            }
            double e = exp(score - max);
            sum += e;
            for (size_t d = 0; d < s.D; d++)
                out[d] += e * v[p * stride + d];
        }
    }
    for (size_t d = 0; d < s.D; d++)
        out[d] /= sum;
    if (lse)
        *lse = max + log(sum);
}

void naive_attention(double *out, double *lse, const double *q, const double *k, const double *v,
    size_t pos0, size_t T, struct naive_shape s)
{
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < s.H; h++) {
            size_t at = (t * s.H + h) * s.D, head = h / (s.H / s.J) * s.D;
            for (size_t d = 0; d < s.D; d++)
                out[at + d] = 0;
            row_attend(out + at, lse ? lse + t * s.H + h : NULL, q + at, k + head, v + head,
                pos0 + t + 1, s.J * s.D, s);
        }
    }
}

void naive_logprob(
    double *logp, double *lse, double *entropy, const double *z, size_t V, size_t id, double inv_T)
{
    double max = -INFINITY, sum = 0, h = 0;
    for (size_t v = 0; v < V; v++)
        max = z[v] * inv_T > max ? z[v] * inv_T : max;
    for (size_t v = 0; v < V; v++)
        sum += exp(z[v] * inv_T - max);
    double total = max + log(sum);
    for (size_t v = 0; v < V; v++) {
        double l = z[v] * inv_T - total;
        if (l > -700)
            h -= exp(l) * l;
    }
    *lse = total;
    *logp = z[id] * inv_T - total;
    if (entropy)
        *entropy = h;
}

void naive_adamw(double *w, double *m, double *v, const double *g, size_t n, double grad_scale,
    double lr, double beta1, double beta2, double eps, double decay, double bias1, double bias2)
{
    for (size_t i = 0; i < n; i++) {
        double grad = g[i] * grad_scale;
        m[i] = beta1 * m[i] + (1 - beta1) * grad;
        v[i] = beta2 * v[i] + (1 - beta2) * grad * grad;
        w[i] -= lr * ((m[i] / bias1) / (sqrt(v[i] / bias2) + eps) + decay * w[i]);
    }
}
