/* model_open.h: a model directory ready to sample: tokenizer, parameters, engine. */
#ifndef COHORT_CLI_MODEL_OPEN_H
#define COHORT_CLI_MODEL_OPEN_H

#include "common/base/err.h"
#include "common/model/engine.h"
#include "common/text/tokenizer.h"

struct cli_model {
    struct tokenizer *tokenizer; /* owned */
    struct param_table *table;   /* owned */
    struct engine *engine;       /* owned; weights are loaded */
    struct hash digest;          /* of the parameters */
};

/* dir is a Hugging Face directory. The parameters are packed into the engine as weights of that
 * type and dropped. */
int cli_model_open(const char *dir, const struct engine_options *o, enum weights_type type,
    struct cli_model *ret, struct err *e) ERR_WARN_UNUSED;
void cli_model_close(struct cli_model *m);

enum { CLI_MAX_TOKENS = 1024 };
/* Longest completion when none was asked for: what the context leaves behind the prompt, at most
 * CLI_MAX_TOKENS, at least 1. */
uint32_t cli_model_max_tokens(const struct cli_model *m, size_t prompt_len);

#endif
