/* tokenizer.c: lookup tables, encode, decode.
 *
 * A text is cut at added tokens, which are found by their first byte, the longest first: at those
 * that are looked for in the text as it is, then, in what lies between and is normalized, at the
 * others. The rest is characters, found by code point; or it is cut into words, whose bytes are
 * merged. Reading and writing the file is tokenizer_json.c.
 */
#include "common/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "common/base/file.h"
#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"
#include "proto/limits.h"

const char *token_bytes(const struct tokenizer *t, uint32_t id)
{
    return (const char *)t->bytes.data + t->tokens[id].offset;
}

/* ---- building the tables ---- */

static int compare_chars(const void *a, const void *b)
{
    const struct token_char *x = a, *y = b;
    return x->cp < y->cp ? -1 : x->cp > y->cp;
}

static int compare_added(const void *a, const void *b, void *arg)
{
    const struct tokenizer *t = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int first_x = (unsigned char)*token_bytes(t, x), first_y = (unsigned char)*token_bytes(t, y);
    if (first_x != first_y)
        return first_x - first_y;
    return t->tokens[x].len > t->tokens[y].len ? -1 : t->tokens[x].len < t->tokens[y].len;
}

static int compare_text(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_words(const void *a, const void *b, void *arg)
{
    const struct tokenizer *t = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return compare_text(token_bytes(t, x), t->tokens[x].len, token_bytes(t, y), t->tokens[y].len);
}

/* NFC of a text, to be freed; NULL with *ret_n below 0 when there is none. */
static uint8_t *nfc_of(const void *text, size_t n, ssize_t *ret_n)
{
    utf8proc_uint8_t *nfc = NULL;
    *ret_n = utf8proc_map(text, (utf8proc_ssize_t)n, &nfc, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    return nfc;
}

static bool is_nfc(const void *text, size_t n)
{
    ssize_t len;
    CLEANUP_FREE uint8_t *nfc = nfc_of(text, n, &len);
    return nfc != NULL && len == (ssize_t)n && memcmp(nfc, text, n) == 0;
}

static int index_added(struct tokenizer *t, struct err *e)
{
    t->added = mem_array(t->size, sizeof(*t->added));
    for (uint32_t id = 0; id < t->size; id++) {
        const struct token *tok = &t->tokens[id];
        if (t->nfc && tok->normalized && !is_nfc(token_bytes(t, id), tok->len))
            return err_set(e, ERR_DATA,
                "added token '%.64s': it is normalized, and no NFC, which is not supported",
                token_bytes(t, id));
        if (tok->added)
            t->added[t->added_count++] = id;
    }
    qsort_r(t->added, t->added_count, sizeof(*t->added), compare_added, t);
    for (unsigned byte = 0, i = 0; byte < 256; byte++) {
        t->first[byte] = i;
        while (i < t->added_count && (unsigned char)*token_bytes(t, t->added[i]) == byte)
            i++;
        t->first[byte + 1] = i;
    }
    return 0;
}

static void index_characters(struct tokenizer *t)
{
    t->chars = mem_array(t->size, sizeof(*t->chars));
    for (uint32_t id = 0; id < t->size; id++) {
        if (t->tokens[id].added)
            continue;
        struct token_char *c = &t->chars[t->char_count++];
        c->id = id;
        (void)utf8_next(token_bytes(t, id), t->tokens[id].len, &c->cp); /* checked by the parser */
    }
    qsort(t->chars, t->char_count, sizeof(*t->chars), compare_chars);
}

static void index_bytes(struct tokenizer *t)
{
    for (int byte = 0; byte < 256; byte++)
        t->byte_ids[byte] = TOKEN_NONE;
    for (uint32_t id = 0; id < t->size; id++) {
        const struct token *tok = &t->tokens[id];
        if (!tok->added && tok->len == 1)
            t->byte_ids[(unsigned char)*token_bytes(t, id)] = id;
    }
}

static void index_words(struct tokenizer *t)
{
    t->words = mem_array(t->size, sizeof(*t->words));
    for (uint32_t id = 0; id < t->size; id++) {
        if (!t->tokens[id].added)
            t->words[t->word_count++] = id;
    }
    qsort_r(t->words, t->word_count, sizeof(*t->words), compare_words, t);
}

int tokenizer_index(struct tokenizer *t, struct err *e)
{
    if (t->by_bytes)
        index_bytes(t);
    else
        index_characters(t);
    if (t->ignore_merges)
        index_words(t);
    return index_added(t, e);
}

int tokenizer_load(const char *model_dir, struct tokenizer **ret, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    CLEANUP_FREE char *path = mem_printf("%s/tokenizer.json", model_dir);
    int r = file_read(path, LIMIT_JSON_BYTES, &text, e);
    if (r != 0) {
        if (e != NULL && r == ERR_FAIL)
            e->code = ERR_DATA; /* a model directory without one */
        return err_ctx(e, "tokenizer");
    }
    return tokenizer_parse((const char *)text.data, text.len, path, ret, e);
}

void tokenizer_free(struct tokenizer *t)
{
    if (t == NULL)
        return;
    buf_done(&t->json);
    buf_done(&t->bytes);
    free(t->origin);
    free(t->tokens);
    free(t->chars);
    free(t->added);
    free(t->words);
    split_free(t->split);
    bpe_free(t->bpe);
    free(t);
}

/* ---- use ---- */

uint32_t tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

const struct buf *tokenizer_json(const struct tokenizer *t)
{
    return &t->json;
}

int64_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    size_t n = strlen(token);
    for (uint32_t id = 0; id < t->size; id++) {
        if (t->tokens[id].len == n && memcmp(token_bytes(t, id), token, n) == 0)
            return id;
    }
    return TOKEN_NONE;
}

/* ---- encoding ---- */

struct encoder {
    const struct tokenizer *t;
    const uint8_t *text; /* where it begins, for messages about characters */
    struct buf *out;
    struct err *e;
};

static void put(struct encoder *en, uint32_t id)
{
    buf_append(en->out, &id, sizeof(id));
}

static int put_characters(struct encoder *en, const uint8_t *text, size_t n)
{
    const struct tokenizer *t = en->t;
    for (size_t at = 0; at < n;) {
        struct token_char key = {0};
        size_t used = utf8_next(text + at, n - at, &key.cp);
        const struct token_char *c =
            bsearch(&key, t->chars, t->char_count, sizeof(key), compare_chars);
        if (c == NULL)
            return err_set(en->e, ERR_DATA,
                "text: character U+%04X at byte %zu has no token in '%s'", (unsigned)key.cp,
                (size_t)(text - en->text) + at, t->origin);
        put(en, c->id);
        at += used;
    }
    return 0;
}

/* The token that has all of this text; TOKEN_NONE. */
static int64_t find_word(const struct tokenizer *t, const char *text, size_t n)
{
    size_t low = 0, high = t->word_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        uint32_t id = t->words[mid];
        int order = compare_text(text, n, token_bytes(t, id), t->tokens[id].len);
        if (order == 0)
            return id;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return TOKEN_NONE;
}

static int put_word(void *arg, const char *text, size_t n, struct err *e)
{
    struct encoder *en = arg;
    const struct tokenizer *t = en->t;
    int64_t whole = t->ignore_merges ? find_word(t, text, n) : TOKEN_NONE;
    if (whole != TOKEN_NONE) {
        put(en, (uint32_t)whole);
        return 0;
    }
    size_t before = en->out->len;
    for (size_t i = 0; i < n; i++) {
        int64_t id = t->byte_ids[(unsigned char)text[i]];
        if (id == TOKEN_NONE)
            return err_set(e, ERR_DATA, "text: byte 0x%02x has no token in '%s'",
                (unsigned char)text[i], t->origin);
        put(en, (uint32_t)id);
    }
    uint32_t *ids = (uint32_t *)(void *)(en->out->data + before); /* of whole ids: aligned */
    en->out->len = before + bpe_merge(t->bpe, ids, n) * sizeof(*ids);
    return 0;
}

static int put_rest(struct encoder *en, const uint8_t *text, size_t n)
{
    if (!en->t->by_bytes)
        return put_characters(en, text, n);
    return split_text(en->t->split, (const char *)text, n, put_word, en, en->e);
}

/* The longest added token that text starts with; TOKEN_NONE. */
static int64_t match_added(
    const struct tokenizer *t, const uint8_t *text, size_t n, bool normalized)
{
    for (uint32_t i = t->first[text[0]]; i < t->first[text[0] + 1]; i++) {
        uint32_t id = t->added[i];
        const struct token *tok = &t->tokens[id];
        if (tok->normalized == normalized && tok->len <= n &&
            memcmp(token_bytes(t, id), text, tok->len) == 0)
            return id;
    }
    return TOKEN_NONE;
}

/* Cuts at added tokens of the one sort; what lies between goes on. */
static int put_between(struct encoder *en, const uint8_t *text, size_t n, bool normalized,
    int (*rest)(struct encoder *en, const uint8_t *text, size_t n))
{
    size_t from = 0, at = 0;
    while (at < n) {
        int64_t id = match_added(en->t, text + at, n - at, normalized);
        if (id == TOKEN_NONE) {
            at++;
            continue;
        }
        int r = rest(en, text + from, at - from);
        if (r != 0)
            return r;
        put(en, (uint32_t)id);
        from = at += en->t->tokens[id].len;
    }
    return rest(en, text + from, n - from);
}

static int put_normalized(struct encoder *en, const uint8_t *text, size_t n)
{
    ssize_t len;
    if (!en->t->nfc || n == 0)
        return put_between(en, text, n, true, put_rest);
    CLEANUP_FREE uint8_t *nfc = nfc_of(text, n, &len);
    if (nfc == NULL)
        return err_set(en->e, ERR_DATA, "text of %zu bytes: %s", n, utf8proc_errmsg(len));
    return put_between(en, nfc, (size_t)len, true, put_rest);
}

int tokenizer_encode(
    const struct tokenizer *t, const void *text, size_t n, struct buf *out, struct err *e)
{
    const uint8_t *s = text;
    size_t before = out->len;
    for (size_t at = 0, used; at < n; at += used) {
        used = utf8_next(s + at, n - at, NULL);
        if (used == 0)
            return err_set(e, ERR_DATA, "text: byte 0x%02x at %zu, expected UTF-8", s[at], at);
    }
    struct encoder en = {t, s, out, e};
    int r = put_between(&en, s, n, false, put_normalized);
    if (r != 0)
        out->len = before;
    return r;
}

void tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < t->size)
            buf_append(out, token_bytes(t, ids[i]), t->tokens[ids[i]].len);
        else
            buf_puts(out, "\xef\xbf\xbd");
    }
}
