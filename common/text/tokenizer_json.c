/* tokenizer_json.c: the file tokenizer.json of Hugging Face `tokenizers`, read and written.
 *
 * Read: what changes the encoding and is not built here (byte fallback, prefixes, other kinds, ...)
 * is refused by name rather than ignored; what byte-level BPE has of its own is read by
 * tokenizer_bytes.c. Written: a BPE model without merges, whose
 * vocabulary holds the added tokens too, because that library gives an added token the id its
 * content has in the vocabulary; a Fuse decoder, so that it joins decoded tokens without spaces.
 * One difference remains: a character without an id is an error here and is dropped there.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/text/tokenizer_impl.h"
#include "common/text/utf8.h"
#include "proto/limits.h"

static void json_cleanup(json_t **j)
{
    json_decref(*j);
}
#define CLEANUP_JSON CLEANUP(json_cleanup)

/* ---- reading ---- */

/* Of both kinds. */
static const struct rule root_rules[] = {
    {"version", ALLOW_ANY},
    {"truncation", ALLOW_NULL},
    {"padding", ALLOW_NULL},
    {"added_tokens", ALLOW_ANY},
    {"normalizer", ALLOW_ANY},
    {"pre_tokenizer", ALLOW_ANY},
    {"post_processor", ALLOW_ANY},
    {"decoder", ALLOW_ANY},
    {"model", ALLOW_ANY},
    {0},
};
static const struct rule model_rules[] = {
    {"type", ALLOW_ANY},
    {"dropout", ALLOW_NULL},
    {"unk_token", ALLOW_NULL},
    {"continuing_subword_prefix", ALLOW_NULL_EMPTY},
    {"end_of_word_suffix", ALLOW_NULL_EMPTY},
    {"fuse_unk", ALLOW_ANY},
    {"byte_fallback", ALLOW_FALSE},
    {"ignore_merges", ALLOW_BOOL},
    {"vocab", ALLOW_ANY},
    {"merges", ALLOW_ANY},
    {0},
};
static const struct rule added_rules[] = {
    {"id", ALLOW_ANY},
    {"content", ALLOW_ANY},
    {"single_word", ALLOW_FALSE},
    {"lstrip", ALLOW_FALSE},
    {"rstrip", ALLOW_FALSE},
    {"normalized", ALLOW_BOOL},
    {"special", ALLOW_ANY},
    {0},
};

static bool rule_holds(enum allowed allowed, const json_t *v)
{
    switch (allowed) {
    case ALLOW_ANY:
        return true;
    case ALLOW_NULL:
        return json_is_null(v);
    case ALLOW_NULL_EMPTY:
        return json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0);
    case ALLOW_FALSE:
        return json_is_false(v);
    case ALLOW_BOOL:
        return json_is_boolean(v);
    }
    return false;
}

int rules_check(const struct rule *rules, json_t *object, const char *where, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const struct rule *rule = rules;
        while (rule->name != NULL && strcmp(rule->name, key) != 0)
            rule++;
        if (rule->name == NULL)
            return err_set(e, ERR_DATA, "%s: '%.64s' is not supported", where, key);
        if (!rule_holds(rule->allowed, value)) {
            CLEANUP_FREE char *found = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
            return err_set(e, ERR_DATA, "%s.%s: %.100s is not supported", where, key,
                found != NULL ? found : "?");
        }
    }
    return 0;
}

/* Tokens come in any order of ids: they are kept here until all are known. */
struct collect {
    struct tokenizer *t; /* borrowed */
    uint32_t cap;        /* ids must be below it */
    json_t *added;       /* borrowed; contents of added tokens */
};

/* The token's slot; text names it in errors. */
static int collect_token(struct collect *c, const json_t *id_json, const char *text,
    const void *bytes, size_t n, struct token **ret, struct err *e)
{
    if (n == 0)
        return err_set(e, ERR_DATA, "a token is empty");
    json_int_t id = json_is_integer(id_json) ? json_integer_value(id_json) : -1;
    if (id < 0 || id >= (json_int_t)c->cap)
        return err_set(e, ERR_DATA,
            "token '%.64s': its id must be an integer below %u, the number of tokens", text,
            (unsigned)c->cap);
    struct token *slot = &c->t->tokens[id];
    const char *have = slot->len > 0 ? token_bytes(c->t, (uint32_t)id) : "";
    if (slot->len > 0 && (slot->len != n || memcmp(have, bytes, n) != 0))
        return err_set(
            e, ERR_DATA, "id %u: both '%.64s' and '%.64s' have it", (unsigned)id, have, text);
    if (slot->len == 0) {
        slot->offset = (uint32_t)c->t->bytes.len;
        slot->len = (uint32_t)n;
        buf_append(&c->t->bytes, bytes, n);
        buf_append(&c->t->bytes, "", 1); /* for messages */
    }
    *ret = slot;
    return 0;
}

