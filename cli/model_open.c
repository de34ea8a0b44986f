/* model_open.c: from a model directory to an engine. */
#include "cli/model_open.h"

#include "common/base/file.h"
#include "common/base/mem.h"

static int open_parts(const char *dir, const struct engine_options *o, enum weights_type type,
    struct cli_model *m, struct err *e)
{
    struct model_config config;
    CLEANUP_FREE char *run = mem_printf("%s/run.db", dir);
    if (file_exists(run))
        return err_set(e, ERR_DATA,
            "'%s' is a run directory; its models are in %s/models, one for each finished stage",
            dir, dir);
    if (model_dir_config(dir, &config, e) < 0 || tokenizer_load(dir, &m->tokenizer, e) < 0)
        return e->code;
    if (tokenizer_size(m->tokenizer) > config.vocab)
        return err_set(e, ERR_DATA, "%s: tokenizer.json has %u ids, config.json says %u", dir,
            tokenizer_size(m->tokenizer), config.vocab);
    if (param_table_new(&config, &m->table, e) < 0 || engine_new(&config, o, &m->engine, e) < 0)
        return e->code;
    struct params params = {0};
    int rc = params_new(m->table, &params, e);
    if (rc == 0)
        rc = model_dir_read(dir, &params, e);
    if (rc == 0)
        rc = engine_load(m->engine, &params, type, e);
    if (rc == 0)
        m->digest = params_digest(&params);
    params_done(&params);
    return rc;
}

int cli_model_open(const char *dir, const struct engine_options *o, enum weights_type type,
    struct cli_model *ret, struct err *e)
{
    struct cli_model m = {0};
    int rc = open_parts(dir, o, type, &m, e);
    if (rc < 0) {
        cli_model_close(&m);
        return rc;
    }
    *ret = m;
    return 0;
}

uint32_t cli_model_max_tokens(const struct cli_model *m, size_t prompt_len)
{
    uint32_t context = m->table->config.context;
    if (prompt_len >= context)
        return 1; /* the engine refuses the prompt */
    uint32_t left = context - (uint32_t)prompt_len;
    return left < CLI_MAX_TOKENS ? left : CLI_MAX_TOKENS;
}

void cli_model_close(struct cli_model *m)
{
    engine_free(m->engine);
    param_table_free(m->table);
    tokenizer_free(m->tokenizer);
    *m = (struct cli_model){0};
}
