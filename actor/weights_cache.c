/* weights_cache.c: a version's way from its name in a lease to verified parameters. */
#include "actor/weights_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "actor/weights_load.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/work.h"

enum {
    KEPT = 2,                 /* versions in memory */
    MISMATCHES_MAX = 3,       /* fetches whose bytes did not verify, until a version is broken */
    RETRY_MS = 200,           /* pause after a failure; doubles ... */
    RETRY_MS_MAX = 5000,      /* ... up to this */
    LOADS_MAX = 2 * KEPT + 1, /* one load per entry is in flight */
};

enum entry_state {
    ENTRY_EMPTY,
    ENTRY_MANIFEST, /* its manifest is being fetched */
    ENTRY_CHUNKS,   /* its bytes are being fetched */
    ENTRY_LOADING,  /* the loader's thread has it */
    ENTRY_READY,
    ENTRY_FAILED, /* until retry_at_ms */
};

struct entry {
    struct weights_cache *cache; /* borrowed */
    enum entry_state state;
    uint64_t version, lease;
    struct hash hash;
    unsigned users, failures, mismatches;
    uint64_t used_at, retry_at_ms;
    struct arena *arena; /* owned; holds manifest */
    struct weights_manifest manifest;
    uint8_t *bytes; /* owned: the fetched file while it is being loaded, else NULL */
    size_t byte_count;
    struct params params; /* owned; written by the loader's thread while LOADING */
    struct err err;       /* as params */
    int result;           /* as params */
};

struct weights_cache {
    struct weights_cache_options o;
    struct work *loader;    /* owned */
    struct loop_mail *mail; /* owned */
    uv_timer_t retry;
    struct entry entries[KEPT];
    uint64_t clock; /* counts uses */
    struct err broken;
    bool in_want, closing;
};

static void begin_chunks(struct entry *n);

static void on_retry(uv_timer_t *timer)
{
    struct weights_cache *c = timer->data;
    c->o.on_change(c->o.arg);
}

/* Makes on_change run in that many milliseconds at the latest. */
static void wake_in(struct weights_cache *c, uint64_t ms)
{
    uv_handle_t *handle = (uv_handle_t *)&c->retry;
    if (!c->closing && (!uv_is_active(handle) || uv_timer_get_due_in(&c->retry) > ms))
        uv_timer_start(&c->retry, on_retry, ms, 0);
}

/* A fetch may answer at once, inside weights_cache_want; the caller hears of it a turn later. */
static void changed(struct weights_cache *c)
{
    if (c->in_want)
        wake_in(c, 0);
    else
        c->o.on_change(c->o.arg);
}

static void entry_clear(struct entry *n)
{
    struct weights_cache *c = n->cache;
    params_done(&n->params);
    arena_free(n->arena);
    free(n->bytes);
    *n = (struct entry){.cache = c};
}

static void entry_failed(struct entry *n, const struct err *e)
{
    uint64_t pause = (uint64_t)RETRY_MS << (n->failures < 6 ? n->failures : 6);
    if (pause > RETRY_MS_MAX)
        pause = RETRY_MS_MAX;
    n->failures++;
    n->state = ENTRY_FAILED;
    n->err = *e;
    n->retry_at_ms = clock_mono_ms() + pause;
    log_warn("weights", "not loaded, retrying in a moment", LOG_U64("version", n->version),
        LOG_U64("pause_ms", pause), LOG_ERR(e));
    wake_in(n->cache, pause);
}

/* ---- loading ---- */

static void on_loaded(void *arg)
{
    struct entry *n = arg;
    bool from_file = n->bytes == NULL;
    free(steal(&n->bytes));
    if (n->cache->closing)
        return;
    if (n->result == 0) {
        n->state = ENTRY_READY;
        n->failures = n->mismatches = 0;
        log_info("weights", "verified", LOG_U64("version", n->version),
            LOG_STR("from", from_file ? "file" : "chunks"));
        changed(n->cache);
        return;
    }
    if (from_file) {
        log_warn("weights", "the learner's file is of no use, fetching it",
            LOG_U64("version", n->version), LOG_ERR(&n->err));
        begin_chunks(n);
        return;
    }
    n->mismatches++;
    struct err e = n->err;
    entry_failed(n, &e);
    changed(n->cache);
}

