/* model_config.c: config.json, both ways. The table below maps each shape key to its field and
 * bounds; what a key asks for beyond plain dense attention is looked at by refuse_unsupported. */
#include "common/model/model_config.h"

#include <math.h>
#include <stdio.h>

#include <jansson.h>

enum { CONFIG_JSON_MAX = 1 << 20 };

/* A shape: one unsigned number of config.json. default_of: used when the key is absent and the
 * entry is not required. */
struct shape_key {
    const char *key;
    size_t offset;
    uint32_t min, max;
    bool required;
};

#define SHAPE(key, field, min, max, required)                                                      \
    {                                                                                              \
        key, offsetof(struct model_config, field), min, max, required                              \
    }

static const struct shape_key shape_keys[] = {
    SHAPE("vocab_size", vocab, 2, 1 << 21, true),
    SHAPE("hidden_size", hidden, 1, 1 << 16, true),
    SHAPE("num_hidden_layers", layers, 1, 1024, true),
    SHAPE("num_attention_heads", heads, 1, 1024, true),
    SHAPE("num_key_value_heads", kv_heads, 1, 1024, false),
    SHAPE("head_dim", head_dim, 2, 1024, false),
    SHAPE("intermediate_size", ffn, 1, 1 << 20, true),
    SHAPE("max_position_embeddings", context, 1, 1 << 20, true),
};

/* What distinguishes the families: everything else is read from the file. */
struct family {
    const char *type, *architecture;
    bool qkv_bias, qk_norm;
    uint32_t head_dim; /* when the file has none; 0: hidden / heads */
};

static const struct family families[] = {
    {"llama", "LlamaForCausalLM", false, false, 0},
    {"qwen2", "Qwen2ForCausalLM", true, false, 0},
    {"qwen3", "Qwen3ForCausalLM", false, true, 128},
};

static const struct family *family_find(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (strcmp(families[i].type, type) == 0)
            return &families[i];
    }
    return NULL;
}

static uint32_t *shape_field(struct model_config *c, const struct shape_key *k)
{
    return (uint32_t *)((char *)c + k->offset);
}

static int check_shapes(const struct model_config *c, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(shape_keys); i++) {
        const struct shape_key *k = &shape_keys[i];
        uint32_t v = *(const uint32_t *)((const char *)c + k->offset);
        if (v < k->min || v > k->max)
            return err_set(e, ERR_DATA, "%s is %u, expected %u to %u", k->key, v, k->min, k->max);
    }
    if (c->heads % c->kv_heads != 0)
        return err_set(e, ERR_DATA,
            "num_attention_heads %u is not a multiple of num_key_value_heads %u", c->heads,
            c->kv_heads);
    if (c->head_dim % 2 != 0)
        return err_set(e, ERR_DATA, "head_dim %u is odd, RoPE rotates pairs", c->head_dim);
    return 0;
}

int model_config_check(const struct model_config *c, struct err *e)
{
    if (!memchr(c->type, 0, sizeof(c->type)) || !family_find(c->type))
        return err_set(
            e, ERR_DATA, "model_type '%.15s' is not supported (llama, qwen2, qwen3 are)", c->type);
    if (check_shapes(c, e) < 0)
        return e ? e->code : ERR_DATA;
    if (!(c->norm_eps > 0 && c->norm_eps < 1))
        return err_set(
            e, ERR_DATA, "rms_norm_eps is %g, expected above 0 and below 1", (double)c->norm_eps);
    if (!(c->rope_theta >= 1 && c->rope_theta <= 1e12))
        return err_set(e, ERR_DATA, "rope_theta is %g, expected 1 to 1e12", c->rope_theta);
    if (c->eos_count > MODEL_EOS_MAX)
        return err_set(
            e, ERR_DATA, "eos_token_id has %u ids, at most %d", c->eos_count, MODEL_EOS_MAX);
    for (uint32_t i = 0; i < c->eos_count; i++) {
        if (c->eos[i] >= c->vocab)
            return err_set(
                e, ERR_DATA, "eos_token_id %u is not below vocab_size %u", c->eos[i], c->vocab);
    }
    return 0;
}

/* ---- reading ---- */

/* NULL for an absent key and for JSON null alike: Hugging Face writes both for "not set". */
static const json_t *lookup(const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);
    return json_is_null(v) ? NULL : v;
}

static int read_u32(const json_t *v, const char *key, uint32_t *ret, struct err *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
        return err_set(e, ERR_DATA, "%s is not an unsigned 32-bit integer", key);
    *ret = (uint32_t)json_integer_value(v);
    return 0;
}

