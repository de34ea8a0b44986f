/* lex.c: the tokenizer: a cursor over the text; words and commands are looked up in tables
 * (lex_table.c). */
#include "reward-server/scoring/math/lex.h"

#include <ctype.h>

#include "reward-server/scoring/math/fold.h"
#include "reward-server/scoring/math/lex_table.h"

struct lexer {
    struct math_work *w;
    const char *at, *end;
    struct math_tokens *out;
    size_t cap;
    unsigned depth; /* open brackets: a comma within them separates */
    unsigned environments;
    unsigned nested; /* \text within \text */
    bool space;
    const char *why;
};

static bool lex_range(struct lexer *l, const char *text, size_t n);

static bool fail(struct lexer *l, const char *why)
{
    if (l->why == NULL)
        l->why = why;
    return false;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t left(const struct lexer *l)
{
    return (size_t)(l->end - l->at);
}

static bool starts(const struct lexer *l, size_t skip, const char *text)
{
    size_t n = strlen(text);
    return left(l) >= skip + n && memcmp(l->at + skip, text, n) == 0;
}

static int peek(const struct lexer *l, size_t i)
{
    return left(l) > i ? (unsigned char)l->at[i] : 0;
}

static bool push(struct lexer *l, struct math_token t)
{
    if (!math_step(l->w, 1) || l->out->n + 1 >= l->cap)
        return fail(l, "too many tokens");
    t.space = l->space;
    l->space = false;
    l->out->at[l->out->n++] = t;
    return true;
}

static const char *copy(struct lexer *l, const char *text, size_t n)
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
        if (starts(l, skip, forms[i]) && is_digit(peek(l, n)) && is_digit(peek(l, n + 1)) &&
            is_digit(peek(l, n + 2)) && !is_digit(peek(l, n + 3)))
            return n - skip;
    }
    return 0;
}

/* Digits whose base is written below them, as 1A_{16}: their length, 0 when there are none. */
static size_t based_digits(const struct lexer *l, size_t *ret_all, int *ret_base)
{
    size_t n = 0, i, from;
    while (is_digit(peek(l, n)) || (peek(l, n) >= 'A' && peek(l, n) <= 'Z') ||
           (peek(l, n) == '.' && is_digit(peek(l, n + 1))))
        n++;
    if (peek(l, n) != '_')
        return 0;
    i = n + 1;
    bool brace = peek(l, i) == '{';
    from = i += brace;
    int base = 0;
    while (is_digit(peek(l, i)) && base < 100 && (brace || i == from))
        base = base * 10 + (peek(l, i++) - '0');
    if (base < 2 || base > 36 || (brace && peek(l, i) != '}'))
        return 0;
    *ret_all = i + brace;
    *ret_base = base;
    return n;
}

static size_t digits_at(const struct lexer *l, size_t i)
{
    size_t n = 0;
    while (is_digit(peek(l, i + n)))
        n++;
    return n;
}

/* Digits between open and close: what repeats. */
static const char *take_enclosed(struct lexer *l, const char *open, const char *close)
{
    size_t from = strlen(open), n = starts(l, 0, open) ? digits_at(l, from) : 0;
    if (n == 0 || !starts(l, from + n, close))
        return NULL;
    const char *digits = copy(l, l->at + from, n);
    l->at += from + n + strlen(close);
    return digits;
}

