/* store_db.c: opening run.db as it should be, and small helpers around prepared statements. */
#include "learner/store_db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "learner/sql_text.h"

/* ---- errors ---- */

/* What may go away by itself, or with the disk's owner's help, is worth trying again on a new
 * connection; what the data or the rules refuse is not. */
static int code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY:
        return ERR_RETRY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_DATA;
    default:
        return ERR_FAIL;
    }
}

int db_error(struct store *s, struct err *e, const char *what)
{
    int code = sqlite3_extended_errcode(s->db);
    return err_set(
        e, code_of(code), "'%s': %.200s: %s (%d)", s->db_path, what, sqlite3_errmsg(s->db), code);
}

int db_exec(struct store *s, const char *sql, struct err *e)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(s, e, sql);
}

/* ---- statements ---- */

static int bind_hash(sqlite3_stmt *st, int i, const struct hash *h)
{
    return h ? sqlite3_bind_blob(st, i, h->b, HASH_BYTES, SQLITE_TRANSIENT)
             : sqlite3_bind_null(st, i);
}

static int bind_text(sqlite3_stmt *st, int i, const char *text)
{
    return text ? sqlite3_bind_text(st, i, text, -1, SQLITE_TRANSIENT) : sqlite3_bind_null(st, i);
}

/* An empty array is an empty blob, not NULL, whatever its pointer. */
static int bind_blob(sqlite3_stmt *st, int i, const void *data, int bytes)
{
    return bytes ? sqlite3_bind_blob(st, i, data, bytes, SQLITE_TRANSIENT)
                 : sqlite3_bind_zeroblob(st, i, 0);
}

static int bind_all(sqlite3_stmt *st, const char *types, va_list args)
{
    int rc = SQLITE_OK;
    for (int i = 1; *types && rc == SQLITE_OK; types++, i++) {
        if (*types == 'i') {
            rc = sqlite3_bind_int64(st, i, va_arg(args, int64_t));
        } else if (*types == 'd') {
            double v = va_arg(args, double);
            rc = isnan(v) ? sqlite3_bind_null(st, i) : sqlite3_bind_double(st, i, v);
        } else if (*types == 't') {
            rc = bind_text(st, i, va_arg(args, const char *));
        } else if (*types == 'h') {
            rc = bind_hash(st, i, va_arg(args, const struct hash *));
        } else if (*types == 'b') {
            const void *data = va_arg(args, const void *);
            rc = bind_blob(st, i, data, va_arg(args, int));
        } else {
            rc = sqlite3_bind_null(st, i);
        }
    }
    return rc;
}

int db_bind(struct store *s, int slot, const char *sql, struct err *e, const char *types, ...)
{
    sqlite3_stmt **st = &s->statements[slot];
    if (slot == SLOT_ONE) {
        sqlite3_finalize(*st);
        *st = NULL;
    }
    if (!*st && sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL))
        return db_error(s, e, sql);
    assert(strcmp(sqlite3_sql(*st), sql) == 0); /* a slot keeps one text */
    (void)sqlite3_reset(*st); /* says again how the last run ended; that was looked at then */
    va_list args;
    va_start(args, types);
    int rc = bind_all(*st, types, args);
    va_end(args);
    return rc == SQLITE_OK ? 0 : db_error(s, e, sql);
}

int db_next(struct store *s, int slot, struct err *e)
{
    sqlite3_stmt *st = s->statements[slot];
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    int r = rc == SQLITE_DONE ? 0 : db_error(s, e, sqlite3_sql(st));
    (void)sqlite3_reset(st); /* its result is that of the step */
    return r;
}

void db_reset(struct store *s, int slot)
{
    (void)sqlite3_reset(s->statements[slot]); /* NULL is fine; ends a read early */
}

int db_finish(struct store *s, int slot, int r, struct err *e)
{
    if (r == 0)
        r = db_next(s, slot, e);
    if (r == 1) {
        db_reset(s, slot);
        return 0;
    }
    return r;
}

