/* generator.h: seeded generators of the example tasks and demonstrations, written out as JSONL.
 *
 * modsum: sum of `digits` digits modulo `modulus`. Prompt "31415926=". A demonstration is
 *     <think>MODE partial sums</think><answer>A</answer><|end|>
 * with MODE one of the tokens "steps" (a running sum after each digit), "pairs" (after every second digit) or
 * "guess" (none, and a blurted answer that is right by chance only as often as the true sum demands:
 * the demonstration always states the true answer, which a small model cannot compute in its head).
 * parity: parity of `digits` bits. Prompt "0110...=". Long: <think>steps, running parities; short:
 * <think>guess.
 * Shares are of demonstrations; one tag of the four is left out of a share `drop-tag` of them.
 *
 * A row is a pure function of (seed, its number); held-out rows are those of dataset_is_heldout.
 */
#ifndef COHORT_TEXT_GENERATOR_H
#define COHORT_TEXT_GENERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/text/dataset.h"

struct generator_options {
    const char *name; /* "modsum", "parity", "add" */
    bool demos;       /* demonstrations, else tasks */
    uint64_t seed;
    uint32_t count;   /* rows to write, all of the split, no prompt twice among tasks */
    enum dataset_split split;
    unsigned heldout_permille;
    uint32_t digits, modulus;
    double steps_share, pairs_share; /* the rest guesses */
    double drop_tag_share;
};

int generator_write(const struct generator_options *o, struct buf *out_jsonl, struct err *e) ERR_WARN_UNUSED;

/* Tokens that the generators' texts need: for tokenizer_make_chars. */
const char *generator_characters(void);
const char *const *generator_added_tokens(size_t *ret_count);

#endif
