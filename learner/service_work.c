/* service_work.c: what the loop thread has done on other threads, the store's above all, and what
 * comes back by mail.
 *
 * Each job is a struct that travels there and back; it belongs to one thread at a time.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "learner/service_impl.h"

/* ---- batches ---- */

struct apply_job {
    struct service *s;
    struct err err;
};

static void apply_back(void *arg)
{
    struct apply_job *j = arg;
    service_applied(j->s, &j->err);
    free(j);
}

static void apply_there(void *arg)
{
    struct apply_job *j = arg;
    j->err.code = store_apply(j->s->store, &j->s->flying, &j->err);
    loop_mail_post(j->s->mail, apply_back, j);
}

void work_apply(struct service *s)
{
    struct apply_job *j = mem_alloc(sizeof(*j));
    j->s = s;
    work_post(s->store_thread, apply_there, j);
}

/* ---- recovery ---- */

struct recover_job {
    struct service *s;
    struct batch alarm; /* owned */
    struct snapshot snapshot;
    struct err err;
};

static void recover_back(void *arg)
{
    struct recover_job *j = arg;
    service_recovered(j->s, &j->snapshot, &j->err);
    batch_done(&j->alarm);
    free(j);
}

/* The alarm is the probe: when it can be stored, so can other things again. */
static void recover_there(void *arg)
{
    struct recover_job *j = arg;
    j->err.code = store_apply(j->s->store, &j->alarm, &j->err);
    if (j->err.code == 0)
        j->err.code = store_snapshot(j->s->store, &j->snapshot, &j->err);
    loop_mail_post(j->s->mail, recover_back, j);
}

void work_recover(struct service *s)
{
    struct recover_job *j = mem_alloc(sizeof(*j));
    j->s = s;
    batch_init(&j->alarm);
    batch_event(&j->alarm, EVENT_ALARM, "store.recovered", "",
        "nothing could be stored for %ju ms: %s", (uintmax_t)(clock_mono_ms() - s->broken_since_ms),
        s->broken_why);
    work_post(s->store_thread, recover_there, j);
}

/* ---- grade inputs ---- */

struct input_job {
    struct service *s;
    struct input_job *next; /* while it waits to be tried again */
    uint64_t job;
    uint32_t generation;
    struct buf input; /* owned */
    struct err err;
};

static void input_free(struct input_job *j)
{
    buf_done(&j->input);
    free(j);
}

static void input_back(void *arg)
{
    struct input_job *j = arg;
    struct service *s = j->s;
    if (!s->hub || j->generation != s->generation || s->ended) {
        input_free(j);
        return;
    }
    if (j->err.code == ERR_RETRY) {
        log_warn("store", "cannot read a grade input, retrying", LOG_ERR(&j->err));
        j->next = s->inputs_again;
        s->inputs_again = j;
        return;
    }
    if (j->err.code) {
        service_fatal(s, &j->err);
    } else {
        struct blob_ref ref = blobs_put(s->blobs, BLOB_GRADE_INPUT, j->job, &j->input);
        service_event(s, &(struct hub_event){.type = HUB_INPUT,
                             .input = {.job = j->job, .bytes = ref.bytes, .hash = ref.hash}});
    }
    input_free(j);
}

static void input_there(void *arg)
{
    struct input_job *j = arg;
    buf_clear(&j->input);
    j->err = (struct err){0};
    j->err.code = store_grade_input(j->s->store, j->job, &j->input, &j->err);
    loop_mail_post(j->s->mail, input_back, j);
}

void work_input(struct service *s, uint64_t job)
{
    struct input_job *j = mem_alloc(sizeof(*j));
    j->s = s;
    j->job = job;
    j->generation = s->generation;
    work_post(s->store_thread, input_there, j);
}

void work_inputs_again(struct service *s, bool drop)
{
    struct input_job *list = s->inputs_again;
    s->inputs_again = NULL;
    for (struct input_job *next; list; list = next) {
        next = list->next;
        list->next = NULL;
        if (drop)
            input_free(list);
        else
            work_post(s->store_thread, input_there, list);
    }
}

/* ---- bulk ---- */

struct version_job {
    struct service *s;
    uint64_t version;
    struct version_file file;
    struct version_blob *blob; /* owned */
    struct err err;
};

