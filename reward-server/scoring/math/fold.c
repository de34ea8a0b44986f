/* fold.c: one spelling for what Unicode has several of: full-width forms, fractions, raised and
 * lowered digits, letters of mathematical alphabets, Chinese punctuation, odd blanks. */
#include "reward-server/scoring/math/fold.h"

#include <stdio.h>

static const struct {
    const char *from, *to;
} forms[] = {
    {"\xe3\x80\x80", " "},
    {"\xc2\xa0", " "},
    {"\xe2\x80\x82", " "},
    {"\xe2\x80\x83", " "},
    {"\xe2\x80\x89", " "},
    {"\xe2\x80\xaf", " "},
    {"\xe2\x80\x8b", ""},
    {"\xe2\x80\x8a", " "},
    {"\xef\xbb\xbf", ""},
    {"\xe2\x81\xa0", ""},
    {"\xe2\x81\xa1", ""},
    {"\xe2\x81\xa2", ""},
    {"\xe3\x80\x81", ","},
    {"\xe3\x80\x82", "."},
    {"\xef\xbc\x8c", ","},
    {"\xef\xbc\x9b", ";"},
    {"\xef\xbc\x9a", ":"},
    {"\xef\xbc\x88", "("},
    {"\xef\xbc\x89", ")"},
    {"\xe3\x80\x90", "["},
    {"\xe3\x80\x91", "]"},
    {"\xe3\x80\x8a", "<"},
    {"\xe3\x80\x8b", ">"},
    {"\xc2\xbd", "\\frac{1}{2}"},
    {"\xe2\x85\x93", "\\frac{1}{3}"},
    {"\xe2\x85\x94", "\\frac{2}{3}"},
    {"\xc2\xbc", "\\frac{1}{4}"},
    {"\xc2\xbe", "\\frac{3}{4}"},
    {"\xe2\x85\x95", "\\frac{1}{5}"},
    {"\xe2\x85\x96", "\\frac{2}{5}"},
    {"\xe2\x85\x97", "\\frac{3}{5}"},
    {"\xe2\x85\x98", "\\frac{4}{5}"},
    {"\xe2\x85\x99", "\\frac{1}{6}"},
    {"\xe2\x85\x9a", "\\frac{5}{6}"},
    {"\xe2\x85\x9b", "\\frac{1}{8}"},
    {"\xe2\x85\x9c", "\\frac{3}{8}"},
    {"\xe2\x85\x9d", "\\frac{5}{8}"},
    {"\xe2\x85\x9e", "\\frac{7}{8}"},
    {"\xe2\x85\x90", "\\frac{1}{7}"},
    {"\xe2\x85\x91", "\\frac{1}{9}"},
    {"\xe2\x85\x92", "\\frac{1}{10}"},
    {"\xe2\x84\x95", "\\mathbb{N}"},
    {"\xe2\x84\xa4", "\\mathbb{Z}"},
    {"\xe2\x84\x9a", "\\mathbb{Q}"},
    {"\xe2\x84\x9d", "\\mathbb{R}"},
    {"\xe2\x84\x82", "\\mathbb{C}"},
    {"\xe2\x88\x9b", "\\sqrt[3]"},
    {"\xe2\x88\x9c", "\\sqrt[4]"},
    {"\xe2\x80\xb3", "''"},
    {"\xe2\x80\x99", "'"},
    {"\xe2\x80\x98", "'"},
    {"\xe2\x80\x9c", ""},
    {"\xe2\x80\x9d", ""},
    {"\xe6\x88\x96", "\\text{ or }"},
    {"\xe5\x92\x8c", "\\text{ and }"},
    {"\xe4\xb8\x94", "\\text{ and }"},
    {"\xe4\xb8\x8e", "\\text{ and }"},
    {"\xe5\x8f\x8a", "\\text{ and }"},
    {"\xe2\x80\x90", "-"},
    {"\xe2\x80\x91", "-"},
    {"\xe2\x80\x92", "-"},
    {"\xe2\x80\x94", "-"},
    {"\xe2\x88\x92", "-"},
    {"\xef\xbc\x8d", "-"},
    {"\xe2\x88\x98", "\\circ "},
    {"\xe2\x9f\xa8", "\\langle "},
    {"\xe2\x9f\xa9", "\\rangle "},
    {"\xe3\x80\x88", "\\langle "},
    {"\xe3\x80\x89", "\\rangle "},
};

