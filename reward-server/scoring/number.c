/* number.c: numbers in text: a small grammar over a cursor, values as GMP rationals. */
#include "reward-server/scoring/number.h"

#include <string.h>

struct cursor {
    const char *at, *end;
    const char *why; /* set at the first failure */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool cursor_fail(struct cursor *c, const char *why)
{
    if (c->why == NULL)
        c->why = why;
    return false;
}

/* Length of text at the cursor when it starts with it, else 0. */
static size_t cursor_at(const struct cursor *c, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(c->end - c->at) >= n && memcmp(c->at, text, n) == 0 ? n : 0;
}

static bool cursor_take(struct cursor *c, const char *text)
{
    size_t n = cursor_at(c, text);
    c->at += n;
    return n > 0;
}

static void cursor_blanks(struct cursor *c)
{
    while (c->at < c->end && is_blank(*c->at))
        c->at++;
}

static bool cursor_digit(const struct cursor *c)
{
    return c->at < c->end && is_digit(*c->at);
}

static const char minus_sign[] = "\xe2\x88\x92"; /* U+2212 */

/* -1 or 1; a sign is optional. */
static int cursor_sign(struct cursor *c)
{
    if (cursor_take(c, "-") || cursor_take(c, minus_sign))
        return -1;
    (void)cursor_take(c, "+");
    return 1;
}

static void cursor_currency(struct cursor *c)
{
    static const char *const signs[] = {
        "\\$", "$", "\xe2\x82\xac" /* euro */, "\xc2\xa3" /* pound */};
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (cursor_take(c, signs[i]))
            return;
    }
}

/* ---- decimals ---- */

struct digits {
    char text[NUMBER_DIGITS_MAX + 1];
    size_t count, fraction; /* fraction: how many of them stand after the point */
    unsigned groups;        /* separators seen */
    int exponent;
};

static bool digits_take(struct digits *d, struct cursor *c)
{
    if (d->count == NUMBER_DIGITS_MAX)
        return cursor_fail(c, "more than 1000 digits");
    d->text[d->count++] = *c->at++;
    return true;
}

/* A thousands separator counts only when three digits and no fourth follow. */
static size_t separator(const struct cursor *c)
{
    static const char *const forms[] = {",\\!", "{,}", "\\,", ","};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        size_t n = cursor_at(c, forms[i]);
        const char *p = c->at + n;
        if (n > 0 && c->end - p >= 3 && is_digit(p[0]) && is_digit(p[1]) && is_digit(p[2]) &&
            (c->end - p == 3 || !is_digit(p[3])))
            return n;
    }
    return 0;
}

static bool take_whole(struct cursor *c, struct digits *d)
{
    while (c->at < c->end) {
        size_t n = d->count > 0 && (d->groups > 0 || d->count <= 3) ? separator(c) : 0;
        if (n > 0) {
            d->groups++;
            c->at += n;
        } else if (!is_digit(*c->at)) {
            break;
        }
        if (!digits_take(d, c))
            return false;
    }
    return true;
}

static bool take_fraction(struct cursor *c, struct digits *d)
{
    struct cursor ahead = *c;
    if (!cursor_take(&ahead, ".") || (d->count == 0 && !cursor_digit(&ahead)))
        return true;
    c->at = ahead.at;
    while (cursor_digit(c)) {
        if (!digits_take(d, c))
            return false;
        d->fraction++;
    }
    return true;
}

static bool take_exponent(struct cursor *c, struct digits *d)
{
    struct cursor ahead = *c;
    if (d->count == 0 || (!cursor_take(&ahead, "e") && !cursor_take(&ahead, "E")))
        return true;
    int sign = cursor_sign(&ahead), value = 0;
    if (!cursor_digit(&ahead))
        return true;
    while (cursor_digit(&ahead)) {
        value = value * 10 + (*ahead.at++ - '0');
        if (value > NUMBER_EXPONENT_MAX)
            return cursor_fail(c, "an exponent over 999");
    }
    d->exponent = sign * value;
    c->at = ahead.at;
    return true;
}

static bool take_digits(struct cursor *c, struct digits *d)
{
    *d = (struct digits){0};
    if (!take_whole(c, d) || !take_fraction(c, d) || !take_exponent(c, d))
        return false;
    return d->count > 0 || cursor_fail(c, "not a number");
}

