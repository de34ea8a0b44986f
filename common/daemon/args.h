/* args.h: command lines, parsed by a table.
 *
 * One table of options per command gives parsing, bounds and --help. (argp's header brings a struct
 * option of its own, which is the name of our configuration's.) Values are borrowed from argv. Pure
 * but for --help, which prints to stdout.
 */
#ifndef COHORT_DAEMON_ARGS_H
#define COHORT_DAEMON_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

enum arg_type {
    ARG_FLAG,   /* bool */
    ARG_STRING, /* const char * */
    ARG_INT,    /* int64_t */
    ARG_FLOAT,  /* double */
    ARG_LIST,   /* struct arg_list: the option may be given again */
};

enum { ARG_LIST_MAX = 64, ARGS_HELP = 1 };

struct arg_list {
    const char *items[ARG_LIST_MAX];
    size_t count;
};

struct arg {
    const char *name; /* "temperature" for --temperature */
    char letter;      /* 'T' for -T; 0: none */
    enum arg_type type;
    void *ret;         /* set only when the option is given: put the default there */
    const char *value; /* its name in the help; NULL for a flag */
    const char *help;  /* NULL: hidden */
    double min, max;   /* ARG_INT, ARG_FLOAT; both 0: no bound */
};

struct args {
    const char *usage;       /* "cohort sample MODEL --prompt TEXT [OPTION]..." */
    const char *intro;       /* what it does: a few lines */
    const char *outro;       /* examples and notes, or NULL */
    const struct arg *table; /* ends with a zeroed entry */
    size_t positional_min, positional_max;
};

/* Positional arguments go to ret_positional (positional_max of them, unset ones NULL). Options may
 * stand anywhere; "--" ends them; "--name=value" and "--name value" are alike. Returns ARGS_HELP
 * when --help was asked for and printed, or ERR_USAGE naming what was found and what is known. */
int args_parse(int argc, char **argv, const struct args *a, const char **ret_positional,
    struct err *e) ERR_WARN_UNUSED;

#endif
