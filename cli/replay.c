/* replay.c: `cohort replay`: samples a group again from its stored key and weights, and compares
 * every token and every bit of the log-probs with what is stored (DESIGN G5, G6).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/stored_group.h"
#include "common/base/file.h"
#include "common/model/engine.h"

enum { KEY_THREADS = 256, KEY_ISA };

struct replay_args {
    const char *run, *group;
    uint64_t id;
    struct engine_options engine;
};

/* ---- the weights ---- */

/* "12 to 15, 20": runs of versions whose file is still there. */
static int list_kept(const struct stored_run *r, struct buf *out, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(
        r->db, "SELECT version FROM versions WHERE path IS NOT NULL ORDER BY version", &q, e);
    int64_t first = -1, last = -1;
    while (rc >= 0 && (rc = rundb_next(q, e)) == 1) {
        int64_t version = rundb_int(q, 0);
        if (first >= 0 && version == last + 1) {
            last = version;
            continue;
        }
        if (first >= 0)
            buf_printf(out, last > first ? " to %" PRId64 ", " : ", ", last);
        buf_printf(out, "%" PRId64, version);
        first = last = version;
    }
    if (last > first)
        buf_printf(out, " to %" PRId64, last);
    return rc;
}

static int is_pruned(const struct stored_run *r, const struct stored_group *g, struct err *e)
{
    CLEANUP_BUF struct buf kept = {0};
    int rc = list_kept(r, &kept, e);
    if (rc < 0)
        return rc;
    return err_set(e, ERR_DATA,
        "group %" PRIu64 " was sampled from version %" PRIu64
        ", whose file is not kept any more; kept are: %s",
        g->id, g->version, kept.len > 0 ? (const char *)kept.data : "none");
}

static int find_weights(const struct stored_run *r, const struct stored_group *g, char **ret_path,
    struct hash *ret_digest, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(
        r->db, "SELECT digest, coalesce(path, '') FROM versions WHERE version = ?1", &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)g->version);
    rc = rundb_next(q, e);
    if (rc < 0)
        return rc;
    CLEANUP_FREE char *path =
        mem_printf("%s/%s", rundb_dir(r->db), rc == 1 ? rundb_text(q, 1) : "");
    if (rc == 0 || rundb_text(q, 1)[0] == '\0' || !file_exists(path))
        return is_pruned(r, g, e);
    *ret_path = steal(&path);
    return stored_hash(q, 0, "digest of a version", ret_digest, e);
}

static int check_weights(const struct params *p, const struct stored_group *g, const char *path,
    const struct hash *published, struct err *e)
{
    char have[HASH_HEX], want[HASH_HEX];
    struct hash digest = params_digest(p);
    if (!hash_equal(&digest, published))
        return err_set(e, ERR_DATA, "%s: digest %s, version %" PRIu64 " was published with %s",
            path, hash_hex(&digest, have), g->version, hash_hex(published, want));
    if (!hash_equal(published, &g->weights))
        return err_set(e, ERR_DATA,
            "group %" PRIu64 " was sampled from weights %s, version %" PRIu64 " has %s", g->id,
            hash_hex(&g->weights, have), g->version, hash_hex(published, want));
    return 0;
}

/* An engine with the group's weights. */
static int open_engine(const struct stored_run *r, const struct stored_group *g,
    const struct model_config *model, const struct engine_options *o, struct engine **ret,
    struct err *e)
{
    struct param_table *table = NULL;
    struct params params = {0};
    struct hash published;
    CLEANUP_FREE char *path = NULL;
    int rc = find_weights(r, g, &path, &published, e);
    if (rc == 0)
        rc = param_table_new(model, &table, e);
    if (rc == 0)
        rc = params_new(table, &params, e);
    if (rc == 0)
        rc = params_read(&params, path, e);
    if (rc == 0)
        rc = check_weights(&params, g, path, &published, e);
    if (rc == 0)
        rc = engine_new(model, o, ret, e);
    if (rc == 0)
        rc = engine_load(*ret, &params, g->weights_type, e);
    params_done(&params);
    param_table_free(table);
    return rc;
}

/* ---- comparing ---- */

static uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

/* Index of the first token that differs, up to the shorter length. */
static uint32_t first_difference(const struct completion *a, const struct sampled *b)
{
    uint32_t n = a->len < b->len ? a->len : b->len, t = 0;
    while (
        t < n && a->tokens[t] == b->tokens[t] && float_bits(a->logp[t]) == float_bits(b->logp[t]))
        t++;
    return t;
}

/* True when the completion is the same; else says where it begins to differ. */
static bool compare(uint32_t index, const struct completion *stored, const struct sampled *again)
{
    uint32_t t = first_difference(stored, again);
    if (t == stored->len && t == again->len && stored->stop == again->stop)
        return true;
    printf("different: completion %u, token %u\n", index, t);
    if (t < stored->len)
        printf("  stored         token %u, log-prob %.9g (bits %08x)\n", stored->tokens[t],
            (double)stored->logp[t], float_bits(stored->logp[t]));
    else
        printf("  stored         ends here by %s\n", stop_reason_name(stored->stop));
    if (t < again->len)
        printf("  sampled again  token %u, log-prob %.9g (bits %08x)\n", again->tokens[t],
            (double)again->logp[t], float_bits(again->logp[t]));
    else
        printf("  sampled again  ends here by %s\n", stop_reason_name(again->stop));
    return false;
}

