/* eval.c: `cohort eval`: how good a model is on a dataset: pass@1, pass@k, maj@k, lengths. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/display.h"
#include "cli/eval_sample.h"

enum {
    KEY_DATA = 256,
    KEY_FORMAT,
    KEY_TEMPLATE,
    KEY_MAX_TOKENS,
    KEY_LIMIT,
    KEY_SCORER,
    KEY_SEED,
    KEY_THREADS,
    KEY_WEIGHTS,
    KEY_RESPONSES,
    KEY_JSON
};

struct eval_args {
    const char *model, *data, *format, *template, *responses;
    struct args_words scorers;
    struct eval_options options;
    uint64_t limit;
    unsigned threads;
    enum weights_type weights;
    bool json;
};

struct eval {
    struct cli_model model;    /* owned */
    struct dataset *data;      /* owned */
    struct template *template; /* owned */
    struct judge *judge;       /* owned */
};

/* ---- what is printed ---- */

static void print_share(const char *name, unsigned k, double share, const char *what)
{
    char label[24];
    (void)snprintf(label, sizeof(label), "%s@%u", name, k);
    if (isnan(share))
        printf("%-12s -       %s\n", label, what);
    else
        printf("%-12s %5.1f%%  %s\n", label, 100 * share, what);
}

static void print_length(const char *name, double mean)
{
    if (!isnan(mean))
        printf(", %s %.1f", name, mean);
}

static void print_faults(const struct eval_figures *f, const struct eval_result *r)
{
    if (f->unscored == 0)
        return;
    size_t first = 0;
    while (r->completions[first].scored)
        first++;
    printf("unscored     %zu completion%s (%zu task%s wholly): the judge is at fault; they count "
           "neither as right nor as wrong, e.g. %s\n",
        f->unscored, f->unscored == 1 ? "" : "s", f->unscored_tasks,
        f->unscored_tasks == 1 ? "" : "s", r->reasons[first]);
}

static void print_text(
    const struct eval_args *args, const struct eval_figures *f, const struct eval_result *r)
{
    unsigned k = args->options.k;
    char interval[96];
    (void)snprintf(interval, sizeof(interval),
        "[%.1f, %.1f] 95 %% interval; %zu tasks x %u, %zu scored", 100 * f->low, 100 * f->high,
        f->tasks, k, f->completions - f->unscored);
    print_share("pass", 1, f->pass_1, interval);
    if (k > 1) {
        print_share("pass", k, f->pass_k, "some completion is right");
        print_share("maj", k, f->maj_k,
            isnan(f->maj_k) ? "no answer was extracted" : "the most frequent answer is right");
    }
    printf("verdicts    ");
    for (int v = 0; v < VERDICT_COUNT; v++)
        if (f->verdicts[v] > 0)
            printf(" %zu %s", f->verdicts[v], verdict_name((enum verdict)v));
    printf("\ntokens       mean %.1f", f->length);
    print_length("right", f->length_right);
    print_length("wrong", f->length_wrong);
    printf(", median %.1f, longest %u, truncated %.1f%%\n", f->length_median, f->length_max,
        100 * f->truncated);
    print_faults(f, r);
}

static json_t *number_or_null(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static json_t *verdicts_json(const struct eval_figures *f)
{
    json_t *verdicts = json_object();
    for (int v = 0; v < VERDICT_COUNT; v++)
        if (f->verdicts[v] > 0)
            json_object_set_new(
                verdicts, verdict_name((enum verdict)v), json_integer((json_int_t)f->verdicts[v]));
    return verdicts;
}

static void print_json(
    const struct eval_args *args, const struct eval *ev, const struct eval_figures *f)
{
    char hex[HASH_HEX];
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:I}", "model", args->model,
        "digest", hash_hex(&ev->model.digest, hex), "data", args->data, "format",
        dataset_format(ev->data), "tasks", (json_int_t)f->tasks, "k", (json_int_t)args->options.k,
        "temperature", (double)args->options.temperature, "seed", (json_int_t)args->options.seed);
    json_object_set_new(o, "pass@1", number_or_null(f->pass_1));
    json_object_set_new(o, "pass@1_low", number_or_null(f->low));
    json_object_set_new(o, "pass@1_high", number_or_null(f->high));
    json_object_set_new(o, "pass@k", number_or_null(f->pass_k));
    json_object_set_new(o, "maj@k", number_or_null(f->maj_k));
    json_object_set_new(o, "verdicts", verdicts_json(f));
    json_object_set_new(o, "unscored", json_integer((json_int_t)f->unscored));
    json_object_set_new(o, "unscored_tasks", json_integer((json_int_t)f->unscored_tasks));
    json_object_set_new(o, "length", number_or_null(f->length));
    json_object_set_new(o, "length_right", number_or_null(f->length_right));
    json_object_set_new(o, "length_wrong", number_or_null(f->length_wrong));
    json_object_set_new(o, "length_median", number_or_null(f->length_median));
    json_object_set_new(o, "length_max", json_integer(f->length_max));
    json_object_set_new(o, "truncated", number_or_null(f->truncated));
    (void)json_dumpf(o, stdout, JSON_REAL_PRECISION(15)); /* errors of stdout: at the end */
    (void)putchar('\n');
    json_decref(o);
}

