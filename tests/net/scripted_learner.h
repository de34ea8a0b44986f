/* scripted_learner.h: a learner with a table of leases: it grants each once, revokes those that the
 * test marks, and notes what becomes of them.
 *
 * For tests of a whole actor or reward server; fake_learner.h is for those of the worker alone. The
 * test embeds and owns it. All runs on the harness's loop, in the test's thread, callbacks too;
 * what the protocol or the script does not allow fails the test there.
 */
#ifndef COHORT_TESTS_NET_SCRIPTED_LEARNER_H
#define COHORT_TESTS_NET_SCRIPTED_LEARNER_H

#include "common/net/bus.h"
#include "proto/codec.h"
#include "tests/net/harness.h"

/* Lease i of the table has the id SCRIPTED_FIRST + i. */
enum { SCRIPTED_FIRST = 100, SCRIPTED_LEASES = 24 };

struct scripted_lease {
    bool revoke; /* set by the test: told at the first poll that finds the lease granted */
    bool granted, submitted, released, told;
    bool revoked;     /* the worker has polled since it was told: no result is on its way */
    unsigned fetches; /* requests for parts of its blobs */
};

/* What differs between the workers. */
struct learner_script {
    enum frame_role role; /* decides which lease function is called */
    void (*check_hello)(void *arg, const struct msg_hello *hello);
    /* The grant of lease i; what it points to is read before the loop's next turn. */
    struct sample_lease (*sample_lease)(void *arg, size_t i);
    struct grade_lease (*grade_lease)(void *arg, size_t i);
    /* The group or the scores of lease i, which had none before and is not revoked. */
    void (*check_result)(void *arg, size_t i, const struct msg *result);
    /* Appends the blob's bytes, which lease i may read; false: not found. */
    bool (*blob)(void *arg, size_t i, const struct msg_get_blob *g, struct buf *out);
};

struct scripted_learner {
    struct harness h;
    const struct learner_script *script; /* borrowed, as is arg */
    void *arg;
    struct bus_server *ctl, *bulk;
    struct buf model; /* owned; the config.json that Welcome names and actors fetch */
    struct scripted_lease leases[SCRIPTED_LEASES];
    size_t lease_count;
    bool drain; /* told in each grant */
    bool bye, ended;
    int code;
    char why[256];
};

/* Opens the harness and both servers, at h.base. */
void scripted_learner_init(
    struct scripted_learner *l, const struct learner_script *script, void *arg);

/* The worker's `ended`, with the learner as arg. */
void scripted_learner_on_ended(void *arg, int code, const char *why);

/* Tells the worker to drain, and waits until it has ended well. */
void scripted_learner_drain(struct scripted_learner *l);

/* After the worker's close. */
void scripted_learner_done(struct scripted_learner *l);

#endif
