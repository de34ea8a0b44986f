/* sample.c: `cohort sample`: completions of one prompt. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/display.h"
#include "cli/model_open.h"
#include "common/base/log.h"
#include "common/text/template.h"
#include "proto/limits.h"

enum {
    KEY_TOP_K = 256,
    KEY_TOP_P,
    KEY_MIN_P,
    KEY_SEED,
    KEY_TEMPLATE,
    KEY_THREADS,
    KEY_WEIGHTS,
    KEY_JSON
};

struct sample_args {
    const char *model, *prompt, *template;
    uint32_t n;
    uint64_t seed;
    struct sample_params params;
    unsigned threads;
    enum weights_type weights;
    bool json;
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct sample_args *args = state->input;
    struct sample_params *p = &args->params;
    switch (key) {
    case 'p':
        args->prompt = arg;
        return 0;
    case 'n':
        args->n = (uint32_t)args_integer(arg, "-n", 1, LIMIT_GROUP, state);
        return 0;
    case 't':
        p->temperature = (float)args_number(arg, "--temperature", 0, 100, state);
        return 0;
    case 'm':
        p->max_tokens =
            (uint32_t)args_integer(arg, "--max-tokens", 1, LIMIT_COMPLETION_TOKENS, state);
        return 0;
    case KEY_TOP_K:
        p->top_k = (uint32_t)args_integer(arg, "--top-k", 0, LIMIT_VOCAB, state);
        return 0;
    case KEY_TOP_P:
        p->top_p = (float)args_number(arg, "--top-p", 0, 1, state);
        return 0;
    case KEY_MIN_P:
        p->min_p = (float)args_number(arg, "--min-p", 0, 1, state);
        return 0;
    case KEY_SEED:
        args->seed = args_integer(arg, "--seed", 0, (1ull << ARGS_SEED_MAX_BITS) - 1, state);
        return 0;
    case KEY_TEMPLATE:
        args->template = arg;
        return 0;
    case KEY_WEIGHTS:
        args->weights = args_weights(arg, state);
        return 0;
    case KEY_THREADS:
        args->threads = (unsigned)args_integer(arg, "--threads", 1, 256, state);
        return 0;
    case KEY_JSON:
        args->json = true;
        return 0;
    case ARGP_KEY_ARG:
        args_take(&args->model, arg, "MODEL", state);
        return 0;
    case ARGP_KEY_END:
        if (args->model == NULL || args->prompt == NULL)
            argp_error(state, "MODEL and --prompt are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static double logp_sum(const struct sampled *s)
{
    double sum = 0;
    for (uint32_t i = 0; i < s->len; i++)
        sum += s->logp[i];
    return sum;
}

static void print_json(uint32_t index, const struct buf *bytes, const struct sampled *s)
{
    json_t *tokens = json_array();
    json_t *logps = json_array();
    for (uint32_t i = 0; i < s->len; i++) {
        json_array_append_new(tokens, json_integer(s->tokens[i]));
        json_array_append_new(logps, json_real(s->logp[i]));
    }
    json_t *row = json_pack("{s:i, s:o, s:s, s:o, s:o}", "index", (int)index, "text",
        display_json(bytes->data, bytes->len), "stop", stop_reason_name(s->stop), "tokens", tokens,
        "logp", logps);
    /* Nine digits hold all bits of a float. */
    char *line = json_dumps(row, JSON_REAL_PRECISION(9) | JSON_ENSURE_ASCII);
    puts(line);
    free(line);
    json_decref(row);
}

static void print_completion(const struct sample_args *args, const struct tokenizer *t,
    uint32_t index, const struct sampled *s)
{
    CLEANUP_BUF struct buf bytes = {0};
    CLEANUP_BUF struct buf text = {0};
    uint32_t shown = s->stop == STOP_EOS && s->len > 0 ? s->len - 1 : s->len; /* as in a run */
    tokenizer_decode(t, s->tokens, shown, &bytes);
    if (args->json) {
        print_json(index, &bytes, s);
        return;
    }
    text_escape(&text, bytes.data, bytes.len);
    buf_puts(&text, ""); /* terminated even when empty */
    printf("%s\n    %u tokens, ended by %s, log-probability %.3f\n", (const char *)text.data,
        s->len, stop_reason_name(s->stop), logp_sum(s));
}

