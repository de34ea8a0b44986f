/* prose.h: the words of running text, without what is no prose in it.
 *
 * Left out are: LaTeX commands, URLs, tags, runs of letters that touch a digit or an underscore,
 * single letters of the Latin, Greek and Cyrillic scripts (names of variables), and, as long as
 * they are Latin, all words of code (fenced blocks; spans between back quotes of at most
 * PROSE_CODE_BYTES) and those below PROSE_FORMULA_LETTERS letters of a formula ($...$, \(...\),
 * \[...\]; an empty line ends it). So a formula cannot hide a sentence, and code cannot hide
 * another script. Each Han character and each kana is one word. Bytes that are no UTF-8 and words
 * that mix scripts or have more than PROSE_LETTERS_MAX letters are words of SCRIPT_OTHER.
 *
 * Linear in the text, constant memory. Pure; any thread.
 */
#ifndef COHORT_SCORING_PROSE_H
#define COHORT_SCORING_PROSE_H

#include "reward-server/scoring/scorer.h"
#include "reward-server/scoring/text/script.h"

enum {
    PROSE_LETTERS_MAX = 32,
    PROSE_CODE_BYTES = 64,
    PROSE_FORMULA_LETTERS = 4,
};

struct prose {
    const char *at, *end;
    bool line_start, sentence_start, in_fence, in_formula;
    char fence;           /* the sign that the open fence is made of */
    const char *code_end; /* of the span between back quotes; NULL outside */
    size_t fences;        /* opened so far */
};

struct prose_word {
    struct span text;
    enum script script;
    uint32_t letters[PROSE_LETTERS_MAX]; /* lower case, without marks */
    size_t count;
    bool capital; /* begins with a capital letter */
    bool opens;   /* a sentence or a line */
};

void prose_init(struct prose *p, struct span text);
bool prose_next(struct prose *p, struct prose_word *ret); /* false at the end */

/* The reasoning of a completion: all before its last </think>; the whole where there is none.
 * Nothing that stands before the end of the thought is left out, so nothing can be hidden there. */
struct span prose_thought(struct span completion);
/* What follows it; the whole where there is no </think>. */
struct span prose_answer(struct span completion);

#endif
