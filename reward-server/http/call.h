/* call.h: one request apart from how it came: a body in, an answer out.
 *
 * The face (http.c) fills a call with the body and gives it to the scoring queue; a thread of the
 * queue runs call_run and gives it back. So a call has one owner at a time, and routes know nothing
 * of sockets. A judge's fault is never a reward of 0: transient ones end a call with the route's
 * status for "ask again" (or are null where answers are by item), permanent ones are null.
 */
#ifndef COHORT_HTTP_CALL_H
#define COHORT_HTTP_CALL_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/base/mem.h"
#include "common/base/words.h"
#include "proto/limits.h"

struct box;
struct call;

struct route {
    const char *path;
    const char *method;  /* "GET" routes are answered by the face itself */
    unsigned busy;       /* status that makes the clients of this route ask again */
    const char *problem; /* the member of an error's object that those clients show */
    /* Makes the answer; the caller owns *ret. What fails becomes a status: ERR_LIMIT 400, ERR_RETRY
     * busy, ERR_FAIL 500, all else 422. Any thread, one call at a time. */
    int (*answer)(struct call *c, json_t *body, json_t **ret, struct err *e);
};

/* The table, and its length; the index of a route is its number in the figures. */
extern const struct route routes[];
extern const size_t route_count;

/* What the server was started with; shared by all calls. */
struct call_setup {
    const char *const *scorers; /* borrowed; for requests that name none; may be none */
    size_t scorer_count;
    struct box *box;     /* borrowed; NULL: no programs run here */
    atomic_uint running; /* calls on threads of the queue */
};

/* What a call adds to the figures. */
struct call_tally {
    uint32_t verdicts[LIMIT_SCORER_KINDS][VERDICT_COUNT]; /* by the kind's place in its table */
    uint32_t faults[SCORE_FAULT_COUNT];
    uint32_t programs;
};

struct call {
    const struct route *route;
    struct call_setup *setup; /* borrowed */
    struct buf body;          /* owned */
    atomic_bool given_up;     /* nobody waits for the answer: what has not begun need not */
    unsigned status;          /* set by call_run, as all below */
    char *answer;             /* owned; JSON */
    size_t answer_len;
    struct call_tally tally;
};

void call_run(struct call *c);

/* Sets status and the error as the answer. */
void call_refuse(struct call *c, unsigned status, const char *why);
void call_done(struct call *c);

#endif
