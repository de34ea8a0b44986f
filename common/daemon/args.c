/* args.c: a command line against a table of options. */
#include "common/daemon/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- help ---- */

static void print_options(const struct arg *table)
{
    enum { COLUMN = 34 };
    puts("\nOptions:");
    for (const struct arg *o = table; o->name != NULL; o++) {
        if (o->help == NULL)
            continue;
        char left[80], letter[5] = "    ";
        if (o->letter != 0)
            (void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        int n = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, o->name,
            o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
        if (n < COLUMN)
            printf("%-*s%s\n", COLUMN, left, o->help);
        else
            printf("%s\n%*s%s\n", left, COLUMN, "", o->help);
    }
    printf("%-*s%s\n", COLUMN, "      --help", "this text");
}

static void print_help(const struct args *a)
{
    printf("Usage: %s\n\n%s\n", a->usage, a->intro);
    print_options(a->table);
    if (a->outro != NULL)
        printf("\n%s\n", a->outro);
}

/* ---- values ---- */

static int bad_value(const struct arg *o, const char *text, const char *expected, struct err *e)
{
    return err_set(e, ERR_USAGE, "--%s '%s': expected %s", o->name, text, expected);
}

static int check_bounds(const struct arg *o, const char *text, double v, struct err *e)
{
    if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
        return 0;
    return err_set(
        e, ERR_USAGE, "--%s '%s': expected %.15g to %.15g", o->name, text, o->min, o->max);
}

static int set_int(const struct arg *o, const char *text, struct err *e)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return bad_value(o, text, "an integer", e);
    if (check_bounds(o, text, (double)v, e) < 0)
        return e->code;
    *(int64_t *)o->ret = v;
    return 0;
}

static int set_float(const struct arg *o, const char *text, struct err *e)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !isfinite(v))
        return bad_value(o, text, "a number", e);
    if (check_bounds(o, text, v, e) < 0)
        return e->code;
    *(double *)o->ret = v;
    return 0;
}

static int set_value(const struct arg *o, const char *text, struct err *e)
{
    struct arg_list *list = o->ret;
    switch (o->type) {
    case ARG_FLAG:
        *(bool *)o->ret = true;
        return 0;
    case ARG_STRING:
        *(const char **)o->ret = text;
        return 0;
    case ARG_INT:
        return set_int(o, text, e);
    case ARG_FLOAT:
        return set_float(o, text, e);
    case ARG_LIST:
        if (list->count == ARG_LIST_MAX)
            return err_set(e, ERR_USAGE, "--%s: given more than %d times", o->name, ARG_LIST_MAX);
        list->items[list->count++] = text;
        return 0;
    }
    return 0;
}

/* ---- the line ---- */

static const struct arg *find_name(const struct arg *table, const char *name, size_t n)
{
    for (const struct arg *o = table; o->name != NULL; o++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const struct arg *find_letter(const struct arg *table, char letter)
{
    for (const struct arg *o = table; o->name != NULL; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

/* One option at argv[*i], with its value there or in the next argument. */
static int take_option(int argc, char **argv, int *i, const struct args *a, struct err *e)
{
    const char *text = argv[*i], *value = NULL;
    const struct arg *o;
    if (text[1] == '-') {
        const char *equals = strchr(text, '=');
        o = find_name(a->table, text + 2, equals ? (size_t)(equals - text - 2) : strlen(text + 2));
        value = equals ? equals + 1 : NULL;
    } else {
        o = find_letter(a->table, text[1]);
        value = text[2] != '\0' ? text + 2 : NULL;
    }
    if (o == NULL)
        return err_set(e, ERR_USAGE, "unknown option '%s'; --help lists them", text);
    if (o->type == ARG_FLAG && value != NULL)
        return err_set(e, ERR_USAGE, "'%s': --%s takes no value", text, o->name);
    if (o->type != ARG_FLAG && value == NULL) {
        if (*i + 1 == argc)
            return err_set(e, ERR_USAGE, "'%s' needs a value: %s", text, o->value);
        value = argv[++*i];
    }
    return set_value(o, value, e);
}

int args_parse(
    int argc, char **argv, const struct args *a, const char **ret_positional, struct err *e)
{
    size_t n = 0;
    bool options = true;
    for (size_t i = 0; i < a->positional_max; i++)
        ret_positional[i] = NULL;
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        if (options && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            print_help(a);
            return ARGS_HELP;
        }
        if (options && strcmp(text, "--") == 0) {
            options = false;
        } else if (options && text[0] == '-' && text[1] != '\0') {
            if (take_option(argc, argv, &i, a, e) < 0)
                return e->code;
        } else if (n == a->positional_max) {
            return err_set(e, ERR_USAGE, "unexpected argument '%s'; usage: %s", text, a->usage);
        } else {
            ret_positional[n++] = text;
        }
    }
    if (n < a->positional_min)
        return err_set(e, ERR_USAGE, "an argument is missing; usage: %s", a->usage);
    return 0;
}
