/* model_config.h: the shape of a decoder-only transformer, read from and written to config.json.
 *
 * Llama, Qwen2 and Qwen3 checkpoints (Hugging Face keys): RMSNorm, RoPE (half-split), grouped-query
 * attention, SwiGLU, optional QKV bias, optional per-head QK norm, tied or separate output head.
 * Anything a config.json asks for that is not supported here (rope scaling other than default,
 * sliding window in use, other activations, other model types) is refused by name.
 */
#ifndef COHORT_MODEL_CONFIG_H
#define COHORT_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mem.h"

enum { MODEL_EOS_MAX = 8 };

struct model_config {
    char type[16]; /* "llama", "qwen2", "qwen3" */
    uint32_t vocab, hidden, layers, heads, kv_heads, head_dim, ffn, context;
    float norm_eps;
    double rope_theta;
    bool qkv_bias, qk_norm, tied;
    uint32_t eos[MODEL_EOS_MAX];
    uint32_t eos_count;
};

/* Checks ranges and divisibility; ERR_DATA naming the key. */
int model_config_check(const struct model_config *c, struct err *e) ERR_WARN_UNUSED;
int model_config_parse(const char *json, size_t n, const char *origin, struct model_config *ret,
    struct err *e) ERR_WARN_UNUSED;
void model_config_print(const struct model_config *c, struct buf *out); /* config.json */
size_t model_config_parameters(const struct model_config *c);           /* count, tied head once */

#endif
