/* checkpoint.c: writing, verifying and reading checkpoints. */
#include "learner/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define MAGIC "cohort checkpoint 1\n"

enum { SMALL_BYTES_MAX = 64 << 10, HASH_CHUNK = 1 << 20 };

/* Files in the order of the manifest: sorted by name. */
enum member {
    MEMBER_MOMENT1,
    MEMBER_MOMENT2,
    MEMBER_PARAMS,
    MEMBER_REFERENCE,
    MEMBER_STATE,
    MEMBER_COUNT
};
static const char *const member_names[MEMBER_COUNT] = {"moment1.safetensors", "moment2.safetensors",
    "params.safetensors", "reference.safetensors", "state.json"};

void checkpoint_path(uint64_t updates, char out[CHECKPOINT_PATH])
{
    (void)snprintf(out, CHECKPOINT_PATH, "checkpoints/update-%" PRIu64, updates);
}

static struct params *member_params(const struct trainer_state *t, enum member m)
{
    switch (m) {
    case MEMBER_MOMENT1:
        return &t->optim->m;
    case MEMBER_MOMENT2:
        return &t->optim->v;
    case MEMBER_PARAMS:
        return t->params;
    case MEMBER_REFERENCE:
        return t->reference;
    case MEMBER_STATE:
    case MEMBER_COUNT:
        break;
    }
    return NULL;
}

/* ---- state.json ---- */

static int write_state(
    const char *path, const struct checkpoint_state *s, uint64_t optim_updates, struct err *e)
{
    char digest[HASH_HEX], numerics[HASH_HEX];
    json_t *j = json_pack("{s:I s:I s:I s:I s:s s:s s:s}", "stage", (json_int_t)s->stage, "step",
        (json_int_t)s->step, "updates", (json_int_t)s->updates, "optimiser_updates",
        (json_int_t)optim_updates, "digest", hash_hex(&s->digest, digest), "numerics_id",
        hash_hex(&s->numerics_id, numerics), "training_id", s->training_id);
    char *text = j != NULL ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    if (text == NULL)
        return err_set(e, ERR_FAIL, "'%s': training id '%s' is not UTF-8", path, s->training_id);
    int r = file_write_atomic(path, text, strlen(text), e);
    free(text);
    return r;
}

static int read_state(
    const char *path, struct checkpoint_state *ret, uint64_t *ret_optim_updates, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    int r = file_read(path, SMALL_BYTES_MAX, &text, e);
    if (r != 0)
        return r;
    json_error_t je;
    json_int_t stage, step, updates, optim;
    const char *digest, *numerics, *training;
    json_t *j = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &je);
    struct checkpoint_state s = {0};
    bool ok = j != NULL &&
              json_unpack_ex(j, &je, JSON_STRICT, "{s:I s:I s:I s:I s:s s:s s:s}", "stage", &stage,
                  "step", &step, "updates", &updates, "optimiser_updates", &optim, "digest",
                  &digest, "numerics_id", &numerics, "training_id", &training) == 0;
    if (!ok)
        r = err_set(e, ERR_DATA, "'%s': %s", path, je.text);
    else if (!hash_parse(digest, &s.digest) || !hash_parse(numerics, &s.numerics_id) || stage < 0 ||
             step < 0 || updates < 0 || optim < 0 || strlen(training) >= sizeof(s.training_id))
        r = err_set(e, ERR_DATA, "'%s': a value is out of range", path);
    if (r == 0) {
        s.stage = (uint32_t)stage;
        s.step = (uint32_t)step;
        s.updates = (uint64_t)updates;
        (void)snprintf(s.training_id, sizeof(s.training_id), "%s", training);
        *ret_optim_updates = (uint64_t)optim;
        *ret = s;
    }
    json_decref(j);
    return r;
}

/* ---- manifest ---- */

