/* params_test.c: the parameter table, random initialisation, digest, and the check for NaN. */
#include "tests/model/fixture.h"

#include <math.h>
#include <string.h>

static const char *const types[] = {"llama", "qwen2", "qwen3"};

static void table_is_disjoint_and_named(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2 * ARRAY_LEN(types); k++) {
        struct err err;
        struct param_table *t;
        struct model_config c = config_of(types[k / 2], k % 2);
        size_t end = 0, count = 0;
        assert_ok(param_table_new(&c, &t, &err));
        for (size_t i = 0; i < t->param_count; i++) {
            const struct param *p = &t->params[i];
            assert_true(p->offset >= end && p->offset % 16 == 0);
            assert_int_equal(p->count, p->rank == 2 ? p->shape[0] * p->shape[1] : p->shape[0]);
            assert_int_equal(p->decay, p->rank == 2);
            assert_ptr_equal(param_find(t, p->name), p);
            end = p->offset + p->count;
            count += p->count;
        }
        assert_true(t->floats >= end);
        assert_int_equal(count, model_config_parameters(&c));
        assert_int_equal(!param_find(t, "lm_head.weight"), c.tied);
        assert_int_equal(!!param_find(t, "model.layers.1.self_attn.v_proj.bias"), c.qkv_bias);
        assert_int_equal(!!param_find(t, "model.layers.1.self_attn.k_norm.weight"), c.qk_norm);
        assert_null(param_find(t, "model.layers.2.mlp.up_proj.weight"));
        assert_null(param_find(t, ""));
        param_table_free(t);
    }
    param_table_free(NULL);
}

static void table_refuses_bad_config(void **state)
{
    (void)state;
    struct err err;
    struct param_table *t = NULL;
    struct model_config c = config_of("llama", false);
    c.head_dim = 7;
    assert_int_equal(param_table_new(&c, &t, &err), ERR_DATA);
    assert_null(t);
}

static void random_start(void **state)
{
    (void)state;
    struct err err;
    struct model_config c = config_of("qwen2", false);
    struct param_table *t;
    struct params a, b;
    c.vocab = 400;
    c.hidden = 64;
    assert_ok(param_table_new(&c, &t, &err));
    assert_ok(params_new(t, &a, &err));
    assert_ok(params_new(t, &b, &err));
    params_init_random(&a, 5);
    params_init_random(&b, 5);
    assert_memory_equal(a.data, b.data, t->floats * sizeof(float));
    params_init_random(&b, 6);
    assert_memory_not_equal(a.data, b.data, t->floats * sizeof(float));
    for (size_t i = 0; i < t->param_count; i++) {
        const struct param *p = &t->params[i];
        double sum = 0, squares = 0;
        for (size_t k = 0; k < p->count; k++) {
            sum += (double)a.data[p->offset + k];
            squares += (double)a.data[p->offset + k] * (double)a.data[p->offset + k];
        }
        double n = (double)p->count, bound = 6 * (double)p->init_std / sqrt(n);
        if (p->init_std > 0)
            assert_true(
                fabs(sum / n) < bound && fabs(sqrt(squares / n) - (double)p->init_std) < bound);
        else
            assert_true(sum == (p->init_std < 0 ? 0 : n));
    }
    params_done(&a);
    params_done(&b);
    param_table_free(t);
}

/* Every element of every tensor counts, the gaps between tensors do not. */
static void digest_sees_everything(void **state)
{
    (void)state;
    struct rng r = fixture_rng(0);
    struct model m;
    struct model_config c = config_of("qwen3", false);
    model_init(&m, &c, &r);
    struct hash was = params_digest(&m.params), is;
    for (size_t i = 0; i < m.table->param_count; i++) {
        const struct param *p = &m.table->params[i];
        float *x = &m.params.data[p->offset + pick(&r, 0, (uint32_t)p->count - 1)], kept = *x;
        *x = nextafterf(kept, INFINITY);
        is = params_digest(&m.params);
        assert_false(hash_equal(&was, &is));
        *x = kept;
    }
    const struct param *norm = param_find(m.table, "model.layers.0.self_attn.q_norm.weight");
    assert_int_equal(norm->count, 6);
    m.params.data[norm->offset + 7] = 1;
    is = params_digest(&m.params);
    assert_true(hash_equal(&was, &is));
    model_done(&m);
}

/* The value is a format: versions, checkpoints and directories on disk are known by it. Change it
 * by decision only. */
static void digest_is_pinned(void **state)
{
    (void)state;
    struct err err;
    struct model_config c = config_of("llama", true);
    struct param_table *t;
    struct params p;
    char hex[HASH_HEX];
    c.vocab = 30000; /* a tensor of more than one chunk */
    assert_ok(param_table_new(&c, &t, &err));
    assert_ok(params_new(t, &p, &err));
    for (size_t i = 0; i < t->param_count; i++) {
        for (size_t k = 0; k < t->params[i].count; k++)
            p.data[t->params[i].offset + k] = (float)(i * 1000 + k % 1000);
    }
    struct hash h = params_digest(&p);
    assert_string_equal(
        hash_hex(&h, hex), "4cddb6c0ac93a40e251bddd454ba1096b2cb89817468c827c2fd04081a4c56f2");
    params_done(&p);
    param_table_free(t);
}

static void not_finite_is_named(void **state)
{
    (void)state;
    struct rng r = fixture_rng(1);
    struct model m;
    struct model_config c = config_of("llama", false);
    model_init(&m, &c, &r);
    assert_null(params_not_finite(&m.params));
    const struct param *up = param_find(m.table, "model.layers.1.mlp.up_proj.weight");
    m.params.data[up->offset + up->count - 1] = -INFINITY;
    assert_string_equal(params_not_finite(&m.params), up->name);
    m.params.data[0] = NAN;
    assert_string_equal(params_not_finite(&m.params), "model.embed_tokens.weight");
    model_done(&m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_disjoint_and_named),
        cmocka_unit_test(table_refuses_bad_config),
        cmocka_unit_test(random_start),
        cmocka_unit_test(digest_sees_everything),
        cmocka_unit_test(digest_is_pinned),
        cmocka_unit_test(not_finite_is_named),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
