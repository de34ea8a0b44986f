/* codec_blob.c: the blobs that have a structure of their own: grade inputs and weights manifests.
 */
#include "proto/cohort.pb-c.h"
#include "proto/pack.h"
#include "proto/unpack.h"

static void pack_scorers(Cohort__GradeInput *m, struct arena *a, const struct grade_input *in)
{
    Cohort__ScorerSpec *items = pack_array(a, in->scorer_count, sizeof(*items));
    m->n_scorers = in->scorer_count;
    m->scorers = pack_array(a, in->scorer_count, sizeof(*m->scorers));
    for (size_t i = 0; i < in->scorer_count; i++) {
        cohort__scorer_spec__init(&items[i]);
        items[i].name = pack_text(in->scorers[i].name);
        items[i].kind = pack_text(in->scorers[i].kind);
        items[i].params_json = pack_text(in->scorers[i].params_json);
        m->scorers[i] = &items[i];
    }
}

void grade_input_pack(struct buf *out, const struct grade_input *in)
{
    CLEANUP(pack_arena_done) struct arena *a = arena_new(0);
    Cohort__GradeInput m = COHORT__GRADE_INPUT__INIT;
    m.group = in->group;
    m.row_key = pack_text(in->row_key);
    m.prompt = pack_bytes(in->prompt, in->prompt_len);
    m.task_json = pack_text(in->task_json);
    m.seed = in->seed;
    pack_scorers(&m, a, in);
    Cohort__GradeText *items = pack_array(a, in->completion_count, sizeof(*items));
    m.n_completions = in->completion_count;
    m.completions = pack_array(a, in->completion_count, sizeof(*m.completions));
    for (size_t i = 0; i < in->completion_count; i++) {
        const struct grade_text *t = &in->completions[i];
        cohort__grade_text__init(&items[i]);
        items[i].index = t->index;
        items[i].text = pack_bytes(t->text, t->text_len);
        items[i].tokens = t->tokens;
        items[i].truncated = t->truncated;
        m.completions[i] = &items[i];
    }
    pack_append(out, &m.base);
}

static void unpack_scorers(struct unpacker *u, const Cohort__GradeInput *m, struct grade_input *ret)
{
    ret->scorer_count = unpack_count(u, "scorers", m->n_scorers, 1, LIMIT_SCORERS);
    struct scorer_spec *scorers = unpack_array(u, ret->scorer_count, sizeof(*scorers));
    u->list = "scorers";
    for (u->index = 0; u->index < ret->scorer_count && u->code == 0; u->index++) {
        const Cohort__ScorerSpec *s = m->scorers[u->index];
        struct scorer_spec *out = &scorers[u->index];
        out->name = unpack_name(u, "name", s->name);
        out->kind = unpack_name(u, "kind", s->kind);
        out->params_json = unpack_text(u, "params_json", s->params_json, LIMIT_CONFIG_BYTES);
    }
    u->list = NULL;
    ret->scorers = scorers;
}

static void unpack_texts(struct unpacker *u, const Cohort__GradeInput *m, struct grade_input *ret)
{
    ret->completion_count = unpack_count(u, "completions", m->n_completions, 1, LIMIT_GROUP);
    struct grade_text *texts = unpack_array(u, ret->completion_count, sizeof(*texts));
    u->list = "completions";
    for (u->index = 0; u->index < ret->completion_count && u->code == 0; u->index++) {
        const Cohort__GradeText *t = m->completions[u->index];
        struct grade_text *out = &texts[u->index];
        out->index = (uint32_t)unpack_range(u, "index", t->index, 0, LIMIT_GROUP - 1);
        out->tokens = (uint32_t)unpack_range(u, "tokens", t->tokens, 0, LIMIT_COMPLETION_TOKENS);
        out->text_len = unpack_count(u, "text", t->text.len, 0, LIMIT_COMPLETION_TEXT);
        out->text = t->text.len > 0 ? t->text.data : (const uint8_t *)"";
        out->truncated = t->truncated;
    }
    u->list = NULL;
    ret->completions = texts;
}

