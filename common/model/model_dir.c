/* model_dir.c: parameters from and to safetensors files, and model directories in the layout of
 * Hugging Face. Every tensor of the table must be found exactly once, in the right shape, before
 * any is read. */
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/model/params.h"
#include "common/model/safetensors.h"

enum {
    CONFIG_BYTES_MAX = 1 << 20,
    INDEX_BYTES_MAX = 16 << 20,
    SHARDS_MAX = 1024,
};

/* Where each parameter of the table was found. */
struct source {
    const struct safetensors *file;
    const struct safetensors_entry *entry;
};

/* Tensors that files carry and the forward does not read: a copy of a tied head, and the RoPE
 * frequencies that old Llama checkpoints stored. */
static bool is_redundant(const struct model_config *c, const char *name)
{
    size_t n = strlen(name);
    static const char inv_freq[] = ".rotary_emb.inv_freq";
    if (c->tied && strcmp(name, "lm_head.weight") == 0)
        return true;
    return n >= sizeof(inv_freq) && strcmp(name + n - (sizeof(inv_freq) - 1), inv_freq) == 0;
}

static int check_shape(const struct param *p, const struct safetensors_entry *t, struct err *e)
{
    if (t->dtype == SAFETENSORS_OTHER)
        return err_set(e, ERR_DATA, "tensor '%s' is %s, only F32, F16 and BF16 are read", p->name,
            t->dtype_name);
    if (t->rank != p->rank)
        return err_set(e, ERR_DATA, "tensor '%s' has %u dimensions, the model has %u", p->name,
            t->rank, p->rank);
    for (uint32_t d = 0; d < p->rank; d++) {
        if (t->shape[d] != p->shape[d])
            return err_set(e, ERR_DATA, "tensor '%s': dimension %u is %llu, the model has %u",
                p->name, d, (unsigned long long)t->shape[d], p->shape[d]);
    }
    return 0;
}

/* Adds a file's tensors to the sources, one for each entry of the table. */
static int match(
    const struct param_table *t, const struct safetensors *s, struct source *sources, struct err *e)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct safetensors_entry *entry = &s->entries[i];
        const struct param *p = param_find(t, entry->name);
        if (!p && is_redundant(&t->config, entry->name))
            continue;
        if (!p)
            return err_set(e, ERR_DATA,
                "'%s': tensor '%.200s' is not part of a %s model of this shape", s->path,
                entry->name, t->config.type);
        struct source *found = &sources[p - t->params];
        if (found->entry)
            return err_set(e, ERR_DATA, "'%s': tensor '%s' was already in '%s'", s->path, p->name,
                found->file->path);
        if (check_shape(p, entry, e) < 0)
            return err_ctx(e, "'%s'", s->path);
        *found = (struct source){s, entry};
    }
    return 0;
}

static int read_files(struct params *p, struct safetensors *files, size_t n, struct err *e)
{
    const struct param_table *t = p->table;
    CLEANUP_FREE struct source *sources = mem_array(t->param_count, sizeof(*sources));
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = match(t, &files[i], sources, e);
    for (size_t i = 0; i < t->param_count && r == 0; i++) {
        if (!sources[i].entry)
            r = err_set(e, ERR_DATA, "'%s'%s: tensor '%s' is missing", files[0].path,
                n > 1 ? " and its other shards" : "", t->params[i].name);
    }
    for (size_t i = 0; i < t->param_count && r == 0; i++)
        r = safetensors_read(sources[i].file, sources[i].entry, p->data + t->params[i].offset, e);
    return r;
}

int params_write(const struct params *p, const char *path, struct err *e)
{
    return safetensors_write(p, path, e);
}

int params_read(struct params *p, const char *path, struct err *e)
{
    struct safetensors file;
    int r = safetensors_open(path, &file, e);
    if (r == 0)
        r = read_files(p, &file, 1, e);
    safetensors_close(&file);
    return r;
}

/* ---- sharded files ---- */

/* The shards that an index names, each once. Names lead nowhere but into the directory itself. */
static int list_shards(const json_t *index, const char **names, size_t *ret_count, struct err *e)
{
    json_t *map = json_object_get(index, "weight_map"), *v;
    const char *tensor;
    size_t count = 0;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return err_set(e, ERR_DATA, "weight_map is not an object with entries");
    json_object_foreach(map, tensor, v)
    {
        const char *file = json_string_value(v);
        if (!file || file[0] == '\0' || file[0] == '.' || strchr(file, '/'))
            return err_set(e, ERR_DATA, "weight_map gives '%.200s' no plain file name", tensor);
        size_t i = 0;
        while (i < count && strcmp(names[i], file) != 0)
            i++;
        if (i == count && count == SHARDS_MAX)
            return err_set(e, ERR_DATA, "weight_map names over %d files", SHARDS_MAX);
        if (i == count)
            names[count++] = file;
    }
    *ret_count = count;
    return 0;
}