/* Raised and lowered characters in the order of their code points, as they stand on the line. */
static const struct {
    uint32_t first;
    const char *line; /* '?' where there is none */
    char mark;
} scripts[] = {
    {0xb2, "23", '^'},
    {0xb9, "1", '^'},
    {0x2070, "0i??456789+-=()n", '^'},
    {0x2080, "0123456789+-=()", '_'},
    {0x2090, "aeox?hklmnpst", '_'},
};

/* The code point at s, its length in *ret_n; 0 for what is no UTF-8 of two to four bytes. */
static uint32_t decode(const char *s, size_t n, size_t *ret_n)
{
    unsigned char c = (unsigned char)s[0];
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t v = c & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | ((unsigned char)s[i] & 0x3f);
    }
    *ret_n = len;
    return v;
}

/* Which character on the line a raised or lowered one is; 0 for none. */
static char script(uint32_t v, char *ret_mark)
{
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        uint32_t at = v - scripts[i].first;
        if (v >= scripts[i].first && at < strlen(scripts[i].line) && scripts[i].line[at] != '?') {
            *ret_mark = scripts[i].mark;
            return scripts[i].line[at];
        }
    }
    return 0;
}

/* Letters and digits of the mathematical alphabets, and full-width ones, in ASCII; 0 for others. */
static char plain_letter(uint32_t v)
{
    if (v >= 0xff01 && v <= 0xff5e)
        return (char)(v - 0xff01 + '!');
    if (v >= 0x1d400 && v < 0x1d6a4) {
        uint32_t k = (v - 0x1d400) % 52;
        return (char)(k < 26 ? 'A' + k : 'a' + k - 26);
    }
    if (v >= 0x1d7ce && v < 0x1d800)
        return (char)('0' + (v - 0x1d7ce) % 10);
    return 0;
}

static const char *form_of(const char *s, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (strlen(forms[i].from) == len && memcmp(forms[i].from, s, len) == 0)
            return forms[i].to;
    }
    return NULL;
}

/* A run of raised or lowered characters becomes one ^{...} or _{...}. */
static size_t fold_script(struct span s, size_t i, struct buf *out)
{
    char mark = 0, next = 0;
    size_t len = 0, from = i;
    char c = script(decode(s.at + i, s.n - i, &len), &mark);
    buf_printf(out, "%c{", mark);
    for (next = mark; c != 0 && next == mark;) {
        buf_append(out, &c, 1);
        i += len;
        uint32_t v = i < s.n ? decode(s.at + i, s.n - i, &len) : 0;
        c = script(v, &next);
    }
    buf_puts(out, "}");
    return i - from;
}

struct span math_fold(struct arena *a, struct span s)
{
    size_t i = 0, len = 0;
    while (i < s.n && (s.at[i] & 0x80) == 0)
        i++;
    if (i == s.n)
        return s;
    CLEANUP_BUF struct buf out = {0};
    buf_append(&out, s.at, i);
    for (; i < s.n; i += len) {
        char mark;
        len = 1;
        uint32_t v = (s.at[i] & 0x80) != 0 ? decode(s.at + i, s.n - i, &len) : 0;
        const char *form = v != 0 ? form_of(s.at + i, len) : NULL;
        char letter = v != 0 ? plain_letter(v) : 0;
        if (form != NULL)
            buf_puts(&out, form);
        else if (letter != 0)
            buf_append(&out, &letter, 1);
        else if (v != 0 && script(v, &mark) != 0)
            len = fold_script(s, i, &out);
        else
            buf_append(&out, s.at + i, len);
    }
    const char *copy = arena_dup(a, out.data, out.len + 1);
    return copy != NULL ? (struct span){copy, out.len} : s;
}
