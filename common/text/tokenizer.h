/* tokenizer.h: text to token ids and back, from a Hugging Face tokenizer.json.
 *
 * Two kinds. Byte-level BPE, which the published models of the Llama 3, Qwen, GPT-2 and DeepSeek
 * families have: NFC or no normalizer, Split by patterns, Digits, ByteLevel. And characters: a BPE
 * model whose vocabulary is single characters and which has no merges. Added tokens are matched
 * first, longest first, as whole strings. Tokens that a post-processor would put around a text are
 * not: a template says what a prompt begins with. Immutable after loading; any thread.
 */
#ifndef COHORT_TEXT_TOKENIZER_H
#define COHORT_TEXT_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"

struct tokenizer;

/* Parses tokenizer.json; origin names it in errors. Unsupported parts are refused by name. */
int tokenizer_parse(const char *json, size_t n, const char *origin, struct tokenizer **ret,
    struct err *e) ERR_WARN_UNUSED;
int tokenizer_load(const char *model_dir, struct tokenizer **ret, struct err *e) ERR_WARN_UNUSED;
void tokenizer_free(struct tokenizer *t);

/* Writes the tokenizer.json of a character tokenizer: added tokens first (ids 0..), then the
 * characters of `characters` (UTF-8, each once) in order. The first added token is the end-of-text
 * token. */
int tokenizer_make_chars(const char *characters, const char *const *added, size_t added_count,
    struct buf *out_json, struct err *e) ERR_WARN_UNUSED;

uint32_t tokenizer_size(const struct tokenizer *t);          /* ids are below it */
const struct buf *tokenizer_json(const struct tokenizer *t); /* the bytes it was made from */
int64_t tokenizer_id(
    const struct tokenizer *t, const char *token); /* id of an exact token, -1 when absent */

/* ids are appended to out as u32 in host order (out->len / 4 of them). ERR_DATA names the first
 * byte that is no UTF-8, or a character or byte that has no id. Where the tokenizer normalizes,
 * decoding gives the text's NFC. */
int tokenizer_encode(const struct tokenizer *t, const void *text, size_t n, struct buf *out,
    struct err *e) ERR_WARN_UNUSED;
/* Appends the exact bytes of the ids; an id outside the vocabulary becomes U+FFFD. */
void tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, struct buf *out);

#endif
