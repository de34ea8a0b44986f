/* figures.c: see figures.h. */
#include "reward-server/http/figures.h"

#include <assert.h>

#include "common/base/words.h"
#include "reward-server/scoring/scoring.h"

static const unsigned statuses[] = {
    200, 400, 401, 403, 404, 405, 408, 413, 415, 422, 431, 500, 503, 504};
_Static_assert(ARRAY_LEN(statuses) <= FIGURES_STATUSES, "a place for each status");

static const double bounds_s[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10};
_Static_assert(ARRAY_LEN(bounds_s) + 1 == FIGURES_BUCKETS, "one bucket more than bounds");

static size_t place_of(const struct route *route)
{
    assert(route_count < FIGURES_ROUTES_MAX);
    return route != NULL ? (size_t)(route - routes) : route_count;
}

void figures_request(struct figures *f, const struct route *route, unsigned status, double seconds)
{
    size_t place = place_of(route), s = 0, b = 0;
    while (s + 1 < ARRAY_LEN(statuses) && statuses[s] != status)
        s++;
    while (b < ARRAY_LEN(bounds_s) && seconds > bounds_s[b])
        b++;
    f->requests[place][s]++;
    f->within[place][b]++;
    f->seconds[place] += seconds;
}

void figures_call(struct figures *f, const struct call_tally *t)
{
    for (size_t k = 0; k < LIMIT_SCORER_KINDS; k++) {
        for (size_t v = 0; v < VERDICT_COUNT; v++)
            f->verdicts[k][v] += t->verdicts[k][v];
    }
    for (size_t i = 0; i < SCORE_FAULT_COUNT; i++)
        f->faults[i] += t->faults[i];
    f->programs += t->programs;
}

/* ---- text ---- */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buf *out, const char *name, const char *type, double v, const char *help)
{
    head(out, name, type, help);
    buf_printf(out, "%s %.15g\n", name, v);
}

static void requests_text(const struct figures *f, struct buf *out)
{
    head(out, "cohort_http_requests_total", "counter", "Requests that were answered.");
    for (size_t r = 0; r <= route_count; r++) {
        for (size_t s = 0; s < ARRAY_LEN(statuses); s++) {
            if (f->requests[r][s] > 0)
                buf_printf(out, "cohort_http_requests_total{route=\"%s\",status=\"%u\"} %llu\n",
                    r < route_count ? routes[r].path : "other", statuses[s],
                    (unsigned long long)f->requests[r][s]);
        }
    }
}

static void seconds_text(const struct figures *f, struct buf *out)
{
    static const char name[] = "cohort_http_request_seconds";
    head(out, name, "histogram", "From a request's first line to its answer.");
    for (size_t r = 0; r <= route_count; r++) {
        const char *path = r < route_count ? routes[r].path : "other";
        uint64_t sum = 0, all = 0;
        for (size_t b = 0; b < FIGURES_BUCKETS; b++)
            all += f->within[r][b];
        for (size_t b = 0; all > 0 && b < ARRAY_LEN(bounds_s); b++) {
            sum += f->within[r][b];
            buf_printf(out, "%s_bucket{route=\"%s\",le=\"%g\"} %llu\n", name, path, bounds_s[b],
                (unsigned long long)sum);
        }
        if (all > 0)
            buf_printf(out,
                "%s_bucket{route=\"%s\",le=\"+Inf\"} %llu\n"
                "%s_sum{route=\"%s\"} %.9g\n%s_count{route=\"%s\"} %llu\n",
                name, path, (unsigned long long)all, name, path, f->seconds[r], name, path,
                (unsigned long long)all);
    }
}

static void verdicts_text(const struct figures *f, struct buf *out)
{
    size_t n;
    const struct scorer_kind *const *kinds = scoring_kinds(&n);
    head(out, "cohort_verdicts_total", "counter", "Verdicts of scorers, by HTTP requests.");
    for (size_t k = 0; k < n; k++) {
        for (int v = 0; v < VERDICT_COUNT; v++) {
            if (f->verdicts[k][v] > 0)
                buf_printf(out, "cohort_verdicts_total{scorer=\"%s\",verdict=\"%s\"} %llu\n",
                    kinds[k]->name, verdict_name((enum verdict)v),
                    (unsigned long long)f->verdicts[k][v]);
        }
    }
    head(out, "cohort_judge_faults_total", "counter", "Faults of the judge: no value was given.");
    for (int i = SCORE_FAULT_TRANSIENT; i < SCORE_FAULT_COUNT; i++)
        buf_printf(out, "cohort_judge_faults_total{kind=\"%s\"} %llu\n",
            score_fault_name((enum score_fault)i), (unsigned long long)f->faults[i]);
}

void figures_text(const struct figures *f, const struct gauges *g, struct buf *out)
{
    head(out, "cohort_build_info", "gauge", "The build that runs.");
    buf_printf(out, "cohort_build_info{version=\"%s\"} 1\n", COHORT_BUILD);
    one(out, "cohort_uptime_seconds", "gauge", g->uptime_s, "Since the start.");
    requests_text(f, out);
    seconds_text(f, out);
    verdicts_text(f, out);
    one(out, "cohort_programs_total", "counter", (double)f->programs,
        "Boxes made for /run_code, compilers included.");
    one(out, "cohort_queue_waiting", "gauge", (double)g->waiting, "Requests that wait.");
    one(out, "cohort_queue_running", "gauge", (double)g->running, "Requests that are worked on.");
    one(out, "cohort_queue_max", "gauge", (double)g->queue_max, "Most requests that may wait.");
    one(out, "cohort_queue_refused_total", "counter", (double)f->refused_busy,
        "Requests refused because too much waited.");
    one(out, "cohort_http_connections", "gauge", (double)g->connections, "Open connections.");
    one(out, "cohort_http_connections_total", "counter", (double)f->connections,
        "Connections since the start.");
    one(out, "cohort_http_body_bytes", "gauge", (double)g->body_bytes,
        "Bytes of requests in memory.");
    if (g->has_box)
        one(out, "cohort_box_restarts_total", "counter", (double)g->box_restarts,
            "Times that the sandbox was started again.");
}