static int collect_word(struct collect *c, const json_t *id, const char *text, struct err *e)
{
    CLEANUP_BUF struct buf bytes = {0};
    struct token *slot;
    int r = 0;
    if (c->t->by_bytes && json_object_get(c->added, text) == NULL)
        r = bytes_of_token(text, &bytes, e);
    else
        buf_puts(&bytes, text);
    return r != 0 ? r : collect_token(c, id, text, bytes.data, bytes.len, &slot, e);
}

static int collect_added(struct collect *c, json_t *list, const json_t *vocab, struct err *e)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (!json_is_object(item))
            return err_set(e, ERR_DATA, "added_tokens[%zu]: expected an object", i);
        int r = rules_check(added_rules, item, "added_tokens", e);
        if (r != 0)
            return r;
        const json_t *id = json_object_get(item, "id");
        const char *content = json_string_value(json_object_get(item, "content"));
        if (content == NULL)
            return err_set(e, ERR_DATA, "added_tokens[%zu]: its content is no text", i);
        const json_t *in_vocab = json_object_get(vocab, content);
        if (in_vocab != NULL && !json_equal(in_vocab, id))
            return err_set(
                e, ERR_DATA, "added token '%.64s': its id differs from the vocabulary's", content);
        struct token *slot;
        r = collect_token(c, id, content, content, strlen(content), &slot, e);
        if (r == 0 && slot->added)
            r = err_set(e, ERR_DATA, "added token '%.64s': listed twice", content);
        if (r != 0)
            return r;
        slot->added = true;
        slot->normalized = json_is_true(json_object_get(item, "normalized"));
    }
    return 0;
}

static int check_ids(const struct tokenizer *t, struct err *e)
{
    for (uint32_t id = 0; id < t->size; id++) {
        if (t->tokens[id].len == 0)
            return err_set(e, ERR_DATA, "no token has id %u", (unsigned)id);
    }
    return 0;
}

/* Without merges the model only ever emits single characters. */
static int check_characters(const struct tokenizer *t, struct err *e)
{
    for (uint32_t id = 0; id < t->size; id++) {
        const struct token *tok = &t->tokens[id];
        if (!tok->added && utf8_next(token_bytes(t, id), tok->len, NULL) != tok->len)
            return err_set(e, ERR_DATA,
                "token '%.64s' is neither one character nor an added token, and there are no "
                "merges",
                token_bytes(t, id));
    }
    return 0;
}

/* The contents of added tokens, as the keys of an object. */
static json_t *added_contents(json_t *added)
{
    json_t *contents = json_object(), *item;
    size_t i;
    json_array_foreach(added, i, item)
    {
        const char *content = json_string_value(json_object_get(item, "content"));
        if (content != NULL)
            (void)json_object_set_new(contents, content, json_true()); /* cannot fail: valid text */
    }
    return contents;
}

static int read_tokens(struct tokenizer *t, json_t *vocab, json_t *added, struct err *e)
{
    CLEANUP_JSON json_t *contents = added_contents(added);
    size_t total = json_object_size(vocab);
    json_t *id, *value;
    const char *key;
    json_object_foreach(contents, key, value)
    {
        total += json_object_get(vocab, key) == NULL;
    }
    if (total == 0 || total > LIMIT_VOCAB)
        return err_set(e, ERR_DATA, "%zu tokens, expected 1 to %d", total, LIMIT_VOCAB);
    t->size = (uint32_t)total;
    t->tokens = mem_array(total, sizeof(*t->tokens));
    struct collect c = {.t = t, .cap = t->size, .added = contents};
    json_object_foreach(vocab, key, id)
    {
        int r = collect_word(&c, id, key, e);
        if (r != 0)
            return err_ctx(e, "model.vocab");
    }
    int r = collect_added(&c, added, vocab, e);
    return r != 0 ? r : check_ids(t, e);
}

/* ---- the two kinds ---- */

static bool decoder_joins(const json_t *decoder)
{
    const char *type = json_string_value(json_object_get(decoder, "type"));
    return decoder == NULL || json_is_null(decoder) || (type != NULL && strcmp(type, "Fuse") == 0);
}

static int read_characters(struct tokenizer *t, json_t *root, json_t *vocab, struct err *e)
{
    static const char *const others[] = {"normalizer", "pre_tokenizer", "post_processor"};
    const json_t *merges = json_object_get(json_object_get(root, "model"), "merges");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const json_t *part = json_object_get(root, others[i]);
        if (part != NULL && !json_is_null(part))
            return err_set(
                e, ERR_DATA, "tokenizer.%s: only known with a ByteLevel decoder", others[i]);
    }
    if (json_array_size(merges) > 0)
        return err_set(e, ERR_DATA, "model.merges: only known with a ByteLevel decoder");
    if (!decoder_joins(json_object_get(root, "decoder")))
        return err_set(e, ERR_DATA, "decoder: expected null, Fuse or ByteLevel");
    int r = read_tokens(t, vocab, json_object_get(root, "added_tokens"), e);
    return r != 0 ? r : check_characters(t, e);
}

