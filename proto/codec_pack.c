/* codec_pack.c: messages to payload bytes, one encoder for each type. */
#include <assert.h>

#include "proto/cohort.pb-c.h"
#include "proto/pack.h"

size_t sample_lease_bytes_max(const struct sample_lease *l)
{
    enum { OTHER_FIELDS = 192 }; /* all but the two lists, every number at its longest */
    return OTHER_FIELDS + sizeof(uint32_t) * (l->prompt_len + l->stop_count);
}

static Cohort__BlobRef *pack_ref(struct arena *a, const struct blob_ref *ref)
{
    Cohort__BlobRef *m = pack_array(a, 1, sizeof(*m));
    cohort__blob_ref__init(m);
    m->kind = ref->kind;
    m->id = ref->id;
    m->bytes = ref->bytes;
    m->hash = pack_hash(&ref->hash);
    return m;
}

static void pack_hello(struct buf *out, struct arena *a, const struct msg *msg)
{
    const struct msg_hello *h = &msg->hello;
    Cohort__Hello m = COHORT__HELLO__INIT;
    m.name = pack_text(h->name);
    m.protocol = h->protocol;
    if (h->has_numerics)
        m.numerics_id = pack_hash(&h->numerics_id);
    m.build = pack_display(a, h->build, LIMIT_TEXT);
    m.host = pack_display(a, h->host, LIMIT_TEXT);
    m.boot_id = pack_bytes(h->boot_id, sizeof(h->boot_id));
    m.slots = h->slots;
    m.n_scorers = h->scorer_count;
    m.scorers = pack_array(a, h->scorer_count, sizeof(*m.scorers));
    for (size_t i = 0; i < h->scorer_count; i++)
        m.scorers[i] = pack_text(h->scorers[i]);
    pack_append(out, &m.base);
}

static void pack_welcome(struct buf *out, struct arena *a, const struct msg *msg)
{
    const struct msg_welcome *w = &msg->welcome;
    Cohort__Welcome m = COHORT__WELCOME__INIT;
    m.session = w->session;
    m.epoch = w->epoch;
    m.run = pack_text(w->run);
    m.heartbeat_ms = w->heartbeat_ms;
    m.lease_ms = w->lease_ms;
    m.model = w->model.kind != 0 ? pack_ref(a, &w->model) : NULL;
    pack_append(out, &m.base);
}

/* protobuf-c has no const; it only reads a list that it packs. */
static uint64_t *pack_ids(const uint64_t *ids)
{
    return (uint64_t *)ids;
}

static void pack_poll(struct buf *out, struct arena *a, const struct msg *msg)
{
    (void)a;
    const struct msg_poll *p = &msg->poll;
    Cohort__Poll m = COHORT__POLL__INIT;
    m.max_jobs = p->max_jobs;
    m.n_leases = p->lease_count;
    m.leases = pack_ids(p->leases);
    m.wait_ms = p->wait_ms;
    m.tokens = p->tokens;
    pack_append(out, &m.base);
}

static Cohort__SampleLease *pack_sample(struct arena *a, const struct sample_lease *l)
{
    Cohort__SampleLease *m = pack_array(a, 1, sizeof(*m));
    cohort__sample_lease__init(m);
    m->lease = l->lease;
    m->job = l->job;
    m->group = l->group;
    m->lease_ms = l->lease_ms;
    m->version = l->version;
    m->weights = pack_hash(&l->weights);
    m->prompt = pack_bytes(l->prompt, sizeof(uint32_t) * l->prompt_len);
    m->n = l->n;
    m->max_tokens = l->max_tokens;
    m->temperature = l->temperature;
    m->seed = l->seed;
    m->domain = l->domain;
    m->stage = l->stage;
    m->ordinal = l->ordinal;
    m->stop = pack_bytes(l->stop, sizeof(uint32_t) * l->stop_count);
    m->vocab = l->vocab;
    m->weights_type = l->weights_type;
    return m;
}

