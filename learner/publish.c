/* publish.c: weights files, their pruning, model directories. */
#include "learner/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"

void publish_path(uint64_t version, char out[PUBLISH_PATH])
{
    (void)snprintf(out, PUBLISH_PATH, "weights/version-%" PRIu64 ".safetensors", version);
}

/* Whether the file holds parameters of this digest. */
static bool holds(const char *path, const struct hash *digest, struct params *scratch)
{
    struct err unreadable;
    if (!file_exists(path) || params_read(scratch, path, &unreadable) != 0)
        return false;
    struct hash found = params_digest(scratch);
    return hash_equal(&found, digest);
}

/* params_write is atomic under its own name; the second rename is the publication, with a fault
 * point on each side. */
static int write_file(const char *dir, const char *path, const struct params *p, struct err *e)
{
    CLEANUP_FREE char *part = mem_printf("%s.part", path);
    int r = params_write(p, part, e);
    if (r != 0)
        return r;
    if (fault_hit(FAULT_WEIGHTS_WRITTEN))
        return err_set(e, ERR_FAIL, "cannot rename '%s': injected fault", part);
    if (rename(part, path) != 0)
        return err_sys(e, ERR_FAIL, "cannot rename '%s' to '%s'", part, path);
    if ((r = file_sync_dir(dir, e)) != 0)
        return r;
    return fault_hit(FAULT_WEIGHTS_RENAMED) ? err_set(e, ERR_FAIL, "'%s': injected fault", path)
                                            : 0;
}

int publish_version(const char *run_dir, uint64_t version, const struct params *p,
    const struct hash *digest, struct params *scratch, uint64_t *ret_bytes, struct err *e)
{
    char relative[PUBLISH_PATH];
    publish_path(version, relative);
    CLEANUP_FREE char *dir = mem_printf("%s/weights", run_dir);
    CLEANUP_FREE char *path = mem_printf("%s/%s", run_dir, relative);
    struct stat st;
    int r = file_mkdirs(dir, 0755, e);
    if (r == 0 && !holds(path, digest, scratch))
        r = write_file(dir, path, p, e);
    if (r == 0 && stat(path, &st) != 0)
        r = err_sys(e, ERR_FAIL, "cannot stat '%s'", path);
    if (r != 0)
        return err_ctx(e, "weights of version %" PRIu64, version);
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

static bool is_pinned(const struct publish_keep *k, uint64_t version)
{
    for (size_t i = 0; i < k->pinned_count; i++) {
        if (k->pinned[i] == version)
            return true;
    }
    return version == k->newest;
}

size_t publish_prunable(
    const struct version_row *rows, size_t count, const struct publish_keep *k, uint64_t *ret)
{
    size_t pruned = 0, newer = 0, total = count;
    if (count == 0 || rows[count - 1].version != k->newest)
        total++;
    for (size_t i = 0; i < count; i++) {
        newer = total - 1 - i; /* versions younger than this one */
        if (newer >= k->keep && !rows[i].needed && !is_pinned(k, rows[i].version))
            ret[pruned++] = rows[i].version;
    }
    return pruned;
}

int publish_unlink(const char *run_dir, uint64_t version, struct err *e)
{
    char relative[PUBLISH_PATH];
    publish_path(version, relative);
    CLEANUP_FREE char *path = mem_printf("%s/%s", run_dir, relative);
    if (fault_hit(FAULT_PRUNE))
        return err_set(e, ERR_FAIL, "cannot remove '%s': injected fault", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_sys(e, ERR_FAIL, "cannot remove '%s'", path);
    return 0;
}

int publish_model(const char *run_dir, const char *stage, const struct params *p,
    const struct hash *digest, const struct tokenizer *t, struct params *scratch, struct err *e)
{
    CLEANUP_FREE char *parent = mem_printf("%s/models", run_dir);
    CLEANUP_FREE char *dir = mem_printf("%s/%s", parent, stage);
    CLEANUP_FREE char *file = mem_printf("%s/model.safetensors", dir);
    const struct buf *json = tokenizer_json(t);
    if (holds(file, digest, scratch)) /* its directory came into being whole */
        return 0;
    int r = file_mkdirs(parent, 0755, e);
    if (r == 0)
        r = model_dir_write(dir, p, json->data, json->len, e);
    return r != 0 ? err_ctx(e, "model of stage '%s'", stage) : 0;
}
