/* hub_fake.c: see hub_fake.h. */
#include "hub_fake.h"

#include <assert.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* ---- the run ---- */

static const char *const scorer_names[FAKE_SCORERS] = {"right", "shape"};
static const char *const scorer_kinds[FAKE_SCORERS] = {"exact", "format"};

void fake_run_init(struct fake_run *f, uint64_t seed, uint32_t steps)
{
    static const char *const added[] = {"<|end|>", "<think>", "</think>"};
    struct err e = {0};
    *f = (struct fake_run){.steps = steps};
    CLEANUP_BUF struct buf json = {0};
    if (tokenizer_make_chars("0123456789+=\\ ", added, ARRAY_LEN(added), &json, &e) ||
        tokenizer_parse((const char *)json.data, json.len, "fake", &f->tokenizer, &e)) {
        (void)fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    struct recipe *r = &f->recipe;
    r->name = "fake";
    r->seed = seed;
    r->net_dir = "";
    r->lease_ms = 2000;
    r->model = (struct model_config){.type = "llama",
        .vocab = tokenizer_size(f->tokenizer),
        .hidden = 16,
        .layers = 1,
        .heads = 2,
        .kv_heads = 2,
        .head_dim = 8,
        .ffn = 16,
        .context = 128,
        .norm_eps = 1e-5f,
        .rope_theta = 10000,
        .eos = {FAKE_STOP},
        .eos_count = 1};
    r->reward_count = FAKE_SCORERS;
    for (size_t i = 0; i < FAKE_SCORERS; i++)
        r->rewards[i] = (struct recipe_reward){
            .spec = {.name = scorer_names[i], .kind = scorer_kinds[i], .params_json = "{}"},
            .term = {.weight = i == 0 ? 1.0 : 0.25, .primary = i == 0}};
    r->stage_count = 1;
    r->stages[0] = (struct recipe_stage){.name = "zero", .kind = STAGE_GRPO, .steps = steps};
    model_config_print(&r->model, &f->model_config);
    f->numerics_id = hash_of("numerics", 8);
}

void fake_run_done(struct fake_run *f)
{
    tokenizer_free(f->tokenizer);
    buf_done(&f->model_config);
}

struct store_options fake_store_options(const struct fake_run *f, const char *run_dir)
{
    static const struct store_stage stages[] = {{"zero", "grpo", 0}};
    static const struct scorer_spec specs[FAKE_SCORERS] = {
        {"right", "exact", "{}"}, {"shape", "format", "{}"}};
    return (struct store_options){.run_dir = run_dir,
        .name = "fake",
        .seed = f->recipe.seed,
        .config = "[run]\nname = fake\n",
        .build = "test",
        .model_config = (const char *)f->model_config.data,
        .training_id = "training",
        .numerics_id = f->numerics_id,
        .tokenizer = f->tokenizer,
        .stages = stages,
        .stage_count = 1,
        .scorers = scorer_names,
        .scorer_count = FAKE_SCORERS,
        .scorer_specs = specs};
}

void fake_sample(const struct rng_key *key, uint32_t n, uint32_t max_tokens, uint32_t vocab,
    struct arena *a, struct completion *ret)
{
    for (uint32_t i = 0; i < n; i++) {
        struct rng_key k = *key;
        k.completion = i;
        struct rng rng = rng_stream(k);
        uint32_t len = 1 + (uint32_t)rng_below(&rng, max_tokens);
        uint32_t *tokens = arena_alloc(a, len * sizeof(*tokens));
        float *logp = arena_alloc(a, len * sizeof(*logp));
        for (uint32_t t = 0; t < len; t++) {
            tokens[t] = 1 + (uint32_t)rng_below(&rng, vocab - 1);
            logp[t] = -(float)rng_next_uniform(&rng);
        }
        bool ends = len < max_tokens || rng_below(&rng, 2) == 0;
        if (ends)
            tokens[len - 1] = FAKE_STOP;
        ret[i] = (struct completion){
            .tokens = tokens, .logp = logp, .len = len, .stop = ends ? STOP_EOS : STOP_LENGTH};
    }
}

double fake_score(const char *scorer, const uint8_t *text, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_add_str(&h, scorer);
    hasher_add(&h, text, n);
    struct hash x = hasher_done(&h);
    return x.b[0] % 4 == 0 ? 1.0 : 0.0;
}

struct plan_item fake_plan_item(
    enum purpose purpose, uint32_t step, uint32_t slot, uint64_t version, struct arena *a)
{
    uint64_t ordinal = step * 100 + slot, row = purpose == PURPOSE_EVAL ? slot : ordinal % 7;
    struct dataset_row *task = arena_alloc(a, sizeof(*task));
    CLEANUP_FREE char *key = mem_printf("row-%ju", (uintmax_t)row);
    CLEANUP_FREE char *prompt = mem_printf("%ju+%ju \\=", (uintmax_t)row, (uintmax_t)row);
    CLEANUP_FREE char *json = mem_printf("{\"answer\":\"%ju\"}", (uintmax_t)(2 * row));
    *task = (struct dataset_row){.key = arena_strdup(a, key),
        .prompt = arena_strdup(a, prompt),
        .answer = "a\nb",
        .json = arena_strdup(a, json)};
    uint32_t *ids = arena_alloc(a, 3 * sizeof(*ids));
    ids[0] = 3 + (uint32_t)row;
    ids[1] = 13;
    ids[2] = 3 + (uint32_t)row;
    return (struct plan_item){.purpose = purpose,
        .mode = purpose == PURPOSE_EVAL ? MODE_GREEDY : MODE_SAMPLED,
        .stage = 0,
        .step = step,
        .slot = slot,
        .data = purpose == PURPOSE_EVAL ? "held" : "train",
        .row = row,
        .task = task,
        .prompt = ids,
        .prompt_len = 3,
        .ordinal = ordinal,
        .version = version,
        .n = FAKE_SIZE,
        .max_tokens = FAKE_MAX_TOKENS,
        .temperature = purpose == PURPOSE_EVAL ? 0.0f : 1.0f};
}

/* ---- the learner ---- */

struct learner {
    const struct fake_run *run;
    const char *run_dir;
    struct service *service;
    pthread_t stages;
    uv_timer_t stop;
    int code;
    struct err err;
};

static int write_version(
    const char *run_dir, uint64_t version, uint64_t seed, struct commit_version *ret, struct err *e)
{
    static char paths[64][32];
    char *path = paths[version % 64];
    (void)snprintf(path, sizeof(paths[0]), "weights/%ju.bin", (uintmax_t)version);
    CLEANUP_FREE char *dir = mem_printf("%s/weights", run_dir);
    CLEANUP_FREE char *whole = mem_printf("%s/%s", run_dir, path);
    CLEANUP_BUF struct buf data = {0};
    struct rng rng = rng_stream((struct rng_key){.seed = seed, .ordinal = version});
    for (int i = 0; i < 20000; i++)
        buf_put_u64(&data, rng_next(&rng));
    int r = file_mkdirs(dir, 0755, e);
    if (r == 0)
        r = file_write_atomic(whole, data.data, data.len, e);
    for (int i = 0; i < 1000 && r == ERR_RETRY; i++) { /* disk full: as the publisher does */
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        r = file_mkdirs(dir, 0755, e);
        if (r == 0)
            r = file_write_atomic(whole, data.data, data.len, e);
    }
    *ret = (struct commit_version){.version = version,
        .updates = (uint32_t)version - 1,
        .digest = hash_of(data.data, data.len),
        .path = path,
        .bytes = data.len};
    return r;
}

static size_t make_plan(uint32_t step, uint64_t version, struct arena *a, struct plan_item *plan)
{
    size_t n = 0;
    for (uint32_t i = 0; i < FAKE_GROUPS; i++)
        plan[n++] = fake_plan_item(PURPOSE_TRAIN, step, i, version, a);
    for (uint32_t i = 0; i < FAKE_EVALS; i++)
        plan[n++] = fake_plan_item(PURPOSE_EVAL, step, i, version, a);
    return n;
}

static int first_commit(struct learner *l, struct arena *a, struct err *e)
{
    struct plan_item plan[FAKE_GROUPS + FAKE_EVALS];
    struct commit_version version;
    int r = write_version(l->run_dir, 1, l->run->recipe.seed, &version, e);
    if (r)
        return r;
    struct commit c = {.mark = STAGE_MARK_STARTED,
        .version = &version,
        .plan = plan,
        .plan_count = make_plan(0, 1, a, plan)};
    return service_commit(l->service, &c, NULL, e);
}

/* One step: advantages from rewards, a new version, the next plan. */
static int step_commit(struct learner *l, uint32_t step, const struct stored_groups *g,
    const struct stored_groups *evals, struct arena *a, struct err *e)
{
    struct plan_item plan[FAKE_GROUPS + FAKE_EVALS];
    struct commit_group groups[FAKE_GROUPS];
    double advantage[FAKE_GROUPS][FAKE_SIZE];
    struct commit_version version;
    double sum = 0;
    for (size_t i = 0; i < g->count; i++) {
        for (uint32_t k = 0; k < FAKE_SIZE; k++) {
            advantage[i][k] = g->groups[i].completions[k].reward - 0.5;
            sum += g->groups[i].completions[k].reward + (double)g->groups[i].completions[k].logp[0];
        }
        groups[i] = (struct commit_group){
            .group = g->groups[i].id, .lag = 0, .advantage = advantage[i], .n = FAKE_SIZE};
    }
    for (size_t i = 0; i < evals->count; i++)
        sum += evals->groups[i].completions[0].reward;
    bool last = step + 1 == l->run->steps;
    int r = write_version(l->run_dir, step + 2, l->run->recipe.seed, &version, e);
    if (r)
        return r;
    struct commit_step s = {.step = step,
        .updates = step + 1,
        .groups = FAKE_GROUPS,
        .tokens = 1,
        .digest = hash_of(&sum, sizeof(sum))};
    struct commit_metric metrics[] = {{"reward/sum", sum}, {"not/finite", NAN}};
    struct commit_checkpoint checkpoint = {
        .updates = step + 1, .step = step + 1, .path = "checkpoints/x", .digest = s.digest};
    struct commit c = {.mark = last ? STAGE_MARK_FINISHED : STAGE_MARK_NONE,
        .version = &version,
        .step = &s,
        .groups = groups,
        .group_count = FAKE_GROUPS,
        .checkpoint = &checkpoint,
        .metrics_step = step,
        .metrics = metrics,
        .metric_count = 2,
        .plan = plan,
        .plan_count = last ? 0 : make_plan(step + 1, step + 2, a, plan)};
    return service_commit(l->service, &c, NULL, e);
}

static int wait_and_read(struct learner *l, uint32_t step, enum purpose purpose,
    struct stored_groups **ret, struct err *e)
{
    CLEANUP_FREE uint64_t *ids = NULL;
    size_t count = 0;
    int r = service_find_groups(l->service, 0, step, purpose,
        purpose == PURPOSE_EVAL ? MODE_GREEDY : MODE_SAMPLED, &ids, &count, e);
    if (r == 0 && count != (purpose == PURPOSE_EVAL ? FAKE_EVALS : FAKE_GROUPS))
        return err_set(e, ERR_FAIL, "step %u: %zu groups found", step, count);
    if (r == 0)
        r = service_wait_scored(l->service, ids, count, e);
    return r ? r : service_read_groups(l->service, ids, count, ret, e);
}

static int run_step(struct learner *l, uint32_t step, struct err *e)
{
    struct step_row row;
    struct stored_groups *g = NULL, *evals = NULL;
    int r = service_step(l->service, 0, step, &row, e);
    if (r || row.committed)
        return r;
    struct arena *a = arena_new(0);
    r = wait_and_read(l, step, PURPOSE_TRAIN, &g, e);
    if (r == 0)
        r = wait_and_read(l, step, PURPOSE_EVAL, &evals, e);
    if (r == 0)
        r = step_commit(l, step, g, evals, a, e);
    stored_groups_free(g);
    stored_groups_free(evals);
    arena_free(a);
    return r;
}

static void *stages_main(void *arg)
{
    struct learner *l = arg;
    struct stage_row stage;
    struct arena *a = arena_new(0);
    l->code = service_stage(l->service, 0, &stage, &l->err);
    if (l->code == 0 && !stage.started)
        l->code = first_commit(l, a, &l->err);
    for (uint32_t step = 0; step < l->run->steps && l->code == 0; step++)
        l->code = run_step(l, step, &l->err);
    arena_free(a);
    service_stop(l->service, l->code ? "failed" : "finished", l->err.msg);
    return NULL;
}

static void on_stop_time(uv_timer_t *timer)
{
    struct learner *l = timer->data;
    service_stop(l->service, "stopped", "asked to");
}

int fake_learner(const struct fake_run *f, const char *run_dir, struct err *e)
{
    struct learner l = {.run = f, .run_dir = run_dir};
    struct service_options o = {.run_dir = run_dir,
        .recipe = &f->recipe,
        .config_text = "[run]\nname = fake\n",
        .tokenizer = f->tokenizer,
        .model_config = (const char *)f->model_config.data,
        .numerics_id = f->numerics_id,
        .training_id = "training"};
    int r = service_start(&o, &l.service, e);
    if (r)
        return r;
    (void)uv_timer_init(service_loop(l.service), &l.stop);
    l.stop.data = &l;
    if (f->stop_ms)
        (void)uv_timer_start(&l.stop, on_stop_time, f->stop_ms, 0);
    (void)pthread_create(&l.stages, NULL, stages_main, &l);
    service_run(l.service);
    (void)pthread_join(l.stages, NULL);
    uv_close((uv_handle_t *)&l.stop, NULL);
    service_close(l.service);
    return l.code ? err_set(e, l.code, "%s", l.err.msg) : 0;
}

/* ---- looking ---- */

static void dump(sqlite3 *db, const char *sql, struct buf *out)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL)) {
        (void)fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        abort();
    }
    while (sqlite3_step(st) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const char *text = (const char *)sqlite3_column_text(st, i);
            buf_printf(out, i ? "|%s" : "%s", text ? text : "NULL");
        }
        buf_puts(out, "\n");
    }
    (void)sqlite3_finalize(st);
}

