/* queue.c: the scoring queue, and parts of a job that its threads do together.
 *
 * How it works: submit puts a job into a ring of fixed size under one lock and wakes a thread. Each
 * thread takes the oldest job, scores its completions without the lock, and calls on_done. A job
 * is cut into parts, its completions and within them tests (scoring_parts); the thread that has
 * the job begins them one after the other, and a thread that finds no job waiting begins some of
 * them too. So nothing is done in advance while there is other work, and each run of a program has
 * a thread: their number bounds how many run. Closing sets a flag, wakes all and joins: a thread
 * that is scoring finishes its job and its callback, then leaves.
 */
#include <pthread.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "reward-server/scoring/math/ball.h"
#include "reward-server/scoring/scorer.h"
#include "reward-server/scoring/scoring.h"

enum { THREADS_MAX = 256, QUEUE_MAX = 1 << 16 };

/* Lives on the stack of the thread that has the job, until all begun parts have ended. */
struct parts {
    struct parts *next; /* of the queue's list */
    bool (*part)(void *arg, size_t i);
    void *arg;
    size_t end, begun, ended; /* end: no part from here on is to begin */
};

struct scoring_queue {
    void (*on_done)(void *arg, struct scoring_job *job);
    void *arg;          /* the caller's */
    pthread_t *threads; /* owned */
    unsigned thread_count;

    pthread_mutex_t lock;      /* guards all below */
    pthread_cond_t work;       /* a job waits, or parts that can begin, or stopping */
    pthread_cond_t part_ended; /* the last begun one of some job's */
    struct scoring_job **ring; /* owned; its jobs are the caller's */
    size_t cap, first, waiting;
    struct parts *open; /* the parts of jobs under way; newest first */
    bool stopping;
};

static _Thread_local struct scoring_queue *queue_of_thread;

/* ---- parts ---- */

/* Begins one part and waits for its end. The lock is held at begin and end, not between. */
static void do_part(struct scoring_queue *q, struct parts *p)
{
    size_t i = p->begun++;
    (void)pthread_mutex_unlock(&q->lock);
    bool go_on = p->part(p->arg, i);
    (void)pthread_mutex_lock(&q->lock);
    if (!go_on && i < p->end)
        p->end = i;
    if (++p->ended == p->begun)
        (void)pthread_cond_broadcast(&q->part_ended);
}

/* Parts of some job that can begin; with the lock held. */
static struct parts *open_parts(const struct scoring_queue *q)
{
    struct parts *p = q->open;
    while (p != NULL && p->begun >= p->end)
        p = p->next;
    return p;
}

static void forget_parts(struct scoring_queue *q, struct parts *p)
{
    struct parts **at = &q->open;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
}

size_t scoring_parts(size_t count, bool (*part)(void *arg, size_t i), void *arg)
{
    struct scoring_queue *q = queue_of_thread;
    struct parts p = {.part = part, .arg = arg, .end = count};
    if (q == NULL || count <= 1) {
        while (p.begun < count && part(arg, p.begun))
            p.begun++;
        return p.begun;
    }
    (void)pthread_mutex_lock(&q->lock);
    p.next = q->open;
    q->open = &p;
    (void)pthread_cond_broadcast(&q->work);
    while (p.begun < p.end)
        do_part(q, &p);
    forget_parts(q, &p);
    while (p.ended < p.begun)
        (void)pthread_cond_wait(&q->part_ended, &q->lock);
    (void)pthread_mutex_unlock(&q->lock);
    return p.end;
}

/* ---- jobs ---- */

struct job_run {
    struct scoring_job *job; /* borrowed */
    struct scoring_task task;
    pthread_mutex_t lock; /* guards the job's arena */
};

static const char *keep(struct arena *a, const char *text)
{
    const char *copy = text[0] != '\0' ? arena_strdup(a, text) : NULL;
    return copy != NULL ? copy : "";
}

/* One completion, in an arena of its own, as others may be under way. */
static bool score_completion(void *arg, size_t i)
{
    struct job_run *run = arg;
    struct scoring_job *job = run->job;
    size_t n = scoring_count(job->set);
    struct score_result *results = job->results + i * n;
    struct arena *a = arena_new(0);
    scoring_judge(&run->task, i, a, results);
    (void)pthread_mutex_lock(&run->lock);
    for (size_t k = 0; k < n; k++) {
        results[k].reason = keep(job->arena, results[k].reason);
        results[k].extracted = keep(job->arena, results[k].extracted);
        results[k].isolation = keep(job->arena, results[k].isolation);
    }
    (void)pthread_mutex_unlock(&run->lock);
    arena_free(a);
    return true;
}

static void job_run(struct scoring_job *job)
{
    struct job_run run = {.job = job};
    if (job->run != NULL) {
        job->run(job);
        return;
    }
    if (job->in->completion_count == 1) {
        scoring_score(job->set, job->in, 0, job->arena, job->results);
        return;
    }
    struct arena *a = arena_new(0);
    scoring_read(job->set, job->in, a, &run.task);
    (void)pthread_mutex_init(&run.lock, NULL); /* cannot fail on Linux */
    (void)scoring_parts(job->in->completion_count, score_completion, &run);
    (void)pthread_mutex_destroy(&run.lock);
    arena_free(a);
}

/* Waits for a job, and does parts of others' meanwhile; NULL when the queue is closing. */
static struct scoring_job *queue_take(struct scoring_queue *q)
{
    struct scoring_job *job = NULL;
    struct parts *p;
    (void)pthread_mutex_lock(&q->lock);
    while (q->waiting == 0 && !q->stopping) {
        if ((p = open_parts(q)) != NULL)
            do_part(q, p);
        else
            (void)pthread_cond_wait(&q->work, &q->lock);
    }
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
    queue_of_thread = q;
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
    (void)pthread_mutex_init(&q->lock, NULL); /* these cannot fail on Linux */
    (void)pthread_cond_init(&q->work, NULL);
    (void)pthread_cond_init(&q->part_ended, NULL);
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
    (void)pthread_cond_destroy(&q->part_ended);
    (void)pthread_mutex_destroy(&q->lock);
    free(q->threads);
    free(q->ring);
    free(q);
}
