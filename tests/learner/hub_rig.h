/* hub_rig.h: a hub driven by hand, one message at a time, with a real store behind it or none. */
#ifndef COHORT_TESTS_HUB_RIG_H
#define COHORT_TESTS_HUB_RIG_H

#include "hub_fake.h"
#include "learner/hub.h"

enum { RIG_MEMBERS_MAX = 8 };

struct rig_worker {
    enum frame_role role;
    const char *name;
    uint64_t session, sequence;
    uint32_t epoch;
};

struct rig {
    struct fake_run run;
    struct hub_scorer scorers[FAKE_SCORERS];
    struct hub_options options;
    uint32_t stop_ids[1];
    struct store *store; /* owned; NULL: rows go nowhere */
    struct hub *hub;     /* owned */
    uint64_t now_ms, next_request;
    struct batch last;   /* of the latest step: its rows, and its outputs with their messages */
    bool build_inputs;   /* answer INPUT_WANT at once */
    struct arena *arena; /* owned; lives as long as the rig */
    struct err err;      /* of the store */
};

void rig_open(struct rig *r, const char *run_dir); /* NULL: without a store */
void rig_close(struct rig *r);
/* Throws the hub away and makes one from the store's tables. */
void rig_reload(struct rig *r);

/* One step, its rows applied. Returns the store's result. */
int rig_step(struct rig *r, const struct hub_event *ev);
void rig_tick(struct rig *r, uint64_t ms); /* time passes */

/* Sends a request and returns the answer: NULL when there is none (yet). */
const struct msg *rig_send(struct rig *r, struct rig_worker *w, const struct msg *m);
/* The same with a payload that stands for its bytes, as the digest sees them. */
const struct msg *rig_send_as(
    struct rig *r, struct rig_worker *w, const struct msg *m, const char *payload);
const struct msg *rig_hello(
    struct rig *r, struct rig_worker *w, enum frame_role role, const char *name);
const struct msg *rig_poll(
    struct rig *r, struct rig_worker *w, uint32_t jobs, const uint64_t *leases, size_t count);
/* The answer to any request in the latest step, of the type; NULL when there is none. */
const struct msg *rig_reply(const struct rig *r, enum frame_type type);
bool rig_has_row(const struct rig *r, enum row_kind kind);
const struct row *rig_row(const struct rig *r, enum row_kind kind);

/* Commits version `version` and plans `groups` train groups at it, in step `step`. */
void rig_plan(struct rig *r, uint64_t version, uint32_t step, uint32_t groups);

/* The right result for a lease. */
struct msg rig_group_result(struct rig *r, const struct sample_lease *l);
/* Scores for the members (all when NULL) of a grade lease, all right; to be spoilt by the test. */
struct msg rig_scores(
    struct rig *r, const struct grade_lease *l, const uint32_t *members, uint32_t count);
enum submit_status rig_submit(
    struct rig *r, struct rig_worker *w, const struct msg *m, const char *payload);

/* An actor that has sampled the only group, and a reward server that holds its grade job. */
struct rig_grading {
    struct rig_worker actor, judge;
    struct grade_lease lease;
};
void rig_start_grading(struct rig *r, struct rig_grading *g);

/* Samples group by group until no sample job is left. Returns how many. */
uint32_t rig_sample_all(struct rig *r, struct rig_worker *actor);

#endif
