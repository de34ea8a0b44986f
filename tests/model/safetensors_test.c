/* safetensors_test.c: what is written is read, in every dtype and in shards; every kind of broken
 * or foreign file is refused with its name, before memory is allocated for it. */
#include "tests/model/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"

static char dir[] = "/tmp/safetensors_test.XXXXXX";

static char *in_dir(const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

/* ---- making files by hand ---- */

struct made {
    struct buf header, data;
    bool first;
};

static void made_start(struct made *m)
{
    *m = (struct made){.first = true};
    buf_puts(&m->header, "{");
}

static void made_header(struct made *m, const char *name, const char *dtype, const struct param *p,
    size_t begin, size_t end)
{
    buf_printf(&m->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%u", m->first ? "" : ",", name,
        dtype, p->shape[0]);
    if (p->rank == 2)
        buf_printf(&m->header, ",%u", p->shape[1]);
    buf_printf(&m->header, "],\"data_offsets\":[%zu,%zu]}", begin, end);
    m->first = false;
}

static void made_tensor(struct made *m, const struct param *p, const float *x)
{
    size_t begin = m->data.len;
    buf_append(&m->data, x, p->count * sizeof(float));
    made_header(m, p->name, "F32", p, begin, m->data.len);
}

/* Without the fsync of file_write_atomic: these files need not outlive the test. */
static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void made_write(struct made *m, const char *path)
{
    CLEANUP_BUF struct buf all = {0};
    buf_puts(&m->header, "}");
    buf_put_u64(&all, m->header.len);
    buf_append(&all, m->header.data, m->header.len);
    buf_append(&all, m->data.data, m->data.len);
    write_file(path, all.data, all.len);
    buf_done(&m->header);
    buf_done(&m->data);
}

/* ---- tests ---- */

static void make_model(struct model *m, const char *type, bool tied, uint64_t n)
{
    struct rng r = fixture_rng(n);
    struct model_config c = config_of(type, tied);
    model_init(m, &c, &r);
}

static void assert_same_params(const struct params *a, const struct params *b)
{
    struct hash x = params_digest(a), y = params_digest(b);
    assert_true(hash_equal(&x, &y));
}

static void round_trip(void **state)
{
    (void)state;
    static const char *const types[] = {"llama", "qwen2", "qwen3"};
    CLEANUP_FREE char *path = in_dir("round.safetensors");
    CLEANUP_FREE char *tmp = in_dir("round.safetensors.tmp");
    for (size_t i = 0; i < 6; i++) {
        struct err err;
        struct model m;
        struct params back;
        make_model(&m, types[i / 2], i % 2, i);
        assert_ok(params_write(&m.params, path, &err));
        assert_false(file_exists(tmp));
        assert_ok(params_new(m.table, &back, &err));
        assert_ok(params_read(&back, path, &err));
        assert_memory_equal(back.data, m.params.data, 16 * sizeof(float));
        assert_same_params(&back, &m.params);
        params_done(&back);
        model_done(&m);
    }
}

static void header_is_aligned(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    CLEANUP_FREE char *path = in_dir("aligned.safetensors");
    CLEANUP_BUF struct buf text = {0};
    make_model(&m, "llama", true, 0);
    assert_ok(params_write(&m.params, path, &err));
    assert_ok(file_read(path, 1 << 20, &text, &err));
    uint64_t n = get_u64(text.data);
    assert_int_equal(n % 8, 0);
    assert_int_equal(text.len, 8 + n + model_config_parameters(&m.config) * 4);
    assert_memory_equal(text.data + 8, "{\"__metadata__\":{\"format\":\"pt\"}", 30);
    model_done(&m);
}

static void write_fails_politely(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    CLEANUP_FREE char *path = in_dir("no/such/directory");
    make_model(&m, "llama", true, 0);
    assert_true(params_write(&m.params, path, &err) < 0);
    assert_non_null(strstr(err.msg, "no/such/directory"));
    model_done(&m);
}

/* What 16 bits mean, by the book: sign, exponent and fraction of the two formats. */
static float meaning(const char *dtype, uint16_t bits)
{
    int fraction_bits = strcmp(dtype, "F16") == 0 ? 10 : 7;
    int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (bits & 0x7fff) >> fraction_bits;
    double fraction = ldexp(bits & ((1 << fraction_bits) - 1), -fraction_bits);
    double size = exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1 + fraction, exponent - bias);
    return (float)(bits & 0x8000 ? -size : size);
}

/* A random pattern that is neither infinite nor a NaN. */
static uint16_t finite_bits(const char *dtype, struct rng *r)
{
    uint16_t infinity = strcmp(dtype, "F16") == 0 ? 0x7c00 : 0x7f80;
    return (uint16_t)(pick(r, 0, infinity - 1u) | (pick(r, 0, 1) ? 0x8000u : 0u));
}

