/* preflight.h: can this stage work at all? What is known of a grpo stage before its first update,
 * judged (DESIGN section 9).
 *
 * Two looks. Before anything is planned: the gold answers of the first tasks, end-of-text, memory.
 * Then the groups of the stage's first step, which are sampled and scored anyway, at the version
 * that the stage begins with: log-probs, truncation, ties. Nothing is sampled for it, and nothing
 * that it finds reaches the update: the digest does not depend on it. Pure; any thread.
 */
#ifndef COHORT_LEARNER_PREFLIGHT_H
#define COHORT_LEARNER_PREFLIGHT_H

#include "common/base/mem.h"
#include "common/recipe/recipe.h"
#include "learner/figures.h"

enum {
    PREFLIGHT_TASKS = 64,      /* gold answers looked at */
    PREFLIGHT_GAP_GROUPS = 4,  /* groups whose log-probs are computed again */
    PREFLIGHT_TIED_GROUPS = 8, /* fewer may all be tied by chance */
    PREFLIGHT_TRUNCATED = 32,  /* as many completions, all truncated, are no chance */
    PREFLIGHT_FINDINGS_MAX = 8,
    PREFLIGHT_TEXT = 600,
};

/* Gold answers, given to the primary scorer as a completion that is exactly right. */
struct preflight_gold {
    uint32_t tasks;                   /* looked at */
    uint32_t unfit;                   /* that the scorer cannot judge at all */
    uint32_t formed;                  /* whose answer makes a text for this scorer */
    uint32_t passed;                  /* of formed */
    char failure[PREFLIGHT_TEXT / 2]; /* of the first that is unfit or did not pass */
};

struct preflight_data {
    struct preflight_gold gold;
    const char *scorer;                /* the primary one's name */
    bool ends;                         /* some end-of-text id can be sampled */
    uint64_t memory_bytes, memory_max; /* of the learner, about */
    uint64_t cache_bytes, cache_max;   /* keys and values of one completion; of an actor */
};

struct preflight_groups {
    struct figures figures;
    size_t gap_completions;
    double gap;            /* max |behaviour - recomputed| */
    double expect_seconds; /* of the whole stage; NAN: not known */
};

/* What was found: code 0 is a warning, any other says that the stage cannot work. */
struct preflight_finding {
    int code;
    char text[PREFLIGHT_TEXT];
};
struct preflight_findings {
    struct preflight_finding list[PREFLIGHT_FINDINGS_MAX];
    size_t count;
};

void preflight_judge_data(
    const struct recipe_stage *st, const struct preflight_data *d, struct preflight_findings *ret);
void preflight_judge_groups(const struct recipe_stage *st, const struct preflight_groups *g,
    struct preflight_findings *ret);

/* One line that says what was looked at and how it is. */
void preflight_report(const struct recipe_stage *st, const struct preflight_data *d,
    const struct preflight_groups *g, struct buf *out);

#endif
