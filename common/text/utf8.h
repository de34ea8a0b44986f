/* utf8.h: one character at a time out of bytes that may be anything. Pure; any thread. */
#ifndef COHORT_TEXT_UTF8_H
#define COHORT_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at p (1 to 4), or 0 when n is 0 or p starts no valid one: stray and
 * missing continuation bytes, overlong forms, surrogates, beyond U+10FFFF. ret_cp may be NULL. */
size_t utf8_next(const void *p, size_t n, uint32_t *ret_cp);

bool utf8_valid(const void *p, size_t n);

/* The largest length <= max at which text may be cut without splitting a character; broken text is
 * cut at max. */
size_t utf8_cut(const void *p, size_t n, size_t max);

#endif
