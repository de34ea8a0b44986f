/* lines.h: a text file, or standard input, line by line with a bound on a line. One thread. */
#ifndef COHORT_CLI_LINES_H
#define COHORT_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "common/base/mem.h"

struct lines {
    const char *name; /* borrowed; of the file, for messages */
    int fd;           /* owned unless it is standard input */
    size_t line_max;
    size_t number;      /* of the line returned last, from 1 */
    struct buf text;    /* owned; read and not returned yet begins at `at` */
    size_t at, scanned; /* text before `scanned` has no line end */
    bool ended;
};

/* path "-" is standard input. name stays borrowed from path. */
int lines_open(struct lines *l, const char *path, size_t line_max, struct err *e) ERR_WARN_UNUSED;
void lines_close(struct lines *l);

/* 1: the next line without its end, valid until the next call; 0: no more. ERR_DATA names file and
 * line. */
int lines_next(struct lines *l, const char **ret, size_t *ret_bytes, struct err *e) ERR_WARN_UNUSED;

#endif
