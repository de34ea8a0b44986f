/* codec_unpack.c: payload bytes to checked messages, one decoder for each type. */
#include <math.h>

#include "proto/cohort.pb-c.h"
#include "common/base/rng.h"
#include "proto/unpack.h"

uint64_t blob_bytes_max(unsigned kind)
{
    switch (kind) {
    case BLOB_MODEL_CONFIG:
        return LIMIT_JSON_BYTES;
    case BLOB_WEIGHTS_MANIFEST:
        return LIMIT_MANIFEST_BYTES;
    case BLOB_WEIGHTS:
        return (uint64_t)LIMIT_BLOB_BYTES_MAX_GIB << 30;
    case BLOB_GRADE_INPUT:
        return LIMIT_GRADE_INPUT_BYTES;
    default:
        return 0;
    }
}

static struct blob_ref unpack_ref(
    struct unpacker *u, const char *field, const Cohort__BlobRef *m, unsigned kind)
{
    struct blob_ref ref = {.kind = m->kind, .id = m->id, .bytes = m->bytes};
    if (m->kind != kind)
        unpack_fail(u, field, "blob kind %u, expected %u", m->kind, kind);
    unpack_range(u, field, m->bytes, 0, blob_bytes_max(kind));
    ref.hash = unpack_hash(u, field, m->hash);
    return ref;
}

static void unpack_hello(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__Hello *m = pb;
    struct msg_hello *ret = &out->hello;
    ret->name = unpack_name(u, "name", m->name);
    ret->protocol = m->protocol;
    ret->build = unpack_display(u, "build", m->build, LIMIT_TEXT);
    ret->host = unpack_display(u, "host", m->host, LIMIT_TEXT);
    ret->slots = (uint32_t)unpack_range(u, "slots", m->slots, 1, LIMIT_LEASES_PER_WORKER);
    ret->has_numerics = m->numerics_id.len > 0;
    if (ret->has_numerics)
        ret->numerics_id = unpack_hash(u, "numerics_id", m->numerics_id);
    unpack_boot_id(u, m->boot_id, ret->boot_id);
    ret->scorer_count = unpack_count(u, "scorers", m->n_scorers, 0, LIMIT_SCORER_KINDS);
    ret->scorers = unpack_array(u, ret->scorer_count, sizeof(*ret->scorers));
    for (size_t i = 0; i < ret->scorer_count && u->code == 0; i++)
        ret->scorers[i] = unpack_name(u, "scorers", m->scorers[i]);
}

static void unpack_welcome(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__Welcome *m = pb;
    struct msg_welcome *ret = &out->welcome;
    ret->session = unpack_id(u, "session", m->session);
    ret->epoch = (uint32_t)unpack_id(u, "epoch", m->epoch);
    ret->run = unpack_name(u, "run", m->run);
    ret->heartbeat_ms =
        (uint32_t)unpack_range(u, "heartbeat_ms", m->heartbeat_ms, 1, LIMIT_DURATION_MS);
    ret->lease_ms = (uint32_t)unpack_range(u, "lease_ms", m->lease_ms, 1, LIMIT_DURATION_MS);
    if (m->model != NULL)
        ret->model = unpack_ref(u, "model", m->model, BLOB_MODEL_CONFIG);
}

static void unpack_poll(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__Poll *m = pb;
    struct msg_poll *ret = &out->poll;
    ret->max_jobs = (uint32_t)unpack_range(u, "max_jobs", m->max_jobs, 0, LIMIT_LEASES_PER_WORKER);
    ret->wait_ms = (uint32_t)unpack_range(u, "wait_ms", m->wait_ms, 0, LIMIT_DURATION_MS);
    ret->lease_count = unpack_leases(u, "leases", m->leases, m->n_leases, &ret->leases);
    ret->tokens = m->tokens;
}

static enum weights_type unpack_weights_type(struct unpacker *u, uint32_t number)
{
    return (enum weights_type)unpack_range(
        u, "weights_type", number, WEIGHTS_F32, WEIGHTS_TYPE_COUNT - 1);
}

