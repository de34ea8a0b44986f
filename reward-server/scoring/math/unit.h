/* unit.h: units of measure as types: "5 m" is not "5 cm" and not "5", but "100 cm" is "1 m".
 *
 * A canonical unit is its words in lower case without plural endings, known spellings as one, a
 * power as "^2" and a quotient as "a/b". Words that the table does not know are units of their own
 * ("teachers").
 */
#ifndef COHORT_SCORING_MATH_UNIT_H
#define COHORT_SCORING_MATH_UNIT_H

#include "reward-server/scoring/math/tree.h"

enum { MATH_UNIT_BYTES_MAX = 96 };

/* False when the words are too long for a unit. */
bool unit_canonical(const char *words, char ret[MATH_UNIT_BYTES_MAX]);

/* How many of the dimension's base unit one is; false when the table does not know. */
bool unit_factor(const char *canonical, const char **ret_dimension, struct math_small *ret);

bool unit_known(const char *word, size_t n); /* in the table, singular or plural */

#endif
