/* params.h: the parameter table: every tensor of a model by name, in one flat fp32 block.
 *
 * Optimiser, checkpoint, digest, publication and safetensors iterate over this table and know
 * nothing else about the model. Order of the table: as the forward meets them; offsets are
 * multiples of 16 floats, gaps are zero. Names are Hugging Face's
 * ("model.layers.0.self_attn.q_proj.weight"). A tied head has no entry of its own. A params object
 * is owned by one thread at a time.
 */
#ifndef COHORT_MODEL_PARAMS_H
#define COHORT_MODEL_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/model/model_config.h"

struct param {
    const char *name; /* owned by the table */
    uint32_t rank, shape[2];
    size_t offset, count; /* floats from data */
    float init_std;       /* 0: ones (norms); < 0: zeros (biases); else 1/sqrt(inputs) */
    int decay;            /* weight decay applies */
};

struct param_table {
    struct model_config config;
    struct param *params; /* owned */
    size_t param_count;
    size_t floats; /* of the whole block, gaps included */
};

struct params {
    const struct param_table *table; /* borrowed; outlives this */
    float *data;                     /* owned, table->floats */
};

int param_table_new(
    const struct model_config *c, struct param_table **ret, struct err *e) ERR_WARN_UNUSED;
void param_table_free(struct param_table *t);
const struct param *param_find(
    const struct param_table *t, const char *name); /* NULL when absent */

int params_new(
    const struct param_table *t, struct params *ret, struct err *e) ERR_WARN_UNUSED; /* zeros */
void params_done(struct params *p);
/* Normal(0, init_std) by counter-based numbers keyed by (seed, tensor, element); the same bits
 * everywhere. */
void params_init_random(struct params *p, uint64_t seed);

/* BLAKE2b-256 over the tensors sorted by name: for each, hasher_add_str(name),
 * hasher_add_str("F32"), rank and dims as u64, then the hash of each 1 MiB chunk of its
 * little-endian bytes (DESIGN section 7). */
struct hash params_digest(const struct params *p);

/* Name of the first tensor holding NaN or Inf, or NULL. */
const char *params_not_finite(const struct params *p);

/* safetensors (F32 written; F32, F16 and BF16 read; sharded index read). The file is written to
 * path by path.tmp, fsync, rename, fsync of the directory. Header, offsets, dtypes and shapes are
 * checked before any tensor is read; missing, unknown and misshapen tensors are named. */
int params_write(const struct params *p, const char *path, struct err *e) ERR_WARN_UNUSED;
int params_read(struct params *p, const char *path, struct err *e) ERR_WARN_UNUSED;

/* A model directory: config.json + model.safetensors (or its index). tokenizer.json is copied by
 * the caller. */
int model_dir_config(const char *dir, struct model_config *ret, struct err *e) ERR_WARN_UNUSED;
int model_dir_read(const char *dir, struct params *p, struct err *e) ERR_WARN_UNUSED;
/* Writes DIR.tmp whole, fsyncs, renames to DIR. tokenizer_json may be NULL. */
int model_dir_write(const char *dir, const struct params *p, const void *tokenizer_json,
    size_t tokenizer_bytes, struct err *e) ERR_WARN_UNUSED;

#endif
