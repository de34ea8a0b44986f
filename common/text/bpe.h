/* bpe.h: byte-pair encoding of one word: Sennrich et al. 2016 (arXiv 1508.07909), algorithm 1.
 *
 * Of all neighbours that a merge is known for, those of the lowest rank become one, the leftmost
 * first, until there are none: the order of Hugging Face `tokenizers`. Takes n log n steps for a
 * word of n symbols. Immutable once all merges are added; any thread.
 */
#ifndef COHORT_TEXT_BPE_H
#define COHORT_TEXT_BPE_H

#include <stddef.h>
#include <stdint.h>

struct bpe;
struct bpe *bpe_new(size_t merges_max);
void bpe_free(struct bpe *b); /* NULL is fine */

/* Merges come in the order of their ranks; a pair that comes again has its last rank. */
void bpe_add(struct bpe *b, uint32_t left, uint32_t right, uint32_t merged);

/* Merges ids in place; the number that is left. */
size_t bpe_merge(const struct bpe *b, uint32_t *ids, size_t n);

#endif
