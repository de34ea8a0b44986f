/* fake_learner.h: a learner that follows a script and remembers what it heard. */
#ifndef COHORT_TESTS_NET_FAKE_LEARNER_H
#define COHORT_TESTS_NET_FAKE_LEARNER_H

#include "common/net/bus.h"
#include "proto/codec.h"
#include "tests/net/harness.h"

enum { MANY = 256 };

struct learner {
    struct harness *h;
    struct bus_server *ctl, *bulk;
    const char *base;
    uint32_t epoch;
    uint64_t session;
    uint32_t heartbeat_ms, lease_ms;

    enum nack_code hello_nack; /* 0: welcome */
    size_t hello_nacks;        /* so many Hellos get it */
    enum nack_code poll_nack;  /* answers the next poll, once */
    uint64_t to_grant[MANY];   /* leases to hand out, in order */
    size_t grant_first, grant_count;
    bool grade;            /* as grade leases */
    uint64_t revoke[MANY]; /* told in the next grant or heartbeat reply */
    size_t revoke_count;
    bool drain;                      /* told in the next grant or heartbeat reply */
    enum submit_status submit[MANY]; /* answers in order, then OK */
    size_t submit_count;
    bool mute_submits; /* submissions are not answered */

    const uint8_t *blob;
    uint64_t blob_bytes, blob_claimed; /* claimed: the total that chunks tell; 0: the truth */
    uint32_t chunk_max;
    size_t mute_chunks_after; /* so many chunks are answered, then no more; 0: all */

    size_t hellos, polls, heartbeats, submits, releases, byes, chunks, stale;
    struct msg_hello hello;
    char hello_name[65];
    uint64_t held[LIMIT_LEASES_PER_WORKER]; /* as the last poll or heartbeat told */
    size_t held_count;
    uint32_t max_jobs, wait_ms;
    uint64_t submitted[MANY], released[MANY];
    uint64_t tokens;
    struct bus_route parked_route; /* of a poll that waits for a job */
    uint64_t parked_id;
    bool parked;
};

/* Each open is a start of the learner: the next epoch, no session. */
void learner_open(struct learner *l);
void learner_close(struct learner *l);

/* What a test calls after it gave the learner something to say. */
void learner_wake(struct learner *l);

#endif
