/* fixture.h: a tiny model on disk with its manifest, and a directory that goes with the test. */
#ifndef COHORT_TESTS_ACTOR_FIXTURE_H
#define COHORT_TESTS_ACTOR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/model/params.h"
#include "proto/codec.h"
#include "tests/assert_ok.h"

enum { FIXTURE_CHUNK = 4096, FIXTURE_CHUNKS_MAX = 64 };

struct model_config fixture_config(void);

/* A version: parameters of a seed, its file, what the learner would say of it. */
struct fixture_version {
    struct params params;
    struct hash digest;
    char path[128];
    struct buf file; /* its bytes */
    struct hash chunks[FIXTURE_CHUNKS_MAX];
    struct weights_manifest manifest;
};

/* A private directory under /tmp, removed by fixture_dir_done. */
void fixture_dir_init(char dir[64]);
void fixture_dir_done(const char *dir);

void fixture_version_init(
    struct fixture_version *v, const struct param_table *t, const char *dir, uint64_t version);
void fixture_version_done(struct fixture_version *v);

#endif
