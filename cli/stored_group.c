/* stored_group.c: see stored_group.h. */
#include "cli/stored_group.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "proto/record.h"

/* ---- the row ---- */

static const char group_sql[] =
    "SELECT g.task, g.ordinal, g.version, g.purpose, g.mode, g.state, g.stage, g.step, g.slot, "
    "g.n, "
    "g.max_tokens, g.temperature, st.name, coalesce(g.worker, ''), t.prompt_ids, g.weights, "
    "g.numerics_id, g.segment, g.offset, g.length, g.weights_type "
    "FROM groups g JOIN stages st ON st.stage = g.stage JOIN tasks t ON t.id = g.task "
    "WHERE g.id = ?1";

static int no_group(const struct stored_run *r, uint64_t id, struct err *e)
{
    int64_t last = 0;
    int rc = rundb_one_int(r->db, "SELECT max(id) FROM groups", NULL, 0, &last, e);
    if (rc < 0)
        return rc;
    return err_set(e, ERR_DATA, "%s: there is no group %llu; the newest is %lld", rundb_dir(r->db),
        (unsigned long long)id, (long long)last);
}

static int take_prompt(struct rundb_query *q, int column, struct stored_group *g, struct err *e)
{
    size_t bytes;
    const void *ids = rundb_blob(q, column, &bytes);
    if (bytes == 0 || bytes % sizeof(uint32_t) != 0 ||
        bytes / sizeof(uint32_t) > LIMIT_PROMPT_TOKENS)
        return err_set(e, ERR_DATA, "task %llu: prompt of %zu bytes in the tables",
            (unsigned long long)g->task, bytes);
    g->prompt = arena_dup(g->arena, ids, bytes);
    g->prompt_len = (uint32_t)(bytes / sizeof(uint32_t));
    return 0;
}

static int take_sampled(struct rundb_query *q, struct stored_group *g, struct err *e)
{
    g->place = (struct stored_place){.segment = (uint32_t)rundb_int(q, 17),
        .offset = (uint64_t)rundb_int(q, 18),
        .length = (uint64_t)rundb_int(q, 19)};
    g->pruned = rundb_is_null(q, 17);
    if (stored_hash(q, 15, "hash of the weights", &g->weights, e) < 0)
        return e->code;
    return stored_hash(q, 16, "numerics id", &g->numerics_id, e);
}

static int take_row(
    const struct stored_run *r, struct rundb_query *q, struct stored_group *g, struct err *e)
{
    bool train = strcmp(rundb_text(q, 3), purpose_name(PURPOSE_TRAIN)) == 0;
    g->task = (uint64_t)rundb_int(q, 0);
    g->ordinal = (uint64_t)rundb_int(q, 1);
    g->version = (uint64_t)rundb_int(q, 2);
    g->purpose = train ? PURPOSE_TRAIN : PURPOSE_EVAL;
    g->greedy = strcmp(rundb_text(q, 4), "greedy") == 0;
    g->sampled = strcmp(rundb_text(q, 5), "planned") != 0;
    g->scored = strcmp(rundb_text(q, 5), "scored") == 0;
    g->stage = (uint32_t)rundb_int(q, 6);
    g->step = (uint32_t)rundb_int(q, 7);
    g->slot = (uint32_t)rundb_int(q, 8);
    g->n = (uint32_t)rundb_int(q, 9);
    g->max_tokens = (uint32_t)rundb_int(q, 10);
    g->temperature = (float)rundb_real(q, 11);
    int type = weights_type_parse(rundb_text(q, 20));
    if (type < 0)
        return err_set(e, ERR_DATA, "group %llu has weights type '%s' in the tables",
            (unsigned long long)g->id, rundb_text(q, 20));
    g->weights_type = (enum weights_type)type;
    g->stage_name = mem_strdup(rundb_text(q, 12));
    g->worker = mem_strdup(rundb_text(q, 13));
    g->key = (struct rng_key){.seed = r->seed,
        .domain = train ? RNG_TRAIN : RNG_EVAL,
        .stage = train ? g->stage : 0, /* so that every evaluation meets the same numbers */
        .ordinal = g->ordinal};
    if (g->n == 0 || g->n > LIMIT_GROUP || g->max_tokens > LIMIT_COMPLETION_TOKENS)
        return err_set(e, ERR_DATA, "group %llu: %u completions of %u tokens in the tables",
            (unsigned long long)g->id, g->n, g->max_tokens);
    if (take_prompt(q, 14, g, e) < 0)
        return e->code;
    return g->sampled ? take_sampled(q, g, e) : 0;
}

