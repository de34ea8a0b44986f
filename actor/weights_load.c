/* weights_load.c: reads and verifies the parameters of a version. */
#include "actor/weights_load.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/mem.h"

/* Parameters from an open file, by its name in /proc: so that the file checked is the file read. */
static int read_verified(const struct param_table *t, int fd, const char *what,
    const struct hash *wanted, struct params *ret, struct err *e)
{
    char path[40], found[HASH_HEX], expected[HASH_HEX];
    CLEANUP(params_done) struct params p = {0};
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (params_new(t, &p, e) < 0 || params_read(&p, path, e) < 0)
        return err_ctx(e, "%s", what);
    struct hash digest = params_digest(&p);
    if (!hash_equal(&digest, wanted))
        return err_set(e, ERR_DATA, "%s: digest of the parameters is %s, the lease wants %s", what,
            hash_hex(&digest, found), hash_hex(wanted, expected));
    *ret = p;
    p = (struct params){0};
    return 0;
}

int weights_load_file(const struct param_table *t, const struct weights_manifest *m,
    const struct hash *wanted, struct params *ret, struct err *e)
{
    CLEANUP(file_close) int fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_sys(e, ERR_DATA, "opening '%s'", m->path);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_DATA, "looking at '%s'", m->path);
    if (!S_ISREG(st.st_mode) || st.st_dev != m->device || st.st_ino != m->inode ||
        (uint64_t)st.st_size != m->bytes)
        return err_set(e, ERR_DATA,
            "'%s' is not the learner's file: device %llu inode %llu size %llu, expected %llu %llu "
            "%llu",
            m->path, (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
            (unsigned long long)st.st_size, (unsigned long long)m->device,
            (unsigned long long)m->inode, (unsigned long long)m->bytes);
    return read_verified(t, fd, m->path, wanted, ret, e);
}

static int check_chunks(
    const struct weights_manifest *m, const uint8_t *data, size_t n, struct err *e)
{
    if (n != m->bytes)
        return err_set(
            e, ERR_DATA, "%zu bytes, the manifest says %llu", n, (unsigned long long)m->bytes);
    if (m->chunk_bytes == 0 || m->chunk_count != (n + m->chunk_bytes - 1) / m->chunk_bytes)
        return err_set(e, ERR_DATA, "%zu hashes of chunks of %u bytes for %zu bytes",
            m->chunk_count, m->chunk_bytes, n);
    for (size_t i = 0; i < m->chunk_count; i++) {
        size_t at = i * m->chunk_bytes;
        size_t len = n - at < m->chunk_bytes ? n - at : m->chunk_bytes;
        struct hash h = hash_of(data + at, len);
        if (!hash_equal(&h, &m->chunk_hashes[i]))
            return err_set(e, ERR_DATA, "chunk %zu of %zu has another hash than the manifest says",
                i, m->chunk_count);
    }
    return 0;
}

int weights_load_bytes(const struct param_table *t, const struct weights_manifest *m,
    const struct hash *wanted, const uint8_t *data, size_t n, struct params *ret, struct err *e)
{
    char what[64];
    (void)snprintf(what, sizeof(what), "fetched version %llu", (unsigned long long)m->version);
    if (check_chunks(m, data, n, e) < 0)
        return err_ctx(e, "%s", what);
    CLEANUP(file_close) int fd = memfd_create("weights", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(e, ERR_FAIL, "%s: memory for its file", what);
    if (file_write_all(fd, data, n, e) < 0)
        return err_ctx(e, "%s", what);
    return read_verified(t, fd, what, wanted, ret, e);
}
