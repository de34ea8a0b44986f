/* lex_number.c: the cursor, and the numbers that stand at it. */
#include "reward-server/scoring/math/lexer.h"

/* ---- the cursor ---- */

bool lexer_fail(struct lexer *l, const char *why)
{
    if (l->why == NULL)
        l->why = why;
    return false;
}

bool lexer_push(struct lexer *l, struct math_token t)
{
    if (!math_step(l->w, 1) || l->out->n + 1 >= l->cap)
        return lexer_fail(l, "too many tokens");
    t.space = l->space;
    l->space = false;
    l->out->at[l->out->n++] = t;
    return true;
}

const char *lexer_copy(struct lexer *l, const char *text, size_t n)
{
    char *s = arena_alloc(l->w->arena, n + 1);
    if (s == NULL)
        return "";
    memcpy(s, text, n);
    return s;
}

/* ---- numbers ---- */

/* Length of a thousands separator at skip bytes ahead: exactly three digits must follow it. */
static size_t separator(const struct lexer *l, size_t skip)
{
    static const char *const forms[] = {
        ",\\! ", ",\\!", " {, }", "{, }", "{,}", "\\!", "\\,", "\\ ", "\\;", "~", ",", " "};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (l->depth > 0 && strcmp(forms[i], ",") == 0)
            continue; /* (100,200) is a pair */
        size_t n = skip + strlen(forms[i]);
        if (lexer_starts(l, skip, forms[i]) && lexer_is_digit(lexer_peek(l, n)) &&
            lexer_is_digit(lexer_peek(l, n + 1)) && lexer_is_digit(lexer_peek(l, n + 2)) &&
            !lexer_is_digit(lexer_peek(l, n + 3)))
            return n - skip;
    }
    return 0;
}

/* The base that is written at i, in digits or words: its length, 0 for none. */
static size_t base_at(const struct lexer *l, size_t i, bool brace, int *ret)
{
    static const struct {
        const char *word;
        int base;
    } words[] = {{"two}", 2}, {"three}", 3}, {"four}", 4}, {"five}", 5}, {"six}", 6}, {"seven}", 7},
        {"eight}", 8}, {"nine}", 9}, {"ten}", 10}, {"twelve}", 12}, {"sixteen}", 16}};
    enum { TEXT = sizeof("\\text{") - 1 };
    size_t n = 0;
    int base = 0;
    for (size_t k = 0; lexer_starts(l, i, "\\text{") && k < ARRAY_LEN(words); k++) {
        if (lexer_starts(l, i + TEXT, words[k].word)) {
            *ret = words[k].base;
            return TEXT + strlen(words[k].word);
        }
    }
    for (; lexer_is_digit(lexer_peek(l, i + n)) && base < 100 && (brace || n == 0); n++)
        base = base * 10 + (lexer_peek(l, i + n) - '0');
    *ret = base;
    return base >= 2 && base <= 36 ? n : 0;
}

/* Digits whose base is written below them, as 1A_{16}: their length, 0 when there are none. */
static size_t based_digits(const struct lexer *l, size_t *ret_all, int *ret_base)
{
    size_t n = 0;
    while (lexer_is_digit(lexer_peek(l, n)) ||
           (lexer_peek(l, n) >= 'A' && lexer_peek(l, n) <= 'Z') ||
           (lexer_peek(l, n) == '.' && lexer_is_digit(lexer_peek(l, n + 1))))
        n++;
    if (lexer_peek(l, n) != '_')
        return 0;
    bool brace = lexer_peek(l, n + 1) == '{';
    size_t at = n + 1 + brace, len = base_at(l, at, brace, ret_base);
    if (len == 0 || (brace && lexer_peek(l, at + len) != '}'))
        return 0;
    *ret_all = at + len + brace;
    return n;
}

static size_t digits_at(const struct lexer *l, size_t i)
{
    size_t n = 0;
    while (lexer_is_digit(lexer_peek(l, i + n)))
        n++;
    return n;
}

/* Digits between open and close: what repeats. */
static const char *take_enclosed(struct lexer *l, const char *open, const char *close)
{
    size_t from = strlen(open), n = lexer_starts(l, 0, open) ? digits_at(l, from) : 0;
    if (n == 0 || !lexer_starts(l, from + n, close))
        return NULL;
    const char *digits = lexer_copy(l, l->at + from, n);
    l->at += from + n + strlen(close);
    return digits;
}

/* \dot{1}42\dot{8}: dots over the first and the last digit of what repeats. */
static const char *take_dotted(struct lexer *l)
{
    enum { DOT = 5 }; /* bytes of "\dot{" */
    if (!lexer_starts(l, 0, "\\dot{") || !lexer_is_digit(lexer_peek(l, DOT)) ||
        lexer_peek(l, DOT + 1) != '}')
        return NULL;
    size_t from = DOT + 2, n = digits_at(l, from), last = from + n + DOT;
    bool long_form = lexer_starts(l, from + n, "\\dot{") && lexer_is_digit(lexer_peek(l, last)) &&
                     lexer_peek(l, last + 1) == '}';
    if (n > 0 && !long_form)
        return NULL;
    char *digits = arena_alloc(l->w->arena, n + 3);
    if (digits == NULL)
        return NULL;
    digits[0] = l->at[DOT];
    memcpy(digits + 1, l->at + from, n);
    if (long_form)
        digits[n + 1] = l->at[last];
    l->at += long_form ? last + 2 : from;
    return digits;
}

