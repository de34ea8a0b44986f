/* code.h: what the files that run programs share: the task, the program in a text, building and
 * running it.
 *
 * The way of a completion: code_task reads the task, code_program finds the program (both in
 * code_task.c), code_judge runs it against the tests. Those are of two families. Data
 * (code_data.c): each test runs the program once, and what it printed or returned is compared here.
 * Python (code_python.c): the tests run in a box of their own.
 */
#ifndef COHORT_SCORING_CODE_H
#define COHORT_SCORING_CODE_H

#include "reward-server/box/box.h"
#include "reward-server/box/language.h"
#include "reward-server/scoring/scorer.h"

enum {
    CODE_TESTS_MAX = 1024,
    CODE_PROGRAM_BYTES_MAX = 1 << 20,
    CODE_INPUT_BYTES_MAX = 32 << 20, /* of one test */
    CODE_EXCERPT = 160,              /* of outputs, in reasons */
};

/* ---- the task (code_task.c) ---- */

enum code_kind {
    CODE_OUTPUT, /* input: standard input; expected: standard output */
    CODE_CALL,   /* input: JSON of the call; expected: JSON list of the values that will do */
    CODE_ASSERT, /* text: an assertion in Python */
    CODE_CHECK,  /* text: code that defines check(candidate) */
};

struct code_test {
    enum code_kind kind;
    struct span input, expected;
    const char *text;
};

struct code_task {
    const struct language *language;
    const char *entry_point, *setup, *prefix; /* "" where the task has none */
    const char *solution;                     /* a program that passes; "" */
    struct code_test *tests;                  /* all data of one kind, or all Python */
    size_t count;
};

/* All in a. NULL with *ret_why when the task cannot be judged here. */
const struct code_task *code_task(
    const struct grade_input *in, struct arena *a, const char **ret_why);
bool code_is_python(const struct code_task *task); /* its tests are */

/* The program in a completion: what follows the last </think>, then the content of the tag where
 * one is wanted, then the last fenced block, or all when there is no fence. False with out filled.
 */
bool code_program(struct span text, const char *tag, const struct code_task *task, struct arena *a,
    struct span *ret, struct score_result *out);

/* The program that goes on where the prompt ended. */
struct span code_with_prefix(const struct code_task *task, struct span source, struct arena *a);

/* ---- running (code_run.c) ---- */

struct code_limits {
    int64_t cpu_ms, memory_mib;
};
#define CODE_LIMITS                                                                                \
    {                                                                                              \
        4000, 512                                                                                  \
    } /* where a scorer's parameters name none */

bool code_has_box(void);
/* Whether boxes here hold a program by control groups; else some languages do not run. */
bool code_has_groups(void);
struct box_limits code_box_limits(const struct code_limits *limits);

/* One box, or a pair, as soon as a processor is likely to be free. A box that could not be had is
 * an end of its own, BOX_FAULT. ret comes zeroed. */
void code_box_run(const struct box_request *q, size_t count, struct box_result *ret);
bool code_exited_well(const struct box_result *r);

/* Fills out for an end that is not the one that was wanted; what names the run in the reason. */
void code_judge_end(
    const struct box_result *r, const char *what, struct arena *a, struct score_result *out);
void code_isolation(const struct box_result *r, struct arena *a, struct score_result *out);
void code_no_value(struct score_result *out, enum score_fault fault, const char *reason);

/* ---- building (code_build.c) ---- */

/* What a box gets to run. */
struct code_files {
    struct box_file files[2];
    size_t count;
    struct code_built *built; /* a reference into the cache; NULL for interpreters */
};

/* Compiles where the language needs it, once for equal sources. False with out filled. source must
 * live as long as ret, which the caller ends with code_files_done. */
bool code_build(const struct code_task *task, struct span source, struct arena *a,
    struct code_files *ret, struct score_result *out);
void code_files_done(struct code_files *f);
void code_build_forget(void); /* empties the cache; nothing is in use */

/* ---- calls (code_call.c) ---- */

bool code_call_known(const struct language *l); /* functions in it can be called */
/* What calls a function of the source. */
void code_call_files(const struct language *l, struct span source, struct code_files *ret);
/* Whether the claimed value is one of the expected list; else *ret_why, in a. */
bool code_value_same(
    struct span expected, struct span claimed, struct arena *a, const char **ret_why);

/* ---- judging ---- */

/* Runs all tests, or until the verdict is settled: by the first test, in their order, that is not
 * passed, whatever ends first. *ret_cpu_us: processor time of the program, as far as it ran. */
void code_judge(const struct code_limits *limits, const struct code_task *task, struct span source,
    struct arena *a, struct score_result *out, uint64_t *ret_cpu_us);

/* The two families. */
void code_run_data(const struct code_limits *limits, const struct code_task *task,
    const struct code_files *files, struct arena *a, struct score_result *out,
    uint64_t *ret_cpu_us);
void code_run_python(const struct code_limits *limits, const struct code_task *task,
    struct span source, struct arena *a, struct score_result *out, uint64_t *ret_cpu_us);

/* Whether two outputs are the same: by lines, without white space at the ends of lines and without
 * empty lines at the end; bytes otherwise. */
bool code_output_same(struct span expected, struct span found);

#endif
