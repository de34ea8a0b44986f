/* items.h: responses to be scored, each for a task of its own: what the routes that give rewards
 * share. One call owns its items.
 */
#ifndef COHORT_HTTP_ITEMS_H
#define COHORT_HTTP_ITEMS_H

#include "reward-server/http/call.h"
#include "reward-server/judge/panel.h"

enum {
    ITEMS_MAX = 1024,      /* of a call */
    ITEMS_PANELS_MAX = 16, /* different lists of scorers in a call */
};

struct items_panel {
    char *words;         /* owned; one per line */
    struct panel *panel; /* owned */
};

struct item {
    struct dataset *task; /* owned; one row */
    const struct panel *panel;
    struct grade_text text; /* borrowed from the body */
    struct grade_input in;
    json_t *id; /* borrowed from the body */
    /* filled by items_score */
    bool done;
    bool scored; /* has a reward */
    double reward;
    struct score_result results[LIMIT_SCORERS]; /* their texts are gone; see report */
    uint64_t wall_us;
    json_t *report; /* owned; panel_report */
};

struct items {
    struct item *at; /* owned */
    size_t count, cap;
    struct items_panel panels[ITEMS_PANELS_MAX];
    size_t panel_count;
};

/* One response. Zero is a good default for all but task and response. */
struct items_request {
    json_t *id;                 /* borrowed as long as the items; NULL: its number from 0 */
    const json_t *task;         /* a row of a dataset */
    const char *format;         /* of that row; NULL: found out */
    const char *const *scorers; /* none: the server's, else what the row calls for */
    size_t scorer_count;
    const char *response; /* borrowed as long as the items */
    size_t response_len;
    bool has_tokens, truncated;
    uint32_t tokens;
};

/* ERR_DATA, ERR_USAGE or ERR_LIMIT for an item that cannot be. */
int items_add(struct items *s, const struct call *c, const struct items_request *q,
    struct err *e) ERR_WARN_UNUSED;

/* Scores all. ERR_RETRY when the call was given up meanwhile. */
int items_score(struct items *s, struct call *c, struct err *e) ERR_WARN_UNUSED;

/* ERR_RETRY when some item has no reward by a fault that may be gone next time: for routes whose
 * answers have no place for it. */
int items_need_rewards(const struct items *s, struct err *e) ERR_WARN_UNUSED;

/* The reward as a number, or null without one. */
json_t *item_reward(const struct item *item);

void items_done(struct items *s);

#endif