char *fake_tables(const char *run_dir)
{
    static const char *const queries[] = {
        "SELECT id, data, row, row_key, prompt, answer, hex(prompt_ids), json FROM tasks ORDER BY "
        "id",
        "SELECT id, purpose, stage, step, wave, slot, mode, task, ordinal, version, n, temperature,"
        " max_tokens, state, hex(weights), hex(numerics_id), hex(digest), reward_mean, reward_std,"
        " tied FROM groups ORDER BY id",
        "SELECT group_id, idx, tokens, think_tokens, stop, text, logp_sum, reward, verdict, "
        "advantage"
        " FROM completions ORDER BY 1, 2",
        "SELECT group_id, idx, scorer, value, verdict, fault, reason, extracted, isolation FROM "
        "scores"
        " ORDER BY 1, 2, 3",
        "SELECT version, stage, step, updates, hex(digest), path, bytes FROM versions ORDER BY 1",
        "SELECT stage, step, version, updates, hex(digest), groups FROM steps ORDER BY 1, 2",
        "SELECT group_id, stage, step, minibatch, lag FROM step_groups ORDER BY 1",
        "SELECT stage, step, name, value FROM metrics ORDER BY 1, 2, 3",
        "SELECT stage, name, kind, steps, first_version, state FROM stages",
        "SELECT state, commits FROM run",
        "SELECT count(*) FROM jobs WHERE state <> 'done'",
        "SELECT count(*) FROM leases WHERE ended_ms IS NULL",
        "PRAGMA integrity_check",
        "PRAGMA foreign_key_check",
    };
    CLEANUP_FREE char *path = mem_printf("%s/run.db", run_dir);
    CLEANUP_BUF struct buf out = {0};
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL)) {
        (void)fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        abort();
    }
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        dump(db, queries[i], &out);
    (void)sqlite3_close(db);
    return mem_strdup((const char *)out.data);
}

char *fake_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = mem_printf("%s/cohort-hub-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        abort();
    }
    return dir;
}
