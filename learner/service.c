/* service.c: the loop thread: start and end, requests into the hub, batches to the store, replies
 * out. */
#include "learner/service.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "learner/address.h"
#include "learner/service_impl.h"

/* ---- batches ---- */

/* Tells the peers of a batch that did not become durable to ask again. */
static void refuse(struct service *s, struct batch *b)
{
    struct msg retry = {
        .type = MSG_NACK, .nack = {.code = NACK_RETRY, .message = "not stored, ask again"}};
    struct msg again = {.type = MSG_SUBMIT_REPLY,
        .submit_reply = {.status = SUBMIT_RETRY,
            .message = "not stored, send it again",
            .retry_ms = TIMING_RETRY_MS}};
    for (size_t i = 0; i < b->out_count; i++) {
        const struct out *o = &b->outs[i];
        if (o->kind == OUT_REPLY)
            server_reply(s->server, SERVER_CTL, &o->reply.peer, o->reply.session, o->reply.sequence,
                o->reply.msg->type == MSG_SUBMIT_REPLY ? &again : &retry);
    }
    batch_done(b);
    batch_init(b);
}

static void deliver_one(struct service *s, const struct out *o)
{
    switch (o->kind) {
    case OUT_REPLY:
        server_reply(s->server, SERVER_CTL, &o->reply.peer, o->reply.session, o->reply.sequence,
            o->reply.msg);
        break;
    case OUT_COMMITTED:
        if (s->call)
            s->call->ids = mem_dup(o->committed.groups, o->committed.count * sizeof(uint64_t));
        call_finish(s, 0, NULL);
        break;
    case OUT_SCORED:
        call_finish(s, 0, NULL);
        break;
    case OUT_FAILED:
        call_finish(s, ERR_FAIL, o->failed);
        break;
    case OUT_INPUT_WANT:
        if (!s->ended)
            work_input(s, o->job);
        break;
    case OUT_INPUT_DROP:
        blobs_drop(s->blobs, BLOB_GRADE_INPUT, o->job);
        break;
    case OUT_DRAINED:
        s->drained = true;
        break;
    }
}

/* What the rows of a durable batch mean for the open weights files. */
static void forget_pruned(struct service *s, const struct batch *b)
{
    for (size_t i = 0; i < b->row_count; i++) {
        if (b->rows[i].kind == ROW_VERSION_PRUNED)
            blobs_drop_version(s->blobs, b->rows[i].version_pruned);
    }
}

static void deliver(struct service *s, struct batch *b)
{
    forget_pruned(s, b);
    for (size_t i = 0; i < b->out_count; i++)
        deliver_one(s, &b->outs[i]);
    batch_done(b);
    batch_init(b);
}

static void end(struct service *s)
{
    s->ended = true;
    uv_stop(&s->loop);
}

static void maybe_end(struct service *s, uint64_t now_ms)
{
    if (!s->stop_begun || s->ended || s->in_flight || !batch_empty(&s->filling))
        return;
    if (!s->drain || s->drained || now_ms >= s->end_at_ms)
        end(s);
}

/* One batch is in flight at a time; the next one fills meanwhile. Outputs without rows need no
 * store, but never overtake the rows before them. */
static void pump(struct service *s)
{
    while (!s->in_flight && !s->ended && !batch_empty(&s->filling)) {
        struct batch b = s->filling;
        batch_init(&s->filling);
        s->filling_bytes = 0;
        if (b.row_count == 0) {
            deliver(s, &b);
            batch_done(&b);
            continue;
        }
        batch_done(&s->flying);
        s->flying = b;
        s->in_flight = true;
        s->flight_start_ms = clock_mono_ms();
        work_apply(s);
    }
    maybe_end(s, clock_mono_ms());
}

void service_event(struct service *s, const struct hub_event *ev)
{
    hub_step(s->hub, ev, clock_mono_ms(), &s->filling);
    pump(s);
}

void service_applied(struct service *s, const struct err *e)
{
    uint64_t ms = clock_mono_ms() - s->flight_start_ms;
    s->in_flight = false;
    if (e->code) {
        service_store_failed(s, e);
        return;
    }
    if (ms > SERVICE_SLOW_MS)
        log_warn("store", "slow commit", LOG_U64("ms", ms), LOG_U64("rows", s->flying.row_count));
    deliver(s, &s->flying);
    pump(s);
}

/* ---- failure and recovery ---- */

