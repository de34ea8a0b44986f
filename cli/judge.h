/* judge.h: the scorers of `grade` and `eval`: those that were asked for, or what each row calls for
 * (reward-server/judge/panel.h says how). Immutable once open.
 */
#ifndef COHORT_CLI_JUDGE_H
#define COHORT_CLI_JUDGE_H

#include "cli/args.h"
#include "common/text/dataset.h"
#include "reward-server/judge/panel.h"

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

/* The scorers for a row: what scores it, and what makes its reward. */
const struct panel *judge_panel(const struct judge *j, size_t row);

/* Whether some scorer of some row looks at the number of tokens. */
bool judge_counts_tokens(const struct judge *j);

#endif
