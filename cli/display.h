/* display.h: text of the tables on a terminal. */
#ifndef COHORT_CLI_DISPLAY_H
#define COHORT_CLI_DISPLAY_H

#include <jansson.h>

#include "common/base/mem.h"

/* Appends s. The tables hold display text, which passes as it is; anything else that could reach a
 * terminal's escape sequences (a dataset's row key, a damaged database) is escaped first. */
void display_put(struct buf *out, const char *s);

/* The same as an owned text, never NULL. */
char *display_dup(const char *s);

/* Text as a JSON string: exact where it is UTF-8, else as display text. Dump it with
 * JSON_ENSURE_ASCII where it may reach a terminal. */
json_t *display_json(const void *text, size_t n);

/* Columns that text takes: one for each character. */
size_t display_width(const char *s);

/* Appends at most width columns of s, the last three as "..." when it was longer. */
void display_cut(struct buf *out, const char *s, size_t width);

/* Columns of the terminal at standard output; 0 when there is none. */
size_t display_terminal_width(void);

#endif