/* What repeats in "0.1666...": the shortest end of the digits that stands there twice, a single
 * digit three times. Without one the dots say only that digits are missing. */
static const char *take_ellipsis(struct lexer *l, const char *digits, size_t n)
{
    static const char *const forms[] = {"...", "\\ldots", "\\dots", "\\cdots", "\xe2\x80\xa6"};
    size_t skip = 0;
    for (size_t i = 0; skip == 0 && i < ARRAY_LEN(forms); i++)
        skip = lexer_starts(l, 0, forms[i]) ? strlen(forms[i]) : 0;
    if (skip == 0)
        return NULL;
    l->at += skip;
    for (size_t p = 1; 2 * p <= n; p++) {
        size_t need = p == 1 ? 3 : 2 * p, same = p;
        while (same < n && digits[n - 1 - same] == digits[n - 1 - same + p])
            same++;
        if (same >= need)
            return lexer_copy(l, digits + n - p, p);
    }
    return NULL;
}

/* After the point and its digits (n of them): 0.1\overline{6}, 0.(6), 0.1\dot6, 0.1666... */
static const char *take_repeat(struct lexer *l, const char *digits, size_t n)
{
    const char *r = take_enclosed(l, "\\overline{", "}");
    if (r == NULL)
        r = take_enclosed(l, "\\bar{", "}");
    if (r == NULL && n == 0)
        r = take_enclosed(l, "(", ")");
    if (r == NULL)
        r = take_dotted(l);
    return r == NULL && n > 0 ? take_ellipsis(l, digits, n) : r;
}

/* 5th, 3^{\text{rd}}: the ending of an ordinal number means nothing. */
static void skip_ordinal(struct lexer *l)
{
    static const char *const before[] = {
        "^{\\text{", "^{\\mathrm{", "^\\text{", "^{", "\\text{", ""};
    static const char *const after[] = {"}}", "}}", "}", "}", "}", ""};
    static const char *const ends[] = {"th", "st", "nd", "rd"};
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        size_t n = lexer_starts(l, 0, before[i]) ? strlen(before[i]) : lexer_left(l);
        for (size_t k = 0; n < lexer_left(l) && k < ARRAY_LEN(ends); k++) {
            if (lexer_starts(l, n, ends[k]) && lexer_starts(l, n + 2, after[i]) &&
                !lexer_is_letter(lexer_peek(l, n + 2 + strlen(after[i])))) {
                l->at += n + 2 + strlen(after[i]);
                return;
            }
        }
    }
}

static long take_exponent(struct lexer *l)
{
    size_t i = 1;
    long value = 0;
    if (lexer_peek(l, 0) != 'e' && lexer_peek(l, 0) != 'E')
        return 0;
    bool negative = lexer_peek(l, i) == '-';
    i += negative || lexer_peek(l, i) == '+';
    if (!lexer_is_digit(lexer_peek(l, i)))
        return 0;
    for (; lexer_is_digit(lexer_peek(l, i)); i++)
        value = value < 100000000 ? value * 10 + (lexer_peek(l, i) - '0') : value;
    l->at += i;
    return negative ? -value : value;
}

bool lexer_starts_fraction(const struct lexer *l)
{
    return lexer_peek(l, 0) == '.' &&
           (lexer_is_digit(lexer_peek(l, 1)) || lexer_starts(l, 1, "\\overline{") ||
               lexer_starts(l, 1, "\\bar{") || lexer_starts(l, 1, "\\dot{") ||
               (lexer_starts(l, 1, "(") && lexer_is_digit(lexer_peek(l, 2)) &&
                   lexer_peek(l, 2 + digits_at(l, 2)) == ')'));
}

bool lexer_number(struct lexer *l)
{
    size_t all = 0, n = 0, groups = 0;
    int base = 0;
    size_t based = based_digits(l, &all, &base);
    if (based > 0) {
        const char *digits = lexer_copy(l, l->at, based);
        l->at += all;
        return lexer_push(l, (struct math_token){.kind = TOK_BASED, .op = base, .text = digits});
    }
    char *digits = arena_alloc(l->w->arena, lexer_left(l) + 1);
    struct math_token t = {.kind = TOK_NUM, .text = digits};
    if (digits == NULL || !math_step(l->w, 1 + lexer_left(l) / 16))
        return lexer_fail(l, "out of memory");
    for (;;) {
        size_t skip = n > 0 && (groups > 0 || n <= 3) ? separator(l, 0) : 0;
        groups += skip > 0;
        l->at += skip;
        if (!lexer_is_digit(lexer_peek(l, 0)))
            break;
        digits[n++] = *l->at++;
    }
    if (lexer_starts_fraction(l)) {
        t.op = 1;
        for (l->at++; lexer_is_digit(lexer_peek(l, 0)); t.places++)
            digits[n++] = *l->at++;
        t.repeat = take_repeat(l, digits + n - t.places, (size_t)t.places);
    }
    if (t.repeat == NULL)
        t.places -= take_exponent(l);
    if (t.op == 0 && t.places == 0)
        skip_ordinal(l);
    return lexer_push(l, t);
}
