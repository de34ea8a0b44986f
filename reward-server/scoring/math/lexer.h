/* lexer.h: the cursor that the tokenizer's own files share (lex.c, lex_number.c). */
#ifndef COHORT_SCORING_MATH_LEXER_H
#define COHORT_SCORING_MATH_LEXER_H

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

bool lexer_fail(struct lexer *l, const char *why); /* false; the first reason stays */
bool lexer_is_digit(int c);
bool lexer_is_letter(int c);
size_t lexer_left(const struct lexer *l);
bool lexer_starts(const struct lexer *l, size_t skip, const char *text);
int lexer_peek(const struct lexer *l, size_t i); /* 0 behind the end */
bool lexer_push(struct lexer *l, struct math_token t);
const char *lexer_copy(struct lexer *l, const char *text, size_t n);

/* A number at the cursor, with separators of thousands, a point, what repeats, a base. */
bool lexer_number(struct lexer *l);

/* At a point with digits behind it, or with what repeats. */
bool lexer_starts_fraction(const struct lexer *l);

#endif