static void unpack_sample(
    struct unpacker *u, const Cohort__SampleLease *m, struct sample_lease *ret)
{
    ret->lease = unpack_id(u, "lease", m->lease);
    ret->job = unpack_id(u, "job", m->job);
    ret->group = unpack_id(u, "group", m->group);
    ret->lease_ms = (uint32_t)unpack_range(u, "lease_ms", m->lease_ms, 1, LIMIT_DURATION_MS);
    ret->version = m->version;
    ret->weights = unpack_hash(u, "weights", m->weights);
    ret->prompt_len = unpack_tokens(u, "prompt", m->prompt, 1, LIMIT_PROMPT_TOKENS, &ret->prompt);
    ret->n = (uint32_t)unpack_range(u, "n", m->n, 1, LIMIT_GROUP);
    ret->max_tokens =
        (uint32_t)unpack_range(u, "max_tokens", m->max_tokens, 1, LIMIT_COMPLETION_TOKENS);
    ret->vocab = (uint32_t)unpack_range(u, "vocab", m->vocab, 1, LIMIT_VOCAB);
    ret->temperature = m->temperature;
    if (!isfinite(m->temperature) || m->temperature < 0.0f)
        unpack_fail(
            u, "temperature", "%g, expected a finite number from 0", (double)m->temperature);
    ret->weights_type = unpack_weights_type(u, m->weights_type);
    ret->seed = m->seed;
    ret->ordinal = m->ordinal;
    ret->domain = (uint32_t)unpack_range(u, "domain", m->domain, RNG_TRAIN, RNG_INIT);
    ret->stage = m->stage;
    ret->stop_count = unpack_tokens(u, "stop", m->stop, 0, LIMIT_STOP_IDS, &ret->stop);
}

static void unpack_grade(struct unpacker *u, const Cohort__GradeLease *m, struct grade_lease *ret)
{
    ret->lease = unpack_id(u, "lease", m->lease);
    ret->job = unpack_id(u, "job", m->job);
    ret->group = unpack_id(u, "group", m->group);
    ret->lease_ms = (uint32_t)unpack_range(u, "lease_ms", m->lease_ms, 1, LIMIT_DURATION_MS);
    if (m->input == NULL)
        unpack_fail(u, "input", "missing");
    else
        ret->input = unpack_ref(u, "input", m->input, BLOB_GRADE_INPUT);
}

static void unpack_grant(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__Grant *m = pb;
    struct msg_grant *ret = &out->grant;
    ret->sample_count = unpack_count(u, "sample", m->n_sample, 0, LIMIT_GRANT);
    ret->grade_count = unpack_count(u, "grade", m->n_grade, 0, LIMIT_GRANT - ret->sample_count);
    struct sample_lease *sample = unpack_array(u, ret->sample_count, sizeof(*sample));
    struct grade_lease *grade = unpack_array(u, ret->grade_count, sizeof(*grade));
    u->list = "sample";
    for (u->index = 0; u->index < ret->sample_count && u->code == 0; u->index++)
        unpack_sample(u, m->sample[u->index], &sample[u->index]);
    u->list = "grade";
    for (u->index = 0; u->index < ret->grade_count && u->code == 0; u->index++)
        unpack_grade(u, m->grade[u->index], &grade[u->index]);
    u->list = NULL;
    ret->sample = sample;
    ret->grade = grade;
    ret->revoked_count = unpack_leases(u, "revoked", m->revoked, m->n_revoked, &ret->revoked);
    ret->drain = m->drain;
    ret->retry_ms = (uint32_t)unpack_range(u, "retry_ms", m->retry_ms, 0, LIMIT_DURATION_MS);
}

static void unpack_submit_group(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__SubmitGroup *m = pb;
    struct msg_submit_group *ret = &out->submit_group;
    ret->lease = unpack_id(u, "lease", m->lease);
    ret->weights = unpack_hash(u, "weights", m->weights);
    ret->numerics_id = unpack_hash(u, "numerics_id", m->numerics_id);
    ret->weights_type = unpack_weights_type(u, m->weights_type);
    ret->wall_us = m->wall_us;
    ret->completion_count = unpack_count(u, "completions", m->n_completions, 1, LIMIT_GROUP);
    struct completion *completions = unpack_array(u, ret->completion_count, sizeof(*completions));
    u->list = "completions";
    for (u->index = 0; u->index < ret->completion_count && u->code == 0; u->index++) {
        const Cohort__Completion *c = m->completions[u->index];
        struct completion *item = &completions[u->index];
        item->len = (uint32_t)unpack_tokens(
            u, "tokens", c->tokens, 1, LIMIT_COMPLETION_TOKENS, &item->tokens);
        item->logp = unpack_logp(u, "logp", c->logp, item->len);
        item->stop = (enum stop_reason)unpack_range(u, "stop", c->stop, 0, STOP_COUNT - 1);
    }
    u->list = NULL;
    ret->completions = completions;
}

