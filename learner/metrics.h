/* metrics.h: the one table of metric definitions, and the list of a step's or an evaluation's
 * values.
 *
 * A metric's name, unit, formula, denominator and the samples it is taken over stand in METRICS
 * below and nowhere else. Names are TRL's or verl's where the meaning is the same. A value that
 * does not exist (a mean over nothing) is left out of the list, never stored as 0. Pure; any
 * thread.
 */
#ifndef COHORT_LEARNER_METRICS_H
#define COHORT_LEARNER_METRICS_H

#include "common/base/mem.h"
#include "learner/figures.h"
#include "learner/service.h"
#include "learner/step.h"

/* X(ENUM, name, unit, formula, denominator, samples). A name that ends in '/' takes a [reward
 * NAME]. */
#define METRICS(X)                                                                                 \
    X(METRIC_REWARD, "reward", "1", "sum of rewards", "scored completions", "the step's groups")   \
    X(METRIC_REWARD_STD, "reward_std", "1", "sum of std (n - 1) within the group", "groups",       \
        "the step's groups")                                                                       \
    X(METRIC_REWARDS, "rewards/", "1", "sum of the component", "completions with a value",         \
        "the step's groups")                                                                       \
    X(METRIC_PASS_1, "pass@1", "share", "completions whose primary verdict is pass",               \
        "scored completions", "the step's groups")                                                 \
    X(METRIC_PASS_G, "pass@G", "share", "groups with a pass", "groups", "the step's groups")       \
    X(METRIC_TIED, "tied", "share", "groups with max = min of the reward", "groups",               \
        "the step's groups")                                                                       \
    X(METRIC_TIED_RIGHT, "tied_right", "share", "tied groups, all completions pass", "groups",     \
        "the step's groups")                                                                       \
    X(METRIC_TIED_WRONG, "tied_wrong", "share", "tied groups, no completion passes", "groups",     \
        "the step's groups")                                                                       \
    X(METRIC_UNSCORED, "unscored", "share", "completions without a reward", "completions",         \
        "the step's groups")                                                                       \
    X(METRIC_LENGTH, "length", "tokens", "sum of tokens", "completions", "the step's groups")      \
    X(METRIC_LENGTH_RIGHT, "length_right", "tokens", "sum of tokens", "completions that pass",     \
        "the step's groups")                                                                       \
    X(METRIC_LENGTH_WRONG, "length_wrong", "tokens", "sum of tokens",                              \
        "scored completions that do not pass", "the step's groups")                                \
    X(METRIC_THINK_LENGTH, "think_length", "tokens", "sum of tokens between the think tags",       \
        "completions that think", "the step's groups")                                             \
    X(METRIC_TRUNCATED, "truncated", "share", "completions stopped by max-tokens", "completions",  \
        "the step's groups")                                                                       \
    X(METRIC_ENTROPY, "entropy", "nats", "sum of the policy's entropy", "trained tokens",          \
        "all updates")                                                                             \
    X(METRIC_RATIO_MAX, "ratio_max", "1", "max of pi / pi_old", "-",                               \
        "trained tokens of all updates")                                                           \
    X(METRIC_CLIP_LOW, "clip_low", "share", "tokens with A < 0 and ratio < 1 - clip-low",          \
        "trained tokens", "all updates")                                                           \
    X(METRIC_CLIP_HIGH, "clip_high", "share",                                                      \
        "tokens with A > 0 and ratio > 1 + clip-high, or dual-clipped", "trained tokens",          \
        "all updates")                                                                             \
    X(METRIC_KL_OLD, "kl_old", "nats", "sum of logp_old - logp (k1)", "trained tokens",            \
        "all updates")                                                                             \
    X(METRIC_KL_REF, "kl_ref", "nats", "sum of k3 to the reference", "trained tokens",             \
        "all updates, when kl-coef is not 0")                                                      \
    X(METRIC_LOSS, "loss", "1", "sum of the updates' losses", "updates", "all updates")            \
    X(METRIC_GRAD_NORM, "grad_norm", "1", "sum of global norms before the clip", "updates",        \
        "all updates")                                                                             \
    X(METRIC_UPDATE_RATIO, "update_ratio", "1", "sum of |change of weights| / |weights|",          \
        "updates", "all updates")                                                                  \
    X(METRIC_LR, "lr", "1", "learning rate", "-", "the last update")                               \
    X(METRIC_UPDATES, "updates", "updates", "optimiser updates", "-", "the step")                  \
    X(METRIC_STALENESS, "staleness", "versions", "sum of lags", "groups", "the step's groups")     \
    X(METRIC_TOKENS_SAMPLED, "tokens_sampled", "tokens", "completion tokens", "-",                 \
        "the step's groups")                                                                       \
    X(METRIC_TOKENS_TRAINED, "tokens_trained", "tokens", "tokens with weight in a loss", "-",      \
        "all updates")                                                                             \
    X(METRIC_TOKENS_WASTED, "tokens_wasted", "tokens", "sampled - trained", "-",                   \
        "the step's groups")                                                                       \
    X(METRIC_LOGP_GAP, "logp_gap", "nats", "max |behaviour - recomputed log-prob|; must be 0",     \
        "-", "first update at lag 0 with f32, else one keyed group under its own weights")         \
    X(METRIC_SAMPLER_GAP_MEAN, "sampling/sampling_logp_difference/mean", "nats",                   \
        "sum of |logp_old - behaviour|", "trained tokens", "all updates, when old is recomputed")  \
    X(METRIC_SAMPLER_GAP_MAX, "sampling/sampling_logp_difference/max", "nats",                     \
        "max |logp_old - behaviour|", "-", "all updates, when old is recomputed")                  \
    X(METRIC_IMPORTANCE_MEAN, "sampling/importance_sampling_ratio/mean", "1",                      \
        "sum of min(pi_old / pi_sampled, importance-cap)", "trained tokens",                       \
        "all updates, when old is recomputed")                                                     \
    X(METRIC_IMPORTANCE_CAPPED, "sampling/importance_sampling_ratio/capped", "share",              \
        "tokens above importance-cap", "trained tokens", "all updates, when old is recomputed")    \
    X(METRIC_SECONDS_WAIT, "seconds/wait", "s", "waiting for groups and scores", "-", "the step")  \
    X(METRIC_WAIT_SHARE, "seconds/wait_share", "share",                                            \
        "seconds/wait; near 0, workers wait for the learner",                                      \
        "seconds of wait, train and publish", "the step")                                          \
    X(METRIC_SECONDS_TRAIN, "seconds/train", "s", "forward, backward, update", "-", "the step")    \
    X(METRIC_SECONDS_PUBLISH, "seconds/publish", "s", "weights file and checkpoint", "-",          \
        "the step")                                                                                \
    X(METRIC_SECONDS_SAMPLE, "seconds/sample", "s",                                                \
        "from lease to last token, added over groups, several of which an actor samples at once",  \
        "-", "the step's groups")                                                                  \
    X(METRIC_EVAL_PASS_1, "eval/pass@1", "share", "completions whose primary verdict is pass",     \
        "scored completions", "held-out tasks, sampled")                                           \
    X(METRIC_EVAL_PASS_1_LOW, "eval/pass@1_low", "share", "Wilson 95 %, lower end",                \
        "scored completions", "held-out tasks, sampled")                                           \
    X(METRIC_EVAL_PASS_1_HIGH, "eval/pass@1_high", "share", "Wilson 95 %, upper end",              \
        "scored completions", "held-out tasks, sampled")                                           \
    X(METRIC_EVAL_PASS_K, "eval/pass@k", "share", "sum of unbiased pass@k, k = eval-samples",      \
        "tasks with k scored completions", "held-out tasks, sampled")                              \
    X(METRIC_EVAL_REWARD, "eval/reward", "1", "sum of rewards", "scored completions",              \
        "held-out tasks, sampled")                                                                 \
    X(METRIC_EVAL_REWARDS, "eval/rewards/", "1", "sum of the component",                           \
        "completions with a value", "held-out tasks, sampled")                                     \
    X(METRIC_EVAL_FORMAT, "eval/format", "share", "sum of the well-formed reward",                 \
        "completions with a value", "held-out tasks, sampled")                                     \
    X(METRIC_EVAL_LENGTH, "eval/length", "tokens", "sum of tokens", "completions",                 \
        "held-out tasks, sampled")                                                                 \
    X(METRIC_EVAL_THINK_LENGTH, "eval/think_length", "tokens",                                     \
        "sum of tokens between the think tags", "completions that think",                          \
        "held-out tasks, sampled")                                                                 \
    X(METRIC_EVAL_TRUNCATED, "eval/truncated", "share", "completions stopped by max-tokens",       \
        "completions", "held-out tasks, sampled")                                                  \
    X(METRIC_EVAL_UNSCORED, "eval/unscored", "share", "completions without a reward",              \
        "completions", "held-out tasks, sampled")                                                  \
    X(METRIC_EVAL_GREEDY, "eval/greedy", "share", "completions whose primary verdict is pass",     \
        "scored completions", "held-out tasks, greedy")                                            \
    X(METRIC_EVAL_GREEDY_LOW, "eval/greedy_low", "share", "Wilson 95 %, lower end",                \
        "scored completions", "held-out tasks, greedy")                                            \
    X(METRIC_EVAL_GREEDY_HIGH, "eval/greedy_high", "share", "Wilson 95 %, upper end",              \
        "scored completions", "held-out tasks, greedy")                                            \
    X(METRIC_EVAL_GREEDY_FORMAT, "eval/greedy_format", "share", "sum of the well-formed reward",   \
        "completions with a value", "held-out tasks, greedy")                                      \
    X(METRIC_EVAL_GREEDY_LENGTH, "eval/greedy_length", "tokens", "sum of tokens", "completions",   \
        "held-out tasks, greedy")                                                                  \
    X(METRIC_EVAL_GREEDY_THINK_LENGTH, "eval/greedy_think_length", "tokens",                       \
        "sum of tokens between the think tags", "completions that think",                          \
        "held-out tasks, greedy")                                                                  \
    X(METRIC_EVAL_TASKS, "eval/tasks", "tasks", "tasks evaluated", "-", "held-out tasks")          \
    X(METRIC_EVAL_VERSION, "eval/version", "version", "weights version evaluated", "-",            \
        "held-out tasks")                                                                          \
    X(METRIC_SECONDS_EVAL, "seconds/eval", "s", "waiting for the evaluation", "-", "held-out tasks")

