/* lex.h: LaTeX and plain text into one row of tokens. Marks that carry no meaning ($, \left, \!,
 * \displaystyle, bold) vanish; the Unicode forms of operators are those of LaTeX.
 */
#ifndef COHORT_SCORING_MATH_LEX_H
#define COHORT_SCORING_MATH_LEX_H

#include "reward-server/scoring/math/tree.h"

enum math_tok {
    TOK_END,
    TOK_NUM,   /* text: digits; places, repeat; op 1: with a point */
    TOK_BASED, /* text: digits; op: base */
    TOK_SYM,   /* text: name */
    TOK_WORD,  /* a word of plain text */
    TOK_TEXT,  /* the content of \text and the like: words */
    TOK_FUNC,  /* op: enum math_func */
    TOK_PLUS,
    TOK_MINUS,
    TOK_TIMES,
    TOK_DIVIDE,
    TOK_CARET,
    TOK_UNDER,
    TOK_BANG,
    TOK_LPAR,
    TOK_RPAR,
    TOK_LBRACK,
    TOK_RBRACK,
    TOK_LBRACE, /* a group */
    TOK_RBRACE,
    TOK_LSET, /* \{ */
    TOK_RSET,
    TOK_BAR,
    TOK_BAR_OPEN,
    TOK_BAR_CLOSE,
    TOK_LFLOOR,
    TOK_RFLOOR,
    TOK_LCEIL,
    TOK_RCEIL,
    TOK_LANGLE,
    TOK_RANGLE,
    TOK_COMMA,
    TOK_COLON,
    TOK_AND,
    TOK_PM,  /* op 1 or -1 */
    TOK_REL, /* op: '=' '<' '>' 'l' 'g' 'n' '~' */
    TOK_IN,
    TOK_CUP,
    TOK_MINUS_SET,
    TOK_FRAC,
    TOK_SQRT,
    TOK_BINOM,
    TOK_DEGREE,
    TOK_PERCENT,
    TOK_MONEY, /* text: unit */
    TOK_BEGIN, /* text: environment */
    TOK_END_ENV,
    TOK_AMP,
    TOK_ROW,
    TOK_INF,
    TOK_PI,
    TOK_EMPTY,
    TOK_REALS,
    TOK_SUPER, /* a raised digit: op */
    TOK_BIG,   /* op: 'S'um, 'P'roduct, 'I'ntegral, 'L'imit ... */
    TOK_TO,
    TOK_MOD, /* op 1: of a congruence */
    TOK_PRIME,
    TOK_DOTS,
    TOK_MARK, /* text: what stands over the argument */
    TOK_OVER, /* infix fraction, op 1: binomial */
    TOK_DET,
    TOK_CAP,
};

struct math_token {
    enum math_tok kind;
    int op;
    bool space;         /* white space before it */
    const char *text;   /* NUL-terminated, in the arena, or a constant */
    const char *repeat; /* TOK_NUM: digits that repeat for ever, or NULL */
    long places;
};

struct math_tokens {
    struct math_token *at; /* ends with TOK_END */
    size_t n;
};

/* False with w->why or *ret_why (a constant) when the text has a form that is not known. */
bool math_lex(
    struct math_work *w, const char *text, size_t n, struct math_tokens *ret, const char **ret_why);

#endif
