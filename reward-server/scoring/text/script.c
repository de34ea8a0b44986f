/* script.c: see script.h. Ranges are blocks of the Unicode standard. */
#include "reward-server/scoring/text/script.h"

#include <stddef.h>

#include "common/base/mem.h"

static const struct range {
    uint32_t first, last;
    enum script script;
} ranges[] = {
    {'A', 'Z', SCRIPT_LATIN}, {'a', 'z', SCRIPT_LATIN}, {0xaa, 0xaa, SCRIPT_LATIN},
    {0xad, 0xad, SCRIPT_MARK}, /* soft hyphen */
    {0xba, 0xba, SCRIPT_LATIN}, {0xc0, 0xd6, SCRIPT_LATIN}, {0xd8, 0xf6, SCRIPT_LATIN},
    {0xf8, 0x2af, SCRIPT_LATIN}, {0x300, 0x36f, SCRIPT_MARK}, {0x370, 0x373, SCRIPT_GREEK},
    {0x376, 0x377, SCRIPT_GREEK}, {0x37b, 0x37d, SCRIPT_GREEK}, {0x37f, 0x37f, SCRIPT_GREEK},
    {0x386, 0x386, SCRIPT_GREEK}, {0x388, 0x3f5, SCRIPT_GREEK}, {0x3f7, 0x3ff, SCRIPT_GREEK},
    {0x400, 0x481, SCRIPT_CYRILLIC}, {0x483, 0x489, SCRIPT_MARK}, {0x48a, 0x52f, SCRIPT_CYRILLIC},
    {0x531, 0x556, SCRIPT_OTHER}, /* Armenian */
    {0x561, 0x587, SCRIPT_OTHER}, {0x591, 0x5c7, SCRIPT_MARK}, {0x5d0, 0x5f2, SCRIPT_HEBREW},
    {0x610, 0x61a, SCRIPT_MARK}, {0x620, 0x64a, SCRIPT_ARABIC}, {0x64b, 0x65f, SCRIPT_MARK},
    {0x66e, 0x6d3, SCRIPT_ARABIC}, {0x6fa, 0x6ff, SCRIPT_ARABIC}, {0x700, 0x8ff, SCRIPT_OTHER},
    {0x900, 0x963, SCRIPT_DEVANAGARI}, /* its signs of vowels are parts of words */
    {0x971, 0x97f, SCRIPT_DEVANAGARI}, {0x980, 0xdff, SCRIPT_OTHER}, /* Bengali to Sinhala */
    {0xe01, 0xe3a, SCRIPT_THAI}, {0xe40, 0xe4e, SCRIPT_THAI}, {0xe80, 0x109f, SCRIPT_OTHER},
    {0x10a0, 0x10ff, SCRIPT_OTHER}, /* Georgian */
    {0x1100, 0x11ff, SCRIPT_HANGUL}, {0x1200, 0x1aaf, SCRIPT_OTHER}, {0x1ab0, 0x1aff, SCRIPT_MARK},
    {0x1b00, 0x1dbf, SCRIPT_OTHER}, {0x1dc0, 0x1dff, SCRIPT_MARK}, {0x1e00, 0x1eff, SCRIPT_LATIN},
    {0x1f00, 0x1fff, SCRIPT_GREEK}, {0x200b, 0x200f, SCRIPT_MARK}, /* zero width and directions */
    {0x202a, 0x202e, SCRIPT_MARK}, {0x2060, 0x2064, SCRIPT_MARK}, {0x2c00, 0x2c5f, SCRIPT_OTHER},
    {0x2c60, 0x2c7f, SCRIPT_LATIN}, {0x2d00, 0x2ddf, SCRIPT_OTHER},
    {0x2de0, 0x2dff, SCRIPT_CYRILLIC}, {0x3005, 0x3007, SCRIPT_HAN}, {0x3041, 0x3096, SCRIPT_KANA},
    {0x309d, 0x309f, SCRIPT_KANA}, {0x30a1, 0x30fa, SCRIPT_KANA}, {0x30fc, 0x30ff, SCRIPT_KANA},
    {0x3105, 0x312f, SCRIPT_HAN}, /* bopomofo */
    {0x3131, 0x318e, SCRIPT_HANGUL}, {0x31f0, 0x31ff, SCRIPT_KANA}, {0x3400, 0x4dbf, SCRIPT_HAN},
    {0x4e00, 0x9fff, SCRIPT_HAN}, {0xa000, 0xa63f, SCRIPT_OTHER}, {0xa640, 0xa69f, SCRIPT_CYRILLIC},
    {0xa722, 0xa7ff, SCRIPT_LATIN}, {0xa800, 0xabff, SCRIPT_OTHER}, {0xac00, 0xd7ff, SCRIPT_HANGUL},
    {0xf900, 0xfaff, SCRIPT_HAN}, {0xfb00, 0xfb06, SCRIPT_LATIN}, {0xfb1d, 0xfb4f, SCRIPT_HEBREW},
    {0xfb50, 0xfdff, SCRIPT_ARABIC}, {0xfe00, 0xfe0f, SCRIPT_MARK}, {0xfe20, 0xfe2f, SCRIPT_MARK},
    {0xfe70, 0xfefc, SCRIPT_ARABIC}, {0xfeff, 0xfeff, SCRIPT_MARK},
    {0xff21, 0xff3a, SCRIPT_OTHER}, /* full width */
    {0xff41, 0xff5a, SCRIPT_OTHER}, {0xff66, 0xff9f, SCRIPT_KANA}, {0xffa0, 0xffdc, SCRIPT_HANGUL},
    {0x10000, 0x1cfff, SCRIPT_OTHER}, {0x1d400, 0x1d7cb, SCRIPT_OTHER}, /* mathematical letters */
    {0x1e000, 0x1eeff, SCRIPT_OTHER},
    {0x1f110, 0x1f189, SCRIPT_OTHER}, /* letters in squares and circles */
    {0x20000, 0x3ffff, SCRIPT_HAN},
    {0xe0000, 0xe0fff, SCRIPT_MARK}, /* tags, without a form of their own */
};

enum script script_of(uint32_t cp)
{
    size_t low = 0, high = ARRAY_LEN(ranges);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cp > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ARRAY_LEN(ranges) && cp >= ranges[low].first ? ranges[low].script : SCRIPT_NONE;
}

const char *script_name(enum script s)
{
    static const char *const names[SCRIPT_COUNT] = {"none", "mark", "Latin", "Greek", "Cyrillic",
        "Hebrew", "Arabic", "Devanagari", "Thai", "kana", "Han", "Hangul", "other letters"};
    return (unsigned)s < SCRIPT_COUNT ? names[s] : "?";
}

bool script_is_unspaced(enum script s)
{
    return s == SCRIPT_HAN || s == SCRIPT_KANA;
}

uint32_t letter_lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 0x20 : cp;
    if ((cp >= 0xc0 && cp <= 0xde && cp != 0xd7) || (cp >= 0x391 && cp <= 0x3a9) ||
        (cp >= 0x410 && cp <= 0x42f))
        return cp + 0x20;
    if (cp >= 0x400 && cp <= 0x40f)
        return cp + 0x50;
    if (cp >= 0x139 && cp <= 0x148)
        return cp + cp % 2; /* here the capital is the odd one */
    if (cp == 0x178)
        return 0xff;
    if (cp >= 0x179 && cp <= 0x17e)
        return cp + cp % 2;
    return cp >= 0x100 && cp <= 0x177 ? cp | 1 : cp;
}
