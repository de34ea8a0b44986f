/* fault.h: named points where a test may kill the process or make an operation fail.
 *
 * A point costs one load when nothing is armed. Points are armed only by the hidden option
 * --fault SITE:NTH:ACTION (ACTION = kill | error | stop) of a daemon, refused when a key is
 * configured. "error" makes fault_hit return true and the caller answer with an I/O error.
 */
#ifndef COHORT_BASE_FAULT_H
#define COHORT_BASE_FAULT_H

#include <stdbool.h>

#include "common/base/err.h"

/* Every site, so that a test can walk them all: FAULT_SITES(X) calls X(NAME, "text"). */
#define FAULT_SITES(X)                                                                             \
    X(FAULT_SEGMENT_APPEND, "segment.append")         /* before the record is written */           \
    X(FAULT_SEGMENT_APPENDED, "segment.appended")     /* written, not yet synced */                \
    X(FAULT_SEGMENT_SYNCED, "segment.synced")         /* durable, rows not yet committed */        \
    X(FAULT_STORE_COMMIT, "store.commit")             /* before COMMIT */                          \
    X(FAULT_STORE_COMMITTED, "store.committed")       /* after COMMIT, before any reply */         \
    X(FAULT_REPLY_SENT, "reply.sent")                 /* after a reply left */                     \
    X(FAULT_WEIGHTS_WRITTEN, "publish.written")       /* temporary weights file written */         \
    X(FAULT_WEIGHTS_RENAMED, "publish.renamed")       /* final name, step not committed */         \
    X(FAULT_STEP_COMMITTED, "publish.committed")      /* the step's commit is done */              \
    X(FAULT_CHECKPOINT_WRITTEN, "checkpoint.written") /* temporary directory complete */           \
    X(FAULT_CHECKPOINT_RENAMED, "checkpoint.renamed") /* final name, row not committed */          \
    X(FAULT_PRUNE, "publish.prune")                   /* before an old version is unlinked */      \
    X(FAULT_SEGMENT_PRUNE, "segment.prune")           /* rows forget it, the file is there */      \
    X(FAULT_ACTOR_SAMPLED, "actor.sampled")           /* group complete, not submitted */          \
    X(FAULT_ACTOR_SUBMITTED, "actor.submitted")       /* submitted, answer not seen */             \
    X(FAULT_REWARD_SCORED, "reward.scored")           /* scored, not submitted */                  \
    X(FAULT_REWARD_SUBMITTED, "reward.submitted")     /* submitted, answer not seen */

enum fault_site {
#define FAULT_ENUM(name, text) name,
    FAULT_SITES(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_SITE_COUNT
};

int fault_arm(const char *spec, struct err *e) ERR_WARN_UNUSED; /* "store.commit:3:kill" */
const char *fault_site_name(enum fault_site site);

/* Counts a visit; kills or stops the process, or returns true, when this visit is the armed one. */
bool fault_hit(enum fault_site site);

#endif