/* ---- the completions as `cohort grade` reads them ---- */

static void write_response(
    const struct eval *ev, const struct eval_result *r, size_t at, unsigned k, FILE *out)
{
    const struct eval_completion *c = &r->completions[at];
    json_t *row =
        json_pack("{s:s, s:o, s:I, s:b, s:s, s:s, s:s}", "id", dataset_row(ev->data, at / k)->key,
            "response", display_json(r->texts[at], r->text_lens[at]), "tokens",
            (json_int_t)c->tokens, "truncated", (int)c->truncated, "verdict",
            verdict_name(c->verdict), "extracted", c->extracted, "reason", r->reasons[at]);
    (void)json_dumpf(row, out, JSON_ENSURE_ASCII); /* errors of the file are seen at its end */
    (void)fputc('\n', out);
    json_decref(row);
}

static int write_responses(
    const struct eval_args *args, const struct eval *ev, const struct eval_result *r, struct err *e)
{
    FILE *out = fopen(args->responses, "we");
    if (out == NULL)
        return err_sys(e, ERR_FAIL, "cannot write '%s'", args->responses);
    for (size_t i = 0; i < args->options.tasks * args->options.k; i++)
        write_response(ev, r, i, args->options.k, out);
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    return failed ? err_sys(e, ERR_FAIL, "writing '%s'", args->responses) : 0;
}

/* ---- the command ---- */

static void on_progress(void *arg, size_t done)
{
    const struct eval_args *args = arg;
    fprintf(stderr, "\r%zu of %zu tasks%s", done, args->options.tasks,
        done == args->options.tasks ? "\n" : "");
}

static int eval_open(struct eval *ev, struct eval_args *args, struct err *e)
{
    const struct engine_options engine = {.threads = args->threads, .isa = "auto"};
    if (template_open(args->template, &ev->template, e) < 0)
        return e->code = ERR_USAGE;
    if (judge_dataset(args->data, args->format, &ev->data, e) < 0)
        return e->code;
    if (judge_open(ev->data, &args->scorers, &ev->judge, e) < 0)
        return err_ctx(e, "'%s'", args->data);
    size_t rows = dataset_count(ev->data);
    args->options.tasks = args->limit > 0 && args->limit < rows ? args->limit : rows;
    return cli_model_open(args->model, &engine, args->weights, &ev->model, e);
}

static int eval(struct eval *ev, struct eval_args *args, struct err *e)
{
    struct eval_result result;
    struct eval_figures figures;
    if (eval_open(ev, args, e) < 0)
        return e->code;
    if (isatty(STDERR_FILENO)) {
        args->options.progress = on_progress;
        args->options.arg = args;
    }
    if (eval_sample(&ev->model, ev->data, ev->template, ev->judge, &args->options, &result, e) < 0)
        return err_ctx(e, "'%s'", args->data);
    eval_figures_of(result.completions, args->options.tasks, args->options.k, &figures);
    int rc = args->responses != NULL ? write_responses(args, ev, &result, e) : 0;
    if (args->json)
        print_json(args, ev, &figures);
    else
        print_text(args, &figures, &result);
    eval_result_done(&result);
    return rc;
}

