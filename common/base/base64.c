/* base64.c: see base64.h. */
#include "common/base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *out, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;
        v |= have > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= have > 2 ? p[i + 2] : 0;
        char four[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63],
            have > 1 ? alphabet[v >> 6 & 63] : '=', have > 2 ? alphabet[v & 63] : '='};
        buf_append(out, four, sizeof(four));
    }
}

/* 0 to 63, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four characters; the number of its bytes, or -1. */
static int group(const char *text, bool last, uint8_t ret[3])
{
    int pad = last && text[3] == '=' ? 1 + (text[2] == '=') : 0;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int d = i < 4 - pad ? digit(text[i]) : 0;
        if (d < 0)
            return -1;
        v = v << 6 | (uint32_t)d;
    }
    if ((v & ((1u << 8 * pad) - 1)) != 0)
        return -1;
    ret[0] = (uint8_t)(v >> 16);
    ret[1] = (uint8_t)(v >> 8);
    ret[2] = (uint8_t)v;
    return 3 - pad;
}

bool base64_get(struct buf *out, const char *text, size_t n)
{
    size_t before = out->len;
    bool good = n % 4 == 0;
    for (size_t i = 0; good && i < n; i += 4) {
        uint8_t bytes[3];
        int have = group(text + i, i + 4 == n, bytes);
        good = have > 0;
        if (good)
            buf_append(out, bytes, (size_t)have);
    }
    if (!good)
        out->len = before;
    return good;
}