/* digits times ten to the exponent, exactly. */
static void digits_value(struct digits *d, mpq_t ret)
{
    mpz_t power;
    long exponent = (long)d->exponent - (long)d->fraction;
    mpz_init(power);
    d->text[d->count] = '\0';
    mpz_ui_pow_ui(power, 10, (unsigned long)(exponent < 0 ? -exponent : exponent));
    (void)mpz_set_str(mpq_numref(ret), d->text, 10); /* digits only */
    mpz_set_ui(mpq_denref(ret), 1);
    if (exponent >= 0)
        mpz_mul(mpq_numref(ret), mpq_numref(ret), power);
    else
        mpz_set(mpq_denref(ret), power);
    mpq_canonicalize(ret);
    mpz_clear(power);
}

/* A decimal; a sign and a currency may stand before it in either order. */
static bool take_decimal(struct cursor *c, mpq_t ret, bool *ret_whole)
{
    struct digits d;
    cursor_blanks(c);
    const char *start = c->at;
    int sign = cursor_sign(c);
    bool has_sign = c->at != start;
    cursor_currency(c);
    if (!has_sign)
        sign = cursor_sign(c);
    if (!take_digits(c, &d))
        return false;
    digits_value(&d, ret);
    if (sign < 0)
        mpq_neg(ret, ret);
    *ret_whole = d.fraction == 0 && d.exponent == 0;
    return true;
}

/* ---- fractions ---- */

static bool divide(struct cursor *c, mpq_t value, const mpq_t by)
{
    if (mpq_sgn(by) == 0)
        return cursor_fail(c, "a division by zero");
    mpq_div(value, value, by);
    return true;
}

/* {number} or one digit, as TeX reads an argument. */
static bool take_argument(struct cursor *c, mpq_t ret)
{
    bool whole;
    cursor_blanks(c);
    if (cursor_digit(c)) {
        mpq_set_si(ret, *c->at++ - '0', 1);
        return true;
    }
    if (!cursor_take(c, "{"))
        return cursor_fail(c, "\\frac without two numbers");
    if (!take_decimal(c, ret, &whole))
        return false;
    cursor_blanks(c);
    return cursor_take(c, "}") || cursor_fail(c, "\\frac with something other than numbers");
}

static bool at_frac(const struct cursor *c)
{
    return cursor_at(c, "\\frac") || cursor_at(c, "\\dfrac") || cursor_at(c, "\\tfrac");
}

static bool take_frac(struct cursor *c, mpq_t ret)
{
    mpq_t by;
    mpq_init(by);
    (void)(cursor_take(c, "\\frac") || cursor_take(c, "\\dfrac") || cursor_take(c, "\\tfrac"));
    bool ok = take_argument(c, ret) && take_argument(c, by) && divide(c, ret, by);
    mpq_clear(by);
    return ok;
}

/* What may follow a decimal: "/ decimal", or \frac after an integer (a mixed number). */
static bool take_rest(struct cursor *c, mpq_t value, bool whole, bool negative)
{
    bool ignored, ok = true;
    mpq_t other;
    mpq_init(other);
    cursor_blanks(c);
    if (cursor_take(c, "/")) {
        ok = take_decimal(c, other, &ignored) && divide(c, value, other);
    } else if (whole && at_frac(c)) {
        ok = take_frac(c, other);
        if (negative)
            mpq_neg(other, other);
        mpq_add(value, value, other);
    }
    mpq_clear(other);
    return ok;
}

static bool take_number(struct cursor *c, mpq_t ret)
{
    bool whole;
    struct cursor ahead = *c;
    int sign = cursor_sign(&ahead);
    cursor_blanks(&ahead);
    if (at_frac(&ahead)) {
        *c = ahead;
        if (!take_frac(c, ret))
            return false;
        if (sign < 0)
            mpq_neg(ret, ret);
        return true;
    }
    return take_decimal(c, ret, &whole) && take_rest(c, ret, whole, sign < 0);
}

/* ---- the whole of a text ---- */

static bool strip_pair(struct span *s, const char *open, const char *close)
{
    size_t a = strlen(open), b = strlen(close);
    if (s->n < a + b || memcmp(s->at, open, a) != 0 || memcmp(s->at + s->n - b, close, b) != 0)
        return false;
    s->at += a;
    s->n -= a + b;
    return true;
}