void service_fatal(struct service *s, const struct err *e)
{
    log_error("service", "cannot go on", LOG_ERR(e));
    pthread_mutex_lock(&s->lock);
    if (!s->fatal.code)
        s->fatal = *e;
    s->stopping = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    call_finish(s, e->code, e->msg);
    end(s);
}

void service_store_failed(struct service *s, const struct err *e)
{
    if (s->hub)
        hub_refuse_parked(s->hub, &s->filling);
    refuse(s, &s->flying);
    refuse(s, &s->filling);
    s->filling_bytes = 0;
    if (s->hub) {
        s->next_session = hub_next_session(s->hub);
        s->broken_since_ms = clock_mono_ms();
        s->retry_ms = SERVICE_RETRY_MS;
        free(s->broken_why);
        s->broken_why = mem_strdup(e->msg);
        log_warn("store", "failed, retrying until it works", LOG_ERR(e));
    }
    hub_free(s->hub);
    s->hub = NULL;
    s->generation++;
    blobs_drop_inputs(s->blobs);
    work_inputs_again(s, true);
    s->retry_at_ms = clock_mono_ms() + s->retry_ms;
    s->retry_ms = s->retry_ms * 2 < SERVICE_RETRY_MAX_MS ? s->retry_ms * 2 : SERVICE_RETRY_MAX_MS;
    if (e->code != ERR_RETRY)
        service_fatal(s, e);
    else if (s->stop_begun)
        end(s); /* the next start finds what is durable */
}

static void begin_stop(struct service *s);

void service_recovered(struct service *s, struct snapshot *snapshot, const struct err *e)
{
    s->recovering = false;
    if (s->ended) {
        snapshot_done(snapshot);
        return;
    }
    if (e->code) {
        service_store_failed(s, e);
        return;
    }
    uint64_t now_ms = clock_mono_ms();
    log_info("store", "works again", LOG_U64("after_ms", now_ms - s->broken_since_ms));
    s->hub = hub_new(&s->hub_options, snapshot, s->next_session, now_ms);
    snapshot_done(snapshot);
    if (s->call)
        call_begin(s);
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    if (stopping)
        begin_stop(s);
    else
        pump(s);
}

/* ---- requests ---- */

static size_t submit_bytes(const struct frame *f)
{
    return f->type == MSG_SUBMIT_GROUP || f->type == MSG_SUBMIT_SCORES ? f->payload_bytes : 0;
}

static void on_request(void *arg, enum server_socket socket, const struct hub_peer *peer,
    const struct frame *f, const struct msg *m)
{
    struct service *s = arg;
    if (!s->hub || s->ended || s->filling_bytes + submit_bytes(f) > SERVICE_BATCH_BYTES_MAX) {
        struct batch b; /* as if it had been stepped and not stored: the right kind of RETRY */
        batch_init(&b);
        struct msg reply = {.type = submit_bytes(f) ? MSG_SUBMIT_REPLY : MSG_NACK};
        struct out *o = batch_out(&b, OUT_REPLY);
        o->reply.peer = *peer;
        o->reply.session = f->session;
        o->reply.sequence = f->sequence;
        o->reply.msg = &reply;
        refuse(s, &b);
        batch_done(&b);
        return;
    }
    if (socket == SERVER_BULK && m->type == MSG_GET_BLOB) {
        work_bulk(s, peer, f, &m->get_blob);
        return;
    }
    if (socket == SERVER_BULK) {
        server_nack(
            s->server, socket, peer, f, NACK_UNSUPPORTED, "the bulk socket takes GetBlob only");
        return;
    }
    s->filling_bytes += submit_bytes(f);
    service_event(s,
        &(struct hub_event){.type = HUB_MESSAGE, .message = {.peer = peer, .frame = f, .msg = m}});
}

static void on_tick(uv_timer_t *timer)
{
    struct service *s = timer->data;
    uint64_t now_ms = clock_mono_ms();
    if (s->ended)
        return;
    if (s->hub) {
        work_inputs_again(s, false);
        service_event(s, &(struct hub_event){.type = HUB_TICK});
    } else if (!s->recovering && now_ms >= s->retry_at_ms) {
        s->recovering = true;
        work_recover(s);
    }
    maybe_end(s, now_ms);
}

/* ---- stop ---- */

