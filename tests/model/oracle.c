/* oracle.c: see oracle.h. Formulas are those of the papers named in common/tensor/ops.h. */
#include "tests/model/oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void oracle_init(struct oracle *o, const struct params *p)
{
    *o = (struct oracle){p->table, mem_array(p->table->floats, sizeof(double))};
    for (size_t i = 0; i < p->table->floats; i++)
        o->data[i] = (double)p->data[i];
}

void oracle_done(struct oracle *o)
{
    free(o->data);
}

static const double *tensor(const struct oracle *o, int layer, const char *name)
{
    char full[128];
    if (layer >= 0)
        snprintf(full, sizeof(full), "model.layers.%d.%s", layer, name);
    else
        snprintf(full, sizeof(full), "%s", name);
    const struct param *p = param_find(o->table, full);
    return p ? o->data + p->offset : NULL;
}

static void linear(
    double *y, const double *x, const double *w, const double *bias, size_t N, size_t K)
{
    for (size_t n = 0; n < N; n++) {
        y[n] = bias ? bias[n] : 0;
        for (size_t k = 0; k < K; k++)
            y[n] += w[n * K + k] * x[k];
    }
}

static void norm(double *y, const double *x, const double *g, size_t C, double eps)
{
    double sum = 0;
    for (size_t c = 0; c < C; c++)
        sum += x[c] * x[c];
    double r = 1 / sqrt(sum / (double)C + eps);
    for (size_t c = 0; c < C; c++)
        y[c] = x[c] * r * g[c];
}

static void rotate(double *x, size_t D, size_t pos, double theta)
{
    for (size_t i = 0; i < D / 2; i++) {
        double angle = (double)pos * pow(theta, -2 * (double)i / (double)D);
        double a = x[i], b = x[i + D / 2];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + D / 2] = b * cos(angle) + a * sin(angle);
    }
}

/* Queries, keys or values of one row: projected, then normed and rotated by head (not the values).
 */
static void heads(
    const struct oracle *o, int layer, char kind, double *y, const double *h, size_t pos)
{
    const struct model_config *c = &o->table->config;
    size_t n = kind == 'q' ? c->heads : c->kv_heads, D = c->head_dim;
    char weight[64], bias[64], gain[64];
    snprintf(weight, sizeof(weight), "self_attn.%c_proj.weight", kind);
    snprintf(bias, sizeof(bias), "self_attn.%c_proj.bias", kind);
    snprintf(gain, sizeof(gain), "self_attn.%c_norm.weight", kind);
    linear(y, h, tensor(o, layer, weight), tensor(o, layer, bias), n * D, c->hidden);
    for (size_t i = 0; i < n && kind != 'v'; i++) {
        if (tensor(o, layer, gain))
            norm(y + i * D, y + i * D, tensor(o, layer, gain), D, (double)c->norm_eps);
        rotate(y + i * D, D, pos, c->rope_theta);
    }
}

/* One head of one row over keys and values of all rows up to it. */
static void attend(double *out, const double *q, const double *k, const double *v, size_t rows,
    size_t ld, size_t D)
{
    double *p = mem_array(rows, sizeof(*p)), max = -INFINITY, sum = 0;
    for (size_t t = 0; t < rows; t++) {
        for (size_t d = 0; d < D; d++)
            p[t] += q[d] * k[t * ld + d];
        p[t] /= sqrt((double)D);
        max = fmax(max, p[t]);
    }
    for (size_t t = 0; t < rows; t++)
        sum += p[t] = exp(p[t] - max);
    memset(out, 0, D * sizeof(*out));
    for (size_t t = 0; t < rows; t++) {
        for (size_t d = 0; d < D; d++)
            out[d] += p[t] / sum * v[t * ld + d];
    }
    free(p);
}

static void attention(const struct oracle *o, int layer, double *x, size_t T)
{
    const struct model_config *c = &o->table->config;
    size_t C = c->hidden, D = c->head_dim, Q = c->heads * D, KV = c->kv_heads * D;
    double *h = mem_array(C, sizeof(*h)), *q = mem_array(Q, sizeof(*q)),
           *out = mem_array(Q, sizeof(*out));
    double *k = mem_array(T * KV, sizeof(*k)), *v = mem_array(T * KV, sizeof(*v));
    for (size_t t = 0; t < T; t++) {
        norm(h, x + t * C, tensor(o, layer, "input_layernorm.weight"), C, (double)c->norm_eps);
        heads(o, layer, 'q', q, h, t);
        heads(o, layer, 'k', k + t * KV, h, t);
        heads(o, layer, 'v', v + t * KV, h, t);
        for (size_t i = 0; i < c->heads; i++) {
            size_t at = i / (c->heads / c->kv_heads) * D;
            attend(out + i * D, q + i * D, k + at, v + at, t + 1, KV, D);
        }
        linear(h, out, tensor(o, layer, "self_attn.o_proj.weight"), NULL, C, Q);
        for (size_t i = 0; i < C; i++)
            x[t * C + i] += h[i];
    }
    free(h);
    free(q);
    free(out);
    free(k);
    free(v);
}

