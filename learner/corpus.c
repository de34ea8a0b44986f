/* corpus.c: datasets rendered and encoded once. */
#include "learner/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct span {
    size_t prompt; /* index into ids */
    uint32_t prompt_len, completion_len;
};

struct corpus {
    struct dataset *dataset; /* owned */
    struct buf ids;          /* u32: of each row its prompt, then its completion */
    struct span *spans;      /* owned */
    size_t count;
};

static size_t id_count(const struct buf *ids)
{
    return ids->len / sizeof(uint32_t);
}

static bool is_eos(const struct model_config *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->eos_count; i++) {
        if (m->eos[i] == id)
            return true;
    }
    return false;
}

static int add_completion(
    const struct corpus_options *o, const struct dataset_row *row, struct buf *ids, struct err *e)
{
    const char *data = o->recipe->data[o->data].name;
    if (row->completion == NULL)
        return err_set(e, ERR_DATA,
            "[data %s] row %s: no completion; a pretrain stage needs demonstrations", data,
            row->key);
    size_t before = ids->len;
    if (tokenizer_encode(o->tokenizer, row->completion, strlen(row->completion), ids, e) != 0)
        return err_ctx(e, "[data %s] row %s: completion", data, row->key);
    uint32_t last = 0;
    if (ids->len > before)
        memcpy(&last, ids->data + ids->len - sizeof(last), sizeof(last));
    if (ids->len == before || !is_eos(o->model, last))
        buf_append(ids, &o->model->eos[0], sizeof(o->model->eos[0]));
    return 0;
}

static int add_row(const struct corpus_options *o, const struct template *t, struct corpus *c,
    size_t i, struct err *e)
{
    const struct dataset_row *row = dataset_row(c->dataset, i);
    struct span *s = &c->spans[i];
    s->prompt = id_count(&c->ids);
    int r = recipe_prompt_ids(o->recipe, o->data, t, o->tokenizer, row, &c->ids, e);
    if (r != 0)
        return r;
    s->prompt_len = (uint32_t)(id_count(&c->ids) - s->prompt);
    if (o->demos && (r = add_completion(o, row, &c->ids, e)) != 0)
        return r;
    s->completion_len = (uint32_t)(id_count(&c->ids) - s->prompt - s->prompt_len);
    size_t longest = s->prompt_len + (o->demos ? (size_t)s->completion_len : o->max_tokens);
    if (longest > o->model->context)
        return err_set(e, ERR_DATA,
            "[data %s] row %s: prompt of %u and completion of %zu tokens, the model's context is "
            "%u",
            o->recipe->data[o->data].name, row->key, s->prompt_len, longest - s->prompt_len,
            o->model->context);
    return 0;
}

static int corpus_fill(const struct corpus_options *o, struct corpus *c, struct err *e)
{
    const struct recipe_data *d = &o->recipe->data[o->data];
    int r = recipe_dataset_open(o->recipe, o->data, o->dir, &c->dataset, e);
    if (r != 0)
        return r;
    c->count = dataset_count(c->dataset);
    if (c->count == 0)
        return err_set(
            e, ERR_DATA, "[data %s]: no row is in this split, at least one is needed", d->name);
    c->spans = mem_array(c->count, sizeof(*c->spans));
    struct template *t;
    if ((r = template_open(d->template, &t, e)) != 0)
        return err_ctx(e, "[data %s] template", d->name);
    for (size_t i = 0; r == 0 && i < c->count; i++)
        r = add_row(o, t, c, i, e);
    template_free(t);
    return r;
}

int corpus_open(const struct corpus_options *o, struct corpus **ret, struct err *e)
{
    struct corpus *c = mem_alloc(sizeof(*c));
    int r = corpus_fill(o, c, e);
    if (r != 0) {
        corpus_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void corpus_free(struct corpus *c)
{
    if (c == NULL)
        return;
    dataset_free(c->dataset);
    buf_done(&c->ids);
    free(c->spans);
    free(c);
}

size_t corpus_count(const struct corpus *c)
{
    return c->count;
}

const struct dataset_row *corpus_row(const struct corpus *c, size_t i)
{
    return dataset_row(c->dataset, i);
}

const uint32_t *corpus_prompt(const struct corpus *c, size_t i, uint32_t *ret_len)
{
    *ret_len = c->spans[i].prompt_len;
    return (const uint32_t *)(const void *)c->ids.data + c->spans[i].prompt;
}

struct train_completion corpus_completion(const struct corpus *c, size_t i)
{
    const struct span *s = &c->spans[i];
    const uint32_t *ids = (const uint32_t *)(const void *)c->ids.data;
    return (struct train_completion){ids + s->prompt + s->prompt_len, s->completion_len};
}
