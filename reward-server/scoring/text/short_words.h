/* short_words.h: the short words and the letters by which tongue.c tells languages apart. Data
 * alone, written from general knowledge: articles, pronouns, prepositions, conjunctions, auxiliary
 * verbs, numerals and the common words of step-by-step reasoning. A word may be in several lists.
 */
#ifndef COHORT_SCORING_SHORT_WORDS_H
#define COHORT_SCORING_SHORT_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "reward-server/scoring/text/tongue.h"

struct short_word_list {
    enum tongue tongue;
    const char *words; /* in lower case, between blanks */
};
extern const struct short_word_list short_word_lists[];
extern const size_t short_word_list_count;

struct own_letter {
    uint32_t cp;
    enum tongue tongue;
};
extern const struct own_letter own_letters[];
extern const size_t own_letter_count;

#endif
