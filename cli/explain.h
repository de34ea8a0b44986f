/* explain.h: the parts of one completion's story, printed in this order. Each returns 0 or an
 * error; they share a snapshot of the tables. Used by explain.c alone.
 */
#ifndef COHORT_CLI_EXPLAIN_H
#define COHORT_CLI_EXPLAIN_H

#include "cli/stored_group.h"

struct explain {
    struct stored_run run;       /* owned */
    struct stored_group group;   /* owned */
    struct tokenizer *tokenizer; /* owned; NULL: texts of tokens are not shown */
    struct err tokenizer_err;    /* why there is none */
    uint32_t index;              /* in the group */
    uint32_t tokens_max;         /* shown of the list of tokens */
};

/* "  label       text" with the text as printf makes it; strings in it must be display text. */
void explain_say(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* explain_sample.c: the task; who sampled when, from which weights, by which key; the tokens. */
int explain_task(const struct explain *x, struct err *e) ERR_WARN_UNUSED;
int explain_sampling(const struct explain *x, struct err *e) ERR_WARN_UNUSED;
int explain_completion(struct explain *x, struct err *e) ERR_WARN_UNUSED;

/* explain_score.c: the scores, their sum, the advantage, and what was made of it. */
int explain_scores(const struct explain *x, struct err *e) ERR_WARN_UNUSED;
int explain_advantage(const struct explain *x, struct err *e) ERR_WARN_UNUSED;
int explain_training(const struct explain *x, struct err *e) ERR_WARN_UNUSED;

/* explain_json.c: all of it as one object, instead of the parts above. */
int explain_json(struct explain *x, struct err *e) ERR_WARN_UNUSED;

#endif
