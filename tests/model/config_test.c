/* config_test.c: config.json of the three families, and what must be refused by name. */
#include "tests/model/fixture.h"

#include <string.h>

static const char LLAMA[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"vocab_size\": 128,"
    " \"hidden_size\": 32, \"intermediate_size\": 80, \"num_hidden_layers\": 2,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"max_position_embeddings\": 512,"
    " \"rms_norm_eps\": 1e-5, \"rope_theta\": 500000.0, \"tie_word_embeddings\": false,"
    " \"eos_token_id\": [7, 9], \"hidden_act\": \"silu\", \"attention_bias\": false,"
    " \"mlp_bias\": false, \"rope_scaling\": null, \"torch_dtype\": \"bfloat16\"}";

static const char QWEN2[] =
    "{\"architectures\": [\"Qwen2ForCausalLM\"], \"model_type\": \"qwen2\", \"vocab_size\": 128,"
    " \"hidden_size\": 48, \"intermediate_size\": 80, \"num_hidden_layers\": 3,"
    " \"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"max_position_embeddings\": 512,"
    " \"rms_norm_eps\": 1e-6, \"rope_theta\": 10000, \"tie_word_embeddings\": true,"
    " \"eos_token_id\": 5, \"use_sliding_window\": false, \"sliding_window\": 4096,"
    " \"max_window_layers\": 21}";

static const char QWEN3[] =
    "{\"model_type\": \"qwen3\", \"vocab_size\": 128, \"hidden_size\": 48, \"head_dim\": 16,"
    " \"intermediate_size\": 80, \"num_hidden_layers\": 3, \"num_attention_heads\": 6,"
    " \"num_key_value_heads\": 2, \"max_position_embeddings\": 512, \"attention_bias\": false,"
    " \"rope_parameters\": {\"rope_theta\": 1000000, \"rope_type\": \"default\"},"
    " \"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\"]}";

static int parse(const char *json, struct model_config *c, struct err *err)
{
    return model_config_parse(json, strlen(json), "config.json", c, err);
}

static void families(void **state)
{
    (void)state;
    struct err err;
    struct model_config c;
    assert_ok(parse(LLAMA, &c, &err));
    assert_string_equal(c.type, "llama");
    assert_int_equal(c.head_dim, 8);
    assert_int_equal(c.eos_count, 2);
    assert_int_equal(c.eos[1], 9);
    assert_true(c.rope_theta == 500000 && c.norm_eps == 1e-5f);
    assert_false(c.qkv_bias || c.qk_norm || c.tied);
    assert_ok(parse(QWEN2, &c, &err));
    assert_true(c.qkv_bias && c.tied && !c.qk_norm);
    assert_int_equal(c.eos[0], 5);
    assert_ok(parse(QWEN3, &c, &err));
    assert_true(c.qk_norm && !c.qkv_bias && c.rope_theta == 1e6);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.eos_count, 0);
}

static void printed_is_parsed(void **state)
{
    (void)state;
    const char *all[] = {LLAMA, QWEN2, QWEN3};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct err err;
        struct model_config was, is;
        CLEANUP_BUF struct buf text = {0};
        assert_ok(parse(all[i], &was, &err));
        was.rope_theta = 1234567.125;
        was.norm_eps = 1.1e-6f;
        model_config_print(&was, &text);
        assert_ok(parse((const char *)text.data, &is, &err));
        assert_memory_equal(&was, &is, sizeof(was));
    }
}

static void parameter_count(void **state)
{
    (void)state;
    struct err err;
    struct model_config c;
    assert_ok(parse(LLAMA, &c, &err));
    size_t layer = 2 * 32 + 32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 32 * 80;
    assert_int_equal(model_config_parameters(&c), 2 * 128 * 32 + 2 * layer + 32);
    c.tied = true;
    assert_int_equal(model_config_parameters(&c), 128 * 32 + 2 * layer + 32);
    c.qkv_bias = c.qk_norm = true;
    assert_int_equal(
        model_config_parameters(&c), 128 * 32 + 2 * (layer + 32 + 2 * 16 + 2 * 8) + 32);
}