static void feed_forward(const struct oracle *o, int layer, double *x)
{
    const struct model_config *c = &o->table->config;
    size_t C = c->hidden, F = c->ffn;
    double *h = mem_array(C, sizeof(*h)), *gate = mem_array(F, sizeof(*gate)),
           *up = mem_array(F, sizeof(*up));
    norm(h, x, tensor(o, layer, "post_attention_layernorm.weight"), C, (double)c->norm_eps);
    linear(gate, h, tensor(o, layer, "mlp.gate_proj.weight"), NULL, F, C);
    linear(up, h, tensor(o, layer, "mlp.up_proj.weight"), NULL, F, C);
    for (size_t i = 0; i < F; i++)
        gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    linear(h, gate, tensor(o, layer, "mlp.down_proj.weight"), NULL, C, F);
    for (size_t i = 0; i < C; i++)
        x[i] += h[i];
    free(h);
    free(gate);
    free(up);
}

/* Final hidden rows of one sequence: T x hidden, to be freed. */
static double *hidden_rows(const struct oracle *o, const uint32_t *ids, size_t T)
{
    const struct model_config *c = &o->table->config;
    size_t C = c->hidden;
    const double *embed = tensor(o, -1, "model.embed_tokens.weight");
    double *x = mem_array(T * C, sizeof(*x));
    for (size_t t = 0; t < T; t++)
        memcpy(x + t * C, embed + ids[t] * C, C * sizeof(*x));
    for (uint32_t l = 0; l < c->layers; l++) {
        attention(o, (int)l, x, T);
        for (size_t t = 0; t < T; t++)
            feed_forward(o, (int)l, x + t * C);
    }
    for (size_t t = 0; t < T; t++)
        norm(x + t * C, x + t * C, tensor(o, -1, "model.norm.weight"), C, (double)c->norm_eps);
    return x;
}

static void log_prob(
    const double *z, size_t V, uint32_t id, double T, double *logp, double *entropy)
{
    double max = -INFINITY, sum = 0, mean = 0;
    for (size_t v = 0; v < V; v++)
        max = fmax(max, z[v] / T);
    for (size_t v = 0; v < V; v++)
        sum += exp(z[v] / T - max);
    double lse = max + log(sum);
    for (size_t v = 0; v < V; v++)
        mean += exp(z[v] / T - lse) * (z[v] / T);
    *logp = z[id] / T - lse;
    *entropy = lse - mean;
}

static void forward_completion(const struct oracle *o, const struct micro_batch *b,
    const struct train_group *g, const struct train_completion *t, double *logp, double *entropy)
{
    const struct model_config *c = &o->table->config;
    const double *head = tensor(o, -1, c->tied ? "model.embed_tokens.weight" : "lm_head.weight");
    size_t T = (size_t)g->prompt_len + t->len;
    uint32_t *ids = mem_array(T, sizeof(*ids));
    memcpy(ids, g->prompt, g->prompt_len * sizeof(*ids));
    memcpy(ids + g->prompt_len, t->tokens, t->len * sizeof(*ids));
    double *x = hidden_rows(o, ids, T), *z = mem_array(c->vocab, sizeof(*z));
    for (uint32_t j = 0; j < t->len; j++) {
        linear(z, x + (g->prompt_len + j - 1) * c->hidden, head, NULL, c->vocab, c->hidden);
        log_prob(z, b->vocab, t->tokens[j], (double)b->temperature, &logp[j], &entropy[j]);
    }
    free(ids);
    free(x);
    free(z);
}

void oracle_forward(
    const struct oracle *o, const struct micro_batch *b, double *logp, double *entropy)
{
    size_t at = 0;
    for (size_t g = 0; g < b->group_count; g++) {
        for (uint32_t i = 0; i < b->groups[g].n; i++) {
            const struct train_completion *t = &b->groups[g].completions[i];
            if (t->len > 0)
                forward_completion(o, b, &b->groups[g], t, logp + at, entropy + at);
            at += t->len;
        }
    }
}
