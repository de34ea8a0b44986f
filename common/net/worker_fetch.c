/* worker_fetch.c: blobs over the bulk socket, one after the other, one chunk at a time.
 *
 * One chunk is on its way at a time: nanomsg drops a reply when the peer's pipe is still busy with
 * the last one. A fetch survives a lost session and goes on where it was.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/net/worker_impl.h"

static void fetch_free(struct fetch *f)
{
    mem_big_free(f->data);
    free(f);
}

/* The first fetch is over: calls back with its bytes or with the error, and goes on to the next. */
static void finish(struct worker *w, const struct err *e)
{
    struct fetch *f = w->fetches;
    w->fetches = f->next;
    f->fn(f->arg, e == NULL ? f->data : NULL, e == NULL ? (size_t)f->total : 0, e);
    fetch_free(f);
    worker_kick(w);
}

static void fail(struct worker *w, struct err *e)
{
    const struct fetch *f = w->fetches;
    err_ctx(e, "blob kind %u id %llu", f->ref.kind, (unsigned long long)f->ref.id);
    finish(w, e);
}

/* The first chunk tells how large the blob is; only then is memory taken for it. */
static int begin(struct fetch *f, uint64_t total, struct err *e)
{
    if (f->data != NULL && total != f->total)
        return err_set(e, ERR_FAIL, "its size changed from %llu to %llu bytes",
            (unsigned long long)f->total, (unsigned long long)total);
    if (f->data != NULL)
        return 0;
    if (f->ref.bytes != 0 && total != f->ref.bytes)
        return err_set(e, ERR_FAIL, "%llu bytes, expected %llu", (unsigned long long)total,
            (unsigned long long)f->ref.bytes);
    if (total > blob_bytes_max(f->ref.kind))
        return err_set(e, ERR_LIMIT, "%llu bytes, the limit is %llu", (unsigned long long)total,
            (unsigned long long)blob_bytes_max(f->ref.kind));
    f->data = mem_big((size_t)total, 1, "blob", e);
    if (f->data == NULL)
        return e->code;
    f->total = total;
    return 0;
}

static int add_chunk(struct fetch *f, const struct msg_blob_chunk *c, struct err *e)
{
    int r = begin(f, c->total, e);
    if (r != 0)
        return r;
    if (c->data_len > f->total - f->offset || (c->data_len == 0 && f->offset < f->total))
        return err_set(e, ERR_FAIL, "a chunk of %zu bytes at %llu of %llu", c->data_len,
            (unsigned long long)f->offset, (unsigned long long)f->total);
    if (c->data_len > 0)
        memcpy(f->data + f->offset, c->data, c->data_len);
    f->offset += c->data_len;
    if (f->offset < f->total || hash_is_zero(&f->ref.hash))
        return 0;
    struct hash found = hash_of(f->data, (size_t)f->total);
    char a[HASH_HEX], b[HASH_HEX];
    if (!hash_equal(&found, &f->ref.hash))
        return err_set(e, ERR_FAIL, "its bytes have hash %s, expected %s", hash_hex(&found, a),
            hash_hex(&f->ref.hash, b));
    return 0;
}

static void on_chunk(void *arg, const struct frame *reply)
{
    struct fetch *f = arg;
    struct worker *w = f->worker;
    struct err e = {0};
    struct msg m;
    f->request = 0;
    if (!worker_read(w, reply, MSG_BLOB_CHUNK, &m) ||
        (m.type == MSG_NACK && m.nack.code == NACK_RETRY)) {
        f->not_before_ms = clock_mono_ms() + TIMING_RETRY_MS;
        worker_kick(w);
    } else if (m.type == MSG_NACK) {
        err_set(&e, ERR_FAIL, "the learner refuses: %s", m.nack.message);
        fail(w, &e);
    } else if (add_chunk(f, &m.blob_chunk, &e) != 0) {
        fail(w, &e);
    } else if (f->offset == f->total) {
        finish(w, NULL);
    } else {
        worker_kick(w);
    }
}

void worker_fetch_turn(struct worker *w, uint64_t now_ms)
{
    struct fetch *f = w->fetches;
    if (f == NULL || f->request != 0)
        return;
    if (f->not_before_ms > now_ms) {
        worker_wake_at(w, f->not_before_ms);
        return;
    }
    struct msg m = {.type = MSG_GET_BLOB};
    m.get_blob = (struct msg_get_blob){
        .kind = f->ref.kind,
        .id = f->ref.id,
        .offset = f->offset,
        .bytes = LIMIT_CHUNK_BYTES,
        .lease = f->lease,
    };
    f->request = worker_send_msg(w, w->bulk, &m, 0, 0, on_chunk, f);
}

void worker_fetch(
    struct worker *w, const struct blob_ref *ref, uint64_t lease, worker_blob_fn *fn, void *arg)
{
    if (w->state >= WORKER_ENDING)
        return;
    struct fetch *f = mem_alloc(sizeof(*f));
    *f = (struct fetch){.worker = w, .ref = *ref, .lease = lease, .fn = fn, .arg = arg};
    struct fetch **end = &w->fetches;
    while (*end != NULL)
        end = &(*end)->next;
    *end = f;
    worker_kick(w);
}

void worker_fetch_session_lost(struct worker *w)
{
    if (w->fetches != NULL && w->fetches->request != 0) {
        bus_client_cancel(w->bulk, w->fetches->request);
        w->fetches->request = 0;
    }
}

void worker_fetch_fail_all(struct worker *w, const char *why)
{
    worker_fetch_session_lost(w);
    while (w->fetches != NULL) {
        struct err e = {0};
        err_set(&e, ERR_INTERRUPTED, "%s", why);
        fail(w, &e);
    }
}

void worker_fetch_done(struct worker *w)
{
    while (w->fetches != NULL) {
        struct fetch *f = w->fetches;
        w->fetches = f->next;
        fetch_free(f);
    }
}
