/* table.h: the rows of a query for people, as an aligned table, and for programs, as JSON. */
#ifndef COHORT_CLI_TABLE_H
#define COHORT_CLI_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "cli/rundb.h"

/* All rows of a query, read at once so that no transaction stays open while they are printed. */
struct table {
    int columns;
    char **names; /* owned, and each of them */
    json_t *rows; /* owned; array of arrays: null, integer, real or text */
};

/* Reads at most rows_max rows; *ret_more says whether there were others. reverse turns their order
 * round: for queries that ask for the newest first. */
int table_read(struct rundb_query *q, size_t rows_max, bool reverse, struct table *ret,
    bool *ret_more, struct err *e) ERR_WARN_UNUSED;
void table_done(struct table *t);
size_t table_rows(const struct table *t);

/* Aligned columns under their names; numbers to the right. Long text is cut, in JSON never. width
 * is the terminal's: long text becomes narrower until the table fits, then columns at the right are
 * left out and a line names them; 0: there is none. */
void table_print(const struct table *t, const char *indent, size_t width, FILE *out);
/* One line for each column of the first row: for tables of a single row. */
void table_print_row(const struct table *t, const char *indent, FILE *out);

json_t *table_json_row(const struct table *t, size_t row); /* an object; the caller's */
json_t *table_json(const struct table *t);                 /* an array of them */

#endif
