/* golden_test.c: logits, log-probs, entropies and all gradients against numbers that PyTorch
 * computed in float64. golden.py makes them and says with which versions. */
#include "tests/model/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/model/forward.h"

#ifndef GOLDEN_JSON
#error "the build names the file"
#endif

static float weight(uint64_t k, uint64_t tensor)
{
    uint32_t mixed = (uint32_t)(k * 2654435761u + tensor * 40503u + 12345u);
    return (float)(mixed >> 19) / 4096.0f - 1.0f;
}

static void golden_model(struct model *m, const json_t *one)
{
    struct err err;
    char *text = json_dumps(json_object_get(one, "config"), 0);
    assert_ok(model_config_parse(text, strlen(text), "golden", &m->config, &err));
    free(text);
    assert_ok(param_table_new(&m->config, &m->table, &err));
    assert_ok(params_new(m->table, &m->params, &err));
    for (size_t i = 0; i < m->table->param_count; i++) {
        const struct param *p = &m->table->params[i];
        for (size_t k = 0; k < p->count; k++) {
            float x = weight(k, i);
            m->params.data[p->offset + k] = p->init_std == 0 ? 1 + x / 4 : x;
        }
    }
    assert_ok(weights_new(m->table, WEIGHTS_F32, &m->weights, &err));
    weights_pack(m->weights, &m->params);
}

static uint32_t *ids_of(const json_t *list)
{
    uint32_t *ids = mem_array(json_array_size(list) + 1, sizeof(*ids));
    for (size_t i = 0; i < json_array_size(list); i++)
        ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    return ids;
}

/* Within relative of the largest of them, so that small ones are not held to more than fp32 has. */
static void assert_list(
    const char *what, const json_t *expected, const float *found, double relative)
{
    double scale = 0;
    for (size_t i = 0; i < json_array_size(expected); i++)
        scale = fmax(scale, fabs(json_number_value(json_array_get(expected, i))));
    for (size_t i = 0; i < json_array_size(expected); i++) {
        double e = json_number_value(json_array_get(expected, i));
        if (!(fabs(e - (double)found[i]) <= relative * scale))
            fail_msg("%s[%zu]: %.8g, PyTorch has %.8g", what, i, (double)found[i], e);
    }
}

/* Logits of the prompt's last row, by one span over two pages. */
static void check_logits(const struct model *m, const json_t *one)
{
    struct err err;
    const struct ops *ops;
    struct acts acts;
    struct kv kv;
    struct kv_seq seq;
    const json_t *prompt = json_object_get(one, "prompt");
    size_t n = json_array_size(prompt), C = m->config.hidden;
    uint32_t *ids = ids_of(prompt);
    float z[64];
    assert_ok(ops_select("auto", &ops, &err));
    acts_init(&acts, ops, &m->config);
    assert_ok(acts_reserve(&acts, n, ACTS_FORWARD, &err));
    assert_ok(kv_init(&kv, m->config.layers, kv_page_floats(m->config.kv_heads, m->config.head_dim),
        kv_pages_for(n), &err));
    kv_seq_init(&seq, (uint32_t)kv_pages_for(n));
    assert_true(kv_reserve(&kv, &seq, kv_pages_for(n)));
    kv_extend(&kv, &seq, n);
    struct span span = {.rows = n, .pages = seq.pages};
    struct batch batch = {.tokens = ids, .spans = &span, .rows = n, .span_count = 1};
    model_forward(&acts, m->weights, &kv, &batch);
    model_logits(&acts, m->weights, z, acts.hidden + (n - 1) * C, 1);
    assert_list("logits", json_object_get(one, "logits"), z, 1e-5);
    kv_release(&kv, &seq);
    kv_seq_done(&seq);
    kv_done(&kv);
    acts_done(&acts);
    free(ids);
}

static void check_gradients(const struct model *m, const json_t *one, const float *grads)
{
    const json_t *expected = json_object_get(one, "gradients");
    assert_int_equal(json_object_size(expected), m->table->param_count);
    for (size_t i = 0; i < m->table->param_count; i++) {
        const struct param *p = &m->table->params[i];
        const json_t *list = json_object_get(expected, p->name);
        assert_int_equal(json_array_size(list), p->count);
        assert_list(p->name, list, grads + p->offset, 2e-5);
    }
}

static void check_case(const json_t *one)
{
    struct err err;
    struct model m;
    struct train_ctx *ctx;
    struct train_completion completions[2];
    const json_t *prompt = json_object_get(one, "prompt"),
                 *lists = json_object_get(one, "completions");
    float dlogp[32], dentropy[32], logp[32], entropy[32];
    size_t n = 0;
    golden_model(&m, one);
    for (size_t i = 0; i < 2; i++) {
        const json_t *list = json_array_get(lists, i);
        completions[i] = (struct train_completion){ids_of(list), (uint32_t)json_array_size(list)};
        for (size_t j = 0; j < completions[i].len; j++, n++) {
            dlogp[n] = (float)(1 + (double)i - 0.5 * (double)j);
            dentropy[n] = 0.25f * ((float)j - (float)i);
        }
    }
    uint32_t *ids = ids_of(prompt);
    struct train_group group = {ids, (uint32_t)json_array_size(prompt), completions, 2};
    struct micro_batch b = {&group, 1,
        (float)json_number_value(json_object_get(one, "temperature")),
        (uint32_t)json_integer_value(json_object_get(one, "allowed"))};
    float *grads = mem_array(m.table->floats, sizeof(float));
    check_logits(&m, one);
    assert_ok(train_ctx_new(m.table, &(struct train_options){.isa = "auto"}, &ctx, &err));
    assert_ok(train_forward(ctx, m.weights, &b, 1, logp, entropy, &err));
    assert_list("logp", json_object_get(one, "logp"), logp, 1e-5);
    assert_list("entropy", json_object_get(one, "entropy"), entropy, 1e-5);
    assert_ok(train_backward(ctx, m.weights, &m.params, &b, dlogp, dentropy, grads, &err));
    check_gradients(&m, one, grads);
    train_ctx_free(ctx);
    free(grads);
    free(ids);
    free((void *)completions[0].tokens);
    free((void *)completions[1].tokens);
    model_done(&m);
}

static void pytorch_agrees(void **state)
{
    (void)state;
    json_error_t at;
    json_t *root = json_load_file(GOLDEN_JSON, 0, &at), *one;
    size_t i;
    if (!root)
        fail_msg("%s:%d: %s", GOLDEN_JSON, at.line, at.text);
    assert_int_equal(json_array_size(json_object_get(root, "cases")), 3);
    json_array_foreach(json_object_get(root, "cases"), i, one)
    {
        print_message("%s\n", json_string_value(json_object_get(one, "model_type")));
        check_case(one);
    }
    json_decref(root);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pytorch_agrees)};
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
