/* worker.h: the worker's side of the lease protocol, shared by actors and reward servers.
 *
 * How it works: one libuv loop thread owns the session. It says Hello, long-polls for jobs while it
 * holds fewer than slots, sends heartbeats while it holds leases, keeps each result in memory until
 * the learner answers for it (the outbox), and fetches blobs chunk by chunk over the bulk socket.
 * When the learner restarts (unknown session, other epoch) it says Hello again and offers the
 * leases it still holds. Deadlines only end leases: work in progress is never cut short, only
 * dropped when revoked.
 *
 * All functions belong to the loop thread. Callbacks run there, must not block, and may call any
 * function here except worker_close, which only stopped may call. After stopped the other functions
 * do nothing, and the worker no longer keeps the loop alive.
 */
#ifndef COHORT_NET_WORKER_H
#define COHORT_NET_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"
#include "proto/codec.h"

struct worker;

struct worker_options {
    enum frame_role role;
    const char *name;
    const char *run_dir; /* its file `address` is read at each (re)connect; or NULL */
    const char *address; /* directory of the sockets, used when run_dir is NULL: ipc://DIR */
    const struct hash *numerics_id; /* actors */
    uint32_t slots;
    const char *const *scorers;
    size_t scorer_count;
};

struct worker_events {
    void (*welcomed)(void *arg, const struct msg_welcome *w); /* each time a session begins */
    void (*sample)(void *arg, const struct sample_lease *l);  /* copy what you keep */
    void (*grade)(void *arg, const struct grade_lease *l);
    void (*revoked)(void *arg, uint64_t lease); /* stop, do not submit; also for lost sessions */
    void (*stopped)(
        void *arg, int code, const char *why); /* last call: drained, refused or finished */
};

int worker_open(uv_loop_t *loop, const struct worker_options *o, const struct worker_events *ev,
    void *arg, struct worker **ret, struct err *e) ERR_WARN_UNUSED;

/* Takes the payload of a MSG_SUBMIT_GROUP or MSG_SUBMIT_SCORES (steals payload) and sends it until
 * the learner answers; the lease is then off the held list. on_done may be NULL; it is not called
 * for a result that the worker's end discards. */
void worker_submit(struct worker *w, uint64_t lease, enum frame_type type, struct buf *payload,
    void (*on_done)(void *arg, uint64_t lease, const struct msg_submit_reply *reply));

void worker_release(struct worker *w, uint64_t lease, const char *why);
void worker_progress(struct worker *w, uint64_t tokens); /* total since start */

/* Fetches a whole blob: data is valid during the callback, NULL with e set on failure
 * (ERR_INTERRUPTED when the worker ended first). ref->bytes may be 0 when the size is not known;
 * when ref->hash is not zero the bytes are checked against it. lease authorises. */
typedef void worker_blob_fn(void *arg, const uint8_t *data, size_t n, const struct err *e);
void worker_fetch(
    struct worker *w, const struct blob_ref *ref, uint64_t lease, worker_blob_fn *fn, void *arg);

/* Stops asking for jobs, lets held leases finish (within grace_ms; then releases them), says Bye,
 * calls stopped. */
void worker_drain(struct worker *w, uint32_t grace_ms);
void worker_close(struct worker *w);

/* This machine's boot id, 16 bytes; zeros when unknown. */
void worker_boot_id(uint8_t out[16]);

#endif