static int read_number(const json_t *root, const char *key, double *ret, struct err *e)
{
    const json_t *v = lookup(root, key);
    if (!v)
        return 0;
    if (!json_is_number(v))
        return err_set(e, ERR_DATA, "%s is not a number", key);
    *ret = json_number_value(v);
    return 0;
}

static int read_bool(const json_t *root, const char *key, bool *ret, struct err *e)
{
    const json_t *v = lookup(root, key);
    if (!v)
        return 0;
    if (!json_is_boolean(v))
        return err_set(e, ERR_DATA, "%s is not true or false", key);
    *ret = json_is_true(v);
    return 0;
}

static int read_shapes(
    const json_t *root, const struct family *f, struct model_config *c, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(shape_keys); i++) {
        const struct shape_key *k = &shape_keys[i];
        const json_t *v = lookup(root, k->key);
        if (!v && k->required)
            return err_set(e, ERR_DATA, "%s is missing", k->key);
        int r = v ? read_u32(v, k->key, shape_field(c, k), e) : 0;
        if (r < 0)
            return r;
    }
    if (!lookup(root, "num_key_value_heads"))
        c->kv_heads = c->heads;
    if (!lookup(root, "head_dim")) {
        if (!f->head_dim && (c->heads == 0 || c->hidden % c->heads != 0))
            return err_set(e, ERR_DATA,
                "hidden_size %u is not a multiple of num_attention_heads %u and head_dim is "
                "missing",
                c->hidden, c->heads);
        c->head_dim = f->head_dim ? f->head_dim : c->hidden / c->heads;
    }
    return 0;
}

