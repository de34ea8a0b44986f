/* store_db.h: the store's connection and its small helpers, for the files of the store (store*.c)
 * only. */
#ifndef COHORT_LEARNER_STORE_DB_H
#define COHORT_LEARNER_STORE_DB_H

#include <sqlite3.h>

#include "learner/segment.h"
#include "learner/store.h"

/* Prepared statements, kept in slots: one for each kind of row, and these for reads. One text each.
 */
enum {
    SLOT_ONE = ROW_KIND_COUNT, /* any text: prepared anew each time, for queries that are rare */
    SLOT_ADVANTAGE,
    SLOT_COMPLETION,
    SLOT_JOB_MEMBERS,
    SLOT_LOAD_GROUPS,
    SLOT_LOAD_REWARDS,
    SLOT_PLAN,
    SLOT_PLAN_TASK,
    SLOT_READ_GROUP,
    SLOT_READ_COMPLETIONS,
    SLOT_READ_SCORES,
    SLOT_INPUT_JOB,
    SLOT_COUNT
};

struct store {
    struct store_options o;               /* strings owned */
    char *db_path, *wal_path;             /* owned */
    sqlite3 *db;                          /* owned; NULL: to be opened before use */
    sqlite3_stmt *statements[SLOT_COUNT]; /* owned by db */
    struct segments *segments;            /* owned; NULL like db */
    int64_t think_open, think_close;      /* token ids; -1: none */
    int64_t now_ms;                       /* wall time of the batch under way */
    bool wal_alarm;                       /* raised and still standing */
    bool started;                         /* the epoch was counted */
};

/* ---- store_db.c ---- */

/* Opens connection and segments when they are closed. */
int store_ready(struct store *s, struct err *e) ERR_WARN_UNUSED;
/* Closes both after a failure. Returns code. */
int store_broken(struct store *s, int code);

/* The error of the connection's last call, with its place. */
int db_error(struct store *s, struct err *e, const char *what);
int db_exec(struct store *s, const char *sql, struct err *e) ERR_WARN_UNUSED;

/* Prepares sql in a slot (once; kept) and binds: i int64_t, d double (NAN: NULL), t text (NULL:
 * NULL), h struct hash *, b data and int size, n NULL. */
int db_bind(struct store *s, int slot, const char *sql, struct err *e, const char *types,
    ...) ERR_WARN_UNUSED;
/* Next row: 1, 0 at the end (the statement is then reset), or an error. */
int db_next(struct store *s, int slot, struct err *e) ERR_WARN_UNUSED;
void db_reset(struct store *s, int slot);
/* For statements that return no rows. */
#define db_run(s, slot, sql, e, ...) db_finish(s, slot, db_bind(s, slot, sql, e, __VA_ARGS__), e)
int db_finish(struct store *s, int slot, int r, struct err *e) ERR_WARN_UNUSED;

int64_t db_int(struct store *s, int slot, int column);
double db_double(struct store *s, int slot, int column); /* NAN for NULL */
const char *db_text(
    struct store *s, int slot, int column); /* never NULL; valid until the next step */
bool db_null(struct store *s, int slot, int column);
bool db_hash(struct store *s, int slot, int column, struct hash *ret); /* false: not 32 bytes */

/* Index of a word in the names of an enum, -1 when absent. */
int db_word(const char *word, const char *const *names, int count);

/* ---- store_prune.c ---- */

/* In the transaction: takes segments that nothing will read again out of the rows; their numbers
 * (u32) are appended. */
int store_prune_rows(struct store *s, struct buf *ret_numbers, struct err *e) ERR_WARN_UNUSED;
/* After its commit: removes their files. */
int store_prune_files(struct store *s, const struct buf *numbers, struct err *e) ERR_WARN_UNUSED;

/* ---- store_text.c ---- */

/* The exact text of a completion: its tokens without the stop id that ended it. */
void completion_text(const struct store *s, const struct completion *c, struct buf *out);
/* Tokens between the think tags; 0 unless both occur once, in order. */
uint32_t completion_think_tokens(const struct store *s, const struct completion *c);
/* Turns display text back into the bytes it stands for: the inverse of text_escape. */
void text_unescape(struct buf *out, const char *s);
/* "0,3,7" of members; and back. false: not such a text, or an index outside 0..n-1. */
void members_print(const uint32_t *members, uint32_t count, struct buf *out);
bool members_parse(
    const char *text, uint32_t n, struct arena *a, const uint32_t **ret, uint32_t *ret_count);

#endif
