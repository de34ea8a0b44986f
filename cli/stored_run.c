/* stored_run.c: see stored_run.h. */
#include "cli/stored_run.h"

#include <stdlib.h>

#include "common/base/file.h"
#include "common/recipe/recipe_files.h"

int stored_hash(
    struct rundb_query *q, int column, const char *what, struct hash *ret, struct err *e)
{
    size_t bytes;
    const void *data = rundb_blob(q, column, &bytes);
    if (bytes != HASH_BYTES)
        return err_set(
            e, ERR_DATA, "%s of %zu bytes in the tables, expected %d", what, bytes, HASH_BYTES);
    memcpy(ret->b, data, HASH_BYTES);
    return 0;
}

static int read_row(struct stored_run *r, char **ret_config, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(r->db, "SELECT seed, config, model_config, tokenizer FROM run", &q, e);
    if (rc == 0)
        rc = rundb_next(q, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, ERR_RETRY, "the tables describe no run yet");
    r->seed = (uint64_t)rundb_int(q, 0);
    *ret_config = mem_strdup(rundb_text(q, 1));
    r->model_config = mem_strdup(rundb_text(q, 2));
    return stored_hash(q, 3, "hash of the tokenizer", &r->tokenizer_hash, e);
}

static int read_recipe(struct stored_run *r, const char *text, struct err *e)
{
    r->config = config_new(recipe_options);
    if (config_read_text(r->config, "run.config", text, strlen(text), e) < 0 ||
        config_check(r->config, e) < 0)
        return e->code;
    return recipe_make(r->config, &r->recipe, e);
}

int stored_run_open(const char *run_dir, struct stored_run *ret, struct err *e)
{
    struct stored_run r = {0};
    CLEANUP_FREE char *config = NULL;
    int rc = rundb_open(run_dir, &r.db, e);
    if (rc == 0 && (rc = read_row(&r, &config, e)) == 0)
        rc = read_recipe(&r, config, e);
    if (rc < 0) {
        bool opened = r.db != NULL;
        stored_run_close(&r);
        return opened ? err_ctx(e, "%s/run.db", run_dir) : rc;
    }
    *ret = r;
    return 0;
}

void stored_run_close(struct stored_run *r)
{
    recipe_done(&r->recipe);
    config_free(r->config);
    free(r->model_config);
    rundb_close(r->db);
    *r = (struct stored_run){0};
}

/* ---- the tokenizer ---- */

static bool is_the_runs(const struct stored_run *r, const struct tokenizer *t)
{
    struct hash have = hash_of(tokenizer_json(t)->data, tokenizer_json(t)->len);
    return hash_equal(&have, &r->tokenizer_hash);
}

/* The name of each stage that is done, newest first, becomes a directory to look into. */
static int from_models(const struct stored_run *r, struct tokenizer **ret, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(
        r->db, "SELECT name FROM stages WHERE state = 'finished' ORDER BY stage DESC", &q, e);
    while (rc == 0 && (rc = rundb_next(q, e)) == 1) {
        CLEANUP_FREE char *dir = mem_printf("%s/models/%s", rundb_dir(r->db), rundb_text(q, 0));
        CLEANUP_FREE char *path = mem_printf("%s/tokenizer.json", dir);
        struct tokenizer *t = NULL;
        struct err ignored = {0};
        rc = 0; /* a model directory may have been moved away: then the next one serves */
        if (!file_exists(path) || tokenizer_load(dir, &t, &ignored) < 0)
            continue;
        if (is_the_runs(r, t)) {
            *ret = t;
            return 1;
        }
        tokenizer_free(t);
    }
    return rc;
}

int stored_run_tokenizer(const struct stored_run *r, struct tokenizer **ret, struct err *e)
{
    struct tokenizer *t = NULL;
    int rc = from_models(r, ret, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (recipe_tokenizer_open(&r->recipe, &t, e) < 0)
        return err_ctx(e, "the run's tokenizer");
    if (!is_the_runs(r, t)) {
        tokenizer_free(t);
        return err_set(e, ERR_DATA,
            "tokenizer.json of '%s' is not the one that the run was made with (another hash)",
            r->recipe.model_path[0] ? r->recipe.model_path : "the generators");
    }
    *ret = t;
    return 0;
}
