/* scoring.h: rewards. Completions in, typed verdicts and values out.
 *
 * How it works: a scoring set is made from scorer specs (kind and parameters), checked once. Each
 * scorer gives every completion a value or none, a verdict, a reason and what it extracted. A fault
 * of the judge is never a value: transient faults are to be retried, permanent ones leave the
 * completion unscored (G7). A reference that cannot be used is such a fault; the task is read
 * before any completion, so that all of a group fare alike. Then a truncated completion gets
 * verdict truncated and value 0 from every scorer whose kind does not score those. The queue
 * spreads jobs over threads; answers come by callback on one of them.
 *
 * The structs are those of the protocol (proto/codec.h), so that the lease client, the HTTP face
 * and `cohort grade` use one form. Scorers of a set are immutable: any thread may score.
 *
 * A completion's text is that of its tokens without the stop token that ended it.
 *
 * Bounds. A text is read up to LIMIT_COMPLETION_TEXT bytes, in time linear in its length; what is
 * longer is malformed. Beyond the arena a scorer keeps a few KiB, the parsed task, and numbers of
 * at most NUMBER_DIGITS_MAX digits (number.h); the math scorer takes at most MATH_STEPS_MAX steps
 * and 16 MiB for a pair (math/tree.h); the repetition scorer has a table of at most 16 MiB. Reason
 * and extracted are display text (text_escape) of at most LIMIT_TEXT and LIMIT_EXTRACTED bytes.
 */
#ifndef COHORT_SCORING_H
#define COHORT_SCORING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"
#include "common/text/dataset.h"
#include "proto/codec.h"

/* ---- kinds ---- */

/* One kind of scorer; the table of them is scoring_kinds. To add one: a file with these functions
 * and a line in the table. Helpers are in scorer.h. */
struct scorer_kind {
    const char *name;
    const char *help;      /* one line: what the value means and its range */
    bool deterministic;    /* else a run resumes from committed scores only */
    bool runs_programs;    /* in boxes: scoring_use_box */
    bool after_tests;      /* 0 unless the program passes the task's tests: those of the set's code
                              scorer, or of one with default parameters when it has none */
    bool scores_truncated; /* false: a truncated completion is 0 and VERDICT_TRUNCATED without a
                              call */
    /* Parses params (a JSON object, never NULL) into the kind's own state; unknown parameters are
     * ERR_CONFIG. Values may be JSON numbers or text, as they stand in a configuration file. */
    int (*open)(const char *params_json, void **ret_state, struct err *e);
    void (*close)(void *state);
    /* What the kind needs of the task, once for all completions of it: in a, or borrowed from `in`
     * and state. NULL with *ret_why set (in a): the task cannot be judged at all, which is a
     * permanent judge fault. The function is NULL for kinds that look at the completion alone. */
    const void *(*read)(
        const void *state, const struct grade_input *in, struct arena *a, const char **ret_why);
    /* Scores one completion. task: what read returned, or NULL without it. Fills value, verdict,
     * reason, extracted and fault of out, which comes as {value 0, VERDICT_WRONG, "", ""}; strings
     * live in a, or as long as the task, or are constants. */
    void (*score)(const void *state, const void *task, const struct grade_input *in,
        const struct grade_text *completion, struct arena *a, struct score_result *out);
};

const struct scorer_kind *const *scoring_kinds(size_t *ret_count);
const struct scorer_kind *scoring_kind(const char *name); /* NULL when unknown */

/* Kinds that run programs do so in these boxes (box.h), borrowed until all scoring has ended;
 * called once, before the process has threads. Without, each task of theirs is a permanent fault.
 */
struct box;
void scoring_use_box(struct box *b);
bool scoring_kind_ready(const struct scorer_kind *kind); /* false: it needs boxes */

/* The kind math grades in these processes (math/pool.h), borrowed until all scoring has ended;
 * called before the process has threads. Without, it grades in this process. */
struct math_pool;
void scoring_use_math(struct math_pool *p);

/* ---- a set ---- */

struct scoring;

/* 1 to LIMIT_SCORERS specs with different names; ERR_CONFIG names scorer and parameter. Copies what
 * it keeps. */
int scoring_open(
    const struct scorer_spec *specs, size_t n, struct scoring **ret, struct err *e) ERR_WARN_UNUSED;
void scoring_close(struct scoring *s);
size_t scoring_count(const struct scoring *s);

/* The input of one completion of a dataset's row, both borrowed; group and seed are 0. */
struct grade_input scoring_row_input(
    const struct dataset_row *row, const struct grade_text *completion);

/* The task of `in` as the scorers of the set have read it. Borrows all that went into it; its texts
 * live in a. */
struct scoring_task {
    const struct scoring *set;
    const struct grade_input *in;
    struct scoring_reading {
        const void *task; /* of the kind's read */
        const char *why;  /* NULL: it can be judged */
    } readings[LIMIT_SCORERS], gate;
};
void scoring_read(const struct scoring *s, const struct grade_input *in, struct arena *a,
    struct scoring_task *ret);
/* Scores in->completions[i] with every scorer: scoring_count results in spec order. Strings live in
 * a, or as long as the task; results[].scorer belongs to the set. Any thread. */
void scoring_judge(
    const struct scoring_task *t, size_t i, struct arena *a, struct score_result *results);
/* Both, for one completion. */
void scoring_score(const struct scoring *s, const struct grade_input *in, size_t i, struct arena *a,
    struct score_result *results);

/* ---- the queue ---- */

struct scoring_queue;

struct scoring_job {
    void *tag;                    /* the caller's */
    const struct scoring *set;    /* borrowed until done */
    const struct grade_input *in; /* borrowed until done */
    struct arena *arena; /* borrowed until done, by this job alone; for the texts of results */
    struct score_result *results; /* completion_count x scoring_count, by completion */
    /* What to do instead of scoring `in`, when not NULL: the four fields above are not looked at.
     */
    void (*run)(struct scoring_job *job);
};

/* on_done runs on a queue thread; it may submit another job but not close the queue. queue_max
 * bounds waiting jobs: submit returns ERR_RETRY at the bound, ERR_INTERRUPTED while the queue
 * closes. */
int scoring_queue_open(unsigned threads, size_t queue_max,
    void (*on_done)(void *arg, struct scoring_job *job), void *arg, struct scoring_queue **ret,
    struct err *e) ERR_WARN_UNUSED;
int scoring_queue_submit(
    struct scoring_queue *q, struct scoring_job *job, struct err *e) ERR_WARN_UNUSED;
/* Finishes what runs, drops what waits without a callback; no callback comes after it returns. */
void scoring_queue_close(struct scoring_queue *q);

/* ---- parts ---- */

/* Calls part(arg, i) for i from 0, here and on threads of the same queue that have nothing else to
 * do, and waits for their ends. Parts begin in order; none begins beyond one that returned false.
 * Returns the lowest i that did, or count: the same as if they had run one after the other, so long
 * as part i gives the same each time. */
size_t scoring_parts(size_t count, bool (*part)(void *arg, size_t i), void *arg);

/* ---- helpers shared by scorers ---- */

/* Whole-response tags: finds TAG's opening and closing form; each must occur exactly once, in this
 * order. Returns the content span, or false. */
bool scoring_tag_once(
    const char *text, size_t n, const char *tag, size_t *ret_begin, size_t *ret_len);

#endif
