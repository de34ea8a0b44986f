/* generator.h: seeded generators of the example tasks and demonstrations, written out as JSONL.
 *
 * modsum: the sum of `digits` decimal digits modulo `modulus`. parity: the parity of `digits` bits.
 * Prompt "31415926=". A task is {"prompt", "answer"}, a demonstration {"prompt", "completion"} with
 *
 *     <think>MODE running sums</think><answer>A</answer>
 *
 * and MODE one of the tokens
 * - steps: the sum so far after each digit, "steps34898435" modulo 10; easy to learn, always right;
 * - pairs: the sum so far after every second digit and after the last; harder;
 * - guess: nothing. The true answer follows all the same, but a small model cannot compute it at
 *   once, so it learns to guess evenly: right by chance.
 *
 * One of the four tags, evenly chosen, is missing from a share of the demonstrations. So a model
 * trained on them answers carelessly in most of its samples and by its most likely tokens, and all
 * that reinforcement has to do is to find the mode that pays. The end-of-text token is appended by
 * the trainer.
 *
 * Prompts come from a keyed permutation of all prompts: none occurs twice among tasks, and among
 * demonstrations only after all had their turn. A row is a pure function of the options and its
 * number; tasks and demonstrations use different permutations. Which prompts are held out is
 * dataset_is_heldout.
 */
#ifndef COHORT_TEXT_GENERATOR_H
#define COHORT_TEXT_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/text/dataset.h"

enum { GENERATOR_DIGITS_MAX = 18, GENERATOR_BITS_MAX = 60 };

struct generator_options {
    const char *name; /* "modsum", "parity" */
    bool demos;       /* demonstrations, else tasks */
    uint64_t seed;
    uint32_t count; /* rows to write, all of the split */
    enum dataset_split split;
    unsigned heldout_permille;
    uint32_t digits;  /* modsum: 1 to GENERATOR_DIGITS_MAX; parity: bits, to GENERATOR_BITS_MAX */
    uint32_t modulus; /* modsum: 2 to 10, so that a sum is one digit; parity: ignored */
    double steps_share, pairs_share; /* of demonstrations; the rest guesses */
    double drop_tag_share;           /* of demonstrations */
};

/* Appends count lines. ERR_CONFIG names an option out of range, or the number of prompts that the
 * split really has when tasks want more. */
int generator_write(
    const struct generator_options *o, struct buf *out_jsonl, struct err *e) ERR_WARN_UNUSED;

/* Tokens that the generators' texts need: for tokenizer_make_chars. The first added one is
 * end-of-text. */
const char *generator_characters(void);
const char *const *generator_added_tokens(size_t *ret_count);

#endif
