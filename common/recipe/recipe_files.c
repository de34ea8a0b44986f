/* recipe_files.c: the model and the datasets that a recipe names. */
#include "common/recipe/recipe_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"

int recipe_tokenizer_open(const struct recipe *r, struct tokenizer **ret, struct err *e)
{
    if (r->model_path[0])
        return tokenizer_load(r->model_path, ret, e);
    CLEANUP_BUF struct buf json = {0};
    size_t added_count;
    const char *const *added = generator_added_tokens(&added_count);
    const char *characters = r->characters[0] ? r->characters : generator_characters();
    if (tokenizer_make_chars(characters, added, added_count, &json, e) < 0)
        return err_ctx(e, "[model] characters");
    return tokenizer_parse((const char *)json.data, json.len, "tokenizer.json", ret, e);
}

static int open_stored(const struct recipe *r, struct recipe_model *m, struct err *e)
{
    struct model_config c;
    if (model_dir_config(r->model_path, &c, e) < 0 ||
        recipe_tokenizer_open(r, &m->tokenizer, e) < 0)
        return e->code;
    if (tokenizer_size(m->tokenizer) > c.vocab)
        return err_set(e, ERR_DATA, "%s: tokenizer.json has %u ids, config.json says vocab_size %u",
            r->model_path, tokenizer_size(m->tokenizer), c.vocab);
    if (c.eos_count == 0)
        return err_set(e, ERR_DATA, "%s/config.json: no eos_token_id: completions could never end",
            r->model_path);
    if (param_table_new(&c, &m->table, e) < 0 || params_new(m->table, &m->params, e) < 0)
        return e->code;
    return model_dir_read(r->model_path, &m->params, e);
}

static int open_random(const struct recipe *r, struct recipe_model *m, struct err *e)
{
    if (recipe_tokenizer_open(r, &m->tokenizer, e) < 0)
        return e->code;
    struct model_config c = r->model;
    c.vocab = tokenizer_size(m->tokenizer);
    c.eos[0] = 0; /* the first added token ends a text: tokenizer_make_chars */
    c.eos_count = 1;
    if (model_config_check(&c, e) < 0 || param_table_new(&c, &m->table, e) < 0 ||
        params_new(m->table, &m->params, e) < 0)
        return e->code;
    params_init_random(&m->params, r->seed);
    return 0;
}

int recipe_model_open(const struct recipe *r, struct recipe_model *ret, struct err *e)
{
    struct recipe_model m = {0};
    int rc = r->model_path[0] ? open_stored(r, &m, e) : open_random(r, &m, e);
    if (rc < 0) {
        recipe_model_done(&m);
        return rc;
    }
    *ret = m;
    return 0;
}

void recipe_model_done(struct recipe_model *m)
{
    params_done(&m->params);
    param_table_free(m->table);
    tokenizer_free(m->tokenizer);
    *m = (struct recipe_model){0};
}

static int generate(const struct recipe_data *d, const char *dir, const char *path, struct err *e)
{
    CLEANUP_BUF struct buf rows = {0};
    if (generator_write(&d->gen, &rows, e) < 0)
        return err_ctx(e, "[data %s]", d->name);
    if (file_mkdirs(dir, 0755, e) < 0)
        return e->code;
    return file_write_atomic(path, rows.data, rows.len, e);
}

int recipe_dataset_open(
    const struct recipe *r, size_t data, const char *dir, struct dataset **ret, struct err *e)
{
    const struct recipe_data *d = &r->data[data];
    if (!d->generator[0])
        return dataset_load(d->path, d->format, d->split, d->heldout_permille, ret, e);
    CLEANUP_FREE char *path = mem_printf("%s/%s.jsonl", dir, d->name);
    if (!file_exists(path) && generate(d, dir, path, e) < 0)
        return e->code;
    return dataset_load(path, d->gen.demos ? "demos" : "tasks", SPLIT_ALL, 0, ret, e);
}

int recipe_prompt_ids(const struct recipe *r, size_t data, const struct template *t,
    const struct tokenizer *tok, const struct dataset_row *row, struct buf *out, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    template_render(t, row->prompt, &text);
    size_t before = out->len;
    if (tokenizer_encode(tok, text.data, text.len, out, e) < 0)
        return err_ctx(e, "[data %s] row %s", r->data[data].name, row->key);
    size_t ids = (out->len - before) / sizeof(uint32_t);
    if (ids == 0 || ids > LIMIT_PROMPT_TOKENS)
        return err_set(e, ERR_LIMIT,
            "[data %s] row %s: prompt of %zu tokens, between 1 and %d are allowed",
            r->data[data].name, row->key, ids, LIMIT_PROMPT_TOKENS);
    return 0;
}
