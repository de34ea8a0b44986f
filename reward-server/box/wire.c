/* wire.c: see wire.h. */
#include "reward-server/box/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void put_bytes(struct buf *b, const void *data, size_t n)
{
    buf_put_u32(b, (uint32_t)n);
    buf_append(b, data, n);
}

/* Bytes that are sent from where they lie, between those of a text: a compiled program is large,
 * and each copy of it costs as much as a process. */
struct splices {
    size_t count, bytes;
    struct {
        size_t at; /* in the text */
        const void *data;
        size_t n;
    } list[BOX_PAIR * (BOX_FILES_MAX + 1)];
};
enum { SPLICE_BYTES_MIN = 16 << 10 };

/* s NULL: all goes into the text. */
static void put_spliced(struct buf *b, struct splices *s, const void *data, size_t n)
{
    if (s == NULL || n < SPLICE_BYTES_MIN || s->count == ARRAY_LEN(s->list)) {
        put_bytes(b, data, n);
        return;
    }
    buf_put_u32(b, (uint32_t)n);
    s->list[s->count].at = b->len;
    s->list[s->count].data = data;
    s->list[s->count++].n = n;
    s->bytes += n;
}

static void put_text(struct buf *b, const char *s)
{
    put_bytes(b, s, strlen(s) + 1);
}

struct reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->bad || n > r->left) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->at;
    r->at += n;
    r->left -= n;
    return at;
}

static uint32_t take_u32(struct reader *r)
{
    const uint8_t *p = take(r, 4);
    return p != NULL ? get_u32(p) : 0;
}

static uint64_t take_u64(struct reader *r)
{
    const uint8_t *p = take(r, 8);
    return p != NULL ? get_u64(p) : 0;
}

static const uint8_t *take_bytes(struct reader *r, size_t *ret_n)
{
    *ret_n = take_u32(r);
    return take(r, *ret_n);
}

static const char *take_text(struct reader *r)
{
    size_t n;
    const uint8_t *p = take_bytes(r, &n);
    if (p == NULL || n == 0 || p[n - 1] != '\0') {
        r->bad = true;
        return "";
    }
    return (const char *)p;
}

/* ---- requests ---- */

static void request_pack(struct buf *out, struct splices *s, const struct box_request *q)
{
    uint64_t limits[BOX_LIMITS];
    memcpy(limits, &q->limits, sizeof(limits));
    put_text(out, q->language);
    buf_put_u32(out, q->phase);
    buf_put_u32(out, q->cold);
    for (size_t i = 0; i < BOX_LIMITS; i++)
        buf_put_u64(out, limits[i]);
    put_spliced(out, s, q->input, q->input_len);
    buf_put_u32(out, (uint32_t)q->file_count);
    for (size_t i = 0; i < q->file_count; i++) {
        put_text(out, q->files[i].name);
        put_spliced(out, s, q->files[i].data, q->files[i].n);
    }
    buf_put_u32(out, (uint32_t)q->fetch_count);
    for (size_t i = 0; i < q->fetch_count; i++)
        put_text(out, q->fetch[i]);
}

/* With its length before it. */
static void request_add(struct buf *out, struct splices *s, const struct box_request *q)
{
    size_t at = out->len, spliced = s != NULL ? s->bytes : 0;
    buf_put_u32(out, 0);
    request_pack(out, s, q);
    size_t more = s != NULL ? s->bytes - spliced : 0;
    put_u32(out->data + at, (uint32_t)(out->len - at - 4 + more));
}

static const char *take_name(struct reader *r)
{
    const char *name = take_text(r);
    r->bad |= strlen(name) >= BOX_NAME_MAX || strchr(name, '/') != NULL;
    return name;
}

/* A count of files or of their names; 0 when it is none. */
static size_t take_file_count(struct reader *r)
{
    size_t n = take_u32(r);
    r->bad |= n > BOX_FILES_MAX;
    return r->bad ? 0 : n;
}

