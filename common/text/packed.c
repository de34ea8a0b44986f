/* packed.c: see packed.h. */
#include "common/text/packed.h"

#include <limits.h>
#include <zlib.h>

#include "common/base/base64.h"

enum { STEP_BYTES = 256 << 10 };

/* ---- zlib ---- */

static int inflate_all(z_stream *z, struct buf *ret, struct err *e)
{
    int r = Z_OK;
    while (r == Z_OK) {
        size_t before = ret->len;
        z->next_out = buf_extend(ret, STEP_BYTES);
        z->avail_out = STEP_BYTES;
        r = inflate(z, Z_NO_FLUSH);
        ret->len = before + STEP_BYTES - z->avail_out;
        if (ret->len > PACKED_BYTES_MAX)
            return err_set(e, ERR_DATA, "it unpacks to more than %d bytes", PACKED_BYTES_MAX);
    }
    if (r == Z_STREAM_END && z->avail_in == 0)
        return 0;
    return err_set(e, ERR_DATA, "no zlib stream: %s", z->msg != NULL ? z->msg : "cut off, or more");
}

static int unzip(const struct buf *bytes, struct buf *ret, struct err *e)
{
    z_stream z = {.next_in = bytes->data, .avail_in = (uInt)bytes->len};
    if (bytes->len > UINT_MAX || inflateInit(&z) != Z_OK)
        return err_set(e, ERR_DATA, "no zlib stream: %zu bytes", bytes->len);
    int r = inflate_all(&z, ret, e);
    (void)inflateEnd(&z);
    return r;
}

/* ---- pickle ---- */

struct reader {
    const uint8_t *at;
    size_t left;
};

static bool skip(struct reader *r, size_t n)
{
    if (n > r->left)
        return false;
    r->at += n;
    r->left -= n;
    return true;
}

/* A length of so many bytes, the lowest first. */
static bool take_length(struct reader *r, size_t bytes, size_t *ret)
{
    const uint8_t *at = r->at;
    if (!skip(r, bytes))
        return false;
    *ret = 0;
    for (size_t i = 0; i < bytes; i++)
        *ret |= (size_t)at[i] << (8 * i);
    return true;
}

/* The bytes of a length's field in the opcodes that are a string; 0: another opcode. */
static size_t string_width(uint8_t opcode)
{
    return opcode == 0x8c ? 1 : opcode == 'X' ? 4 : opcode == 0x8d ? 8 : 0;
}

/* What follows opcodes that say nothing about the value: the protocol, frames, and where the value
 * is to be kept. -1: another opcode. */
static int ignored_width(uint8_t opcode)
{
    switch (opcode) {
    case 0x80: /* PROTO */
    case 'q':  /* BINPUT */
        return 1;
    case 'r': /* LONG_BINPUT */
        return 4;
    case 0x95: /* FRAME */
        return 8;
    case 0x94: /* MEMOIZE */
        return 0;
    default:
        return -1;
    }
}

static bool unpickle(struct reader r, const uint8_t **ret, size_t *ret_n)
{
    *ret = NULL;
    while (r.left > 0) {
        uint8_t opcode = *r.at;
        size_t width = string_width(opcode);
        (void)skip(&r, 1);
        if (opcode == '.') /* STOP */
            return *ret != NULL && r.left == 0;
        if (width > 0) {
            if (*ret != NULL || !take_length(&r, width, ret_n))
                return false;
            *ret = r.at;
            if (!skip(&r, *ret_n))
                return false;
        } else if (ignored_width(opcode) < 0 || !skip(&r, (size_t)ignored_width(opcode))) {
            return false;
        }
    }
    return false;
}

/* ---- all of it ---- */

int packed_text(const char *text, size_t n, struct buf *ret, struct err *e)
{
    CLEANUP_BUF struct buf bytes = {0}, pickled = {0};
    const uint8_t *at;
    size_t len = 0;
    if (!base64_get(&bytes, text, n))
        return err_set(e, ERR_DATA, "%zu bytes that are no base64", n);
    int r = unzip(&bytes, &pickled, e);
    if (r == 0 && !unpickle((struct reader){pickled.data, pickled.len}, &at, &len))
        r = err_set(e, ERR_DATA, "no pickle of one string");
    if (r == 0)
        buf_append(ret, at, len);
    return r;
}
