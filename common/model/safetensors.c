/* safetensors.c: see safetensors.h. */
#include "common/model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "common/base/file.h"
#include "common/base/mem.h"

_Static_assert(
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor bytes are read and written as they lie");

enum { LENGTH_BYTES = 8, READ_CHUNK = 1 << 20 };

struct dtype {
    const char *name;
    enum safetensors_dtype dtype;
    unsigned bits;
};

static const struct dtype dtypes[] = {
    {"F32", SAFETENSORS_F32, 32},
    {"F16", SAFETENSORS_F16, 16},
    {"BF16", SAFETENSORS_BF16, 16},
    {"BOOL", SAFETENSORS_OTHER, 8},
    {"U8", SAFETENSORS_OTHER, 8},
    {"I8", SAFETENSORS_OTHER, 8},
    {"F8_E4M3", SAFETENSORS_OTHER, 8},
    {"F8_E5M2", SAFETENSORS_OTHER, 8},
    {"F8_E8M0", SAFETENSORS_OTHER, 8},
    {"I16", SAFETENSORS_OTHER, 16},
    {"U16", SAFETENSORS_OTHER, 16},
    {"I32", SAFETENSORS_OTHER, 32},
    {"U32", SAFETENSORS_OTHER, 32},
    {"I64", SAFETENSORS_OTHER, 64},
    {"U64", SAFETENSORS_OTHER, 64},
    {"F64", SAFETENSORS_OTHER, 64},
    {"C64", SAFETENSORS_OTHER, 64},
};

/* ---- the header ---- */

static const struct dtype *dtype_find(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(dtypes); i++) {
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    }
    return NULL;
}

static int read_u64(const json_t *v, uint64_t *ret)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return -1;
    *ret = (uint64_t)json_integer_value(v);
    return 0;
}

/* Dtype and shape must account for exactly the bytes between the offsets. */
static int check_bytes(const struct safetensors_entry *t, const struct dtype *d, struct err *e)
{
    uint64_t bytes = d->bits / 8;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (__builtin_mul_overflow(bytes, t->shape[i], &bytes))
            return err_set(e, ERR_DATA, "tensor '%.200s': the shape overflows", t->name);
    }
    if (t->end < t->begin || t->end - t->begin != bytes)
        return err_set(e, ERR_DATA,
            "tensor '%.200s': offsets %llu to %llu, its shape takes %llu bytes", t->name,
            (unsigned long long)t->begin, (unsigned long long)t->end, (unsigned long long)bytes);
    return 0;
}

static int parse_entry(
    const char *name, const json_t *v, struct safetensors_entry *t, struct err *e)
{
    const struct dtype *d = dtype_find(json_string_value(json_object_get(v, "dtype")));
    const json_t *shape = json_object_get(v, "shape"),
                 *offsets = json_object_get(v, "data_offsets");
    t->name = name;
    if (!d)
        return err_set(e, ERR_DATA, "tensor '%.200s': no dtype, or one that is not known", name);
    t->dtype = d->dtype;
    snprintf(t->dtype_name, sizeof(t->dtype_name), "%s", d->name);
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_RANK_MAX)
        return err_set(e, ERR_DATA, "tensor '%.200s': shape is not a list of at most %d numbers",
            name, SAFETENSORS_RANK_MAX);
    t->rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < t->rank; i++) {
        if (read_u64(json_array_get(shape, i), &t->shape[i]) < 0)
            return err_set(
                e, ERR_DATA, "tensor '%.200s': dimension %u is not an unsigned integer", name, i);
    }
    if (json_array_size(offsets) != 2 || read_u64(json_array_get(offsets, 0), &t->begin) < 0 ||
        read_u64(json_array_get(offsets, 1), &t->end) < 0)
        return err_set(
            e, ERR_DATA, "tensor '%.200s': data_offsets is not a pair of unsigned integers", name);
    return check_bytes(t, d, e);
}

static int by_begin(const void *a, const void *b)
{
    const struct safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Sorted by their bytes, the tensors must cover the data without a hole or an overlap. */
static int check_cover(const struct safetensors *s, uint64_t data_bytes, struct err *e)
{
    uint64_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct safetensors_entry *t = &s->entries[i];
        if (t->begin != at)
            return err_set(e, ERR_DATA,
                "tensor '%.200s' starts at byte %llu, the one before ends at %llu", t->name,
                (unsigned long long)t->begin, (unsigned long long)at);
        at = t->end;
    }
    if (at != data_bytes)
        return err_set(e, ERR_DATA, "tensors end at byte %llu of the data, the file has %llu",
            (unsigned long long)at, (unsigned long long)data_bytes);
    return 0;
}

static int parse_entries(
    struct safetensors *s, uint64_t data_bytes, uint64_t data_at, struct err *e)
{
    const char *name;
    json_t *v;
    s->entries = mem_array(json_object_size(s->json) + 1, sizeof(*s->entries));
    json_object_foreach((json_t *)s->json, name, v)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        int r = parse_entry(name, v, &s->entries[s->count++], e);
        if (r < 0)
            return r;
    }
    qsort(s->entries, s->count, sizeof(*s->entries), by_begin);
    int r = check_cover(s, data_bytes, e);
    for (size_t i = 0; i < s->count && r == 0; i++) {
        s->entries[i].begin += data_at;
        s->entries[i].end += data_at;
    }
    return r;
}

