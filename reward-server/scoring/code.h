/* code.h: what the files of the code scorer share: its task, the program in a text, running. */
#ifndef COHORT_SCORING_CODE_H
#define COHORT_SCORING_CODE_H

#include "reward-server/box/box.h"
#include "reward-server/box/language.h"
#include "reward-server/scoring/scorer.h"

enum {
    CODE_TESTS_MAX = 1024,
    CODE_PROGRAM_BYTES_MAX = 1 << 20,
    CODE_EXCERPT = 160, /* of outputs, in reasons */
};

struct code_test {
    struct span input, output; /* output.at NULL: text is a test in the language itself */
    const char *text;          /* an assertion, or code that defines check(candidate) */
    bool check;
};

struct code_task {
    const struct language *language;
    const char *entry_point, *setup, *prefix; /* "" where the task has none */
    struct code_test *tests;                  /* all of them with outputs, or none */
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

struct code_limits {
    int64_t cpu_ms, memory_mib;
};

/* ---- running (code_run.c) ---- */

bool code_has_box(void);
struct box_limits code_box_limits(const struct code_limits *limits);

/* One box, or a pair. False with out filled when it could not be had. */
bool code_box_run(const struct box_request *q, size_t count, struct arena *a,
    struct box_result *ret, struct score_result *out);

/* Fills out for an end that is not the one that was wanted; what names the run in the reason. */
void code_judge_end(
    const struct box_result *r, const char *what, struct arena *a, struct score_result *out);
void code_no_value(struct score_result *out, enum score_fault fault, const char *reason);

/* Tests that are Python themselves (code_python.c). */
void code_run_python(const struct code_limits *limits, const struct code_task *task,
    struct span source, struct arena *a, struct score_result *out);

#endif
