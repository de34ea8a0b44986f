/* grade.c: `cohort grade`: scores responses that are already there, e.g. of another program.
 *
 * How it works: the main thread reads responses into a window of slots and hands each to the
 * scoring queue; queue threads score and mark the slot done; the main thread prints the oldest slot
 * whenever the window is full and at the end. So the output has the order of the input and memory
 * is bounded whatever the size of the files.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/judge.h"
#include "cli/lines.h"

enum {
    KEY_DATA = 256,
    KEY_FORMAT,
    KEY_RESPONSES,
    KEY_SCORER,
    KEY_WORKERS,

    WORKERS_MAX = 256,
    SLOTS_PER_WORKER = 4,
    TRIES_MAX = 5, /* of a response for which the host was at fault */
    LINE_BYTES_MAX = 6 * LIMIT_COMPLETION_TEXT + (64 << 10), /* a byte of text is \u0000 at worst */
};

struct grade_args {
    const char *data, *format, *responses;
    struct args_words scorers;
    unsigned workers;
};

struct slot {
    struct grade *g; /* borrowed */
    bool done;       /* guarded by the lock of g */
    unsigned tries;
    size_t row;
    json_t *id, *response; /* owned; response holds the text */
    struct grade_text text;
    struct grade_input in;
    struct score_result results[LIMIT_SCORERS];
    struct arena *arena; /* owned; cleared for each response */
    struct scoring_job job;
};

struct grade {
    struct dataset *data;        /* owned */
    size_t *by_key;              /* owned; rows in the order of their keys */
    struct judge *judge;         /* owned */
    struct scoring_queue *queue; /* owned */
    struct lines lines;
    struct slot *slots; /* owned */
    size_t slot_count, first, used;
    pthread_mutex_t lock; /* guards done of every slot */
    pthread_cond_t some_done;
    size_t verdicts[VERDICT_COUNT], unscored, total;
    double reward;
};

/* ---- rows by key ---- */

static int compare_keys(const void *a, const void *b, void *arg)
{
    const struct dataset *d = arg;
    return strcmp(dataset_row(d, *(const size_t *)a)->key, dataset_row(d, *(const size_t *)b)->key);
}

static void index_rows(struct grade *g)
{
    size_t n = dataset_count(g->data);
    g->by_key = mem_array(n, sizeof(*g->by_key));
    for (size_t i = 0; i < n; i++)
        g->by_key[i] = i;
    qsort_r(g->by_key, n, sizeof(*g->by_key), compare_keys, g->data);
}

static bool find_key(const struct grade *g, const char *key, size_t *ret)
{
    size_t low = 0, high = dataset_count(g->data);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(key, dataset_row(g->data, g->by_key[middle])->key);
        if (order == 0) {
            *ret = g->by_key[middle];
            return true;
        }
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return false;
}

/* A row's key, or its number from 0 when no row has that key. */
static int find_row(const struct grade *g, const json_t *id, size_t *ret, struct err *e)
{
    char text[32];
    long long number = json_is_integer(id) ? json_integer_value(id) : -1;
    const char *key = json_string_value(id);
    if (json_is_integer(id)) {
        (void)snprintf(text, sizeof(text), "%lld", number);
        key = text;
    }
    if (key == NULL)
        return err_set(e, ERR_DATA, "\"id\": expected a row's key or its number from 0");
    if (find_key(g, key, ret))
        return 0;
    if (number >= 0 && (unsigned long long)number < dataset_count(g->data)) {
        *ret = (size_t)number;
        return 0;
    }
    return err_set(e, ERR_DATA, "id '%.64s': no such row among the %zu of the dataset", key,
        dataset_count(g->data));
}

/* ---- one response ---- */

static int take_tokens(
    const struct grade *g, const json_t *row, struct grade_text *t, struct err *e)
{
    const json_t *tokens = json_object_get(row, "tokens");
    const json_t *truncated = json_object_get(row, "truncated");
    long long n = json_integer_value(tokens);
    if (tokens == NULL && judge_counts_tokens(g->judge))
        return err_set(e, ERR_DATA, "\"tokens\" is missing: the length scorer needs their number");
    if (tokens != NULL && (!json_is_integer(tokens) || n < 0 || n > UINT32_MAX))
        return err_set(e, ERR_DATA, "\"tokens\": expected their number");
    if (truncated != NULL && !json_is_boolean(truncated))
        return err_set(e, ERR_DATA, "\"truncated\": expected true or false");
    t->tokens = (uint32_t)n;
    t->truncated = json_is_true(truncated);
    return 0;
}