/* One layer of decoration; each removes bytes, so that the caller's loop ends. */
static bool strip_layer(struct span *s)
{
    *s = span_trim(*s);
    if (s->n > 1 && s->at[s->n - 1] == '.') {
        s->n--;
        return true;
    }
    if (strip_pair(s, "**", "**") || strip_pair(s, "$$", "$$") || strip_pair(s, "$", "$") ||
        strip_pair(s, "\\(", "\\)") || strip_pair(s, "\\[", "\\]"))
        return true;
    return strip_pair(s, "{", "}");
}

bool number_parse(struct span s, mpq_t ret, const char **ret_why)
{
    enum { LAYERS_MAX = 8 };
    for (int i = 0; i < LAYERS_MAX && strip_layer(&s); i++)
        continue;
    s = span_trim(s);
    struct cursor c = {.at = s.at, .end = s.at + s.n};
    bool ok = take_number(&c, ret);
    cursor_blanks(&c);
    if (ok && c.at == c.end)
        return true;
    *ret_why = c.why != NULL ? c.why : "not a number alone";
    return false;
}

/* ---- numbers within a text ---- */

/* Moves the cursor over digits, their point and a "/digits" tail; false when none are there. */
static bool skip_number(struct cursor *c)
{
    struct cursor start = *c;
    size_t groups = 0, digits = 0;
    while (c->at < c->end) {
        size_t n = digits > 0 && (groups > 0 || digits <= 3) ? separator(c) : 0;
        if (n == 0 && !is_digit(*c->at))
            break;
        groups += n > 0;
        digits++;
        c->at += n + 1;
    }
    if (c->end - c->at >= 2 && *c->at == '.' && is_digit(c->at[1])) {
        for (c->at++; cursor_digit(c); c->at++)
            digits++;
    }
    if (digits == 0) {
        *c = start;
        return false;
    }
    if (c->end - c->at >= 2 && *c->at == '/' && is_digit(c->at[1])) {
        for (c->at++; cursor_digit(c);)
            c->at++;
    }
    return true;
}

/* Where a sign before `at` stands, or `at`. A sign after a digit, letter or bracket is an operator.
 */
static const char *sign_before(const char *begin, const char *at)
{
    const char *p = at;
    if (p > begin && p[-1] == '$')
        p -= p - begin >= 2 && p[-2] == '\\' ? 2 : 1;
    size_t n = 0;
    if (p > begin && (p[-1] == '-' || p[-1] == '+'))
        n = 1;
    else if (p - begin >= 3 && memcmp(p - 3, minus_sign, 3) == 0)
        n = 3;
    if (n == 0)
        return at;
    p -= n;
    bool subtracts =
        p > begin && (is_digit(p[-1]) || is_letter(p[-1]) || p[-1] == ')' || p[-1] == '}');
    return subtracts ? at : p;
}

bool number_find_last(struct span text, struct span *ret)
{
    struct cursor c = {.at = text.at, .end = text.at + text.n};
    bool found = false;
    while (c.at < c.end) {
        const char *from = c.at;
        bool touched = from > text.at && (is_letter(from[-1]) || is_digit(from[-1]));
        if (!skip_number(&c)) {
            c.at++;
        } else if (!touched) {
            const char *begin = sign_before(text.at, from);
            *ret = (struct span){begin, (size_t)(c.at - begin)};
            found = true;
        }
    }
    return found;
}

bool number_find_first(struct span s, struct span *ret)
{
    struct cursor c = {.at = s.at, .end = s.at + s.n};
    while (c.at < c.end && (is_blank(*c.at) || strchr(":=*", *c.at) != NULL) && *c.at != '\0')
        c.at++;
    (void)cursor_take(&c, "\\(");
    const char *begin = c.at;
    cursor_currency(&c);
    (void)cursor_sign(&c);
    cursor_currency(&c);
    if (!skip_number(&c))
        return false;
    while (begin < c.end && (*begin == '$' || *begin == '\\'))
        begin++; /* a currency sign, or the beginning of a formula whose end is not taken */
    *ret = (struct span){begin, (size_t)(c.at - begin)};
    return true;
}
