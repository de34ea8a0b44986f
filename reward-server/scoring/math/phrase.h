/* phrase.h: answers, and parts of answers, in words: "no solution", "twelve", "for all real x",
 * "where k is an integer"; and numbers as other countries write them.
 */
#ifndef COHORT_SCORING_MATH_PHRASE_H
#define COHORT_SCORING_MATH_PHRASE_H

#include "reward-server/scoring/math/tree.h"
#include "reward-server/scoring/scorer.h"

/* The value that the whole text names: a number up to a million in words, the empty set, the real
 * line. NULL when it names none. */
const struct math_node *phrase_parse(struct math_work *w, struct span text);

/* A number in the notation of another country: 1.234.567,89  12.345,67  0,5  1'000'000  12,34,567.
 * NULL when the text is no such number, also where it reads as an ordinary one. */
const struct math_node *phrase_locale_number(struct math_work *w, struct span text);

/* What a clause at the end of an answer says of its names. */
struct phrase_clause {
    char names[4][8];
    size_t n;
    int domain; /* 'Z', 'N', 'R', 'C', as MATH_DECL */
};

/* The text without the clause; all of it, and n 0, when it ends with none that is known. */
struct span phrase_take_clause(struct span text, struct phrase_clause *ret);

#endif
