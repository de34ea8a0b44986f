/* check.h: the math checker: is this answer the reference? And where an answer stands in a text.
 *
 * Pure, but for what FLINT caches per thread; any thread may call. Text is parsed, never run. The
 * bounds are those of tree.h: MATH_STEPS_MAX steps for a pair, tested in tests/scoring.
 */
#ifndef COHORT_SCORING_MATH_CHECK_H
#define COHORT_SCORING_MATH_CHECK_H

#include "reward-server/scoring/math/field.h"
#include "reward-server/scoring/scorer.h"

struct math_verdict {
    enum math_answer answer;
    const char *why; /* a constant, "" for MATH_EQUAL */
    size_t steps;    /* taken, at most MATH_STEPS_MAX */
};

/* Memory for the pair is taken from an arena of its own. MATH_UNKNOWN counts as not equal; why says
 * what could not be decided. */
struct math_verdict math_check_pair(struct span reference, struct span answer);

/* Whether the text reads as one value, list or the like on its own. */
bool math_is_readable(struct span text);
/* Whether the text is a choice with its text, "A) 12". */
bool math_is_choice(struct span text);

/* ---- extraction ---- */

enum math_place {
    MATH_PLACE_NONE,
    MATH_PLACE_BOXED,
    MATH_PLACE_MARK,
    MATH_PLACE_WHOLE,
    MATH_PLACE_FORMULA,
    MATH_PLACE_WORDS,
    MATH_PLACE_NUMBER
};

/* The answer of a completion: the last \boxed; else what follows the last "####", "answer is" or
 * "answer:"; else the whole, when it is short and reads as mathematics; else the last formula
 * between dollars or \( \); else, of the last line, what stands in double stars or follows its last
 * "is"; else the last number; else a "Yes" or "No" that the text begins with. */
enum math_place math_extract(struct span text, struct span *ret);
bool math_extract_boxed(struct span text, struct span *ret);

/* The answer of a reference, which may be a whole solution: its box, or all of it. */
struct span math_reference(struct span text);

/* ---- text (plain.c) ---- */

/* Without \text and the like, spacing, dollars, \left, \right and a final full stop, in a. */
const char *plain_text(struct arena *a, struct span s);
/* Words and no mathematics: then only equal text is equal. */
bool plain_is_words(struct span s);
/* The letter of a choice, "(B)", "B.", "option B"; 0 for none. */
char plain_choice(const char *plain);
/* The letter of a choice that is followed by its text, "(B) 12"; 0 for none. ret_text: that text.
 */
char plain_choice_text(struct span raw, const char *plain, struct span *ret_text);

#endif
