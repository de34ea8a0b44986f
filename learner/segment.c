/* segment.c: see segment.h for the crash story and proto/record.h for the bytes. */
#include "learner/segment.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "proto/record.h"

struct segments {
    char *dir;           /* owned */
    int fd;              /* of the segment that is appended to; -1: none open */
    uint32_t number;     /* of it; the next one to open when fd is -1 */
    uint32_t number_min; /* files before it had a failed sync, and get no further record */
    uint64_t end;        /* where the next record goes; 0: the file has no header yet */
    bool dirty;          /* appended since the last sync */
    uint64_t bytes_max;
    struct buf scratch;
};

char *segment_path(const struct segments *s, uint32_t number)
{
    return mem_printf("%s/%06u.seg", s->dir, number);
}

int segments_open(const char *dir, struct segments **ret, struct err *e)
{
    int r = file_mkdirs(dir, 0755, e);
    if (r)
        return r;
    struct segments *s = mem_alloc(sizeof(*s));
    *s = (struct segments){.dir = mem_strdup(dir),
        .fd = -1,
        .number = 1,
        .number_min = 1,
        .bytes_max = SEGMENT_BYTES_MAX};
    *ret = s;
    return 0;
}

void segments_close(struct segments *s)
{
    if (!s)
        return;
    file_close(&s->fd);
    buf_done(&s->scratch);
    free(s->dir);
    free(s);
}

void segments_set_bytes_max(struct segments *s, uint64_t bytes)
{
    s->bytes_max = bytes;
}

uint32_t segments_current(const struct segments *s)
{
    return s->number;
}

int segment_remove(struct segments *s, uint32_t number, struct err *e)
{
    CLEANUP_FREE char *path = segment_path(s, number);
    assert(number != s->number);
    return unlink(path) != 0 ? err_sys(e, ERR_FAIL, "remove '%s'", path) : 0;
}

/* ---- appending ---- */

/* Closes the file that failed. The caller recovers before it appends again. */
static int give_up(struct segments *s, int code)
{
    file_close(&s->fd);
    s->dirty = false;
    return code;
}

static int write_file_header(struct segments *s, const char *path, struct err *e)
{
    uint8_t h[RECORD_FILE_HEADER_BYTES];
    record_file_header_put(h, s->number);
    int r = file_write_all(s->fd, h, sizeof(h), e);
    if (r)
        return err_ctx(e, "write '%s'", path);
    s->end = sizeof(h);
    return file_sync_dir(s->dir, e); /* the new name must survive too */
}

/* Opens the current segment and puts the file position at its end. Bytes behind it are cut: they
 * are no record that a row points to. */
static int open_current(struct segments *s, struct err *e)
{
    CLEANUP_FREE char *path = segment_path(s, s->number);
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (s->fd < 0)
        return err_sys(e, ERR_FAIL, "open '%s'", path);
    if (fchmod(s->fd, 0644) || ftruncate(s->fd, (off_t)s->end) ||
        lseek(s->fd, (off_t)s->end, SEEK_SET) < 0)
        return err_sys(e, ERR_FAIL, "cut '%s' to %ju bytes", path, (uintmax_t)s->end);
    return s->end ? 0 : write_file_header(s, path, e);
}

int segment_append(struct segments *s, uint64_t group, const struct completion *c, uint32_t n,
    struct segment_place *ret, struct err *e)
{
    if (fault_hit(FAULT_SEGMENT_APPEND))
        return give_up(s, err_set(e, ERR_RETRY, "append to segment %u: injected", s->number));
    if (s->end >= s->bytes_max && !s->dirty) {
        file_close(&s->fd);
        s->number++;
        s->end = 0;
    }
    int r = s->fd < 0 ? open_current(s, e) : 0;
    if (r)
        return give_up(s, r);
    buf_clear(&s->scratch);
    record_put(&s->scratch, group, c, n);
    r = file_write_all(s->fd, s->scratch.data, s->scratch.len, e);
    if (r)
        return give_up(s, err_ctx(e, "append to segment %u", s->number));
    s->dirty = true;
    *ret = (struct segment_place){s->number, s->end, s->scratch.len};
    s->end += s->scratch.len;
    if (fault_hit(FAULT_SEGMENT_APPENDED))
        return give_up(s, err_set(e, ERR_RETRY, "append to segment %u: injected", s->number));
    return 0;
}

