/* fake_run.h: a run directory whose database the test writes, with the learner's own schema. */
#ifndef COHORT_TESTS_CLI_FAKE_RUN_H
#define COHORT_TESTS_CLI_FAKE_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "common/base/err.h"
#include "common/base/mem.h"

struct fake_run {
    char dir[64];
    sqlite3 *db; /* the learner's side: WAL, as the store opens it */
};

/* A directory without a database. */
void fake_run_init(struct fake_run *f);
void fake_run_done(struct fake_run *f);

void fake_run_create(struct fake_run *f);               /* schema, and a row in `run`: 'running' */
void fake_run_sql(struct fake_run *f, const char *sql); /* fails the test on an error */
/* Stages "base" (pretrain, 40 steps) and "zero" (grpo, 3 steps); the second is running. */
void fake_run_stages(struct fake_run *f);
void fake_run_metric(struct fake_run *f, int stage, int step, const char *name, double value);
/* A committed step with what its line shows. */
void fake_run_step(struct fake_run *f, int stage, int step);
/* An evaluation with all its metrics; share is every rate. */
void fake_run_eval(struct fake_run *f, int stage, int step, double share);
/* A greedy group of one task with its one completion; task names itself in prompt and text. */
void fake_run_greedy(struct fake_run *f, int id, int stage, int step, int task, const char *text,
    const char *verdict);

#endif
