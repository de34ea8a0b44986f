/* codec.h: cohort's messages as plain structs, and their bytes. The only user of protobuf-c.
 *
 * msg_pack appends the payload of a message. msg_unpack checks every bound of proto/limits.h and
 * the meaning of each field (enum ranges, finite log-probs, array lengths that agree) and allocates
 * from the caller's arena only; what it returns lives as long as the arena. Errors are ERR_LIMIT
 * and name message and field. Pure; any thread.
 */
#ifndef COHORT_PROTO_CODEC_H
#define COHORT_PROTO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/words.h"
#include "proto/frame.h"
#include "proto/limits.h"

enum blob_kind {
    BLOB_MODEL_CONFIG = 1,     /* id 0: config.json; actors */
    BLOB_WEIGHTS_MANIFEST = 2, /* id = version; actors with a lease on that version */
    BLOB_WEIGHTS = 3,          /* id = version; as above */
    BLOB_GRADE_INPUT = 4,      /* id = job; reward servers with a lease on that job */
};

enum submit_status {
    SUBMIT_OK = 0,          /* durable; also for the same result again */
    SUBMIT_CONFLICT = 1,    /* another result for a submitted lease: the first is kept */
    SUBMIT_STALE_LEASE = 2, /* the lease had ended: forget the result */
    SUBMIT_BAD = 3,         /* the result breaks a rule; message says which */
    SUBMIT_RETRY = 4,       /* not stored (disk full, restart): send again after retry_ms */
};

enum nack_code {
    NACK_BAD_FRAME = 1,
    NACK_UNSUPPORTED = 2,     /* unknown type or protocol */
    NACK_UNKNOWN_SESSION = 3, /* say Hello again */
    NACK_REFUSED = 4,         /* not for this role; wrong numerics id: give up */
    NACK_RETRY = 5,           /* try again later */
    NACK_NOT_FOUND = 6,       /* blob unknown or not authorised */
    NACK_ENDED = 7,           /* the run has ended: nothing is wrong, end */
};

struct blob_ref {
    uint32_t kind;
    uint64_t id, bytes;
    struct hash hash;
};

struct msg_hello {
    const char *name, *build, *host;
    uint32_t protocol, slots;
    bool has_numerics;
    struct hash numerics_id;
    uint8_t boot_id[16];
    const char **scorers;
    size_t scorer_count;
};

struct msg_welcome {
    uint64_t session;
    uint32_t epoch, heartbeat_ms, lease_ms;
    const char *run;
    struct blob_ref model;
};

struct msg_poll {
    uint32_t max_jobs, wait_ms;
    const uint64_t *leases;
    size_t lease_count;
    uint64_t tokens;
};

struct sample_lease {
    uint64_t lease, job, group;
    uint32_t lease_ms;
    uint64_t version;
    struct hash weights;
    const uint32_t *prompt;
    size_t prompt_len;
    uint32_t n, max_tokens, vocab;
    float temperature;
    enum weights_type weights_type;
    uint64_t seed, ordinal;
    uint32_t domain, stage;
    const uint32_t *stop;
    size_t stop_count;
};

struct grade_lease {
    uint64_t lease, job, group;
    uint32_t lease_ms;
    struct blob_ref input;
};

struct msg_grant {
    const struct sample_lease *sample;
    size_t sample_count;
    const struct grade_lease *grade;
    size_t grade_count;
    const uint64_t *revoked;
    size_t revoked_count;
    bool drain;
    uint32_t retry_ms;
};

struct msg_heartbeat {
    const uint64_t *leases;
    size_t lease_count;
    uint64_t tokens;
};

struct msg_heartbeat_reply {
    const uint64_t *revoked;
    size_t revoked_count;
    bool drain;
};

struct completion {
    const uint32_t *tokens; /* len of them */
    const float *logp;      /* len of them */
    uint32_t len;
    enum stop_reason stop;
};