/* A fault of the judge is not a score (DESIGN G7), and without a fault there is one. */
static void unpack_score(struct unpacker *u, const Cohort__ScoreResult *m, struct score_result *ret)
{
    ret->index = (uint32_t)unpack_range(u, "index", m->index, 0, LIMIT_GROUP - 1);
    ret->scorer = unpack_name(u, "scorer", m->scorer);
    ret->has_value = m->scored_case == COHORT__SCORE_RESULT__SCORED_VALUE;
    ret->value = ret->has_value ? m->value : 0.0;
    ret->verdict = (enum verdict)unpack_range(u, "verdict", m->verdict, 0, VERDICT_COUNT - 1);
    ret->fault = (enum score_fault)unpack_range(u, "fault", m->fault, 0, SCORE_FAULT_COUNT - 1);
    if (!isfinite(ret->value))
        unpack_fail(u, "value", "%g, expected a finite number", ret->value);
    if (ret->has_value != (ret->fault == SCORE_FAULT_NONE))
        unpack_fail(u, "value", "%s with fault '%s'", ret->has_value ? "present" : "absent",
            score_fault_name(ret->fault));
    ret->reason = unpack_display(u, "reason", m->reason, LIMIT_TEXT);
    ret->extracted = unpack_display(u, "extracted", m->extracted, LIMIT_EXTRACTED);
    ret->isolation = unpack_display(u, "isolation", m->isolation, LIMIT_NAME);
    ret->wall_us = m->wall_us;
}

static void unpack_submit_scores(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__SubmitScores *m = pb;
    struct msg_submit_scores *ret = &out->submit_scores;
    ret->lease = unpack_id(u, "lease", m->lease);
    ret->wall_us = m->wall_us;
    ret->result_count =
        unpack_count(u, "results", m->n_results, 1, (size_t)LIMIT_GROUP * LIMIT_SCORERS);
    struct score_result *results = unpack_array(u, ret->result_count, sizeof(*results));
    u->list = "results";
    for (u->index = 0; u->index < ret->result_count && u->code == 0; u->index++)
        unpack_score(u, m->results[u->index], &results[u->index]);
    u->list = NULL;
    ret->results = results;
}

static void unpack_heartbeat(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__Heartbeat *m = pb;
    struct msg_heartbeat *ret = &out->heartbeat;
    ret->lease_count = unpack_leases(u, "leases", m->leases, m->n_leases, &ret->leases);
    ret->tokens = m->tokens;
}

static void unpack_heartbeat_reply(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__HeartbeatReply *m = pb;
    struct msg_heartbeat_reply *ret = &out->heartbeat_reply;
    ret->revoked_count = unpack_leases(u, "revoked", m->revoked, m->n_revoked, &ret->revoked);
    ret->drain = m->drain;
}

static void unpack_submit_reply(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__SubmitReply *m = pb;
    struct msg_submit_reply *ret = &out->submit_reply;
    ret->status = (enum submit_status)unpack_range(u, "status", m->status, 0, SUBMIT_RETRY);
    ret->message = unpack_display(u, "message", m->message, LIMIT_TEXT);
    ret->retry_ms = (uint32_t)unpack_range(u, "retry_ms", m->retry_ms, 0, LIMIT_DURATION_MS);
}

static void unpack_release(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__Release *m = pb;
    struct msg_release *ret = &out->release;
    ret->lease_count = unpack_leases(u, "leases", m->leases, m->n_leases, &ret->leases);
    ret->why = unpack_display(u, "why", m->why, LIMIT_TEXT);
}

