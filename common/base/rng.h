/* rng.h: counter-based random numbers (Philox4x32-10; Salmon et al., SC 2011).
 *
 * A number is a pure function of its key and position, so that any worker draws the same one, in
 * any order, after any restart (DESIGN G5). There is no global state. Any thread.
 */
#ifndef COHORT_BASE_RNG_H
#define COHORT_BASE_RNG_H

#include <stdint.h>

enum rng_domain { RNG_TRAIN = 1, RNG_EVAL = 2, RNG_DATA = 3, RNG_USER = 4, RNG_INIT = 5 };

/* Where the bits go. One 128-bit Philox block answers one position; its counter words are
 *     0: position, bits 0-31        2: completion
 *     1: ordinal, bits 0-31         3: ordinal, bits 32-47, then position, bits 32-47
 * and its 64-bit key is a hash of (seed, domain, stage, bits 48-63 of ordinal and of position). So
 * within one seed, domain and stage no two (ordinal, completion, position) below 2^48, 2^32 and
 * 2^48 share a block; beyond these, and between seeds, domains and stages, only keys that collide
 * by chance (2^-64 a pair) could. */
struct rng_key {
    uint64_t seed;
    uint32_t domain;     /* enum rng_domain */
    uint32_t stage;      /* index of the stage in the recipe; 0 outside stages */
    uint64_t ordinal;    /* plan ordinal of the task, or row number */
    uint32_t completion; /* index in the group; 0 where there is none */
};

/* 53-bit uniform in [0, 1) for one position. */
double rng_uniform(const struct rng_key *key, uint64_t position);
uint64_t rng_u64(const struct rng_key *key, uint64_t position);

/* A stream over positions 0, 1, 2, ... of one key. */
struct rng {
    struct rng_key key;
    uint64_t position;
};

struct rng rng_stream(struct rng_key key);
uint64_t rng_next(struct rng *r);
double rng_next_uniform(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* unbiased, n > 0 */
double rng_normal(struct rng *r);              /* standard normal, same bits on every build */
double rng_normal_quantile(double p);          /* 0 < p < 1; what rng_normal is made of */

/* Position of i in a keyed pseudo-random permutation of 0..n-1; i < n. O(1) memory (Feistel network
 * with cycle walking). */
uint64_t rng_permute(const struct rng_key *key, uint64_t n, uint64_t i);

/* The block function itself, as published: for its known-answer test. */
void rng_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

#endif
