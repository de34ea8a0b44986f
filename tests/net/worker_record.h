/* worker_record.h: a worker at a scripted learner, and what it told its owner. */
#ifndef COHORT_TESTS_NET_WORKER_RECORD_H
#define COHORT_TESTS_NET_WORKER_RECORD_H

#include "common/net/worker.h"
#include "tests/net/fake_learner.h"

struct record {
    struct harness h;
    struct learner l;
    struct worker *w;
    size_t welcomes;
    uint64_t jobs[MANY], revoked[MANY], done[MANY];
    size_t job_count, revoked_count, done_count;
    enum submit_status done_status[MANY];
    char done_message[256];
    bool stopped;
    int stop_code;
    char stop_why[256];
    size_t blobs;
    bool blob_good;
    char blob_error[1000];
    int blob_code;
    const uint8_t *blob_expected;
    size_t blob_expected_bytes;
    bool submit_at_once; /* inside the callback of the lease */
};

extern const struct worker_events record_events; /* their arg is the record */

void record_init(struct record *r); /* the script may be changed before the learner opens */
void worker_begin(struct record *r, uint32_t slots);
void begin(struct record *r, uint32_t slots); /* all three */
void end(struct record *r);

/* n leases from first on, for the learner to grant. */
void give(struct record *r, uint64_t first, size_t n);
void submit(struct record *r, uint64_t lease);

void record_done(void *arg, uint64_t lease, const struct msg_submit_reply *s);
void record_blob(void *arg, const uint8_t *data, size_t n, const struct err *e);

#define UNTIL(r, condition) HARNESS_UNTIL(&(r)->h, condition)

#endif
