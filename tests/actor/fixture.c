/* fixture.c: see fixture.h. */
#include "tests/actor/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/file.h"

struct model_config fixture_config(void)
{
    struct model_config c = {.type = "llama",
        .vocab = 24,
        .hidden = 16,
        .layers = 1,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 8,
        .ffn = 24,
        .context = 48,
        .norm_eps = 1e-6f,
        .rope_theta = 100,
        .tied = true,
        .eos = {0},
        .eos_count = 1};
    return c;
}

void fixture_dir_init(char dir[64])
{
    (void)snprintf(dir, 64, "/tmp/cohort-actor-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

void fixture_dir_done(const char *dir)
{
    struct err err = {0};
    assert_ok(file_remove_tree(dir, &err));
}

void fixture_version_init(
    struct fixture_version *v, const struct param_table *t, const char *dir, uint64_t version)
{
    struct err err = {0};
    struct stat st;
    *v = (struct fixture_version){0};
    assert_ok(params_new(t, &v->params, &err));
    params_init_random(&v->params, version + 1);
    v->digest = params_digest(&v->params);
    (void)snprintf(
        v->path, sizeof(v->path), "%s/v%llu.safetensors", dir, (unsigned long long)version);
    assert_ok(params_write(&v->params, v->path, &err));
    assert_ok(file_read(v->path, 1 << 20, &v->file, &err));
    assert_int_equal(stat(v->path, &st), 0);
    size_t count = (v->file.len + FIXTURE_CHUNK - 1) / FIXTURE_CHUNK;
    assert_in_range(count, 2, FIXTURE_CHUNKS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t at = i * FIXTURE_CHUNK, n = v->file.len - at;
        v->chunks[i] = hash_of(v->file.data + at, n < FIXTURE_CHUNK ? n : FIXTURE_CHUNK);
    }
    v->manifest = (struct weights_manifest){.version = version,
        .bytes = v->file.len,
        .device = st.st_dev,
        .inode = st.st_ino,
        .digest = v->digest,
        .chunk_bytes = FIXTURE_CHUNK,
        .chunk_hashes = v->chunks,
        .chunk_count = count,
        .path = v->path};
}

void fixture_version_done(struct fixture_version *v)
{
    params_done(&v->params);
    buf_done(&v->file);
}
