/* lex.c: the tokenizer: a cursor over the text; words and commands are looked up in tables
 * (lex_table.c). */
#include "reward-server/scoring/math/lexer.h"

#include <ctype.h>

#include "reward-server/scoring/math/fold.h"
#include "reward-server/scoring/math/lex_table.h"

static bool lex_range(struct lexer *l, const char *text, size_t n);

/* ---- words ---- */

static bool push_entry(struct lexer *l, const struct lex_entry *e)
{
    if (e->action == LEX_PROSE && l->environments > 0) /* "if x > 0" in a case */
        return lexer_push(l, (struct math_token){.kind = TOK_WORD, .text = e->name});
    if (e->action == LEX_PROSE)
        return lexer_fail(l, "a sentence");
    return lexer_push(l, (struct math_token){.kind = e->kind, .op = e->op, .text = e->text});
}

static bool push_letters(struct lexer *l, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!lexer_push(l, (struct math_token){.kind = TOK_SYM, .text = lexer_copy(l, s + i, 1)}))
            return false;
    }
    return true;
}

/* "36 in^2", "5 in.": inches, not an element of what follows. */
static bool is_inch(const struct lexer *l, const char *word, size_t n)
{
    size_t i = 0;
    while (lexer_peek(l, i) == ' ' || lexer_peek(l, i) == '}')
        i++;
    i += lexer_peek(l, i) == '$' && lexer_left(l) == i + 1;
    return n == 2 && memcmp(word, "in", 2) == 0 &&
           (lexer_peek(l, i) == 0 || strchr("^.,", lexer_peek(l, i)) != NULL);
}

/* "1 to 4": a ratio. */
static bool is_to(const struct lexer *l, const char *word, size_t n)
{
    const struct math_tokens *t = l->out;
    return n == 2 && memcmp(word, "to", 2) == 0 && t->n > 0 && t->at[t->n - 1].kind == TOK_NUM &&
           lexer_peek(l, 0) == ' ' && lexer_is_digit(lexer_peek(l, 1));
}

/* A run of letters: a known word, a unit, a product of letters, or some word. "sinx" is sin x. */
static bool lex_letters(struct lexer *l, bool whole_text)
{
    const char *s = l->at;
    size_t n = 0;
    while (lexer_is_letter(lexer_peek(l, n)))
        n++;
    l->at += n;
    if (n > 2 && memcmp(s, "or", 2) == 0 && s[2] < 'a') { /* "f(1)=2orf..." runs together */
        l->at -= n - 2;
        n = 2;
    }
    if (is_inch(l, s, n))
        return lexer_push(l, (struct math_token){.kind = TOK_WORD, .text = "inch"});
    if (is_to(l, s, n))
        return lexer_push(l, (struct math_token){.kind = TOK_COLON, .text = ""});
    const struct lex_entry *e = lex_word(s, n);
    if (e != NULL)
        return push_entry(l, e);
    e = n > 2 ? lex_word(s, n - 1) : NULL;
    if (e != NULL && e->kind == TOK_FUNC)
        return push_entry(l, e) && push_letters(l, s + n - 1, 1);
    if (n == 1 || (n <= 3 && !lex_unit_word(s, n) && !whole_text))
        return push_letters(l, s, n);
    return lexer_push(l, (struct math_token){.kind = TOK_WORD, .text = lexer_copy(l, s, n)});
}

/* ---- \text ---- */

/* The braces after the cursor: their content, false when they do not close. */
static bool take_braces(struct lexer *l, const char **ret, size_t *ret_n)
{
    while (isspace(lexer_peek(l, 0)))
        l->at++;
    if (lexer_peek(l, 0) != '{')
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
        if (!lexer_is_letter(s[i]) && strchr(" .-/'\n", s[i]) == NULL && (s[i] & 0x80) == 0 &&
            (i < 2 || s[i - 1] != '^') && s[i] != '^')
            return false;
        letter = letter || lexer_is_letter(s[i]);
    }
    return letter;
}

