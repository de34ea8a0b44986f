/* code.h: what the files of the code scorer share: its task, and finding the program in a text. */
#ifndef COHORT_SCORING_CODE_H
#define COHORT_SCORING_CODE_H

#include "reward-server/box/language.h"
#include "reward-server/scoring/scorer.h"

enum {
    CODE_TESTS_MAX = 1024,
    CODE_PROGRAM_BYTES_MAX = 1 << 20,
};

struct code_test {
    struct span input, output; /* output.at NULL: text is a test in the language itself */
    const char *text;          /* an assertion, or code that defines check(candidate) */
    bool check;
};

struct code_task {
    const struct language *language;
    const char *entry_point, *setup, *prefix; /* "" where the task has none */
    struct code_test *tests;                  /* of one form, all of them */
    size_t count;
};

/* All in a. False with *ret_why when the task cannot be judged here. */
bool code_task(
    const struct grade_input *in, struct arena *a, struct code_task *ret, const char **ret_why);

/* The program in a completion: what follows the last </think>, then the content of the tag where
 * one is wanted, then the last fenced block, or all when there is no fence. False with out filled.
 */
bool code_program(struct span text, const char *tag, const struct code_task *task, struct arena *a,
    struct span *ret, struct score_result *out);

/* Whether two outputs are the same: by lines, without white space at the ends of lines and without
 * empty lines at the end; bytes otherwise. */
bool code_output_same(struct span expected, struct span found);

#endif
