/* record.c: see record.h for the format. */
#include "proto/record.h"

#include <string.h>

#include "common/base/hash.h"

enum {
    HEADER_BYTES = 24,
    TRAILER_BYTES = 8,
    SECTION_HEADER_BYTES = 8,
    SECTIONS_MAX = 64,
    TAG_LENGTHS = 1,
    TAG_TOKENS = 2,
    TAG_LOGPROBS = 3,
};

static const char file_magic[8] = "COHSEG1\n";
static const char record_magic[4] = "REC1";

_Static_assert(sizeof(float) == 4, "log-probs are stored as their 32 bits");
_Static_assert(HEADER_BYTES + TRAILER_BYTES == RECORD_BYTES_MIN, "of a record without sections");

/* ---- files ---- */

void record_file_header_put(uint8_t out[RECORD_FILE_HEADER_BYTES], uint32_t number)
{
    memcpy(out, file_magic, sizeof(file_magic));
    put_u32(out + 8, number);
    put_u32(out + 12, crc32c(0, out, 12));
}

int record_file_header_check(
    const uint8_t header[RECORD_FILE_HEADER_BYTES], uint32_t number, struct err *e)
{
    if (memcmp(header, file_magic, sizeof(file_magic)) != 0)
        return err_set(e, ERR_DATA, "not a file of samples: it does not begin with COHSEG1");
    if (get_u32(header + 12) != crc32c(0, header, 12))
        return err_set(e, ERR_DATA, "checksum of the file's header differs");
    if (get_u32(header + 8) != number)
        return err_set(
            e, ERR_DATA, "header of segment %u, expected %u", get_u32(header + 8), number);
    return 0;
}

/* ---- putting ---- */

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

void record_put(struct buf *b, uint64_t group, const struct completion *c, uint32_t n)
{
    size_t at = b->len;
    buf_append(b, record_magic, sizeof(record_magic));
    buf_put_u32(b, 0);
    buf_put_u64(b, group);
    buf_put_u32(b, 3);
    buf_put_u32(b, 0);
    put_sections(b, c, n);
    put_u32(b->data + at + 4, (uint32_t)(b->len - at + TRAILER_BYTES));
    put_u32(b->data + at + 20, crc32c(0, b->data + at, 20));
    buf_put_u32(b, crc32c(0, b->data + at, b->len - at));
    buf_put_u32(b, 0);
}

/* ---- parsing ---- */

struct record {
    const uint8_t *data;
    size_t bytes;
};

int record_length_check(uint64_t bytes, struct err *e)
{
    if (bytes < RECORD_BYTES_MIN || bytes % 8 != 0 || bytes > RECORD_BYTES_MAX)
        return err_set(
            e, ERR_DATA, "a length of %llu bytes is no record's", (unsigned long long)bytes);
    return 0;
}

static int check(struct record r, uint64_t group, struct err *e)
{
    const uint8_t *d = r.data;
    size_t body = r.bytes - TRAILER_BYTES;
    if (memcmp(d, record_magic, sizeof(record_magic)) != 0)
        return err_set(e, ERR_DATA, "no record begins here");
    if (get_u32(d + 20) != crc32c(0, d, 20) || get_u32(d + body) != crc32c(0, d, body))
        return err_set(e, ERR_DATA, "checksum differs: the bytes are not those that were written");
    if (get_u32(d + 4) != r.bytes)
        return err_set(e, ERR_DATA, "record of %u bytes, expected %zu", get_u32(d + 4), r.bytes);
    if (get_u64(d + 8) != group)
        return err_set(e, ERR_DATA, "record of group %llu, expected %llu",
            (unsigned long long)get_u64(d + 8), (unsigned long long)group);
    if (get_u32(d + 16) > SECTIONS_MAX)
        return err_set(
            e, ERR_DATA, "%u sections, at most %d are allowed", get_u32(d + 16), SECTIONS_MAX);
    return 0;
}

/* The data of the section with that tag, whose size must be bytes. */
static int find_section(
    struct record r, uint32_t tag, uint64_t bytes, const uint8_t **ret, struct err *e)
{
    uint32_t sections = get_u32(r.data + 16);
    size_t at = HEADER_BYTES, end = r.bytes - TRAILER_BYTES;
    for (uint32_t i = 0; i < sections && end - at >= SECTION_HEADER_BYTES; i++) {
        uint32_t got = get_u32(r.data + at + 4);
        uint64_t padded = ((uint64_t)got + 7) / 8 * 8;
        const uint8_t *data = r.data + at + SECTION_HEADER_BYTES;
        if (padded > end - at - SECTION_HEADER_BYTES)
            break;
        if (get_u32(r.data + at) == tag) {
            if (got != bytes)
                return err_set(e, ERR_DATA, "section %u has %u bytes, expected %llu", tag, got,
                    (unsigned long long)bytes);
            *ret = data;
            return 0;
        }
        at += SECTION_HEADER_BYTES + padded;
    }
    return err_set(e, ERR_DATA, "section %u is missing", tag);
}

static int split(struct record r, uint32_t n, struct arena *a, struct completion *c, struct err *e)
{
    const uint8_t *lengths, *tokens, *logp;
    if (find_section(r, TAG_LENGTHS, 4 * (uint64_t)n, &lengths, e) < 0)
        return ERR_DATA;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += get_u32(lengths + 4 * (size_t)i);
    if (find_section(r, TAG_TOKENS, 4 * sum, &tokens, e) < 0 ||
        find_section(r, TAG_LOGPROBS, 4 * sum, &logp, e) < 0)
        return ERR_DATA;
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        c[i].len = get_u32(lengths + 4 * (size_t)i);
        c[i].tokens = arena_dup(a, tokens + at, 4 * (size_t)c[i].len);
        c[i].logp = arena_dup(a, logp + at, 4 * (size_t)c[i].len);
        at += 4 * (size_t)c[i].len;
        if (c[i].len > 0 && (c[i].tokens == NULL || c[i].logp == NULL))
            return err_set(e, ERR_DATA, "the completions are larger than the memory for them");
    }
    return 0;
}

int record_parse(const uint8_t *data, size_t bytes, uint64_t group, uint32_t n, struct arena *a,
    struct completion *c, struct err *e)
{
    struct record r = {data, bytes};
    if (record_length_check(bytes, e) < 0 || check(r, group, e) < 0 || split(r, n, a, c, e) < 0)
        return ERR_DATA;
    return 0;
}