static void load(void *arg)
{
    struct entry *n = arg;
    const struct param_table *t = n->cache->o.table;
    n->err = (struct err){0};
    n->result = n->bytes == NULL ? weights_load_file(t, &n->manifest, &n->hash, &n->params, &n->err)
                                 : weights_load_bytes(t, &n->manifest, &n->hash, n->bytes,
                                       n->byte_count, &n->params, &n->err);
    loop_mail_post(n->cache->mail, on_loaded, n);
}

static void begin_load(struct entry *n)
{
    n->state = ENTRY_LOADING;
    work_post(n->cache->loader, load, n);
}

/* ---- fetching ---- */

static void on_chunks(void *arg, const uint8_t *data, size_t bytes, const struct err *e)
{
    struct entry *n = arg;
    if (data == NULL) {
        entry_failed(n, e);
        changed(n->cache);
        return;
    }
    n->bytes = mem_dup(data, bytes);
    n->byte_count = bytes;
    begin_load(n);
}

static void begin_chunks(struct entry *n)
{
    struct weights_cache *c = n->cache;
    n->state = ENTRY_CHUNKS;
    struct blob_ref ref = {.kind = BLOB_WEIGHTS, .id = n->version, .bytes = n->manifest.bytes};
    c->o.fetch(c->o.arg, &ref, n->lease, on_chunks, n);
}

static int take_manifest(struct entry *n, const uint8_t *data, size_t bytes, struct err *e)
{
    char found[HASH_HEX], wanted[HASH_HEX];
    arena_free(n->arena);
    n->arena = arena_new(bytes * LIMIT_UNPACK_FACTOR + LIMIT_UNPACK_MIN_BYTES);
    if (weights_manifest_unpack(data, bytes, n->arena, &n->manifest, e) < 0)
        return err_ctx(e, "manifest of version %llu", (unsigned long long)n->version);
    if (n->manifest.version != n->version || !hash_equal(&n->manifest.digest, &n->hash))
        return err_set(e, ERR_DATA,
            "manifest is of version %llu digest %s, the lease wants version %llu digest %s",
            (unsigned long long)n->manifest.version, hash_hex(&n->manifest.digest, found),
            (unsigned long long)n->version, hash_hex(&n->hash, wanted));
    return 0;
}

/* The learner's file can be opened here when it names one and both run on one boot of one host. */
static bool same_host(const struct weights_cache *c, const struct weights_manifest *m)
{
    static const uint8_t unknown[16];
    return m->path[0] == '/' && memcmp(c->o.boot_id, unknown, sizeof(unknown)) != 0 &&
           memcmp(c->o.boot_id, m->boot_id, sizeof(m->boot_id)) == 0;
}

static void on_manifest(void *arg, const uint8_t *data, size_t bytes, const struct err *e)
{
    struct entry *n = arg;
    struct err own = {0};
    if (data == NULL || take_manifest(n, data, bytes, &own) < 0) {
        n->mismatches += data != NULL;
        entry_failed(n, data == NULL ? e : &own);
        changed(n->cache);
        return;
    }
    if (same_host(n->cache, &n->manifest))
        begin_load(n);
    else
        begin_chunks(n);
}

static void begin_manifest(struct entry *n, uint64_t lease)
{
    struct weights_cache *c = n->cache;
    n->state = ENTRY_MANIFEST;
    n->lease = lease;
    struct blob_ref ref = {.kind = BLOB_WEIGHTS_MANIFEST, .id = n->version};
    c->o.fetch(c->o.arg, &ref, lease, on_manifest, n);
}

/* ---- the actor's side ---- */