static bool request_unpack(
    const uint8_t *data, size_t n, struct box_request *ret, struct wire_lists *lists)
{
    struct reader r = {data, n, false};
    uint64_t limits[BOX_LIMITS];
    *ret = (struct box_request){
        .language = take_text(&r), .files = lists->files, .fetch = lists->fetch};
    ret->phase = take_u32(&r);
    ret->cold = take_u32(&r) != 0;
    for (size_t i = 0; i < BOX_LIMITS; i++)
        limits[i] = take_u64(&r);
    memcpy(&ret->limits, limits, sizeof(limits));
    ret->input = take_bytes(&r, &ret->input_len);
    ret->file_count = take_file_count(&r);
    for (size_t i = 0; i < ret->file_count; i++) {
        lists->files[i].name = take_name(&r);
        lists->files[i].data = take_bytes(&r, &lists->files[i].n);
    }
    ret->fetch_count = take_file_count(&r);
    for (size_t i = 0; i < ret->fetch_count; i++)
        lists->fetch[i] = take_name(&r);
    return !r.bad && r.left == 0 && ret->phase <= BOX_PROBE;
}

/* ---- results ---- */

static void result_pack(struct buf *out, const struct box_result *r)
{
    buf_put_u32(out, r->end);
    buf_put_u32(out, (uint32_t)r->detail);
    buf_put_u64(out, r->cpu_us);
    buf_put_u64(out, r->wall_us);
    buf_put_u64(out, r->memory_bytes);
    put_bytes(out, r->output, r->output_len);
    put_bytes(out, r->errors, r->errors_len);
    put_text(out, r->refused);
    put_text(out, r->message);
    put_text(out, r->isolation);
    buf_put_u32(out, (uint32_t)r->file_count);
    for (size_t i = 0; i < r->file_count; i++) {
        put_text(out, r->files[i].name);
        put_bytes(out, r->files[i].data, r->files[i].n);
    }
}

static void *copy(const void *data, size_t n)
{
    char *bytes = mem_alloc(n + 1);
    memcpy(bytes, data, n);
    return bytes;
}

static void copy_files(const struct box_file *files, size_t count, struct box_result *ret)
{
    ret->files = count > 0 ? mem_array(count, sizeof(*files)) : NULL;
    ret->file_count = count;
    for (size_t i = 0; i < count; i++)
        ret->files[i] = (struct box_file){
            mem_strdup(files[i].name), copy(files[i].data, files[i].n), files[i].n};
}

static bool result_unpack(const uint8_t *data, size_t n, struct box_result *ret)
{
    struct reader r = {data, n, false};
    *ret = (struct box_result){.end = take_u32(&r), .detail = (int)take_u32(&r)};
    ret->cpu_us = take_u64(&r);
    ret->wall_us = take_u64(&r);
    ret->memory_bytes = take_u64(&r);
    const uint8_t *output = take_bytes(&r, &ret->output_len);
    const uint8_t *errors = take_bytes(&r, &ret->errors_len);
    const char *refused = take_text(&r), *message = take_text(&r), *isolation = take_text(&r);
    struct box_file files[BOX_FILES_MAX];
    size_t count = take_file_count(&r);
    for (size_t i = 0; i < count; i++) {
        files[i].name = take_name(&r);
        files[i].data = take_bytes(&r, &files[i].n);
    }
    if (r.bad || r.left != 0 || ret->end >= BOX_END_COUNT) {
        *ret = (struct box_result){0};
        return false;
    }
    ret->output = copy(output, ret->output_len);
    ret->errors = copy(errors, ret->errors_len);
    copy_files(files, count, ret);
    (void)snprintf(ret->refused, sizeof(ret->refused), "%s", refused);
    (void)snprintf(ret->message, sizeof(ret->message), "%s", message);
    (void)snprintf(ret->isolation, sizeof(ret->isolation), "%s", isolation);
    return true;
}

