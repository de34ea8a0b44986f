/* trainer.h: log-probs, gradients and updates of a model: the second interface, beside engine.h,
 * that another device would implement (DESIGN 8.2, seam 7).
 *
 * How it works. The trainer owns the parameters, an optional reference, one gradient block for each
 * shard, the optimiser's moments and a pool of threads with a train_ctx each: 16 bytes for each
 * parameter, 4 more for each further shard and for a reference, and the activations. A batch is cut
 * into micro-batches (pack.h); micro-batch i is forwarded, scored by the caller's loss and carried
 * back into gradient block i mod shards, in order; the blocks are added in a fixed binary tree. So
 * the update depends on shards and rows_max (identity options), never on threads. Calls belong to
 * one thread, the loss callback runs on the pool.
 */
#ifndef COHORT_LEARNER_TRAINER_H
#define COHORT_LEARNER_TRAINER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/params.h"
#include "common/model/train.h"
#include "learner/loss.h"
#include "learner/optim.h"
#include "learner/pack.h"

struct trainer;

struct trainer_options {
    const char *isa;
    unsigned threads, shards;
    uint32_t rows_max; /* of a micro-batch */
    uint32_t vocab;    /* allowed ids are below it */
    bool recompute;    /* see struct train_options */
};

/* initial is copied. The table is borrowed and outlives the trainer. */
int trainer_new(const struct trainer_options *o, const struct params *initial, struct trainer **ret,
    struct err *e) ERR_WARN_UNUSED;
void trainer_free(struct trainer *t);

const struct ops *trainer_ops(const struct trainer *t);

/* Everything an update changes, for checkpoints, which may write through it between calls. */
struct trainer_state {
    struct params *params;
    struct optim *optim;
    struct params *reference; /* NULL: none */
};
struct trainer_state trainer_state(struct trainer *t);

void trainer_reset_optim(struct trainer *t); /* moments and their count to zero: a stage begins */
/* The reference becomes the current parameters; it exists from the first call on. */
int trainer_set_reference(struct trainer *t, struct err *e) ERR_WARN_UNUSED;
void trainer_drop_reference(struct trainer *t);
/* Parameters of another version, or the same rounded to another type, for TRAINER_OTHER; borrowed
 * while that is used. */
int trainer_set_other(struct trainer *t, const struct params *p, enum weights_type type,
    struct err *e) ERR_WARN_UNUSED;

struct trainer_batch {
    const struct train_group *groups;
    size_t group_count;
    float temperature;
};
size_t trainer_batch_tokens(const struct trainer_batch *b); /* length of the arrays below */

enum trainer_weights { TRAINER_POLICY, TRAINER_REFERENCE, TRAINER_OTHER };

/* logp of every completion token of the batch, in order. */
int trainer_logprob(struct trainer *t, enum trainer_weights which, const struct trainer_batch *b,
    float *logp, struct err *e) ERR_WARN_UNUSED;

/* The loss of one micro-batch. Arrays begin at its first token; entropy and dentropy are NULL when
 * they were not asked for. Runs on a pool thread, for different slices at once. */
struct trainer_loss {
    void (*fn)(void *arg, const struct pack_slice *s, const float *logp, const float *entropy,
        float *dlogp, float *dentropy, struct loss_parts *ret);
    void *arg;
    bool entropy, dentropy; /* measure it; carry its gradient back */
};

/* Gradient of the batch; replaces the one before. ret_parts: added over micro-batches in order.
 * ret_logp: as trainer_logprob, or NULL. */
int trainer_backward(struct trainer *t, const struct trainer_batch *b,
    const struct trainer_loss *loss, struct loss_parts *ret_parts, float *ret_logp,
    struct err *e) ERR_WARN_UNUSED;

/* The gradient of the last trainer_backward, in the table's layout. For tests. */
const float *trainer_gradient(const struct trainer *t);

/* One AdamW update by the last gradient. */
int trainer_update(struct trainer *t, const struct recipe_optim *o, double lr,
    struct optim_stats *ret, struct err *e) ERR_WARN_UNUSED;

/* Memory held when batches like b have been trained on; tokens of b are not read. */
struct trainer_memory {
    size_t parameters;  /* with gradients, moments and reference */
    size_t activations; /* of all threads, for the largest micro-batch of b */
};
struct trainer_memory trainer_memory(const struct trainer *t, const struct trainer_batch *b);

#endif
