/* unpack.c: the counting allocator and the checks of single fields. */
#include "proto/unpack.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/log.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "arrays are used in place, as the little-endian bytes of the wire");

/* One byte more than asked for: the arena is zeroed, so every bytes field ends in a NUL beyond its
 * length and text needs no second copy. */
static void *count_alloc(void *data, size_t bytes)
{
    struct unpacker *u = data;
    if (bytes >= u->left) {
        u->left = 0;
        return NULL;
    }
    void *p = arena_alloc(u->arena, bytes + 1);
    if (p == NULL)
        u->left = 0;
    else
        u->left -= bytes + 1;
    return p;
}

static void count_free(void *data, void *p)
{
    (void)data; /* the arena is freed as a whole */
    (void)p;
}

void unpacker_init(
    struct unpacker *u, struct arena *a, const char *message, size_t n, struct err *e)
{
    *u = (struct unpacker){
        .allocator = {count_alloc, count_free, u},
        .arena = a,
        .left = (size_t)LIMIT_UNPACK_FACTOR * n + LIMIT_UNPACK_MIN_BYTES,
        .message = message,
        .e = e,
    };
}

void unpack_fail(struct unpacker *u, const char *field, const char *fmt, ...)
{
    if (u->code != 0)
        return;
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (u->list != NULL)
        u->code = err_set(
            u->e, ERR_LIMIT, "%s.%s[%zu].%s: %s", u->message, u->list, u->index, field, what);
    else
        u->code = err_set(u->e, ERR_LIMIT, "%s.%s: %s", u->message, field, what);
}

const void *unpack_run(
    struct unpacker *u, const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t n)
{
    size_t bound = u->left;
    const void *m = protobuf_c_message_unpack(d, &u->allocator, n, data);
    if (m != NULL)
        return m;
    if (u->left == 0)
        u->code = err_set(u->e, ERR_LIMIT, "%s: %zu bytes would need over %zu bytes of memory",
            u->message, n, bound);
    else
        u->code = err_set(
            u->e, ERR_LIMIT, "%s: %zu bytes are not a valid protobuf message", u->message, n);
    return NULL;
}

void *unpack_array(struct unpacker *u, size_t count, size_t item_bytes)
{
    size_t bytes;
    void *p = NULL;
    if (u->code != 0)
        return NULL;
    if (!__builtin_mul_overflow(count, item_bytes, &bytes))
        p = count_alloc(u, bytes);
    if (p == NULL)
        u->code = err_set(
            u->e, ERR_LIMIT, "%s: a list of %zu items needs too much memory", u->message, count);
    return p;
}

