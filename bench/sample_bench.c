/* sample_bench.c: how many tokens an engine samples in a second, called as an actor calls it.
 *
 * Random weights of a shape, a prompt shared by each group, temperature 1, the full vocabulary, a
 * log-probability stored with every token. The clock of a round runs from the step after the first
 * prompts were read to the end of the last completion, so that a round of one group is measured as
 * peers measure decoding: without its prompt.
 *
 * With --geometric a completion ends at one of several stop ids, which random weights draw with
 * about equal probability: lengths are geometric around --new and at most four times that. With
 * --publish the clock runs from parameters in memory to the end of the first step.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/shapes.h"
#include "common/base/clock.h"
#include "common/model/engine.h"

enum { LENGTH_CAP = 4 };

struct options {
    const char *shape, *isa;
    uint32_t sequences, group, batch, prompt, new_tokens, threads, rounds, context;
    enum weights_type weights;
    bool geometric, publish;
};

/* What the engine asks for in one round. */
struct source {
    const struct options *o;
    struct engine *engine;
    struct sample_request request;
    uint32_t next, finished;
    uint64_t tokens_before, tokens_first, tokens;
    uint64_t start_ns;
};

static bool next(void *arg, struct sample_request *ret)
{
    struct source *s = arg;
    if (s->next >= s->o->sequences)
        return false;
    *ret = s->request;
    ret->tag = s->next;
    ret->key.ordinal = s->next;
    if (ret->n > s->o->sequences - s->next)
        ret->n = s->o->sequences - s->next;
    s->next += ret->n;
    return true;
}

static void done(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n)
{
    (void)tag;
    struct source *s = arg;
    for (uint32_t i = 0; i < n; i++)
        s->tokens += completions[i].len;
}

/* Asked between steps: the first time that tokens are there, prompts have been read. */
static bool cancelled(void *arg, uint64_t tag)
{
    (void)tag;
    struct source *s = arg;
    uint64_t sampled = engine_stats(s->engine).tokens_sampled - s->tokens_before;
    if (s->start_ns == 0 && sampled > 0) {
        s->start_ns = clock_mono_ns();
        s->tokens_first = sampled;
    }
    return false;
}

/* Tokens per second of one round, or -1. */
static double round_run(struct source *s, uint64_t seed, struct err *e)
{
    struct engine_source source = {.next = next, .done = done, .cancelled = cancelled, .arg = s};
    s->next = 0;
    s->tokens = s->start_ns = 0;
    s->request.key.seed = seed;
    s->tokens_before = engine_stats(s->engine).tokens_sampled;
    if (engine_run(s->engine, &source, e) < 0)
        return -1;
    return (double)(s->tokens - s->tokens_first) * 1e9 / (double)(clock_mono_ns() - s->start_ns);
}