static void begin_stop(struct service *s)
{
    if (s->stop_begun || s->ended)
        return;
    s->stop_begun = true;
    call_finish(s, ERR_INTERRUPTED, "the learner was asked to stop");
    pthread_mutex_lock(&s->lock);
    const char *state = s->stop_state ? s->stop_state : "failed";
    const char *why = s->stop_why ? s->stop_why : "";
    pthread_mutex_unlock(&s->lock); /* both are set once and stay */
    s->drain = strcmp(state, "stopped") != 0;
    s->end_at_ms = clock_mono_ms() + SERVICE_DRAIN_MS;
    if (strcmp(state, "finished") != 0)
        s->keep_dir = true;
    if (!s->hub) {
        s->keep_dir = true;
        end(s); /* the state cannot be written; the next start finds what is durable */
        return;
    }
    service_event(s, &(struct hub_event){.type = HUB_STOP,
                         .stop = {.state = state, .why = why, .drain = s->drain}});
}

static void on_stop(void *arg)
{
    begin_stop(arg);
}

void service_stop(struct service *s, const char *state, const char *why)
{
    pthread_mutex_lock(&s->lock);
    bool first = !s->stop_state;
    if (first) {
        s->stop_state = mem_strdup(state);
        s->stop_why = mem_strdup(why ? why : "");
        s->stopping = true;
        pthread_cond_broadcast(&s->wake);
        loop_mail_post(s->mail, on_stop, s);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- start ---- */

static void fill_scorers(struct service *s, const struct recipe *r)
{
    for (size_t i = 0; i < r->reward_count; i++) {
        const struct recipe_reward *w = &r->rewards[i];
        s->specs[i] = w->spec;
        s->scorer_names[i] = w->spec.name;
        s->scorers[i] =
            (struct hub_scorer){.name = w->spec.name, .kind = w->spec.kind, .term = w->term};
    }
}

static int open_store(struct service *s, const struct service_options *o, struct err *e)
{
    static const char *const kinds[] = {[STAGE_PRETRAIN] = "pretrain", [STAGE_GRPO] = "grpo"};
    const struct recipe *r = o->recipe;
    for (size_t i = 0; i < r->stage_count; i++)
        s->stages[i] =
            (struct store_stage){r->stages[i].name, kinds[r->stages[i].kind], r->stages[i].steps};
    struct store_options options = {.run_dir = o->run_dir,
        .name = r->name,
        .seed = r->seed,
        .config = o->config_text,
        .build = COHORT_BUILD,
        .model_config = o->model_config,
        .training_id = o->training_id,
        .accept_numerics = o->accept_training_id,
        .numerics_id = o->numerics_id,
        .tokenizer = o->tokenizer,
        .stages = s->stages,
        .stage_count = r->stage_count,
        .scorers = s->scorer_names,
        .scorer_count = r->reward_count,
        .scorer_specs = s->specs,
        .segment_bytes = (uint64_t)r->segment_kib << 10,
        .prune_samples = !r->keep_all_samples};
    return store_open(&options, &s->store, e);
}

/* A worker samples ids below the tokenizer's size only, and ends at the model's end-of-text ids. */
static int fill_hub_options(struct service *s, const struct service_options *o, struct err *e)
{
    struct model_config model;
    int r = model_config_parse(
        o->model_config, strlen(o->model_config), "the run's config.json", &model, e);
    if (r)
        return r;
    struct buf config = {0};
    buf_puts(&config, o->model_config);
    struct hub_options *h = &s->hub_options;
    h->run = s->run_name;
    h->seed = o->recipe->seed;
    h->lease_ms = o->recipe->lease_ms;
    h->numerics_id = o->numerics_id;
    h->vocab = tokenizer_size(o->tokenizer);
    h->stop = s->stop_ids;
    for (uint32_t i = 0; i < model.eos_count; i++) {
        if (model.eos[i] < h->vocab)
            s->stop_ids[h->stop_count++] = model.eos[i];
    }
    h->model = blobs_put(s->blobs, BLOB_MODEL_CONFIG, 0, &config);
    h->scorers = s->scorers;
    h->scorer_count = o->recipe->reward_count;
    return 0;
}

static int open_loop(struct service *s, struct err *e)
{
    if (uv_loop_init(&s->loop))
        return err_set(e, ERR_FAIL, "cannot make an event loop");
    s->loop_open = true;
    (void)uv_timer_init(&s->loop, &s->tick); /* always 0 */
    s->tick.data = s;
    return loop_mail_open(&s->loop, &s->mail, e);
}

static int start_hub(struct service *s, struct err *e)
{
    struct snapshot snapshot;
    int r = store_snapshot(s->store, &snapshot, e);
    if (r)
        return r;
    s->epoch = snapshot.epoch;
    s->next_session = ((uint64_t)s->epoch << 32) + 1;
    s->hub = hub_new(&s->hub_options, &snapshot, s->next_session, clock_mono_ms());
    snapshot_done(&snapshot);
    return 0;
}

/* The memory that peers can make this process take. */
static uint64_t receive_bytes(const struct recipe *r)
{
    return r->net_receive_mib != 0 ? (uint64_t)r->net_receive_mib << 20
                                   : machine_memory_bytes() / SERVICE_RECEIVE_SHARE;
}

static int open_sockets(struct service *s, const struct service_options *o, struct err *e)
{
    unsigned workers = o->recipe->actors + o->recipe->reward_servers;
    int r = address_dir(o->run_dir, o->recipe->net_dir, &s->dir, e);
    if (r == 0)
        r = server_open(&s->loop, s->dir, s->epoch, on_request, s, &s->server, e);
    if (r == 0)
        r = server_limit(s->server, receive_bytes(o->recipe), workers, e);
    if (r == 0)
        r = address_write(o->run_dir, s->dir, e);
    if (r)
        return r;
    log_info("service", "listening", LOG_STR("run", s->run_name), LOG_STR("dir", s->dir),
        LOG_U64("epoch", s->epoch));
    return 0;
}

int service_start(const struct service_options *o, struct service **ret, struct err *e)
{
    struct service *s = mem_alloc(sizeof(*s));
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->wake, NULL);
    batch_init(&s->filling);
    batch_init(&s->flying);
    s->run_dir = mem_strdup(o->run_dir);
    s->run_name = mem_strdup(o->recipe->name);
    s->keep_dir = o->recipe->net_dir[0] != '\0';
    s->blobs = blobs_new();
    fill_scorers(s, o->recipe);
    int r = open_loop(s, e);
    if (r == 0)
        r = fill_hub_options(s, o, e);
    if (r == 0)
        r = open_store(s, o, e);
    if (r == 0)
        r = start_hub(s, e);
    if (r == 0)
        r = open_sockets(s, o, e);
    if (r == 0)
        r = work_start("hash", SERVICE_QUEUE_MAX, &s->hash_thread, e);
    if (r == 0)
        r = work_start("store", SERVICE_QUEUE_MAX, &s->store_thread, e);
    if (r) {
        service_close(s);
        return err_ctx(e, "start the learner on '%s'", o->run_dir);
    }
    *ret = s;
    return 0;
}

struct uv_loop_s *service_loop(struct service *s)
{
    return &s->loop;
}

void service_run(struct service *s)
{
    (void)uv_timer_start(&s->tick, on_tick, SERVICE_TICK_MS, SERVICE_TICK_MS);
    while (!s->ended)
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    /* A call of the stage thread may have been posted while the service ended: it gets its answer.
     */
    (void)uv_run(&s->loop, UV_RUN_NOWAIT);
    (void)uv_timer_stop(&s->tick);
}

/* ---- close ---- */

static void close_loop(struct service *s)
{
    if (!s->loop_open)
        return;
    s->ended = true;
    uv_close((uv_handle_t *)&s->tick, NULL);
    loop_mail_close(s->mail); /* what it still holds may reply: before the sockets go */
    server_close(s->server);
    while (uv_loop_alive(&s->loop))
        (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&s->loop);
}

/* A finished run needs no sockets any more; any other comes back to the same place. */
static void remove_dir(struct service *s)
{
    if (!s->dir || s->keep_dir)
        return;
    CLEANUP_FREE char *ctl = mem_printf("%s/ctl", s->dir);
    CLEANUP_FREE char *bulk = mem_printf("%s/bulk", s->dir);
    (void)unlink(ctl); /* the bus may have removed them already */
    (void)unlink(bulk);
    (void)rmdir(s->dir); /* not empty: somebody else's files, which stay */
}

void service_close(struct service *s)
{
    if (!s)
        return;
    work_stop(s->store_thread);
    work_stop(s->hash_thread); /* both before the mailbox that their jobs post to */
    close_loop(s);
    remove_dir(s);
    if (s->stop_state && strcmp(s->stop_state, "finished") == 0)
        address_set_ended(s->run_dir);
    store_close(s->store);
    hub_free(s->hub);
    work_inputs_again(s, true);
    for (struct pending *p = s->pending, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    batch_done(&s->filling);
    batch_done(&s->flying);
    blobs_free(s->blobs);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->wake);
    free(s->broken_why);
    free(s->stop_state);
    free(s->stop_why);
    free(s->run_name);
    free(s->run_dir);
    free(s->dir);
    free(s);
}
