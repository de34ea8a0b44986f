/* options.c: see options.h. */
#include "reward-server/http/options.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum {
    KEY_HTTP = 2000,
    KEY_TOKEN,
    KEY_NAME,
    KEY_SCORER,
    KEY_WORKERS,
    KEY_QUEUE,
    KEY_BODY,
    KEY_TIMEOUT,
    KEY_USER,

    QUEUE_DEFAULT = 1024,
    BODY_MIB_DEFAULT = 16,
    TIMEOUT_DEFAULT_MS = 30000,
};

static const struct argp_option options[] = {
    {0, 0, NULL, 0, "For other trainers, over HTTP:", 1},
    {"http", KEY_HTTP, "HOST:PORT|unix:PATH", 0,
        "answer HTTP here, with or without a learner; port 0 takes a free one", 1},
    {"token-file", KEY_TOKEN, "FILE", 0,
        "the token that requests must have, made when the file is not there; without: the systemd "
        "credential http-token, else ~/.config/cohort/http-token. A Unix socket has the "
        "permissions of its file instead, and a token only when this is given",
        1},
    {"http-name", KEY_NAME, "NAME", 0,
        "a further name of this server in the header Host; may be repeated", 1},
    {"scorer", KEY_SCORER, "NAME[:P=V,...]", 0,
        "for requests that name none; may be repeated, the first gives the verdict; weight=W is a "
        "parameter of each; default: what the row calls for",
        1},
    {"workers", KEY_WORKERS, "N", 0, "scoring threads for HTTP (one for each processor)", 1},
    {"http-queue", KEY_QUEUE, "N", 0, "requests that may wait; more are told to come again (1024)",
        1},
    {"http-body", KEY_BODY, "MIB", 0, "largest body of a request (16)", 1},
    {"http-timeout", KEY_TIMEOUT, "SECONDS", 0,
        "for a request to come whole, and again for its answer to be taken (30)", 1},
    {"user", KEY_USER, "NAME", 0,
        "who to be once boxes are made and the address is open, when root starts it; default: the "
        "owner of the run's directory, or of that of a Unix socket, else nobody. root is a choice",
        2},
    {0},
};

static size_t number(const char *text, const char *what, long max, struct argp_state *state)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || v < 1 || v > max)
        argp_error(state, "--%s '%s': expected an integer from 1 to %ld", what, text, max);
    return (size_t)v;
}

static void add(const char ***list, size_t *count, const char *word)
{
    *list = mem_grow(*list, *count + 1, sizeof(**list));
    (*list)[(*count)++] = word;
}

/* What means nothing without --http must not be taken in silence. */
static void check(const struct http_args *a, struct argp_state *state)
{
    bool other = a->token_file != NULL || a->name_count > 0 || a->scorer_count > 0 ||
                 a->workers > 0 || a->queue_max != QUEUE_DEFAULT ||
                 a->body_max != (size_t)BODY_MIB_DEFAULT << 20 ||
                 a->timeout_ms != TIMEOUT_DEFAULT_MS;
    if (a->address == NULL && other)
        argp_error(state, "--token-file, --http-name, --scorer, --workers, --http-queue, "
                          "--http-body and --http-timeout are for --http");
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct http_args *a = state->input;
    switch (key) {
    case KEY_HTTP:
        a->address = arg;
        return 0;
    case KEY_TOKEN:
        a->token_file = arg;
        return 0;
    case KEY_NAME:
        add(&a->names, &a->name_count, arg);
        return 0;
    case KEY_SCORER:
        add(&a->scorers, &a->scorer_count, arg);
        return 0;
    case KEY_WORKERS:
        a->workers = (unsigned)number(arg, "workers", 256, state);
        return 0;
    case KEY_QUEUE:
        a->queue_max = number(arg, "http-queue", 1 << 16, state);
        return 0;
    case KEY_BODY:
        a->body_max = number(arg, "http-body", 64, state) << 20;
        return 0;
    case KEY_TIMEOUT:
        a->timeout_ms = 1000 * number(arg, "http-timeout", 3600, state);
        return 0;
    case KEY_USER:
        a->user = arg;
        return 0;
    case ARGP_KEY_END:
        check(a, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp http_argp = {.options = options, .parser = on_option};

void http_args_init(struct http_args *a)
{
    *a = (struct http_args){.queue_max = QUEUE_DEFAULT,
        .body_max = (size_t)BODY_MIB_DEFAULT << 20,
        .timeout_ms = TIMEOUT_DEFAULT_MS};
}

void http_args_done(struct http_args *a)
{
    free(a->names);
    free(a->scorers);
}

bool http_args_alone(const void *arg)
{
    return ((const struct http_args *)arg)->address != NULL;
}
