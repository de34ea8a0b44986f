/* weights_cache.h: the newest versions an actor has verified, at most two.
 *
 * How it works: the actor asks for what a lease names; the cache fetches the manifest, reads the
 * learner's file when it is on this host (boot id) or fetches its chunks, and verifies the digest
 * on a thread of its own. A file that does not verify is fetched instead; bytes that do not verify
 * are fetched again a few times, then the version is broken. The actor holds a reference while the
 * engine uses an entry; unused entries make room. Everything belongs to the loop's thread.
 */
#ifndef COHORT_ACTOR_WEIGHTS_CACHE_H
#define COHORT_ACTOR_WEIGHTS_CACHE_H

#include <uv.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/model/params.h"
#include "proto/codec.h"

enum weights_status {
    WEIGHTS_READY,   /* *ret_params is set, and a reference taken */
    WEIGHTS_PENDING, /* on_change will say when to ask again */
    WEIGHTS_NO_ROOM, /* both entries are in use: ask again after a release */
    WEIGHTS_BROKEN,  /* could not be verified; weights_cache_error says why */
};

/* How the cache gets blobs; worker_fetch in the actor. */
typedef void weights_fetched_fn(void *arg, const uint8_t *data, size_t n, const struct err *e);
typedef void weights_fetch_fn(
    void *arg, const struct blob_ref *ref, uint64_t lease, weights_fetched_fn *fn, void *fn_arg);

struct weights_cache_options {
    const struct param_table *table; /* borrowed */
    uint8_t boot_id[16];             /* of this host; zeros: never read the learner's file */
    weights_fetch_fn *fetch;
    void (*on_change)(void *arg); /* never called from within weights_cache_want */
    void *arg;                    /* of both */
};

struct weights_cache;

int weights_cache_open(uv_loop_t *loop, const struct weights_cache_options *o,
    struct weights_cache **ret, struct err *e) ERR_WARN_UNUSED;
/* No fetch may call back after this. */
void weights_cache_close(struct weights_cache *c);

/* lease authorises the fetches that this call may begin. */
enum weights_status weights_cache_want(struct weights_cache *c, uint64_t version,
    const struct hash *hash, uint64_t lease, const struct params **ret_params);
void weights_cache_release(struct weights_cache *c, const struct params *params);
const struct err *weights_cache_error(const struct weights_cache *c);

#endif
