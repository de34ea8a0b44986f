/* blobs.c: see blobs.h. */
#include "learner/blobs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/net/worker.h"
#include "learner/idmap.h"

enum { MANIFEST_CHUNK_BYTES = 1 << 20 };

/* ---- weights of a version ---- */

static int hash_chunks(int fd, uint64_t bytes, struct buf *hashes, struct err *e)
{
    CLEANUP_FREE uint8_t *chunk = mem_alloc(MANIFEST_CHUNK_BYTES);
    for (uint64_t at = 0; at < bytes; at += MANIFEST_CHUNK_BYTES) {
        uint64_t left = bytes - at;
        size_t n = left < MANIFEST_CHUNK_BYTES ? (size_t)left : MANIFEST_CHUNK_BYTES;
        int r = file_pread_all(fd, chunk, n, at, e);
        if (r)
            return r;
        struct hash h = hash_of(chunk, n);
        buf_append(hashes, h.b, HASH_BYTES);
    }
    return 0;
}

static int fill(
    struct version_blob *b, const char *path, const struct version_file *file, struct err *e)
{
    struct stat st;
    char absolute[PATH_MAX];
    if (fstat(b->fd, &st) || !realpath(path, absolute))
        return err_sys(e, ERR_DATA, "'%s'", path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->bytes)
        return err_set(e, ERR_DATA, "'%s': %jd bytes, expected %ju", path, (intmax_t)st.st_size,
            (uintmax_t)file->bytes);
    CLEANUP_BUF struct buf hashes = {0};
    int r = hash_chunks(b->fd, file->bytes, &hashes, e);
    if (r)
        return r;
    struct weights_manifest m = {.version = b->version,
        .bytes = file->bytes,
        .device = (uint64_t)st.st_dev,
        .inode = (uint64_t)st.st_ino,
        .digest = file->digest,
        .chunk_bytes = MANIFEST_CHUNK_BYTES,
        .chunk_hashes = (const struct hash *)(const void *)hashes.data,
        .chunk_count = hashes.len / HASH_BYTES,
        .path = absolute};
    worker_boot_id(m.boot_id);
    b->bytes = file->bytes;
    weights_manifest_pack(&b->manifest, &m);
    return 0;
}

int version_blob_open(const char *run_dir, uint64_t version, const struct version_file *file,
    struct version_blob **ret, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", run_dir, file->path);
    struct version_blob *b = mem_alloc(sizeof(*b));
    b->version = version;
    b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = b->fd < 0 ? err_sys(e, ERR_DATA, "open '%s'", path) : fill(b, path, file, e);
    if (r) {
        version_blob_close(b);
        return err_ctx(e, "weights of version %ju", (uintmax_t)version);
    }
    *ret = b;
    return 0;
}

void version_blob_close(struct version_blob *b)
{
    if (!b)
        return;
    file_close(&b->fd);
    buf_done(&b->manifest);
    free(b);
}

/* ---- the set ---- */

struct blobs {
    struct idmap inputs;                              /* job -> struct buf *, owned */
    struct buf config;                                /* of the model */
    struct version_blob *versions[BLOB_VERSIONS_MAX]; /* owned; NULL: free place */
};

struct blobs *blobs_new(void)
{
    return mem_alloc(sizeof(struct blobs));
}

void blobs_free(struct blobs *b)
{
    if (!b)
        return;
    blobs_drop_inputs(b);
    for (size_t i = 0; i < BLOB_VERSIONS_MAX; i++)
        version_blob_close(b->versions[i]);
    idmap_done(&b->inputs);
    buf_done(&b->config);
    free(b);
}

static void input_free(struct buf *data)
{
    if (!data)
        return;
    buf_done(data);
    free(data);
}

struct blob_ref blobs_put(struct blobs *b, enum blob_kind kind, uint64_t id, struct buf *data)
{
    struct blob_ref ref = {
        .kind = kind, .id = id, .bytes = data->len, .hash = hash_of(data->data, data->len)};
    blobs_drop(b, kind, id);
    if (kind == BLOB_MODEL_CONFIG)
        b->config = *data;
    else
        idmap_put(&b->inputs, id, mem_dup(data, sizeof(*data)));
    *data = (struct buf){0};
    return ref;
}

void blobs_drop(struct blobs *b, enum blob_kind kind, uint64_t id)
{
    if (kind == BLOB_MODEL_CONFIG)
        buf_done(&b->config);
    else
        input_free(idmap_take(&b->inputs, id));
}

void blobs_drop_inputs(struct blobs *b)
{
    size_t at = 0;
    for (struct buf *d = idmap_next(&b->inputs, &at); d; d = idmap_next(&b->inputs, &at))
        input_free(d);
    idmap_done(&b->inputs);
}

static struct version_blob *find_version(const struct blobs *b, uint64_t version)
{
    for (size_t i = 0; i < BLOB_VERSIONS_MAX; i++) {
        if (b->versions[i] && b->versions[i]->version == version)
            return b->versions[i];
    }
    return NULL;
}

void blobs_put_version(struct blobs *b, struct version_blob *v)
{
    size_t place = 0;
    blobs_drop_version(b, v->version);
    for (size_t i = 0; i < BLOB_VERSIONS_MAX && b->versions[place]; i++) {
        if (!b->versions[i] || b->versions[i]->version < b->versions[place]->version)
            place = i;
    }
    version_blob_close(b->versions[place]);
    b->versions[place] = v;
}

void blobs_drop_version(struct blobs *b, uint64_t version)
{
    for (size_t i = 0; i < BLOB_VERSIONS_MAX; i++) {
        if (b->versions[i] && b->versions[i]->version == version) {
            version_blob_close(b->versions[i]);
            b->versions[i] = NULL;
        }
    }
}

bool blobs_has_version(const struct blobs *b, uint64_t version)
{
    return find_version(b, version) != NULL;
}

/* ---- reading ---- */

static const struct buf *held_bytes(const struct blobs *b, const struct msg_get_blob *g)
{
    const struct version_blob *v;
    switch (g->kind) {
    case BLOB_MODEL_CONFIG:
        return g->id == 0 ? &b->config : NULL;
    case BLOB_GRADE_INPUT:
        return idmap_get(&b->inputs, g->id);
    case BLOB_WEIGHTS_MANIFEST:
        v = find_version(b, g->id);
        return v ? &v->manifest : NULL;
    default:
        return NULL;
    }
}

int blobs_read(const struct blobs *b, const struct msg_get_blob *g, struct buf *out,
    uint64_t *ret_total, struct err *e)
{
    const struct buf *held = held_bytes(b, g);
    const struct version_blob *v = g->kind == BLOB_WEIGHTS ? find_version(b, g->id) : NULL;
    if (!held && !v)
        return err_set(e, ERR_LIMIT, "no blob %u of kind %u", (unsigned)g->id, g->kind);
    uint64_t total = v ? v->bytes : held->len;
    if (g->offset > total)
        return err_set(
            e, ERR_LIMIT, "offset %ju of %ju bytes", (uintmax_t)g->offset, (uintmax_t)total);
    uint64_t left = total - g->offset;
    size_t n = g->bytes < LIMIT_CHUNK_BYTES ? g->bytes : LIMIT_CHUNK_BYTES;
    if (n > left)
        n = (size_t)left;
    *ret_total = total;
    if (held) {
        buf_append(out, held->data ? held->data + g->offset : NULL, n);
        return 0;
    }
    return file_pread_all(v->fd, buf_extend(out, n), n, g->offset, e);
}