/* \text holds words, or mathematics in upright letters, which is read as such. */
static bool lex_text(struct lexer *l)
{
    const char *s;
    size_t n;
    if (!take_braces(l, &s, &n))
        return lexer_fail(l, "\\text without braces");
    bool room = n > 0 && (isspace((unsigned char)*s) || *s == '~');
    while (n > 0 && (isspace((unsigned char)*s) || *s == '~')) {
        s++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    l->space = true;
    if (is_inch(l, s, n))
        return lexer_push(l, (struct math_token){.kind = TOK_TEXT, .text = "inch"});
    const struct lex_entry *e = lex_word(s, n);
    if (e != NULL)
        return push_entry(l, e);
    if (n == 1 && (*s == 'e' || *s == 'i'))
        return push_letters(l, s, n);
    enum math_tok last = l->out->n > 0 ? l->out->at[l->out->n - 1].kind : TOK_END;
    if (last == TOK_RBRACE && l->out->n > 1 && l->out->at[l->out->n - 2].kind == TOK_DEGREE)
        last = TOK_DEGREE;
    bool unit = (room && last == TOK_NUM) || last == TOK_DEGREE; /* 5 N, 20 degrees C */
    if (is_words(s, n) && (n > 1 || unit || islower((unsigned char)*s)))
        return lexer_push(l, (struct math_token){.kind = TOK_TEXT, .text = lexer_copy(l, s, n)});
    if (l->nested > 3)
        return lexer_fail(l, "\\text nested too deeply");
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
        return lexer_fail(l, "\\begin without a name");
    l->environments += kind == TOK_BEGIN;
    const char *name = lexer_copy(l, s, n), *columns;
    size_t columns_n;
    if (kind == TOK_BEGIN && strcmp(name, "array") == 0 && !take_braces(l, &columns, &columns_n))
        return lexer_fail(l, "array without columns");
    return lexer_push(l, (struct math_token){.kind = kind, .text = name});
}

/* \left and \right vanish; a bar after them tells which one it is. */
static bool lex_side(struct lexer *l, bool opens)
{
    while (lexer_peek(l, 0) == ' ')
        l->at++;
    if (lexer_peek(l, 0) == '.') {
        l->at++;
    } else if (lexer_peek(l, 0) == '|') {
        l->at++;
        return lexer_push(l, (struct math_token){.kind = opens ? TOK_BAR_OPEN : TOK_BAR_CLOSE});
    }
    return true;
}

/* \mathbb{R} is the line; the other sets of numbers are names. */
static bool lex_blackboard(struct lexer *l)
{
    while (lexer_peek(l, 0) == ' ')
        l->at++;
    size_t brace = lexer_peek(l, 0) == '{';
    int letter = lexer_peek(l, brace);
    if (!lexer_is_letter(letter) || (brace && lexer_peek(l, 2) != '}'))
        return lexer_fail(l, "\\mathbb without a letter");
    const char name[] = {'b', 'b', (char)letter, '\0'};
    l->at += 1 + 2 * brace;
    return lexer_push(
        l, letter == 'R' ? (struct math_token){.kind = TOK_REALS, .text = ""}
                         : (struct math_token){.kind = TOK_SYM, .text = lexer_copy(l, name, 3)});
}

/* \mathcal{O}(n): a letter in another face is a letter, not a group. */
static bool lex_alphabet(struct lexer *l)
{
    if (lexer_peek(l, 0) != '{' || !lexer_is_letter(lexer_peek(l, 1)) || lexer_peek(l, 2) != '}')
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
    if (e == NULL && (lexer_peek(l, 0) == '{' || !lexer_is_letter((unsigned char)s[0])))
        return lexer_fail(l, "a command that is not known");
    if (e == NULL) /* equal to itself only */
        return lexer_push(
            l, (struct math_token){.kind = TOK_SYM, .text = lexer_copy(l, s - 1, n + 1)});
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
        return take_braces(l, &skipped, &skipped_n) || lexer_fail(l, "a command without braces");
    case LEX_LETTER:
        return lexer_push(l, (struct math_token){.kind = TOK_SYM, .text = lexer_copy(l, s, n)});
    }
    return false;
}

static bool lex_backslash(struct lexer *l)
{
    const char *s = ++l->at;
    size_t n = 0;
    if (l->environments == 0 && lexer_peek(l, 0) == '\\' && lexer_is_letter(lexer_peek(l, 1)))
        return true; /* \\\\frac, escaped once too often: the second backslash begins it */
    while (lexer_is_letter(lexer_peek(l, n)))
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
    const struct lex_entry *e = lex_symbol(l->at, lexer_left(l), &n);
    if (e == NULL)
        return lexer_fail(l, "a character that is not known");
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
    int c = lexer_peek(l, 0);
    if (isspace(c)) {
        l->at++;
        l->space = true;
        return true;
    }
    if (lexer_is_digit(c) || lexer_starts_fraction(l))
        return lexer_number(l);
    if (c == '.' && !lexer_starts(l, 0, "...")) { /* the end of a sentence */
        l->at++;
        while (isspace(lexer_peek(l, 0)) || lexer_peek(l, 0) == '$' || lexer_starts(l, 0, "\\)") ||
               lexer_starts(l, 0, "\\]"))
            l->at += lexer_peek(l, 0) == '\\' ? 2 : 1;
        return lexer_left(l) == 0 || lexer_fail(l, "a full stop within");
    }
    if (lexer_is_letter(c))
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
