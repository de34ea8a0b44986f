/* lex_table.h: the words, commands and marks that the tokenizer knows. */
#ifndef COHORT_SCORING_MATH_LEX_TABLE_H
#define COHORT_SCORING_MATH_LEX_TABLE_H

#include "reward-server/scoring/math/lex.h"

enum lex_action {
    LEX_TOKEN,
    LEX_SPACE,
    LEX_NOTHING,
    LEX_TEXT,
    LEX_LEFT,
    LEX_RIGHT,
    LEX_BEGIN,
    LEX_END,
    LEX_REALS,  /* \mathbb */
    LEX_PROSE,  /* a word of a sentence: this is no answer alone */
    LEX_SKIP,   /* with the braces after it */
    LEX_LETTER, /* the command is the name of a letter */
};

struct lex_entry {
    const char *name;
    enum lex_action action;
    enum math_tok kind;
    int op;
    const char *text;
};

/* NULL when there is none. */
const struct lex_entry *lex_command(const char *name, size_t n); /* after the backslash */
const struct lex_entry *lex_word(const char *word, size_t n);    /* plain text */
const struct lex_entry *lex_symbol(const char *s, size_t n, size_t *ret_n);
bool lex_unit_word(const char *word, size_t n); /* in unit.c's table, whatever its number */

#endif
