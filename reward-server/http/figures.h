/* figures.h: what /metrics shows, in the text format 0.0.4 of Prometheus. Owned by the loop's
 * thread.
 */
#ifndef COHORT_HTTP_FIGURES_H
#define COHORT_HTTP_FIGURES_H

#include "reward-server/http/call.h"

enum {
    FIGURES_ROUTES_MAX = 16,
    FIGURES_STATUSES = 16,
    FIGURES_BUCKETS = 12,
};

struct figures {
    /* by route, the last place for paths that are none, and by the place in the status table */
    uint64_t requests[FIGURES_ROUTES_MAX][FIGURES_STATUSES];
    uint64_t within[FIGURES_ROUTES_MAX][FIGURES_BUCKETS]; /* not cumulated; the last is over all */
    double seconds[FIGURES_ROUTES_MAX];
    uint64_t verdicts[LIMIT_SCORER_KINDS][VERDICT_COUNT];
    uint64_t faults[SCORE_FAULT_COUNT];
    uint64_t programs, connections, refused_busy;
};

/* What is true now. */
struct gauges {
    size_t waiting, running, queue_max, connections, body_bytes;
    uint64_t box_restarts;
    bool has_box;
    double uptime_s;
};

/* route NULL: the path is none of ours. */
void figures_request(struct figures *f, const struct route *route, unsigned status, double seconds);
void figures_call(struct figures *f, const struct call_tally *t);
void figures_text(const struct figures *f, const struct gauges *g, struct buf *out);

#endif
