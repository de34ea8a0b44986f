/* record.h: the bytes of RUN/samples/NNNNNN.seg: token ids and log-probs of groups.
 *
 * Format (all integers little-endian). A file begins with 16 bytes:
 *
 *     0  8  "COHSEG1\n"
 *     8  4  number of the segment, as in the file's name
 *    12  4  CRC32C of the 12 bytes before
 *
 * Records follow, each at a multiple of 8:
 *
 *     0  4  "REC1"
 *     4  4  bytes of the whole record, a multiple of 8
 *     8  8  group id
 *    16  4  number of sections
 *    20  4  CRC32C of the 20 bytes before
 *    24     sections: u32 tag, u32 bytes of the data, the data, zeros up to a multiple of 8
 *    -8  4  CRC32C of all bytes of the record before
 *    -4  4  zero
 *
 * Sections of a group with n completions: 1 lengths u32[n]; 2 token ids u32[sum]; 3 log-probs
 * f32[sum], completion after completion. Readers skip tags that they do not know.
 *
 * The learner writes these files (learner/segment.h has the crash story); the commands read them.
 * Pure; any thread.
 */
#ifndef COHORT_PROTO_RECORD_H
#define COHORT_PROTO_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "proto/codec.h"

enum {
    RECORD_FILE_HEADER_BYTES = 16,
    RECORD_BYTES_MIN = 32,                     /* header and trailer */
    RECORD_BYTES_MAX = 4 * LIMIT_SUBMIT_BYTES, /* more than any submitted group needs */
};

void record_file_header_put(uint8_t out[RECORD_FILE_HEADER_BYTES], uint32_t number);
/* ERR_DATA when it is not the header of that segment. */
int record_file_header_check(
    const uint8_t header[RECORD_FILE_HEADER_BYTES], uint32_t number, struct err *e) ERR_WARN_UNUSED;

/* Appends the record of a group; its tokens, log-probs and lengths are kept, stop reasons are not.
 */
void record_put(struct buf *b, uint64_t group, const struct completion *c, uint32_t n);

/* Whether a record may have this length: to be asked before memory is taken for it. ERR_DATA. */
int record_length_check(uint64_t bytes, struct err *e) ERR_WARN_UNUSED;

/* Takes a whole record apart: c gets n completions with tokens, logp and len in a. ERR_DATA when it
 * is not the record of that group, whole and unchanged. */
int record_parse(const uint8_t *data, size_t bytes, uint64_t group, uint32_t n, struct arena *a,
    struct completion *c, struct err *e) ERR_WARN_UNUSED;

#endif
