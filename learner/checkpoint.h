/* checkpoint.h: RUN/checkpoints/update-N: everything a run needs to go on after N updates.
 *
 * A checkpoint is a directory:
 *     params.safetensors      the parameters
 *     moment1.safetensors     AdamW's first moments, in the same layout
 *     moment2.safetensors     AdamW's second moments
 *     reference.safetensors   the KL reference, when the stage has one
 *     state.json              counters and identities: struct checkpoint_state
 *     manifest                "cohort checkpoint 1\n", then for each file above, sorted by name,
 *                             "BLAKE2b-256 in hexadecimal, bytes, name\n"; its own hash stands in
 * the database It is written under update-N.tmp, every file and the directory are synced, then it
 * gets its name and the parent is synced. A crash leaves either no update-N or a whole one; a
 * leftover .tmp is removed by the next write. An existing update-N with the same manifest and sound
 * files is accepted as it is: a step computed again after a crash writes the same bytes. One thread
 * at a time.
 */
#ifndef COHORT_LEARNER_CHECKPOINT_H
#define COHORT_LEARNER_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "learner/trainer.h"

enum { CHECKPOINT_PATH = 64, TRAINING_ID = 128 };

struct checkpoint_state {
    uint32_t stage, step; /* steps of the stage done */
    uint64_t updates;     /* over the whole run */
    struct hash digest;   /* of the parameters */
    struct hash numerics_id;
    char training_id[TRAINING_ID];
};

/* Path of a checkpoint relative to RUN. */
void checkpoint_path(uint64_t updates, char out[CHECKPOINT_PATH]);

int checkpoint_write(const char *run_dir, const struct checkpoint_state *s, struct trainer *t,
    struct hash *ret_manifest, struct err *e) ERR_WARN_UNUSED;

/* Checks everything before it touches the trainer. expected: hash of the manifest, or NULL to
 * accept any manifest whose files agree with it. ERR_DATA says what is damaged. */
int checkpoint_read(const char *run_dir, uint64_t updates, const struct hash *expected,
    struct trainer *t, struct checkpoint_state *ret, struct err *e) ERR_WARN_UNUSED;

/* Updates of the checkpoints on disk, ascending; leftovers of a crash are not listed. free() the
 * result. */
int checkpoint_list(
    const char *run_dir, uint64_t **ret, size_t *ret_count, struct err *e) ERR_WARN_UNUSED;

int checkpoint_remove(const char *run_dir, uint64_t updates, struct err *e) ERR_WARN_UNUSED;

#endif
