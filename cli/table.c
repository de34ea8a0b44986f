/* table.c: see table.h. */
#include "cli/table.h"

#include <stdlib.h>

#include "cli/display.h"

enum {
    TEXT_WIDTH_MAX = 48,  /* longer text is cut, */
    LAST_WIDTH_MAX = 240, /* but in the last column, which nothing needs to be aligned with */
    TEXT_WIDTH_MIN = 20,  /* text is not cut below this to make a table fit */
    GAP = 2,              /* blanks between columns */
};

/* ---- reading ---- */

static json_t *cell(struct rundb_query *q, int column)
{
    if (rundb_is_null(q, column))
        return json_null();
    if (rundb_is_integer(q, column))
        return json_integer(rundb_int(q, column));
    if (rundb_is_number(q, column))
        return json_real(rundb_real(q, column));
    CLEANUP_FREE char *text = display_dup(rundb_text(q, column));
    return json_string(text);
}

static json_t *read_row(struct rundb_query *q, int columns)
{
    json_t *row = json_array();
    for (int i = 0; i < columns; i++)
        json_array_append_new(row, cell(q, i));
    return row;
}

int table_read(struct rundb_query *q, size_t rows_max, bool reverse, struct table *ret,
    bool *ret_more, struct err *e)
{
    struct table t = {.columns = rundb_columns(q), .rows = json_array()};
    t.names = mem_array((size_t)t.columns, sizeof(*t.names));
    for (int i = 0; i < t.columns; i++)
        t.names[i] = mem_strdup(rundb_column_name(q, i));
    int rc;
    while ((rc = rundb_next(q, e)) == 1 && json_array_size(t.rows) < rows_max)
        json_array_append_new(t.rows, read_row(q, t.columns));
    if (rc < 0) {
        table_done(&t);
        return rc;
    }
    if (reverse) {
        json_t *turned = json_array();
        for (size_t i = json_array_size(t.rows); i-- > 0;)
            json_array_append(turned, json_array_get(t.rows, i));
        json_decref(t.rows);
        t.rows = turned;
    }
    *ret_more = rc == 1;
    *ret = t;
    return 0;
}

void table_done(struct table *t)
{
    for (int i = 0; i < t->columns; i++)
        free(t->names[i]);
    free(t->names);
    json_decref(t->rows);
    *t = (struct table){0};
}

size_t table_rows(const struct table *t)
{
    return json_array_size(t->rows);
}

/* ---- tables ---- */

static const json_t *at(const struct table *t, size_t row, int column)
{
    return json_array_get(json_array_get(t->rows, row), (size_t)column);
}

static void put_cell(const json_t *v, size_t width, struct buf *out)
{
    buf_clear(out);
    if (json_is_integer(v))
        buf_printf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        buf_printf(out, "%.4g", json_real_value(v));
    else if (json_is_string(v))
        display_cut(out, json_string_value(v), width);
    else
        buf_puts(out, "-");
    buf_puts(out, "");
}

struct column {
    size_t width;
    bool number;
};

static struct column measure(const struct table *t, int i)
{
    CLEANUP_BUF struct buf text = {0};
    size_t width_max = i == t->columns - 1 ? LAST_WIDTH_MAX : TEXT_WIDTH_MAX;
    struct column c = {display_width(t->names[i]), true};
    for (size_t row = 0; row < table_rows(t); row++) {
        const json_t *v = at(t, row, i);
        put_cell(v, width_max, &text);
        size_t width = display_width((const char *)text.data);
        c.width = width > c.width ? width : c.width;
        c.number &= !json_is_string(v);
    }
    return c;
}

static void put_aligned(const char *text, struct column c, struct buf *out)
{
    size_t width = display_width(text);
    int fill = width < c.width ? (int)(c.width - width) : 0;
    buf_printf(out, "%*s%s%*s", c.number ? fill : 0, "", text, c.number ? 0 : fill, "");
}

