/* tokenizer_impl.h: what tokenizer.c (lookup) and tokenizer_json.c (the file) share. Nobody else's.
 */
#ifndef COHORT_TEXT_TOKENIZER_IMPL_H
#define COHORT_TEXT_TOKENIZER_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/text/tokenizer.h"

struct token {
    uint32_t offset, len; /* in tokenizer.bytes; len is 0 for an id not seen yet, while parsing */
    bool added;
};

struct token_char {
    uint32_t cp, id;
};

struct tokenizer {
    struct buf json;      /* owned; the file */
    struct buf bytes;     /* owned; the tokens' texts, one after another */
    char *origin;         /* owned */
    struct token *tokens; /* owned; size of them */
    uint32_t size;
    struct token_char *chars; /* owned; by code point */
    uint32_t char_count;
    uint32_t *added; /* owned; ids by first byte, then longest first */
    uint32_t added_count;
    uint32_t first[257]; /* added[first[b] .. first[b + 1]) start with byte b */
};

/* Fills chars, added and first from tokens. */
void tokenizer_index(struct tokenizer *t);

#endif
