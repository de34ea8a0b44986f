/* tokenizer_impl.h: what the files of the tokenizer share: tokenizer.c (use), tokenizer_json.c (the
 * file) and tokenizer_bytes.c (the parts of the file that byte-level BPE has). Nobody else's.
 */
#ifndef COHORT_TEXT_TOKENIZER_IMPL_H
#define COHORT_TEXT_TOKENIZER_IMPL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/text/bpe.h"
#include "common/text/split.h"
#include "common/text/tokenizer.h"

enum { TOKEN_NONE = -1 };

struct token {
    uint32_t offset, len; /* in tokenizer.bytes; len is 0 for an id not seen yet, while parsing */
    bool added;
    bool normalized; /* of an added one: it is looked for after normalization */
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
    uint32_t *added; /* owned; ids by first byte, then longest first */
    uint32_t added_count;
    uint32_t first[257]; /* added[first[b] .. first[b + 1]) start with byte b */
    bool by_bytes;       /* byte-level BPE; else characters */

    struct token_char *chars; /* owned; by code point */
    uint32_t char_count;

    bool nfc, ignore_merges;
    struct split *split;   /* owned; into words */
    struct bpe *bpe;       /* owned */
    int64_t byte_ids[256]; /* TOKEN_NONE: a byte without a token */
    uint32_t *words;       /* owned; ids of what is not added, by text; with ignore_merges */
    uint32_t word_count;
};

const char *token_bytes(const struct tokenizer *t, uint32_t id);

/* Fills the tables that are made of tokens. ERR_DATA for a token that could never be found. */
int tokenizer_index(struct tokenizer *t, struct err *e) ERR_WARN_UNUSED;

/* ---- rules: what a part of the file may hold ---- */

enum allowed {
    ALLOW_ANY,
    ALLOW_NULL,       /* absent or null */
    ALLOW_NULL_EMPTY, /* absent, null or "" */
    ALLOW_FALSE,      /* absent or false */
    ALLOW_BOOL,       /* absent, true or false */
};

struct rule {
    const char *name; /* NULL ends a list */
    enum allowed allowed;
};

/* ERR_DATA names the first part that no rule allows. */
int rules_check(
    const struct rule *rules, json_t *object, const char *where, struct err *e) ERR_WARN_UNUSED;

/* ---- byte-level BPE (tokenizer_bytes.c) ---- */

/* Whether the file is of this kind. */
bool bytes_is_kind(const json_t *root);

/* Reads all but the tokens. */
int bytes_read_parts(struct tokenizer *t, json_t *root, struct err *e) ERR_WARN_UNUSED;

/* The bytes that a token of the vocabulary stands for. */
int bytes_of_token(const char *text, struct buf *ret, struct err *e) ERR_WARN_UNUSED;

/* Once all tokens are known. */
int bytes_read_merges(
    struct tokenizer *t, const json_t *vocab, const json_t *merges, struct err *e) ERR_WARN_UNUSED;

#endif
