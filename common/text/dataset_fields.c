/* dataset_fields.c: see dataset_fields.h. */
#include "common/text/dataset_fields.h"

#include <string.h>

bool row_has(const json_t *row, const char *name)
{
    return json_object_get(row, name) != NULL;
}

static const char *type_name(const json_t *v)
{
    static const char *const names[] = {
        "an object", "a list", "text", "an integer", "a number", "true", "false", "null"};
    return v == NULL ? "nothing" : names[json_typeof(v)];
}

int row_wrong_field(const json_t *v, const char *name, const char *expected, struct err *e)
{
    return err_set(e, ERR_DATA, "field '%s': found %s, expected %s", name, type_name(v), expected);
}

int row_text(const json_t *row, const char *name, const char **ret, struct err *e)
{
    const json_t *v = json_object_get(row, name);
    if (!json_is_string(v))
        return row_wrong_field(v, name, "text", e);
    if (json_string_length(v) == 0)
        return err_set(e, ERR_DATA, "field '%s': empty, expected text", name);
    *ret = json_string_value(v);
    return 0;
}

int row_optional_text(const json_t *row, const char *name, const char **ret, struct err *e)
{
    const json_t *v = json_object_get(row, name);
    if (v != NULL && !json_is_null(v) && !json_is_string(v))
        return row_wrong_field(v, name, "text", e);
    *ret = json_is_string(v) ? json_string_value(v) : "";
    return 0;
}

int row_list(const json_t *row, const char *name, json_t **ret, struct err *e)
{
    json_t *v = json_object_get(row, name);
    if (!json_is_array(v) || json_array_size(v) == 0)
        return row_wrong_field(v, name, "a list with at least one item", e);
    *ret = v;
    return 0;
}

int row_take_prompt(const json_t *row, const char *name, struct row_draft *d, struct err *e)
{
    const char *text = NULL;
    int r = row_text(row, name, &text, e);
    if (r == 0)
        buf_puts(&d->prompt, text);
    return r;
}

int row_copy_text(const json_t *row, const char *name, struct row_draft *d, struct err *e)
{
    const char *text = "";
    int r = row_optional_text(row, name, &text, e);
    if (r == 0 && text[0] != '\0')
        (void)json_object_set_new(d->task, name, json_string(text));
    return r;
}

int row_take_solution(const json_t *row, const char *name, struct row_draft *d, struct err *e)
{
    const char *text = "";
    int r = row_optional_text(row, name, &text, e);
    if (r == 0 && text[0] != '\0')
        (void)json_object_set_new(d->task, "solution", json_string(text));
    return r;
}