int64_t db_int(struct store *s, int slot, int column)
{
    return sqlite3_column_int64(s->statements[slot], column);
}

bool db_null(struct store *s, int slot, int column)
{
    return sqlite3_column_type(s->statements[slot], column) == SQLITE_NULL;
}

double db_double(struct store *s, int slot, int column)
{
    return db_null(s, slot, column) ? NAN : sqlite3_column_double(s->statements[slot], column);
}

const char *db_text(struct store *s, int slot, int column)
{
    const unsigned char *t = sqlite3_column_text(s->statements[slot], column);
    return t ? (const char *)t : "";
}

bool db_hash(struct store *s, int slot, int column, struct hash *ret)
{
    const void *data = sqlite3_column_blob(s->statements[slot], column);
    if (!data || sqlite3_column_bytes(s->statements[slot], column) != HASH_BYTES)
        return false;
    memcpy(ret->b, data, HASH_BYTES);
    return true;
}

int db_word(const char *word, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        if (names[i] && strcmp(names[i], word) == 0)
            return i;
    }
    return -1;
}

/* ---- opening ---- */

/* WAL needs shared memory: on these file systems two hosts would corrupt the database. */
static int refuse_network(const char *dir, struct err *e)
{
    static const struct {
        uint32_t magic;
        const char *name;
    } refused[] = {{0x6969, "NFS"}, {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"}, {0x517b, "SMB"},
        {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"}, {0x00c36400, "Ceph"}, {0x5346414f, "AFS"},
        {0x19830326, "BeeGFS"}};
    struct statfs fs;
    if (statfs(dir, &fs))
        return err_sys(e, ERR_FAIL, "'%s'", dir);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if ((uint32_t)fs.f_type == refused[i].magic)
            return err_set(e, ERR_CONFIG,
                "'%s' is on %s: a run's database must be on a local file system", dir,
                refused[i].name);
    }
    return 0;
}

/* Made before SQLite opens it, so that its mode does not depend on the umask: other users may read.
 * The WAL and its index take the mode of the database. */
static int create_file(const char *path, struct err *e)
{
    CLEANUP(file_close) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_sys(e, ERR_FAIL, "create '%s'", path);
    return fchmod(fd, 0644) ? err_sys(e, ERR_FAIL, "mode of '%s'", path) : 0;
}

static int one_int(struct store *s, const char *sql, int64_t *ret, struct err *e)
{
    int r = db_bind(s, SLOT_ONE, sql, e, "");
    if (r == 0)
        r = db_next(s, SLOT_ONE, e);
    if (r == 1)
        *ret = db_int(s, SLOT_ONE, 0);
    db_reset(s, SLOT_ONE);
    return r < 0 ? r : 0;
}

static int configure(struct store *s, struct err *e)
{
    int on = 1;
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    (void)sqlite3_db_config(
        s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL); /* a second line of defence */
    /* A reader without write permission needs the WAL's files after a clean stop too. */
    (void)sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
    int r = db_bind(s, SLOT_ONE, "PRAGMA journal_mode = WAL", e, "");
    if (r == 0)
        r = db_next(s, SLOT_ONE, e);
    if (r == 1 && strcmp(db_text(s, SLOT_ONE, 0), "wal") != 0)
        r = err_set(e, ERR_FAIL, "'%s': journal mode %s, expected wal", s->db_path,
            db_text(s, SLOT_ONE, 0));
    db_reset(s, SLOT_ONE);
    if (r < 0)
        return r;
    char pragmas[256];
    (void)snprintf(pragmas, sizeof(pragmas),
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0;"
        "PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d; PRAGMA trusted_schema = "
        "OFF",
        STORE_CHECKPOINT_PAGES, STORE_WAL_KEEP_MIB << 20);
    return db_exec(s, pragmas, e);
}

/* Scripts that bring a database from the version before to this one. */
static const struct migration {
    int64_t version;
    const char *script, *views;
} migrations[] = {{1, sql_schema, sql_views}, {2, sql_weights_type, ""}};

static int migrate_to(struct store *s, const struct migration *m, struct err *e)
{
    char pragmas[128];
    (void)snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d",
        STORE_APPLICATION_ID, (int)m->version);
    int r = db_exec(s, "BEGIN IMMEDIATE", e);
    if (r == 0)
        r = db_exec(s, m->script, e);
    if (r == 0)
        r = db_exec(s, m->views, e);
    if (r == 0)
        r = db_exec(s, pragmas, e);
    if (r == 0)
        r = db_exec(s, "COMMIT", e);
    return r ? err_ctx(e, "bring the tables to version %d", (int)m->version) : 0;
}

