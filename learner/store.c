/* store.c: a store's life: the run's own rows, what a restart must agree with, and the end. */
#include "learner/store_db.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* ---- options ---- */

static void copy_options(struct store *s, const struct store_options *o)
{
    s->o = *o;
    s->o.run_dir = mem_strdup(o->run_dir);
    s->o.name = mem_strdup(o->name);
    s->o.config = mem_strdup(o->config);
    s->o.build = mem_strdup(o->build);
    s->o.model_config = mem_strdup(o->model_config);
    s->o.training_id = mem_strdup(o->training_id);
    struct store_stage *stages = mem_array(o->stage_count, sizeof(*stages));
    for (size_t i = 0; i < o->stage_count; i++)
        stages[i] = (struct store_stage){
            mem_strdup(o->stages[i].name), mem_strdup(o->stages[i].kind), o->stages[i].steps};
    s->o.stages = stages;
}

static void free_options(struct store *s)
{
    const char *texts[] = {
        s->o.run_dir, s->o.name, s->o.config, s->o.build, s->o.model_config, s->o.training_id};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free((char *)texts[i]);
    for (size_t i = 0; i < s->o.stage_count; i++) {
        free((char *)s->o.stages[i].name);
        free((char *)s->o.stages[i].kind);
    }
    free((struct store_stage *)s->o.stages);
}

/* ---- a new run ---- */

static int add_event(
    struct store *s, const char *level, const char *kind, const char *message, struct err *e)
{
    return db_run(s, SLOT_ONE,
        "INSERT INTO events (at_ms, level, kind, message) VALUES (?, ?, ?, ?)", e, "ittt",
        s->now_ms, level, kind, message);
}

static struct hash tokenizer_hash(const struct store *s)
{
    const struct buf *json = tokenizer_json(s->o.tokenizer);
    return hash_of(json->data, json->len);
}

static int create_run(struct store *s, struct err *e)
{
    struct hash tokenizer = tokenizer_hash(s);
    int r = db_run(s, SLOT_ONE,
        "INSERT INTO run (id, name, seed, created_ms, config, build, model_config, tokenizer,"
        " numerics_id, training_id, epoch, state) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, "
        "'running')",
        e, "tiittthht", s->o.name, (int64_t)s->o.seed, s->now_ms, s->o.config, s->o.build,
        s->o.model_config, &tokenizer, &s->o.numerics_id, s->o.training_id);
    for (size_t i = 0; i < s->o.stage_count && r == 0; i++)
        r = db_run(s, SLOT_ONE,
            "INSERT INTO stages (stage, name, kind, steps, state) VALUES (?, ?, ?, ?, 'waiting')",
            e, "itti", (int64_t)i, s->o.stages[i].name, s->o.stages[i].kind,
            (int64_t)s->o.stages[i].steps);
    return r ? r : add_event(s, "info", "run.created", s->o.build, e);
}

/* ---- an old run ---- */

static int differs(struct err *e, const char *what, const char *stored, const char *now)
{
    return err_set(
        e, ERR_CONFIG, "the run's %s is %.200s, now it would be %.200s", what, stored, now);
}

static int check_text(struct store *s, int column, const char *what, const char *now, struct err *e)
{
    const char *stored = db_text(s, SLOT_ONE, column);
    return strcmp(stored, now) == 0 ? 0 : differs(e, what, stored, now);
}

static int check_hash(
    struct store *s, int column, const char *what, const struct hash *now, struct err *e)
{
    struct hash stored = {{0}};
    char was[HASH_HEX], is[HASH_HEX];
    if (db_hash(s, SLOT_ONE, column, &stored) && hash_equal(&stored, now))
        return 0;
    return differs(e, what, hash_hex(&stored, was), hash_hex(now, is));
}

/* What was found of the run as it was. */
struct resuming {
    bool unclean;   /* it did not stop, it was killed */
    char *numerics; /* owned; how its numerics id differs, or NULL */
};

static void resuming_done(struct resuming *r)
{
    free(r->numerics);
}

/* What the results depend on and no option names: it must be as it was. Whether a checkpoint of
 * another training id may be used is for the stages to say. */
static int check_run(struct store *s, struct resuming *ret, struct err *e)
{
    struct hash tokenizer = tokenizer_hash(s);
    char seed[32], now[32];
    int r = db_bind(s, SLOT_ONE,
        "SELECT name, seed, model_config, tokenizer, numerics_id, training_id, state FROM run", e,
        "");
    if (r == 0)
        r = db_next(s, SLOT_ONE, e);
    if (r <= 0)
        return r ? r : err_set(e, ERR_DATA, "'%s': no row in run", s->db_path);
    (void)snprintf(seed, sizeof(seed), "%ju", (uintmax_t)db_int(s, SLOT_ONE, 1));
    (void)snprintf(now, sizeof(now), "%ju", (uintmax_t)s->o.seed);
    ret->unclean = strcmp(db_text(s, SLOT_ONE, 6), "running") == 0;
    r = check_text(s, 0, "name", s->o.name, e);
    if (r == 0 && strcmp(seed, now) != 0)
        r = differs(e, "seed", seed, now);
    if (r == 0)
        r = check_text(s, 2, "model configuration", s->o.model_config, e);
    if (r == 0)
        r = check_hash(s, 3, "tokenizer", &tokenizer, e);
    if (r == 0 && check_hash(s, 4, "numerics id", &s->o.numerics_id, e)) {
        ret->numerics = mem_strdup(e ? e->msg : "another numerics id");
        r = s->o.accept_numerics ? 0 : ERR_CONFIG;
    }
    db_reset(s, SLOT_ONE);
    return r;
}