static void send_chunk(struct service *s, const struct hub_peer *peer, const struct frame *f,
    const struct msg_get_blob *g)
{
    CLEANUP_BUF struct buf chunk = {0};
    struct err e = {0};
    uint64_t total = 0;
    int r = blobs_read(s->blobs, g, &chunk, &total, &e);
    if (r == ERR_LIMIT) {
        server_nack(s->server, SERVER_BULK, peer, f, NACK_NOT_FOUND, e.msg);
        return;
    }
    if (r) {
        log_warn("blobs", "cannot read a chunk", LOG_ERR(&e));
        server_nack(s->server, SERVER_BULK, peer, f, NACK_RETRY, "cannot read it now");
        return;
    }
    struct msg m = {.type = MSG_BLOB_CHUNK,
        .blob_chunk = {.total = total, .data = chunk.data, .data_len = chunk.len}};
    server_reply(s->server, SERVER_BULK, peer, f->session, f->sequence, &m);
}

/* Answers everybody who waited for this version. */
static void answer_pending(struct service *s, uint64_t version, const struct err *e)
{
    for (struct pending **at = &s->pending; *at;) {
        struct pending *p = *at;
        if (p->get.id != version) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        s->pending_count--;
        if (e->code)
            server_nack(s->server, SERVER_BULK, &p->peer, &p->frame,
                e->code == ERR_RETRY ? NACK_RETRY : NACK_NOT_FOUND, e->msg);
        else
            send_chunk(s, &p->peer, &p->frame, &p->get);
        free(p);
    }
}

static void version_back(void *arg)
{
    struct version_job *j = arg;
    struct service *s = j->s;
    if (j->blob)
        blobs_put_version(s->blobs, j->blob);
    answer_pending(s, j->version, &j->err);
    if (j->err.code == ERR_DATA && !s->ended)
        service_fatal(s, &j->err); /* actors cannot go on without it: better to say so at once */
    else if (j->err.code)
        log_warn("blobs", "cannot open a version's weights", LOG_ERR(&j->err));
    free(j);
}

static void version_hash(void *arg)
{
    struct version_job *j = arg;
    j->err.code = version_blob_open(j->s->run_dir, j->version, &j->file, &j->blob, &j->err);
    loop_mail_post(j->s->mail, version_back, j);
}

/* Only the row is read on the store thread: hashing a large file there would hold up commits. */
static void version_there(void *arg)
{
    struct version_job *j = arg;
    j->err.code = store_version_file(j->s->store, j->version, &j->file, &j->err);
    if (j->err.code == 0)
        work_post(j->s->hash_thread, version_hash, j);
    else
        loop_mail_post(j->s->mail, version_back, j);
}

static bool is_awaited(const struct service *s, uint64_t version)
{
    for (const struct pending *p = s->pending; p; p = p->next) {
        if (p->get.id == version)
            return true;
    }
    return false;
}

/* The manifest is made when the first actor asks; others who ask meanwhile wait with it. */
static void await_version(struct service *s, const struct hub_peer *peer, const struct frame *f,
    const struct msg_get_blob *g)
{
    if (s->pending_count == SERVICE_PENDING_MAX) {
        server_nack(s->server, SERVER_BULK, peer, f, NACK_RETRY, "too many wait for weights");
        return;
    }
    bool first = !is_awaited(s, g->id);
    struct pending *p = mem_alloc(sizeof(*p));
    *p = (struct pending){.next = s->pending, .peer = *peer, .frame = *f, .get = *g};
    p->frame.payload = NULL;
    s->pending = p;
    s->pending_count++;
    if (!first)
        return;
    struct version_job *j = mem_alloc(sizeof(*j));
    j->s = s;
    j->version = g->id;
    work_post(s->store_thread, version_there, j);
}

void work_bulk(struct service *s, const struct hub_peer *peer, const struct frame *f,
    const struct msg_get_blob *g)
{
    const char *why = NULL;
    int refusal = hub_blob_refusal(s->hub, f, g, &why);
    bool weights = g->kind == BLOB_WEIGHTS || g->kind == BLOB_WEIGHTS_MANIFEST;
    if (refusal)
        server_nack(s->server, SERVER_BULK, peer, f, (enum nack_code)refusal, why);
    else if (weights && !blobs_has_version(s->blobs, g->id))
        await_version(s, peer, f, g);
    else
        send_chunk(s, peer, f, g);
}
