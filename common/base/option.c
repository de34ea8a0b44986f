/* option.c: the types of option values. */
#include "common/base/option.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/log.h"

bool option_name_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool letter = s[i] >= 'a' && s[i] <= 'z', digit = s[i] >= '0' && s[i] <= '9';
        if (!letter && !digit && s[i] != '_' && s[i] != '-')
            return false;
    }
    return n > 0 && n <= OPTION_NAME_MAX;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, keeping the last three rows of the table. */
unsigned option_name_distance(const char *a, const char *b)
{
    enum { CHARS_MAX = 2 * OPTION_NAME_MAX + 1 };
    unsigned rows[3][CHARS_MAX + 1];
    size_t a_len = strnlen(a, CHARS_MAX), b_len = strnlen(b, CHARS_MAX);
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

static bool parse_bool(const char *text, bool *ret)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i], text) == 0) {
            *ret = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool parse_int(const char *text, int64_t *ret)
{
    static const char suffixes[] = "KMG";
    const char *digits = text + (*text == '-');
    size_t count = strspn(digits, "0123456789");
    const char *end = digits + count;
    const char *suffix = *end != '\0' ? strchr(suffixes, *end) : NULL;
    if (count == 0 || (*end != '\0' && (suffix == NULL || end[1] != '\0')))
        return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    int64_t scale = suffix != NULL ? (int64_t)1024 << 10 * (suffix - suffixes) : 1;
    return errno == 0 && !__builtin_mul_overflow(value, scale, ret);
}

/* strtod alone would take blanks, hexadecimal, inf and nan. */
static bool parse_float(const char *text, size_t n, double *ret)
{
    char copy[64];
    if (n == 0 || n >= sizeof(copy))
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (strspn(copy, "0123456789+-.eE") != n)
        return false;
    char *end;
    double value = strtod(copy, &end);
    if (*end != '\0' || !isfinite(value))
        return false;
    *ret = value;
    return true;
}

static bool parse_range(const char *text, struct option_value *ret)
{
    ret->yes = *text != '\0';
    if (!ret->yes)
        return true;
    const char *dots = strstr(text, "..");
    return dots != NULL && parse_float(text, (size_t)(dots - text), &ret->low) &&
           parse_float(dots + 2, strlen(dots + 2), &ret->high) && ret->low <= ret->high;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *c = choices;;) {
        size_t len = strcspn(c, "|");
        if (len == n && memcmp(c, text, n) == 0)
            return true;
        if (c[len] == '\0')
            return false;
        c += len + 1;
    }
}

static bool within(const struct config_option *o, double value)
{
    return (o->min == 0 && o->max == 0) || (value >= o->min && value <= o->max);
}

static bool parse(const struct config_option *o, const char *text, struct option_value *ret)
{
    switch (o->type) {
    case OPT_BOOL:
        return parse_bool(text, &ret->yes);
    case OPT_INT:
        return parse_int(text, &ret->number) && within(o, (double)ret->number);
    case OPT_FLOAT:
        return parse_float(text, strlen(text), &ret->low) && within(o, ret->low);
    case OPT_CHOICE:
        return is_choice(o->choices, text);
    case OPT_RANGE:
        return parse_range(text, ret);
    case OPT_STRING:
        break;
    }
    return true;
}

int option_parse(
    const struct config_option *o, const char *text, struct option_value *ret, struct err *e)
{
    struct option_value value = {0};
    if (parse(o, text, &value)) {
        *ret = value;
        return 0;
    }
    CLEANUP_BUF struct buf shown = {0}, expected = {0};
    text_escape(&shown, text, strnlen(text, 100));
    option_describe(o, &expected);
    return err_set(
        e, ERR_CONFIG, "value '%s', expected %s", (char *)shown.data, (char *)expected.data);
}

void option_describe(const struct config_option *o, struct buf *out)
{
    static const char *const types[] = {[OPT_BOOL] = "yes or no",
        [OPT_INT] = "integer",
        [OPT_FLOAT] = "number",
        [OPT_STRING] = "text",
        [OPT_CHOICE] = "one of ",
        [OPT_RANGE] = "LOW..HIGH or nothing"};
    buf_puts(out, types[o->type]);
    if (o->type == OPT_CHOICE)
        buf_puts(out, o->choices);
    if ((o->type == OPT_INT || o->type == OPT_FLOAT) && (o->min != 0 || o->max != 0))
        buf_printf(out, ", %.15g to %.15g", o->min, o->max);
}