static int check_stage(struct store *s, size_t i, struct err *e)
{
    const struct store_stage *now = &s->o.stages[i];
    int r = db_bind(
        s, SLOT_ONE, "SELECT name, kind, steps FROM stages WHERE stage = ?", e, "i", (int64_t)i);
    if (r == 0)
        r = db_next(s, SLOT_ONE, e);
    if (r == 0)
        r = differs(e, "list of stages", "shorter", now->name);
    if (r != 1)
        return r;
    int64_t steps = db_int(s, SLOT_ONE, 2);
    r = check_text(s, 0, "stage", now->name, e);
    if (r == 0)
        r = check_text(s, 1, "kind of a stage", now->kind, e);
    db_reset(s, SLOT_ONE);
    if (r || steps == now->steps)
        return r;
    return db_run(s, SLOT_ONE, "UPDATE stages SET steps = ? WHERE stage = ?", e, "ii",
        (int64_t)now->steps, (int64_t)i);
}

/* A page that was torn or flipped while nobody looked shows here and not in the middle of a step.
 */
static int quick_check(struct store *s, struct err *e)
{
    int r = db_bind(s, SLOT_ONE, "PRAGMA quick_check(1)", e, "");
    if (r == 0)
        r = db_next(s, SLOT_ONE, e);
    if (r == 1)
        r = strcmp(db_text(s, SLOT_ONE, 0), "ok") == 0
                ? 0
                : err_set(e, ERR_DATA, "'%s' is damaged: %s", s->db_path, db_text(s, SLOT_ONE, 0));
    db_reset(s, SLOT_ONE);
    return r;
}

static int resume_run(struct store *s, struct err *e)
{
    CLEANUP(resuming_done) struct resuming was = {0};
    int r = check_run(s, &was, e);
    if (r)
        return r;
    r = was.unclean ? quick_check(s, e) : 0;
    for (size_t i = 0; i < s->o.stage_count && r == 0; i++)
        r = check_stage(s, i, e);
    if (r == 0)
        r = db_run(s, SLOT_ONE,
            "UPDATE run SET config = ?, build = ?, numerics_id = ?, training_id = ?,"
            " state = 'running', why = ''",
            e, "ttht", s->o.config, s->o.build, &s->o.numerics_id, s->o.training_id);
    /* Nobody is here yet; who comes back says Hello. */
    if (r == 0)
        r = db_exec(s, "UPDATE workers SET state = 'lost' WHERE state = 'up'", e);
    if (r == 0 && was.numerics)
        r = add_event(s, "alarm", "run.numerics", was.numerics, e);
    if (r == 0)
        r = add_event(s, "info", "run.resumed",
            was.unclean ? "after a kill or a crash" : "after a clean stop", e);
    return r;
}

static int begin_epoch(struct store *s, struct err *e)
{
    int r = db_bind(s, SLOT_ONE, "SELECT 1 FROM run", e, "");
    if (r == 0)
        r = db_next(s, SLOT_ONE, e);
    db_reset(s, SLOT_ONE);
    if (r < 0)
        return r;
    bool old = r == 1;
    s->now_ms = clock_wall_ms();
    r = db_exec(s, "BEGIN IMMEDIATE", e);
    if (r == 0)
        r = old ? resume_run(s, e) : create_run(s, e);
    if (r == 0)
        r = db_exec(s, "UPDATE run SET epoch = epoch + 1", e);
    return r ? r : db_exec(s, "COMMIT", e);
}

/* ---- life ---- */

int store_open(const struct store_options *o, struct store **ret, struct err *e)
{
    int r = file_mkdirs(o->run_dir, 0755, e);
    if (r)
        return r;
    struct store *s = mem_alloc(sizeof(*s));
    copy_options(s, o);
    s->db_path = mem_printf("%s/run.db", o->run_dir);
    s->wal_path = mem_printf("%s/run.db-wal", o->run_dir);
    s->think_open = tokenizer_id(o->tokenizer, "<think>");
    s->think_close = tokenizer_id(o->tokenizer, "</think>");
    r = store_ready(s, e);
    if (r == 0)
        r = begin_epoch(s, e);
    if (r) {
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    (void)store_broken(s, 0);
    segments_close(s->segments);
    free_options(s);
    free(s->db_path);
    free(s->wal_path);
    free(s);
}
