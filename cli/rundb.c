/* rundb.c: read-only queries on RUN/run.db. */
#include "cli/rundb.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/mem.h"

enum {
    SCHEMA_VERSION = 2,
    BUSY_MS =
        2000, /* the learner's own recovery of the log after a crash takes the lock for less */
};

struct rundb {
    sqlite3 *db; /* owned */
    char *dir;   /* owned */
};

struct rundb_query {
    sqlite3_stmt *stmt;     /* owned */
    const struct rundb *db; /* borrowed */
};

/* A reader sees BUSY while the learner recovers the log, and CANTOPEN in the moment in which it
 * creates the files; both pass. */
static int failed(const struct rundb *db, const char *doing, struct err *e)
{
    int code = sqlite3_errcode(db->db) & 0xff;
    bool passes = code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_CANTOPEN ||
                  code == SQLITE_SCHEMA || code == SQLITE_PROTOCOL;
    return err_set(e, passes ? ERR_RETRY : ERR_DATA, "%s/run.db: %s: %s", db->dir, doing,
        sqlite3_errmsg(db->db));
}

/* A path as the file part of a URI: everything that has a meaning there is written in hexadecimal.
 */
static char *uri_of(const char *path)
{
    struct buf b = {0};
    buf_puts(&b, "file:");
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f || strchr("%?#", *p) != NULL)
            buf_printf(&b, "%%%02X", *p);
        else
            buf_append(&b, p, 1);
    }
    buf_puts(&b, "?mode=ro");
    return (char *)b.data;
}

static int check_schema(struct rundb *db, struct err *e)
{
    int64_t version = 0;
    int r = rundb_one_int(db, "PRAGMA user_version", NULL, 0, &version, e);
    if (r < 0)
        return r;
    if (version == 0)
        return err_set(e, ERR_RETRY, "%s/run.db has no tables yet", db->dir);
    if (version != SCHEMA_VERSION)
        return err_set(e, ERR_DATA, "%s/run.db has schema version %lld, this cohort reads %d",
            db->dir, (long long)version, SCHEMA_VERSION);
    return 0;
}

int rundb_open(const char *run_dir, struct rundb **ret, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/run.db", run_dir);
    struct stat st;
    if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_DATA,
            "%s is no run directory: it has no run.db (expected the directory that `cohort run` "
            "made)",
            run_dir);
    CLEANUP_FREE char *uri = uri_of(path);
    struct rundb *db = mem_alloc(sizeof(*db));
    db->dir = mem_strdup(run_dir);
    int r = 0;
    if (sqlite3_open_v2(uri, &db->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
            NULL) != SQLITE_OK)
        r = failed(db, "opening it to read", e);
    if (r == 0) {
        sqlite3_busy_timeout(db->db, BUSY_MS);
        r = check_schema(db, e);
    }
    if (r < 0) {
        rundb_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

void rundb_close(struct rundb *db)
{
    if (db == NULL)
        return;
    (void)sqlite3_close_v2(db->db); /* a read-only connection has nothing to lose */
    free(db->dir);
    free(db);
}

void rundb_close_at(struct rundb **db)
{
    rundb_close(*db);
    *db = NULL;
}

const char *rundb_dir(const struct rundb *db)
{
    return db->dir;
}

int rundb_snapshot_begin(struct rundb *db, struct err *e)
{
    if (sqlite3_exec(db->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return failed(db, "beginning to read", e);
    return 0;
}

void rundb_snapshot_end(struct rundb *db)
{
    (void)sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL); /* fails only when none is open */
}

/* ---- queries ---- */

int rundb_prepare(struct rundb *db, const char *sql, struct rundb_query **ret, struct err *e)
{
    *ret = NULL;
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return failed(db, "preparing a query", e);
    *ret = mem_alloc(sizeof(**ret));
    **ret = (struct rundb_query){.stmt = stmt, .db = db};
    return 0;
}

void rundb_bind_int(struct rundb_query *q, int number, int64_t value)
{
    (void)sqlite3_bind_int64(q->stmt, number, value); /* a wrong number is NULL: seen by any test */
}

void rundb_bind_text(struct rundb_query *q, int number, const char *value)
{
    (void)sqlite3_bind_text(q->stmt, number, value, -1, SQLITE_TRANSIENT); /* as above */
}

int rundb_next(struct rundb_query *q, struct err *e)
{
    switch (sqlite3_step(q->stmt)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return failed(q->db, "reading", e);
    }
}

void rundb_again(struct rundb_query *q)
{
    (void)sqlite3_reset(q->stmt); /* repeats the error of the last step, which was reported */
}

void rundb_done(struct rundb_query **q)
{
    if (*q == NULL)
        return;
    (void)sqlite3_finalize((*q)->stmt); /* as rundb_again */
    free(*q);
    *q = NULL;
}

/* ---- columns ---- */

int rundb_columns(const struct rundb_query *q)
{
    return sqlite3_column_count(q->stmt);
}

const char *rundb_column_name(const struct rundb_query *q, int column)
{
    return sqlite3_column_name(q->stmt, column);
}

bool rundb_is_null(struct rundb_query *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

bool rundb_is_number(struct rundb_query *q, int column)
{
    int type = sqlite3_column_type(q->stmt, column);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

bool rundb_is_integer(struct rundb_query *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_INTEGER;
}

int64_t rundb_int(struct rundb_query *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

double rundb_real(struct rundb_query *q, int column)
{
    return sqlite3_column_double(q->stmt, column);
}

const char *rundb_text(struct rundb_query *q, int column)
{
    const unsigned char *text = sqlite3_column_text(q->stmt, column);
    return text != NULL ? (const char *)text : "";
}

const void *rundb_blob(struct rundb_query *q, int column, size_t *ret_bytes)
{
    const void *data = sqlite3_column_blob(q->stmt, column);
    *ret_bytes = (size_t)sqlite3_column_bytes(q->stmt, column);
    return data;
}

/* ---- one value ---- */

/* Leaves the query at its first row: 1, or 0 when there is none or its first column is NULL. */
static int first_row(struct rundb *db, const char *sql, const int64_t *binds, int bind_count,
    struct rundb_query **ret, struct err *e)
{
    int r = rundb_prepare(db, sql, ret, e);
    if (r < 0)
        return r;
    for (int i = 0; i < bind_count; i++)
        rundb_bind_int(*ret, i + 1, binds[i]);
    r = rundb_next(*ret, e);
    return r == 1 && rundb_is_null(*ret, 0) ? 0 : r;
}

int rundb_one_int(struct rundb *db, const char *sql, const int64_t *binds, int bind_count,
    int64_t *ret, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = first_row(db, sql, binds, bind_count, &q, e);
    if (r == 1)
        *ret = rundb_int(q, 0);
    return r;
}

int rundb_one_real(struct rundb *db, const char *sql, const int64_t *binds, int bind_count,
    double *ret, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = first_row(db, sql, binds, bind_count, &q, e);
    if (r == 1)
        *ret = rundb_real(q, 0);
    return r;
}

int rundb_one_text(struct rundb *db, const char *sql, const int64_t *binds, int bind_count,
    char **ret, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int r = first_row(db, sql, binds, bind_count, &q, e);
    if (r == 1)
        *ret = mem_strdup(rundb_text(q, 0));
    return r;
}