int weights_cache_open(uv_loop_t *loop, const struct weights_cache_options *o,
    struct weights_cache **ret, struct err *e)
{
    struct weights_cache *c = mem_alloc(sizeof(*c));
    c->o = *o;
    if (loop_mail_open(loop, &c->mail, e) < 0) {
        free(c);
        return e->code;
    }
    if (work_start("weights", LOADS_MAX, &c->loader, e) < 0) {
        loop_mail_close(c->mail);
        free(c);
        return e->code;
    }
    (void)uv_timer_init(loop, &c->retry); /* cannot fail */
    c->retry.data = c;
    for (size_t i = 0; i < KEPT; i++)
        c->entries[i].cache = c;
    *ret = c;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct weights_cache *c = handle->data;
    for (size_t i = 0; i < KEPT; i++)
        entry_clear(&c->entries[i]);
    free(c);
}

void weights_cache_close(struct weights_cache *c)
{
    if (c == NULL)
        return;
    c->closing = true;
    work_stop(c->loader);
    loop_mail_close(c->mail);
    uv_close((uv_handle_t *)&c->retry, on_closed);
}

static struct entry *entry_find(struct weights_cache *c, const struct hash *hash)
{
    for (size_t i = 0; i < KEPT; i++)
        if (c->entries[i].state != ENTRY_EMPTY && hash_equal(&c->entries[i].hash, hash))
            return &c->entries[i];
    return NULL;
}

static bool entry_evictable(const struct entry *n)
{
    return n->state == ENTRY_EMPTY || n->state == ENTRY_FAILED ||
           (n->state == ENTRY_READY && n->users == 0);
}

/* An empty entry, else a failed one, else the one not used for longest. */
static struct entry *entry_make_room(struct weights_cache *c)
{
    struct entry *best = NULL;
    for (size_t i = 0; i < KEPT; i++) {
        struct entry *n = &c->entries[i];
        if (entry_evictable(n) && (best == NULL || n->used_at < best->used_at))
            best = n;
    }
    if (best != NULL)
        entry_clear(best);
    return best;
}

static enum weights_status want(struct weights_cache *c, uint64_t version, const struct hash *hash,
    uint64_t lease, const struct params **ret_params)
{
    struct entry *n = entry_find(c, hash);
    if (n == NULL) {
        n = entry_make_room(c);
        if (n == NULL)
            return WEIGHTS_NO_ROOM;
        n->used_at = ++c->clock;
        n->version = version;
        n->hash = *hash;
        begin_manifest(n, lease);
        return WEIGHTS_PENDING;
    }
    n->used_at = ++c->clock;
    if (n->state == ENTRY_READY) {
        n->users++;
        *ret_params = &n->params;
        return WEIGHTS_READY;
    }
    if (n->state != ENTRY_FAILED)
        return WEIGHTS_PENDING;
    if (n->mismatches >= MISMATCHES_MAX) {
        c->broken = n->err;
        return WEIGHTS_BROKEN;
    }
    uint64_t now_ms = clock_mono_ms();
    if (now_ms < n->retry_at_ms) {
        wake_in(c, n->retry_at_ms - now_ms);
        return WEIGHTS_PENDING;
    }
    n->version = version;
    begin_manifest(n, lease);
    return WEIGHTS_PENDING;
}

enum weights_status weights_cache_want(struct weights_cache *c, uint64_t version,
    const struct hash *hash, uint64_t lease, const struct params **ret_params)
{
    c->in_want = true;
    enum weights_status status = want(c, version, hash, lease, ret_params);
    c->in_want = false;
    return status;
}

void weights_cache_release(struct weights_cache *c, const struct params *params)
{
    for (size_t i = 0; i < KEPT; i++) {
        if (&c->entries[i].params != params)
            continue;
        assert(c->entries[i].users > 0);
        c->entries[i].users--;
    }
}

const struct err *weights_cache_error(const struct weights_cache *c)
{
    return &c->broken;
}
