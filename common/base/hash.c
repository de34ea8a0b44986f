/* hash.c: BLAKE2b-256 over libsodium, CRC32C by instruction or table. */
#include "common/base/hash.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "common/base/mem.h"

static_assert(sizeof(((struct hasher *)0)->state) >= sizeof(crypto_generichash_state),
    "struct hasher is too small for libsodium's state");
static_assert(_Alignof(struct hasher) >= _Alignof(crypto_generichash_state),
    "struct hasher is not aligned like libsodium's state");

static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;

/* libsodium hashes rightly without it, but with its slowest code path. */
static void sodium_start(void)
{
    int r = sodium_init();
    assert(r >= 0);
}

static crypto_generichash_state *state_of(struct hasher *h)
{
    return (crypto_generichash_state *)(void *)h->state;
}

void hasher_init(struct hasher *h)
{
    pthread_once(&sodium_once, sodium_start);
    int r = crypto_generichash_init(state_of(h), NULL, 0, HASH_BYTES);
    assert(r == 0);
}

void hasher_add(struct hasher *h, const void *data, size_t n)
{
    if (n == 0)
        return;
    int r = crypto_generichash_update(state_of(h), data, n);
    assert(r == 0);
}

void hasher_add_u64(struct hasher *h, uint64_t v)
{
    uint8_t bytes[8];
    put_u64(bytes, v);
    hasher_add(h, bytes, sizeof(bytes));
}

void hasher_add_str(struct hasher *h, const char *s)
{
    size_t n = strlen(s);
    hasher_add_u64(h, n);
    hasher_add(h, s, n);
}

struct hash hasher_done(struct hasher *h)
{
    struct hash ret;
    int r = crypto_generichash_final(state_of(h), ret.b, HASH_BYTES);
    assert(r == 0);
    return ret;
}

struct hash hash_of(const void *data, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_add(&h, data, n);
    return hasher_done(&h);
}

uint64_t hash_u64(const void *data, size_t n)
{
    struct hash h = hash_of(data, n);
    return get_u64(h.b);
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_BYTES) == 0;
}

bool hash_is_zero(const struct hash *h)
{
    static const struct hash zero;
    return hash_equal(h, &zero);
}

const char *hash_hex(const struct hash *h, char out[HASH_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = digits[h->b[i] >> 4];
        out[2 * i + 1] = digits[h->b[i] & 15];
    }
    out[2 * HASH_BYTES] = '\0';
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hash_parse(const char *hex, struct hash *ret)
{
    struct hash h;
    for (int i = 0; i < HASH_BYTES; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]); /* never reads past the NUL */
        if (low < 0)
            return false;
        h.b[i] = (uint8_t)(high << 4 | low);
    }
    if (hex[2 * HASH_BYTES] != '\0')
        return false;
    *ret = h;
    return true;
}

/* Four bits at a time: 64 bytes of table. Only CPUs without the instruction come here. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t n)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc,
        0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(
    uint32_t crc, const uint8_t *p, size_t n)
{
    uint64_t c = (uint32_t)~crc;
    for (; n >= 8; p += 8, n -= 8)
        c = __builtin_ia32_crc32di(c, get_u64(p));
    for (; n > 0; p++, n--)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p);
    return ~(uint32_t)c;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, data, n);
    return crc32c_portable(crc, data, n);
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    return crc32c_portable(crc, data, n);
}
#endif
