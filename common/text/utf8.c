/* utf8.c: strict UTF-8 (RFC 3629). */
#include "common/text/utf8.h"

size_t utf8_next(const void *p, size_t n, uint32_t *ret_cp)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *s = p;
    if (n == 0)
        return 0;
    size_t len = s[0] < 0x80       ? 1
                 : s[0] >> 5 == 6  ? 2
                 : s[0] >> 4 == 14 ? 3
                 : s[0] >> 3 == 30 ? 4
                                   : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t cp = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        cp = cp << 6 | (s[i] & 0x3f);
    }
    if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return 0;
    if (ret_cp != NULL)
        *ret_cp = cp;
    return len;
}

bool utf8_valid(const void *p, size_t n)
{
    const uint8_t *s = p;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_next(s + i, n - i, NULL);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

size_t utf8_cut(const void *p, size_t n, size_t max)
{
    const uint8_t *s = p;
    if (n <= max)
        return n;
    for (size_t back = 0; back < 4 && back < max; back++) {
        size_t at = max - back;
        if (s[at] >> 6 != 2)
            return at;
    }
    return max;
}