void box_result_done(struct box_result *r)
{
    free(r->output);
    free(r->errors);
    for (size_t i = 0; i < r->file_count; i++) {
        free((void *)(uintptr_t)r->files[i].name);
        free((void *)(uintptr_t)r->files[i].data);
    }
    free(r->files);
    *r = (struct box_result){0};
}

/* ---- parts ---- */

void wire_parts_begin(struct buf *out, size_t count)
{
    buf_clear(out);
    buf_put_u32(out, (uint32_t)count);
}

void wire_request_add(struct buf *out, const struct box_request *q)
{
    request_add(out, NULL, q);
}

void wire_result_add(struct buf *out, const struct box_result *r)
{
    CLEANUP_BUF struct buf part = {0};
    result_pack(&part, r);
    put_bytes(out, part.data, part.len);
}

size_t wire_requests_unpack(const uint8_t *data, size_t n, struct box_request ret[BOX_PAIR],
    struct wire_lists ret_lists[BOX_PAIR])
{
    struct reader r = {data, n, false};
    size_t count = take_u32(&r), bytes;
    if (count > BOX_PAIR)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *part = take_bytes(&r, &bytes);
        if (part == NULL || !request_unpack(part, bytes, &ret[i], &ret_lists[i]))
            return 0;
    }
    return r.left == 0 ? count : 0;
}

bool wire_results_unpack(const uint8_t *data, size_t n, struct box_result *ret, size_t count)
{
    struct reader r = {data, n, false};
    size_t bytes, done = 0;
    bool ok = take_u32(&r) == count;
    while (ok && done < count) {
        const uint8_t *part = take_bytes(&r, &bytes);
        ok = part != NULL && result_unpack(part, bytes, &ret[done]);
        done += ok;
    }
    while (!ok && done > 0)
        box_result_done(&ret[--done]);
    return ok;
}

/* ---- messages ---- */

/* 1 when all n bytes came, 0 at the end of the stream. */
static int read_all(int fd, uint8_t *data, size_t n, struct err *e)
{
    while (n > 0) {
        ssize_t got = read(fd, data, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, ERR_RETRY, "reading from a box");
        if (got == 0)
            return 0;
        data += got;
        n -= (size_t)got;
    }
    return 1;
}

int wire_read(int fd, struct buf *out, struct err *e)
{
    uint8_t head[4];
    int r = read_all(fd, head, sizeof(head), e);
    if (r != 1)
        return r;
    size_t n = get_u32(head);
    if (n > WIRE_BYTES_MAX)
        return err_set(
            e, ERR_LIMIT, "a message of %zu bytes from a box, at most %d", n, WIRE_BYTES_MAX);
    buf_clear(out);
    return read_all(fd, buf_extend(out, n), n, e);
}

/* As write, but the other end's death is an error and no signal. */
static int send_all(int fd, const uint8_t *data, size_t n, struct err *e)
{
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return err_sys(e, ERR_RETRY, "writing to a box");
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

int wire_write(int fd, const struct buf *message, struct err *e)
{
    uint8_t head[4];
    put_u32(head, (uint32_t)message->len);
    int r = send_all(fd, head, sizeof(head), e);
    return r < 0 ? r : send_all(fd, message->data, message->len, e);
}

int wire_write_requests(int fd, const struct box_request *q, size_t count, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    struct splices s = {0};
    size_t done = 0;
    buf_put_u32(&text, 0);
    buf_put_u32(&text, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        request_add(&text, &s, &q[i]);
    put_u32(text.data, (uint32_t)(text.len - 4 + s.bytes));
    int r = 0;
    for (size_t i = 0; i < s.count && r == 0; i++) {
        r = send_all(fd, text.data + done, s.list[i].at - done, e);
        done = s.list[i].at;
        if (r == 0)
            r = send_all(fd, s.list[i].data, s.list[i].n, e);
    }
    return r < 0 ? r : send_all(fd, text.data + done, text.len - done, e);
}
