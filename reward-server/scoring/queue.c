/* queue.c: the scoring queue.
 *
 * How it works: submit puts a job into a ring of fixed size under one lock and wakes a thread. Each
 * thread takes the oldest job, scores all its completions without the lock, and calls on_done.
 * Closing sets a flag, wakes all and joins: a thread that is scoring finishes its job and its
 * callback, then leaves.
 */
#include <pthread.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "reward-server/scoring/math/ball.h"
#include "reward-server/scoring/scoring.h"

enum { THREADS_MAX = 256, QUEUE_MAX = 1 << 16 };

struct scoring_queue {
    void (*on_done)(void *arg, struct scoring_job *job);
    void *arg;          /* the caller's */
    pthread_t *threads; /* owned */
    unsigned thread_count;

    pthread_mutex_t lock;      /* guards all below */
    pthread_cond_t work;       /* a job waits, or stopping */
    struct scoring_job **ring; /* owned; its jobs are the caller's */
    size_t cap, first, waiting;
    bool stopping;
};

static void job_run(struct scoring_job *job)
{
    size_t per_completion = scoring_count(job->set);
    for (size_t i = 0; i < job->in->completion_count; i++)
        scoring_score(job->set, job->in, i, job->arena, job->results + i * per_completion);
}

/* Waits for a job; NULL when the queue is closing. */
static struct scoring_job *queue_take(struct scoring_queue *q)
{
    struct scoring_job *job = NULL;
    (void)pthread_mutex_lock(&q->lock);
    while (q->waiting == 0 && !q->stopping)
        (void)pthread_cond_wait(&q->work, &q->lock);
    if (!q->stopping) {
        job = q->ring[q->first];
        q->first = (q->first + 1) % q->cap;
        q->waiting--;
    }
    (void)pthread_mutex_unlock(&q->lock);
    return job;
}

static void *queue_thread(void *arg)
{
    struct scoring_queue *q = arg;
    struct scoring_job *job;
    while ((job = queue_take(q)) != NULL) {
        job_run(job);
        q->on_done(q->arg, job);
    }
    ball_thread_done();
    return NULL;
}

int scoring_queue_open(unsigned threads, size_t queue_max,
    void (*on_done)(void *arg, struct scoring_job *job), void *arg, struct scoring_queue **ret,
    struct err *e)
{
    if (threads < 1 || threads > THREADS_MAX || queue_max < 1 || queue_max > QUEUE_MAX)
        return err_set(e, ERR_CONFIG,
            "scoring queue: %u threads and %zu jobs, expected 1 to %d and 1 to %d", threads,
            queue_max, THREADS_MAX, QUEUE_MAX);
    struct scoring_queue *q = mem_alloc(sizeof(*q));
    q->on_done = on_done;
    q->arg = arg;
    q->cap = queue_max;
    q->ring = mem_array(queue_max, sizeof(struct scoring_job *));
    q->threads = mem_array(threads, sizeof(*q->threads));
    (void)pthread_mutex_init(&q->lock, NULL); /* these two cannot fail on Linux */
    (void)pthread_cond_init(&q->work, NULL);
    for (; q->thread_count < threads; q->thread_count++) {
        int code = pthread_create(&q->threads[q->thread_count], NULL, queue_thread, q);
        if (code != 0) {
            int r = err_set(e, ERR_RETRY, "scoring queue: cannot start thread %u of %u: %s",
                q->thread_count + 1, threads, strerror(code));
            scoring_queue_close(q);
            return r;
        }
    }
    *ret = q;
    return 0;
}

int scoring_queue_submit(struct scoring_queue *q, struct scoring_job *job, struct err *e)
{
    (void)pthread_mutex_lock(&q->lock);
    bool stopping = q->stopping, room = !stopping && q->waiting < q->cap;
    if (room) {
        q->ring[(q->first + q->waiting) % q->cap] = job;
        q->waiting++;
        (void)pthread_cond_signal(&q->work);
    }
    (void)pthread_mutex_unlock(&q->lock);
    if (room)
        return 0;
    if (stopping)
        return err_set(e, ERR_INTERRUPTED, "scoring queue: closing");
    return err_set(e, ERR_RETRY, "scoring queue: full with %zu jobs", q->cap);
}

void scoring_queue_close(struct scoring_queue *q)
{
    if (q == NULL)
        return;
    (void)pthread_mutex_lock(&q->lock);
    q->stopping = true;
    (void)pthread_cond_broadcast(&q->work);
    (void)pthread_mutex_unlock(&q->lock);
    for (unsigned i = 0; i < q->thread_count; i++)
        (void)pthread_join(q->threads[i], NULL);
    (void)pthread_cond_destroy(&q->work);
    (void)pthread_mutex_destroy(&q->lock);
    free(q->threads);
    free(q->ring);
    free(q);
}
