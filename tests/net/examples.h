/* examples.h: one valid message of each type, and what the codec's tests do with messages. */
#ifndef COHORT_TESTS_NET_EXAMPLES_H
#define COHORT_TESTS_NET_EXAMPLES_H

#include "proto/codec.h"

extern const uint32_t example_prompt[4];
extern const float example_logp[3];
extern const struct completion example_completions[2];
extern const struct score_result example_results[2];

struct sample_lease example_sample(void);
struct grade_lease example_grade(void);
struct blob_ref example_ref(uint32_t kind);
struct hash example_hash(uint8_t b);

/* A copy that the test may change; what it points to is shared and constant. */
struct msg example(enum frame_type type);

int unpack_bytes(enum frame_type type, const void *data, size_t n, struct arena *a, struct msg *ret,
    struct err *e);
void arena_done(struct arena **a); /* for CLEANUP */

/* Packs, unpacks, packs again: both payloads must be the same bytes. */
void check_round_trip(const struct msg *m);

/* Packing m gives something that the codec refuses with this text. */
void check_refused(const struct msg *m, const char *says);

#endif
