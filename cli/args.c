/* args.c: see args.h. */
#include "cli/args.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"

void args_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    CLEANUP_FREE char **line = mem_array((size_t)argc + 1, sizeof(*line));
    CLEANUP_FREE char *name = mem_printf("cohort %s", argv[0]);
    memcpy(line, argv, (size_t)argc * sizeof(*line));
    line[0] = name;
    argp_err_exit_status = 2;
    if (argp_parse(argp, argc, line, 0, NULL, input) != 0)
        exit(2); /* argp has said why */
}

double args_number(
    const char *arg, const char *name, double low, double high, struct argp_state *state)
{
    char *end;
    double value = strtod(arg, &end);
    if (end == arg || *end != '\0' || !(value >= low && value <= high))
        argp_error(state, "%s %s: expected a number from %g to %g", name, arg, low, high);
    return value;
}

uint64_t args_integer(
    const char *arg, const char *name, uint64_t low, uint64_t high, struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(arg, &end, 10);
    if (arg[0] < '0' || arg[0] > '9' || *end != '\0' || errno != 0 || value < low || value > high)
        argp_error(state, "%s %s: expected an integer from %llu to %llu", name, arg,
            (unsigned long long)low, (unsigned long long)high);
    return value;
}

enum weights_type args_weights(const char *arg, struct argp_state *state)
{
    int type = weights_type_parse(arg);
    if (type < 0)
        argp_error(state, "--weights %s: expected f32, bf16 or int8", arg);
    return (enum weights_type)type;
}

void args_take(const char **ret, char *arg, const char *what, struct argp_state *state)
{
    if (*ret != NULL)
        argp_error(state, "one %s, found also '%s'", what, arg);
    *ret = arg;
}

void args_words_add(struct args_words *w, const char *word)
{
    w->items = mem_grow(w->items, w->count + 1, sizeof(*w->items));
    w->items[w->count++] = word;
}

void args_words_done(struct args_words *w)
{
    free(w->items);
    *w = (struct args_words){0};
}
