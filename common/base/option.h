/* option.h: one option apart from any file: what its text means, and which name was probably meant.
 *
 * Private to config.c and config_print.c. Pure; any thread.
 */
#ifndef COHORT_BASE_OPTION_H
#define COHORT_BASE_OPTION_H

#include "common/base/config.h"

enum { OPTION_NAME_MAX = 64 };

/* The meaning of a value's text; the member of its type is set. */
struct option_value {
    bool yes;         /* OPT_BOOL; OPT_RANGE: there is one */
    int64_t number;   /* OPT_INT */
    double low, high; /* OPT_FLOAT: low; OPT_RANGE: both */
};

/* ERR_CONFIG with what was found and what is expected; the caller adds where. */
int option_parse(const struct config_option *o, const char *text, struct option_value *ret,
    struct err *e) ERR_WARN_UNUSED;

/* Appends what option_parse accepts, for people: "integer, 1 to 64". */
void option_describe(const struct config_option *o, struct buf *out);

/* Whether s is 1 to OPTION_NAME_MAX characters of [a-z0-9_-]. */
bool option_name_valid(const char *s, size_t n);

/* Insertions, deletions, changes and swaps of neighbours between two names; long ones are cut. */
unsigned option_name_distance(const char *a, const char *b);

#endif
