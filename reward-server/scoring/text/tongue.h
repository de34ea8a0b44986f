/* tongue.h: which language each word of a text is in.
 *
 * Words of a script that one language of the table is written in are settled by it. Between the
 * languages that share the Latin and the Cyrillic script, and Chinese and Japanese, decides
 * evidence: short words that languages are made of, character trigrams (trigrams.inc) and letters
 * that only some have. A word is seldom enough, so that the most probable sequence of languages is
 * looked for, in which a change costs what a rare short word weighs (Viterbi's algorithm). So a
 * name or a technical term goes with its neighbours, and a clause of another language does not.
 *
 * All weights are small integers: the result has no rounding and is the same on every host.
 * A table is immutable once made; any thread may read it.
 */
#ifndef COHORT_SCORING_TONGUE_H
#define COHORT_SCORING_TONGUE_H

#include "reward-server/scoring/text/prose.h"

/* The first ones are those of the trigrams, in its order. */
enum tongue {
    TONGUE_EN,
    TONGUE_DE,
    TONGUE_FR,
    TONGUE_ES,
    TONGUE_IT,
    TONGUE_PT,
    TONGUE_NL,
    TONGUE_LATIN, /* any other language of the Latin script */
    TONGUE_RU,
    TONGUE_UK,
    TONGUE_ZH,
    TONGUE_JA,
    TONGUE_KO,
    TONGUE_EL,
    TONGUE_AR,
    TONGUE_HE,
    TONGUE_HI,
    TONGUE_TH,
    TONGUE_OTHER, /* other scripts, mixed words, broken text */
    TONGUE_COUNT,
    TONGUE_TRIGRAMS = TONGUE_LATIN, /* how many have trigrams */
};

/* "en", ...; "??" for the two that are no language. */
const char *tongue_code(enum tongue t);
int tongue_parse(const char *code); /* -1 when unknown */
const char *tongue_codes(void);     /* "en, de, ...", for messages */

struct tongue_table;
struct tongue_table *tongue_table_new(void);
void tongue_table_free(struct tongue_table *t);

/* What speaks for each language in one word, from 0; a large negative number rules it out. */
void tongue_evidence(
    const struct tongue_table *t, const struct prose_word *w, int ret[TONGUE_COUNT]);

/* ---- a sequence of words ---- */

enum { TONGUE_CHUNK = 128 }; /* words that are decided together */

struct tongue_path {
    int score[TONGUE_COUNT]; /* of the best sequence that ends in each language */
    uint8_t from[TONGUE_CHUNK][TONGUE_COUNT];
    size_t count;
};

/* expected: what a text without evidence is taken for. */
void tongue_path_init(struct tongue_path *p, enum tongue expected);
void tongue_path_add(struct tongue_path *p, const int evidence[TONGUE_COUNT]);
/* The languages of the words since the last call, at most TONGUE_CHUNK. */
void tongue_path_take(struct tongue_path *p, uint8_t ret[TONGUE_CHUNK]);

#endif
