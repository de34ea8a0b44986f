/* wire.h: what travels between a user of boxes (box.h) and the program cohort-box.
 *
 * A message is u32 length, u32 count and that many parts of u32 length and fields, little-endian;
 * byte strings have a u32 length before them. Both ends are of one build on one host; lengths are
 * bounded all the same. request: language, phase, u32 cold, u64 x BOX_LIMITS, standard input, u32
 * count of files, {name, bytes}, u32 count of files that are wanted back, {name}. result: u32 end,
 * detail, u64 cpu, wall, memory, the strings output, errors, refused, message, isolation, u32 count
 * of files, {name, bytes}.
 */
#ifndef COHORT_BOX_WIRE_H
#define COHORT_BOX_WIRE_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "reward-server/box/box.h"

enum {
    WIRE_BYTES_MAX = 96 << 20, /* of one message */
    WIRE_FD = 3,               /* cohort-box finds its control socket here */
};

/* A message is a number of requests or results; each with its length before it. */
void wire_parts_begin(struct buf *out, size_t count);
void wire_request_add(struct buf *out, const struct box_request *q);
void wire_result_add(struct buf *out, const struct box_result *r);

/* The lists of a request. */
struct wire_lists {
    struct box_file files[BOX_FILES_MAX];
    const char *fetch[BOX_FILES_MAX];
};

/* What ret points to lies in data and in ret_lists. Returns how many there are; 0: malformed. */
size_t wire_requests_unpack(const uint8_t *data, size_t n, struct box_request ret[BOX_PAIR],
    struct wire_lists ret_lists[BOX_PAIR]);

/* Copies. False when there are not count results. */
bool wire_results_unpack(const uint8_t *data, size_t n, struct box_result *ret, size_t count);

/* A whole message. 0 when the other end has closed, 1 when there is one, else negative. */
int wire_read(int fd, struct buf *out, struct err *e) ERR_WARN_UNUSED;
int wire_write(int fd, const struct buf *message, struct err *e) ERR_WARN_UNUSED;

/* The message of these requests, without a copy of what is large. */
int wire_write_requests(
    int fd, const struct box_request *q, size_t count, struct err *e) ERR_WARN_UNUSED;

#endif
