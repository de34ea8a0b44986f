/* frame.h: the one frame format of cohort. Layout and rules: PROTOCOL.md section 1.
 *
 * A frame is a 64-byte header, the payload, and a 16-byte tag that is zero without a key. Parsing
 * trusts nothing: every field is checked before the payload is looked at. Pure; any thread.
 */
#ifndef COHORT_PROTO_FRAME_H
#define COHORT_PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"

enum { FRAME_HEADER_BYTES = 64, FRAME_TAG_BYTES = 16, FRAME_VERSION = 1, PROTOCOL_VERSION = 1 };

enum frame_role { ROLE_LEARNER = 1, ROLE_ACTOR = 2, ROLE_REWARD = 3 };

enum frame_type {
    MSG_HELLO = 1,
    MSG_WELCOME = 2,
    MSG_POLL = 3,
    MSG_GRANT = 4,
    MSG_HEARTBEAT = 5,
    MSG_HEARTBEAT_REPLY = 6,
    MSG_SUBMIT_GROUP = 7,
    MSG_SUBMIT_SCORES = 8,
    MSG_SUBMIT_REPLY = 9,
    MSG_RELEASE = 10,
    MSG_RELEASED = 11, /* empty payload */
    MSG_GET_BLOB = 12,
    MSG_BLOB_CHUNK = 13,
    MSG_BYE = 14, /* empty payload; answered by MSG_BYE */
    MSG_NACK = 15,
    MSG_TYPE_COUNT
};

struct frame {
    uint16_t type;
    uint16_t key_id;  /* 0: no key */
    uint8_t role;     /* of the sender */
    uint32_t epoch;   /* learner's epoch as the sender knows it; 0 in Hello */
    uint64_t session; /* 0 in Hello */
    uint64_t sequence;
    uint64_t request_id;    /* chosen by the requester; the reply repeats it */
    const uint8_t *payload; /* borrowed from the parsed bytes */
    uint32_t payload_bytes;
};

const char *frame_type_name(unsigned type);

/* Largest payload that a type may have. */
size_t frame_payload_max(unsigned type);

/* Appends header, payload and tag. */
void frame_write(struct buf *out, const struct frame *f);

/* Checks magic, version, reserved bytes, role, type, length against the type's limit and the tag.
 * ERR_LIMIT with a message that says what was found and expected. */
int frame_parse(const uint8_t *data, size_t n, struct frame *ret, struct err *e) ERR_WARN_UNUSED;

#endif