static int read_eos(const json_t *root, struct model_config *c, struct err *e)
{
    const json_t *v = lookup(root, "eos_token_id");
    if (!v)
        return 0;
    if (!json_is_array(v)) {
        c->eos_count = 1;
        return read_u32(v, "eos_token_id", &c->eos[0], e);
    }
    if (json_array_size(v) > MODEL_EOS_MAX)
        return err_set(
            e, ERR_DATA, "eos_token_id has %zu ids, at most %d", json_array_size(v), MODEL_EOS_MAX);
    c->eos_count = (uint32_t)json_array_size(v);
    for (uint32_t i = 0; i < c->eos_count; i++) {
        int r = read_u32(json_array_get(v, i), "eos_token_id", &c->eos[i], e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* rope_theta lies at the top (older files) or in rope_parameters (transformers 5); a scaling other
 * than the default would change every position, so it is refused. */
static int read_rope(const json_t *root, struct model_config *c, struct err *e)
{
    static const char *const objects[] = {"rope_scaling", "rope_parameters"};
    int r = read_number(root, "rope_theta", &c->rope_theta, e);
    for (size_t i = 0; i < ARRAY_LEN(objects) && r == 0; i++) {
        const json_t *rope = lookup(root, objects[i]);
        if (!rope)
            continue;
        const json_t *type = lookup(rope, "rope_type");
        if (!type)
            type = lookup(rope, "type");
        const char *name = type ? json_string_value(type) : "default";
        if (!name || strcmp(name, "default") != 0)
            return err_set(e, ERR_DATA, "%s asks for rope type '%s', only 'default' is supported",
                objects[i], name ? name : "?");
        r = read_number(rope, "rope_theta", &c->rope_theta, e);
    }
    return r;
}

static int refuse_true(const json_t *root, const char *key, struct err *e)
{
    bool on = false;
    int r = read_bool(root, key, &on, e);
    if (r == 0 && on)
        return err_set(e, ERR_DATA, "%s is true, which is not supported", key);
    return r;
}

static int refuse_string_but(
    const json_t *root, const char *key, const char *expected, struct err *e)
{
    const json_t *v = lookup(root, key);
    if (!v)
        return 0;
    const char *s = json_string_value(v);
    if (!s || strcmp(s, expected) != 0)
        return err_set(
            e, ERR_DATA, "%s is '%s', only '%s' is supported", key, s ? s : "?", expected);
    return 0;
}

static int refuse_unsupported(const json_t *root, const struct family *f, struct err *e)
{
    static const char *const switches[] = {"use_sliding_window", "mlp_bias", "attention_bias"};
    int r = refuse_string_but(root, "hidden_act", "silu", e);
    for (size_t i = 0; i < ARRAY_LEN(switches) && r == 0; i++) {
        /* Llama's and Qwen3's attention_bias also biases the output projection; Qwen2's biases of
         * query, key and value are always there and have no switch. */
        r = refuse_true(root, switches[i], e);
    }
    const json_t *architectures = lookup(root, "architectures");
    if (r == 0 && architectures) {
        const char *first = json_string_value(json_array_get(architectures, 0));
        if (!first || strcmp(first, f->architecture) != 0)
            return err_set(e, ERR_DATA, "architectures names '%s', expected '%s'",
                first ? first : "?", f->architecture);
    }
    const json_t *layer, *layers = lookup(root, "layer_types");
    size_t i;
    json_array_foreach(layers, i, layer)
    {
        const char *s = json_string_value(layer);
        if (!s || strcmp(s, "full_attention") != 0)
            return err_set(e, ERR_DATA, "layer_types has '%s', only 'full_attention' is supported",
                s ? s : "?");
    }
    if (r == 0 && lookup(root, "quantization_config"))
        return err_set(e, ERR_DATA, "quantization_config is set, quantised weights are not read");
    double rotary = 1;
    if (r == 0)
        r = read_number(root, "partial_rotary_factor", &rotary, e);
    if (r == 0 && rotary != 1)
        return err_set(e, ERR_DATA, "partial_rotary_factor is %g, only 1 is supported", rotary);
    return r;
}

static int parse_object(const json_t *root, struct model_config *c, struct err *e)
{
    const char *type = json_string_value(json_object_get(root, "model_type"));
    const struct family *f = type ? family_find(type) : NULL;
    if (!f)
        return err_set(e, ERR_DATA, "model_type '%.40s' is not supported (llama, qwen2, qwen3 are)",
            type ? type : "");
    memcpy(c->type, f->type, strlen(f->type) + 1);
    c->qkv_bias = f->qkv_bias;
    c->qk_norm = f->qk_norm;
    c->rope_theta = 10000;
    double eps = 1e-6;
    int r = refuse_unsupported(root, f, e);
    if (r == 0)
        r = read_shapes(root, f, c, e);
    if (r == 0)
        r = read_rope(root, c, e);
    if (r == 0)
        r = read_number(root, "rms_norm_eps", &eps, e);
    if (r == 0)
        r = read_bool(root, "tie_word_embeddings", &c->tied, e);
    if (r == 0)
        r = read_eos(root, c, e);
    c->norm_eps = (float)eps;
    return r == 0 ? model_config_check(c, e) : r;
}

int model_config_parse(
    const char *json, size_t n, const char *origin, struct model_config *ret, struct err *e)
{
    if (n > CONFIG_JSON_MAX)
        return err_set(e, ERR_DATA, "%s: %zu bytes, at most %d", origin, n, CONFIG_JSON_MAX);
    json_error_t at;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &at);
    if (!root)
        return err_set(e, ERR_DATA, "%s:%d: not JSON: %s", origin, at.line, at.text);
    struct model_config c = {0};
    int r = json_is_object(root) ? parse_object(root, &c, e)
                                 : err_set(e, ERR_DATA, "not a JSON object");
    json_decref(root);
    if (r < 0)
        return err_ctx(e, "%s", origin);
    *ret = c;
    return 0;
}

/* ---- writing ---- */

static void print_eos(const struct model_config *c, struct buf *out)
{
    if (c->eos_count == 0) {
        buf_puts(out, "null");
    } else if (c->eos_count == 1) {
        buf_printf(out, "%u", c->eos[0]);
    } else {
        for (uint32_t i = 0; i < c->eos_count; i++)
            buf_printf(out, "%s%u", i == 0 ? "[" : ", ", c->eos[i]);
        buf_puts(out, "]");
    }
}

void model_config_print(const struct model_config *c, struct buf *out)
{
    const struct family *f = family_find(c->type);
    buf_printf(out, "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n",
        f ? f->architecture : "", c->type);
    for (size_t i = 0; i < ARRAY_LEN(shape_keys); i++)
        buf_printf(out, "  \"%s\": %u,\n", shape_keys[i].key,
            *(const uint32_t *)((const char *)c + shape_keys[i].offset));
    buf_printf(
        out, "  \"hidden_act\": \"silu\",\n  \"rms_norm_eps\": %.9g,\n", (double)c->norm_eps);
    buf_printf(out, "  \"rope_theta\": %.17g,\n  \"tie_word_embeddings\": %s,\n", c->rope_theta,
        c->tied ? "true" : "false");
    buf_puts(out, "  \"eos_token_id\": ");
    print_eos(c, out);
    buf_puts(out, ",\n  \"torch_dtype\": \"float32\"\n}\n");
}