static void half_types(void **state)
{
    (void)state;
    static const char *const dtypes[] = {"F16", "BF16"};
    CLEANUP_FREE char *path = in_dir("half.safetensors");
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++) {
        struct err err;
        struct model m;
        struct params back;
        struct made made;
        struct rng r = fixture_rng(100 + i);
        /* Zeros, the smallest and the largest subnormal, the smallest normal, the largest number.
         */
        static const uint16_t special[] = {
            0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x7f, 0x80, 0x7bff, 0xfbff};
        size_t used = 0;
        make_model(&m, "qwen2", true, i);
        made_start(&made);
        for (size_t k = 0; k < m.table->param_count; k++) {
            const struct param *p = &m.table->params[k];
            size_t begin = made.data.len;
            for (size_t j = 0; j < p->count; j++, used++) {
                uint16_t bits =
                    used < ARRAY_LEN(special) ? special[used] : finite_bits(dtypes[i], &r);
                m.params.data[p->offset + j] = meaning(dtypes[i], bits);
                buf_put_u16(&made.data, bits);
            }
            made_header(&made, p->name, dtypes[i], p, begin, made.data.len);
        }
        made_write(&made, path);
        assert_ok(params_new(m.table, &back, &err));
        assert_ok(params_read(&back, path, &err));
        assert_same_params(&m.params, &back);
        params_done(&back);
        model_done(&m);
    }
}

/* Writes the model with one change and expects the error to contain both texts. */
enum change {
    NO_CHANGE,
    MISSING,
    EXTRA,
    WRONG_SHAPE,
    WRONG_RANK,
    WRONG_DTYPE,
    UNKNOWN_DTYPE,
    SHORT_OFFSETS,
    OVERLAP,
    HOLE,
    BEYOND_END,
    TRAILING,
    DUPLICATE,
    HUGE_SHAPE,
};

static void write_changed(const struct model *m, enum change change, const char *path)
{
    struct made made;
    size_t victim = 3;
    made_start(&made);
    for (size_t k = 0; k < m->table->param_count; k++) {
        struct param p = m->table->params[k];
        const float *x = m->params.data + p.offset;
        size_t begin = made.data.len, bytes = p.count * sizeof(float);
        if (k != victim) {
            made_tensor(&made, &p, x);
            continue;
        }
        if (change == MISSING)
            continue;
        if (change == HOLE)
            begin += 4;
        if (change == HOLE)
            buf_append(&made.data, "hole", 4);
        if (change == OVERLAP)
            begin -= 4;
        size_t end = begin + bytes;
        if (change == WRONG_SHAPE) {
            uint32_t swap = p.shape[0];
            p.shape[0] = p.shape[1];
            p.shape[1] = swap;
        }
        if (change == WRONG_RANK) {
            p.rank = 1;
            p.shape[0] = (uint32_t)p.count;
        }
        if (change == HUGE_SHAPE)
            p.shape[0] = p.shape[1] = UINT32_MAX;
        if (change == SHORT_OFFSETS)
            end -= 4;
        if (change == BEYOND_END)
            end += 1 << 20;
        const char *dtype = change == WRONG_DTYPE ? "I32" : change == UNKNOWN_DTYPE ? "F13" : "F32";
        made_header(&made, p.name, dtype, &p, begin, end);
        if (change == DUPLICATE)
            made_header(&made, p.name, dtype, &p, begin, end);
        buf_append(&made.data, x, bytes);
    }
    if (change == EXTRA) {
        struct param p = {
            .name = "model.layers.9.foreign.weight", .rank = 1, .shape = {1}, .count = 1};
        made_tensor(&made, &p, m->params.data);
    }
    if (change == TRAILING)
        buf_puts(&made.data, "more");
    made_write(&made, path);
}

