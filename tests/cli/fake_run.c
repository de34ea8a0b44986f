/* fake_run.c: see fake_run.h. */
#include "tests/cli/fake_run.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"

void fake_run_init(struct fake_run *f)
{
    *f = (struct fake_run){0};
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/cohort-cli-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
}

void fake_run_done(struct fake_run *f)
{
    struct err err = {0};
    (void)sqlite3_close(f->db);
    assert_int_equal(file_remove_tree(f->dir, &err), 0);
}

void fake_run_sql(struct fake_run *f, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(f->db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

void fake_run_create(struct fake_run *f)
{
    static const char *const files[] = {
        SCHEMA_DIR "/schema.sql", SCHEMA_DIR "/views.sql", SCHEMA_DIR "/weights_type.sql"};
    struct err err = {0};
    CLEANUP_FREE char *path = mem_printf("%s/run.db", f->dir);
    assert_int_equal(sqlite3_open(path, &f->db), SQLITE_OK);
    fake_run_sql(f, "PRAGMA journal_mode = WAL");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP_BUF struct buf text = {0};
        assert_int_equal(file_read(files[i], 1 << 20, &text, &err), 0);
        fake_run_sql(f, (const char *)text.data);
    }
    fake_run_sql(f, "PRAGMA user_version = 2");
    fake_run_sql(f, "INSERT INTO run (id, name, seed, created_ms, config, build, model_config, "
                    "tokenizer, numerics_id, training_id, epoch, state) "
                    "VALUES (1, 'test', 1, 0, '', '', '{}', x'00', x'00', '', 1, 'running')");
}

void fake_run_stages(struct fake_run *f)
{
    fake_run_sql(f,
        "INSERT INTO stages VALUES (0, 'base', 'pretrain', 40, 0, 'finished', 1000, 5000);"
        "INSERT INTO stages VALUES (1, 'zero', 'grpo', 3, 1, 'running', 5000, NULL);"
        "INSERT INTO versions VALUES (1, 0, NULL, 0, x'00', NULL, 1, 0)");
}

void fake_run_metric(struct fake_run *f, int stage, int step, const char *name, double value)
{
    CLEANUP_FREE char *sql =
        mem_printf("INSERT INTO metrics VALUES (%d, %d, '%s', %.17g)", stage, step, name, value);
    fake_run_sql(f, sql);
}

void fake_run_step(struct fake_run *f, int stage, int step)
{
    CLEANUP_FREE char *sql =
        mem_printf("INSERT INTO steps VALUES (%d, %d, NULL, %d, x'00', 4, 500, "
                   "2000, 0)",
            stage, step, step + 1);
    fake_run_sql(f, sql);
    fake_run_metric(f, stage, step, "loss", 1.25);
    fake_run_metric(f, stage, step, "reward", 0.5);
    fake_run_metric(f, stage, step, "pass@1", 0.375);
    fake_run_metric(f, stage, step, "clip_low", 0.01);
    fake_run_metric(f, stage, step, "clip_high", 0.02);
    fake_run_metric(f, stage, step, "tokens_sampled", 6000);
    fake_run_metric(f, stage, step, "seconds/train", 1.5);
}

void fake_run_eval(struct fake_run *f, int stage, int step, double share)
{
    static const char *const rates[] = {"pass@1", "greedy"};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "eval/%s", rates[i]);
        fake_run_metric(f, stage, step, name, share);
        (void)snprintf(name, sizeof(name), "eval/%s_low", rates[i]);
        fake_run_metric(f, stage, step, name, share - 0.02);
        (void)snprintf(name, sizeof(name), "eval/%s_high", rates[i]);
        fake_run_metric(f, stage, step, name, share + 0.02);
    }
    fake_run_metric(f, stage, step, "eval/format", share);
    fake_run_metric(f, stage, step, "eval/length", 10 + 20 * share);
    fake_run_metric(f, stage, step, "eval/think_length", 5 + 20 * share);
}

void fake_run_greedy(struct fake_run *f, int id, int stage, int step, int task, const char *text,
    const char *verdict)
{
    CLEANUP_FREE char *sql = mem_printf(
        "INSERT OR IGNORE INTO tasks VALUES (%d, 'heldout', %d, '%d', 'question %d', 'right %d', "
        "x'00', '{}');"
        "INSERT INTO groups (id, purpose, stage, step, slot, mode, task, ordinal, version, n, "
        "temperature, max_tokens, state) "
        "VALUES (%d, 'eval', %d, %d, %d, 'greedy', %d, %d, 1, 1, 0, 24, 'scored');"
        "INSERT INTO completions (group_id, idx, tokens, think_tokens, stop, text, logp_sum, "
        "verdict) "
        "VALUES (%d, 0, 9, 4, 'eos', '%s', -1, '%s')",
        task, task, task, task, task, id, stage, step, task, task, task, id, text, verdict);
    fake_run_sql(f, sql);
}
