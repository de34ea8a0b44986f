/* options.h: the reward server's own options on its command line: the HTTP face, and the user. */
#ifndef COHORT_HTTP_ARGS_H
#define COHORT_HTTP_ARGS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

struct http_args {
    const char *address; /* NULL: no HTTP face */
    const char *token_file;
    const char *user;              /* to become when root started us; NULL: see main.c */
    const char **names, **scorers; /* owned; the strings are argv's */
    size_t name_count, scorer_count;
    unsigned workers; /* 0: one for each processor */
    size_t queue_max, body_max, timeout_ms;
};

extern const struct argp http_argp; /* its input is a struct http_args */

void http_args_init(struct http_args *a);
void http_args_done(struct http_args *a);

/* Whether the server has something to do without a learner; arg is a struct http_args. */
bool http_args_alone(const void *arg);

#endif