static int fill_slot(struct grade *g, struct slot *s, const json_t *row, struct err *e)
{
    json_t *id = json_object_get(row, "id"), *response = json_object_get(row, "response");
    if (!json_is_object(row) || id == NULL || !json_is_string(response))
        return err_set(e, ERR_DATA, "expected {\"id\": row key or number, \"response\": text}");
    s->text = (struct grade_text){.text = (const uint8_t *)json_string_value(response),
        .text_len = json_string_length(response)};
    if (find_row(g, id, &s->row, e) < 0 || take_tokens(g, row, &s->text, e) < 0)
        return e->code;
    s->in = scoring_row_input(dataset_row(g->data, s->row), &s->text);
    s->in.group = s->row;
    s->id = json_incref(id);
    s->response = json_incref(response);
    return 0;
}

static bool is_to_retry(struct slot *s)
{
    for (size_t k = 0; k < scoring_count(s->job.set); k++) {
        if (s->results[k].fault == SCORE_FAULT_TRANSIENT)
            return ++s->tries < TRIES_MAX;
    }
    return false;
}

/* On a thread of the queue. */
static void on_done(void *arg, struct scoring_job *job)
{
    struct grade *g = arg;
    struct slot *s = job->tag;
    struct err e;
    if (is_to_retry(s)) {
        arena_clear(s->arena);
        if (scoring_queue_submit(g->queue, job, &e) == 0) /* behind what waits */
            return;
    }
    (void)pthread_mutex_lock(&g->lock);
    s->done = true;
    (void)pthread_cond_signal(&g->some_done);
    (void)pthread_mutex_unlock(&g->lock);
}

/* ---- output ---- */

static void print_slot(struct grade *g, const struct slot *s)
{
    const struct panel *panel = judge_panel(g->judge, s->row);
    struct judgement sum = panel_sum(panel, s->results);
    json_t *row = panel_report(s->id, panel, s->results);
    (void)json_dumpf(row, stdout, JSON_REAL_PRECISION(15)); /* main.c looks for errors of stdout */
    (void)fputc('\n', stdout);
    json_decref(row);
    g->total++;
    g->verdicts[sum.primary->verdict]++;
    g->unscored += !sum.scored;
    g->reward += sum.reward;
}

static void drop_slot(struct slot *s)
{
    json_decref(s->id);
    json_decref(s->response);
    s->id = s->response = NULL;
}

/* Waits for the oldest response and prints it. */
static void take_oldest(struct grade *g)
{
    struct slot *s = &g->slots[g->first];
    (void)pthread_mutex_lock(&g->lock);
    while (!s->done)
        (void)pthread_cond_wait(&g->some_done, &g->lock);
    (void)pthread_mutex_unlock(&g->lock);
    print_slot(g, s);
    drop_slot(s);
    g->first = (g->first + 1) % g->slot_count;
    g->used--;
}

static void print_summary(const struct grade *g)
{
    fprintf(
        stderr, "%zu response%s%s", g->total, g->total == 1 ? "" : "s", g->total > 0 ? ":" : "");
    for (int v = 0; v < VERDICT_COUNT; v++)
        if (g->verdicts[v] > 0)
            fprintf(stderr, " %zu %s", g->verdicts[v], verdict_name((enum verdict)v));
    if (g->total > g->unscored)
        fprintf(stderr, "; mean reward %.4g", g->reward / (double)(g->total - g->unscored));
    if (g->unscored > 0)
        fprintf(stderr, " over the scored, %zu unscored", g->unscored);
    fputc('\n', stderr);
}

/* ---- all of them ---- */

static int start_line(struct grade *g, const char *text, size_t bytes, struct err *e)
{
    json_error_t at;
    if (strspn(text, " \t\r") >= bytes)
        return 0;
    if (g->used == g->slot_count)
        take_oldest(g);
    struct slot *s = &g->slots[(g->first + g->used) % g->slot_count];
    json_t *row = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &at);
    int r = 0;
    if (row == NULL)
        r = err_set(
            e, ERR_DATA, "column %d: %s, expected one JSON object per line", at.column, at.text);
    else
        r = fill_slot(g, s, row, e);
    json_decref(row);
    if (r < 0)
        return err_ctx(e, "'%s' line %zu", g->lines.name, g->lines.number);
    arena_clear(s->arena);
    s->done = false;
    s->tries = 0;
    s->job = (struct scoring_job){.tag = s,
        .set = panel_set(judge_panel(g->judge, s->row)),
        .in = &s->in,
        .arena = s->arena,
        .results = s->results};
    r = scoring_queue_submit(g->queue, &s->job, e); /* has a place for each slot: never full */
    if (r < 0) {
        drop_slot(s);
        return r;
    }
    g->used++;
    return 0;
}

