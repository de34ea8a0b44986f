/* dataset.c: lines to rows: reading with bounds, detection, keys, split. The layouts are in
 * dataset_formats.c.
 *
 * How it works: a file is read in chunks and cut into lines, so that one of any size needs memory
 * for its rows and one line only. Each line is parsed, converted by the format, checked for a
 * duplicate key, and kept in an arena when it belongs to the split.
 */
#include "common/text/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/text/dataset_formats.h"
#include "proto/limits.h"

enum { READ_CHUNK_BYTES = 256 << 10 };

struct dataset {
    const struct dataset_format *format; /* NULL until the first row when detected */
    struct arena *arena;                 /* owned; the rows' texts */
    struct dataset_row *rows;            /* owned */
    size_t count, cap;
};

/* Open addressing over 64-bit key hashes, at most half full; 0 marks a free slot. */
struct key_set {
    uint64_t *slots; /* owned */
    size_t cap, count;
};

struct loader {
    struct dataset *d;  /* borrowed */
    const char *origin; /* borrowed */
    enum dataset_split split;
    unsigned heldout_permille;
    size_t line, row; /* 1-based line; rows seen so far, all of the file */
    struct key_set keys;
};

/* ---- keys ---- */

static bool key_set_put(struct key_set *s, uint64_t hash)
{
    size_t at = hash & (s->cap - 1);
    while (s->slots[at] != 0) {
        if (s->slots[at] == hash)
            return false;
        at = (at + 1) & (s->cap - 1);
    }
    s->slots[at] = hash;
    s->count++;
    return true;
}

static bool key_set_add(struct key_set *s, const char *key)
{
    if (s->count * 2 >= s->cap) {
        struct key_set bigger = {.cap = s->cap > 0 ? s->cap * 2 : 1024};
        bigger.slots = mem_array(bigger.cap, sizeof(*bigger.slots));
        for (size_t i = 0; i < s->cap; i++) {
            if (s->slots[i] != 0)
                (void)key_set_put(&bigger, s->slots[i]); /* they differ */
        }
        free(s->slots);
        *s = bigger;
    }
    uint64_t hash = hash_u64(key, strlen(key));
    return key_set_put(s, hash != 0 ? hash : 1);
}

/* ---- rows ---- */

int dataset_is_heldout(const char *prompt, unsigned heldout_permille)
{
    return hash_u64(prompt, strlen(prompt)) % 1000 < heldout_permille;
}

static bool in_split(const struct loader *l, const char *prompt)
{
    if (l->split == SPLIT_ALL)
        return true;
    bool heldout = dataset_is_heldout(prompt, l->heldout_permille) != 0;
    return heldout == (l->split == SPLIT_HELDOUT);
}

static int row_key(const struct loader *l, const json_t *row, struct buf *key, struct err *e)
{
    static const char *const names[] = {"task_id", "id", "unique_id", "question_id"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const json_t *v = json_object_get(row, names[i]);
        if (v == NULL || json_is_null(v))
            continue;
        if (json_is_integer(v))
            buf_printf(key, "%lld", (long long)json_integer_value(v));
        else if (json_is_string(v))
            buf_puts(key, json_string_value(v));
        if (key->len == 0 || key->len > LIMIT_TEXT)
            return err_set(e, ERR_DATA, "field '%s': expected an integer or 1 to %d bytes of text",
                names[i], LIMIT_TEXT);
        return 0;
    }
    buf_printf(key, "%zu", l->row);
    return 0;
}

/* The field that tasks of every format may have. null is as good as absent. */
static int take_language(const json_t *row, struct row_draft *draft, struct err *e)
{
    const json_t *language = json_object_get(row, "think_language");
    if (draft->task == NULL)
        draft->task = json_object();
    if (json_is_string(language) && json_string_length(language) > 0)
        (void)json_object_set(draft->task, "think_language", (json_t *)language);
    else if (language != NULL && !json_is_null(language))
        return err_set(e, ERR_DATA, "field 'think_language': expected the code of a language");
    return 0;
}

