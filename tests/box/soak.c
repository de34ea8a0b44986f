/* soak.c: many runs, after which nothing may be left: no process, descriptor, mount or control
 * group, and no more memory than before. Arguments: path of cohort-box, number of runs.
 *
 * Most runs are of a small compiled program; among them are ones that leave processes behind, fill
 * their work directory, break rules or limits, and Python, warm. What each must end as is checked.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "reward-server/box/box.h"
#include "reward-server/box/language.h"
#include "tests/box/tree.h"

enum { THREADS = 2, MEMORY_GROWTH_KIB = 4096, WARM_UP = 400 };

static const char c_source[] =
    "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <sched.h>\n#include <stdio.h>\n"
    "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n"
    "static char bytes[1 << 16];\n"
    "int main(void) {\n"
    " switch (getchar()) {\n"
    " case 'd': if (fork() == 0) { setsid(); if (fork() == 0) for (;;) pause(); } return 0;\n"
    " case 'f': for (int i = 0; i < 40; i++) { char n[9]; sprintf(n, \"%d\", i);\n"
    "   int f = open(n, O_CREAT | O_WRONLY, 0600); while (write(f, bytes, sizeof bytes) > 0); }\n"
    "   return 0;\n"
    " case 's': abort();\n"
    " case 'o': for (;;) fwrite(bytes, 1, sizeof bytes, stdout);\n"
    " case 'v': return unshare(CLONE_NEWUSER);\n"
    " case 'm': for (;;) memset(malloc(1 << 20), 1, 1 << 20);\n"
    " default: return 0;\n"
    " }\n"
    "}\n";
static const char python_source[] = "import os, sys\nopen('left', 'w').write('x' * 10000)\n"
                                    "sys.modules.clear()\nprint(os.getpid())\n";

/* What is run in turn: mostly nothing. One in four cycles has all of it. */
static const struct {
    char input;
    unsigned ends; /* a set of 1 << enum box_end */
    bool processes;
} kinds[] = {
    {'d', 1U << BOX_EXITED, true},
    {'f', 1U << BOX_EXITED, false},
    {'s', 1U << BOX_SIGNALLED, false},
    {'o', 1U << BOX_OUTPUT, false},
    {'v', 1U << BOX_VIOLATION, false},
    {'m', 1U << BOX_MEMORY | 1U << BOX_SIGNALLED, false},
};
enum { CYCLE = 512 };

static const struct box_limits limits = {.cpu_ms = 60000,
    .wall_ms = 600000,
    .memory_bytes = 32 << 20,
    .processes = 8,
    .output_bytes = 64 << 10,
    .work_bytes = 1 << 20,
    .work_files = 64};

static struct box *box;
static struct box_file program = {"program", NULL, 0}; /* data: owned */
static bool no_processes;

static bool compile(void)
{
    struct err e = {0};
    struct box_result r = {0};
    struct box_file source = {"main.c", c_source, sizeof(c_source) - 1};
    struct box_request q = {
        .language = "c", .phase = BOX_COMPILE, .limits = limits, .files = &source, .file_count = 1};
    q.limits.memory_bytes = 512 << 20;
    q.limits.processes = 32;
    q.limits.output_bytes = q.limits.work_bytes = 16 << 20;
    if (box_run(box, &q, &r, &e) != 0 || r.end != BOX_EXITED || r.detail != 0) {
        fprintf(stderr, "compiling: %s%s%s\n", e.msg, r.message, (const char *)r.errors);
        return false;
    }
    program.n = r.output_len;
    program.data = steal(&r.output);
    box_result_done(&r);
    return true;
}

static bool run_number(uint64_t i)
{
    struct err e = {0};
    struct box_result r = {0};
    uint64_t kind = i % CYCLE;
    bool python = kind >= CYCLE / 2 && kind % 16 == 0;
    struct box_file script = {"main.py", python_source, sizeof(python_source) - 1};
    struct box_request q = {.language = python ? "python" : "c",
        .limits = limits,
        .files = python ? &script : &program,
        .file_count = 1};
    unsigned ends = 1U << BOX_EXITED;
    if (kind < ARRAY_LEN(kinds) && !(kinds[kind].processes && no_processes)) {
        q.input = &kinds[kind].input;
        q.input_len = 1;
        ends = kinds[kind].ends;
    }
    int failed = box_run(box, &q, &r, &e);
    bool ok = failed == 0 && (ends & 1U << r.end) != 0;
    ok = ok && (!python || (r.detail == 0 && strcmp((const char *)r.output, "2\n") == 0));
    if (!ok)
        fprintf(stderr, "run %" PRIu64 ": end %d, detail %d %s %s %s\n", i, (int)r.end, r.detail,
            r.message, failed != 0 ? e.msg : "", r.errors != NULL ? (const char *)r.errors : "");
    box_result_done(&r);
    return ok;
}

struct worker {
    uint64_t first, end;
    bool bad;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (uint64_t i = w->first; i < w->end && !w->bad; i++)
        w->bad = !run_number(i);
    return NULL;
}

static bool run_many(uint64_t runs)
{
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    bool ok = true;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.end = runs / THREADS};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            return false;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        ok = ok && !workers[i].bad;
    }
    return ok;
}

static void print_use(const char *when, const struct tree_use *u)
{
    printf("%s: %zu processes, %zu descriptors, %zu mounts, %zu KiB, %zu control groups\n", when,
        u->processes, u->descriptors, u->mounts, u->memory_kib, u->groups);
}

/* The next first process of each slot may be there already or not. */
static bool is_same(const struct tree_use *before, const struct tree_use *after)
{
    return after->processes <= before->processes + THREADS &&
           after->descriptors <= before->descriptors + (size_t)THREADS * 4 &&
           after->mounts <= before->mounts + before->mounts / 2 &&
           after->memory_kib <= before->memory_kib + MEMORY_GROWTH_KIB &&
           after->groups <= before->groups;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    if (runs == 0) {
        fprintf(stderr, "usage: %s COHORT-BOX RUNS\n", argv[0]);
        return 2;
    }
    struct tree_use none = tree_measure(getpid());
    if (box_open(argv[1], &box, &e) != 0) {
        printf("skip: %s\n", e.msg);
        return 77;
    }
    no_processes = strstr(box_isolation(box), "cgroup") == NULL;
    if (!compile() || !run_many(THREADS * (CYCLE + WARM_UP)))
        return 1;
    struct tree_use before = tree_measure(getpid());
    print_use("before", &before);
    uint64_t start_ns = clock_mono_ns();
    bool ok = run_many(runs);
    double seconds = (double)(clock_mono_ns() - start_ns) / 1e9;
    struct tree_use after = tree_measure(getpid());
    print_use("after", &after);
    box_close(box);
    struct tree_use end = tree_measure(getpid());
    print_use("closed", &end);
    printf("%" PRIu64 " runs, %.0f a second, %s\n", runs, (double)runs / seconds,
        ok ? "each as expected" : "NOT as expected");
    free((void *)(uintptr_t)program.data);
    bool same =
        is_same(&before, &after) && end.processes == none.processes && end.groups <= none.groups;
    return ok && same ? 0 : 1;
}
