/* lexer.h: the cursor that the tokenizer's own files share (lex.c, lex_number.c). */
#ifndef COHORT_SCORING_MATH_LEXER_H
#define COHORT_SCORING_MATH_LEXER_H

#include <string.h>

#include "reward-server/scoring/math/lex.h"

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

static inline bool lexer_is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static inline bool lexer_is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline size_t lexer_left(const struct lexer *l)
{
    return (size_t)(l->end - l->at);
}

/* 0 behind the end. */
static inline int lexer_peek(const struct lexer *l, size_t i)
{
    return lexer_left(l) > i ? (unsigned char)l->at[i] : 0;
}

static inline bool lexer_starts(const struct lexer *l, size_t skip, const char *text)
{
    size_t n = strlen(text);
    return lexer_left(l) >= skip + n && memcmp(l->at + skip, text, n) == 0;
}

bool lexer_fail(struct lexer *l, const char *why); /* false; the first reason stays */
bool lexer_push(struct lexer *l, struct math_token t);
const char *lexer_copy(struct lexer *l, const char *text, size_t n);

/* A number at the cursor, with separators of thousands, a point, what repeats, a base. */
bool lexer_number(struct lexer *l);

/* At a point with digits behind it, or with what repeats. */
bool lexer_starts_fraction(const struct lexer *l);

#endif
