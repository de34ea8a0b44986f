/* head_test.c: the output head in parts, more tokens than a block and more ids than a part: its
 * log-probs have the bits of whole rows of logits, its gradients those of plain sums in double. */
#include "common/model/head.h"

#include <math.h>
#include <stdlib.h>

#include "common/model/weights.h"
#include "tests/model/fixture.h"

enum { HIDDEN = 600, VOCAB = 700, ALLOWED = 690, ROWS = 530, TOKENS = 600, PROBES = 200 };

struct problem {
    struct model model;
    const struct ops *ops;
    struct head head;
    float *pack, *hidden, *dlogp, *dentropy;
    float logp[TOKENS], lse[TOKENS], entropy[TOKENS];
    size_t source[TOKENS];
    uint32_t target[TOKENS];
    struct head_tokens tokens;
};

static float *random_floats(struct rng *r, size_t n, float scale)
{
    float *x = mem_array(n, sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = scale * (float)rng_normal(r);
    return x;
}

static struct problem *problem_new(struct rng *r)
{
    struct err err;
    struct problem *p = mem_alloc(sizeof(*p));
    struct model_config c = config_of("llama", false);
    c.hidden = HIDDEN;
    c.vocab = VOCAB;
    c.layers = 1;
    model_init(&p->model, &c, r);
    assert_ok(ops_select("auto", &p->ops, &err));
    assert_ok(head_init(&p->head, p->ops, &c, &err));
    assert_true(linear_outputs(HIDDEN) < VOCAB);
    p->pack = mem_array(linear_pack_floats(&c), sizeof(float));
    p->hidden = random_floats(r, ROWS * HIDDEN, 1);
    p->dlogp = random_floats(r, TOKENS, 1);
    p->dentropy = random_floats(r, TOKENS, 1);
    for (size_t i = 0; i < TOKENS; i++) {
        p->source[i] = pick(r, 0, ROWS - 1); /* several tokens may come from one row */
        p->target[i] = pick(r, 0, ALLOWED - 1);
    }
    p->tokens =
        (struct head_tokens){TOKENS, p->source, p->target, ALLOWED, 0.8f, p->lse, p->entropy};
    return p;
}

static void problem_free(struct problem *p)
{
    head_done(&p->head);
    model_done(&p->model);
    free(p->pack);
    free(p->hidden);
    free(p->dlogp);
    free(p->dentropy);
    free(p);
}

static void parts_have_the_bits_of_whole_rows(void **state)
{
    (void)state;
    struct err err;
    struct rng r = fixture_rng(70);
    struct problem *p = problem_new(&r);
    struct weights *view;
    float z[VOCAB], logp, lse, entropy, again[TOKENS];
    assert_ok(weights_view(&p->model.params, &view, &err));
    head_forward(&p->head, p->pack, view, p->hidden, &p->tokens, p->logp);
    for (size_t i = 0; i < TOKENS; i++) {
        op_linear(p->ops, NULL, z, p->hidden + p->source[i] * HIDDEN, &p->model.weights->head, 1);
        p->ops->logprob(&logp, &lse, &entropy, z, ALLOWED, p->target[i], 0.8f);
        assert_true(p->logp[i] == logp && p->lse[i] == lse && p->entropy[i] == entropy);
    }
    head_forward(&p->head, NULL, p->model.weights, p->hidden, &p->tokens, again);
    assert_memory_equal(again, p->logp, sizeof(again));
    weights_free(view);
    problem_free(p);
}

/* dz of every token, in double. */
static double *logit_gradients(const struct problem *p)
{
    const float *w = p->model.params.data + p->model.weights->head.offset;
    double *dz = mem_array(TOKENS * VOCAB, sizeof(double));
    for (size_t i = 0; i < TOKENS; i++) {
        const float *h = p->hidden + p->source[i] * HIDDEN;
        double z[ALLOWED], sum = 0, spread = 0;
        for (size_t v = 0; v < ALLOWED; v++) {
            z[v] = 0;
            for (size_t k = 0; k < HIDDEN; k++)
                z[v] += (double)h[k] * (double)w[v * HIDDEN + k];
            z[v] *= (double)0.8f;
            sum += exp(z[v] - (double)p->lse[i]);
        }
        for (size_t v = 0; v < ALLOWED; v++) {
            double log_p = z[v] - (double)p->lse[i] - log(sum);
            z[v] = log_p;
            spread -= exp(log_p) * log_p;
        }
        for (size_t v = 0; v < ALLOWED; v++)
            dz[i * VOCAB + v] =
                (double)0.8f * ((double)p->dlogp[i] * ((v == p->target[i]) - exp(z[v])) -
                                   (double)p->dentropy[i] * exp(z[v]) * (z[v] + spread));
    }
    return dz;
}

static void gradients_are_plain_sums(void **state)
{
    (void)state;
    struct rng r = fixture_rng(71);
    struct problem *p = problem_new(&r);
    const struct weights *w = p->model.weights;
    const float *matrix = p->model.params.data + w->head.offset;
    float *dhidden = mem_array(ROWS * HIDDEN, sizeof(float));
    float *grads = mem_array(p->model.table->floats, sizeof(float));
    struct gradient g = {p->model.params.data, grads};
    head_forward(&p->head, p->pack, w, p->hidden, &p->tokens, p->logp);
    head_backward(&p->head, p->pack, w, p->hidden, &p->tokens, p->dlogp, p->dentropy, &g, dhidden);
    double *dz = logit_gradients(p);
    for (int n = 0; n < PROBES; n++) {
        size_t row = pick(&r, 0, ROWS - 1), k = pick(&r, 0, HIDDEN - 1), v = pick(&r, 0, VOCAB - 1);
        double dh = 0, dw = 0;
        for (size_t i = 0; i < TOKENS; i++) {
            dw += dz[i * VOCAB + v] * (double)p->hidden[p->source[i] * HIDDEN + k];
            for (size_t u = 0; p->source[i] == row && u < VOCAB; u++)
                dh += dz[i * VOCAB + u] * (double)matrix[u * HIDDEN + k];
        }
        double hidden_off = fabs(dh - (double)dhidden[row * HIDDEN + k]);
        double weight_off = fabs(dw - (double)grads[w->head.offset + v * HIDDEN + k]);
        assert_true(hidden_off < 1e-4 && weight_off < 1e-3);
        assert_true(v < ALLOWED || dw == 0);
    }
    free(dz);
    free(grads);
    free(dhidden);
    problem_free(p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_have_the_bits_of_whole_rows),
        cmocka_unit_test(gradients_are_plain_sums),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
