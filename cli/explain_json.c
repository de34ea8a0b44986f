/* explain_json.c: the story of one completion as one JSON object, for programs. The facts are those
 * of the text; sums and formulas are left to the reader, who has their numbers. */
#include <jansson.h>
#include <stdio.h>

#include "cli/explain.h"
#include "cli/table.h"
#include "common/base/log.h"

/* Each a query with ?1 the group and ?2 the index, and its key in the object. */
static const struct {
    const char *name, *sql;
    bool single; /* an object, or null without a row; else an array */
} parts[] = {
    {"completion", "SELECT * FROM v_completions WHERE group_id = ?1 AND idx = ?2", true},
    {"task",
        "SELECT t.id, t.data, t.row, t.row_key, t.prompt, t.answer FROM tasks t "
        "JOIN groups g ON g.task = t.id WHERE g.id = ?1 AND ?2 >= 0",
        true},
    {"group",
        "SELECT v.*, g.temperature, g.max_tokens, g.ordinal, lower(hex(g.weights)) AS weights, "
        "lower(hex(g.numerics_id)) AS numerics_id, g.segment, g.offset, g.length "
        "FROM v_groups v JOIN groups g ON g.id = v.id WHERE g.id = ?1 AND ?2 >= 0",
        true},
    {"version",
        "SELECT v.version, v.updates, v.step, st.name AS stage, lower(hex(v.digest)) AS digest "
        "FROM versions v JOIN groups g ON g.version = v.version LEFT JOIN stages st "
        "ON st.stage = v.stage WHERE g.id = ?1 AND ?2 >= 0",
        true},
    {"leases", "SELECT * FROM v_leases WHERE group_id = ?1 AND ?2 >= 0 ORDER BY id", false},
    {"scores",
        "SELECT scorer, value, verdict, fault, reason, extracted, isolation, wall_us, worker, "
        "lease FROM scores WHERE group_id = ?1 AND idx = ?2",
        false},
    {"rewards",
        "SELECT idx, reward, verdict, advantage FROM completions WHERE group_id = ?1 AND ?2 >= 0 "
        "ORDER BY idx",
        false},
    {"trained",
        "SELECT st.name AS stage, x.step, x.minibatch, x.lag, s.version, s.updates, "
        "lower(hex(s.digest)) AS digest FROM step_groups x JOIN steps s ON s.stage = x.stage AND "
        "s.step = x.step JOIN stages st ON st.stage = x.stage WHERE x.group_id = ?1 AND ?2 >= 0",
        true},
};

static int add_part(const struct explain *x, size_t i, json_t *story, struct err *e)
{
    CLEANUP_QUERY struct rundb_query *q = NULL;
    struct table t;
    bool more;
    int rc = rundb_prepare(x->run.db, parts[i].sql, &q, e);
    if (rc < 0)
        return rc;
    rundb_bind_int(q, 1, (int64_t)x->group.id);
    rundb_bind_int(q, 2, x->index);
    if ((rc = table_read(q, SIZE_MAX, false, &t, &more, e)) < 0)
        return rc;
    json_t *value = !parts[i].single     ? table_json(&t)
                    : table_rows(&t) > 0 ? table_json_row(&t, 0)
                                         : json_null();
    (void)json_object_set_new(story, parts[i].name, value);
    table_done(&t);
    return 0;
}

/* Display text of a token, null without a tokenizer. */
static json_t *token_text(const struct tokenizer *t, uint32_t id)
{
    CLEANUP_BUF struct buf bytes = {0}, text = {0};
    if (t == NULL)
        return json_null();
    tokenizer_decode(t, &id, 1, &bytes);
    text_escape(&text, bytes.data, bytes.len);
    buf_puts(&text, "");
    return json_string((const char *)text.data);
}

static json_t *token_list(const struct explain *x, const struct completion *c)
{
    json_t *list = json_array();
    for (uint32_t t = 0; t < c->len && t < x->tokens_max; t++) {
        json_t *token = json_object();
        (void)json_object_set_new(token, "id", json_integer(c->tokens[t]));
        (void)json_object_set_new(token, "text", token_text(x->tokenizer, c->tokens[t]));
        (void)json_object_set_new(token, "logp", json_real((double)c->logp[t]));
        (void)json_array_append_new(list, token);
    }
    return list;
}

/* Damaged or pruned samples leave null, and why. */
static void add_tokens(struct explain *x, json_t *story)
{
    struct err why = {0};
    json_t *prompt = json_array();
    for (uint32_t i = 0; i < x->group.prompt_len; i++)
        (void)json_array_append_new(prompt, json_integer(x->group.prompt[i]));
    (void)json_object_set_new(story, "prompt_ids", prompt);
    bool there = x->group.sampled && stored_group_samples(&x->run, &x->group, &why) == 0;
    (void)json_object_set_new(
        story, "tokens", there ? token_list(x, &x->group.completions[x->index]) : json_null());
    if (x->group.sampled && !there)
        (void)json_object_set_new(story, "tokens_missing", json_string(why.msg));
}

int explain_json(struct explain *x, struct err *e)
{
    json_t *story = json_object();
    int rc = 0;
    (void)json_object_set_new(
        story, "id", json_integer((json_int_t)(x->group.id * LIMIT_GROUP + x->index)));
    (void)json_object_set_new(story, "index", json_integer(x->index));
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(parts); i++)
        rc = add_part(x, i, story, e);
    if (rc == 0) {
        add_tokens(x, story);
        (void)json_dumpf(
            story, stdout, JSON_REAL_PRECISION(15)); /* main.c looks for errors of stdout */
        (void)putchar('\n');
    }
    json_decref(story);
    return rc;
}