/* \dot{1}42\dot{8}: dots over the first and the last digit of what repeats. */
static const char *take_dotted(struct lexer *l)
{
    enum { DOT = 5 }; /* bytes of "\dot{" */
    if (!starts(l, 0, "\\dot{") || !is_digit(peek(l, DOT)) || peek(l, DOT + 1) != '}')
        return NULL;
    size_t from = DOT + 2, n = digits_at(l, from), last = from + n + DOT;
    bool long_form =
        starts(l, from + n, "\\dot{") && is_digit(peek(l, last)) && peek(l, last + 1) == '}';
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
        skip = starts(l, 0, forms[i]) ? strlen(forms[i]) : 0;
    if (skip == 0)
        return NULL;
    l->at += skip;
    for (size_t p = 1; 2 * p <= n; p++) {
        size_t need = p == 1 ? 3 : 2 * p, same = p;
        while (same < n && digits[n - 1 - same] == digits[n - 1 - same + p])
            same++;
        if (same >= need)
            return copy(l, digits + n - p, p);
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
        size_t n = starts(l, 0, before[i]) ? strlen(before[i]) : left(l);
        for (size_t k = 0; n < left(l) && k < ARRAY_LEN(ends); k++) {
            if (starts(l, n, ends[k]) && starts(l, n + 2, after[i]) &&
                !is_letter(peek(l, n + 2 + strlen(after[i])))) {
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
    if (peek(l, 0) != 'e' && peek(l, 0) != 'E')
        return 0;
    bool negative = peek(l, i) == '-';
    i += negative || peek(l, i) == '+';
    if (!is_digit(peek(l, i)))
        return 0;
    for (; is_digit(peek(l, i)); i++)
        value = value < 100000000 ? value * 10 + (peek(l, i) - '0') : value;
    l->at += i;
    return negative ? -value : value;
}

/* At a point with digits behind it, or with what repeats. */
static bool starts_fraction(const struct lexer *l)
{
    return peek(l, 0) == '.' &&
           (is_digit(peek(l, 1)) || starts(l, 1, "\\overline{") || starts(l, 1, "\\bar{") ||
               starts(l, 1, "\\dot{") ||
               (starts(l, 1, "(") && is_digit(peek(l, 2)) && peek(l, 2 + digits_at(l, 2)) == ')'));
}

static bool lex_number(struct lexer *l)
{
    size_t all = 0, n = 0, groups = 0;
    int base = 0;
    size_t based = based_digits(l, &all, &base);
    if (based > 0) {
        const char *digits = copy(l, l->at, based);
        l->at += all;
        return push(l, (struct math_token){.kind = TOK_BASED, .op = base, .text = digits});
    }
    char *digits = arena_alloc(l->w->arena, left(l) + 1);
    struct math_token t = {.kind = TOK_NUM, .text = digits};
    if (digits == NULL || !math_step(l->w, 1 + left(l) / 16))
        return fail(l, "out of memory");
    for (;;) {
        size_t skip = n > 0 && (groups > 0 || n <= 3) ? separator(l, 0) : 0;
        groups += skip > 0;
        l->at += skip;
        if (!is_digit(peek(l, 0)))
            break;
        digits[n++] = *l->at++;
    }
    if (starts_fraction(l)) {
        t.op = 1;
        for (l->at++; is_digit(peek(l, 0)); t.places++)
            digits[n++] = *l->at++;
        t.repeat = take_repeat(l, digits + n - t.places, (size_t)t.places);
    }
    if (t.repeat == NULL)
        t.places -= take_exponent(l);
    if (t.op == 0 && t.places == 0)
        skip_ordinal(l);
    return push(l, t);
}

/* ---- words ---- */

static bool push_entry(struct lexer *l, const struct lex_entry *e)
{
    if (e->action == LEX_PROSE && l->environments > 0) /* "if x > 0" in a case */
        return push(l, (struct math_token){.kind = TOK_WORD, .text = e->name});
    if (e->action == LEX_PROSE)
        return fail(l, "a sentence");
    return push(l, (struct math_token){.kind = e->kind, .op = e->op, .text = e->text});
}

static bool push_letters(struct lexer *l, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!push(l, (struct math_token){.kind = TOK_SYM, .text = copy(l, s + i, 1)}))
            return false;
    }
    return true;
}

/* "36 in^2", "5 in.": inches, not an element of what follows. */
static bool is_inch(const struct lexer *l, const char *word, size_t n)
{
    size_t i = 0;
    while (peek(l, i) == ' ' || peek(l, i) == '}')
        i++;
    return n == 2 && memcmp(word, "in", 2) == 0 &&
           (peek(l, i) == 0 || strchr("^.$,", peek(l, i)) != NULL);
}

/* "1 to 4": a ratio. */
static bool is_to(const struct lexer *l, const char *word, size_t n)
{
    const struct math_tokens *t = l->out;
    return n == 2 && memcmp(word, "to", 2) == 0 && t->n > 0 && t->at[t->n - 1].kind == TOK_NUM &&
           peek(l, 0) == ' ' && is_digit(peek(l, 1));
}

/* A run of letters: a known word, a unit, a product of letters, or some word. "sinx" is sin x. */
static bool lex_letters(struct lexer *l, bool whole_text)
{
    const char *s = l->at;
    size_t n = 0;
    while (is_letter(peek(l, n)))
        n++;
    l->at += n;
    if (n > 2 && memcmp(s, "or", 2) == 0 && s[2] < 'a') { /* "f(1)=2orf..." runs together */
        l->at -= n - 2;
        n = 2;
    }
    if (is_inch(l, s, n))
        return push(l, (struct math_token){.kind = TOK_WORD, .text = "inch"});
    if (is_to(l, s, n))
        return push(l, (struct math_token){.kind = TOK_COLON, .text = ""});
    const struct lex_entry *e = lex_word(s, n);
    if (e != NULL)
        return push_entry(l, e);
    e = n > 2 ? lex_word(s, n - 1) : NULL;
    if (e != NULL && e->kind == TOK_FUNC)
        return push_entry(l, e) && push_letters(l, s + n - 1, 1);
    if (n == 1 || (n <= 3 && !lex_unit_word(s, n) && !whole_text))
        return push_letters(l, s, n);
    return push(l, (struct math_token){.kind = TOK_WORD, .text = copy(l, s, n)});
}

/* ---- \text ---- */

/* The braces after the cursor: their content, false when they do not close. */
static bool take_braces(struct lexer *l, const char **ret, size_t *ret_n)
{
    while (isspace(peek(l, 0)))
        l->at++;
    if (peek(l, 0) != '{')
        return false;
    unsigned depth = 0;
    for (const char *c = l->at; c < l->end; c++) {
        depth += *c == '{';
        if (*c == '}' && --depth == 0) {
            *ret = l->at + 1;
            *ret_n = (size_t)(c - *ret);
            l->at = c + 1;
            return true;
        }
    }
    return false;
}

static bool is_words(const char *s, size_t n)
{
    bool letter = false;
    for (size_t i = 0; i < n; i++) {
        if (!is_letter(s[i]) && strchr(" .-/'\n", s[i]) == NULL && (s[i] & 0x80) == 0 &&
            (i < 2 || s[i - 1] != '^') && s[i] != '^')
            return false;
        letter = letter || is_letter(s[i]);
    }
    return letter;
}

/* \text holds words, or mathematics in upright letters, which is read as such. */
static bool lex_text(struct lexer *l)
{
    const char *s;
    size_t n;
    if (!take_braces(l, &s, &n))
        return fail(l, "\\text without braces");
    bool room = n > 0 && (isspace((unsigned char)*s) || *s == '~');
    while (n > 0 && (isspace((unsigned char)*s) || *s == '~')) {
        s++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    l->space = true;
    if (is_inch(l, s, n))
        return push(l, (struct math_token){.kind = TOK_TEXT, .text = "inch"});
    const struct lex_entry *e = lex_word(s, n);
    if (e != NULL)
        return push_entry(l, e);
    if (n == 1 && (*s == 'e' || *s == 'i'))
        return push_letters(l, s, n);
    bool unit = room && l->out->n > 0 && l->out->at[l->out->n - 1].kind == TOK_NUM; /* 5 N */
    if (is_words(s, n) && (n > 1 || unit || islower((unsigned char)*s)))
        return push(l, (struct math_token){.kind = TOK_TEXT, .text = copy(l, s, n)});
    if (l->nested > 3)
        return fail(l, "\\text nested too deeply");
    l->nested++;
    bool ok = lex_range(l, s, n);
    l->nested--;
    return ok;
}

/* ---- commands ---- */

static bool lex_environment(struct lexer *l, enum math_tok kind)
{
    const char *s;
    size_t n;
    if (!take_braces(l, &s, &n))
        return fail(l, "\\begin without a name");
    l->environments += kind == TOK_BEGIN;
    const char *name = copy(l, s, n), *columns;
    size_t columns_n;
    if (kind == TOK_BEGIN && strcmp(name, "array") == 0 && !take_braces(l, &columns, &columns_n))
        return fail(l, "array without columns");
    return push(l, (struct math_token){.kind = kind, .text = name});
}

/* \left and \right vanish; a bar after them tells which one it is. */
static bool lex_side(struct lexer *l, bool opens)
{
    while (peek(l, 0) == ' ')
        l->at++;
    if (peek(l, 0) == '.') {
        l->at++;
    } else if (peek(l, 0) == '|') {
        l->at++;
        return push(l, (struct math_token){.kind = opens ? TOK_BAR_OPEN : TOK_BAR_CLOSE});
    }
    return true;
}

/* \mathbb{R} is the line; the other sets of numbers are names. */
static bool lex_blackboard(struct lexer *l)
{
    while (peek(l, 0) == ' ')
        l->at++;
    size_t brace = peek(l, 0) == '{';
    int letter = peek(l, brace);
    if (!is_letter(letter) || (brace && peek(l, 2) != '}'))
        return fail(l, "\\mathbb without a letter");
    const char name[] = {'b', 'b', (char)letter, '\0'};
    l->at += 1 + 2 * brace;
    return push(l, letter == 'R' ? (struct math_token){.kind = TOK_REALS, .text = ""}
                                 : (struct math_token){.kind = TOK_SYM, .text = copy(l, name, 3)});
}

/* \mathcal{O}(n): a letter in another face is a letter, not a group. */
static bool lex_alphabet(struct lexer *l)
{
    if (peek(l, 0) != '{' || !is_letter(peek(l, 1)) || peek(l, 2) != '}')
        return true;
    l->at += 3;
    return push_letters(l, l->at - 2, 1);
}

static bool lex_named_command(struct lexer *l, const char *s, size_t n)
{
    const char *skipped;
    size_t skipped_n;
    const struct lex_entry *e = lex_command(s, n);
    if (e == NULL && n > 4 && strncmp(s, "quad", 4) == 0) { /* \\quadx */
        l->at = s + 4;
        l->space = true;
        return true;
    }
    if (e == NULL && (peek(l, 0) == '{' || !is_letter((unsigned char)s[0])))
        return fail(l, "a command that is not known");
    if (e == NULL) /* equal to itself only */
        return push(l, (struct math_token){.kind = TOK_SYM, .text = copy(l, s - 1, n + 1)});
    switch (e->action) {
    case LEX_TOKEN:
        if (e->kind == TOK_LSET)
            l->depth++;
        return push_entry(l, e);
    case LEX_SPACE:
        l->space = true;
        return true;
    case LEX_NOTHING:
        return lex_alphabet(l);
    case LEX_TEXT:
        return lex_text(l);
    case LEX_LEFT:
    case LEX_RIGHT:
        return lex_side(l, e->action == LEX_LEFT);
    case LEX_BEGIN:
        return lex_environment(l, TOK_BEGIN);
    case LEX_END:
        return lex_environment(l, TOK_END_ENV);
    case LEX_REALS:
        return lex_blackboard(l);
    case LEX_PROSE:
        return push_entry(l, e);
    case LEX_SKIP:
        return take_braces(l, &skipped, &skipped_n) || fail(l, "a command without braces");
    case LEX_LETTER:
        return push(l, (struct math_token){.kind = TOK_SYM, .text = copy(l, s, n)});
    }
    return false;
}

static bool lex_backslash(struct lexer *l)
{
    const char *s = ++l->at;
    size_t n = 0;
    if (l->environments == 0 && peek(l, 0) == '\\' && is_letter(peek(l, 1)))
        return true; /* \\\\frac, escaped once too often: the second backslash begins it */
    while (is_letter(peek(l, n)))
        n++;
    n += n == 0 && s < l->end;
    l->at += n;
    if (n == 0)
        return true;
    if (*s == '}' && l->depth > 0)
        l->depth--;
    return lex_named_command(l, s, n);
}

/* ---- the rest ---- */

static bool lex_mark(struct lexer *l)
{
    size_t n = 0;
    const struct lex_entry *e = lex_symbol(l->at, left(l), &n);
    if (e == NULL)
        return fail(l, "a character that is not known");
    l->at += n;
    if (e->action == LEX_SPACE)
        l->space = true;
    if (e->action != LEX_TOKEN)
        return true;
    if (e->kind == TOK_LPAR || e->kind == TOK_LBRACK || e->kind == TOK_LBRACE)
        l->depth++;
    if ((e->kind == TOK_RPAR || e->kind == TOK_RBRACK || e->kind == TOK_RBRACE) && l->depth > 0)
        l->depth--;
    return push_entry(l, e);
}

static bool lex_one(struct lexer *l)
{
    int c = peek(l, 0);
    if (isspace(c)) {
        l->at++;
        l->space = true;
        return true;
    }
    if (is_digit(c) || starts_fraction(l))
        return lex_number(l);
    if (c == '.' && !starts(l, 0, "...")) { /* the end of a sentence */
        l->at++;
        while (
            isspace(peek(l, 0)) || peek(l, 0) == '$' || starts(l, 0, "\\)") || starts(l, 0, "\\]"))
            l->at += peek(l, 0) == '\\' ? 2 : 1;
        return left(l) == 0 || fail(l, "a full stop within");
    }
    if (is_letter(c))
        return lex_letters(l, l->nested > 0);
    return c == '\\' ? lex_backslash(l) : lex_mark(l);
}

static bool lex_range(struct lexer *l, const char *text, size_t n)
{
    const char *at = l->at, *end = l->end;
    l->at = text;
    l->end = text + n;
    bool ok = true;
    while (ok && l->at < l->end)
        ok = math_step(l->w, 1) && lex_one(l);
    l->at = at;
    l->end = end;
    return ok;
}

bool math_lex(
    struct math_work *w, const char *text, size_t n, struct math_tokens *ret, const char **ret_why)
{
    struct math_tokens out = {0};
    struct lexer l = {.w = w, .out = &out, .cap = n + 2};
    out.at = arena_alloc(w->arena, l.cap * sizeof(*out.at));
    if (out.at == NULL || n > MATH_TEXT_MAX * MATH_FOLD_GROWTH || !lex_range(&l, text, n)) {
        *ret_why = l.why != NULL ? l.why : "too long";
        return false;
    }
    out.at[out.n] = (struct math_token){.kind = TOK_END, .text = ""};
    *ret = out;
    return true;
}
