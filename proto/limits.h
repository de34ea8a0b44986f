/* limits.h: every bound on what comes from a socket or a file, in one place.
 *
 * Checked before memory is allocated for the thing. A limit here is part of the protocol:
 * PROTOCOL.md names each one.
 */
#ifndef COHORT_PROTO_LIMITS_H
#define COHORT_PROTO_LIMITS_H

#include <stddef.h>

enum {
    LIMIT_CONTROL_REPLY_BYTES = 32 << 10, /* payload of any reply on ctl */
    LIMIT_CONTROL_BYTES = 64 << 10,       /* payload of a request on ctl, except the two submits */
    LIMIT_SUBMIT_BYTES = 16 << 20,        /* payload of SubmitGroup and SubmitScores */
    LIMIT_CHUNK_BYTES = 1 << 20,          /* bytes of a blob in one bulk reply */
    LIMIT_CHUNK_OVERHEAD_BYTES = 64,      /* what BlobChunk adds to them */
    LIMIT_BLOB_BYTES_MAX_GIB = 64,        /* a whole blob, and the weights of a version */
    LIMIT_MANIFEST_BYTES = 4 << 20,      /* a weights manifest: 32 bytes for each MiB, and a path */
    LIMIT_GRADE_INPUT_BYTES = 256 << 20, /* a grade input: the texts of one group */
    LIMIT_UNPACK_FACTOR = 16,          /* arena of a decoded message: this times the payload ... */
    LIMIT_UNPACK_MIN_BYTES = 64 << 10, /* ... plus this */

    LIMIT_NAME = 64,       /* worker, scorer, stage, data names */
    LIMIT_TEXT = 512,      /* reasons, errors, build ids */
    LIMIT_EXTRACTED = 512, /* an extracted answer */
    LIMIT_PROMPT_TOKENS = 4096,
    LIMIT_GROUP = 1024, /* completions of a group: a completion id is group x 1024 + index */
    LIMIT_COMPLETION_TOKENS = 1 << 17,
    LIMIT_COMPLETION_TEXT = 4 << 20,
    LIMIT_LEASES_PER_WORKER = 64,
    LIMIT_GRANT = 16,                  /* leases in one grant */
    LIMIT_GRANT_OVERHEAD_BYTES = 1024, /* revoked leases and flags beside the leases of a grant */
    LIMIT_WORKERS = 4096,
    LIMIT_SCORERS = 16,
    LIMIT_SCORER_KINDS = 64,              /* that a reward server offers */
    LIMIT_PATH = 4096,                    /* of a file on the learner's host */
    LIMIT_DURATION_MS = 24 * 3600 * 1000, /* of any time span that a message names */
    LIMIT_STOP_IDS = 8,
    LIMIT_DATASET_LINE = 64 << 20, /* LiveCodeBench has lines of tens of MiB */
    LIMIT_DATASET_ROWS = 1 << 24,
    LIMIT_CONFIG_BYTES = 1 << 20,
    LIMIT_JSON_BYTES = 64 << 20, /* config.json, tokenizer.json, safetensors header below that */
    LIMIT_VOCAB = 1 << 20,
};

#define ADDRESS_ENDED "ended" /* in place of an address, once a run has finished */

/* A worker asks again after this at the latest; the learner answers a long poll before it. */
enum {
    TIMING_POLL_MS = 5000,
    TIMING_REQUEST_MS = 2000,      /* first retry of a request; doubles ... */
    TIMING_REQUEST_MAX_MS = 30000, /* ... up to this */
    TIMING_HEARTBEAT_MS = 2000,
    TIMING_ENDED_MS =
        3000, /* a worker that comes to an ended run waits so long for another learner */
    TIMING_RETRY_MS = 500, /* RETRY answers ask for this pause */
};

#endif