static void check_args(const struct eval_args *args, struct argp_state *state)
{
    if (args->model == NULL || args->data == NULL)
        argp_error(state, "MODEL and --data are needed");
    if (args->options.temperature == 0 && args->options.k > 1)
        argp_error(state, "-k %u at temperature 0: all completions of a task would be the same",
            args->options.k);
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct eval_args *args = state->input;
    switch (key) {
    case KEY_DATA:
        args->data = arg;
        return 0;
    case KEY_FORMAT:
        args->format = arg;
        return 0;
    case KEY_TEMPLATE:
        args->template = arg;
        return 0;
    case 'k':
        args->options.k = (unsigned)args_integer(arg, "-k", 1, LIMIT_GROUP, state);
        return 0;
    case 't':
        args->options.temperature = (float)args_number(arg, "--temperature", 0, 100, state);
        return 0;
    case KEY_MAX_TOKENS:
        args->options.max_tokens =
            (uint32_t)args_integer(arg, "--max-tokens", 1, LIMIT_COMPLETION_TOKENS, state);
        return 0;
    case KEY_LIMIT:
        args->limit = args_integer(arg, "--limit", 0, LIMIT_DATASET_ROWS, state);
        return 0;
    case KEY_SCORER:
        args_words_add(&args->scorers, arg);
        return 0;
    case KEY_SEED:
        args->options.seed =
            args_integer(arg, "--seed", 0, (1ull << ARGS_SEED_MAX_BITS) - 1, state);
        return 0;
    case KEY_WEIGHTS:
        args->weights = args_weights(arg, state);
        return 0;
    case KEY_THREADS:
        args->threads = (unsigned)args_integer(arg, "--threads", 1, 256, state);
        return 0;
    case KEY_RESPONSES:
        args->responses = arg;
        args->options.keep_texts = true;
        return 0;
    case KEY_JSON:
        args->json = true;
        return 0;
    case ARGP_KEY_ARG:
        args_take(&args->model, arg, "MODEL", state);
        return 0;
    case ARGP_KEY_END:
        check_args(args, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option eval_options[] = {
    {"data", KEY_DATA, "FILE", 0, "tasks with reference answers, JSONL", 0},
    {"format", KEY_FORMAT, "NAME", 0,
        "gsm8k, math, countdown, tasks, ...; found from the first row when absent", 0},
    {"template", KEY_TEMPLATE, "NAME", 0, "plain (default), r1-zero or file:PATH", 0},
    {NULL, 'k', "K", 0, "completions per task (1)", 0},
    {"temperature", 't', "T", 0, "1; 0 takes the most probable token", 0},
    {"max-tokens", KEY_MAX_TOKENS, "N", 0,
        "longest completion (what the context leaves, at most 1024)", 0},
    {"limit", KEY_LIMIT, "N", 0, "only the first N rows; 0: all", 0},
    {"scorer", KEY_SCORER, "NAME[:PARAM=VALUE,...]", 0,
        "may be repeated, the first gives the verdict; default: what the format calls for", 0},
    {"seed", KEY_SEED, "S", 0, "same seed, same completions (0)", 0},
    {"weights", KEY_WEIGHTS, "TYPE", 0, "f32 (default), or rounded for speed: bf16, int8", 0},
    {"threads", KEY_THREADS, "N", 0, "threads (1); the results do not depend on it", 0},
    {"responses", KEY_RESPONSES, "FILE", 0,
        "writes the completions too, as `cohort grade --responses` reads them", 0},
    {"json", KEY_JSON, NULL, 0, "one JSON object; pass@k and maj@k are for the k of -k", 0}, {0}};

int cmd_eval(int argc, char **argv)
{
    static const struct argp argp = {.options = eval_options,
        .parser = parse_opt,
        .args_doc = "MODEL",
        .doc = "Samples the tasks of a dataset and says how many answers are right: pass@1 with "
               "its interval, and with -k the unbiased pass@k and the majority vote. Completions "
               "that the judge cannot judge are reported apart.\v"
               "Example:\n"
               "  cohort eval quickstart-run/models/zero -k 4 --scorer math:tag=answer \\\n"
               "      --data quickstart-run/data/heldout.jsonl\n"
               "  cohort eval my-model --data gsm8k_test.jsonl --template r1-zero -t 0\n"};
    struct eval_args args = {
        .format = "auto", .template = "plain", .threads = 1, .options = {.k = 1, .temperature = 1}};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    struct eval ev = {0};
    int rc = eval(&ev, &args, &e);
    cli_model_close(&ev.model);
    judge_close(ev.judge);
    dataset_free(ev.data);
    template_free(ev.template);
    args_words_done(&args.scorers);
    return rc < 0 ? command_failed("eval", &e) : 0;
}
