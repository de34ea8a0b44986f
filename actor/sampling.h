/* sampling.h: the thread that samples. Jobs in, packed groups out.
 *
 * How it works: the loop thread pushes jobs into a ring of one producer and one consumer; the
 * engine's thread takes them between decode steps, so that a lease that arrives while others are
 * being sampled joins their batch. A job of another version waits until the batch is empty:
 * versions change between groups, never within one. A finished, dropped or failed job comes back by
 * on_done on the loop thread. A job belongs to the thread between sampling_push and on_done; only
 * `cancelled` may be touched then.
 */
#ifndef COHORT_ACTOR_SAMPLING_H
#define COHORT_ACTOR_SAMPLING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/model/engine.h"
#include "proto/codec.h"

enum sample_outcome {
    SAMPLE_DONE,    /* payload is a SubmitGroup */
    SAMPLE_DROPPED, /* was cancelled */
    SAMPLE_FAILED,  /* err says why: this engine cannot go on with it */
};

struct sample_job {
    struct sample_lease lease;   /* its arrays are owned by the job */
    const struct params *params; /* borrowed: verified weights, kept until on_done */
    atomic_bool cancelled;
    enum sample_outcome outcome;
    struct err err;
    struct buf payload; /* owned */
    uint64_t started_ns;
};

/* Copies the lease. */
struct sample_job *sample_job_new(const struct sample_lease *l);
void sample_job_free(struct sample_job *job);

struct sampling;

struct sampling_options {
    struct model_config config;
    struct engine_options engine;
    struct hash numerics_id;
    void (*on_done)(void *arg, struct sample_job *job);
    void *arg;
};

int sampling_open(uv_loop_t *loop, const struct sampling_options *o, struct sampling **ret,
    struct err *e) ERR_WARN_UNUSED;
/* False when the ring is full: push again after the next on_done. */
bool sampling_push(struct sampling *s, struct sample_job *job);
/* Tokens sampled so far, groups in progress included. */
uint64_t sampling_tokens(const struct sampling *s);
/* Cancels everything, waits for the thread, hands every job back by on_done. */
void sampling_close(struct sampling *s);

#endif
