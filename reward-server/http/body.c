/* body.c: see body.h. */
#include "reward-server/http/body.h"

#include <math.h>
#include <stdbool.h>

/* ---- the text ---- */

/* Beyond the string that begins before at. A string that does not end is jansson's to refuse. */
static size_t skip_string(const char *text, size_t n, size_t at)
{
    while (at < n && text[at] != '"')
        at += text[at] == '\\' ? 2 : 1;
    return at < n ? at + 1 : n;
}

/* Each comma, colon and opening bracket outside of strings announces one value at most. */
static int check_bounds(const char *text, size_t n, struct err *e)
{
    size_t depth = 0, values = 1;
    for (size_t i = 0; i < n;) {
        char c = text[i++];
        if (c == '"')
            i = skip_string(text, n, i);
        else if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        values += c == '[' || c == '{' || c == ',' || c == ':';
        if (depth > BODY_DEPTH_MAX)
            return err_set(
                e, ERR_LIMIT, "JSON at byte %zu: nested deeper than %d", i, BODY_DEPTH_MAX);
        if (values > BODY_VALUES_MAX)
            return err_set(e, ERR_LIMIT, "JSON at byte %zu: over %d values", i, BODY_VALUES_MAX);
    }
    return 0;
}

int body_parse(const char *text, size_t n, json_t **ret, struct err *e)
{
    json_error_t at;
    if (check_bounds(text, n, e) < 0)
        return e->code;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &at);
    if (root == NULL)
        return err_set(e, ERR_LIMIT, "JSON at line %d column %d: %s", at.line, at.column, at.text);
    if (!json_is_object(root)) {
        int r = err_set(e, ERR_LIMIT, "JSON: found %s, expected an object", body_type(root));
        json_decref(root);
        return r;
    }
    *ret = root;
    return 0;
}

/* ---- members ---- */

const char *body_type(const json_t *v)
{
    static const char *const names[] = {
        "an object", "a list", "text", "an integer", "a number", "true", "false", "null"};
    return v == NULL ? "nothing" : names[json_typeof(v)];
}

static int wrong_type(const json_t *v, const char *name, const char *expected, struct err *e)
{
    return err_set(e, ERR_DATA, "'%s': found %s, expected %s", name, body_type(v), expected);
}

static bool is_absent(const json_t *v)
{
    return v == NULL || json_is_null(v);
}

int body_text(
    const json_t *object, const char *name, const char **ret, size_t *ret_len, struct err *e)
{
    const json_t *v = json_object_get(object, name);
    if (is_absent(v))
        return 0;
    if (!json_is_string(v))
        return wrong_type(v, name, "text", e);
    *ret = json_string_value(v);
    *ret_len = json_string_length(v);
    return 0;
}

int body_number(
    const json_t *object, const char *name, double min, double max, double *ret, struct err *e)
{
    const json_t *v = json_object_get(object, name);
    if (is_absent(v))
        return 0;
    if (!json_is_number(v))
        return wrong_type(v, name, "a number", e);
    double number = json_number_value(v);
    if (!(number >= min && number <= max))
        return err_set(e, ERR_DATA, "'%s': found %g, expected %g to %g", name, number, min, max);
    *ret = number;
    return 0;
}

int body_list(const json_t *object, const char *name, json_t **ret, struct err *e)
{
    json_t *v = json_object_get(object, name);
    if (is_absent(v))
        return 0;
    if (!json_is_array(v))
        return wrong_type(v, name, "a list", e);
    *ret = v;
    return 0;
}