/* Whether b is UTF-8 without a NUL (RFC 3629). */
static bool is_utf8(ProtobufCBinaryData b)
{
    for (size_t i = 0; i < b.len;) {
        const uint8_t *p = b.data + i;
        size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        if (p[0] == 0 || len > b.len - i)
            return false;
        uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
        for (size_t k = 1; k < len; k++) {
            if ((p[k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[k] & 0x3f);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ||
            (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
            return false;
        i += len;
    }
    return true;
}

static const char *text_of(ProtobufCBinaryData b)
{
    return b.len > 0 ? (const char *)b.data : "";
}

const char *unpack_text(
    struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t bytes_max)
{
    if (b.len > bytes_max)
        unpack_fail(u, field, "%zu bytes, the limit is %zu", b.len, bytes_max);
    else if (!is_utf8(b))
        unpack_fail(u, field, "not UTF-8 text, or a NUL in it");
    return u->code == 0 ? text_of(b) : "";
}

const char *unpack_display(
    struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t bytes_max)
{
    const char *text = unpack_text(u, field, b, bytes_max);
    CLEANUP_BUF struct buf escaped = {0};
    text_escape(&escaped, text, strlen(text));
    size_t expected = strlen(text);
    for (const char *p = text; *p != '\0'; p++)
        expected += *p == '\\';
    /* Escaping lengthens whatever it touches; a backslash is only doubled. */
    if (escaped.len != expected)
        unpack_fail(u, field, "a control character in text for people");
    return u->code == 0 ? text : "";
}

const char *unpack_name(struct unpacker *u, const char *field, ProtobufCBinaryData b)
{
    bool good = b.len >= 1 && b.len <= LIMIT_NAME;
    for (size_t i = 0; good && i < b.len; i++) {
        uint8_t c = b.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    }
    if (!good)
        unpack_fail(
            u, field, "%zu bytes that are not a name: [a-z0-9._-]{1,%d}", b.len, LIMIT_NAME);
    return u->code == 0 ? text_of(b) : "";
}

const char *unpack_path(struct unpacker *u, const char *field, ProtobufCBinaryData b)
{
    if (b.len >= LIMIT_PATH)
        unpack_fail(u, field, "%zu bytes, the limit is %d", b.len, LIMIT_PATH - 1);
    else if (b.len > 0 && memchr(b.data, 0, b.len) != NULL)
        unpack_fail(u, field, "a NUL in a path");
    return u->code == 0 ? text_of(b) : "";
}

struct hash unpack_hash(struct unpacker *u, const char *field, ProtobufCBinaryData b)
{
    struct hash h = {{0}};
    if (b.len != HASH_BYTES)
        unpack_fail(u, field, "%zu bytes, a hash has %d", b.len, HASH_BYTES);
    if (u->code == 0)
        memcpy(h.b, b.data, HASH_BYTES);
    return h;
}

void unpack_boot_id(struct unpacker *u, ProtobufCBinaryData b, uint8_t out[16])
{
    memset(out, 0, 16);
    if (b.len != 0 && b.len != 16)
        unpack_fail(u, "boot_id", "%zu bytes, expected 16", b.len);
    else if (b.len == 16)
        memcpy(out, b.data, 16);
}

uint64_t unpack_range(
    struct unpacker *u, const char *field, uint64_t value, uint64_t low, uint64_t high)
{
    if (value < low || value > high)
        unpack_fail(u, field, "%llu, expected %llu to %llu", (unsigned long long)value,
            (unsigned long long)low, (unsigned long long)high);
    return u->code == 0 ? value : 0;
}

size_t unpack_count(struct unpacker *u, const char *field, size_t n, size_t low, size_t high)
{
    if (n < low || n > high)
        unpack_fail(u, field, "%zu items, expected %zu to %zu", n, low, high);
    return u->code == 0 ? n : 0;
}

uint64_t unpack_id(struct unpacker *u, const char *field, uint64_t id)
{
    if (id == 0)
        unpack_fail(u, field, "0 is no id");
    return id;
}

size_t unpack_leases(
    struct unpacker *u, const char *field, const uint64_t *leases, size_t n, const uint64_t **ret)
{
    n = unpack_count(u, field, n, 0, LIMIT_LEASES_PER_WORKER);
    for (size_t i = 0; i < n; i++) {
        unpack_id(u, field, leases[i]);
        for (size_t k = 0; k < i; k++) {
            if (leases[k] == leases[i])
                unpack_fail(u, field, "lease %llu twice", (unsigned long long)leases[i]);
        }
    }
    *ret = leases;
    return u->code == 0 ? n : 0;
}

size_t unpack_tokens(struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t low,
    size_t high, const uint32_t **ret)
{
    if (b.len % sizeof(uint32_t) != 0)
        unpack_fail(u, field, "%zu bytes, expected four for each id", b.len);
    size_t n = unpack_count(u, field, b.len / sizeof(uint32_t), low, high);
    const uint32_t *ids = (const uint32_t *)(const void *)b.data; /* the arena aligns to 16 */
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= LIMIT_VOCAB) {
            unpack_fail(u, field, "token id %u at %zu, the limit is %d", ids[i], i, LIMIT_VOCAB);
            return 0;
        }
    }
    *ret = ids;
    return n;
}

const float *unpack_logp(struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t count)
{
    if (b.len != count * sizeof(float)) {
        unpack_fail(u, field, "%zu bytes for %zu tokens, expected four each", b.len, count);
        return NULL;
    }
    const float *logp = (const float *)(const void *)b.data;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(logp[i]) || logp[i] > 0.0f) {
            unpack_fail(
                u, field, "%g at %zu, expected a finite number of at most 0", (double)logp[i], i);
            return NULL;
        }
    }
    return logp;
}