static bool compare_all(const struct stored_group *g, const struct sampled *again)
{
    unsigned long long tokens = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        if (!compare(i, &g->completions[i], &again[i]))
            return false;
        tokens += g->completions[i].len;
    }
    printf("same bits: %u completion%s, %llu tokens and as many log-probs\n", g->n,
        g->n == 1 ? "" : "s", tokens);
    return true;
}

/* ---- the command ---- */

static int print_group(const struct stored_group *g, const char *isa, struct err *e)
{
    char hex[HASH_HEX], own_hex[HASH_HEX];
    struct hash own;
    if (numerics_id(isa, &own, e) < 0)
        return e->code;
    printf("group %" PRIu64 ": %s, stage %s, step %u, slot %u, task %" PRIu64
           "; %u completion%s, %s\n",
        g->id, purpose_name(g->purpose), g->stage_name, g->step, g->slot, g->task, g->n,
        g->n == 1 ? "" : "s", g->greedy ? "greedy" : "sampled");
    printf("weights: version %" PRIu64 ", %s, sampled as %s\n", g->version,
        hash_hex(&g->weights, hex), weights_type_name(g->weights_type));
    printf("key: seed %" PRIu64 ", domain %s, stage %u, ordinal %" PRIu64 "; temperature %g\n",
        g->key.seed, purpose_name(g->purpose), g->key.stage, g->key.ordinal,
        (double)g->temperature);
    printf("sampled by %s, numerics id %s\n", g->worker, hash_hex(&g->numerics_id, hex));
    if (!hash_equal(&own, &g->numerics_id))
        printf("this machine has numerics id %s: other bits are to be expected\n",
            hash_hex(&own, own_hex));
    return 0;
}

static struct sample_request request_of(
    const struct stored_group *g, const struct model_config *model, uint32_t vocab)
{
    return (struct sample_request){.prompt = g->prompt,
        .prompt_len = g->prompt_len,
        .n = g->n,
        .params = {.temperature = g->temperature,
            .max_tokens = g->max_tokens,
            .vocab = vocab,
            .top_p = 1,
            .stop = model->eos,
            .stop_count = model->eos_count},
        .key = g->key};
}

/* 1: the same bits, 0: different ones. */
static int replay_group(const struct replay_args *args, const struct stored_run *r,
    const struct stored_group *g, struct err *e)
{
    struct model_config model;
    struct tokenizer *tokenizer = NULL;
    struct engine *engine = NULL;
    struct sampled *again = NULL;
    int rc =
        model_config_parse(r->model_config, strlen(r->model_config), "run.model_config", &model, e);
    if (rc == 0)
        rc = open_engine(r, g, &model, &args->engine, &engine, e);
    if (rc == 0)
        rc = stored_run_tokenizer(r, &tokenizer, e);
    if (rc == 0)
        rc = print_group(g, args->engine.isa, e);
    if (rc == 0) {
        struct sample_request request = request_of(g, &model, tokenizer_size(tokenizer));
        rc = engine_sample(engine, &request, &again, e);
    }
    if (rc == 0) {
        rc = compare_all(g, again);
        sampled_free(again, g->n);
    }
    engine_free(engine);
    tokenizer_free(tokenizer);
    return rc;
}

static int replay(const struct replay_args *args, struct err *e)
{
    struct stored_run run = {0};
    struct stored_group group = {0};
    int rc = stored_run_open(args->run, &run, e);
    if (rc == 0)
        rc = stored_group_open(&run, args->id, &group, e);
    if (rc == 0)
        rc = stored_group_samples(&run, &group, e);
    if (rc == 0)
        rc = replay_group(args, &run, &group, e);
    stored_group_close(&group);
    stored_run_close(&run);
    return rc;
}

static bool is_isa(const char *name)
{
    static const char *const names[] = {"auto", "amx", "avx512vnni", "avx512", "avx2", "portable"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct replay_args *args = state->input;
    switch (key) {
    case KEY_THREADS:
        args->engine.threads = (unsigned)args_integer(arg, "--threads", 1, 256, state);
        return 0;
    case KEY_ISA:
        if (!is_isa(arg))
            argp_error(
                state, "--isa %s: expected auto, amx, avx512vnni, avx512, avx2 or portable", arg);
        args->engine.isa = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (args->run == NULL)
            args->run = arg;
        else
            args_take(&args->group, arg, "GROUP_ID", state);
        return 0;
    case ARGP_KEY_END:
        if (args->group == NULL)
            argp_error(state, "RUN and GROUP_ID are needed");
        args->id = args_integer(args->group, "GROUP_ID", 1, INT64_MAX / LIMIT_GROUP, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_replay(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"threads", KEY_THREADS, "N", 0, "threads (1); the results do not depend on it", 0},
        {"isa", KEY_ISA, "NAME", 0,
            "auto, amx, avx512vnni, avx512, avx2 or portable; the results do not depend on it", 0},
        {0}};
    static const struct argp argp = {.options = options,
        .parser = parse_opt,
        .args_doc = "RUN GROUP_ID",
        .doc = "Samples a group again from its stored key and weights, and compares each token and "
               "each bit of the log-probabilities with what the run has stored. Exit status 0: the "
               "same bits; 1: different, and where; 4: the weights or samples are not kept any "
               "more.\v"
               "Example:\n"
               "  cohort inspect quickstart-run groups --limit 5\n"
               "  cohort replay quickstart-run 4711\n"
               "A completion's group is its id divided by 1024.\n"};
    struct replay_args args = {.engine = {.threads = 1, .isa = "auto"}};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    int rc = replay(&args, &e);
    if (rc < 0)
        return command_failed("replay", &e);
    return rc == 1 ? 0 : 1;
}