static int read_bytes(struct tokenizer *t, json_t *root, json_t *vocab, struct err *e)
{
    int r = bytes_read_parts(t, root, e);
    if (r == 0)
        r = read_tokens(t, vocab, json_object_get(root, "added_tokens"), e);
    return r != 0 ? r
                  : bytes_read_merges(
                        t, vocab, json_object_get(json_object_get(root, "model"), "merges"), e);
}

/* Files of the oldest kind do not name the model's type. */
static bool is_bpe(const json_t *model)
{
    const json_t *type = json_object_get(model, "type");
    if (type == NULL)
        return json_object_get(model, "merges") != NULL;
    return json_is_string(type) && strcmp(json_string_value(type), "BPE") == 0;
}

static int read_root(struct tokenizer *t, json_t *root, struct err *e)
{
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    const json_t *added = json_object_get(root, "added_tokens");
    int r = rules_check(root_rules, root, "tokenizer", e);
    if (r != 0)
        return r;
    if (!is_bpe(model)) {
        const char *type = json_string_value(json_object_get(model, "type"));
        return err_set(
            e, ERR_DATA, "model.type: '%.64s', expected 'BPE'", type != NULL ? type : "");
    }
    r = rules_check(model_rules, model, "model", e);
    if (r != 0)
        return r;
    if (!json_is_object(vocab))
        return err_set(e, ERR_DATA, "model.vocab: expected an object of token to id");
    if (added != NULL && !json_is_array(added))
        return err_set(e, ERR_DATA, "added_tokens: expected a list");
    return bytes_is_kind(root) ? read_bytes(t, root, vocab, e) : read_characters(t, root, vocab, e);
}

int tokenizer_parse(
    const char *json, size_t n, const char *origin, struct tokenizer **ret, struct err *e)
{
    json_error_t at;
    if (n > LIMIT_JSON_BYTES)
        return err_set(
            e, ERR_DATA, "'%s': %zu bytes, the limit is %d", origin, n, LIMIT_JSON_BYTES);
    CLEANUP_JSON json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(root))
        return err_set(e, ERR_DATA, "'%s': line %d: %s", origin, root == NULL ? at.line : 1,
            root == NULL ? at.text : "expected an object");
    struct tokenizer *t = mem_alloc(sizeof(*t));
    t->origin = mem_strdup(origin);
    buf_append(&t->json, json, n);
    if (read_root(t, root, e) != 0 || tokenizer_index(t, e) != 0) {
        tokenizer_free(t);
        return err_ctx(e, "'%s'", origin);
    }
    *ret = t;
    return 0;
}

/* ---- writing ---- */

static int vocab_add(json_t *vocab, const char *text, size_t n, struct err *e)
{
    CLEANUP_FREE char *key = mem_strndup(text, n);
    if (n == 0 || !utf8_valid(text, n))
        return err_set(e, ERR_DATA, "token '%s': empty or not UTF-8", key);
    if (json_object_get(vocab, key) != NULL)
        return err_set(e, ERR_DATA, "token '%s': given twice", key);
    json_int_t id = (json_int_t)json_object_size(vocab);
    if (json_object_set_new(vocab, key, json_integer(id)) != 0)
        return err_set(e, ERR_FAIL, "token '%s': not accepted by the JSON library", key);
    return 0;
}

static json_t *added_token(size_t id, const char *content)
{
    return json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content",
        content, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", id == 0);
}

static json_t *whole_file(json_t *added, json_t *vocab)
{
    return json_pack("{s:s, s:n, s:n, s:O, s:n, s:n, s:n, s:{s:s},"
                     " s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:O, s:[]}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "type", "Fuse", "model", "type", "BPE",
        "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
        "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges");
}

int tokenizer_make_chars(const char *characters, const char *const *added, size_t added_count,
    struct buf *out_json, struct err *e)
{
    CLEANUP_JSON json_t *vocab = json_object();
    CLEANUP_JSON json_t *list = json_array();
    size_t n = strlen(characters);
    int r = added_count > 0
                ? 0
                : err_set(e, ERR_DATA, "tokenizer: no added token, expected at least end-of-text");
    for (size_t i = 0; i < added_count && r == 0; i++) {
        r = vocab_add(vocab, added[i], strlen(added[i]), e);
        (void)json_array_append_new(list, added_token(i, added[i])); /* fails with vocab_add only */
    }
    for (size_t at = 0, len; at < n && r == 0; at += len) {
        len = utf8_next(characters + at, n - at, NULL);
        if (len == 0)
            return err_set(e, ERR_DATA, "characters: byte 0x%02x at %zu, expected UTF-8",
                (unsigned char)characters[at], at);
        r = vocab_add(vocab, characters + at, len, e);
    }
    if (r != 0)
        return r;
    CLEANUP_JSON json_t *root = whole_file(list, vocab);
    CLEANUP_FREE char *text = json_dumps(root, JSON_INDENT(2));
    if (text == NULL)
        return err_set(e, ERR_FAIL, "tokenizer: the JSON library made no text");
    buf_puts(out_json, text);
    buf_puts(out_json, "\n");
    return 0;
}
