/* digest.c: `cohort digest`: the digest of a model directory's or a run's parameters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/rundb.h"
#include "common/base/file.h"
#include "common/model/params.h"

struct digest_args {
    const char *path;
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct digest_args *args = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        args_take(&args->path, arg, "RUN or MODEL directory", state);
        return 0;
    case ARGP_KEY_END:
        if (args->path == NULL)
            argp_error(state, "a RUN or MODEL directory is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Digest of the parameters that `read` fills: from a directory or from one file. */
static int digest_read(const struct model_config *config, const char *path,
    int (*read)(const char *path, struct params *p, struct err *e), struct hash *ret, struct err *e)
{
    struct param_table *table = NULL;
    struct params params = {0};
    int rc = param_table_new(config, &table, e);
    if (rc == 0)
        rc = params_new(table, &params, e);
    if (rc == 0)
        rc = read(path, &params, e);
    if (rc == 0)
        *ret = params_digest(&params);
    params_done(&params);
    param_table_free(table);
    return rc;
}

static int read_file(const char *path, struct params *p, struct err *e)
{
    return params_read(p, path, e);
}

static int model_digest(const char *dir, struct hash *ret, struct err *e)
{
    struct model_config config;
    if (model_dir_config(dir, &config, e) < 0)
        return e->code;
    return digest_read(&config, dir, model_dir_read, ret, e);
}

/* The newest version's file, when it is still there, must hold what the row says. */
static int check_file(struct rundb *db, const char *file, const struct hash *stored, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", rundb_dir(db), file);
    if (file[0] == '\0' || !file_exists(path))
        return 0;
    CLEANUP_FREE char *json = NULL;
    int found = rundb_one_text(db, "SELECT model_config FROM run", NULL, 0, &json, e);
    if (found < 0)
        return found;
    if (found == 0)
        return err_set(e, ERR_DATA, "%s/run.db: the run has no model yet", rundb_dir(db));
    struct model_config config;
    struct hash actual;
    if (model_config_parse(json, strlen(json), "run.model_config", &config, e) < 0 ||
        digest_read(&config, path, read_file, &actual, e) < 0)
        return e->code;
    char want[HASH_HEX], have[HASH_HEX];
    if (!hash_equal(&actual, stored))
        return err_set(e, ERR_DATA, "%s: digest %s, its version was published with %s", path,
            hash_hex(&actual, have), hash_hex(stored, want));
    return 0;
}

static int run_digest(const char *dir, struct hash *ret, struct err *e)
{
    struct rundb *db = NULL;
    if (rundb_open(dir, &db, e) < 0)
        return e->code;
    struct rundb_query *q = NULL;
    int rc = rundb_prepare(
        db, "SELECT digest, coalesce(path, '') FROM versions ORDER BY version DESC LIMIT 1", &q, e);
    if (rc == 0)
        rc = rundb_next(q, e);
    size_t bytes = 0;
    const void *digest = rc == 1 ? rundb_blob(q, 0, &bytes) : NULL;
    if (rc == 0)
        rc = err_set(e, ERR_DATA, "%s: the run has not published a version yet", dir);
    else if (rc == 1 && bytes != HASH_BYTES)
        rc = err_set(
            e, ERR_DATA, "%s/run.db: a digest of %zu bytes, expected %d", dir, bytes, HASH_BYTES);
    if (rc == 1) {
        memcpy(ret->b, digest, HASH_BYTES);
        rc = check_file(db, rundb_text(q, 1), ret, e);
    }
    rundb_done(&q);
    rundb_close(db);
    return rc;
}

int cmd_digest(int argc, char **argv)
{
    struct digest_args args = {0};
    static const struct argp argp = {.parser = parse_opt,
        .args_doc = "RUN|MODEL",
        .doc = "Prints the digest of the parameters of a model directory, or of a run's newest "
               "version: 64 hexadecimal digits. Two models are the same, bit for bit, when their "
               "digests are.\v"
               "Example:\n"
               "  cohort digest quickstart-run\n"
               "  cohort digest quickstart-run/models/zero\n"};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    struct hash digest;
    CLEANUP_FREE char *db = mem_printf("%s/run.db", args.path);
    int rc =
        file_exists(db) ? run_digest(args.path, &digest, &e) : model_digest(args.path, &digest, &e);
    if (rc < 0)
        return command_failed("digest", &e);
    char hex[HASH_HEX];
    printf("%s  %s\n", hash_hex(&digest, hex), args.path);
    return 0;
}
