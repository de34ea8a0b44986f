/* eval_sample.h: samples the tasks of a dataset with one engine and judges what comes. One thread.
 */
#ifndef COHORT_CLI_EVAL_SAMPLE_H
#define COHORT_CLI_EVAL_SAMPLE_H

#include "cli/eval_figures.h"
#include "cli/judge.h"
#include "cli/model_open.h"
#include "common/text/template.h"

struct eval_options {
    size_t tasks; /* the first so many rows */
    unsigned k;
    float temperature;
    uint32_t max_tokens; /* 0: cli_model_max_tokens */
    uint64_t seed;
    bool keep_texts;
    void (*progress)(void *arg, size_t done); /* after each task; may be NULL */
    void *arg;
};

struct eval_result {
    struct eval_completion *completions; /* owned; tasks x k */
    char **texts;      /* owned; as completions, when they are kept: the exact text */
    size_t *text_lens; /* owned */
    const char **reasons;
    struct arena *arena; /* owned; what completions, texts and reasons point to */
};

int eval_sample(const struct cli_model *m, const struct dataset *d, const struct template *t,
    const struct judge *judge, const struct eval_options *o, struct eval_result *ret,
    struct err *e) ERR_WARN_UNUSED;
void eval_result_done(struct eval_result *r);

#endif
