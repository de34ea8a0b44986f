/* judge.h: the scorers of `grade` and `eval`: those that were asked for, or what a dataset's format
 * calls for: gsm8k and math: math; countdown: countdown; rows with tests: code; tasks: what the row
 * names, else math.
 *
 * Scorers are given as NAME or NAME:param=value[,param=value]...; weight (default 1) and when
 * (always, pass, fail) are parameters of each, as in a run file. The first is primary: its verdict
 * is the completion's. Immutable once open.
 */
#ifndef COHORT_CLI_JUDGE_H
#define COHORT_CLI_JUDGE_H

#include "cli/args.h"
#include "common/text/dataset.h"
#include "reward-server/scoring/scoring.h"

/* dataset_load of all rows, where an unknown --format is wrong usage. */
int judge_dataset(
    const char *path, const char *format, struct dataset **ret, struct err *e) ERR_WARN_UNUSED;

struct judge;

/* With no words: the defaults. ERR_USAGE for a scorer that cannot be; the message names scorer or
 * row. Starts the sandbox where the code scorer is among them, so it comes before any thread;
 * ERR_FAIL when that is not to be had. d is borrowed; one judge at a time. */
int judge_open(const struct dataset *d, const struct args_words *scorers, struct judge **ret,
    struct err *e) ERR_WARN_UNUSED;
void judge_close(struct judge *j); /* NULL is fine */

/* The set for a row. */
const struct scoring *judge_set(const struct judge *j, size_t row);

/* Whether some scorer of some row looks at the number of tokens. */
bool judge_counts_tokens(const struct judge *j);

/* What a completion is worth, from all results of its row's set. */
struct judgement {
    bool scored; /* false: a judge's fault left it without a reward */
    double reward;
    const struct score_result *primary; /* verdict, reason, extracted */
    uint64_t wall_us;
};
struct judgement judge_sum(const struct judge *j, size_t row, const struct score_result *results);

#endif
