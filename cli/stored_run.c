/* stored_run.c: see stored_run.h. */
#include "cli/stored_run.h"

#include <stdlib.h>

#include "common/base/mem.h"

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
        recipe_check(r->config, e) < 0)
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

int stored_run_tokenizer(const struct stored_run *r, struct tokenizer **ret, struct err *e)
{
    struct tokenizer *t = NULL;
    if (tokenizer_load(rundb_dir(r->db), &t, e) < 0)
        return e->code;
    if (!is_the_runs(r, t)) {
        tokenizer_free(t);
        return err_set(e, ERR_DATA,
            "%s/tokenizer.json is not the one that the run was made with (another hash)",
            rundb_dir(r->db));
    }
    *ret = t;
    return 0;
}
