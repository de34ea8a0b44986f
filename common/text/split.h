/* split.h: text cut into pieces by regular expressions, one after the other, as the pre-tokenizers
 * of Hugging Face `tokenizers` cut it (behaviour Isolated): each match is a piece, and each text
 * between two of them; every step cuts the pieces of the one before.
 *
 * The only user of PCRE2, with UTF and Unicode properties: its syntax has what the patterns of
 * known tokenizers use. Its tables are Unicode 14; letters that are newer may be cut otherwise.
 * Immutable once all patterns are added; any thread.
 */
#ifndef COHORT_TEXT_SPLIT_H
#define COHORT_TEXT_SPLIT_H

#include <stddef.h>

#include "common/base/err.h"

enum { SPLIT_STEPS_MAX = 8 };

struct split;
struct split *split_new(void);
void split_free(struct split *s); /* NULL is fine */

/* ERR_DATA for a pattern that cannot be, or one too many. */
int split_add(struct split *s, const char *pattern, struct err *e) ERR_WARN_UNUSED;

/* Calls piece for each, in their order, none empty; its error ends it. text must be valid UTF-8.
 * ERR_DATA when matching takes too many steps. */
typedef int split_piece(void *arg, const char *at, size_t n, struct err *e);
int split_text(const struct split *s, const char *text, size_t n, split_piece *piece, void *arg,
    struct err *e) ERR_WARN_UNUSED;

#endif
