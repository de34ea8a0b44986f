/* words.h: the enumerations that wire, tables, code and documents share, each with its one name.
 *
 * The numbers are part of the wire and table formats: never reuse one.
 */
#ifndef COHORT_BASE_WORDS_H
#define COHORT_BASE_WORDS_H

/* What a scorer concluded about one completion (DESIGN section 2). */
#define VERDICTS(X)                                                                                \
    X(VERDICT_PASS, 0, "pass")                                                                     \
    X(VERDICT_WRONG, 1, "wrong")                                                                   \
    X(VERDICT_NO_ANSWER, 2, "no_answer")                                                           \
    X(VERDICT_MALFORMED, 3, "malformed")                                                           \
    X(VERDICT_TRUNCATED, 4, "truncated")                                                           \
    X(VERDICT_TIMEOUT, 5, "timeout")                                                               \
    X(VERDICT_MEMORY, 6, "memory")                                                                 \
    X(VERDICT_OUTPUT, 7, "output")                                                                 \
    X(VERDICT_CRASH, 8, "crash")                                                                   \
    X(VERDICT_VIOLATION, 9, "violation")                                                           \
    X(VERDICT_JUDGE_FAULT, 10, "judge_fault")

/* Why a completion ended. */
#define STOP_REASONS(X)                                                                            \
    X(STOP_EOS, 0, "eos")       /* a stop id was sampled; it is the last token */                  \
    X(STOP_LENGTH, 1, "length") /* max_tokens reached: truncated */

/* A fault of the judge (G7): transient ones are retried, permanent ones leave the completion
 * unscored. */
#define SCORE_FAULTS(X)                                                                            \
    X(SCORE_FAULT_NONE, 0, "none")                                                                 \
    X(SCORE_FAULT_TRANSIENT, 1, "transient")                                                       \
    X(SCORE_FAULT_PERMANENT, 2, "permanent")

#define PURPOSES(X)                                                                                \
    X(PURPOSE_TRAIN, 0, "train")                                                                   \
    X(PURPOSE_EVAL, 1, "eval")

/* The form of the weights that sampled a group; the master is always f32. */
#define WEIGHTS_TYPES(X)                                                                           \
    X(WEIGHTS_F32, 0, "f32")                                                                       \
    X(WEIGHTS_BF16, 1, "bf16")                                                                     \
    X(WEIGHTS_INT8, 2, "int8")

#define WORDS_ENUM(name, number, text) name = number,
enum verdict { VERDICTS(WORDS_ENUM) VERDICT_COUNT };
enum stop_reason { STOP_REASONS(WORDS_ENUM) STOP_COUNT };
enum score_fault { SCORE_FAULTS(WORDS_ENUM) SCORE_FAULT_COUNT };
enum purpose { PURPOSES(WORDS_ENUM) PURPOSE_COUNT };
enum weights_type { WEIGHTS_TYPES(WORDS_ENUM) WEIGHTS_TYPE_COUNT };
#undef WORDS_ENUM

const char *verdict_name(enum verdict v); /* "?" outside the range */
const char *stop_reason_name(enum stop_reason s);
const char *score_fault_name(enum score_fault f);
const char *purpose_name(enum purpose p);
const char *weights_type_name(enum weights_type t);
int verdict_parse(const char *name); /* -1 when unknown, here and below */
int weights_type_parse(const char *name);

#endif