/* Prints a line without the blanks at its end, and begins the next. */
static void end_line(struct buf *line, FILE *out)
{
    while (line->len > 0 && line->data[line->len - 1] == ' ')
        line->len--;
    (void)fwrite(line->data, 1, line->len, out); /* whoever opened out asks for its errors */
    (void)fputc('\n', out);
    buf_clear(line);
}

/* The column whose text may be cut most; -1 when none may be cut further. */
static int widest_text(const struct column *columns, int count)
{
    int widest = -1;
    for (int i = 0; i < count; i++)
        if (!columns[i].number && columns[i].width > TEXT_WIDTH_MIN &&
            (widest < 0 || columns[i].width > columns[widest].width))
            widest = i;
    return widest;
}

/* Makes the columns fit into width; how many are shown. */
static int fit(struct column *columns, int count, size_t indent, size_t width)
{
    size_t total = indent;
    int i;
    for (i = 0; i < count; i++)
        total += columns[i].width + (i > 0 ? GAP : 0);
    while (total > width && (i = widest_text(columns, count)) >= 0) {
        size_t spare = columns[i].width - TEXT_WIDTH_MIN;
        size_t cut = spare < total - width ? spare : total - width;
        columns[i].width -= cut;
        total -= cut;
    }
    while (total > width && count > 1)
        total -= columns[--count].width + GAP;
    return count;
}

static void name_the_rest(const struct table *t, int shown, const char *indent, FILE *out)
{
    CLEANUP_BUF struct buf line = {0};
    for (int i = shown; i < t->columns; i++)
        buf_printf(&line, "%s%s", i > shown ? ", " : "", t->names[i]);
    fprintf(out, "%snot shown for lack of width: %s\n", indent, (const char *)line.data);
}

void table_print(const struct table *t, const char *indent, size_t width, FILE *out)
{
    CLEANUP_FREE struct column *columns = mem_array((size_t)t->columns, sizeof(*columns));
    CLEANUP_BUF struct buf text = {0}, line = {0};
    for (int i = 0; i < t->columns; i++)
        columns[i] = measure(t, i);
    int shown = width > 0 ? fit(columns, t->columns, strlen(indent), width) : t->columns;
    for (int i = 0; i < shown; i++) {
        buf_printf(&line, "%*s", i > 0 ? GAP : (int)strlen(indent), "");
        put_aligned(t->names[i], columns[i], &line);
    }
    end_line(&line, out);
    for (size_t row = 0; row < table_rows(t); row++) {
        for (int i = 0; i < shown; i++) {
            put_cell(at(t, row, i), columns[i].width, &text);
            buf_printf(&line, "%*s", i > 0 ? GAP : (int)strlen(indent), "");
            put_aligned((const char *)text.data, columns[i], &line);
        }
        end_line(&line, out);
    }
    if (shown < t->columns)
        name_the_rest(t, shown, indent, out);
}

void table_print_row(const struct table *t, const char *indent, FILE *out)
{
    CLEANUP_BUF struct buf text = {0}, line = {0};
    struct column names = {0};
    for (int i = 0; i < t->columns; i++)
        if (display_width(t->names[i]) > names.width)
            names.width = display_width(t->names[i]);
    for (int i = 0; i < t->columns; i++) {
        const json_t *v = at(t, 0, i);
        if (json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0))
            continue;
        put_cell(v, SIZE_MAX, &text);
        buf_puts(&line, indent);
        put_aligned(t->names[i], names, &line);
        buf_printf(&line, "  %s", (const char *)text.data);
        end_line(&line, out);
    }
}

/* ---- JSON ---- */

json_t *table_json_row(const struct table *t, size_t row)
{
    json_t *object = json_object();
    for (int i = 0; i < t->columns; i++)
        json_object_set(
            object, t->names[i], json_array_get(json_array_get(t->rows, row), (size_t)i));
    return object;
}

json_t *table_json(const struct table *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < table_rows(t); i++)
        json_array_append_new(list, table_json_row(t, i));
    return list;
}
