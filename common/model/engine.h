/* engine.h: sampling. One of the two interfaces that another device would implement (DESIGN 8.2).
 *
 * An engine owns packed weights of one version, a paged KV cache with exact accounting and a pool
 * of threads. engine_run samples groups with continuous batching: a prompt is prefilled once, its
 * full pages are shared by the group, the straddling page is copied; sequences that end make room
 * for the next group. What a group yields depends on weights, prompt, key and parameters alone: not
 * on the other groups, the threads or the instruction set. One thread calls an engine at a time.
 */
#ifndef COHORT_MODEL_ENGINE_H
#define COHORT_MODEL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/rng.h"
#include "common/base/words.h"
#include "common/model/params.h"

struct engine;

struct engine_options {
    unsigned threads;
    const char *isa;     /* "auto" or an instruction set (ops.h) */
    size_t kv_bytes_max; /* 0: 256 MiB */
    uint32_t batch_max;  /* sequences at once; 0: 64 */
};

struct sample_params {
    float temperature; /* 0: greedy; logp is then at temperature 1 */
    uint32_t max_tokens;
    uint32_t vocab; /* ids at or above are never sampled; <= config vocab */
    uint32_t
        top_k;   /* 0: all. top_k, top_p, min_p are for `sample` and `eval` only, never for grpo */
    float top_p; /* 1: all */
    float min_p; /* 0: all */
    const uint32_t *stop; /* ids that end a completion and are its last token */
    uint32_t stop_count;
};

struct sample_request {
    uint64_t tag;           /* the caller's */
    const uint32_t *prompt; /* borrowed until the group is done; at least one token */
    uint32_t prompt_len;
    uint32_t n; /* completions */
    struct sample_params params;
    struct rng_key
        key; /* completion is set by the engine; position = index of the token in the completion */
};

struct sampled {
    uint32_t *tokens; /* len */
    float *logp;      /* len: log-softmax(z/T) over ids < vocab, before top-k/p */
    uint32_t len;
    enum stop_reason stop;
};

struct engine_source {
    /* Fills ret with the next request and returns true, or returns false when there is none now.
     * Called between decode steps whenever there is room. */
    bool (*next)(void *arg, struct sample_request *ret);
    /* A group is complete; completions are valid during the call. */
    void (*done)(void *arg, uint64_t tag, const struct sampled *completions, uint32_t n);
    /* Asked between decode steps: true drops the group without done. May be NULL. */
    bool (*cancelled)(void *arg, uint64_t tag);
    void *arg;
};

int engine_new(const struct model_config *c, const struct engine_options *o, struct engine **ret,
    struct err *e) ERR_WARN_UNUSED;
void engine_free(struct engine *en);

/* Packs p (copied; p may go) as weights of that type. Not while engine_run is active. */
int engine_load(struct engine *en, const struct params *p, enum weights_type type,
    struct err *e) ERR_WARN_UNUSED;

/* Runs until the source has nothing and the batch is empty. ERR_LIMIT when a request cannot ever
 * fit (prompt + max_tokens over the context or the cache): the message names the tag. ERR_DATA: not
 * finite. */
int engine_run(
    struct engine *en, const struct engine_source *source, struct err *e) ERR_WARN_UNUSED;

/* One group, for commands. Tokens and log-probs are allocated; free with sampled_free. */
int engine_sample(struct engine *en, const struct sample_request *r, struct sampled **ret,
    struct err *e) ERR_WARN_UNUSED;
void sampled_free(struct sampled *s, uint32_t n);

struct engine_stats {
    uint64_t tokens_sampled, tokens_prefilled, decode_steps;
    size_t pages_used, pages_total;
};
struct engine_stats engine_stats(const struct engine *en);

/* Hash of the outputs of a fixed tiny forward, the exp, log and RoPE tables and a set of GEMM
 * shapes on this isa (DESIGN 8.1). Equal ids: equal bits. */
int numerics_id(const char *isa, struct hash *ret, struct err *e) ERR_WARN_UNUSED;
/* The same of a fixed tiny forward, backward and update: what updates depend on beyond the forward.
 */
int training_id(const char *isa, struct hash *ret, struct err *e) ERR_WARN_UNUSED;

#endif
