/* hash.h: BLAKE2b-256 (libsodium) for identity, CRC32C for torn or flipped bytes. Any thread. */
#ifndef COHORT_BASE_HASH_H
#define COHORT_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HASH_BYTES = 32, HASH_HEX = 65 };

struct hash {
    uint8_t b[HASH_BYTES];
};

struct hasher {
    _Alignas(64) uint8_t state[384];
};

void hasher_init(struct hasher *h);
void hasher_add(struct hasher *h, const void *data, size_t n);
void hasher_add_u64(struct hasher *h, uint64_t v);    /* eight bytes, little-endian */
void hasher_add_str(struct hasher *h, const char *s); /* length as u64, then the bytes */
struct hash hasher_done(struct hasher *h);

struct hash hash_of(const void *data, size_t n);
uint64_t hash_u64(const void *data, size_t n); /* the first eight bytes of hash_of, little-endian */
bool hash_equal(const struct hash *a, const struct hash *b);
bool hash_is_zero(const struct hash *h);
const char *hash_hex(const struct hash *h, char out[HASH_HEX]); /* returns out */
bool hash_parse(const char *hex, struct hash *ret);             /* 64 hexadecimal digits */

uint32_t crc32c(uint32_t crc, const void *data, size_t n);          /* start with 0 */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t n); /* its twin without SSE4.2 */

#endif
