/* tokenizer_fuzz.c: tokenizer.json from anywhere, and text for it. An input is the file, a NUL, the
 * text. What is accepted must encode and decode without loss, but for normalization.
 */
#include <stdlib.h>

#include "common/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort(); /* reported by libFuzzer with the input */
}

static void round_trip(const struct tokenizer *t, const uint8_t *text, size_t n, bool may_normalize)
{
    CLEANUP_BUF struct buf ids = {0}, back = {0};
    struct err e = {0};
    int r = tokenizer_encode(t, text, n, &ids, &e);
    must(r == 0 || (r == ERR_DATA && e.msg[0] != '\0' && ids.len == 0));
    if (r != 0)
        return;
    const uint32_t *id = (const uint32_t *)(const void *)ids.data;
    for (size_t i = 0; i < ids.len / 4; i++)
        must(id[i] < tokenizer_size(t));
    tokenizer_decode(t, id, ids.len / 4, &back);
    must(may_normalize || (back.len == n && (n == 0 || memcmp(back.data, text, n) == 0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t json = end != NULL ? (size_t)(end - data) : size;
    struct tokenizer *t = NULL;
    struct err e = {0};
    int r = tokenizer_parse((const char *)data, json, "input", &t, &e);
    must((r == 0) == (t != NULL));
    must(r == 0 || (r == ERR_DATA && e.msg[0] != '\0'));
    if (t != NULL) {
        must(tokenizer_size(t) > 0);
        round_trip(t, data + json + (end != NULL), end != NULL ? size - json - 1 : 0,
            memmem(data, json, "NFC", 3) != NULL || memmem(data, json, "\\u", 2) != NULL);
    }
    tokenizer_free(t);
    return 0;
}
