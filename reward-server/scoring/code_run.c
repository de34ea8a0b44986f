/* code_run.c: what the ways of testing a program share: running boxes, and what their ends mean. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "reward-server/scoring/code.h"

enum {
    WALL_FACTOR = 4, /* of the processor time, and ... */
    WALL_MORE_MS = 2000,
    PROCESSES = 32,
    OUTPUT_BYTES = 4 << 20,
    WORK_BYTES = 32 << 20,
    WORK_FILES = 1024,
    KILLED_TRIES = 4,
    STATUS_OF_SIGNAL = 128, /* a shell's exit status is this and the signal of its child */
    RUNS_PER_PROCESSOR = 2, /* at half speed a program keeps far below its wall time */
};

static struct box *box; /* borrowed; set before any thread */

/* More runs at a time than processors can feed would end at their wall time instead of their
 * processor time; so runs wait for admission, in the order in which they came. The threads that
 * score bound how many wait. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned long next, head; /* tickets: the next to give out, the next to admit */
    unsigned running, running_max;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static unsigned processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 1 ? (unsigned)n : 1; /* a host with more than the set can name answers an error */
}

void scoring_use_box(struct box *b)
{
    box = b;
    gate.running_max = processors() * RUNS_PER_PROCESSOR;
    if (b == NULL)
        code_build_forget();
}

bool code_has_box(void)
{
    return box != NULL;
}

bool code_has_groups(void)
{
    return box != NULL && strstr(box_isolation(box), "cgroup") != NULL;
}

/* ---- verdicts ---- */

void code_no_value(struct score_result *out, enum score_fault fault, const char *reason)
{
    out->has_value = false;
    out->verdict = VERDICT_JUDGE_FAULT;
    out->fault = fault;
    out->reason = reason;
}

static const char *excerpt(const struct box_result *r, struct arena *a)
{
    struct span s = span_trim((struct span){(const char *)r->errors, r->errors_len});
    if (s.n > CODE_EXCERPT) { /* the end says what happened */
        s.at += s.n - CODE_EXCERPT;
        s.n = CODE_EXCERPT;
    }
    return s.n > 0 ? display_text(a, s.at, s.n, 2 * CODE_EXCERPT) : "";
}

static const char *signal_name(int number, struct arena *a)
{
    const char *name = sigabbrev_np(number);
    return name != NULL ? reason_text(a, "SIG%s", name) : reason_text(a, "signal %d", number);
}

void code_judge_end(
    const struct box_result *r, const char *what, struct arena *a, struct score_result *out)
{
    static const struct {
        enum verdict verdict;
        const char *text;
    } ends[BOX_END_COUNT] = {
        [BOX_EXITED] = {VERDICT_CRASH, "exit status"},
        [BOX_SIGNALLED] = {VERDICT_CRASH, ""},
        [BOX_CPU] = {VERDICT_TIMEOUT, "processor time is up"},
        [BOX_WALL] = {VERDICT_TIMEOUT, "waited until time was up"},
        [BOX_MEMORY] = {VERDICT_MEMORY, "out of memory"},
        [BOX_OUTPUT] = {VERDICT_OUTPUT, "too much output"},
        [BOX_VIOLATION] = {VERDICT_VIOLATION, "a forbidden system call"},
    };
    if (r->end == BOX_STARVED || r->end == BOX_FAULT) {
        code_no_value(out, SCORE_FAULT_TRANSIENT,
            r->end == BOX_FAULT ? reason_text(a, "%s: %s", what, r->message)
                                : reason_text(a, "%s: the host is overloaded", what));
        return;
    }
    out->verdict = ends[r->end].verdict;
    const char *said = excerpt(r, a);
    const char *colon = said[0] != '\0' ? ": " : "";
    const char *what_ended = ends[r->end].text;
    if (r->end == BOX_EXITED)
        out->reason = reason_join(a, "%s: %s %d%s%s", what, what_ended, r->detail, colon, said);
    else if (r->end == BOX_SIGNALLED)
        out->reason = reason_join(a, "%s: %s%s%s", what, signal_name(r->detail, a), colon, said);
    else if (r->end == BOX_VIOLATION && r->refused[0] != '\0')
        out->reason = reason_join(a, "%s: %s: %s", what, what_ended, r->refused);
    else
        out->reason = reason_join(a, "%s: %s", what, what_ended);
}

bool code_exited_well(const struct box_result *r)
{
    return r->end == BOX_EXITED && r->detail == 0;
}

void code_isolation(const struct box_result *r, struct arena *a, struct score_result *out)
{
    const char *copy = arena_strdup(a, r->isolation);
    out->isolation = copy != NULL ? copy : "";
}

/* ---- runs ---- */

struct box_limits code_box_limits(const struct code_limits *c)
{
    return (struct box_limits){.cpu_ms = (uint64_t)c->cpu_ms,
        .wall_ms = (uint64_t)c->cpu_ms * WALL_FACTOR + WALL_MORE_MS,
        .memory_bytes = (uint64_t)c->memory_mib << 20,
        .processes = PROCESSES,
        .output_bytes = OUTPUT_BYTES,
        .work_bytes = WORK_BYTES,
        .work_files = WORK_FILES};
}

static void enter(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    unsigned long ticket = gate.next++;
    while (ticket != gate.head || gate.running >= gate.running_max)
        (void)pthread_cond_wait(&gate.changed, &gate.lock);
    gate.head++;
    gate.running++;
    (void)pthread_cond_broadcast(&gate.changed);
    (void)pthread_mutex_unlock(&gate.lock);
}

static void leave(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    gate.running--;
    (void)pthread_cond_broadcast(&gate.changed);
    (void)pthread_mutex_unlock(&gate.lock);
}

static void run_once(const struct box_request *q, size_t count, struct box_result *ret)
{
    struct err e = {0};
    enter();
    int r = count == BOX_PAIR ? box_run_pair(box, q, ret, &e) : box_run(box, q, ret, &e);
    leave();
    for (size_t i = 0; r < 0 && i < count; i++) {
        ret[i] = (struct box_result){.end = BOX_FAULT};
        (void)snprintf(ret[i].message, sizeof(ret[i].message), "%.255s", e.msg);
    }
}

/* Killed, or a child of it as shells and compilers tell it, and not for a limit: by somebody on the
 * host, by the host when its memory was out, or by the program itself, which does it again. */
static bool was_killed(const struct box_request *q, const struct box_result *r)
{
    static const char told[] = "Killed signal terminated program";
    if (r->end == BOX_SIGNALLED)
        return r->detail == SIGKILL;
    if (r->end != BOX_EXITED || r->detail == 0)
        return false;
    return r->detail == STATUS_OF_SIGNAL + SIGKILL ||
           (q->phase == BOX_COMPILE && r->errors_len > 0 &&
               memmem(r->errors, r->errors_len, told, strlen(told)) != NULL);
}

void code_box_run(const struct box_request *q, size_t count, struct box_result *ret)
{
    for (int i = 0; i < KILLED_TRIES; i++) {
        for (size_t k = 0; k < count; k++)
            box_result_done(&ret[k]);
        run_once(q, count, ret);
        bool killed = was_killed(&q[0], &ret[0]) || (count > 1 && was_killed(&q[1], &ret[1]));
        if (!killed)
            return;
    }
}
