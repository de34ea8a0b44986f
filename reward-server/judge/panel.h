/* panel.h: scorers with a weight each, and what a completion is worth to them. One form for
 * `cohort grade`, `cohort eval` and the HTTP face, which have no run file.
 *
 * Scorers are given as words: NAME or NAME:param=value[,param=value]...; weight (default 1) and
 * when (always, pass, fail) are parameters of each, as in a run file. The first is primary: its
 * verdict is the completion's. Where nobody names scorers the row does (panel_row_kind). Immutable
 * once open; any thread.
 */
#ifndef COHORT_REWARD_PANEL_H
#define COHORT_REWARD_PANEL_H

#include <jansson.h>

#include "common/text/dataset.h"
#include "reward-server/scoring/scoring.h"

struct panel;

/* ERR_USAGE for a scorer that cannot be; the message names it. */
int panel_open(
    const char *const *words, size_t count, struct panel **ret, struct err *e) ERR_WARN_UNUSED;
void panel_close(struct panel *p); /* NULL is fine */

const struct scoring *panel_set(const struct panel *p);
bool panel_has(const struct panel *p, const char *kind);
bool panel_runs_programs(const struct panel *p); /* in boxes */

/* The kind of scorer that a row calls for: gsm8k and math: math; countdown: countdown; rows with
 * tests: code, with choices: choice; tasks: what the row names, which may be none that exists, else
 * math. ERR_USAGE for demonstrations. */
int panel_row_kind(const char *format, const struct dataset_row *row, char ret[LIMIT_NAME + 1],
    struct err *e) ERR_WARN_UNUSED;

/* What a completion is worth, from all results of the set. */
struct judgement {
    bool scored; /* false: a judge's fault left it without a reward */
    double reward;
    const struct score_result *primary; /* verdict, reason, extracted */
    uint64_t wall_us;
};
struct judgement panel_sum(const struct panel *p, const struct score_result *results);

/* {"id", "reward", "verdict", "components", "extracted", "reason", "wall_ms"}; reward is null when
 * the completion is not scored. id is borrowed. The caller owns the object. */
json_t *panel_report(json_t *id, const struct panel *p, const struct score_result *results);

#endif
