/* segment.h: the append-only files that hold token ids and log-probs: RUN/samples/NNNNNN.seg.
 *
 * proto/record.h describes their bytes.
 *
 * Crash story. A record is appended, the file synced (and, when it is new, its directory), and only
 * then is the row committed that points to (segment, offset, length). So a crash leaves whole
 * referenced records and perhaps an unreferenced tail, whole or torn: segments_recover cuts it off.
 * A file that is shorter than its rows say is damage, not a crash: ERR_DATA. Every read checks both
 * CRCs. After a failed write or sync the descriptor is closed and never used again; after a failed
 * sync the file is not appended to any more either, since what the kernel kept of it is unknown:
 * the next record opens the next segment.
 *
 * Owner: the store thread.
 */
#ifndef COHORT_LEARNER_SEGMENT_H
#define COHORT_LEARNER_SEGMENT_H

#include <stdint.h>

#include "common/base/err.h"
#include "proto/codec.h"

enum {
    SEGMENT_BYTES_MAX = 64 << 20, /* a file that has reached it gets no further record */
};

struct segment_place {
    uint32_t segment;
    uint64_t offset, length;
};

struct segments;

/* dir is RUN/samples; it is made when missing. No file is opened yet. */
int segments_open(const char *dir, struct segments **ret, struct err *e) ERR_WARN_UNUSED;
void segments_close(struct segments *s);

/* Where the last record of a segment that a row points to ends. */
struct segment_end {
    uint32_t segment;
    uint64_t end;
};

/* Cuts each segment behind its last referenced record and removes files that hold none. Call it
 * before the first append and after any failure. ends ascend. */
int segments_recover(struct segments *s, const struct segment_end *ends, size_t count,
    struct err *e) ERR_WARN_UNUSED;

/* Appends a record; it is durable once segments_sync has returned. Any failure is ERR_RETRY or
 * ERR_FAIL and closes the file: the caller recovers before it appends again. */
int segment_append(struct segments *s, uint64_t group, const struct completion *c, uint32_t n,
    struct segment_place *ret, struct err *e) ERR_WARN_UNUSED;
int segments_sync(struct segments *s, struct err *e) ERR_WARN_UNUSED;

/* Reads a group's record back; c gets n completions with tokens, logp and len in the arena.
 * ERR_DATA when it is not what was written: the message names file, offset and what is wrong. */
int segment_read(struct segments *s, const struct segment_place *p, uint64_t group, uint32_t n,
    struct arena *a, struct completion *c, struct err *e) ERR_WARN_UNUSED;

/* A file that has reached this many bytes gets no further record; SEGMENT_BYTES_MAX at first. */
void segments_set_bytes_max(struct segments *s, uint64_t bytes);

/* The segment that is or will be appended to, which must stay. */
uint32_t segments_current(const struct segments *s);
/* Removes the file of a segment that no row points to any more. */
int segment_remove(struct segments *s, uint32_t number, struct err *e) ERR_WARN_UNUSED;

/* Path of a segment's file, to be freed. */
char *segment_path(const struct segments *s, uint32_t number);

#endif
