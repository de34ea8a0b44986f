/* explain_sample.c: how a completion came to be: task, lease, weights, key, tokens. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/display.h"
#include "cli/explain.h"
#include "common/base/log.h"

enum { TOKEN_TEXT_WIDTH = 24, JOBS_PER_GROUP = 64 };

/* ---- the task ---- */

/* What the model was given, when a template makes it differ from the question. */
static void say_rendered(const struct explain *x, const char *question)
{
    CLEANUP_BUF struct buf bytes = {0}, text = {0};
    explain_say("", "%u tokens", x->group.prompt_len);
    if (x->tokenizer == NULL)
        return;
    tokenizer_decode(x->tokenizer, x->group.prompt, x->group.prompt_len, &bytes);
    text_escape(&text, bytes.data, bytes.len);
    buf_puts(&text, "");
    if (strcmp((const char *)text.data, question) != 0)
        explain_say("rendered", "%s", (const char *)text.data);
}

int explain_task(const struct explain *x, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(
        x->run.db, "SELECT data, row, row_key, prompt, answer FROM tasks WHERE id = ?1", &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)x->group.task);
    rc = rundb_next(q, e);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(e, ERR_DATA, "task %" PRIu64 " is missing", x->group.task);
    CLEANUP_FREE char *key = display_dup(rundb_text(q, 2));
    CLEANUP_FREE char *prompt = display_dup(rundb_text(q, 3));
    CLEANUP_FREE char *answer = display_dup(rundb_text(q, 4));
    printf("\nTask %" PRIu64 "\n", x->group.task);
    explain_say("data", "%s, row %lld, key %s", rundb_text(q, 0), (long long)rundb_int(q, 1), key);
    explain_say("prompt", "%s", prompt);
    say_rendered(x, prompt);
    if (answer[0] != '\0')
        explain_say("answer", "%s", answer);
    return 0;
}

/* ---- sampling ---- */

/* One line for each lease on the group's sample job. */
static int say_leases(const struct explain *x, struct err *e)
{
    static const char sql[] =
        "SELECT id, worker, datetime(granted_ms / 1000, 'unixepoch', 'localtime'), "
        "coalesce(outcome, 'live'), (ended_ms - granted_ms) / 1000.0 "
        "FROM leases WHERE job = ?1 ORDER BY id";
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(x->run.db, sql, &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)(x->group.id * JOBS_PER_GROUP));
    while ((rc = rundb_next(q, e)) == 1) {
        char after[48] = "";
        if (!rundb_is_null(q, 4))
            (void)snprintf(after, sizeof(after), " after %.3f s", rundb_real(q, 4));
        explain_say("lease", "%lld, granted to %s at %s: %s%s", (long long)rundb_int(q, 0),
            rundb_text(q, 1), rundb_text(q, 2), rundb_text(q, 3), after);
    }
    return rc;
}

static int say_version(const struct explain *x, struct err *e)
{
    static const char sql[] = "SELECT v.digest, v.updates, v.step, st.name FROM versions v "
                              "LEFT JOIN stages st ON st.stage = v.stage WHERE v.version = ?1";
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(x->run.db, sql, &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)x->group.version);
    rc = rundb_next(q, e);
    if (rc <= 0)
        return rc < 0 ? rc
                      : err_set(e, ERR_DATA, "version %" PRIu64 " is missing", x->group.version);
    struct hash digest;
    char hex[HASH_HEX], origin[96] = "the start";
    if (stored_hash(q, 0, "digest of a version", &digest, e) < 0)
        return e->code;
    if (!rundb_is_null(q, 2))
        (void)snprintf(origin, sizeof(origin), "step %lld of stage %.64s",
            (long long)rundb_int(q, 2), rundb_text(q, 3));
    else if (!rundb_is_null(q, 3))
        (void)snprintf(origin, sizeof(origin), "the start of stage %.64s", rundb_text(q, 3));
    explain_say("weights", "version %" PRIu64 ", of %s, after %lld updates", x->group.version,
        origin, (long long)rundb_int(q, 1));
    explain_say("", "content hash %s", hash_hex(&digest, hex));
    return 0;
}

static int say_worker(const struct explain *x, struct err *e)
{
    static const char sql[] =
        "SELECT datetime(g.sampled_ms / 1000, 'unixepoch', 'localtime'), g.sample_us / 1e6, "
        "coalesce(w.host, '?') FROM groups g LEFT JOIN workers w ON w.name = g.worker "
        "WHERE g.id = ?1";
    const struct stored_group *g = &x->group;
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(x->run.db, sql, &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)g->id);
    rc = rundb_next(q, e);
    if (rc < 0)
        return rc;
    CLEANUP_FREE char *host = display_dup(rundb_text(q, 2));
    char hex[HASH_HEX];
    explain_say("sampled by", "%s on %s, stored at %s, the group took %.3f s", g->worker, host,
        rundb_text(q, 0), rundb_real(q, 1));
    explain_say("", "numerics id %s", hash_hex(&g->numerics_id, hex));
    return 0;
}