/* What the engine would refuse, in words of the command line. */
static int check_room(const struct sample_args *args, const struct cli_model *m, size_t prompt_len,
    uint32_t max_tokens, struct err *e)
{
    size_t context = m->table->config.context;
    if (prompt_len == 0)
        return err_set(e, ERR_USAGE, "--prompt: found no tokens, expected at least one");
    if (prompt_len + max_tokens <= context)
        return 0;
    if (args->params.max_tokens == 0)
        return err_set(e, ERR_DATA,
            "--prompt: %zu tokens leave no room for an answer in the context of %zu", prompt_len,
            context);
    return err_set(e, ERR_USAGE,
        "--max-tokens %u: over the context of %zu, of which %zu are the "
        "prompt's",
        max_tokens, context, prompt_len);
}

static int sample(const struct sample_args *args, const struct cli_model *m, struct err *e)
{
    struct template *template = NULL;
    if (template_open(args->template, &template, e) < 0)
        return e->code = ERR_USAGE;
    CLEANUP_BUF struct buf text = {0};
    CLEANUP_BUF struct buf ids = {0};
    template_render(template, args->prompt, &text);
    template_free(template);
    if (tokenizer_encode(m->tokenizer, text.data, text.len, &ids, e) < 0)
        return err_ctx(e, "--prompt");
    struct sample_request r = {
        .prompt = (const uint32_t *)(const void *)ids.data,
        .prompt_len = (uint32_t)(ids.len / sizeof(uint32_t)),
        .n = args->n,
        .params = args->params,
        .key = {.seed = args->seed, .domain = RNG_USER},
    };
    if (r.params.max_tokens == 0)
        r.params.max_tokens = cli_model_max_tokens(m, r.prompt_len);
    if (check_room(args, m, r.prompt_len, r.params.max_tokens, e) < 0)
        return e->code;
    r.params.vocab = tokenizer_size(m->tokenizer);
    r.params.stop = m->table->config.eos;
    r.params.stop_count = m->table->config.eos_count;
    struct sampled *out = NULL;
    if (engine_sample(m->engine, &r, &out, e) < 0)
        return e->code;
    for (uint32_t i = 0; i < args->n; i++)
        print_completion(args, m->tokenizer, i, &out[i]);
    sampled_free(out, args->n);
    return 0;
}

int cmd_sample(int argc, char **argv)
{
    struct sample_args args = {
        .n = 1, .template = "plain", .threads = 1, .params = {.temperature = 1, .top_p = 1}};
    static const struct argp_option options[] = {{"prompt", 'p', "TEXT", 0, "the question", 0},
        {"template", KEY_TEMPLATE, "NAME", 0, "plain (default), r1-zero or file:PATH", 0},
        {NULL, 'n', "G", 0, "completions (1)", 0},
        {"temperature", 't', "T", 0, "1; 0 takes the most probable token", 0},
        {"max-tokens", 'm', "N", 0, "longest completion (what the context leaves, at most 1024)",
            0},
        {"top-k", KEY_TOP_K, "K", 0, "only the K most probable tokens; 0: all", 0},
        {"top-p", KEY_TOP_P, "P", 0, "only the smallest set of probability P (1: all)", 0},
        {"min-p", KEY_MIN_P, "P", 0, "only tokens of at least P times the best one's", 0},
        {"seed", KEY_SEED, "S", 0, "same seed, same completions (0)", 0},
        {"weights", KEY_WEIGHTS, "TYPE", 0, "f32 (default), or rounded for speed: bf16, int8", 0},
        {"threads", KEY_THREADS, "N", 0, "threads (1); the results do not depend on it", 0},
        {"json", KEY_JSON, NULL, 0, "one JSON object per completion: exact text, tokens, logp", 0},
        {0}};
    static const struct argp argp = {.options = options,
        .parser = parse_opt,
        .args_doc = "MODEL",
        .doc = "Samples completions of a prompt from a model directory.\v"
               "Example:\n"
               "  cohort sample quickstart-run/models/zero --prompt 31415926= -n 4\n"};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    struct cli_model model = {0};
    struct engine_options options_engine = {.threads = args.threads, .isa = "auto"};
    int rc = cli_model_open(args.model, &options_engine, args.weights, &model, &e);
    if (rc == 0)
        rc = sample(&args, &model, &e);
    cli_model_close(&model);
    return rc < 0 ? command_failed("sample", &e) : 0;
}