int grade_input_unpack(
    const uint8_t *data, size_t n, struct arena *a, struct grade_input *ret, struct err *e)
{
    if (n > LIMIT_GRADE_INPUT_BYTES)
        return err_set(
            e, ERR_LIMIT, "GradeInput: %zu bytes, the limit is %d", n, LIMIT_GRADE_INPUT_BYTES);
    struct unpacker u;
    unpacker_init(&u, a, "GradeInput", n, e);
    const Cohort__GradeInput *m = unpack_run(&u, &cohort__grade_input__descriptor, data, n);
    if (m == NULL)
        return u.code;
    struct grade_input in = {.seed = m->seed};
    in.group = unpack_id(&u, "group", m->group);
    in.row_key = unpack_text(&u, "row_key", m->row_key, LIMIT_TEXT);
    in.prompt_len = unpack_count(&u, "prompt", m->prompt.len, 0, LIMIT_DATASET_LINE);
    in.prompt = m->prompt.len > 0 ? m->prompt.data : (const uint8_t *)"";
    in.task_json = unpack_text(&u, "task_json", m->task_json, LIMIT_DATASET_LINE);
    unpack_scorers(&u, m, &in);
    unpack_texts(&u, m, &in);
    if (u.code == 0)
        *ret = in;
    return u.code;
}

void weights_manifest_pack(struct buf *out, const struct weights_manifest *w)
{
    Cohort__WeightsManifest m = COHORT__WEIGHTS_MANIFEST__INIT;
    m.version = w->version;
    m.digest = pack_hash(&w->digest);
    m.bytes = w->bytes;
    m.chunk_bytes = w->chunk_bytes;
    m.chunk_hashes = pack_bytes(w->chunk_hashes, sizeof(struct hash) * w->chunk_count);
    m.path = pack_text(w->path);
    m.boot_id = pack_bytes(w->boot_id, sizeof(w->boot_id));
    m.device = w->device;
    m.inode = w->inode;
    pack_append(out, &m.base);
}

int weights_manifest_unpack(
    const uint8_t *data, size_t n, struct arena *a, struct weights_manifest *ret, struct err *e)
{
    if (n > LIMIT_MANIFEST_BYTES)
        return err_set(
            e, ERR_LIMIT, "WeightsManifest: %zu bytes, the limit is %d", n, LIMIT_MANIFEST_BYTES);
    struct unpacker u;
    unpacker_init(&u, a, "WeightsManifest", n, e);
    const Cohort__WeightsManifest *m =
        unpack_run(&u, &cohort__weights_manifest__descriptor, data, n);
    if (m == NULL)
        return u.code;
    struct weights_manifest w = {.version = m->version, .device = m->device, .inode = m->inode};
    w.digest = unpack_hash(&u, "digest", m->digest);
    w.bytes = unpack_range(&u, "bytes", m->bytes, 0, blob_bytes_max(BLOB_WEIGHTS));
    w.chunk_bytes = (uint32_t)unpack_range(&u, "chunk_bytes", m->chunk_bytes, 1, LIMIT_CHUNK_BYTES);
    w.path = unpack_path(&u, "path", m->path);
    unpack_boot_id(&u, m->boot_id, w.boot_id);
    if (u.code == 0) {
        uint64_t chunks = (w.bytes + w.chunk_bytes - 1) / w.chunk_bytes;
        if (m->chunk_hashes.len != chunks * HASH_BYTES)
            unpack_fail(&u, "chunk_hashes", "%zu bytes for %llu chunks of %u", m->chunk_hashes.len,
                (unsigned long long)chunks, w.chunk_bytes);
        w.chunk_count = (size_t)chunks;
        w.chunk_hashes = (const struct hash *)(const void *)m->chunk_hashes.data;
    }
    if (u.code == 0)
        *ret = w;
    return u.code;
}
