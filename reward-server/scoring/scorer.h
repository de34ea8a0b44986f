/* scorer.h: what the kinds of scorers share: parameters, the task, finding the answer, filling a
 * result.
 *
 * Only files in this directory include it. Pure but for allocation in the given arena.
 */
#ifndef COHORT_SCORING_SCORER_H
#define COHORT_SCORING_SCORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "reward-server/scoring/scoring.h"

enum {
    SCORER_TAG_BYTES_MAX = 32, /* name of a tag, with its NUL */
    SCORER_REFERENCE_BYTES_MAX = 64 << 10,
    SCORER_NUMS_MAX = 16,    /* numbers of a countdown task */
    SCORER_CHOICES_MAX = 10, /* options of a choice: A to J */
};

struct span {
    const char *at; /* borrowed, not terminated */
    size_t n;
};

struct span span_trim(struct span s); /* without white space at both ends; NUL is none */
bool span_is(struct span s, const char *text);

/* ---- parameters ---- */

enum scorer_param_type { PARAM_TAG, PARAM_INT, PARAM_REAL, PARAM_CHOICE };

/* One parameter of a kind: stored at offset in its state as char[SCORER_TAG_BYTES_MAX] (PARAM_TAG),
 * int64_t (PARAM_INT, and PARAM_CHOICE: the index of the choice) or double (PARAM_REAL). */
struct scorer_param {
    const char *name;
    enum scorer_param_type type;
    size_t offset;
    bool required;
    double min, max;     /* PARAM_INT, PARAM_REAL */
    const char *choices; /* PARAM_CHOICE: "a|b|c" */
};

/* Fills state from a JSON object; what is not given stays as it is. ERR_CONFIG for an unknown or a
 * missing parameter and a bad value.
 */
int scorer_params(const char *json, const struct scorer_param *params, size_t n, void *state,
    struct err *e) ERR_WARN_UNUSED;

/* State and functions of the kinds whose only parameter is "tag". */
struct scorer_tag {
    char tag[SCORER_TAG_BYTES_MAX]; /* "" when the answer stands anywhere */
};
int scorer_tag_open(const char *params_json, void **ret_state, struct err *e) ERR_WARN_UNUSED;
int scorer_empty_open(const char *params_json, void **ret_state, struct err *e) ERR_WARN_UNUSED;
void scorer_state_close(void *state);

/* ---- the task ---- */

/* Zeroed memory in a for what a kind reads; NULL with *ret_why when there is none. */
void *task_alloc(struct arena *a, size_t bytes, const char **ret_why);

/* The field "answer" of the task, trimmed, in a. NULL with *ret_why when it is missing, empty or
 * too long. */
const char *task_answer(const struct grade_input *in, struct arena *a, const char **ret_why);

/* A field of text that the task may have: *ret is NULL without it. False with *ret_why when it is
 * there and no text, or the task is broken. */
bool task_text(const struct grade_input *in, const char *name, struct arena *a, const char **ret,
    const char **ret_why);

/* The field "choices": the texts of options A, B, ... *ret_count is 0 when the task has none. False
 * with *ret_why when it is no list of 2 to SCORER_CHOICES_MAX texts. */
bool task_choices(const struct grade_input *in, struct arena *a,
    const char *ret_texts[SCORER_CHOICES_MAX], size_t *ret_count, const char **ret_why);

struct task_countdown {
    int64_t nums[SCORER_NUMS_MAX], target;
    size_t count;
};
const struct task_countdown *task_countdown(
    const struct grade_input *in, struct arena *a, const char **ret_why);

/* ---- the completion ---- */

/* How often a mark occurs (2 stands for more) and where first. */
struct mark_count {
    size_t count, at;
};
struct mark_count mark_count(struct span text, const char *mark);
const char *mark_count_word(size_t count); /* for messages: "is missing", ... */

enum tag_state { TAG_FOUND, TAG_ABSENT, TAG_BROKEN };

/* As scoring_tag_once, but tells the tag that is not there at all from the one that is wrongly
 * used; *ret_why (in a) says how. */
enum tag_state tag_find(
    struct span text, const char *tag, struct arena *a, struct span *ret, const char **ret_why);

/* The content of the tag, trimmed; with an empty tag the whole text, trimmed. False with out filled
 * (no_answer, malformed) when there is none. */
bool answer_in_tag(
    struct span text, const char *tag, struct arena *a, struct span *ret, struct score_result *out);

/* ---- results ---- */

/* Display text of at most limit bytes, in a; "..." at its end when it was cut. Never NULL. */
const char *display_text(struct arena *a, const void *text, size_t n, size_t limit);

/* printf into a, as display text of at most LIMIT_TEXT bytes. */
const char *reason_text(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same of parts that are display text already: escaped once is enough. */
const char *reason_join(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void result_extracted(struct score_result *out, struct arena *a, struct span s);

/* ---- the kinds ---- */

extern const struct scorer_kind scorer_choice, scorer_code, scorer_countdown, scorer_exact,
    scorer_format, scorer_language, scorer_length, scorer_lint, scorer_math, scorer_random,
    scorer_readability, scorer_repetition, scorer_runtime;

#endif
