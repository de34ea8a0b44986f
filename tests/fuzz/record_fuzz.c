/* record_fuzz.c: libFuzzer target for the records of sample segments.
 *
 * The first byte is the number of completions; the rest is a record, whose length and checksums are
 * put right so that the sections behind them are reached. Whatever is accepted must be put and
 * parsed again to the same completions.
 */
#include <stdlib.h>

#include "common/base/hash.h"
#include "proto/record.h"

enum { GROUP = 81, COMPLETIONS_MAX = 255 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool good)
{
    if (!good)
        abort();
}

static void seal(uint8_t *record, size_t bytes)
{
    put_u32(record + 4, (uint32_t)bytes);
    put_u64(record + 8, GROUP);
    put_u32(record + 20, crc32c(0, record, 20));
    put_u32(record + bytes - 8, crc32c(0, record, bytes - 8));
}

static void check_again(const struct completion *c, uint32_t n)
{
    struct completion again[COMPLETIONS_MAX];
    struct arena *a = arena_new(0);
    struct err e = {0};
    struct buf b = {0};
    record_put(&b, GROUP, c, n);
    require(record_parse(b.data, b.len, GROUP, n, a, again, &e) == 0);
    for (uint32_t i = 0; i < n; i++) {
        require(again[i].len == c[i].len);
        require(c[i].len == 0 || memcmp(again[i].tokens, c[i].tokens, 4 * c[i].len) == 0);
        require(c[i].len == 0 || memcmp(again[i].logp, c[i].logp, 4 * c[i].len) == 0);
    }
    buf_done(&b);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 + RECORD_BYTES_MIN)
        return 0;
    uint32_t count = data[0];
    size_t bytes = (n - 1) / 8 * 8;
    uint8_t *record = mem_dup(data + 1, bytes); /* a block of its own: reads behind it are seen */
    struct completion c[COMPLETIONS_MAX];
    struct arena *a = arena_new(0);
    struct err e = {0};
    seal(record, bytes);
    int r = record_parse(record, bytes, GROUP, count, a, c, &e);
    require(r == 0 || (r == ERR_DATA && e.msg[0] != '\0'));
    if (r == 0)
        check_again(c, count);
    arena_free(a);
    free(record);
    return 0;
}
