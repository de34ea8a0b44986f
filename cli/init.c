/* init.c: `cohort init`: a randomly initialised model directory from a run file's [model]. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "common/base/file.h"
#include "common/recipe/recipe_files.h"

struct init_args {
    const char *conf, *dir;
    struct args_words sets;
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct init_args *args = state->input;
    switch (key) {
    case 'c':
        args->conf = arg;
        return 0;
    case 's':
        args_words_add(&args->sets, arg);
        return 0;
    case ARGP_KEY_ARG:
        args_take(&args->dir, arg, "DIR", state);
        return 0;
    case ARGP_KEY_END:
        if (args->dir == NULL || args->conf == NULL)
            argp_error(state, "--conf CONF and DIR are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int init_model(const struct recipe *r, const char *dir, struct err *e)
{
    if (file_exists(dir))
        return err_set(e, ERR_DATA, "%s exists already; remove it or name another", dir);
    struct recipe_model model = {0};
    if (recipe_model_open(r, &model, e) < 0)
        return e->code;
    const struct buf *tokenizer = tokenizer_json(model.tokenizer);
    int rc = model_dir_write(dir, &model.params, tokenizer->data, tokenizer->len, e);
    if (rc == 0) {
        char hex[HASH_HEX];
        struct hash digest = params_digest(&model.params);
        printf("%s: %zu parameters, %u tokens, digest %s\n", dir,
            model_config_parameters(&model.table->config), tokenizer_size(model.tokenizer),
            hash_hex(&digest, hex));
    }
    recipe_model_done(&model);
    return rc;
}

int cmd_init(int argc, char **argv)
{
    struct init_args args = {0};
    static const struct argp_option options[] = {
        {"conf", 'c', "CONF", 0, "run file whose [model] and [run] seed say what to make", 0},
        {"set", 's', "SECTION.KEY=VALUE", 0, "changes an option of CONF; may be repeated", 0}, {0}};
    static const struct argp argp = {.options = options,
        .parser = parse_opt,
        .args_doc = "DIR",
        .doc = "Makes a randomly initialised model: a Hugging Face directory with config.json, "
               "model.safetensors and tokenizer.json.\v"
               "Example:\n"
               "  cohort init --conf examples/quickstart.conf --set model.hidden=128 my-model\n"};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    struct recipe recipe = {0};
    struct config *config = config_new(recipe_options);
    int rc = recipe_read(config, args.conf, args.sets.items, args.sets.count, &e);
    if (rc == 0)
        rc = recipe_make(config, &recipe, &e);
    if (rc == 0)
        rc = init_model(&recipe, args.dir, &e);
    recipe_done(&recipe);
    config_free(config);
    args_words_done(&args.sets);
    return rc < 0 ? command_failed("init", &e) : 0;
}
