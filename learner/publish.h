/* publish.h: weights files and model directories of a run.
 *
 * RUN/weights/version-N.safetensors is written under a temporary name, synced, renamed, and the
 * directory is synced; it is never written in place, so that maps of it stay valid after it is
 * unlinked. The commit that names it comes after (DESIGN section 4, 7). One thread at a time.
 */
#ifndef COHORT_LEARNER_PUBLISH_H
#define COHORT_LEARNER_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/model/params.h"
#include "common/text/tokenizer.h"
#include "learner/service.h"

enum { PUBLISH_PATH = 64 };

/* Path of a version's file relative to RUN. */
void publish_path(uint64_t version, char out[PUBLISH_PATH]);

/* Makes the version's file durable. An existing file whose parameters have this digest is accepted,
 * another one is replaced. scratch: a params object of the same table, overwritten. */
int publish_version(const char *run_dir, uint64_t version, const struct params *p,
    const struct hash *digest, struct params *scratch, uint64_t *ret_bytes,
    struct err *e) ERR_WARN_UNUSED;

/* The prune rule, pure. Of rows (oldest first) those go that are not needed, not among the `keep`
 * newest of rows and `newest` together, and not pinned. Writes at most count versions to ret;
 * returns how many. */
struct publish_keep {
    uint64_t newest; /* about to be committed, or the newest row */
    uint32_t keep;
    const uint64_t *pinned;
    size_t pinned_count;
};
size_t publish_prunable(
    const struct version_row *rows, size_t count, const struct publish_keep *k, uint64_t *ret);

/* Unlinks a version's file; a missing one is fine. */
int publish_unlink(const char *run_dir, uint64_t version, struct err *e) ERR_WARN_UNUSED;

/* RUN/models/STAGE as a Hugging Face directory. A directory that holds these parameters is
 * accepted, another one is replaced. */
int publish_model(const char *run_dir, const char *stage, const struct params *p,
    const struct hash *digest, const struct tokenizer *t, struct params *scratch,
    struct err *e) ERR_WARN_UNUSED;

#endif