int segments_sync(struct segments *s, struct err *e)
{
    if (!s->dirty)
        return 0;
    if (fdatasync(s->fd)) {
        s->number_min = s->number + 1;
        return give_up(s, err_sys(e, ERR_FAIL, "sync segment %u", s->number));
    }
    s->dirty = false;
    if (fault_hit(FAULT_SEGMENT_SYNCED))
        return give_up(s, err_set(e, ERR_RETRY, "sync segment %u: injected", s->number));
    return 0;
}

/* ---- recovery ---- */

static int cut_segment(const struct segments *s, const struct segment_end *x, struct err *e)
{
    CLEANUP_FREE char *path = segment_path(s, x->segment);
    struct stat st;
    if (stat(path, &st))
        return err_sys(
            e, ERR_DATA, "'%s': records up to byte %ju are stored in it", path, (uintmax_t)x->end);
    if ((uint64_t)st.st_size < x->end)
        return err_set(e, ERR_DATA, "'%s': %jd bytes, but records up to byte %ju are stored in it",
            path, (intmax_t)st.st_size, (uintmax_t)x->end);
    if ((uint64_t)st.st_size > x->end && truncate(path, (off_t)x->end))
        return err_sys(e, ERR_FAIL, "cut '%s' to %ju bytes", path, (uintmax_t)x->end);
    return 0;
}

static bool is_referenced(const struct segment_end *ends, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (ends[i].segment == number)
            return true;
    }
    return false;
}

/* Number of the segment that a file name stands for, or 0. */
static uint32_t name_number(const char *name)
{
    char *rest;
    unsigned long n = strtoul(name, &rest, 10);
    return strcmp(rest, ".seg") == 0 && rest - name == 6 ? (uint32_t)n : 0;
}

/* A file that no row points to was begun just before a crash or a failure. */
static int remove_unreferenced(
    const struct segments *s, const struct segment_end *ends, size_t count, struct err *e)
{
    DIR *dir = opendir(s->dir);
    if (!dir)
        return err_sys(e, ERR_FAIL, "list '%s'", s->dir);
    int r = 0;
    for (struct dirent *d; r == 0 && (d = readdir(dir));) {
        uint32_t number = name_number(d->d_name);
        if (number && !is_referenced(ends, count, number) && unlinkat(dirfd(dir), d->d_name, 0))
            r = err_sys(e, ERR_FAIL, "remove '%s/%s'", s->dir, d->d_name);
    }
    (void)closedir(dir);
    return r;
}

int segments_recover(
    struct segments *s, const struct segment_end *ends, size_t count, struct err *e)
{
    file_close(&s->fd);
    s->dirty = false;
    s->number = s->number_min;
    s->end = 0;
    for (size_t i = 0; i < count; i++) {
        int r = cut_segment(s, &ends[i], e);
        if (r)
            return r;
        if (ends[i].segment >= s->number) {
            s->number = ends[i].segment;
            s->end = ends[i].end;
        }
    }
    return remove_unreferenced(s, ends, count, e);
}

/* ---- reading ---- */

static int read_record(
    const char *path, const struct segment_place *p, struct buf *rec, struct err *e)
{
    if (record_length_check(p->length, e) < 0)
        return e->code;
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(e, ERR_DATA, "open");
    return file_pread_all(fd, buf_extend(rec, p->length), p->length, p->offset, e);
}

int segment_read(struct segments *s, const struct segment_place *p, uint64_t group, uint32_t n,
    struct arena *a, struct completion *c, struct err *e)
{
    CLEANUP_FREE char *path = segment_path(s, p->segment);
    CLEANUP_BUF struct buf rec = {0};
    struct err own = {0};
    if (!e)
        e = &own;
    int r = read_record(path, p, &rec, e);
    if (r == 0)
        r = record_parse(rec.data, rec.len, group, n, a, c, e);
    if (r && r != ERR_RETRY)
        e->code = ERR_DATA;
    return r ? err_ctx(e, "'%s' at byte %ju", path, (uintmax_t)p->offset) : 0;
}
