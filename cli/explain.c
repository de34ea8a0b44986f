/* explain.c: `cohort explain`: the whole story of one completion: its task, who sampled it, what it
 * says, what it was worth and why, and which update it went into. The parts are in explain_*.c.
 */
#include "cli/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/args.h"
#include "cli/commands.h"

enum { KEY_TOKENS = 256, KEY_JSON, TOKENS_SHOWN = 256, LABEL_WIDTH = 12 };

struct explain_args {
    const char *run, *completion;
    uint64_t id;
    uint32_t tokens_max; /* UINT32_MAX: not given */
    bool json;
};

void explain_say(const char *label, const char *fmt, ...)
{
    va_list ap;
    printf("  %-*s", LABEL_WIDTH, label);
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
}

static int tell(struct explain *x, const struct explain_args *args, struct err *e)
{
    printf("Completion %" PRIu64 ": number %u of group %" PRIu64 " in %s\n", args->id, x->index,
        x->group.id, args->run);
    if (explain_task(x, e) < 0 || explain_sampling(x, e) < 0)
        return e->code;
    if (!x->group.sampled)
        return 0;
    if (explain_completion(x, e) < 0 || explain_scores(x, e) < 0 || explain_advantage(x, e) < 0)
        return e->code;
    return explain_training(x, e);
}

static int explain(const struct explain_args *args, struct err *e)
{
    bool given = args->tokens_max != UINT32_MAX;
    struct explain x = {.tokens_max = given || args->json ? args->tokens_max : TOKENS_SHOWN,
        .index = args->id % LIMIT_GROUP};
    uint64_t group = args->id / LIMIT_GROUP;
    int rc = stored_run_open(args->run, &x.run, e);
    if (rc == 0)
        rc = rundb_snapshot_begin(x.run.db, e); /* one moment of a run that goes on */
    if (rc == 0)
        rc = stored_group_open(&x.run, group, &x.group, e);
    if (rc == 0 && x.index >= x.group.n)
        rc = err_set(e, ERR_DATA,
            "completion %" PRIu64 ": group %" PRIu64 " has %u completions, ids %" PRIu64
            " to %" PRIu64,
            args->id, group, x.group.n, group * LIMIT_GROUP, group * LIMIT_GROUP + x.group.n - 1);
    if (rc == 0) {
        if (stored_run_tokenizer(&x.run, &x.tokenizer, &x.tokenizer_err) < 0)
            x.tokenizer = NULL; /* the story goes on without it */
        rc = args->json ? explain_json(&x, e) : tell(&x, args, e);
    }
    tokenizer_free(x.tokenizer);
    stored_group_close(&x.group);
    if (x.run.db != NULL)
        rundb_snapshot_end(x.run.db);
    stored_run_close(&x.run);
    return rc;
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct explain_args *args = state->input;
    switch (key) {
    case KEY_TOKENS:
        args->tokens_max =
            (uint32_t)args_integer(arg, "--tokens", 0, LIMIT_COMPLETION_TOKENS, state);
        return 0;
    case KEY_JSON:
        args->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (args->run == NULL)
            args->run = arg;
        else
            args_take(&args->completion, arg, "COMPLETION_ID", state);
        return 0;
    case ARGP_KEY_END:
        if (args->completion == NULL)
            argp_error(state, "RUN and COMPLETION_ID are needed");
        args->id = args_integer(args->completion, "COMPLETION_ID", LIMIT_GROUP, INT64_MAX, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_explain(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"tokens", KEY_TOKENS, "N", 0,
            "tokens shown with their log-probabilities (256; with --json all)", 0},
        {"json", KEY_JSON, NULL, 0, "one object: the same facts, for programs", 0}, {0}};
    static const struct argp argp = {.options = options,
        .parser = parse_opt,
        .args_doc = "RUN COMPLETION_ID",
        .doc = "Tells the story of one completion: its task, who sampled it from which weights, "
               "its tokens, each score with its reason, the reward and the advantage as "
               "arithmetic, and the update that it went into, or why there is none.\v"
               "An id is group id x 1024 + index, as in the views. Example:\n"
               "  sqlite3 -readonly quickstart-run/run.db \\\n"
               "      \"SELECT id, text FROM v_completions WHERE verdict = 'wrong' LIMIT 5\"\n"
               "  cohort explain quickstart-run 4823041\n"
               "  cohort explain quickstart-run 4823041 --json | jq '.scores[].reason'\n"};
    struct explain_args args = {.tokens_max = UINT32_MAX};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    int rc = explain(&args, &e);
    return rc < 0 ? command_failed("explain", &e) : 0;
}
