/* args.h: the command line of one command: argp with our exit status, and checked numbers. */
#ifndef COHORT_CLI_ARGS_H
#define COHORT_CLI_ARGS_H

#include <argp.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/words.h"

/* argv[0] is the command's name. Wrong usage ends the process with status 2, --help with 0: nothing
 * is open yet then. */
void args_parse(const struct argp *argp, int argc, char **argv, void *input);

/* The value of an option (name: "--threads") or argument ("GROUP_ID") within bounds; anything else
 * is wrong usage. */
double args_number(
    const char *arg, const char *name, double low, double high, struct argp_state *state);
uint64_t args_integer(
    const char *arg, const char *name, uint64_t low, uint64_t high, struct argp_state *state);

/* The value of --weights; anything else is wrong usage. */
enum weights_type args_weights(const char *arg, struct argp_state *state);

/* Stores the one positional argument that *ret is for; a second one is wrong usage. */
void args_take(const char **ret, char *arg, const char *what, struct argp_state *state);

/* Values of an option that may be given several times. */
struct args_words {
    const char **items; /* owned; the words are argv's */
    size_t count;
};
void args_words_add(struct args_words *w, const char *word);
void args_words_done(struct args_words *w);

enum { ARGS_SEED_MAX_BITS = 53 }; /* as run.seed: every reader of JSON can hold it */

#endif
