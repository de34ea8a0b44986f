/* tokenizer.c: the character kind of tokenizer: lookup tables, encode, decode.
 *
 * Added tokens are found by their first byte, longest first; every other character by code point.
 * Reading and writing the file is tokenizer_json.c.
 */
#include "common/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"
#include "proto/limits.h"

static const char *token_bytes(const struct tokenizer *t, uint32_t id)
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

void tokenizer_index(struct tokenizer *t)
{
    t->chars = mem_array(t->size, sizeof(*t->chars));
    t->added = mem_array(t->size, sizeof(*t->added));
    for (uint32_t id = 0; id < t->size; id++) {
        if (t->tokens[id].added) {
            t->added[t->added_count++] = id;
            continue;
        }
        struct token_char *c = &t->chars[t->char_count++];
        c->id = id;
        (void)utf8_next(token_bytes(t, id), t->tokens[id].len, &c->cp); /* checked by the parser */
    }
    qsort(t->chars, t->char_count, sizeof(*t->chars), compare_chars);
    qsort_r(t->added, t->added_count, sizeof(*t->added), compare_added, t);
    for (unsigned byte = 0, i = 0; byte < 256; byte++) {
        t->first[byte] = i;
        while (i < t->added_count && (unsigned char)*token_bytes(t, t->added[i]) == byte)
            i++;
        t->first[byte + 1] = i;
    }
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
    return -1;
}

/* The longest added token that text starts with, or -1. */
static int64_t match_added(const struct tokenizer *t, const uint8_t *text, size_t n)
{
    for (uint32_t i = t->first[text[0]]; i < t->first[text[0] + 1]; i++) {
        uint32_t id = t->added[i];
        if (t->tokens[id].len <= n && memcmp(token_bytes(t, id), text, t->tokens[id].len) == 0)
            return id;
    }
    return -1;
}

static int64_t match_char(const struct tokenizer *t, uint32_t cp)
{
    const struct token_char key = {.cp = cp};
    const struct token_char *c = bsearch(&key, t->chars, t->char_count, sizeof(key), compare_chars);
    return c != NULL ? (int64_t)c->id : -1;
}

int tokenizer_encode(
    const struct tokenizer *t, const void *text, size_t n, struct buf *out, struct err *e)
{
    const uint8_t *s = text;
    size_t before = out->len;
    for (size_t at = 0; at < n;) {
        uint32_t cp;
        size_t used;
        int64_t id = match_added(t, s + at, n - at);
        if (id >= 0) {
            used = t->tokens[id].len;
        } else {
            used = utf8_next(s + at, n - at, &cp);
            id = used > 0 ? match_char(t, cp) : -1;
        }
        if (id < 0) {
            out->len = before;
            if (used == 0)
                return err_set(e, ERR_DATA, "text: byte 0x%02x at %zu, expected UTF-8", s[at], at);
            return err_set(e, ERR_DATA, "text: character U+%04X at byte %zu has no token in '%s'",
                (unsigned)cp, at, t->origin);
        }
        uint32_t id32 = (uint32_t)id;
        buf_append(out, &id32, sizeof(id32));
        at += used;
    }
    return 0;
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
