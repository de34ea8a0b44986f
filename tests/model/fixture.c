/* fixture.c: see fixture.h. */
#include "tests/model/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tensor/ops.h"

static uint64_t seed = 1;

void fixture_start(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    printf("seed %llu\n", (unsigned long long)seed);
}

struct rng fixture_rng(uint64_t test)
{
    return rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER, .ordinal = test});
}

uint32_t pick(struct rng *r, uint32_t low, uint32_t high)
{
    return low + (uint32_t)rng_below(r, (uint64_t)high - low + 1);
}

struct model_config config_of(const char *type, bool tied)
{
    struct model_config c = {.vocab = 23,
        .hidden = 12,
        .layers = 2,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 6,
        .ffn = 20,
        .context = 256,
        .norm_eps = 1e-5f,
        .rope_theta = 100,
        .tied = tied,
        .qkv_bias = strcmp(type, "qwen2") == 0,
        .qk_norm = strcmp(type, "qwen3") == 0};
    snprintf(c.type, sizeof(c.type), "%s", type);
    return c;
}

struct model_config random_config(struct rng *r)
{
    static const char *const types[] = {"llama", "qwen2", "qwen3"};
    struct model_config c = config_of(types[pick(r, 0, 2)], pick(r, 0, 1));
    c.vocab = pick(r, 11, 300);
    c.hidden = pick(r, 8, 96);
    c.layers = pick(r, 1, 3);
    c.kv_heads = pick(r, 1, 3);
    c.heads = c.kv_heads * pick(r, 1, 4);
    c.head_dim = 2 * pick(r, 2, 10);
    c.ffn = pick(r, 5, 300);
    c.context = 400;
    return c;
}

void model_init(struct model *m, const struct model_config *c, struct rng *r)
{
    struct err err;
    m->config = *c;
    assert_ok(param_table_new(c, &m->table, &err));
    assert_ok(params_new(m->table, &m->params, &err));
    for (size_t i = 0; i < m->table->param_count; i++) {
        const struct param *p = &m->table->params[i];
        double std = p->rank == 2 ? 1.5 / sqrt((double)p->shape[1]) : 0.3;
        for (size_t k = 0; k < p->count; k++) {
            double mean = p->init_std == 0 ? 1 : 0;
            m->params.data[p->offset + k] = (float)(mean + std * rng_normal(r));
        }
    }
    assert_ok(weights_new(m->table, WEIGHTS_F32, &m->weights, &err));
    weights_pack(m->weights, &m->params);
}

void model_round(struct model *m, enum weights_type type)
{
    struct err err;
    weights_free(m->weights);
    assert_ok(weights_new(m->table, type, &m->weights, &err));
    weights_pack(m->weights, &m->params);
    m->type = type;
}

void model_done(struct model *m)
{
    weights_free(m->weights);
    params_done(&m->params);
    param_table_free(m->table);
}

const char *const *isas(size_t *ret_count)
{
    static const char *const all[] = {"amx", "avx512vnni", "avx512", "avx2", "portable"};
    static const char *have[ISAS_MAX] = {"auto"};
    size_t n = 1;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        const struct ops *ops;
        if (ops_select(all[i], &ops, NULL) == 0)
            have[n++] = all[i];
    }
    *ret_count = n;
    return have;
}

void groups_init(struct groups *g, size_t count)
{
    *g = (struct groups){.groups = mem_array(count, sizeof(*g->groups)), .count = count};
}

void groups_done(struct groups *g)
{
    for (size_t i = 0; i < g->count; i++) {
        for (uint32_t k = 0; k < g->groups[i].n; k++)
            free((void *)g->groups[i].completions[k].tokens);
        free((void *)g->groups[i].completions);
        free((void *)g->groups[i].prompt);
    }
    free(g->groups);
}

static uint32_t *random_ids(struct rng *r, uint32_t n, uint32_t vocab)
{
    uint32_t *ids = mem_array(n > 0 ? n : 1, sizeof(*ids));
    for (uint32_t i = 0; i < n; i++)
        ids[i] = pick(r, 0, vocab - 1);
    return ids;
}

void groups_random(struct groups *g, size_t at, struct rng *r, uint32_t prompt_len, uint32_t n,
    uint32_t len, uint32_t vocab)
{
    struct train_completion *completions = mem_array(n, sizeof(*completions));
    for (uint32_t i = 0; i < n; i++)
        completions[i] = (struct train_completion){random_ids(r, len, vocab), len};
    g->groups[at] =
        (struct train_group){random_ids(r, prompt_len, vocab), prompt_len, completions, n};
}
