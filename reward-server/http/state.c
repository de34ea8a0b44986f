/* state.c: the routes that tell about the server itself: /health, /metrics, /v1/ping.
 *
 * GET /health
 *  -> {"status": "healthy" | "draining", "version", "uptime_s", "workers",
 *      "queue": {"waiting", "running", "max"}, "connections",
 *      "sandbox": null | {"alive", "isolation", "restarts"}, "scorers": [...], "routes": [...]}
 * with status 503 while draining. The sandbox may be found dead between two programs: the next one
 * starts it again. GET /v1/ping -> "pong", as SandboxFusion has it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "reward-server/box/box.h"
#include "reward-server/http/http_impl.h"

static struct gauges gauges_of(struct http *h)
{
    size_t running = atomic_load(&h->setup.running);
    struct gauges g = {
        .running = running,
        .waiting = h->inside > running ? h->inside - running : 0,
        .queue_max = h->o.queue_max,
        .connections = h->connection_count,
        .body_bytes = h->body_bytes,
        .has_box = h->o.box != NULL,
        .uptime_s = (double)(clock_mono_ms() - h->started_ms) / 1000,
    };
    if (g.has_box)
        g.box_restarts = box_restarts(h->o.box);
    return g;
}

static json_t *sandbox_json(struct box *box)
{
    if (box == NULL)
        return json_null();
    return json_pack("{s:b, s:s, s:I}", "alive", box_alive(box), "isolation", box_isolation(box),
        "restarts", (json_int_t)box_restarts(box));
}

static json_t *health_json(struct http *h)
{
    struct gauges g = gauges_of(h);
    size_t n;
    const struct scorer_kind *const *kinds = scoring_kinds(&n);
    json_t *scorers = json_array(), *paths = json_array();
    for (size_t i = 0; i < n; i++) {
        if (scoring_kind_ready(kinds[i]))
            (void)json_array_append_new(scorers, json_string(kinds[i]->name));
    }
    for (size_t i = 0; i < route_count; i++)
        (void)json_array_append_new(paths, json_sprintf("%s %s", routes[i].method, routes[i].path));
    return json_pack("{s:s, s:s, s:f, s:i, s:{s:I, s:I, s:I}, s:I, s:o, s:o, s:o}", "status",
        h->draining ? "draining" : "healthy", "version", COHORT_BUILD, "uptime_s", g.uptime_s,
        "workers", (int)h->o.workers, "queue", "waiting", (json_int_t)g.waiting, "running",
        (json_int_t)g.running, "max", (json_int_t)g.queue_max, "connections",
        (json_int_t)g.connections, "sandbox", sandbox_json(h->o.box), "scorers", scorers, "routes",
        paths);
}

void state_answer(struct http *h, struct exchange *x)
{
    struct call *c = &x->call;
    c->status = 200;
    if (strcmp(c->route->path, "/metrics") == 0) {
        struct gauges g = gauges_of(h);
        CLEANUP_BUF struct buf text = {0};
        figures_text(&h->figures, &g, &text);
        c->answer = mem_strndup((const char *)text.data, text.len);
        x->content_type = "text/plain; version=0.0.4; charset=utf-8";
    } else if (strcmp(c->route->path, "/health") == 0) {
        json_t *health = health_json(h);
        c->answer = json_dumps(health, JSON_COMPACT | JSON_REAL_PRECISION(6));
        c->status = h->draining ? 503 : 200;
        json_decref(health);
    } else {
        c->answer = mem_strdup("\"pong\"");
    }
    c->answer_len = strlen(c->answer);
}
