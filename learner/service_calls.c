/* service_calls.c: the stage thread's side: calls that block until what they ask for is durable.
 *
 * How it works. A call that changes something is posted to the loop thread, which gives it to the
 * hub; one lock and one condition pass it back. A call that only reads is posted to the store
 * thread directly: whatever the stage thread did before is durable by then. Both outlive failures
 * of the store: the loop gives a commit to the next hub, unless the tables show that it became
 * durable after all; a read is simply tried again.
 */
#include "learner/service.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/log.h"
#include "learner/service_impl.h"

/* ---- loop thread ---- */

void call_finish(struct service *s, int code, const char *message)
{
    struct call *c = s->call;
    if (!c)
        return;
    s->call = NULL;
    c->code = code;
    if (code)
        (void)err_set(&c->err, code, "%s", message);
    pthread_mutex_lock(&s->lock);
    c->done = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void call_begin(struct service *s)
{
    struct call *c = s->call;
    if (c->is_wait) {
        service_event(s, &(struct hub_event){.type = HUB_WAIT,
                             .wait = {.groups = c->wait, .count = c->wait_count}});
        return;
    }
    if (c->tried && hub_commits(s->hub) > c->commits_before) {
        c->durable_before = true;
        call_finish(s, 0, NULL);
        return;
    }
    c->tried = true;
    c->commits_before = hub_commits(s->hub);
    service_event(s, &(struct hub_event){.type = HUB_COMMIT,
                         .commit = {.c = c->commit, .groups = c->groups, .tasks = c->tasks}});
}

static void call_arrived(void *arg)
{
    struct call *c = arg;
    struct service *s = c->service;
    s->call = c;
    if (s->ended || s->stop_begun)
        call_finish(s, s->fatal.code ? s->fatal.code : ERR_INTERRUPTED,
            s->fatal.code ? s->fatal.msg : "the learner is stopping");
    else if (s->hub)
        call_begin(s);
}

/* ---- stage thread ---- */

/* Under the lock: 0 while the service works, else what calls answer. */
static int closed(const struct service *s, struct err *e)
{
    if (s->fatal.code)
        return err_set(e, s->fatal.code, "%s", s->fatal.msg);
    return s->stopping ? err_set(e, ERR_INTERRUPTED, "the learner was asked to stop") : 0;
}

static int call_wait(struct call *c, struct err *e)
{
    struct service *s = c->service;
    pthread_mutex_lock(&s->lock);
    int r = closed(s, e);
    if (r == 0) {
        /* Under the lock, so that no call is posted behind the stop that would have to answer it.
         */
        loop_mail_post(s->mail, call_arrived, c);
        while (!c->done)
            pthread_cond_wait(&s->wake, &s->lock);
        r = c->code ? err_set(e, c->code, "%s", c->err.msg) : 0;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* ---- reading ---- */

/* One read: fn runs on the store thread with arg. */
struct read {
    struct service *service;
    int (*fn)(struct store *s, void *arg, struct err *e);
    void *arg;
    int code;
    struct err err;
    bool done; /* under lock */
};

static void read_there(void *arg)
{
    struct read *r = arg;
    r->code = r->fn(r->service->store, r->arg, &r->err);
    pthread_mutex_lock(&r->service->lock);
    r->done = true;
    pthread_cond_broadcast(&r->service->wake);
    pthread_mutex_unlock(&r->service->lock);
}

/* Waits a moment before a read is tried again, or until the service stops. */
static void pause_locked(struct service *s)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += (long)SERVICE_RETRY_MS * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    int rc = 0;
    while (!s->stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->wake, &s->lock, &at);
}

/* The result of fn, when it is not ERR_RETRY. The store thread always answers, so a read under way
 * is waited for even when the service stops: its arguments are ours. */
static int read_now(
    struct service *s, int (*fn)(struct store *, void *, struct err *), void *arg, struct err *e)
{
    int r;
    pthread_mutex_lock(&s->lock);
    while ((r = closed(s, e)) == 0) {
        struct read job = {.service = s, .fn = fn, .arg = arg};
        work_post(s->store_thread, read_there, &job);
        while (!job.done)
            pthread_cond_wait(&s->wake, &s->lock);
        r = job.code;
        if (r < 0)
            (void)err_set(e, r, "%s", job.err.msg);
        if (r != ERR_RETRY)
            break;
        log_warn("store", "cannot read, retrying", LOG_ERR(&job.err));
        pause_locked(s);
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* ---- commit ---- */

struct find_plan {
    const struct commit *c;
    uint64_t *groups, *tasks;
};

static int find_plan(struct store *s, void *arg, struct err *e)
{
    struct find_plan *f = arg;
    return store_find_plan(s, f->c->plan, f->c->plan_count, f->groups, f->tasks, e);
}

int service_commit(struct service *s, const struct commit *c, uint64_t *ret_groups, struct err *e)
{
    CLEANUP_FREE uint64_t *groups = mem_array(c->plan_count, sizeof(*groups));
    CLEANUP_FREE uint64_t *tasks = mem_array(c->plan_count, sizeof(*tasks));
    struct find_plan f = {c, groups, tasks};
    int r = c->plan_count ? read_now(s, find_plan, &f, e) : 0;
    struct call call = {.service = s, .commit = c, .groups = groups, .tasks = tasks};
    if (r == 0)
        r = call_wait(&call, e);
    if (r == 0 && call.durable_before && c->plan_count)
        r = read_now(s, find_plan, &f, e);
    if (r == 0 && ret_groups && c->plan_count)
        memcpy(
            ret_groups, call.durable_before ? groups : call.ids, c->plan_count * sizeof(*groups));
    free(call.ids);
    return r;
}

int service_wait_scored(struct service *s, const uint64_t *groups, size_t n, struct err *e)
{
    struct call call = {.service = s, .is_wait = true, .wait = groups, .wait_count = n};
    return call_wait(&call, e);
}

/* ---- reads, one by one ---- */

struct read_groups {
    const uint64_t *groups;
    size_t n;
    struct stored_groups **ret;
};

static int do_read_groups(struct store *s, void *arg, struct err *e)
{
    struct read_groups *a = arg;
    return store_read_groups(s, a->groups, a->n, a->ret, e);
}

int service_read_groups(
    struct service *s, const uint64_t *groups, size_t n, struct stored_groups **ret, struct err *e)
{
    return read_now(s, do_read_groups, &(struct read_groups){groups, n, ret}, e);
}

struct find_groups {
    uint32_t stage, step;
    enum purpose purpose;
    enum sample_mode mode;
    uint64_t **ret;
    size_t *ret_count;
};

static int do_find_groups(struct store *s, void *arg, struct err *e)
{
    struct find_groups *a = arg;
    return store_find_groups(s, a->stage, a->step, a->purpose, a->mode, a->ret, a->ret_count, e);
}

int service_find_groups(struct service *s, uint32_t stage, uint32_t step, enum purpose purpose,
    enum sample_mode mode, uint64_t **ret, size_t *ret_count, struct err *e)
{
    return read_now(
        s, do_find_groups, &(struct find_groups){stage, step, purpose, mode, ret, ret_count}, e);
}

static int do_resume_state(struct store *s, void *arg, struct err *e)
{
    return store_resume_state(s, arg, e);
}

int service_resume_state(struct service *s, struct resume_state *ret, struct err *e)
{
    return read_now(s, do_resume_state, ret, e);
}

struct read_row {
    uint32_t stage, step;
    const char *name;
    void *ret;
};

static int do_stage(struct store *s, void *arg, struct err *e)
{
    struct read_row *a = arg;
    return store_stage_row(s, a->stage, a->ret, e);
}

int service_stage(struct service *s, uint32_t stage, struct stage_row *ret, struct err *e)
{
    return read_now(s, do_stage, &(struct read_row){.stage = stage, .ret = ret}, e);
}

static int do_step(struct store *s, void *arg, struct err *e)
{
    struct read_row *a = arg;
    return store_step_row(s, a->stage, a->step, a->ret, e);
}

int service_step(
    struct service *s, uint32_t stage, uint32_t step, struct step_row *ret, struct err *e)
{
    return read_now(s, do_step, &(struct read_row){.stage = stage, .step = step, .ret = ret}, e);
}

static int do_metric(struct store *s, void *arg, struct err *e)
{
    struct read_row *a = arg;
    return store_metric(s, a->stage, a->step, a->name, a->ret, e);
}

int service_metric(
    struct service *s, uint32_t stage, uint32_t step, const char *name, double *ret, struct err *e)
{
    return read_now(s, do_metric,
        &(struct read_row){.stage = stage, .step = step, .name = name, .ret = ret}, e);
}

struct read_versions {
    struct version_row **ret;
    size_t *ret_count;
};

static int do_versions(struct store *s, void *arg, struct err *e)
{
    struct read_versions *a = arg;
    return store_versions(s, a->ret, a->ret_count, e);
}

int service_versions(struct service *s, struct version_row **ret, size_t *ret_count, struct err *e)
{
    return read_now(s, do_versions, &(struct read_versions){ret, ret_count}, e);
}