/* Seconds from parameters in memory to the first tokens. */
static double publish_run(struct source *s, const struct params *p, struct err *e)
{
    struct engine_source source = {.next = next, .done = done, .cancelled = cancelled, .arg = s};
    uint64_t start_ns = clock_mono_ns();
    s->next = 0;
    s->tokens = s->start_ns = 0;
    s->tokens_before = engine_stats(s->engine).tokens_sampled;
    if (engine_load(s->engine, p, s->o->weights, e) < 0 || engine_run(s->engine, &source, e) < 0)
        return -1;
    return (double)(s->start_ns - start_ns) / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(struct source *s, const struct bench_model *m, struct err *e)
{
    const struct options *o = s->o;
    double *results = mem_array(o->rounds, sizeof(*results));
    int r = 0;
    for (uint32_t i = 0; i < o->rounds && r == 0; i++) {
        results[i] = o->publish ? publish_run(s, &m->params, e) : round_run(s, i, e);
        r = results[i] < 0 ? -1 : 0;
    }
    if (r == 0) {
        const char *unit = o->publish ? "seconds from parameters to first tokens" : "tokens/s";
        qsort(results, o->rounds, sizeof(*results), by_size);
        int places = o->publish ? 3 : 1;
        printf("%s %s %u sequences, %u threads: %.*f %s, median of %u (%.*f to %.*f)\n", o->shape,
            weights_type_name(o->weights), o->sequences, o->threads, places, results[o->rounds / 2],
            unit, o->rounds, places, results[0], places, results[o->rounds - 1]);
    }
    free(results);
    return r;
}

/* Every stop id ends a completion with the same probability, together 1 in --new. */
static void set_request(struct sample_request *r, const struct options *o, uint32_t vocab,
    uint32_t *prompt, uint32_t *stop)
{
    *r = (struct sample_request){.prompt = prompt,
        .prompt_len = o->prompt,
        .n = o->group,
        .params = {.temperature = 1,
            .max_tokens = o->geometric ? LENGTH_CAP * o->new_tokens : o->new_tokens,
            .vocab = vocab,
            .top_p = 1},
        .key = {.domain = RNG_USER}};
    for (uint32_t i = 0; i < o->prompt; i++)
        prompt[i] = i * 31 % vocab;
    if (!o->geometric)
        return;
    r->params.stop = stop;
    r->params.stop_count = vocab / o->new_tokens > 0 ? vocab / o->new_tokens : 1;
    for (uint32_t i = 0; i < r->params.stop_count; i++)
        stop[i] = i;
}

static int run(const struct options *o, struct err *e)
{
    struct bench_model m;
    struct engine *en = NULL;
    struct engine_options eo = {.threads = o->threads,
        .isa = o->isa,
        .batch_max = o->batch,
        .kv_bytes_max = (size_t)4 << 30};
    uint32_t longest = (o->geometric ? LENGTH_CAP : 1) * o->new_tokens;
    uint32_t *prompt = mem_array(o->prompt, sizeof(*prompt)), *stop = NULL;
    int r = bench_model_init(&m, o->shape, o->context > 0 ? o->context : o->prompt + longest, e);
    if (r == 0)
        r = engine_new(&m.config, &eo, &en, e);
    if (r == 0)
        r = engine_load(en, &m.params, o->weights, e);
    if (r == 0) {
        struct source s = {.o = o, .engine = en};
        stop = mem_array(m.config.vocab, sizeof(*stop));
        set_request(&s.request, o, m.config.vocab, prompt, stop);
        r = measure(&s, &m, e);
    }
    engine_free(en);
    bench_model_done(&m);
    free(prompt);
    free(stop);
    return r;
}

/* ---- command line ---- */

enum { OPT_GEOMETRIC = 256, OPT_PUBLISH, OPT_CONTEXT };

static const struct argp_option option_table[] = {
    {"sequences", 'n', "N", 0, "completions of a round (64)", 0},
    {"group", 'g', "N", 0, "completions of a prompt (all)", 0},
    {"batch", 'b', "N", 0, "sequences at once (as many as --sequences, at most 4096)", 0},
    {"prompt", 'p', "N", 0, "tokens of a prompt (64)", 0},
    {"new", 't', "N", 0, "tokens of a completion (128)", 0},
    {"threads", 'j', "N", 0, "threads (2)", 0},
    {"rounds", 'r', "N", 0, "rounds, of which the median counts (3)", 0},
    {"isa", 'i', "NAME", 0, "auto or an instruction set", 0},
    {"weights", 'w', "TYPE", 0, "f32, bf16 or int8 (f32)", 0},
    {"geometric", OPT_GEOMETRIC, NULL, 0, "lengths vary around --new", 0},
    {"publish", OPT_PUBLISH, NULL, 0, "measure packing and the first step", 0},
    {"context", OPT_CONTEXT, "N", 0, "positions that the model allows", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    uint32_t number = arg ? (uint32_t)strtoul(arg, NULL, 10) : 0;
    switch (key) {
    case 'n':
        o->sequences = number;
        break;
    case 'g':
        o->group = number;
        break;
    case 'b':
        o->batch = number;
        break;
    case 'p':
        o->prompt = number;
        break;
    case 't':
        o->new_tokens = number;
        break;
    case 'j':
        o->threads = number;
        break;
    case 'r':
        o->rounds = number;
        break;
    case 'i':
        o->isa = arg;
        break;
    case 'w':
        if (weights_type_parse(arg) < 0)
            argp_error(state, "--weights %s: expected f32, bf16 or int8", arg);
        o->weights = (enum weights_type)weights_type_parse(arg);
        break;
    case OPT_GEOMETRIC:
        o->geometric = true;
        break;
    case OPT_PUBLISH:
        o->publish = true;
        break;
    case OPT_CONTEXT:
        o->context = number;
        break;
    case ARGP_KEY_ARG:
        o->shape = arg;
        break;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {
        .isa = "auto", .sequences = 64, .prompt = 64, .new_tokens = 128, .threads = 2, .rounds = 3};
    const struct argp argp = {option_table, parse, "SHAPE",
        "Tokens per second of sampling; SHAPE is T, S, M or Q.", NULL, NULL, NULL};
    struct err e;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    o.group = o.group > 0 ? o.group : o.sequences;
    o.batch = o.batch > 0 ? o.batch : o.sequences;
    if (o.sequences == 0 || o.prompt == 0 || o.new_tokens == 0 || o.rounds == 0) {
        fprintf(stderr, "sample_bench: sequences, prompt, new tokens and rounds are at least 1\n");
        return 2;
    }
    if (run(&o, &e) < 0) {
        fprintf(stderr, "sample_bench: %s\n", e.msg);
        return 1;
    }
    return 0;
}
