/* shapes.c: see shapes.h. */
#include "bench/shapes.h"

#include <stdio.h>
#include <string.h>

#include "common/base/rng.h"

enum { TABLE = 1 << 16 };

static const struct {
    const char *name, *type;
    uint32_t hidden, layers, heads, kv_heads, ffn, vocab;
    double theta;
} shapes[] = {
    {"T", "llama", 128, 4, 4, 2, 384, 512, 1e4},           /* 0.85 million parameters */
    {"S", "llama", 384, 6, 6, 2, 1024, 2048, 1e4},         /* 10.2 */
    {"M", "llama", 768, 12, 12, 4, 2048, 32000, 1e4},      /* 100 */
    {"Q", "qwen2", 896, 24, 14, 2, 4864, 151936, 1000000}, /* 494 */
};

int bench_shape(const char *name, uint32_t context, struct model_config *ret, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        if (strcmp(name, shapes[i].name) != 0)
            continue;
        *ret = (struct model_config){.vocab = shapes[i].vocab,
            .hidden = shapes[i].hidden,
            .layers = shapes[i].layers,
            .heads = shapes[i].heads,
            .kv_heads = shapes[i].kv_heads,
            .head_dim = shapes[i].hidden / shapes[i].heads,
            .ffn = shapes[i].ffn,
            .context = context,
            .norm_eps = 1e-6f,
            .rope_theta = shapes[i].theta,
            .qkv_bias = strcmp(shapes[i].type, "qwen2") == 0,
            .tied = true};
        snprintf(ret->type, sizeof(ret->type), "%s", shapes[i].type);
        return 0;
    }
    return err_set(e, ERR_CONFIG, "no shape '%s', expected T, S, M or Q", name);
}

static void fill(const struct param_table *t, float *data)
{
    static float table[TABLE];
    struct rng r = rng_stream((struct rng_key){.seed = 1, .domain = RNG_INIT});
    for (size_t i = 0; i < TABLE; i++)
        table[i] = (float)(0.02 * rng_normal(&r));
    for (size_t i = 0; i < t->param_count; i++) {
        const struct param *p = &t->params[i];
        for (size_t k = 0; k < p->count; k++)
            data[p->offset + k] = p->rank == 2      ? table[(k + 7919 * i + k / TABLE * 31) % TABLE]
                                  : p->init_std < 0 ? 0.0f
                                                    : 1.0f;
    }
}

int bench_model_init(struct bench_model *m, const char *shape, uint32_t context, struct err *e)
{
    *m = (struct bench_model){0};
    int r = bench_shape(shape, context, &m->config, e);
    if (r == 0)
        r = param_table_new(&m->config, &m->table, e);
    if (r == 0)
        r = params_new(m->table, &m->params, e);
    if (r == 0)
        fill(m->table, m->params.data);
    return r;
}

void bench_model_done(struct bench_model *m)
{
    params_done(&m->params);
    param_table_free(m->table);
}
