/* pack.h: cuts a batch of groups into micro-batches by a pure rule (DESIGN 8.1, gradient sums).
 *
 * The rule: groups in plan order. As many micro-batches as rows_max asks for, rounded up to a
 * multiple of the shards, so that every accumulator gets the same number; each takes its share of
 * the rows that are left, to the nearest group, and never more than rows_max. Rows are those of the
 * forward: a prompt once, each completion without its last token. A group larger than rows_max
 * alone is cut between completions, each part with the prompt again. So a micro-batch is a run of
 * consecutive completions of the batch, and the log-probs of the batch, laid out in order, are its
 * slices. The result depends on lengths and on the rule's numbers only. Pure; any thread.
 */
#ifndef COHORT_LEARNER_PACK_H
#define COHORT_LEARNER_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/train.h"

struct pack_slice {
    size_t group, group_count;           /* of struct packed.groups */
    size_t completion, completion_count; /* counted over the whole batch */
    size_t token, token_count;           /* place of its completion tokens in the batch */
};

struct packed {
    struct train_group *groups; /* parts of the batch's groups; point into its arrays */
    size_t group_count;
    struct pack_slice *slices; /* one for each micro-batch */
    size_t slice_count;
    size_t tokens, completions; /* of the batch */
};

struct pack_rule {
    size_t rows_max, shards; /* both at least 1 */
};

/* Groups without completions are left out. groups and what they point to must outlive ret. */
void pack_batch(const struct train_group *groups, size_t group_count, const struct pack_rule *rule,
    struct packed *ret);
void packed_done(struct packed *p);

#endif
