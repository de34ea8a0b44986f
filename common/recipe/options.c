/* options.c: the option table of a run file.
 *
 * Every option of every section, once: --help, the sample file, parsing, bounds, defaults and what
 * a difference on resume means all come from here.
 */
#include "common/recipe/recipe.h"

#define IDENTITY OPT_IDENTITY
#define LIVE OPT_LIVE
#define EXTEND OPT_EXTEND

/* clang-format off */
#define BOOL(s, k, c, d, h) {s, k, OPT_BOOL, c, d, .help = h}
#define INT(s, k, c, d, lo, hi, h) {s, k, OPT_INT, c, d, .min = lo, .max = hi, .help = h}
#define FLOAT(s, k, c, d, lo, hi, h) {s, k, OPT_FLOAT, c, d, .min = lo, .max = hi, .help = h}
#define STRING(s, k, c, d, h) {s, k, OPT_STRING, c, d, .help = h}
#define CHOICE(s, k, c, d, ch, h) {s, k, OPT_CHOICE, c, d, .choices = ch, .help = h}
#define RANGE(s, k, c, h) {s, k, OPT_RANGE, c, "", .help = h}
/* clang-format on */

const struct config_option recipe_options[] = {
    STRING("run", "name", IDENTITY, "run", "name of the run; the default directory is ./NAME-run"),
    INT("run", "seed", IDENTITY, "1", 0, 9007199254740991.0, "everything random follows from it"),

    STRING("model", "path", IDENTITY, "",
        "Hugging Face directory to start from; empty: random initialisation"),
    CHOICE(
        "model", "type", IDENTITY, "llama", "llama|qwen2|qwen3", "architecture of a random model"),
    INT("model", "hidden", IDENTITY, "64", 2, 65536, "channels"),
    INT("model", "layers", IDENTITY, "2", 1, 512, "blocks"),
    INT("model", "heads", IDENTITY, "4", 1, 1024, "query heads"),
    INT("model", "kv-heads", IDENTITY, "0", 0, 1024, "key-value heads; 0: as heads"),
    INT("model", "head-dim", IDENTITY, "0", 0, 1024, "channels of a head; 0: hidden / heads"),
    INT("model", "ffn", IDENTITY, "128", 1, 1048576, "inner channels of the feed-forward"),
    INT("model", "context", IDENTITY, "256", 8, 1048576, "longest sequence, tokens"),
    FLOAT("model", "rope-theta", IDENTITY, "10000", 1, 1e9, "base of the rotary embedding"),
    FLOAT("model", "norm-eps", IDENTITY, "1e-6", 1e-12, 1e-2, "epsilon of RMSNorm"),
    BOOL("model", "tied", IDENTITY, "yes", "output head shares the embedding"),
    STRING("model", "characters", IDENTITY, "",
        "characters of a random model's tokenizer; empty: those the generators need"),

    FLOAT("sampling", "temperature", IDENTITY, "1", 0.01, 10, "of training and evaluation samples"),
    INT("sampling", "max-tokens", IDENTITY, "64", 1, LIMIT_COMPLETION_TOKENS,
        "longest completion, tokens"),
    INT("sampling", "group", IDENTITY, "16", 1, LIMIT_GROUP, "completions of a training group (G)"),

    INT("learner", "threads", LIVE, "2", 1, 256, "threads of forward and backward"),
    INT("learner", "shards", IDENTITY, "2", 1, 64,
        "gradient accumulators; at least as many as threads are useful"),
    INT("learner", "micro-batch-tokens", IDENTITY, "2048", 1, 16777216,
        "forward rows of one micro-batch, about"),
    INT("learner", "checkpoint-every", LIVE, "50", 1, 1000000, "updates between checkpoints"),
    INT("learner", "keep-checkpoints", LIVE, "2", 1, 1000, "checkpoints kept"),
    INT("learner", "lease-ms", LIVE, "60000", 1000, 86400000,
        "a lease ends this long after its last heartbeat"),

    CHOICE("engine", "isa", LIVE, "auto", "auto|avx512vnni|avx512|avx2|portable",
        "instruction set of our kernels; the results are the same bits"),

    INT("actor", "count", LIVE, "2", 0, 1024, "actors that `cohort run` starts"),
    INT("actor", "threads", LIVE, "1", 1, 256, "threads of one actor"),
    INT("actor", "slots", LIVE, "8", 1, LIMIT_LEASES_PER_WORKER, "jobs an actor holds"),
    INT("actor", "batch", LIVE, "128", 1, 65536, "sequences that an actor samples at once"),
    INT("actor", "kv-mib", LIVE, "256", 1, 1048576, "cache of keys and values of one actor, MiB"),

    INT("reward-server", "count", LIVE, "1", 0, 1024, "reward servers that `cohort run` starts"),
    INT("reward-server", "threads", LIVE, "1", 1, 256, "scoring threads of one reward server"),
    INT("reward-server", "slots", LIVE, "16", 1, LIMIT_LEASES_PER_WORKER,
        "jobs a reward server holds"),

    STRING("net", "dir", LIVE, "", "directory of the sockets, a short path; empty: a fresh one"),

    INT("net", "receive-mib", LIVE, "0", 0, 1048576,
        "memory for what peers send; bounds how many connect; 0: a quarter of the machine's"),

    CHOICE("reward *", "scorer", IDENTITY, NULL, "math|code|exact|countdown|format|length|random",
        "kind of scorer"),
    FLOAT("reward *", "weight", IDENTITY, "1", -1000, 1000,
        "factor in the reward; 0 records without counting"),
    CHOICE("reward *", "when", IDENTITY, "always", "always|pass|fail",
        "counts always, or only when the primary's verdict is pass, or is not pass"),
    BOOL("reward *", "primary", IDENTITY, "no",
        "its verdict is the completion's; default: the first reward"),
    BOOL("reward *", "well-formed", IDENTITY, "no",
        "its mean is shown as the share of well-formed answers"),
    STRING("reward *", "tag", IDENTITY, "",
        "exact, math, code, countdown: look only inside this tag, e.g. answer"),
    INT("reward *", "max", IDENTITY, "0", 0, LIMIT_COMPLETION_TOKENS,
        "length: -1 beyond this many tokens"),
    INT("reward *", "cache", IDENTITY, "0", 0, LIMIT_COMPLETION_TOKENS,
        "length: the slope before max, tokens"),
    CHOICE("reward *", "shape", IDENTITY, "overlong", "overlong|cosine", "length: which curve"),
    FLOAT("reward *", "from", IDENTITY, "1", -1000, 1000, "length, cosine: value at no token"),
    FLOAT("reward *", "to", IDENTITY, "0.5", -1000, 1000, "length, cosine: value just below max"),
    FLOAT("reward *", "beyond", IDENTITY, "-1", -1000, 1000,
        "length, cosine: value from max tokens on, and when truncated"),
    CHOICE("reward *", "form", IDENTITY, "think-answer",
        "think-answer|think|answer|boxed|think-boxed|tag-count",
        "format: the form that is asked for"),
    INT("reward *", "cpu-ms", IDENTITY, "0", 0, 600000,
        "code: processor time of a test, ms; 0: as the scorer has it (4000)"),
    INT("reward *", "memory-mib", IDENTITY, "0", 0, 16384,
        "code: memory of a test; 0: as the scorer has it (512)"),

    STRING("data *", "path", IDENTITY, "", "JSONL file; empty: generated"),
    CHOICE("data *", "format", IDENTITY, "auto",
        "auto|gsm8k|math|humaneval|mbpp|countdown|tasks|demos", "layout of the rows"),
    STRING("data *", "template", IDENTITY, "plain", "plain, r1-zero or file:PATH"),
    CHOICE("data *", "split", IDENTITY, "all", "all|train|heldout",
        "rows used, by a hash of the question"),
    INT("data *", "heldout-permille", IDENTITY, "100", 0, 1000, "share of rows held out"),
    CHOICE("data *", "generator", IDENTITY, "none", "none|modsum|parity", "what writes the rows"),
    CHOICE("data *", "rows", IDENTITY, "tasks", "tasks|demos",
        "generator: tasks, or demonstrations of them"),
    INT("data *", "count", IDENTITY, "4096", 1, LIMIT_DATASET_ROWS, "generator: rows"),
    INT("data *", "digits", IDENTITY, "8", 1, 64, "generator: digits or bits of a question"),
    INT("data *", "modulus", IDENTITY, "5", 2, 10, "modsum: the answer is the sum modulo this"),
    FLOAT("data *", "steps-share", IDENTITY, "0.15", 0, 1, "demos: share that thinks step by step"),
    FLOAT("data *", "pairs-share", IDENTITY, "0.2", 0, 1,
        "demos: share that notes every second step"),
    FLOAT("data *", "drop-tag-share", IDENTITY, "0.7", 0, 1,
        "demos: share that forgets one of the four tags"),

    CHOICE("stage *", "kind", IDENTITY, NULL, "pretrain|grpo", "what the stage does"),
    STRING("stage *", "data", IDENTITY, NULL, "[data NAME] it trains on"),
    INT("stage *", "steps", EXTEND, NULL, 0, 1e9,
        "steps; may grow later unless the schedule depends on it"),
    INT("stage *", "batch", IDENTITY, "128", 1, 1048576, "pretrain: demonstrations per step"),
    INT("stage *", "groups", IDENTITY, "32", 1, 65536, "grpo: tasks per step"),
    INT("stage *", "minibatches", IDENTITY, "1", 1, 65536, "grpo: updates per step"),
    INT("stage *", "lag", IDENTITY, "0", 0, 16,
        "grpo: versions that sampling may lag behind, exactly"),
    FLOAT("stage *", "lr", IDENTITY, NULL, 0, 10, "learning rate"),
    CHOICE("stage *", "schedule", IDENTITY, "constant", "constant|linear|cosine",
        "of the learning rate, after warm-up"),
    FLOAT("stage *", "lr-final", IDENTITY, "0.1", 0, 1,
        "linear, cosine: share of lr at the last update"),
    INT("stage *", "warmup", IDENTITY, "5", 0, 1e9, "updates of linear warm-up"),
    FLOAT("stage *", "beta1", IDENTITY, "0.9", 0, 0.99999, "AdamW"),
    FLOAT("stage *", "beta2", IDENTITY, "0.95", 0, 0.9999999, "AdamW"),
    FLOAT("stage *", "eps", IDENTITY, "1e-8", 0, 1, "AdamW"),
    FLOAT("stage *", "weight-decay", IDENTITY, "0", 0, 10, "AdamW, on matrices"),
    FLOAT("stage *", "clip-norm", IDENTITY, "1", 0, 1e9,
        "largest global gradient norm; 0: no clipping"),
    CHOICE("stage *", "advantage", IDENTITY, "std", "std|mean|loo",
        "(r - mean)/(std + 1e-6); r - mean; leave-one-out"),
    CHOICE("stage *", "normalise", IDENTITY, "token", "token|sequence|fixed",
        "loss: mean over tokens; over sequences; sum over max-tokens per completion"),
    FLOAT("stage *", "clip-low", IDENTITY, "0.2", 0, 1e9, "ratios below 1 - this are clipped"),
    FLOAT("stage *", "clip-high", IDENTITY, "0.28", 0, 1e9, "ratios above 1 + this are clipped"),
    FLOAT("stage *", "dual-clip", IDENTITY, "0", 0, 1e9,
        "bound of the ratio for negative advantages; 0: off"),
    FLOAT("stage *", "kl-coef", IDENTITY, "0", 0, 1000,
        "weight of the KL to the reference; 0: no reference forward"),
    CHOICE("stage *", "kl", IDENTITY, "k3", "k1|k2|k3", "estimator of the KL"),
    INT("stage *", "reference-every", IDENTITY, "0", 0, 1e9,
        "updates between refreshes of the reference; 0: never"),
    FLOAT("stage *", "entropy-coef", IDENTITY, "0", -10, 10, "weight of the entropy bonus"),
    CHOICE("stage *", "tied", IDENTITY, "skip", "skip|keep",
        "groups without variance: left out, or kept for the KL"),
    CHOICE("stage *", "truncated", IDENTITY, "score", "score|mask",
        "truncated completions: in the loss, or masked"),
    STRING("stage *", "eval-data", IDENTITY, "",
        "[data NAME] of held-out tasks; empty: no evaluation"),
    INT("stage *", "eval-tasks", IDENTITY, "512", 1, 1000000, "tasks of an evaluation"),
    INT("stage *", "eval-samples", IDENTITY, "4", 1, LIMIT_GROUP,
        "samples per task; one greedy is added"),
    INT("stage *", "eval-every", IDENTITY, "0", 0, 1e9,
        "steps between evaluations; 0: only at the end"),
    BOOL("stage *", "eval-before", IDENTITY, "no", "evaluate before the first step"),
    RANGE("stage *", "gate-sampled", IDENTITY,
        "after the stage: range of the sampled pass rate, LOW..HIGH"),
    RANGE("stage *", "gate-greedy", IDENTITY, "after the stage: range of the greedy pass rate"),
    RANGE("stage *", "gate-format", IDENTITY,
        "after the stage: range of the share of well-formed answers"),

    {0},
};