int explain_sampling(const struct explain *x, struct err *e)
{
    const struct stored_group *g = &x->group;
    printf("\nSampling\n");
    explain_say("group", "%" PRIu64 ": %s, stage %s, step %u, slot %u", g->id,
        purpose_name(g->purpose), g->stage_name, g->step, g->slot);
    if (g->greedy)
        explain_say("", "greedy, at most %u tokens", g->max_tokens);
    else
        explain_say("", "%u completions at temperature %g, at most %u tokens each", g->n,
            (double)g->temperature, g->max_tokens);
    if (say_version(x, e) < 0)
        return e->code;
    if (g->weights_type != WEIGHTS_F32)
        explain_say("", "rounded to %s for sampling", weights_type_name(g->weights_type));
    explain_say("key",
        "seed %" PRIu64 ", domain %s, stage %u, ordinal %" PRIu64 ", completion %u; position = "
        "index of the token",
        g->key.seed, purpose_name(g->purpose), g->key.stage, g->key.ordinal, x->index);
    if (say_leases(x, e) < 0)
        return e->code;
    if (g->sampled)
        return say_worker(x, e);
    explain_say("state", "planned; it waits for an actor");
    return 0;
}

/* ---- the completion ---- */

/* Text of one token as display text of a bounded width; "" without a tokenizer. */
static void token_text(const struct tokenizer *t, uint32_t id, struct buf *out)
{
    CLEANUP_BUF struct buf bytes = {0}, text = {0};
    buf_clear(out);
    buf_puts(out, "");
    if (t == NULL)
        return;
    tokenizer_decode(t, &id, 1, &bytes);
    text_escape(&text, bytes.data, bytes.len);
    buf_puts(&text, "");
    display_cut(out, (const char *)text.data, TOKEN_TEXT_WIDTH);
}

static void print_tokens(const struct tokenizer *t, const struct completion *c, uint32_t tokens_max)
{
    CLEANUP_BUF struct buf text = {0};
    uint32_t shown = c->len < tokens_max ? c->len : tokens_max;
    if (shown > 0)
        printf("  %5s  %7s  %-*s  %12s  %s\n", "token", "id", TOKEN_TEXT_WIDTH, "text", "log-prob",
            "probability");
    for (uint32_t i = 0; i < shown; i++) {
        token_text(t, c->tokens[i], &text);
        int fill = TOKEN_TEXT_WIDTH - (int)display_width((const char *)text.data);
        printf("  %5u  %7u  %s%*s  %12.6f  %.4f\n", i, c->tokens[i], (const char *)text.data, fill,
            "", (double)c->logp[i], exp((double)c->logp[i]));
    }
    if (shown < c->len)
        printf("  ... %u more; --tokens %u shows all\n", c->len - shown, c->len);
}

static void say_stop(const struct stored_group *g, const struct completion *c)
{
    if (c->stop == STOP_EOS)
        explain_say("ended", "after %u tokens, by sampling the end-of-text token", c->len);
    else
        explain_say("ended", "cut off at %u tokens, the most that were allowed: truncated", c->len);
}

/* Damaged or pruned samples do not end the story: the tables have the text. */
static void print_samples(struct explain *x)
{
    struct err e = {0};
    if (stored_group_samples(&x->run, &x->group, &e) < 0) {
        explain_say("tokens", "not shown: %s", e.msg);
        return;
    }
    const struct completion *c = &x->group.completions[x->index];
    say_stop(&x->group, c);
    explain_say("stored in", "samples/%06u.seg at byte %" PRIu64, x->group.place.segment,
        x->group.place.offset);
    if (x->tokenizer == NULL)
        explain_say("tokens", "without their texts: %s", x->tokenizer_err.msg);
    print_tokens(x->tokenizer, c, x->tokens_max);
}

int explain_completion(struct explain *x, struct err *e)
{
    static const char sql[] = "SELECT text, tokens, think_tokens, logp_sum FROM completions "
                              "WHERE group_id = ?1 AND idx = ?2";
    CLEANUP_QUERY struct rundb_query *q = NULL;
    int rc = rundb_prepare(x->run.db, sql, &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)x->group.id);
    rundb_bind_int(q, 2, x->index);
    rc = rundb_next(q, e);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(e, ERR_DATA, "the completion's row is missing");
    CLEANUP_FREE char *text = display_dup(rundb_text(q, 0));
    printf("\nCompletion\n");
    explain_say("text", "%s", text);
    explain_say("length", "%lld tokens, %lld of them between the think tags; log-probability %.6f",
        (long long)rundb_int(q, 1), (long long)rundb_int(q, 2), rundb_real(q, 3));
    print_samples(x);
    return 0;
}