static void broken_files(void **state)
{
    (void)state;
    static const struct {
        enum change change;
        const char *expected;
    } cases[] = {
        {MISSING, "'model.layers.0.self_attn.k_proj.weight' is missing"},
        {EXTRA, "model.layers.9.foreign.weight"},
        {WRONG_SHAPE, "k_proj.weight': dimension 0 is 12, the model has 14"},
        {WRONG_RANK, "k_proj.weight' has 1 dimensions, the model has 2"},
        {WRONG_DTYPE, "k_proj.weight' is I32"},
        {UNKNOWN_DTYPE, "k_proj.weight': no dtype"},
        {SHORT_OFFSETS, "k_proj.weight': offsets"},
        {OVERLAP, "starts at byte"},
        {HOLE, "starts at byte"},
        {BEYOND_END, "k_proj.weight': offsets"},
        {TRAILING, "the file has"},
        {DUPLICATE, "JSON"},
        {HUGE_SHAPE, "overflows"},
    };
    struct err err;
    struct model m;
    struct params back;
    CLEANUP_FREE char *path = in_dir("broken.safetensors");
    struct rng r = fixture_rng(2);
    struct model_config c = config_of("llama", true);
    c.head_dim = 14;
    c.kv_heads = 1;
    model_init(&m, &c, &r);
    assert_ok(params_new(m.table, &back, &err));
    write_changed(&m, NO_CHANGE, path);
    assert_ok(params_read(&back, path, &err));
    assert_same_params(&back, &m.params);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_changed(&m, cases[i].change, path);
        int code = params_read(&back, path, &err);
        if (code != ERR_DATA || !strstr(err.msg, cases[i].expected) ||
            !strstr(err.msg, "broken.safetensors"))
            fail_msg("case %zu: %d \"%s\" lacks \"%s\"", i, code, code < 0 ? err.msg : "",
                cases[i].expected);
        assert_same_params(&back, &m.params); /* nothing was read from it */
    }
    params_done(&back);
    model_done(&m);
}

static void refuse_bytes(struct params *p, const void *bytes, size_t n)
{
    struct err err;
    CLEANUP_FREE char *path = in_dir("garbage.safetensors");
    write_file(path, bytes, n);
    assert_int_equal(params_read(p, path, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "garbage.safetensors"));
}

