/* rundb.h: reading RUN/run.db. The only user of SQLite among the commands.
 *
 * The connection is read-only (mode=ro, never immutable: the learner may be writing) and keeps no
 * transaction open between calls, so that a reader never lets the write-ahead log grow. A query is
 * prepared, bound by number from 1, stepped, and closed soon. Text of the tables is display text
 * already (escaped by the learner). One thread uses a connection at a time.
 */
#ifndef COHORT_CLI_RUNDB_H
#define COHORT_CLI_RUNDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct rundb;
struct rundb_query;

/* ERR_DATA when the directory has no run.db, or one that is not ours; ERR_RETRY while the learner
 * is still creating it. */
int rundb_open(const char *run_dir, struct rundb **ret, struct err *e) ERR_WARN_UNUSED;
void rundb_close(struct rundb *db);            /* NULL is fine */
void rundb_close_at(struct rundb **db);        /* for CLEANUP */
const char *rundb_dir(const struct rundb *db); /* as given to rundb_open */

/* Several queries of one moment: between these two the tables stand still. Keep it short. */
int rundb_snapshot_begin(struct rundb *db, struct err *e) ERR_WARN_UNUSED;
void rundb_snapshot_end(struct rundb *db);

/* sql is one statement. On failure *ret is NULL. */
int rundb_prepare(
    struct rundb *db, const char *sql, struct rundb_query **ret, struct err *e) ERR_WARN_UNUSED;
void rundb_bind_int(struct rundb_query *q, int number, int64_t value);
void rundb_bind_text(struct rundb_query *q, int number, const char *value); /* copied */

/* 1: a row is there; 0: no more; ERR_RETRY when the database stayed busy; ERR_DATA otherwise. */
int rundb_next(struct rundb_query *q, struct err *e) ERR_WARN_UNUSED;
void rundb_again(struct rundb_query *q); /* back to before the first row; bindings stay */
void rundb_done(struct rundb_query **q); /* for CLEANUP; NULL is fine */
#define CLEANUP_QUERY CLEANUP(rundb_done)

/* Columns of the current row, from 0; valid until the next rundb_next. */
int rundb_columns(const struct rundb_query *q);
const char *rundb_column_name(const struct rundb_query *q, int column);
bool rundb_is_null(struct rundb_query *q, int column);
bool rundb_is_number(struct rundb_query *q, int column);
bool rundb_is_integer(struct rundb_query *q, int column);
int64_t rundb_int(struct rundb_query *q, int column);
double rundb_real(struct rundb_query *q, int column);
const char *rundb_text(struct rundb_query *q, int column); /* "" for NULL */
const void *rundb_blob(struct rundb_query *q, int column, size_t *ret_bytes);

/* The first column of the first row: 1, or 0 when there is no row or it is NULL. binds are
 * integers, bound in order. */
int rundb_one_int(struct rundb *db, const char *sql, const int64_t *binds, int bind_count,
    int64_t *ret, struct err *e) ERR_WARN_UNUSED;
int rundb_one_real(struct rundb *db, const char *sql, const int64_t *binds, int bind_count,
    double *ret, struct err *e) ERR_WARN_UNUSED;
/* The text is the caller's (free). */
int rundb_one_text(struct rundb *db, const char *sql, const int64_t *binds, int bind_count,
    char **ret, struct err *e) ERR_WARN_UNUSED;

#endif
