/* actor.h: an actor: leases in, groups out.
 *
 * Joins the lease client (common/net/worker.h), the weights cache and the sampling thread. A lease
 * waits for the model's configuration and its version's weights, is sampled, and its group is
 * handed to the lease client, which keeps it until the learner answers. Everything belongs to the
 * loop's thread.
 */
#ifndef COHORT_ACTOR_H
#define COHORT_ACTOR_H

#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/model/engine.h"

struct actor;

struct actor_options {
    const char *name;
    const char *run_dir; /* or NULL and address */
    const char *address;
    uint32_t slots;
    struct engine_options engine;
    struct hash numerics_id;
    int use_files; /* read the learner's weights files when they are on this host */
    /* The actor has ended (drained, refused, or unable to go on: code and why): call actor_close,
     * not from within. */
    void (*ended)(void *arg, int code, const char *why);
    void *arg;
};

int actor_open(uv_loop_t *loop, const struct actor_options *o, struct actor **ret,
    struct err *e) ERR_WARN_UNUSED;
void actor_drain(struct actor *a, uint32_t grace_ms);
void actor_close(struct actor *a); /* its handles close in the next turns of the loop */

#endif
