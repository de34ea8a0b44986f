/* head.c: see head.h. */
#include "common/model/head.h"

#include <string.h>

#include "common/base/mem.h"

enum { HEAD_TOKENS = 512 }; /* of a block */

static size_t outputs_of(const struct model_config *c)
{
    size_t most = linear_outputs(c->hidden);
    return c->vocab < most ? c->vocab : most;
}

static size_t floats_of(const struct model_config *c)
{
    return HEAD_TOKENS * (2 * (size_t)c->hidden + outputs_of(c));
}

size_t head_bytes(const struct model_config *c)
{
    return floats_of(c) * sizeof(float);
}

int head_init(struct head *h, const struct ops *ops, const struct model_config *c, struct err *e)
{
    *h = (struct head){.ops = ops, .C = c->hidden, .outputs = outputs_of(c)};
    h->block = mem_big(floats_of(c), sizeof(float), "logits", e);
    if (!h->block)
        return ERR_FAIL;
    h->gathered = h->block;
    h->dgathered = h->gathered + HEAD_TOKENS * h->C;
    h->z = h->dgathered + HEAD_TOKENS * h->C;
    return 0;
}

void head_done(struct head *h)
{
    mem_big_free(h->block);
    *h = (struct head){0};
}

/* Some tokens and some outputs: where they begin and how many there are. */
struct part {
    size_t token, tokens;
    size_t id, ids, allowed; /* allowed: of the ids, those below vocab */
    struct weight weight;
};

static void gather(
    const struct head *h, const float *hidden, const struct head_tokens *t, struct part *p)
{
    p->tokens = t->count - p->token < HEAD_TOKENS ? t->count - p->token : HEAD_TOKENS;
    for (size_t i = 0; i < p->tokens; i++)
        memcpy(
            h->gathered + i * h->C, hidden + t->source[p->token + i] * h->C, h->C * sizeof(float));
}

/* The logits of the part whose outputs begin at p->id. */
static void part_logits(const struct head *h, float *pack, const struct weights *w,
    const struct head_tokens *t, struct part *p)
{
    size_t left = w->head.N - p->id, allowed = t->vocab - p->id;
    p->ids = left < h->outputs ? left : h->outputs;
    p->allowed = allowed < p->ids ? allowed : p->ids;
    p->weight = weight_part(&w->head, p->id, p->ids);
    op_linear(h->ops, pack, h->z, h->gathered, &p->weight, p->tokens);
}

static void add_sums(const struct head *h, const struct head_tokens *t, const struct part *p,
    struct logprob_sums *sums, float *chosen)
{
    for (size_t i = 0; i < p->tokens; i++) {
        const float *z = h->z + i * p->ids;
        size_t id = t->target[p->token + i];
        h->ops->logprob_add(&sums[i], z, p->allowed, t->inv_T, p->id == 0);
        if (id >= p->id && id - p->id < p->ids)
            chosen[i] = z[id - p->id];
    }
}

void head_forward(const struct head *h, float *pack, const struct weights *w, const float *hidden,
    const struct head_tokens *t, float *logp)
{
    struct logprob_sums sums[HEAD_TOKENS];
    float chosen[HEAD_TOKENS];
    for (struct part p = {.token = 0}; p.token < t->count; p.token += p.tokens) {
        gather(h, hidden, t, &p);
        for (p.id = 0; p.id < t->vocab; p.id += p.ids) {
            part_logits(h, pack, w, t, &p);
            add_sums(h, t, &p, sums, chosen);
        }
        for (size_t i = 0, at = p.token; i < p.tokens; i++, at++)
            h->ops->logprob_end(
                &logp[at], &t->lse[at], &t->entropy[at], &sums[i], chosen[i], t->inv_T);
    }
}

/* Logits become their gradients, in place. */
static void logits_gradient(const struct head *h, const struct head_tokens *t, const struct part *p,
    const float *dlogp, const float *dentropy)
{
    for (size_t i = 0, at = p->token; i < p->tokens; i++, at++) {
        float *z = h->z + i * p->ids;
        h->ops->logprob_bwd(z, z, p->allowed, (ptrdiff_t)t->target[at] - (ptrdiff_t)p->id, t->inv_T,
            t->lse[at], t->entropy[at], dlogp[at], dentropy ? dentropy[at] : 0.0f);
        memset(z + p->allowed, 0, (p->ids - p->allowed) * sizeof(float));
    }
}

void head_backward(const struct head *h, float *pack, const struct weights *w, const float *hidden,
    const struct head_tokens *t, const float *dlogp, const float *dentropy,
    const struct gradient *g, float *dhidden)
{
    size_t C = h->C;
    for (struct part p = {.token = 0}; p.token < t->count; p.token += p.tokens) {
        gather(h, hidden, t, &p);
        for (p.id = 0; p.id < t->vocab; p.id += p.ids) {
            part_logits(h, pack, w, t, &p);
            logits_gradient(h, t, &p, dlogp, dentropy);
            op_linear_bwd(
                h->ops, pack, h->dgathered, g, h->z, h->gathered, &p.weight, p.tokens, p.id > 0);
        }
        for (size_t i = 0; i < p.tokens; i++)
            h->ops->add(dhidden + t->source[p.token + i] * C, C, h->dgathered + i * C, C, 1, C);
    }
}