static Cohort__GradeLease *pack_grade(struct arena *a, const struct grade_lease *l)
{
    Cohort__GradeLease *m = pack_array(a, 1, sizeof(*m));
    cohort__grade_lease__init(m);
    m->lease = l->lease;
    m->job = l->job;
    m->group = l->group;
    m->lease_ms = l->lease_ms;
    m->input = pack_ref(a, &l->input);
    return m;
}

static void pack_grant(struct buf *out, struct arena *a, const struct msg *msg)
{
    const struct msg_grant *g = &msg->grant;
    Cohort__Grant m = COHORT__GRANT__INIT;
    m.n_sample = g->sample_count;
    m.sample = pack_array(a, g->sample_count, sizeof(*m.sample));
    for (size_t i = 0; i < g->sample_count; i++)
        m.sample[i] = pack_sample(a, &g->sample[i]);
    m.n_grade = g->grade_count;
    m.grade = pack_array(a, g->grade_count, sizeof(*m.grade));
    for (size_t i = 0; i < g->grade_count; i++)
        m.grade[i] = pack_grade(a, &g->grade[i]);
    m.n_revoked = g->revoked_count;
    m.revoked = pack_ids(g->revoked);
    m.drain = g->drain;
    m.retry_ms = g->retry_ms;
    pack_append(out, &m.base);
}

static void pack_heartbeat(struct buf *out, struct arena *a, const struct msg *msg)
{
    (void)a;
    Cohort__Heartbeat m = COHORT__HEARTBEAT__INIT;
    m.n_leases = msg->heartbeat.lease_count;
    m.leases = pack_ids(msg->heartbeat.leases);
    m.tokens = msg->heartbeat.tokens;
    pack_append(out, &m.base);
}

static void pack_heartbeat_reply(struct buf *out, struct arena *a, const struct msg *msg)
{
    (void)a;
    Cohort__HeartbeatReply m = COHORT__HEARTBEAT_REPLY__INIT;
    m.n_revoked = msg->heartbeat_reply.revoked_count;
    m.revoked = pack_ids(msg->heartbeat_reply.revoked);
    m.drain = msg->heartbeat_reply.drain;
    pack_append(out, &m.base);
}

static void pack_submit_group(struct buf *out, struct arena *a, const struct msg *msg)
{
    const struct msg_submit_group *g = &msg->submit_group;
    Cohort__SubmitGroup m = COHORT__SUBMIT_GROUP__INIT;
    m.lease = g->lease;
    m.weights = pack_hash(&g->weights);
    m.numerics_id = pack_hash(&g->numerics_id);
    m.weights_type = g->weights_type;
    m.wall_us = g->wall_us;
    m.n_completions = g->completion_count;
    m.completions = pack_array(a, g->completion_count, sizeof(*m.completions));
    Cohort__Completion *items = pack_array(a, g->completion_count, sizeof(*items));
    for (size_t i = 0; i < g->completion_count; i++) {
        const struct completion *c = &g->completions[i];
        cohort__completion__init(&items[i]);
        items[i].tokens = pack_bytes(c->tokens, sizeof(uint32_t) * c->len);
        items[i].logp = pack_bytes(c->logp, sizeof(float) * c->len);
        items[i].stop = c->stop;
        m.completions[i] = &items[i];
    }
    pack_append(out, &m.base);
}

