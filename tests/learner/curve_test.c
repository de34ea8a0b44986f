/* curve_test.c: ten steps of the trainer beside ten steps of PyTorch in float64: loss, gradient
 * norm and the parameters they end at. curve.py makes the numbers and says with what. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/learner/learning_fixture.h"

#ifndef CURVE_JSON
#error "the build names the file"
#endif

enum { GROUPS = 3, N = 2, ROWS_MAX = 90 };

/* The rule by which curve.py makes weights too: exact in fp32. */
static float weight(uint64_t k, uint64_t tensor)
{
    uint32_t mixed = (uint32_t)(k * 2654435761u + tensor * 40503u + 12345u);
    return ((float)(mixed >> 19) / 4096.0f - 1.0f) / 4;
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static uint32_t *ids_of(const json_t *list, uint32_t *ret_len)
{
    uint32_t *ids = mem_array(json_array_size(list), sizeof(*ids));
    *ret_len = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < *ret_len; i++)
        ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    return ids;
}

struct batch {
    struct train_completion rows[GROUPS][N];
    struct train_group groups[GROUPS];
    struct loss_completion completions[GROUPS * N];
};

static void batch_init(struct batch *b, const json_t *list)
{
    double tokens = 0;
    for (size_t g = 0; g < GROUPS; g++) {
        const json_t *one = json_array_get(list, g);
        b->groups[g] = (struct train_group){.completions = b->rows[g], .n = N};
        b->groups[g].prompt = ids_of(json_object_get(one, "prompt"), &b->groups[g].prompt_len);
        for (size_t i = 0; i < N; i++) {
            struct train_completion *c = &b->rows[g][i];
            c->tokens = ids_of(json_array_get(json_object_get(one, "completions"), i), &c->len);
            tokens += c->len;
        }
    }
    for (size_t i = 0; i < GROUPS * N; i++)
        b->completions[i] =
            (struct loss_completion){.len = b->rows[i / N][i % N].len, .weight = 1 / tokens};
}

static void batch_done(struct batch *b)
{
    for (size_t i = 0; i < GROUPS * N; i++)
        free((void *)b->rows[i / N][i % N].tokens);
    for (size_t g = 0; g < GROUPS; g++)
        free((void *)b->groups[g].prompt);
}

static void likelihood(void *arg, const struct pack_slice *s, const float *logp,
    const float *entropy, float *dlogp, float *dentropy, struct loss_parts *ret)
{
    (void)entropy;
    (void)dentropy;
    const struct batch *b = arg;
    loss_likelihood(b->completions + s->completion, s->completion_count, logp, dlogp, ret);
}

static void assert_near(const char *what, size_t step, double found, double expected, double scale)
{
    if (!(fabs(found - expected) <= 2e-5 * scale))
        fail_msg("%s after %zu: %.9g, PyTorch has %.9g", what, step, found, expected);
}

static void check_sums(const struct params *p, const json_t *sums)
{
    assert_int_equal(json_object_size(sums), p->table->param_count);
    for (size_t i = 0; i < p->table->param_count; i++) {
        const struct param *t = &p->table->params[i];
        double sum = 0, scale = 0;
        for (size_t k = 0; k < t->count; k++) {
            sum += (double)p->data[t->offset + k];
            scale += fabs((double)p->data[t->offset + k]);
        }
        assert_near(t->name, 10, sum, real(sums, t->name), scale);
    }
}

static void run_steps(struct trainer *t, struct batch *b, const json_t *root, const json_t *one)
{
    struct err err = {0};
    const json_t *losses = json_object_get(one, "loss"), *norms = json_object_get(one, "norm");
    struct recipe_optim o = {.beta1 = real(root, "beta1"),
        .beta2 = real(root, "beta2"),
        .eps = real(root, "eps"),
        .weight_decay = real(root, "decay"),
        .clip_norm = real(root, "clip")};
    struct trainer_batch batch = {b->groups, GROUPS, 1};
    struct trainer_loss loss = {.fn = likelihood, .arg = b};
    assert_int_equal(json_array_size(losses), 10);
    for (size_t s = 0; s < json_array_size(losses); s++) {
        struct loss_parts parts;
        struct optim_stats stats;
        double expected = json_number_value(json_array_get(losses, s));
        double norm = json_number_value(json_array_get(norms, s));
        assert_ok(trainer_backward(t, &batch, &loss, &parts, NULL, &err));
        assert_ok(trainer_update(t, &o, real(root, "lr"), &stats, &err));
        assert_near("loss", s, parts.loss, expected, expected);
        assert_near("gradient norm", s, stats.grad_norm, norm, 10 * norm);
    }
    check_sums(trainer_state(t).params, json_object_get(one, "sums"));
}

static void check_curve(const json_t *root, const json_t *one)
{
    struct err err = {0};
    struct model_config c;
    struct param_table *table;
    struct params initial;
    struct trainer *t;
    struct batch b;
    char *text = json_dumps(json_object_get(one, "config"), 0);
    assert_ok(model_config_parse(text, strlen(text), "curve", &c, &err));
    free(text);
    assert_ok(param_table_new(&c, &table, &err));
    assert_ok(params_new(table, &initial, &err));
    for (size_t i = 0; i < table->param_count; i++) {
        const struct param *p = &table->params[i];
        for (size_t k = 0; k < p->count; k++)
            initial.data[p->offset + k] = (p->init_std == 0 ? 1 : 0) + weight(k, i);
    }
    struct trainer_options o = {.isa = "auto",
        .threads = 2,
        .shards = 2,
        .rows_max = ROWS_MAX,
        .vocab = (uint32_t)real(root, "allowed")};
    assert_ok(trainer_new(&o, &initial, &t, &err));
    params_done(&initial);
    batch_init(&b, json_object_get(root, "groups"));
    run_steps(t, &b, root, one);
    batch_done(&b);
    trainer_free(t);
    param_table_free(table);
}

static void pytorch_agrees(void **state)
{
    (void)state;
    json_error_t at;
    json_t *root = json_load_file(CURVE_JSON, 0, &at), *one;
    size_t i;
    if (root == NULL)
        fail_msg("%s:%d: %s", CURVE_JSON, at.line, at.text);
    assert_int_equal(json_array_size(json_object_get(root, "curves")), 3);
    json_array_foreach(json_object_get(root, "curves"), i, one)
    {
        print_message("%s\n", json_string_value(json_object_get(one, "model_type")));
        check_curve(root, one);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pytorch_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
