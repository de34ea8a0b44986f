/* grader.h: a reward server: grade leases in, scores out.
 *
 * Joins the lease client (common/net/worker.h), the scoring library and its queue. A lease's input
 * comes as a blob, is taken apart on a thread of its own, scored on the queue's threads, and the
 * scores are handed to the lease client, which keeps them until the learner answers. Scorers are
 * made once for each set of specs that the leases name. Everything belongs to the loop's thread.
 */
#ifndef COHORT_REWARD_GRADER_H
#define COHORT_REWARD_GRADER_H

#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"

struct grader;

struct grader_options {
    const char *name;
    const char *run_dir; /* or NULL and address */
    const char *address;
    uint32_t slots;
    unsigned threads;
    /* The server has ended (drained, refused, or unable to go on: code and why): call grader_close,
     * not from within. */
    void (*ended)(void *arg, int code, const char *why);
    void *arg;
};

int grader_open(uv_loop_t *loop, const struct grader_options *o, struct grader **ret,
    struct err *e) ERR_WARN_UNUSED;
void grader_drain(struct grader *g, uint32_t grace_ms);
void grader_close(struct grader *g); /* its handles close in the next turns of the loop */

#endif
