/* script.h: the writing system of a character, as far as the scorers tell them apart. Pure. */
#ifndef COHORT_SCORING_SCRIPT_H
#define COHORT_SCORING_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

enum script {
    SCRIPT_NONE, /* no letter: digits, signs, blanks */
    SCRIPT_MARK, /* goes with the letter before it: combining marks, joiners */
    SCRIPT_LATIN,
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_HEBREW,
    SCRIPT_ARABIC,
    SCRIPT_DEVANAGARI,
    SCRIPT_THAI,
    SCRIPT_KANA,
    SCRIPT_HAN,
    SCRIPT_HANGUL,
    SCRIPT_OTHER, /* letters of any other system, and look-alikes such as mathematical letters */
    SCRIPT_COUNT
};

enum script script_of(uint32_t cp);
const char *script_name(enum script s);
/* Each character of it is a word: Han and kana, which are written without blanks. */
bool script_is_unspaced(enum script s);

/* Lower case of the letters of Latin (to U+017F), Greek and Cyrillic; others stay. */
uint32_t letter_lower(uint32_t cp);

#endif