static void unpack_get_blob(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__GetBlob *m = pb;
    struct msg_get_blob *ret = &out->get_blob;
    ret->kind = (uint32_t)unpack_range(u, "kind", m->kind, BLOB_MODEL_CONFIG, BLOB_GRADE_INPUT);
    ret->id = m->id;
    ret->offset = unpack_range(u, "offset", m->offset, 0, blob_bytes_max(ret->kind));
    ret->bytes = (uint32_t)unpack_range(u, "bytes", m->bytes, 1, LIMIT_CHUNK_BYTES);
    ret->lease = m->lease;
}

static void unpack_blob_chunk(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__BlobChunk *m = pb;
    struct msg_blob_chunk *ret = &out->blob_chunk;
    ret->total = unpack_range(u, "total", m->total, 0, blob_bytes_max(BLOB_WEIGHTS));
    ret->data_len = unpack_count(u, "data", m->data.len, 0, LIMIT_CHUNK_BYTES);
    ret->data = m->data.data;
    if (ret->data_len > ret->total)
        unpack_fail(u, "data", "%zu bytes of a blob of %llu", ret->data_len,
            (unsigned long long)ret->total);
}

static void unpack_nack(struct unpacker *u, const void *pb, struct msg *out)
{
    const Cohort__Nack *m = pb;
    struct msg_nack *ret = &out->nack;
    ret->code = (enum nack_code)unpack_range(u, "code", m->code, NACK_BAD_FRAME, NACK_ENDED);
    ret->message = unpack_display(u, "message", m->message, LIMIT_TEXT);
}

/* Released and Bye have no body and no row. */
static const struct decoder {
    const ProtobufCMessageDescriptor *descriptor;
    void (*decode)(struct unpacker *u, const void *pb, struct msg *out);
} decoders[MSG_TYPE_COUNT] = {
    [MSG_HELLO] = {&cohort__hello__descriptor, unpack_hello},
    [MSG_WELCOME] = {&cohort__welcome__descriptor, unpack_welcome},
    [MSG_POLL] = {&cohort__poll__descriptor, unpack_poll},
    [MSG_GRANT] = {&cohort__grant__descriptor, unpack_grant},
    [MSG_HEARTBEAT] = {&cohort__heartbeat__descriptor, unpack_heartbeat},
    [MSG_HEARTBEAT_REPLY] = {&cohort__heartbeat_reply__descriptor, unpack_heartbeat_reply},
    [MSG_SUBMIT_GROUP] = {&cohort__submit_group__descriptor, unpack_submit_group},
    [MSG_SUBMIT_SCORES] = {&cohort__submit_scores__descriptor, unpack_submit_scores},
    [MSG_SUBMIT_REPLY] = {&cohort__submit_reply__descriptor, unpack_submit_reply},
    [MSG_RELEASE] = {&cohort__release__descriptor, unpack_release},
    [MSG_GET_BLOB] = {&cohort__get_blob__descriptor, unpack_get_blob},
    [MSG_BLOB_CHUNK] = {&cohort__blob_chunk__descriptor, unpack_blob_chunk},
    [MSG_NACK] = {&cohort__nack__descriptor, unpack_nack},
};

int msg_unpack(const struct frame *f, struct arena *a, struct msg *ret, struct err *e)
{
    if (f->type == 0 || f->type >= MSG_TYPE_COUNT)
        return err_set(e, ERR_LIMIT, "frame: type %u is unknown", f->type);
    if (f->payload_bytes > frame_payload_max(f->type))
        return err_set(e, ERR_LIMIT, "%s: %u bytes, the limit is %zu", frame_type_name(f->type),
            f->payload_bytes, frame_payload_max(f->type));
    struct msg m = {.type = (enum frame_type)f->type};
    const struct decoder *d = &decoders[f->type];
    if (d->decode != NULL) {
        struct unpacker u;
        unpacker_init(&u, a, frame_type_name(f->type), f->payload_bytes, e);
        const void *pb = unpack_run(&u, d->descriptor, f->payload, f->payload_bytes);
        if (pb != NULL)
            d->decode(&u, pb, &m);
        if (u.code != 0)
            return u.code;
    }
    *ret = m;
    return 0;
}