static int read_header(struct safetensors *s, struct err *e)
{
    struct stat st;
    uint8_t length[LENGTH_BYTES];
    if (fstat(s->fd, &st) < 0)
        return err_sys(e, ERR_FAIL, "stat");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_DATA, "not a regular file");
    uint64_t file_bytes = (uint64_t)st.st_size;
    if (file_bytes < LENGTH_BYTES)
        return err_set(
            e, ERR_DATA, "%llu bytes, too short for a header", (unsigned long long)file_bytes);
    int r = file_pread_all(s->fd, length, sizeof(length), 0, e);
    if (r < 0)
        return r;
    uint64_t n = get_u64(length);
    if (n > SAFETENSORS_HEADER_MAX || n > file_bytes - LENGTH_BYTES)
        return err_set(e, ERR_DATA, "header of %llu bytes, the file has %llu and the limit is %d",
            (unsigned long long)n, (unsigned long long)file_bytes, SAFETENSORS_HEADER_MAX);
    CLEANUP_FREE char *text = mem_alloc(n + 1);
    r = file_pread_all(s->fd, text, n, LENGTH_BYTES, e);
    if (r < 0)
        return r;
    json_error_t at;
    s->json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object((json_t *)s->json))
        return err_set(
            e, ERR_DATA, "header is not a JSON object: %s", s->json ? "other JSON" : at.text);
    return parse_entries(s, file_bytes - LENGTH_BYTES - n, LENGTH_BYTES + n, e);
}

int safetensors_open(const char *path, struct safetensors *ret, struct err *e)
{
    *ret = (struct safetensors){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (ret->fd < 0)
        return err_sys(e, errno == ENOENT ? ERR_DATA : ERR_FAIL, "open '%s'", path);
    ret->path = mem_strdup(path);
    return read_header(ret, e) < 0 ? err_ctx(e, "'%s'", path) : 0;
}

void safetensors_close(struct safetensors *s)
{
    if (s->path)
        file_close(&s->fd);
    json_decref(s->json);
    free(s->entries);
    free(s->path);
    *s = (struct safetensors){.fd = -1};
}

/* ---- tensors ---- */

/* Exact: every half has a float. Subnormal halves are normalised by hand. */
static float float_of_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
    uint32_t bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | fraction << 13;
    } else if (exponent > 0) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        float f = (float)fraction * 0x1p-24f;
        memcpy(&bits, &f, sizeof(bits));
        bits |= sign;
    }
    float out;
    memcpy(&out, &bits, sizeof(out));
    return out;
}

static float float_of_bfloat(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float out;
    memcpy(&out, &bits, sizeof(out));
    return out;
}

int safetensors_read(
    const struct safetensors *s, const struct safetensors_entry *t, float *out, struct err *e)
{
    uint64_t bytes = t->end - t->begin;
    if (t->dtype == SAFETENSORS_F32) {
        if (file_pread_all(s->fd, out, bytes, t->begin, e) < 0)
            return err_ctx(e, "'%s': tensor '%.200s'", s->path, t->name);
        return 0;
    }
    if (t->dtype == SAFETENSORS_OTHER)
        return err_set(e, ERR_DATA, "'%s': tensor '%.200s' is %s, only F32, F16 and BF16 are read",
            s->path, t->name, t->dtype_name);
    CLEANUP_FREE uint8_t *chunk = mem_alloc(READ_CHUNK);
    for (uint64_t at = t->begin, n; at < t->end; at += n) {
        n = t->end - at < READ_CHUNK ? t->end - at : READ_CHUNK;
        if (file_pread_all(s->fd, chunk, n, at, e) < 0)
            return err_ctx(e, "'%s': tensor '%.200s'", s->path, t->name);
        for (uint64_t i = 0; i < n; i += 2) {
            uint16_t half = get_u16(chunk + i);
            *out++ = t->dtype == SAFETENSORS_F16 ? float_of_half(half) : float_of_bfloat(half);
        }
    }
    return 0;
}

/* ---- writing ---- */

static void print_header(const struct param_table *t, struct buf *out)
{
    size_t at = 0;
    /* transformers refuses a file whose metadata does not name a framework. */
    buf_puts(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < t->param_count; i++) {
        const struct param *p = &t->params[i];
        buf_printf(out, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%u", p->name, p->shape[0]);
        if (p->rank == 2)
            buf_printf(out, ",%u", p->shape[1]);
        buf_printf(out, "],\"data_offsets\":[%zu,%zu]}", at, at + p->count * sizeof(float));
        at += p->count * sizeof(float);
    }
    buf_puts(out, "}");
    while (out->len % 8 != 0)
        buf_puts(out, " ");
}

static int write_tensors(int fd, const struct params *p, struct err *e)
{
    CLEANUP_BUF struct buf header = {0};
    uint8_t length[LENGTH_BYTES];
    print_header(p->table, &header);
    put_u64(length, header.len);
    int r = file_write_all(fd, length, sizeof(length), e);
    if (r == 0)
        r = file_write_all(fd, header.data, header.len, e);
    for (size_t i = 0; i < p->table->param_count && r == 0; i++) {
        const struct param *t = &p->table->params[i];
        r = file_write_all(fd, p->data + t->offset, t->count * sizeof(float), e);
    }
    if (r == 0 && fsync(fd) < 0)
        r = err_sys(e, ERR_FAIL, "fsync");
    return r;
}

int safetensors_write(const struct params *p, const char *path, struct err *e)
{
    CLEANUP_FREE char *tmp = mem_printf("%s.tmp", path);
    CLEANUP_FREE char *copy = mem_strdup(path);
    CLEANUP(file_close) int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "create '%s'", tmp);
    int r = write_tensors(fd, p, e);
    if (r == 0 && rename(tmp, path) < 0)
        r = err_sys(e, ERR_FAIL, "rename");
    if (r < 0) {
        (void)unlink(tmp); /* the error already tells the story */
        return err_ctx(e, "write '%s'", path);
    }
    return file_sync_dir(dirname(copy), e);
}