static int hash_file(const char *path, struct hash *ret, uint64_t *ret_bytes, struct err *e)
{
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(e, ERR_DATA, "cannot open '%s'", path);
    CLEANUP_FREE uint8_t *chunk = mem_alloc(HASH_CHUNK);
    struct hasher h;
    hasher_init(&h);
    for (uint64_t at = 0; at < (uint64_t)st.st_size;) {
        uint64_t left = (uint64_t)st.st_size - at;
        size_t n = left < HASH_CHUNK ? (size_t)left : HASH_CHUNK;
        int r = file_pread_all(fd, chunk, n, at, e);
        if (r != 0)
            return r;
        hasher_add(&h, chunk, n);
        at += n;
    }
    *ret = hasher_done(&h);
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

/* The manifest's text over the files that are in dir. */
static int make_manifest(const char *dir, bool reference, struct buf *out, struct err *e)
{
    buf_puts(out, MAGIC);
    for (int m = 0; m < MEMBER_COUNT; m++) {
        if (m == MEMBER_REFERENCE && !reference)
            continue;
        CLEANUP_FREE char *path = mem_printf("%s/%s", dir, member_names[m]);
        struct hash h;
        uint64_t bytes = 0;
        int r = hash_file(path, &h, &bytes, e);
        if (r != 0)
            return r;
        char hex[HASH_HEX];
        buf_printf(out, "%s %" PRIu64 " %s\n", hash_hex(&h, hex), bytes, member_names[m]);
    }
    return 0;
}

/* Reads dir's manifest and compares it with its files. */
static int verify(const char *dir, const struct hash *expected, bool *ret_reference, struct err *e)
{
    CLEANUP_BUF struct buf stored = {0}, actual = {0};
    CLEANUP_FREE char *path = mem_printf("%s/manifest", dir);
    char a[HASH_HEX], b[HASH_HEX];
    int r = file_read(path, SMALL_BYTES_MAX, &stored, e);
    if (r != 0)
        return r;
    struct hash h = hash_of(stored.data, stored.len);
    if (expected != NULL && !hash_equal(&h, expected))
        return err_set(e, ERR_DATA, "'%s': hash %.16s..., the database has %.16s...", path,
            hash_hex(&h, a), hash_hex(expected, b));
    bool reference =
        stored.len > 0 && strstr((const char *)stored.data, member_names[MEMBER_REFERENCE]);
    if ((r = make_manifest(dir, reference, &actual, e)) != 0)
        return r;
    if (actual.len != stored.len || memcmp(actual.data, stored.data, stored.len) != 0)
        return err_set(e, ERR_DATA, "'%s': a file differs from its manifest", dir);
    *ret_reference = reference;
    return 0;
}

/* ---- writing ---- */

static int write_members(const char *dir, const struct checkpoint_state *s,
    const struct trainer_state *t, struct buf *manifest, struct err *e)
{
    int r = 0;
    for (int m = 0; r == 0 && m < MEMBER_COUNT; m++) {
        CLEANUP_FREE char *path = mem_printf("%s/%s", dir, member_names[m]);
        const struct params *p = member_params(t, m);
        if (m == MEMBER_STATE)
            r = write_state(path, s, t->optim->updates, e);
        else if (p != NULL)
            r = params_write(p, path, e);
    }
    if (r == 0)
        r = make_manifest(dir, t->reference != NULL, manifest, e);
    if (r != 0)
        return r;
    CLEANUP_FREE char *path = mem_printf("%s/manifest", dir);
    return file_write_atomic(path, manifest->data, manifest->len, e);
}

/* Gives the complete temporary directory its name, unless a sound one with these bytes has it
 * already. */
static int install(const char *parent, const char *tmp, const char *final,
    const struct hash *manifest, struct err *e)
{
    bool reference;
    struct err why = {0};
    if (file_exists(final)) {
        if (verify(final, manifest, &reference, &why) == 0)
            return file_remove_tree(tmp, e);
        int r = file_remove_tree(final, e);
        if (r != 0)
            return r;
    }
    if (fault_hit(FAULT_CHECKPOINT_WRITTEN))
        return err_set(e, ERR_FAIL, "cannot rename '%s': injected fault", tmp);
    if (rename(tmp, final) != 0)
        return err_sys(e, ERR_FAIL, "cannot rename '%s' to '%s'", tmp, final);
    int r = file_sync_dir(parent, e);
    if (r == 0 && fault_hit(FAULT_CHECKPOINT_RENAMED))
        r = err_set(e, ERR_FAIL, "'%s': injected fault", final);
    return r;
}

int checkpoint_write(const char *run_dir, const struct checkpoint_state *s, struct trainer *t,
    struct hash *ret_manifest, struct err *e)
{
    char relative[CHECKPOINT_PATH];
    checkpoint_path(s->updates, relative);
    CLEANUP_FREE char *parent = mem_printf("%s/checkpoints", run_dir);
    CLEANUP_FREE char *final = mem_printf("%s/%s", run_dir, relative);
    CLEANUP_FREE char *tmp = mem_printf("%s.tmp", final);
    CLEANUP_BUF struct buf manifest = {0};
    struct trainer_state state = trainer_state(t);
    int r = file_remove_tree(tmp, e);
    if (r == 0)
        r = file_mkdirs(tmp, 0755, e);
    if (r == 0)
        r = write_members(tmp, s, &state, &manifest, e);
    if (r == 0)
        r = file_sync_dir(tmp, e);
    struct hash h = hash_of(manifest.data, manifest.len);
    if (r == 0)
        r = install(parent, tmp, final, &h, e);
    if (r != 0)
        return err_ctx(e, "checkpoint after %" PRIu64 " updates", s->updates);
    *ret_manifest = h;
    return 0;
}

/* ---- reading ---- */

/* The files are known to be sound: what fails here is ours or the disk's, and no other checkpoint
 * helps. */
static int read_members(const char *dir, bool reference, struct trainer *t, struct err *e)
{
    if (reference) {
        int r = trainer_set_reference(t, e);
        if (r != 0)
            return r;
    } else {
        trainer_drop_reference(t);
    }
    struct trainer_state state = trainer_state(t);
    for (int m = 0; m < MEMBER_STATE; m++) {
        struct params *p = member_params(&state, m);
        CLEANUP_FREE char *path = mem_printf("%s/%s", dir, member_names[m]);
        int r = p != NULL ? params_read(p, path, e) : 0;
        if (r != 0)
            return r;
    }
    return 0;
}

static int read_verified(const char *dir, const struct hash *expected, struct trainer *t,
    struct checkpoint_state *ret, struct err *e)
{
    bool reference;
    struct checkpoint_state s;
    uint64_t optim_updates = 0;
    CLEANUP_FREE char *state_path = mem_printf("%s/%s", dir, member_names[MEMBER_STATE]);
    int r = verify(dir, expected, &reference, e);
    if (r == 0)
        r = read_state(state_path, &s, &optim_updates, e);
    if (r != 0) {
        e->code = r == ERR_RETRY ? r : ERR_DATA; /* damaged: an older one may do */
        return e->code;
    }
    if ((r = read_members(dir, reference, t, e)) != 0)
        return r;
    trainer_state(t).optim->updates = optim_updates;
    struct hash digest = params_digest(trainer_state(t).params);
    char a[HASH_HEX], b[HASH_HEX];
    if (!hash_equal(&digest, &s.digest))
        return err_set(e, ERR_FAIL, "'%s': parameters have digest %s, state.json says %s", dir,
            hash_hex(&digest, a), hash_hex(&s.digest, b));
    *ret = s;
    return 0;
}

int checkpoint_read(const char *run_dir, uint64_t updates, const struct hash *expected,
    struct trainer *t, struct checkpoint_state *ret, struct err *e)
{
    char relative[CHECKPOINT_PATH];
    checkpoint_path(updates, relative);
    CLEANUP_FREE char *dir = mem_printf("%s/%s", run_dir, relative);
    int r = read_verified(dir, expected, t, ret, e);
    return r != 0 ? err_ctx(e, "checkpoint after %" PRIu64 " updates", updates) : 0;
}

/* ---- listing ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int checkpoint_list(const char *run_dir, uint64_t **ret, size_t *ret_count, struct err *e)
{
    CLEANUP_FREE char *parent = mem_printf("%s/checkpoints", run_dir);
    CLEANUP_FREE uint64_t *list = NULL;
    size_t count = 0;
    DIR *d = opendir(parent);
    if (d == NULL && errno != ENOENT)
        return err_sys(e, ERR_FAIL, "cannot list '%s'", parent);
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
        uint64_t updates;
        char name[CHECKPOINT_PATH], path[CHECKPOINT_PATH];
        if (sscanf(entry->d_name, "update-%" SCNu64, &updates) != 1)
            continue;
        checkpoint_path(updates, path);
        (void)snprintf(name, sizeof(name), "checkpoints/%.40s", entry->d_name);
        if (strcmp(name, path) != 0)
            continue; /* update-7.tmp, update-007 */
        list = mem_grow(list, count + 1, sizeof(*list));
        list[count++] = updates;
    }
    if (d != NULL)
        (void)closedir(d); /* opened for reading: nothing can be lost */
    if (count > 1)
        qsort(list, count, sizeof(*list), by_number);
    *ret = steal(&list);
    *ret_count = count;
    return 0;
}

int checkpoint_remove(const char *run_dir, uint64_t updates, struct err *e)
{
    char relative[CHECKPOINT_PATH];
    checkpoint_path(updates, relative);
    CLEANUP_FREE char *dir = mem_printf("%s/%s", run_dir, relative);
    return file_remove_tree(dir, e);
}