static int grade_all(struct grade *g, struct err *e)
{
    const char *text;
    size_t bytes;
    int r;
    while ((r = lines_next(&g->lines, &text, &bytes, e)) == 1)
        if ((r = start_line(g, text, bytes, e)) < 0)
            break;
    while (g->used > 0)
        take_oldest(g);
    return r;
}

static int grade_open(struct grade *g, const struct grade_args *args, struct err *e)
{
    if (judge_dataset(args->data, args->format, &g->data, e) < 0)
        return e->code;
    index_rows(g);
    if (judge_open(g->data, &args->scorers, &g->judge, e) < 0)
        return err_ctx(e, "'%s'", args->data);
    if (lines_open(&g->lines, args->responses, LINE_BYTES_MAX, e) < 0)
        return e->code;
    g->slot_count = (size_t)args->workers * SLOTS_PER_WORKER;
    g->slots = mem_array(g->slot_count, sizeof(*g->slots));
    for (size_t i = 0; i < g->slot_count; i++)
        g->slots[i].arena = arena_new(0);
    return scoring_queue_open(args->workers, g->slot_count, on_done, g, &g->queue, e);
}

static void grade_close(struct grade *g)
{
    scoring_queue_close(g->queue);
    for (size_t i = 0; i < g->slot_count; i++)
        arena_free(g->slots[i].arena);
    free(g->slots);
    lines_close(&g->lines);
    judge_close(g->judge);
    free(g->by_key);
    dataset_free(g->data);
}

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
    struct grade_args *args = state->input;
    switch (key) {
    case KEY_DATA:
        args->data = arg;
        return 0;
    case KEY_FORMAT:
        args->format = arg;
        return 0;
    case KEY_RESPONSES:
        args->responses = arg;
        return 0;
    case KEY_SCORER:
        args_words_add(&args->scorers, arg);
        return 0;
    case KEY_WORKERS:
        args->workers = (unsigned)args_integer(arg, "--workers", 1, WORKERS_MAX, state);
        return 0;
    case ARGP_KEY_END:
        if (args->data == NULL || args->responses == NULL)
            argp_error(state, "--data and --responses are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_grade(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"data", KEY_DATA, "FILE", 0, "tasks with reference answers, JSONL", 0},
        {"format", KEY_FORMAT, "NAME", 0,
            "gsm8k, math, countdown, tasks, ...; found from the first row when absent", 0},
        {"responses", KEY_RESPONSES, "FILE", 0,
            "JSONL {\"id\": row key or, when no row has it, number from 0, \"response\": "
            "text}, several for one task if you like; \"tokens\": N and \"truncated\": true where "
            "you know; - is standard input",
            0},
        {"scorer", KEY_SCORER, "NAME[:PARAM=VALUE,...]", 0,
            "may be repeated, the first gives the verdict; weight=W is a parameter of each; "
            "default: what the format calls for",
            0},
        {"workers", KEY_WORKERS, "N", 0, "threads (1)", 0}, {0}};
    static const struct argp argp = {.options = options,
        .parser = parse_opt,
        .doc = "Scores responses with the same scorers that a run uses, and says why. One JSON "
               "object per response, in the order of the responses: id, reward (null when the "
               "judge is at fault), verdict, components, extracted, reason, wall_ms; isolation, of "
               "programs.\v"
               "Example:\n"
               "  cohort grade --data gsm8k_test.jsonl --responses answers.jsonl >scores\n"
               "  cohort grade --data tasks.jsonl --responses answers.jsonl \\\n"
               "      --scorer math:tag=answer --scorer format:weight=0.3\n"};
    struct grade_args args = {.format = "auto", .workers = 1};
    args_parse(&argp, argc, argv, &args);
    struct err e = {0};
    struct grade g = {.lines.fd = -1};
    (void)pthread_mutex_init(&g.lock, NULL); /* these two cannot fail on Linux */
    (void)pthread_cond_init(&g.some_done, NULL);
    int r = grade_open(&g, &args, &e);
    if (r == 0)
        r = grade_all(&g, &e);
    if (r == 0)
        print_summary(&g);
    grade_close(&g);
    args_words_done(&args.scorers);
    return r < 0 ? command_failed("grade", &e) : 0;
}
