/* recipe.h: a run file: its option table and its typed form.
 *
 * One table gives parsing, bounds, defaults, class (identity, live, extend), help and the sample
 * file. recipe_make turns a checked configuration into plain structs and checks what spans options
 * (names that refer to each other, products that overflow, schedules that need a fixed number of
 * steps). Strings are borrowed from the config, which must outlive the recipe. Immutable; any
 * thread.
 */
#ifndef COHORT_RECIPE_H
#define COHORT_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/config.h"
#include "common/base/err.h"
#include "common/model/model_config.h"
#include "common/recipe/reward.h"
#include "common/text/generator.h"
#include "proto/codec.h"

enum {
    RECIPE_STAGES_MAX = 16,
    RECIPE_DATA_MAX = 32,
    RECIPE_REWARDS_MAX = LIMIT_SCORERS,
};

extern const struct config_option recipe_options[];

struct recipe_data {
    const char *name;
    const char *path;      /* of a JSONL file; "" when generated */
    const char *generator; /* "" when read from a file */
    const char *format;    /* "auto", ... */
    const char *template;
    enum dataset_split split;
    unsigned heldout_permille;
    struct generator_options gen; /* name == generator; seed is the run's */
};

struct recipe_reward {
    struct scorer_spec spec; /* params_json owned by the recipe */
    struct reward_term term;
};

enum stage_kind { STAGE_PRETRAIN, STAGE_GRPO };
enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE };
enum advantage_kind { ADVANTAGE_STD, ADVANTAGE_MEAN, ADVANTAGE_LOO, ADVANTAGE_BATCH };
enum objective_kind { OBJECTIVE_CLIP, OBJECTIVE_CISPO };
enum ratio_kind { RATIO_TOKEN, RATIO_SEQUENCE };
enum normalise_kind { NORMALISE_TOKEN, NORMALISE_SEQUENCE, NORMALISE_FIXED };
enum preflight_kind { PREFLIGHT_STOP, PREFLIGHT_WARN, PREFLIGHT_OFF };
enum kl_kind { KL_K1, KL_K2, KL_K3 };

struct recipe_optim {
    double lr, lr_final; /* lr_final: share of lr at the end of linear and cosine */
    enum schedule_kind schedule;
    uint32_t warmup; /* updates of linear warm-up */
    double beta1, beta2, eps, weight_decay, clip_norm;
};

struct recipe_loss {
    enum advantage_kind advantage;
    enum normalise_kind normalise;
    enum objective_kind objective;
    enum ratio_kind ratio;
    double clip_low, clip_high, dual_clip; /* dual_clip 0: off */
    double kl_coef;
    enum kl_kind kl;
    bool kl_in_reward;        /* it is taken from the rewards, not added to the loss */
    uint32_t reference_every; /* updates; 0: the stage's start stays the reference */
    double entropy_coef;
    bool keep_tied;        /* tied groups stay in the batch (advantage 0) */
    bool mask_truncated;   /* truncated completions out of the loss */
    bool old_recomputed;   /* pi_old is the step's first policy, else the one that sampled */
    double importance_cap; /* C of its truncated weight, when it is recomputed */
};

struct recipe_eval {
    int data;       /* index into recipe.data, -1: no evaluation */
    uint32_t tasks; /* first so many rows */
    uint32_t
        samples;    /* sampled completions per task at the sampling temperature; greedy adds one */
    uint32_t every; /* steps; 0: only before and after the stage */
    bool before;
};

struct recipe_gate { /* checked on the evaluation after the stage; has_* false: not checked */
    bool has_sampled, has_greedy, has_format;
    double sampled_low, sampled_high, greedy_low, greedy_high, format_low, format_high;
};

struct recipe_stage {
    const char *name;
    enum stage_kind kind;
    int data; /* index into recipe.data */
    uint32_t steps;
    uint32_t batch;       /* pretrain: rows per step */
    uint32_t groups;      /* grpo: tasks per step */
    uint32_t group_size;  /* G */
    uint32_t minibatches; /* updates per step */
    uint32_t lag;
    float temperature;
    uint32_t max_tokens;
    enum weights_type weights_type; /* that sample the training groups */
    struct recipe_optim optim;
    struct recipe_loss loss;
    struct recipe_eval eval;
    struct recipe_gate gate;
    enum preflight_kind preflight; /* live */
};

struct recipe {
    const char *name;
    uint64_t seed;
    const char *preset;        /* "none": every default is the table's */
    const char *model_path;    /* "" : random initialisation of model */
    struct model_config model; /* vocab and eos are set by the tokenizer when random */
    const char *characters;    /* of the tokenizer made for a random model */
    const char *format_reward; /* name of the reward whose mean is the share of well-formed answers,
                                  or "" */
    struct recipe_data data[RECIPE_DATA_MAX];
    size_t data_count;
    struct recipe_reward rewards[RECIPE_REWARDS_MAX];
    size_t reward_count;
    size_t primary; /* index into rewards */
    struct recipe_stage stages[RECIPE_STAGES_MAX];
    size_t stage_count;

    /* live options */
    unsigned learner_threads, learner_shards; /* shards are identity */
    uint32_t micro_batch_tokens;              /* identity */
    bool recompute;
    uint32_t checkpoint_every, keep_checkpoints; /* updates; count */
    bool keep_all_samples;
    uint32_t segment_kib;
    uint32_t lease_ms;
    const char *isa;
    unsigned actors, actor_threads, actor_slots, actor_batch;
    uint32_t actor_kv_mib;
    unsigned reward_servers, reward_threads, reward_slots;
    uint32_t net_receive_mib; /* 0: a share of the machine's */
    const char *net_dir;      /* "" : a fresh short directory */
};

/* Defaults of the preset that the configuration names (presets.h), then config_check. */
int recipe_check(struct config *c, struct err *e) ERR_WARN_UNUSED;
/* Reads a run file (NULL: none), then --set assignments, then recipe_check. */
int recipe_read(struct config *c, const char *path, const char *const *sets, size_t set_count,
    struct err *e) ERR_WARN_UNUSED;

/* config must have passed recipe_check. */
int recipe_make(const struct config *c, struct recipe *ret, struct err *e) ERR_WARN_UNUSED;
void recipe_done(struct recipe *r);

#endif