static char *task_json(struct row_draft *draft)
{
    if (draft->task == NULL) /* demonstrations */
        draft->task = json_object();
    if (draft->has_answer)
        (void)json_object_set_new(draft->task, "answer",
            json_stringn((const char *)draft->answer.data, draft->answer.len));
    return json_dumps(draft->task, JSON_COMPACT);
}

/* A row of any size a line may have must fit into a grade input too, which holds both under the
 * same limit. */
static int check_sizes(const struct row_draft *draft, const char *json, struct err *e)
{
    size_t n = strlen(json);
    n = draft->prompt.len > n ? draft->prompt.len : n;
    if (n > LIMIT_DATASET_LINE)
        return err_set(e, ERR_DATA, "its prompt and task become %zu bytes, the limit is %d", n,
            LIMIT_DATASET_LINE);
    return 0;
}

static void keep_row(
    struct dataset *d, struct row_draft *draft, const struct buf *key, const char *json)
{
    if (d->count == d->cap) {
        d->cap = d->cap > 0 ? d->cap * 2 : 256;
        d->rows = mem_grow(d->rows, d->cap, sizeof(*d->rows));
    }
    d->rows[d->count++] = (struct dataset_row){
        .key = arena_strdup(d->arena, (const char *)key->data),
        .prompt = arena_strdup(d->arena, (const char *)draft->prompt.data),
        .completion = draft->has_completion
                          ? arena_strdup(d->arena, (const char *)draft->completion.data)
                          : NULL,
        .answer =
            draft->has_answer ? arena_strdup(d->arena, (const char *)draft->answer.data) : NULL,
        .json = arena_strdup(d->arena, json),
    };
}

static void draft_done(struct row_draft *d)
{
    buf_done(&d->prompt);
    buf_done(&d->completion);
    buf_done(&d->answer);
    json_decref(d->task);
}

static void json_cleanup(json_t **j)
{
    json_decref(*j);
}

static int convert_row(struct loader *l, const json_t *row, struct err *e)
{
    struct dataset *d = l->d;
    CLEANUP(draft_done) struct row_draft draft = {0};
    CLEANUP_BUF struct buf key = {0};
    if (d->format == NULL)
        d->format = dataset_format_of(row);
    if (d->format == NULL)
        return err_set(
            e, ERR_DATA, "the fields fit no known format, expected %s", dataset_format_names());
    int r = d->format->convert(row, &draft, e);
    if (r == 0 && !draft.has_completion)
        r = take_language(row, &draft, e);
    if (r != 0)
        return err_ctx(e, "format %s", d->format->name);
    r = row_key(l, row, &key, e);
    if (r != 0)
        return r;
    if (!key_set_add(&l->keys, (const char *)key.data))
        return err_set(
            e, ERR_DATA, "row key '%.64s': an earlier row has it too", (const char *)key.data);
    CLEANUP_FREE char *json = task_json(&draft);
    r = check_sizes(&draft, json, e);
    if (r == 0 && in_split(l, (const char *)draft.prompt.data))
        keep_row(d, &draft, &key, json);
    return r;
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr(" \t\r", text[i]) == NULL || text[i] == '\0')
            return false;
    }
    return true;
}

static int take_line(struct loader *l, const char *text, size_t n, struct err *e)
{
    json_error_t at;
    l->line++;
    if (is_blank(text, n))
        return 0;
    if (l->row == LIMIT_DATASET_ROWS)
        return err_set(e, ERR_DATA, "'%s' line %zu: more than %d rows", l->origin, l->line,
            LIMIT_DATASET_ROWS);
    __attribute__((cleanup(json_cleanup))) json_t *row =
        json_loadb(text, n, JSON_REJECT_DUPLICATES, &at);
    int r = 0;
    if (row == NULL)
        r = err_set(
            e, ERR_DATA, "column %d: %s, expected one JSON object per line", at.column, at.text);
    else if (!json_is_object(row))
        r = err_set(e, ERR_DATA, "expected a JSON object");
    else
        r = convert_row(l, row, e);
    if (r != 0)
        return err_ctx(e, "'%s' line %zu", l->origin, l->line);
    l->row++;
    return 0;
}

/* ---- lines ---- */