int stored_group_open(
    const struct stored_run *r, uint64_t id, struct stored_group *ret, struct err *e)
{
    struct stored_group g = {.id = id, .arena = arena_new(0)};
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(r->db, group_sql, &q, e);
    if (rc == 0) {
        rundb_bind_int(q, 1, (int64_t)id);
        rc = rundb_next(q, e);
    }
    if (rc == 1)
        rc = take_row(r, q, &g, e);
    else if (rc == 0)
        rc = no_group(r, id, e);
    if (rc < 0) {
        stored_group_close(&g);
        return rc;
    }
    *ret = g;
    return 0;
}

void stored_group_close(struct stored_group *g)
{
    arena_free(g->arena);
    free(g->stage_name);
    free(g->worker);
    *g = (struct stored_group){0};
}

/* ---- the samples ---- */

static int read_record(
    const char *path, const struct stored_group *g, struct buf *record, struct err *e)
{
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    if (record_length_check(g->place.length, e) < 0)
        return e->code;
    CLEANUP(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(e, ERR_DATA, "cannot open it");
    if (file_pread_all(fd, header, sizeof(header), 0, e) < 0 ||
        record_file_header_check(header, g->place.segment, e) < 0)
        return e->code;
    return file_pread_all(
        fd, buf_extend(record, g->place.length), g->place.length, g->place.offset, e);
}

static int read_stops(const struct stored_run *r, struct stored_group *g, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(
        r->db, "SELECT idx, stop FROM completions WHERE group_id = ?1 ORDER BY idx", &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)g->id);
    uint32_t found = 0;
    while ((rc = rundb_next(q, e)) == 1 && found < g->n) {
        bool eos = strcmp(rundb_text(q, 1), stop_reason_name(STOP_EOS)) == 0;
        g->completions[found++].stop = eos ? STOP_EOS : STOP_LENGTH;
    }
    if (rc >= 0 && (rc == 1 || found != g->n))
        return err_set(e, ERR_DATA, "group %llu: %u completions in the tables, expected %u",
            (unsigned long long)g->id, found, g->n);
    return rc;
}

int stored_group_samples(const struct stored_run *r, struct stored_group *g, struct err *e)
{
    if (!g->sampled)
        return err_set(e, ERR_DATA, "group %llu is not sampled yet", (unsigned long long)g->id);
    if (g->pruned)
        return err_set(e, ERR_DATA,
            "group %llu: its token ids and log-probs are not kept any more ([learner] keep-samples "
            "= needed)",
            (unsigned long long)g->id);
    CLEANUP_FREE char *path = mem_printf("%s/samples/%06u.seg", rundb_dir(r->db), g->place.segment);
    CLEANUP_BUF struct buf record = {0};
    g->completions = arena_alloc(g->arena, g->n * sizeof(*g->completions));
    int rc = read_record(path, g, &record, e);
    if (rc == 0)
        rc = record_parse(record.data, record.len, g->id, g->n, g->arena, g->completions, e);
    if (rc < 0) {
        e->code = ERR_DATA;
        return err_ctx(e, "%s at byte %llu", path, (unsigned long long)g->place.offset);
    }
    return read_stops(r, g, e);
}