static int migrate(struct store *s, struct err *e)
{
    int64_t application = 0, version = 0, objects = 0;
    int r = one_int(s, "PRAGMA application_id", &application, e);
    if (r == 0)
        r = one_int(s, "PRAGMA user_version", &version, e);
    if (r == 0)
        r = one_int(s, "SELECT count(*) FROM sqlite_schema", &objects, e);
    if (r)
        return r;
    if (objects && application != STORE_APPLICATION_ID)
        return err_set(e, ERR_CONFIG, "'%s' is a database of something else (application id %jd)",
            s->db_path, (intmax_t)application);
    int64_t newest = migrations[ARRAY_LEN(migrations) - 1].version;
    if (version > newest)
        return err_set(e, ERR_CONFIG,
            "'%s': tables of version %jd, this build knows up to %jd: use a newer build",
            s->db_path, (intmax_t)version, (intmax_t)newest);
    for (size_t i = 0; i < ARRAY_LEN(migrations) && r == 0; i++) {
        if (migrations[i].version > version)
            r = migrate_to(s, &migrations[i], e);
    }
    return r;
}

static int open_db(struct store *s, struct err *e)
{
    int r = refuse_network(s->o.run_dir, e);
    if (r == 0)
        r = create_file(s->db_path, e);
    if (r)
        return r;
    if (sqlite3_open_v2(s->db_path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
        return s->db ? db_error(s, e, "open")
                     : err_set(e, ERR_RETRY, "'%s': no memory", s->db_path);
    r = configure(s, e);
    return r ? r : migrate(s, e);
}

static int open_segments(struct store *s, struct err *e)
{
    CLEANUP_FREE char *dir = mem_printf("%s/samples", s->o.run_dir);
    CLEANUP_BUF struct buf ends = {0};
    int r = s->segments ? 0 : segments_open(dir, &s->segments, e);
    if (r == 0)
        r = db_bind(s, SLOT_ONE,
            "SELECT segment, max(offset + length) FROM groups WHERE segment IS NOT NULL "
            "GROUP BY segment ORDER BY segment",
            e, "");
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        struct segment_end x = {
            .segment = (uint32_t)db_int(s, SLOT_ONE, 0), .end = (uint64_t)db_int(s, SLOT_ONE, 1)};
        buf_append(&ends, &x, sizeof(x));
        r = 0;
    }
    if (r)
        return r;
    if (s->o.segment_bytes != 0)
        segments_set_bytes_max(s->segments, s->o.segment_bytes);
    return segments_recover(
        s->segments, (const void *)ends.data, ends.len / sizeof(struct segment_end), e);
}

int store_broken(struct store *s, int code)
{
    for (int i = 0; i < SLOT_COUNT; i++) {
        sqlite3_finalize(s->statements[i]);
        s->statements[i] = NULL;
    }
    /* Rolls back what was begun. With every statement finalized it cannot fail. */
    (void)sqlite3_close(s->db);
    s->db = NULL;
    return code;
}

int store_ready(struct store *s, struct err *e)
{
    if (s->db)
        return 0;
    int r = open_db(s, e);
    if (r == 0)
        r = open_segments(s, e);
    return r ? store_broken(s, r) : 0;
}
