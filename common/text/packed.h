/* packed.h: text as LiveCodeBench ships its hidden tests: base64 of zlib of a Python string,
 * pickled.
 *
 * Of pickle (protocols 2 to 5) this reads the one string that is all there is, and refuses whatever
 * else: nothing is run. Pure; any thread. The only user of zlib.
 */
#ifndef COHORT_TEXT_PACKED_H
#define COHORT_TEXT_PACKED_H

#include "common/base/err.h"
#include "common/base/mem.h"

enum { PACKED_BYTES_MAX = 64 << 20 }; /* unpacked */

/* Appends the text. ERR_DATA when it is none of this, or unpacks to more than the bound. */
int packed_text(const char *text, size_t n, struct buf *ret, struct err *e) ERR_WARN_UNUSED;

#endif
