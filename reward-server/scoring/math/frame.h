/* frame.h: what travels between a pool and its workers over a socket pair: fixed heads in the
 * machine's own form (both ends are one build on one machine), the request's texts after its head.
 */
#ifndef COHORT_SCORING_MATH_FRAME_H
#define COHORT_SCORING_MATH_FRAME_H

#include <stdint.h>

#include "proto/limits.h"

enum {
    FRAME_FD = 0,             /* of a worker: its end of the pair */
    FRAME_MAGIC = 0x6d617468, /* so that what is no worker is not taken for one */
    FRAME_WHY_BYTES = 112,
    FRAME_REFERENCE_MAX = 64 << 10,
    FRAME_TEXT_MAX = LIMIT_COMPLETION_TEXT,
};

struct frame_request {
    uint32_t magic, reference_n, text_n, tagged;
};

struct frame_reply {
    uint32_t magic, found, begin, n, answer;
    char why[FRAME_WHY_BYTES]; /* terminated */
};

#endif
