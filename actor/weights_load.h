/* weights_load.h: parameters of a version from the learner's own file or from fetched bytes,
 * verified.
 *
 * Whatever the way, the digest of the parameters that come out equals the wanted hash, or nothing
 * comes out (G6). Blocks on disk and hashes everything: not for the loop thread.
 */
#ifndef COHORT_ACTOR_WEIGHTS_LOAD_H
#define COHORT_ACTOR_WEIGHTS_LOAD_H

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/model/params.h"
#include "proto/codec.h"

/* The file is the one the learner wrote: opened without following links, same device, inode and
 * size. ret must be empty; on success the caller owns it (params_done). */
int weights_load_file(const struct param_table *t, const struct weights_manifest *m,
    const struct hash *wanted, struct params *ret, struct err *e) ERR_WARN_UNUSED;

/* data is the whole file; each chunk is checked against the manifest first, to name the broken one.
 */
int weights_load_bytes(const struct param_table *t, const struct weights_manifest *m,
    const struct hash *wanted, const uint8_t *data, size_t n, struct params *ret,
    struct err *e) ERR_WARN_UNUSED;

#endif
