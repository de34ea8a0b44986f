/* kill_test.c: processes of cohort-box are killed at random moments while boxes run. A result is
 * right, or the judge's fault; never another verdict. Nothing hangs, and nothing is left.
 *
 * Killed are the supervisor, slots, zygotes and first processes of boxes; not programs, as a kill
 * from outside looks like one of their own. Arguments: path of cohort-box, kills, a seed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "reward-server/box/box.h"
#include "tests/box/tree.h"

enum { THREADS = 3, RUNS_BETWEEN_MAX = 6, HANG_S = 600 };

static const struct box_limits limits = {.cpu_ms = 5000,
    .wall_ms = 120000,
    .memory_bytes = 128 << 20,
    .processes = 8,
    .output_bytes = 4096,
    .work_bytes = 1 << 20,
    .work_files = 16};

static struct box *box;
static atomic_bool stop, bad;
static atomic_ulong runs, faults;

static const struct {
    const char *language, *name, *source, *output;
    enum box_end end;
    int detail;
} programs[] = {
    {"python", "main.py", "print(6 * 7)", "42\n", BOX_EXITED, 0},
    {"python", "main.py", "import sys\nprint(sum(range(1000)))\nsys.exit(3)", "499500\n",
        BOX_EXITED, 3},
    {"python", "main.py", "import os\nos.abort()", "", BOX_SIGNALLED, SIGABRT},
    {"bash", "main.sh", "read a; echo $((a + 1))", "8\n", BOX_EXITED, 0},
};

static bool is_fault(const struct box_result *r)
{
    return r->end == BOX_FAULT || r->end == BOX_STARVED;
}

static bool run_one(size_t i)
{
    struct err e = {0};
    struct box_result r = {0};
    struct box_file f = {programs[i].name, programs[i].source, strlen(programs[i].source)};
    struct box_request q = {.language = programs[i].language,
        .limits = limits,
        .input = "7\n",
        .input_len = 2,
        .files = &f,
        .file_count = 1};
    int code = box_run(box, &q, &r, &e);
    if (code != 0 || is_fault(&r)) {
        atomic_fetch_add(&faults, 1);
        box_result_done(&r);
        return code == 0 || code == ERR_RETRY;
    }
    bool ok = r.end == programs[i].end && r.detail == programs[i].detail &&
              strcmp(r.output != NULL ? (const char *)r.output : "", programs[i].output) == 0;
    if (!ok)
        fprintf(stderr, "program %zu: end %d, detail %d, output '%s', errors '%.200s'\n", i,
            (int)r.end, r.detail, (const char *)r.output, (const char *)r.errors);
    box_result_done(&r);
    return ok;
}

/* The second answers the first; both must be right, or one a fault. */
static bool run_pair(void)
{
    static const char *const sources[BOX_PAIR] = {
        "import os,sys\nos.write(4,b'q')\nsys.exit(0 if os.read(3,1)==b'a' else 93)",
        "import os\nos.read(3,1)\nos.write(4,b'a')\nwhile True: os.read(3,1) or os._exit(0)"};
    struct err e = {0};
    struct box_file f[BOX_PAIR];
    struct box_request q[BOX_PAIR];
    struct box_result r[BOX_PAIR] = {0};
    for (size_t i = 0; i < BOX_PAIR; i++) {
        f[i] = (struct box_file){"main.py", sources[i], strlen(sources[i])};
        q[i] = (struct box_request){
            .language = "python", .limits = limits, .files = &f[i], .file_count = 1};
    }
    int code = box_run_pair(box, q, r, &e);
    bool fault = code != 0 || is_fault(&r[0]) || is_fault(&r[1]);
    bool ok = fault ? code == 0 || code == ERR_RETRY : r[0].end == BOX_EXITED && r[0].detail == 0;
    if (!ok)
        fprintf(stderr, "pair: ends %d %d, details %d %d\n", (int)r[0].end, (int)r[1].end,
            r[0].detail, r[1].detail);
    if (fault)
        atomic_fetch_add(&faults, 1);
    for (size_t i = 0; i < BOX_PAIR; i++)
        box_result_done(&r[i]);
    return ok;
}

static void *work(void *arg)
{
    size_t turn = (size_t)(uintptr_t)arg;
    while (!atomic_load(&stop) && !atomic_load(&bad)) {
        size_t i = turn++ % (ARRAY_LEN(programs) + 1);
        if (!(i < ARRAY_LEN(programs) ? run_one(i) : run_pair()))
            atomic_store(&bad, true);
        atomic_fetch_add(&runs, 1);
    }
    return NULL;
}

/* ---- killing ---- */

static unsigned next_random(unsigned *state, unsigned n)
{
    *state = *state * 1103515245U + 12345U;
    return (*state >> 16) % n;
}

/* The supervisor, one of its slots, or a child of one: a zygote or the first process of a box. */
static pid_t choose(unsigned *random)
{
    static pid_t children[TREE_MAX];
    pid_t supervisor = tree_child(getpid());
    unsigned depth = next_random(random, 8); /* 0: the supervisor, 1 to 3: a slot, else its child */
    pid_t chosen = supervisor;
    for (unsigned level = 0; level < (depth == 0 ? 0U : depth < 4 ? 1U : 2U); level++) {
        int count = tree_children(chosen, children);
        if (count <= 0)
            break;
        chosen = children[next_random(random, (unsigned)count)];
    }
    return chosen;
}

/* The pace is that of the runs: a few of them between two kills. */
static void kill_some(unsigned kills, unsigned seed)
{
    unsigned random = seed;
    for (unsigned i = 0; i < kills && !atomic_load(&bad); i++) {
        unsigned long until = atomic_load(&runs) + next_random(&random, RUNS_BETWEEN_MAX);
        while (atomic_load(&runs) < until && !atomic_load(&bad))
            (void)usleep(next_random(&random, 3000));
        pid_t pid = choose(&random);
        if (pid > 1)
            (void)kill(pid, SIGKILL);
    }
}

int main(int argc, char **argv)
{
    struct err e = {0};
    pthread_t threads[THREADS];
    unsigned kills = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    unsigned seed = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : (unsigned)clock_mono_ns();
    if (kills == 0) {
        fprintf(stderr, "usage: %s COHORT-BOX KILLS [SEED]\n", argv[0]);
        return 2;
    }
    printf("seed %u\n", seed);
    (void)alarm(HANG_S); /* what hangs ends the test */
    if (box_open(argv[1], &box, &e) != 0 || tree_child(getpid()) <= 0) {
        printf("skip: %s\n", e.msg);
        return 77;
    }
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) != 0)
            return 1;
    }
    kill_some(kills, seed);
    atomic_store(&stop, true);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    bool works = run_one(0);
    box_close(box);
    struct tree_use left = tree_measure(getpid());
    printf("%u kills, %lu runs, %lu faults; left: %zu processes\n", kills, atomic_load(&runs),
        atomic_load(&faults), left.processes);
    return works && !atomic_load(&bad) && left.processes == 0 ? 0 : 1;
}
