/* tokenizer_bytes.c: what a tokenizer.json says of byte-level BPE: the normalizer, how text is cut
 * into words, the merges. The flow and the map of bytes are those of GPT-2 as Hugging Face
 * `tokenizers` has them (pre_tokenizers/byte_level.rs).
 */
#include <string.h>

#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"

/* How GPT-2 cuts: what a ByteLevel that cuts by itself does. */
#define GPT2_PATTERN                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static const char *type_of(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type != NULL ? type : "";
}

static bool is_type(const json_t *part, const char *type)
{
    return strcmp(type_of(part), type) == 0;
}

bool bytes_is_kind(const json_t *root)
{
    return is_type(json_object_get(root, "decoder"), "ByteLevel");
}

/* ---- the map of bytes ---- */

/* Bytes that are printable stand for themselves, the others for U+0100 and up, in order. */
static bool stands_for_itself(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* -1: no byte. */
static int byte_of_char(uint32_t cp)
{
    if (cp < 0x100)
        return stands_for_itself(cp) ? (int)cp : -1;
    uint32_t other = cp - 0x100;
    for (int byte = 0; byte < 256; byte++) {
        if (!stands_for_itself((uint32_t)byte) && other-- == 0)
            return byte;
    }
    return -1;
}

int bytes_of_token(const char *text, struct buf *ret, struct err *e)
{
    size_t n = strlen(text);
    for (size_t at = 0; at < n;) {
        uint32_t cp = UINT32_MAX;
        at += utf8_next(text + at, n - at, &cp); /* JSON is UTF-8 */
        int byte = byte_of_char(cp);
        if (byte < 0)
            return err_set(e, ERR_DATA,
                "token '%.64s': U+%04X stands for no byte, and the token is no added one", text,
                (unsigned)cp);
        buf_append(ret, &(uint8_t){(uint8_t)byte}, 1);
    }
    return 0;
}

/* ---- cutting into words ---- */

static const struct rule split_rules[] = {{"type", ALLOW_ANY}, {"pattern", ALLOW_ANY},
    {"behavior", ALLOW_ANY}, {"invert", ALLOW_FALSE}, {0}};
static const struct rule digits_rules[] = {
    {"type", ALLOW_ANY}, {"individual_digits", ALLOW_BOOL}, {0}};
static const struct rule byte_level_rules[] = {{"type", ALLOW_ANY},
    {"add_prefix_space", ALLOW_FALSE}, {"trim_offsets", ALLOW_ANY}, {"use_regex", ALLOW_BOOL}, {0}};

static int read_split(struct tokenizer *t, json_t *part, struct err *e)
{
    const char *behavior = json_string_value(json_object_get(part, "behavior"));
    const char *pattern =
        json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex"));
    int r = rules_check(split_rules, part, "pre_tokenizer", e);
    if (r != 0)
        return r;
    if (pattern == NULL || behavior == NULL || strcmp(behavior, "Isolated") != 0)
        return err_set(
            e, ERR_DATA, "a Split that is not by a Regex, or not Isolated, is not supported");
    return split_add(t->split, pattern, e);
}

static int read_digits(struct tokenizer *t, json_t *part, struct err *e)
{
    int r = rules_check(digits_rules, part, "pre_tokenizer", e);
    bool each = json_is_true(json_object_get(part, "individual_digits"));
    return r != 0 ? r : split_add(t->split, each ? "\\p{N}" : "\\p{N}+", e);
}

/* The map of bytes itself is tokenizer_encode's. */
static int read_byte_level(struct tokenizer *t, json_t *part, struct err *e)
{
    int r = rules_check(byte_level_rules, part, "pre_tokenizer", e);
    bool cuts = !json_is_false(json_object_get(part, "use_regex"));
    return r != 0 || !cuts ? r : split_add(t->split, GPT2_PATTERN, e);
}

static int read_cut(struct tokenizer *t, json_t *part, bool last, struct err *e)
{
    if (is_type(part, "ByteLevel") && last)
        return read_byte_level(t, part, e);
    if (is_type(part, "Split") && !last)
        return read_split(t, part, e);
    if (is_type(part, "Digits") && !last)
        return read_digits(t, part, e);
    return err_set(e, ERR_DATA,
        "'%.64s' is not supported here, expected Split and Digits, and ByteLevel at the end",
        type_of(part));
}

static int read_pre_tokenizer(struct tokenizer *t, json_t *part, struct err *e)
{
    json_t *list = is_type(part, "Sequence") ? json_object_get(part, "pretokenizers") : NULL, *item;
    size_t i, n = json_array_size(list);
    if (!json_is_array(list))
        return read_cut(t, part, true, e);
    int r = n > 0 ? 0 : err_set(e, ERR_DATA, "an empty Sequence, expected ByteLevel at its end");
    json_array_foreach(list, i, item)
    {
        if (r == 0)
            r = read_cut(t, item, i + 1 == n, e);
    }
    return r;
}

/* ---- the other parts ---- */

static int read_normalizer(struct tokenizer *t, json_t *part, struct err *e)
{
    json_t *list = json_object_get(part, "normalizers"), *item;
    size_t i;
    if (part == NULL || json_is_null(part))
        return 0;
    if (is_type(part, "NFC")) {
        t->nfc = true;
        return 0;
    }
    if (!is_type(part, "Sequence") || !json_is_array(list))
        return err_set(e, ERR_DATA, "'%.64s' is not supported, expected NFC", type_of(part));
    json_array_foreach(list, i, item)
    {
        if (!is_type(item, "NFC"))
            return err_set(e, ERR_DATA, "'%.64s' is not supported, expected NFC", type_of(item));
        t->nfc = true;
    }
    return 0;
}

int bytes_read_parts(struct tokenizer *t, json_t *root, struct err *e)
{
    t->by_bytes = true;
    t->split = split_new();
    t->ignore_merges =
        json_is_true(json_object_get(json_object_get(root, "model"), "ignore_merges"));
    if (read_normalizer(t, json_object_get(root, "normalizer"), e) != 0)
        return err_ctx(e, "normalizer");
    if (read_pre_tokenizer(t, json_object_get(root, "pre_tokenizer"), e) != 0)
        return err_ctx(e, "pre_tokenizer");
    return 0;
}

/* ---- merges ---- */

/* Written as "left right", or as a list of the two. */
static bool read_merge(const json_t *merge, struct buf *left, struct buf *right)
{
    const char *text = json_string_value(merge), *space = text != NULL ? strchr(text, ' ') : NULL;
    const char *a = json_string_value(json_array_get(merge, 0));
    const char *b = json_string_value(json_array_get(merge, 1));
    buf_clear(left);
    buf_clear(right);
    if (space != NULL) {
        buf_append(left, text, (size_t)(space - text));
        buf_puts(right, space + 1);
    } else if (a != NULL && b != NULL && json_array_size(merge) == 2) {
        buf_puts(left, a);
        buf_puts(right, b);
    }
    return left->len > 0 && right->len > 0;
}

/* The id of a token of the vocabulary; TOKEN_NONE. */
static int64_t id_of(const json_t *vocab, const char *text)
{
    const json_t *id = json_object_get(vocab, text);
    return json_is_integer(id) ? json_integer_value(id) : TOKEN_NONE;
}

int bytes_read_merges(struct tokenizer *t, const json_t *vocab, const json_t *merges, struct err *e)
{
    CLEANUP_BUF struct buf left = {0}, right = {0};
    json_t *merge;
    size_t i;
    t->bpe = bpe_new(json_array_size(merges));
    json_array_foreach(merges, i, merge)
    {
        if (!read_merge(merge, &left, &right))
            return err_set(e, ERR_DATA, "model.merges[%zu]: expected two tokens", i);
        int64_t a = id_of(vocab, (const char *)left.data);
        int64_t b = id_of(vocab, (const char *)right.data);
        buf_append(&left, right.data, right.len);
        int64_t both = id_of(vocab, (const char *)left.data);
        if (a < 0 || b < 0 || both < 0)
            return err_set(e, ERR_DATA,
                "model.merges[%zu]: '%.64s' or a part of it is not in the vocabulary", i,
                (const char *)left.data);
        bpe_add(t->bpe, (uint32_t)a, (uint32_t)b, (uint32_t)both);
    }
    return 0;
}