enum metric {
#define METRIC_ENUM(id, name, unit, formula, denominator, samples) id,
    METRICS(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

struct metric_def {
    const char *name, *unit, *formula, *denominator, *samples;
};
const struct metric_def *metric_definition(enum metric m);

struct metric_list {
    struct commit_metric *items;
    size_t count;
    struct arena *names; /* of metrics that take a reward's name */
};

void metric_list_done(struct metric_list *l);
void metric_add(
    struct metric_list *l, enum metric m, double value); /* NaN and infinities are left out */
void metric_add_of(struct metric_list *l, enum metric m, const char *reward, double value);
/* Value by name, or NAN. */
double metric_value(const struct metric_list *l, const char *name);

/* Durations of a step, seconds; NAN leaves one out. */
struct step_times {
    double wait, train, publish;
};

void metrics_of_pretrain(
    struct metric_list *l, const struct step_result *r, const struct step_times *t);
/* version: of the parameters as the step began. */
void metrics_of_grpo(struct metric_list *l, const struct recipe *recipe,
    const struct step_groups *groups, uint64_t version, const struct step_result *r,
    const struct step_times *t);
/* samples: sampled completions per task; seconds: NAN when not measured. */
void metrics_of_eval(struct metric_list *l, const struct recipe *recipe,
    const struct stored_groups *sampled, const struct stored_groups *greedy, unsigned samples,
    double seconds);

#endif
