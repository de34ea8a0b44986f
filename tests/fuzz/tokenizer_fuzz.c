/* tokenizer_fuzz.c: tokenizer.json from anywhere, and text for it. An input is the file, a NUL, the
 * text. What is accepted must encode and decode without loss, or to what is canonically the same
 * where the file may ask for NFC.
 */
#include <stdlib.h>
#include <utf8proc.h>

#include "common/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort(); /* reported by libFuzzer with the input */
}

static bool is_canonically_same(const struct buf *a, const uint8_t *b, size_t n)
{
    static const utf8proc_option_t nfc = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    utf8proc_uint8_t *x = NULL, *y = NULL;
    utf8proc_ssize_t x_len = utf8proc_map(a->data, (utf8proc_ssize_t)a->len, &x, nfc);
    utf8proc_ssize_t y_len = utf8proc_map(b, (utf8proc_ssize_t)n, &y, nfc);
    bool same = x_len >= 0 && x_len == y_len && memcmp(x, y, (size_t)x_len) == 0;
    free(x);
    free(y);
    return same;
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
    bool same = back.len == n && (n == 0 || memcmp(back.data, text, n) == 0);
    must(same || (may_normalize && is_canonically_same(&back, text, n)));
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
