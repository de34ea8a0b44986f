/* words.h: the enumerations that only the learner's tables use, each with its one name in them.
 *
 * Those that travel on the wire too are in common/base/words.h. Pure; any thread.
 */
#ifndef COHORT_LEARNER_WORDS_H
#define COHORT_LEARNER_WORDS_H

#include "common/base/words.h"

enum { JOBS_PER_GROUP = 64 }; /* job id = group x 64 + number; 0 is the sample job */

enum job_kind { JOB_SAMPLE, JOB_GRADE };
enum job_state { JOB_READY, JOB_LEASED, JOB_DONE };
enum group_state { GROUP_PLANNED, GROUP_SAMPLED, GROUP_SCORED };
enum sample_mode { MODE_SAMPLED, MODE_GREEDY };
enum stage_mark { STAGE_MARK_NONE, STAGE_MARK_STARTED, STAGE_MARK_FINISHED, STAGE_MARK_FAILED };
enum worker_state { WORKER_UP, WORKER_GONE, WORKER_LOST };
enum event_level { EVENT_INFO, EVENT_WARN, EVENT_ALARM };

enum lease_outcome {
    LEASE_LIVE,
    LEASE_SUBMITTED, /* its result is stored */
    LEASE_EXPIRED,   /* the deadline passed */
    LEASE_RELEASED,  /* given back by the worker */
    LEASE_LOST,      /* the worker does not know it (its grant was lost, or the process died) */
    LEASE_REJECTED,  /* its result broke a rule */
};

const char *job_kind_name(enum job_kind k);
const char *job_state_name(enum job_state s);
const char *group_state_name(enum group_state s);
const char *sample_mode_name(enum sample_mode m);
const char *worker_state_name(enum worker_state s);
const char *lease_outcome_name(enum lease_outcome o); /* NULL for LEASE_LIVE */
const char *event_level_name(enum event_level l);
int event_level_parse(const char *name); /* -1 when unknown */

#endif