/* Takes every whole line of text; with `last` the rest as well. *ret_used is what was taken. */
static int take_lines(
    struct loader *l, const char *text, size_t n, bool last, size_t *ret_used, struct err *e)
{
    size_t at = 0;
    while (at < n) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end != NULL ? (size_t)(end - text) - at : n - at;
        if (len > LIMIT_DATASET_LINE)
            return err_set(e, ERR_DATA, "'%s' line %zu: longer than the limit of %d bytes",
                l->origin, l->line + 1, LIMIT_DATASET_LINE);
        if (end == NULL && !last)
            break;
        int r = take_line(l, text + at, len, e);
        if (r != 0)
            return r;
        at += len + (end != NULL);
    }
    *ret_used = at;
    return 0;
}

static int read_lines(struct loader *l, int fd, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    for (;;) {
        /* as much again as is there, for a long line is looked at from its beginning each time */
        size_t used = 0, wanted = text.len > READ_CHUNK_BYTES ? text.len : READ_CHUNK_BYTES;
        uint8_t *room = buf_extend(&text, wanted);
        ssize_t got;
        do {
            got = read(fd, room, wanted);
        } while (got < 0 && errno == EINTR);
        text.len -= wanted - (got > 0 ? (size_t)got : 0);
        if (got < 0)
            return err_sys(e, ERR_DATA, "cannot read '%s'", l->origin);
        int r = take_lines(l, (const char *)text.data, text.len, got == 0, &used, e);
        if (r != 0 || got == 0)
            return r;
        memmove(text.data, text.data + used, text.len - used);
        text.len -= used;
    }
}

/* ---- a dataset ---- */

static int loader_init(struct loader *l, const char *origin, const char *format, struct err *e)
{
    const struct dataset_format *named = dataset_format_named(format);
    if (named == NULL && strcmp(format, "auto") != 0)
        return err_set(e, ERR_CONFIG, "dataset '%s': unknown format '%s', expected auto, %s",
            origin, format, dataset_format_names());
    l->origin = origin;
    l->d = mem_alloc(sizeof(*l->d));
    l->d->format = named;
    l->d->arena = arena_new(0);
    return 0;
}

/* Hands the dataset over when it has rows. */
static int loader_done(struct loader *l, int r, struct dataset **ret, struct err *e)
{
    static const char *const names[] = {"", " of the training split", " of the held-out split"};
    free(l->keys.slots);
    if (r == 0 && l->d->count == 0)
        r = err_set(e, ERR_DATA, "'%s': no row%s among its %zu, expected at least one", l->origin,
            names[l->split], l->row);
    if (r == 0)
        *ret = steal(&l->d);
    dataset_free(l->d);
    return r;
}

int dataset_load(const char *path, const char *format, enum dataset_split split,
    unsigned heldout_permille, struct dataset **ret, struct err *e)
{
    /* O_NONBLOCK: opening a FIFO must not hang before it is refused. */
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(e, ERR_DATA, "cannot open dataset '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_DATA, "dataset '%s': not a regular file", path);
    struct loader l = {.split = split, .heldout_permille = heldout_permille};
    int r = loader_init(&l, path, format, e);
    return r != 0 ? r : loader_done(&l, read_lines(&l, fd, e), ret, e);
}

int dataset_parse(const char *text, size_t n, const char *origin, const char *format,
    enum dataset_split split, unsigned heldout_permille, struct dataset **ret, struct err *e)
{
    size_t used;
    struct loader l = {.split = split, .heldout_permille = heldout_permille};
    int r = loader_init(&l, origin, format, e);
    return r != 0 ? r : loader_done(&l, take_lines(&l, text, n, true, &used, e), ret, e);
}

void dataset_free(struct dataset *d)
{
    if (d == NULL)
        return;
    arena_free(d->arena);
    free(d->rows);
    free(d);
}

size_t dataset_count(const struct dataset *d)
{
    return d->count;
}

const struct dataset_row *dataset_row(const struct dataset *d, size_t i)
{
    return &d->rows[i];
}

const char *dataset_format(const struct dataset *d)
{
    return d->format->name;
}