static int read_shards(const char *dir, const json_t *index, struct params *p, struct err *e)
{
    CLEANUP_FREE const char **names = mem_array(SHARDS_MAX, sizeof(char *));
    size_t count = 0, opened = 0;
    int r = list_shards(index, names, &count, e);
    if (r < 0)
        return r;
    CLEANUP_FREE struct safetensors *files = mem_array(count, sizeof(*files));
    while (r == 0 && opened < count) {
        CLEANUP_FREE char *path = mem_printf("%s/%s", dir, names[opened]);
        r = safetensors_open(path, &files[opened++], e);
    }
    if (r == 0)
        r = read_files(p, files, count, e);
    for (size_t i = 0; i < opened; i++)
        safetensors_close(&files[i]);
    return r;
}

static int read_index(const char *dir, const char *path, struct params *p, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    int r = file_read(path, INDEX_BYTES_MAX, &text, e);
    if (r < 0)
        return r;
    json_error_t at;
    json_t *index = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &at);
    if (!index)
        return err_set(e, ERR_DATA, "'%s':%d: not JSON: %s", path, at.line, at.text);
    r = read_shards(dir, index, p, e);
    json_decref(index);
    return r < 0 ? err_ctx(e, "'%s'", path) : 0;
}

/* ---- directories ---- */

int model_dir_config(const char *dir, struct model_config *ret, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/config.json", dir);
    CLEANUP_BUF struct buf text = {0};
    if (!file_exists(path))
        return err_set(e, ERR_DATA, "'%s' is no model directory: it has no config.json", dir);
    int r = file_read(path, CONFIG_BYTES_MAX, &text, e);
    return r < 0 ? r : model_config_parse((const char *)text.data, text.len, path, ret, e);
}

int model_dir_read(const char *dir, struct params *p, struct err *e)
{
    CLEANUP_FREE char *index = mem_printf("%s/model.safetensors.index.json", dir);
    CLEANUP_FREE char *whole = mem_printf("%s/model.safetensors", dir);
    return file_exists(index) && !file_exists(whole) ? read_index(dir, index, p, e)
                                                     : params_read(p, whole, e);
}

static int write_files(const char *dir, const struct params *p, const void *tokenizer_json,
    size_t tokenizer_bytes, struct err *e)
{
    CLEANUP_FREE char *config = mem_printf("%s/config.json", dir);
    CLEANUP_FREE char *tensors = mem_printf("%s/model.safetensors", dir);
    CLEANUP_FREE char *tokenizer = mem_printf("%s/tokenizer.json", dir);
    CLEANUP_BUF struct buf text = {0};
    model_config_print(&p->table->config, &text);
    int r = file_mkdirs(dir, 0755, e);
    if (r == 0)
        r = file_write_atomic(config, text.data, text.len, e);
    if (r == 0)
        r = safetensors_write(p, tensors, e);
    if (r == 0 && tokenizer_json)
        r = file_write_atomic(tokenizer, tokenizer_json, tokenizer_bytes, e);
    return r;
}

/* Moves tmp to dir. An older model there is exchanged in one step and removed, so that a crash
 * leaves one or the other whole; anything else that bears the name is refused. */
static int move_into_place(const char *tmp, const char *dir, struct err *e)
{
    CLEANUP_FREE char *config = mem_printf("%s/config.json", dir);
    if (file_exists(config)) {
        if (renameat2(AT_FDCWD, tmp, AT_FDCWD, dir, RENAME_EXCHANGE) < 0)
            return err_sys(e, ERR_FAIL, "exchange '%s' and '%s'", tmp, dir);
        return file_remove_tree(tmp, e);
    }
    if (rename(tmp, dir) < 0)
        return err_sys(e, ERR_FAIL, "rename '%s' to '%s', which is no model directory", tmp, dir);
    return 0;
}

int model_dir_write(const char *dir, const struct params *p, const void *tokenizer_json,
    size_t tokenizer_bytes, struct err *e)
{
    CLEANUP_FREE char *clean = mem_strdup(dir);
    for (size_t n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--)
        clean[n - 1] = '\0';
    CLEANUP_FREE char *tmp = mem_printf("%s.tmp", clean);
    CLEANUP_FREE char *parent = mem_strdup(clean);
    int r = file_remove_tree(tmp, e);
    if (r == 0)
        r = write_files(tmp, p, tokenizer_json, tokenizer_bytes, e);
    if (r == 0)
        r = move_into_place(tmp, clean, e);
    if (r == 0)
        r = file_sync_dir(dirname(parent), e);
    return r < 0 ? err_ctx(e, "write model '%s'", clean) : 0;
}
