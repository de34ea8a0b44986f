/* engine_parts.h: what an engine is made of, shared by engine.c (life, groups, the loop) and
 * engine_step.c (one step). engine.c says how they work together.
 */
#ifndef COHORT_MODEL_ENGINE_PARTS_H
#define COHORT_MODEL_ENGINE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/engine.h"
#include "common/model/forward.h"
#include "common/model/sampler.h"
#include "common/tensor/pool.h"

enum {
    PREFILL_ROWS = 256,     /* prompt rows of one step, all groups together */
    LOGIT_ROWS = 64,        /* rows whose logits exist at once in a thread */
    LARGE_BYTES = 16 << 20, /* of parameters: more than caches hold beside the rest */
};

struct group {
    struct group *next; /* open groups, oldest first */
    struct sample_request request;
    struct kv_seq prompt;
    size_t own_pages;            /* that one completion may take beyond those it shares */
    uint32_t prefilled;          /* rows of the prompt; all of them: the first tokens are there */
    uint32_t started, finished;  /* completions */
    uint32_t *tokens;            /* owned: n x max_tokens */
    float *logp;                 /* owned: n x max_tokens */
    struct sampled *completions; /* owned: n; point into the two above */
};

/* A running completion: its last token is the next row. */
struct slot_seq {
    struct group *group; /* NULL: free */
    struct sampled *out;
    uint32_t index; /* in the group */
    struct kv_seq pages;
};

/* Who gets the logits of a span's last row: a sequence, or all completions of a group. */
struct goal {
    struct group *group;  /* NULL for a part of a prompt that is not its end */
    struct slot_seq *seq; /* NULL: the group's first tokens */
};

/* What the parts of a step cost, in multiply-adds of a product. */
struct step_costs {
    size_t row;      /* through all layers, without attention */
    size_t position; /* that a row attends to */
    size_t logits;   /* of one row */
};

struct worker {
    struct acts acts;
    struct sampler sampler;
    float *gathered, *z; /* owned: LOGIT_ROWS x hidden, x vocab */
    size_t first_span, span_count;
    size_t first_row, rows;
    const struct group *not_finite; /* first group whose logits were not finite in this step */
};

struct engine {
    struct model_config config;
    struct param_table *table;
    struct weights *weights; /* NULL until engine_load */
    struct pool *pool;
    struct kv kv;
    uint32_t batch_max;
    bool large; /* parameters come from memory in every step */
    struct step_costs costs;
    struct worker *workers;
    struct slot_seq *slots; /* batch_max */
    uint32_t running;
    struct group *groups, **groups_end;
    uint32_t waiting; /* completions of open groups that have no slot yet */

    /* The step: */
    uint32_t *inputs;
    struct span *spans; /* rows counted from the worker's first */
    struct goal *goals;
    size_t span_count, rows;
    unsigned team; /* workers that run it together; 1: each has its own spans */
    struct engine_stats stats;
};

/* Forwards the next rows of everything that is open and appends one token to each running
 * completion, and the first one to those of finished prompts. ERR_DATA when a log-prob is not
 * finite. */
int engine_step(struct engine *en, struct err *e) ERR_WARN_UNUSED;

#endif