/* Replaces the first `from` of LLAMA; the error must be ERR_DATA and contain `expected`. */
static void refuse(const char *from, const char *to, const char *expected)
{
    CLEANUP_BUF struct buf text = {0};
    struct model_config c = {.vocab = 77};
    struct err err;
    const char *at = strstr(LLAMA, from);
    assert_non_null(at);
    buf_append(&text, LLAMA, (size_t)(at - LLAMA));
    buf_puts(&text, to);
    buf_puts(&text, at + strlen(from));
    int r = parse((const char *)text.data, &c, &err);
    if (r != ERR_DATA || !strstr(err.msg, expected) || !strstr(err.msg, "config.json"))
        fail_msg("'%s' for '%s': %d, \"%s\" does not contain '%s'", to, from, r,
            r < 0 ? err.msg : "", expected);
    assert_int_equal(c.vocab, 77);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *expected;
    } cases[] = {
        {"\"model_type\": \"llama\"", "\"model_type\": \"gpt2\"", "gpt2"},
        {"\"model_type\": \"llama\"", "\"model_type\": 3", "model_type"},
        {"\"model_type\": \"llama\",", "", "model_type"},
        {"LlamaForCausalLM", "LlamaForSequenceClassification", "LlamaForSequenceClassification"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8}",
            "llama3"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\"}", "linear"},
        {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "gelu"},
        {"\"attention_bias\": false", "\"attention_bias\": true", "attention_bias"},
        {"\"attention_bias\": false", "\"attention_bias\": 1", "attention_bias"},
        {"\"mlp_bias\": false", "\"mlp_bias\": true", "mlp_bias"},
        {"\"mlp_bias\": false", "\"use_sliding_window\": true", "use_sliding_window"},
        {"\"mlp_bias\": false", "\"layer_types\": [\"sliding_attention\"]", "sliding_attention"},
        {"\"mlp_bias\": false", "\"quantization_config\": {}", "quantization_config"},
        {"\"mlp_bias\": false", "\"partial_rotary_factor\": 0.5", "partial_rotary_factor"},
        {"\"hidden_size\": 32", "\"hidden_size\": 0", "hidden_size"},
        {"\"hidden_size\": 32", "\"hidden_size\": -1", "hidden_size"},
        {"\"hidden_size\": 32", "\"hidden_size\": 1e9", "hidden_size"},
        {"\"hidden_size\": 32", "\"hidden_size\": 65537", "hidden_size"},
        {"\"hidden_size\": 32", "\"hidden_size\": 34", "hidden_size"},
        {"\"hidden_size\": 32", "\"hidden_size\": 12", "head_dim"},
        {"\"hidden_size\": 32,", "", "hidden_size"},
        {"\"hidden_size\": 32", "\"hidden_size\": 99999999999", "hidden_size"},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "num_attention_heads"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 0", "num_key_value_heads"},
        {"1e-5", "0", "rms_norm_eps"},
        {"1e-5", "\"small\"", "rms_norm_eps"},
        {"500000.0", "0.5", "rope_theta"},
        {"[7, 9]", "128", "eos_token_id"},
        {"[7, 9]", "[1,2,3,4,5,6,7,8,9]", "eos_token_id"},
        {"[7, 9]", "[1, \"x\"]", "eos_token_id"},
        {"\"vocab_size\": 128", "\"vocab_size\": 128, \"vocab_size\": 64", "JSON"},
        {"}", "", "JSON"},
        {"{", "[1,{", "JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        refuse(cases[i].from, cases[i].to, cases[i].expected);
    struct model_config c;
    struct err err;
    assert_int_equal(parse("", &c, &err), ERR_DATA);
    assert_int_equal(parse("[]", &c, &err), ERR_DATA);
    assert_int_equal(parse("{}", &c, &err), ERR_DATA);
    assert_int_equal(parse("\xff\xfe", &c, &err), ERR_DATA);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families),
        cmocka_unit_test(printed_is_parsed),
        cmocka_unit_test(parameter_count),
        cmocka_unit_test(refused),
    };
    fixture_start(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