struct msg_submit_group {
    uint64_t lease;
    struct hash weights, numerics_id;
    enum weights_type weights_type;
    const struct completion *completions;
    size_t completion_count;
    uint64_t wall_us;
};

struct scorer_spec {
    const char *name;        /* of the [reward NAME] section */
    const char *kind;        /* "math", "format", ... */
    const char *params_json; /* the section's other options, as a JSON object */
};

struct grade_text {
    uint32_t index, tokens;
    const uint8_t *text; /* exact bytes, not terminated */
    size_t text_len;
    bool truncated;
};

struct grade_input {
    uint64_t group, seed;
    const char *row_key;
    const uint8_t *prompt;
    size_t prompt_len;
    const char *task_json;
    const struct scorer_spec *scorers;
    size_t scorer_count;
    const struct grade_text *completions;
    size_t completion_count;
};

struct score_result {
    uint32_t index;
    const char *scorer;
    bool has_value;
    double value;
    enum verdict verdict;
    enum score_fault fault;
    const char *reason, *extracted, *isolation; /* display text, never NULL after unpacking */
    uint64_t wall_us;
};

struct msg_submit_scores {
    uint64_t lease;
    const struct score_result *results;
    size_t result_count;
    uint64_t wall_us;
};

struct msg_submit_reply {
    enum submit_status status;
    const char *message;
    uint32_t retry_ms;
};

struct msg_release {
    const uint64_t *leases;
    size_t lease_count;
    const char *why;
};

struct msg_get_blob {
    uint32_t kind, bytes;
    uint64_t id, offset, lease;
};

struct msg_blob_chunk {
    uint64_t total;
    const uint8_t *data;
    size_t data_len;
};

struct msg_nack {
    enum nack_code code;
    const char *message;
};

struct weights_manifest {
    uint64_t version, bytes, device, inode;
    struct hash digest;
    uint32_t chunk_bytes;
    const struct hash *chunk_hashes;
    size_t chunk_count;
    const char *path;
    uint8_t boot_id[16];
};

/* One message of a frame: tagged by the frame's type. MSG_RELEASED and MSG_BYE have no body. */
struct msg {
    enum frame_type type;
    union {
        struct msg_hello hello;
        struct msg_welcome welcome;
        struct msg_poll poll;
        struct msg_grant grant;
        struct msg_heartbeat heartbeat;
        struct msg_heartbeat_reply heartbeat_reply;
        struct msg_submit_group submit_group;
        struct msg_submit_scores submit_scores;
        struct msg_submit_reply submit_reply;
        struct msg_release release;
        struct msg_get_blob get_blob;
        struct msg_blob_chunk blob_chunk;
        struct msg_nack nack;
    };
};

/* Text for people (messages, reasons, why, ...) is escaped and cut to its limit here, so that every
 * peer accepts it; all else must already be within its limits. */
void msg_pack(struct buf *out, const struct msg *m);
int msg_unpack(
    const struct frame *f, struct arena *a, struct msg *ret, struct err *e) ERR_WARN_UNUSED;

/* The most that a lease adds to the payload of a Grant; a grant may have LIMIT_CONTROL_REPLY_BYTES
 * less LIMIT_GRANT_OVERHEAD_BYTES of them, so that whoever fills it stops before that. */
size_t sample_lease_bytes_max(const struct sample_lease *l);

/* The largest blob of a kind; 0 when the kind is unknown. */
uint64_t blob_bytes_max(unsigned kind);

/* Blobs that have a structure of their own. */
void grade_input_pack(struct buf *out, const struct grade_input *in);
int grade_input_unpack(const uint8_t *data, size_t n, struct arena *a, struct grade_input *ret,
    struct err *e) ERR_WARN_UNUSED;
void weights_manifest_pack(struct buf *out, const struct weights_manifest *m);
int weights_manifest_unpack(const uint8_t *data, size_t n, struct arena *a,
    struct weights_manifest *ret, struct err *e) ERR_WARN_UNUSED;

#endif
