/* segment.c: see segment.h for the format and the crash story. */
#include "learner/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

enum {
    RECORD_HEADER_BYTES = 24,
    RECORD_TRAILER_BYTES = 8,
    SECTION_HEADER_BYTES = 8,
    SECTIONS_MAX = 64,
    TAG_LENGTHS = 1,
    TAG_TOKENS = 2,
    TAG_LOGPROBS = 3,
};

static const char file_magic[8] = "COHSEG1\n";
static const char record_magic[4] = "REC1";

_Static_assert(sizeof(float) == 4, "log-probs are stored as their 32 bits");

struct segments {
    char *dir;           /* owned */
    int fd;              /* of the segment that is appended to; -1: none open */
    uint32_t number;     /* of it; the next one to open when fd is -1 */
    uint32_t number_min; /* files before it had a failed sync, and get no further record */
    uint64_t end;        /* where the next record goes; 0: the file has no header yet */
    bool dirty;          /* appended since the last sync */
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
    *s = (struct segments){.dir = mem_strdup(dir), .fd = -1, .number = 1, .number_min = 1};
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
    uint8_t h[SEGMENT_HEADER_BYTES];
    memcpy(h, file_magic, sizeof(file_magic));
    put_u32(h + 8, s->number);
    put_u32(h + 12, crc32c(0, h, 12));
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

static void put_section(struct buf *b, uint32_t tag, const void *data, size_t bytes)
{
    static const uint8_t zeros[8];
    buf_put_u32(b, tag);
    buf_put_u32(b, (uint32_t)bytes);
    buf_append(b, data, bytes);
    buf_append(b, zeros, (8 - bytes % 8) % 8);
}

/* Hosts are little-endian (x86-64, arm64): the arrays are the file's bytes. */
static void put_sections(struct buf *b, const struct completion *c, uint32_t n)
{
    CLEANUP_BUF struct buf lengths = {0}, tokens = {0}, logp = {0};
    for (uint32_t i = 0; i < n; i++) {
        buf_put_u32(&lengths, c[i].len);
        buf_append(&tokens, c[i].tokens, 4 * (size_t)c[i].len);
        buf_append(&logp, c[i].logp, 4 * (size_t)c[i].len);
    }
    put_section(b, TAG_LENGTHS, lengths.data, lengths.len);
    put_section(b, TAG_TOKENS, tokens.data, tokens.len);
    put_section(b, TAG_LOGPROBS, logp.data, logp.len);
}

static void put_record(struct buf *b, uint64_t group, const struct completion *c, uint32_t n)
{
    buf_clear(b);
    buf_append(b, record_magic, sizeof(record_magic));
    buf_put_u32(b, 0);
    buf_put_u64(b, group);
    buf_put_u32(b, 3);
    buf_put_u32(b, 0);
    put_sections(b, c, n);
    put_u32(b->data + 4, (uint32_t)(b->len + RECORD_TRAILER_BYTES));
    put_u32(b->data + 20, crc32c(0, b->data, 20));
    buf_put_u32(b, crc32c(0, b->data, b->len));
    buf_put_u32(b, 0);
}

int segment_append(struct segments *s, uint64_t group, const struct completion *c, uint32_t n,
    struct segment_place *ret, struct err *e)
{
    if (fault_hit(FAULT_SEGMENT_APPEND))
        return give_up(s, err_set(e, ERR_RETRY, "append to segment %u: injected", s->number));
    if (s->end >= SEGMENT_BYTES_MAX && !s->dirty) {
        file_close(&s->fd);
        s->number++;
        s->end = 0;
    }
    int r = s->fd < 0 ? open_current(s, e) : 0;
    if (r)
        return give_up(s, r);
    put_record(&s->scratch, group, c, n);
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

/* The data of the section with that tag, whose size must be bytes; NULL with e set. */
static const uint8_t *find_section(
    const struct buf *rec, uint32_t tag, uint64_t bytes, struct err *e)
{
    uint32_t sections = get_u32(rec->data + 16);
    size_t at = RECORD_HEADER_BYTES, end = rec->len - RECORD_TRAILER_BYTES;
    for (uint32_t i = 0; i < sections && end - at >= SECTION_HEADER_BYTES; i++) {
        uint32_t got = get_u32(rec->data + at + 4);
        uint64_t padded = ((uint64_t)got + 7) / 8 * 8;
        const uint8_t *data = rec->data + at + SECTION_HEADER_BYTES;
        if (padded > end - at - SECTION_HEADER_BYTES)
            break;
        if (get_u32(rec->data + at) == tag) {
            if (got == bytes)
                return data;
            (void)err_set(
                e, ERR_DATA, "section %u has %u bytes, expected %ju", tag, got, (uintmax_t)bytes);
            return NULL;
        }
        at += SECTION_HEADER_BYTES + padded;
    }
    (void)err_set(e, ERR_DATA, "section %u is missing", tag);
    return NULL;
}

static int check_record(const struct buf *rec, uint64_t group, struct err *e)
{
    const uint8_t *d = rec->data;
    size_t body = rec->len - RECORD_TRAILER_BYTES;
    if (memcmp(d, record_magic, sizeof(record_magic)) != 0)
        return err_set(e, ERR_DATA, "no record begins here");
    if (get_u32(d + 20) != crc32c(0, d, 20) || get_u32(d + body) != crc32c(0, d, body))
        return err_set(e, ERR_DATA, "checksum differs: the bytes are not those that were written");
    if (get_u32(d + 4) != rec->len)
        return err_set(e, ERR_DATA, "record of %u bytes, expected %zu", get_u32(d + 4), rec->len);
    if (get_u64(d + 8) != group)
        return err_set(e, ERR_DATA, "record of group %ju, expected %ju", (uintmax_t)get_u64(d + 8),
            (uintmax_t)group);
    if (get_u32(d + 16) > SECTIONS_MAX)
        return err_set(e, ERR_DATA, "%u sections", get_u32(d + 16));
    return 0;
}

static int split_record(
    const struct buf *rec, uint32_t n, struct arena *a, struct completion *c, struct err *e)
{
    const uint8_t *lengths = find_section(rec, TAG_LENGTHS, 4 * (uint64_t)n, e);
    if (!lengths)
        return e->code;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += get_u32(lengths + 4 * (size_t)i);
    const uint8_t *tokens = find_section(rec, TAG_TOKENS, 4 * sum, e);
    const uint8_t *logp = tokens ? find_section(rec, TAG_LOGPROBS, 4 * sum, e) : NULL;
    if (!logp)
        return e->code;
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        c[i].len = get_u32(lengths + 4 * (size_t)i);
        c[i].tokens = arena_dup(a, tokens + at, 4 * (size_t)c[i].len);
        c[i].logp = arena_dup(a, logp + at, 4 * (size_t)c[i].len);
        at += 4 * (size_t)c[i].len;
    }
    return 0;
}

static int read_record(
    const char *path, const struct segment_place *p, struct buf *rec, struct err *e)
{
    if (p->length < RECORD_HEADER_BYTES + RECORD_TRAILER_BYTES || p->length % 8 ||
        p->length > 4 * (uint64_t)LIMIT_SUBMIT_BYTES)
        return err_set(e, ERR_DATA, "a length of %ju bytes is no record's", (uintmax_t)p->length);
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
        r = check_record(&rec, group, e);
    if (r == 0)
        r = split_record(&rec, n, a, c, e);
    if (r && r != ERR_RETRY)
        e->code = ERR_DATA;
    return r ? err_ctx(e, "'%s' at byte %ju", path, (uintmax_t)p->offset) : 0;
}