static void pack_submit_scores(struct buf *out, struct arena *a, const struct msg *msg)
{
    const struct msg_submit_scores *s = &msg->submit_scores;
    Cohort__SubmitScores m = COHORT__SUBMIT_SCORES__INIT;
    m.lease = s->lease;
    m.wall_us = s->wall_us;
    m.n_results = s->result_count;
    m.results = pack_array(a, s->result_count, sizeof(*m.results));
    Cohort__ScoreResult *items = pack_array(a, s->result_count, sizeof(*items));
    for (size_t i = 0; i < s->result_count; i++) {
        const struct score_result *r = &s->results[i];
        cohort__score_result__init(&items[i]);
        items[i].index = r->index;
        items[i].scorer = pack_text(r->scorer);
        if (r->has_value) {
            items[i].scored_case = COHORT__SCORE_RESULT__SCORED_VALUE;
            items[i].value = r->value;
        }
        items[i].verdict = r->verdict;
        items[i].fault = r->fault;
        items[i].reason = pack_display(a, r->reason, LIMIT_TEXT);
        items[i].extracted = pack_display(a, r->extracted, LIMIT_EXTRACTED);
        items[i].isolation = pack_display(a, r->isolation, LIMIT_NAME);
        items[i].wall_us = r->wall_us;
        m.results[i] = &items[i];
    }
    pack_append(out, &m.base);
}

static void pack_submit_reply(struct buf *out, struct arena *a, const struct msg *msg)
{
    Cohort__SubmitReply m = COHORT__SUBMIT_REPLY__INIT;
    m.status = msg->submit_reply.status;
    m.message = pack_display(a, msg->submit_reply.message, LIMIT_TEXT);
    m.retry_ms = msg->submit_reply.retry_ms;
    pack_append(out, &m.base);
}

static void pack_release(struct buf *out, struct arena *a, const struct msg *msg)
{
    Cohort__Release m = COHORT__RELEASE__INIT;
    m.n_leases = msg->release.lease_count;
    m.leases = pack_ids(msg->release.leases);
    m.why = pack_display(a, msg->release.why, LIMIT_TEXT);
    pack_append(out, &m.base);
}

static void pack_get_blob(struct buf *out, struct arena *a, const struct msg *msg)
{
    (void)a;
    Cohort__GetBlob m = COHORT__GET_BLOB__INIT;
    m.kind = msg->get_blob.kind;
    m.id = msg->get_blob.id;
    m.offset = msg->get_blob.offset;
    m.bytes = msg->get_blob.bytes;
    m.lease = msg->get_blob.lease;
    pack_append(out, &m.base);
}

static void pack_blob_chunk(struct buf *out, struct arena *a, const struct msg *msg)
{
    (void)a;
    Cohort__BlobChunk m = COHORT__BLOB_CHUNK__INIT;
    m.total = msg->blob_chunk.total;
    m.data = pack_bytes(msg->blob_chunk.data, msg->blob_chunk.data_len);
    pack_append(out, &m.base);
}

static void pack_nack(struct buf *out, struct arena *a, const struct msg *msg)
{
    Cohort__Nack m = COHORT__NACK__INIT;
    m.code = msg->nack.code;
    m.message = pack_display(a, msg->nack.message, LIMIT_TEXT);
    pack_append(out, &m.base);
}

/* Released and Bye have no body and no row. */
static void (*const encoders[MSG_TYPE_COUNT])(
    struct buf *out, struct arena *a, const struct msg *msg) = {
    [MSG_HELLO] = pack_hello,
    [MSG_WELCOME] = pack_welcome,
    [MSG_POLL] = pack_poll,
    [MSG_GRANT] = pack_grant,
    [MSG_HEARTBEAT] = pack_heartbeat,
    [MSG_HEARTBEAT_REPLY] = pack_heartbeat_reply,
    [MSG_SUBMIT_GROUP] = pack_submit_group,
    [MSG_SUBMIT_SCORES] = pack_submit_scores,
    [MSG_SUBMIT_REPLY] = pack_submit_reply,
    [MSG_RELEASE] = pack_release,
    [MSG_GET_BLOB] = pack_get_blob,
    [MSG_BLOB_CHUNK] = pack_blob_chunk,
    [MSG_NACK] = pack_nack,
};

void msg_pack(struct buf *out, const struct msg *m)
{
    assert(m->type > 0 && m->type < MSG_TYPE_COUNT);
    if (encoders[m->type] == NULL)
        return;
    CLEANUP(pack_arena_done) struct arena *scratch = arena_new(0);
    encoders[m->type](out, scratch, m);
}
