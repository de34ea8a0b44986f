/* pool.c: the threads of a pool.
 *
 * How it works. pool_run writes the work, raises `generation` and runs its own share. A worker
 * waits for a new generation: it looks for a while, because the next call usually follows at once,
 * then sleeps on a futex. To wake a sleeper may take 70 us on a virtual machine, so that whoever
 * waits for others in the middle of a run looks for longer. The last worker to finish wakes the
 * caller, which waits in the same way. Sleepers count themselves before they look again, and a
 * waker looks at that count after it has changed the word, so that no wake-up is lost and none
 * costs a system call while nobody sleeps.
 *
 * A sleeper is often woken on its waker's processor, and on a busy machine the two stay together
 * for seconds, at half the speed. So each thread notes where it runs, and one that finds itself
 * where an earlier thread is moves to another processor of the set that the process may use.
 */
#include "common/tensor/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum {
    POOL_THREADS_MAX = 256,
    LOOK_PAUSES = 16, /* from one look at the clock to the next */
    LOOK_RUN_NS = 20000,
    LOOK_MEETING_NS = 200000,
};

/* A word that some wait on until it changes. */
struct gate {
    _Alignas(64) _Atomic uint32_t word;
    _Atomic uint32_t sleepers;
};

struct worker {
    struct pool *pool; /* borrowed */
    pthread_t thread;
    unsigned index;
};

struct pool {
    struct gate generation; /* raised by pool_run */
    struct gate pending;    /* workers that have not finished this generation */
    struct gate meetings;   /* raised by the last task that comes to one */
    _Atomic uint32_t arrived;
    _Alignas(64) void (*fn)(void *arg, size_t task, unsigned thread); /* NULL: end */
    void *arg;
    size_t tasks;
    unsigned threads;
    struct worker *workers; /* owned; threads - 1 of them */
    unsigned started;
    _Atomic int processor[POOL_THREADS_MAX]; /* where each thread last ran */
};

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void gate_sleep(struct gate *g, uint32_t seen)
{
    atomic_fetch_add(&g->sleepers, 1);
    if (atomic_load(&g->word) == seen)
        (void)syscall(SYS_futex, &g->word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL,
            0); /* woken early: look again */
    atomic_fetch_sub(&g->sleepers, 1);
}

/* Returns the word once it differs from seen: looks for look_ns, then sleeps. */
static uint32_t gate_wait(struct gate *g, uint32_t seen, uint64_t look_ns)
{
    uint64_t start_ns = 0;
    for (;;) {
        for (int i = 0; i < LOOK_PAUSES; i++) {
            uint32_t now = atomic_load_explicit(&g->word, memory_order_acquire);
            if (now != seen)
                return now;
            cpu_relax();
        }
        uint64_t now_ns = clock_mono_ns();
        if (start_ns == 0)
            start_ns = now_ns;
        else if (now_ns - start_ns > look_ns)
            gate_sleep(g, seen);
    }
}

/* After the word has changed. */
static void gate_wake(struct gate *g)
{
    if (atomic_load(&g->sleepers) > 0)
        (void)syscall(SYS_futex, &g->word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Best effort: where a call fails, the scheduler's choice stands. */
static void leave_processors(const cpu_set_t *taken)
{
    cpu_set_t all, left;
    if (sched_getaffinity(0, sizeof(all), &all) != 0)
        return;
    CPU_XOR(&left, &all, taken);
    CPU_AND(&left, &left, &all);
    if (CPU_COUNT(&left) == 0 || sched_setaffinity(0, sizeof(left), &left) != 0)
        return;
    (void)sched_setaffinity(0, sizeof(all), &all); /* it was allowed a moment ago */
}

/* Moves the thread when it runs where an earlier one does. */
static void spread(struct pool *p, unsigned thread)
{
    int here = sched_getcpu();
    bool shared = false;
    cpu_set_t taken;
    CPU_ZERO(&taken);
    for (unsigned i = 0; i < thread; i++) {
        int there = atomic_load_explicit(&p->processor[i], memory_order_relaxed);
        shared = shared || there == here;
        if (there >= 0 && there < CPU_SETSIZE)
            CPU_SET(there, &taken);
    }
    if (shared)
        leave_processors(&taken);
    atomic_store_explicit(
        &p->processor[thread], shared ? sched_getcpu() : here, memory_order_relaxed);
}

static void share_run(struct pool *p, unsigned thread)
{
    for (size_t task = thread; task < p->tasks; task += p->threads)
        p->fn(p->arg, task, thread);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    uint32_t generation = 0;
    for (;;) {
        generation = gate_wait(&p->generation, generation, LOOK_RUN_NS);
        if (!p->fn)
            return NULL;
        spread(p, w->index);
        share_run(p, w->index);
        if (atomic_fetch_sub(&p->pending.word, 1) == 1)
            gate_wake(&p->pending);
    }
}

int pool_new(unsigned threads, struct pool **ret, struct err *e)
{
    if (threads < 1 || threads > POOL_THREADS_MAX)
        return err_set(
            e, ERR_CONFIG, "threads of a pool: %u, expected 1 to %d", threads, POOL_THREADS_MAX);
    struct pool *p = mem_big(1, sizeof(*p), "thread pool", e);
    if (!p)
        return ERR_FAIL;
    p->threads = threads;
    p->workers = mem_array(threads, sizeof(*p->workers));
    for (unsigned i = 0; i < threads; i++)
        atomic_init(&p->processor[i], -1);
    for (unsigned i = 1; i < threads; i++) {
        struct worker *w = &p->workers[i - 1];
        *w = (struct worker){.pool = p, .index = i};
        int rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (rc != 0) {
            pool_free(p);
            return err_set(e, ERR_FAIL, "thread %u of %u: %s", i + 1, threads, strerror(rc));
        }
        p->started++;
    }
    *ret = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    p->fn = NULL;
    atomic_fetch_add(&p->generation.word, 1);
    gate_wake(&p->generation);
    for (unsigned i = 0; i < p->started; i++)
        (void)pthread_join(
            p->workers[i].thread, NULL); /* fails only for a thread that is not ours */
    free(p->workers);
    mem_big_free(p);
}

unsigned pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_run(
    struct pool *p, size_t tasks, void (*fn)(void *arg, size_t task, unsigned thread), void *arg)
{
    if (p->threads == 1 || tasks <= 1) {
        for (size_t task = 0; task < tasks; task++)
            fn(arg, task, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->tasks = tasks;
    spread(p, 0);
    uint32_t left = p->threads - 1;
    atomic_store(&p->pending.word, left);
    atomic_fetch_add(&p->generation.word, 1);
    gate_wake(&p->generation);
    share_run(p, 0);
    while ((left = atomic_load_explicit(&p->pending.word, memory_order_acquire)) != 0)
        (void)gate_wait(&p->pending, left, LOOK_RUN_NS);
}

void pool_meet(struct pool *p, unsigned tasks)
{
    uint32_t seen = atomic_load_explicit(&p->meetings.word, memory_order_relaxed);
    if (atomic_fetch_add(&p->arrived, 1) + 1 < tasks) {
        (void)gate_wait(&p->meetings, seen, LOOK_MEETING_NS);
        return;
    }
    atomic_store(&p->arrived, 0); /* before anyone is let go and comes to the next */
    atomic_fetch_add(&p->meetings.word, 1);
    gate_wake(&p->meetings);
}
