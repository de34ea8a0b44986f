/* work.c: the owner thread's queue and the loop's mailbox. The locks of the system live here. */
#include "common/net/work.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct job {
    work_fn *fn;
    void *arg; /* borrowed; the function knows its owner */
};

struct work {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled; /* a job was queued, or stopping was set */
    pthread_cond_t taken;  /* a place in the queue became free */
    struct job *ring;      /* owned; cap places */
    size_t cap, first, count;
    bool running;  /* a job is being run */
    bool stopping; /* no more posts; the thread ends when the queue is empty */
};

static void *work_main(void *arg)
{
    struct work *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->count == 0 && !w->stopping)
            pthread_cond_wait(&w->filled, &w->lock);
        if (w->count == 0)
            break;
        struct job job = w->ring[w->first];
        w->first = (w->first + 1) % w->cap;
        w->count--;
        w->running = true;
        pthread_cond_signal(&w->taken);
        pthread_mutex_unlock(&w->lock);
        job.fn(job.arg);
        pthread_mutex_lock(&w->lock);
        w->running = false;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void work_free(struct work *w)
{
    pthread_cond_destroy(&w->taken);
    pthread_cond_destroy(&w->filled);
    pthread_mutex_destroy(&w->lock);
    free(w->ring);
    free(w);
}

int work_start(const char *thread_name, size_t queue_max, struct work **ret, struct err *e)
{
    assert(queue_max > 0);
    struct work *w = mem_alloc(sizeof(*w));
    w->cap = queue_max;
    w->ring = mem_array(queue_max, sizeof(*w->ring));
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->filled, NULL);
    pthread_cond_init(&w->taken, NULL);
    int r = pthread_create(&w->thread, NULL, work_main, w);
    if (r != 0) {
        work_free(w);
        return err_set(e, ERR_FAIL, "cannot start the thread '%s': %s", thread_name, strerror(r));
    }
    char name[16]; /* the kernel keeps 15 characters */
    (void)snprintf(name, sizeof(name), "%s", thread_name);
    (void)pthread_setname_np(w->thread, name); /* a name is only for people who look */
    *ret = w;
    return 0;
}

void work_post(struct work *w, work_fn *fn, void *arg)
{
    pthread_mutex_lock(&w->lock);
    assert(!w->stopping);
    while (w->count == w->cap)
        pthread_cond_wait(&w->taken, &w->lock);
    w->ring[(w->first + w->count) % w->cap] = (struct job){fn, arg};
    w->count++;
    pthread_cond_signal(&w->filled);
    pthread_mutex_unlock(&w->lock);
}

bool work_idle(struct work *w)
{
    pthread_mutex_lock(&w->lock);
    bool idle = w->count == 0 && !w->running;
    pthread_mutex_unlock(&w->lock);
    return idle;
}

void work_stop(struct work *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->filled);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    work_free(w);
}

struct loop_mail {
    uv_async_t async;
    pthread_mutex_t lock;
    struct job *jobs; /* owned; posted and not yet run */
    size_t count, cap;
    bool closing;
};

/* Takes all that is queued at once, so that a function may post again without holding up the loop.
 */
static void mail_run(struct loop_mail *m)
{
    pthread_mutex_lock(&m->lock);
    CLEANUP_FREE struct job *jobs = steal(&m->jobs);
    size_t count = m->count;
    m->count = 0;
    m->cap = 0;
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < count; i++)
        jobs[i].fn(jobs[i].arg);
}

static void on_async(uv_async_t *async)
{
    mail_run(async->data);
}

int loop_mail_open(uv_loop_t *loop, struct loop_mail **ret, struct err *e)
{
    struct loop_mail *m = mem_alloc(sizeof(*m));
    int r = uv_async_init(loop, &m->async, on_async);
    if (r != 0) {
        free(m);
        return err_set(e, ERR_FAIL, "cannot open a mailbox of the loop: %s", uv_strerror(r));
    }
    m->async.data = m;
    pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return 0;
}

void loop_mail_post(struct loop_mail *m, work_fn *fn, void *arg)
{
    pthread_mutex_lock(&m->lock);
    if (!m->closing) {
        if (m->count == m->cap) {
            m->cap = m->cap > 0 ? 2 * m->cap : 16;
            m->jobs = mem_grow(m->jobs, m->cap, sizeof(*m->jobs));
        }
        m->jobs[m->count++] = (struct job){fn, arg};
        /* Inside the lock, so that it cannot reach a handle whose closing has begun. */
        (void)uv_async_send(&m->async);
    }
    pthread_mutex_unlock(&m->lock);
}

static void on_mail_closed(uv_handle_t *handle)
{
    struct loop_mail *m = handle->data;
    pthread_mutex_destroy(&m->lock);
    free(m->jobs);
    free(m);
}

void loop_mail_close(struct loop_mail *m)
{
    if (m == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    m->closing = true;
    pthread_mutex_unlock(&m->lock);
    mail_run(m);
    uv_close((uv_handle_t *)&m->async, on_mail_closed);
}
