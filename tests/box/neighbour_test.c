/* neighbour_test.c: cohort-box beside others on one host, some in pid namespaces of their own,
 * where their processes have the same numbers. Each starts and ends again and again while all run
 * programs: none may lose a run. What one that was killed leaves goes with the next start.
 *
 * Arguments: path of cohort-box, rounds. Needs root and control groups.
 */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "reward-server/box/box.h"
#include "tests/box/tree.h"

enum { NEIGHBOURS = 3, RUNS = 24, STARVED_MAX = 20, SKIPPED = 77 };

static const char *program;

static const struct box_limits limits = {.cpu_ms = 20000,
    .wall_ms = 120000,
    .memory_bytes = 128 << 20,
    .processes = 8,
    .output_bytes = 4096,
    .work_bytes = 1 << 20,
    .work_files = 16};

/* The two boxes of a slot in turn with one of them alone: the second box's group is often empty. */
static bool run_one(struct box *box, int i)
{
    static const char *const texts[BOX_PAIR] = {
        "import os\nos.write(4, b'a')\nassert os.read(3, 1) == b'b'",
        "import os\nos.read(3, 1)\nos.write(4, b'b')"};
    struct err e = {0};
    struct box_result r[BOX_PAIR] = {{.end = BOX_STARVED}};
    struct box_file f[BOX_PAIR];
    struct box_request q[BOX_PAIR];
    bool pair = i % 4 == 3;
    for (size_t k = 0; k < BOX_PAIR; k++) {
        const char *text = pair ? texts[k] : "print(6 * 7)";
        f[k] = (struct box_file){"main.py", text, strlen(text)};
        q[k] = (struct box_request){
            .language = "python", .limits = limits, .files = &f[k], .file_count = 1};
    }
    int code = 0;
    for (int n = 0; n < STARVED_MAX && code == 0 && r[0].end == BOX_STARVED; n++) {
        box_result_done(&r[0]);
        box_result_done(&r[1]);
        code = pair ? box_run_pair(box, q, r, &e) : box_run(box, q, r, &e);
    }
    bool ok = code == 0 && r[0].end == BOX_EXITED && r[0].detail == 0 &&
              strstr(r[0].isolation, "cgroup") != NULL;
    if (!ok)
        fprintf(stderr, "run %d: %s end %d, detail %d, %s %s\n", i, e.msg, (int)r[0].end,
            r[0].detail, r[0].message, r[0].isolation);
    for (size_t k = 0; k < BOX_PAIR; k++)
        box_result_done(&r[k]);
    return ok;
}

static bool run_round(void)
{
    struct err e = {0};
    struct box *box = NULL;
    if (box_open(program, &box, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        return false;
    }
    bool ok = true;
    for (int i = 0; i < RUNS && ok; i++)
        ok = run_one(box, i);
    box_close(box);
    return ok;
}

/* ---- neighbours ---- */

static int live(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        if (!run_round())
            return 1;
    }
    return 0;
}

/* own: in a pid namespace of its own, with its /proc. */
static pid_t start_neighbour(bool own, int rounds)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (own && unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
        _exit(SKIPPED);
    pid_t first = own ? fork() : 0;
    if (first == 0) {
        bool alone = own && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                     mount("proc", "/proc", "proc", 0, NULL) == 0;
        _exit(!own || alone ? live(rounds) : SKIPPED);
    }
    int status = 1;
    (void)waitpid(first, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static int run_beside_each_other(int rounds)
{
    pid_t pids[NEIGHBOURS];
    int worst = 0, status;
    for (int i = 0; i < NEIGHBOURS; i++)
        pids[i] = start_neighbour(i > 0, rounds);
    for (int i = 0; i < NEIGHBOURS; i++) {
        (void)waitpid(pids[i], &status, 0);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        worst = code == 1 || worst == 0 ? code : worst;
    }
    return worst;
}

/* ---- what a killed one leaves ---- */

static void kill_all_below(pid_t pid)
{
    static pid_t children[TREE_MAX];
    int count = tree_children(pid, children);
    (void)kill(pid, SIGKILL);
    for (int i = 0; i < count; i++)
        (void)kill(children[i], SIGKILL);
}

/* A supervisor and its slots die at once, and with them who would have swept. The groups of the
 * first stay until another one starts; those of a living one, whose boxes are idle, stay too. */
static bool leftovers_are_swept(void)
{
    struct err e = {0};
    struct box *killed = NULL, *living = NULL, *next = NULL;
    struct tree_use left, swept;
    if (box_open(program, &living, &e) != 0 || !run_one(living, 0) ||
        box_open(program, &killed, &e) != 0 || !run_one(killed, 0)) {
        fprintf(stderr, "%s\n", e.msg);
        return false;
    }
    static pid_t children[TREE_MAX];
    int count = tree_children(getpid(), children);
    (void)tree_measure(getpid()); /* so that it knows them when they are gone */
    kill_all_below(children[count - 1]);
    box_close(killed);
    left = tree_measure(getpid());
    bool ok = box_open(program, &next, &e) == 0 && run_one(living, 3) && run_one(living, 0);
    box_close(next);
    swept = tree_measure(getpid());
    box_close(living);
    struct tree_use end = tree_measure(getpid());
    printf("groups: %zu with those of a killed one, %zu after the next start, %zu at the end\n",
        left.groups, swept.groups, end.groups);
    return ok && count == 2 && left.groups > swept.groups && swept.groups > 0 && end.groups == 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct box *box = NULL;
    int rounds = argc > 2 ? atoi(argv[2]) : 0;
    if (rounds <= 0) {
        fprintf(stderr, "usage: %s COHORT-BOX ROUNDS\n", argv[0]);
        return 2;
    }
    program = argv[1];
    bool there = box_open(program, &box, &e) == 0 && strstr(box_isolation(box), "cgroup") != NULL;
    box_close(box);
    if (!there || geteuid() != 0) {
        printf("skip: needs root and control groups %s\n", e.msg);
        return SKIPPED;
    }
    int code = run_beside_each_other(rounds);
    if (code == SKIPPED)
        printf("skip: no pid namespace with a /proc of its own here\n");
    return code != 0 ? code : leftovers_are_swept() ? 0 : 1;
}