static void garbage(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct rng r = fixture_rng(3);
    make_model(&m, "qwen3", false, 3);
    CLEANUP_FREE char *path = in_dir("whole.safetensors");
    CLEANUP_BUF struct buf whole = {0};
    assert_ok(params_write(&m.params, path, &err));
    assert_ok(file_read(path, 1 << 20, &whole, &err));
    refuse_bytes(&m.params, "", 0);
    refuse_bytes(&m.params, "\x05\0\0\0\0\0\0", 7);
    refuse_bytes(&m.params, "\x02\0\0\0\0\0\0\0[]", 10);
    refuse_bytes(&m.params, "\x02\0\0\0\0\0\0\0{}", 10);
    refuse_bytes(&m.params, "\x03\0\0\0\0\0\0\0{}", 10);
    refuse_bytes(&m.params, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    refuse_bytes(&m.params, "\0\0\0\x7f\0\0\0\0{}", 10);
    for (int i = 0; i < 200; i++)
        refuse_bytes(&m.params, whole.data, pick(&r, 0, (uint32_t)whole.len - 1));
    /* A flipped byte of the header is an error or means the same; it never crashes. */
    uint64_t header = get_u64(whole.data);
    for (int i = 0; i < 1000; i++) {
        size_t at = pick(&r, 0, (uint32_t)header + 7);
        uint8_t was = whole.data[at];
        whole.data[at] = (uint8_t)pick(&r, 0, 255);
        write_file(path, whole.data, whole.len);
        int code = params_read(&m.params, path, &err);
        assert_true(code == 0 || code == ERR_DATA);
        whole.data[at] = was;
    }
    assert_int_equal(params_read(&m.params, dir, &err), ERR_DATA);
    CLEANUP_FREE char *missing = in_dir("missing.safetensors");
    assert_int_equal(params_read(&m.params, missing, &err), ERR_DATA);
    model_done(&m);
}

static void redundant_tensors_are_ignored(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct made made;
    CLEANUP_FREE char *path = in_dir("redundant.safetensors");
    make_model(&m, "qwen3", true, 4);
    made_start(&made);
    for (size_t k = 0; k < m.table->param_count; k++)
        made_tensor(&made, &m.table->params[k], m.params.data + m.table->params[k].offset);
    struct param head = m.table->params[0], frequencies = {.rank = 1, .shape = {3}, .count = 3};
    head.name = "lm_head.weight";
    frequencies.name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    made_tensor(&made, &head, m.params.data);
    made_tensor(&made, &frequencies, m.params.data);
    made_write(&made, path);
    assert_ok(params_read(&m.params, path, &err));
    model_done(&m);
}

/* ---- directories ---- */

static void write_shards(const struct model *m, const char *where, int shards, const char *twice)
{
    CLEANUP_BUF struct buf index = {0}, config = {0};
    buf_puts(&index, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (int s = 0; s < shards; s++) {
        struct made made;
        CLEANUP_FREE char *path = mem_printf("%s/model-%d.safetensors", where, s);
        made_start(&made);
        for (size_t k = 0; k < m->table->param_count; k++) {
            const struct param *p = &m->table->params[k];
            bool here = (int)(k % (size_t)shards) == s;
            if (!here && !(twice && strcmp(twice, p->name) == 0))
                continue;
            made_tensor(&made, p, m->params.data + p->offset);
            if (here)
                buf_printf(&index, "%s\"%s\":\"model-%d.safetensors\"",
                    index.data[index.len - 1] == '{' ? "" : ",", p->name, s);
        }
        made_write(&made, path);
    }
    buf_puts(&index, "}}");
    model_config_print(&m->config, &config);
    CLEANUP_FREE char *index_path = mem_printf("%s/model.safetensors.index.json", where);
    CLEANUP_FREE char *config_path = mem_printf("%s/config.json", where);
    write_file(index_path, index.data, index.len);
    write_file(config_path, config.data, config.len);
}

static void shards(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct model_config c;
    struct params back;
    CLEANUP_FREE char *where = in_dir("sharded");
    CLEANUP_FREE char *one = mem_printf("%s/model-1.safetensors", where);
    CLEANUP_FREE char *index = mem_printf("%s/model.safetensors.index.json", where);
    static const char outside[] = "{\"weight_map\":{\"a\":\"../model-1.safetensors\"}}";
    make_model(&m, "qwen2", false, 5);
    assert_ok(file_mkdirs(where, 0755, &err));
    write_shards(&m, where, 3, NULL);
    assert_ok(model_dir_config(where, &c, &err));
    assert_memory_equal(&c, &m.config, sizeof(c));
    assert_ok(params_new(m.table, &back, &err));
    assert_ok(model_dir_read(where, &back, &err));
    assert_same_params(&m.params, &back);
    write_shards(&m, where, 3, "model.norm.weight");
    assert_int_equal(model_dir_read(where, &back, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "model.norm.weight' was already in"));
    write_shards(&m, where, 3, NULL);
    assert_int_equal(unlink(one), 0);
    assert_int_equal(model_dir_read(where, &back, &err), ERR_DATA);
    assert_non_null(strstr(err.msg, "model-1.safetensors"));
    write_file(index, outside, strlen(outside));
    assert_int_equal(model_dir_read(where, &back, &err), ERR_DATA);
    write_file(index, "{\"weight_map\":[]}", 17);
    assert_int_equal(model_dir_read(where, &back, &err), ERR_DATA);
    write_file(index, "nonsense", 8);
    assert_int_equal(model_dir_read(where, &back, &err), ERR_DATA);
    params_done(&back);
    model_done(&m);
}

static void directory_round_trip(void **state)
{
    (void)state;
    struct err err;
    struct model a, b;
    struct params back;
    CLEANUP_FREE char *where = in_dir("written/");
    CLEANUP_FREE char *tokenizer = in_dir("written/tokenizer.json");
    CLEANUP_FREE char *tmp = in_dir("written.tmp");
    CLEANUP_BUF struct buf text = {0};
    make_model(&a, "llama", false, 6);
    make_model(&b, "llama", false, 7);
    assert_ok(params_new(a.table, &back, &err));
    assert_ok(model_dir_write(where, &a.params, "{}", 2, &err));
    assert_ok(model_dir_read(where, &back, &err));
    assert_same_params(&a.params, &back);
    assert_ok(file_read(tokenizer, 100, &text, &err));
    assert_string_equal(text.data, "{}");
    /* Again over the old one, as a stage does that was killed after the rename. */
    assert_ok(model_dir_write(where, &b.params, NULL, 0, &err));
    assert_ok(model_dir_read(where, &back, &err));
    assert_same_params(&b.params, &back);
    assert_false(file_exists(tokenizer));
    assert_false(file_exists(tmp));
    params_done(&back);
    model_done(&a);
    model_done(&b);
}

static void directory_refused(void **state)
{
    (void)state;
    struct err err;
    struct model m;
    struct model_config c;
    CLEANUP_FREE char *other = in_dir("other");
    CLEANUP_FREE char *precious = in_dir("other/precious.txt");
    make_model(&m, "llama", false, 8);
    assert_ok(file_mkdirs(other, 0755, &err));
    write_file(precious, "data", 4);
    assert_true(model_dir_write(other, &m.params, NULL, 0, &err) < 0);
    assert_true(file_exists(precious));
    assert_int_equal(model_dir_config(other, &c, &err), ERR_DATA);
    assert_int_equal(model_dir_read(other, &m.params, &err), ERR_DATA);
    assert_int_equal(model_dir_config("/no/such/dir", &c, &err), ERR_DATA);
    model_done(&m);
}

static int remove_dir(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(header_is_aligned),
        cmocka_unit_test(write_fails_politely),
        cmocka_unit_test(half_types),
        cmocka_unit_test(broken_files),
        cmocka_unit_test(garbage),
        cmocka_unit_test(redundant_tensors_are_ignored),
        cmocka_unit_test(shards),
        cmocka_unit_test(directory_round_trip),
        cmocka_unit_test(directory_refused),
    };
    fixture_start(argc, argv);
    if (!mkdtemp(dir))
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_dir);
}
