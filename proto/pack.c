/* pack.c: borrowed and display-safe fields for protobuf-c. */
#include "proto/pack.h"

#include <assert.h>

#include "common/base/log.h"

ProtobufCBinaryData pack_bytes(const void *data, size_t n)
{
    /* protobuf-c only reads through this pointer when it packs. */
    return (ProtobufCBinaryData){.len = n, .data = n > 0 ? (uint8_t *)data : NULL};
}

ProtobufCBinaryData pack_text(const char *s)
{
    return s != NULL ? pack_bytes(s, strlen(s)) : pack_bytes(NULL, 0);
}

ProtobufCBinaryData pack_hash(const struct hash *h)
{
    return pack_bytes(h->b, HASH_BYTES);
}

/* The length of the longest start of s that has at most bytes_max bytes and ends between two
 * characters of valid UTF-8. */
static size_t cut(const uint8_t *s, size_t n, size_t bytes_max)
{
    if (n <= bytes_max)
        return n;
    n = bytes_max;
    while (n > 0 && (s[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* Text that is fit to be shown stays as it is (a backslash in it too), so that packing text which
 * was escaped before changes nothing. */
ProtobufCBinaryData pack_display(struct arena *a, const char *s, size_t bytes_max)
{
    CLEANUP_BUF struct buf escaped = {0};
    if (s == NULL || *s == '\0')
        return pack_bytes(NULL, 0);
    size_t n = strlen(s), doubled = 0;
    text_escape(&escaped, s, n);
    for (const char *p = s; *p != '\0'; p++)
        doubled += *p == '\\';
    if (escaped.len == n + doubled)
        return pack_bytes(s, cut((const uint8_t *)s, n, bytes_max));
    size_t keep = cut(escaped.data, escaped.len, bytes_max);
    return pack_bytes(arena_dup(a, escaped.data, keep), keep);
}

void *pack_array(struct arena *a, size_t count, size_t item_bytes)
{
    size_t bytes;
    bool overflow = __builtin_mul_overflow(count, item_bytes, &bytes);
    assert(!overflow);
    return arena_alloc(a, bytes);
}

void pack_append(struct buf *out, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    size_t packed = protobuf_c_message_pack(m, buf_extend(out, n));
    assert(packed == n);
}

void pack_arena_done(struct arena **a)
{
    arena_free(*a);
    *a = NULL;
}
