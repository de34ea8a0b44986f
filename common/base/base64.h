/* base64.h: RFC 4648 section 4, with padding, for bytes in JSON and in HTTP.
 * Pure; any thread. */
#ifndef COHORT_BASE_BASE64_H
#define COHORT_BASE_BASE64_H

#include <stdbool.h>

#include "common/base/mem.h"

/* Appends. */
void base64_put(struct buf *out, const void *data, size_t n);

/* Appends what text stands for; false, with out as it was, when text is not canonical base64: other
 * characters, white space, missing padding, bits that no byte has. */
bool base64_get(struct buf *out, const char *text, size_t n);

#endif
