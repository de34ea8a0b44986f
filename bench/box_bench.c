/* box_bench.c: runs a second of boxed programs, beside bubblewrap where it is installed.
 *
 * box_bench COHORT-BOX [THREADS [SECONDS [ROUNDS]]]. Ways of running take turns, so that what else
 * the machine does hits all alike; printed are medians over the rounds, and ratios. Bubblewrap gets
 * what a careful user gives it: all namespaces, a read-only /usr, a new session; no system call
 * filter and no limits, which boxes have.
 */
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "reward-server/box/box.h"

enum { THREADS_MAX = 64, ROUNDS_MAX = 32 };

static const char python_program[] = "print(sum(map(int, input().split())))\n";
static const char c_program[] =
    "#include <stdio.h>\nint main(void) { int a, b; if (scanf(\"%d%d\", "
    "&a, &b) == 2) printf(\"%d\\n\", a + b); }\n";

static const struct box_limits limits = {.cpu_ms = 4000,
    .wall_ms = 60000,
    .memory_bytes = 256 << 20,
    .processes = 32,
    .output_bytes = 1 << 20,
    .work_bytes = 32 << 20,
    .work_files = 1024};

static struct box *box;
static char directory[] = "/tmp/box_bench.XXXXXX";
static struct box_file python_file = {"main.py", python_program, sizeof(python_program) - 1};
static struct box_file c_file = {"program", NULL, 0}; /* data: owned */

/* ---- ways of running ---- */

static bool run_box(const char *language, const struct box_file *f, bool cold)
{
    struct err e = {0};
    struct box_result r = {0};
    struct box_request q = {.language = language,
        .limits = limits,
        .input = "3 4\n",
        .input_len = 4,
        .files = f,
        .file_count = 1,
        .cold = cold};
    bool ok = box_run(box, &q, &r, &e) == 0 && r.end == BOX_EXITED && r.output_len == 2 &&
              r.output[0] == '7';
    if (!ok)
        fprintf(stderr, "%s: end %d %s %s\n", language, (int)r.end, r.message, e.msg);
    box_result_done(&r);
    return ok;
}

static bool warm_python(void)
{
    return run_box("python", &python_file, false);
}

static bool cold_python(void)
{
    return run_box("python", &python_file, true);
}

static bool compiled(void)
{
    return run_box("c", &c_file, false);
}

/* Starts bubblewrap with the input, and reads what comes. */
static bool run_bwrap(const char *const *program)
{
    const char *argv[40] = {"bwrap", "--unshare-all", "--new-session", "--die-with-parent",
        "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64",
        "/lib64", "--symlink", "usr/bin", "/bin", "--proc", "/proc", "--dev", "/dev", "--tmpfs",
        "/tmp", "--ro-bind", directory, "/box", "--chdir", "/box"};
    size_t n = 0;
    while (argv[n] != NULL)
        n++;
    for (size_t i = 0; program[i] != NULL; i++)
        argv[n++] = program[i];
    int in[2], out[2], status = -1;
    pid_t pid;
    char text[64];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        return false;
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    char *const env[] = {NULL};
    bool ok = posix_spawn(&pid, "/usr/bin/bwrap", &actions, NULL, (char *const *)argv, env) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)!write(in[1], "3 4\n", 4);
    (void)close(in[1]);
    ssize_t got = read(out[0], text, sizeof(text));
    (void)close(out[0]);
    if (ok)
        (void)waitpid(pid, &status, 0);
    return ok && status == 0 && got == 2 && text[0] == '7';
}

static bool bwrap_python(void)
{
    static const char *const program[] = {"/usr/bin/python3", "-I", "main.py", NULL};
    return run_bwrap(program);
}

static bool bwrap_compiled(void)
{
    static const char *const program[] = {"/box/program", NULL};
    return run_bwrap(program);
}

struct way {
    const char *name;
    bool (*run)(void);
    bool bwrap;
    int against; /* index of the way it is compared with, -1: none */
    double per_second[ROUNDS_MAX];
};

static struct way ways[] = {
    {"python, bubblewrap", bwrap_python, true, -1, {0}},
    {"python, cold box", cold_python, false, 0, {0}},
    {"python, warm box", warm_python, false, 0, {0}},
    {"compiled, bubblewrap", bwrap_compiled, true, -1, {0}},
    {"compiled, box", compiled, false, 3, {0}},
};

/* ---- measuring ---- */

struct worker {
    const struct way *way;
    uint64_t until_ns, runs;
    bool failed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    while (clock_mono_ns() < w->until_ns && !w->failed) {
        w->failed = !w->way->run();
        w->runs++;
    }
    return NULL;
}

static double measure(const struct way *way, unsigned threads, double seconds)
{
    pthread_t ids[THREADS_MAX];
    struct worker workers[THREADS_MAX];
    uint64_t start_ns = clock_mono_ns(), runs = 0;
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){way, start_ns + (uint64_t)(seconds * 1e9), 0, false};
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        runs += workers[i].runs;
        if (workers[i].failed) {
            fprintf(stderr, "%s: a run failed\n", way->name);
            exit(1);
        }
    }
    return (double)runs * 1e9 / (double)(clock_mono_ns() - start_ns);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_result(struct way *w, unsigned rounds)
{
    double ratio[ROUNDS_MAX];
    bool compared = w->against >= 0 && ways[w->against].per_second[0] > 0;
    for (unsigned i = 0; i < rounds && compared; i++)
        ratio[i] = w->per_second[i] / ways[w->against].per_second[i];
    double sorted[ROUNDS_MAX];
    memcpy(sorted, w->per_second, sizeof(sorted));
    qsort(sorted, rounds, sizeof(double), by_value);
    printf("%-22s %8.0f runs/s", w->name, sorted[rounds / 2]);
    if (compared) {
        qsort(ratio, rounds, sizeof(double), by_value);
        printf("   %5.2f x (%.2f to %.2f)", ratio[rounds / 2], ratio[0], ratio[rounds - 1]);
    }
    printf("\n");
}

/* ---- what is run ---- */

static bool put_file(const struct box_file *f)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", directory, f->name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    bool ok = fd >= 0 && write(fd, f->data, f->n) == (ssize_t)f->n;
    return fd >= 0 && close(fd) == 0 && ok;
}

/* The same static program for both; compiled outside, as the box links dynamically. */
static bool make_program(void)
{
    struct box_file source = {"main.c", c_program, sizeof(c_program) - 1};
    CLEANUP_FREE char *command =
        mem_printf("gcc -O2 -static -o %s/program %s/main.c", directory, directory);
    CLEANUP_FREE char *path = mem_printf("%s/program", directory);
    CLEANUP_BUF struct buf text = {0};
    if (!put_file(&source) || !put_file(&python_file) || system(command) != 0)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    while (fd >= 0 && (n = read(fd, buf_extend(&text, 1 << 16), 1 << 16)) >= 0) {
        text.len -= (1 << 16) - (size_t)n;
        if (n == 0)
            break;
    }
    if (fd >= 0)
        (void)close(fd);
    c_file.n = text.len;
    c_file.data = steal(&text.data);
    return c_file.n > 0;
}

static void clean(void)
{
    static const char *const names[] = {"main.c", "main.py", "program"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP_FREE char *path = mem_printf("%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)(cores < 8 ? cores : 8);
    double seconds = argc > 3 ? atof(argv[3]) : 1;
    unsigned rounds = argc > 4 ? (unsigned)atoi(argv[4]) : 5;
    if (argc < 2 || threads < 1 || threads > THREADS_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: %s COHORT-BOX [THREADS [SECONDS [ROUNDS]]]\n", argv[0]);
        return 2;
    }
    if (box_open(argv[1], &box, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    if (mkdtemp(directory) == NULL || chmod(directory, 0755) < 0 || atexit(clean) != 0 ||
        !make_program()) {
        fprintf(stderr, "%s: the program to run cannot be made\n", directory);
        return 1;
    }
    bool bwrap = access("/usr/bin/bwrap", X_OK) == 0;
    printf("isolation: %s; %u threads, %u rounds of %.1f s%s\n", box_isolation(box), threads,
        rounds, seconds, bwrap ? "" : "; no bubblewrap here");
    for (unsigned i = 0; i <= rounds; i++) { /* the first warms up */
        for (size_t k = 0; k < ARRAY_LEN(ways); k++) {
            if (ways[k].bwrap && !bwrap)
                continue;
            double value = measure(&ways[k], threads, i == 0 ? 0.2 : seconds);
            if (i > 0)
                ways[k].per_second[i - 1] = value;
        }
    }
    for (size_t k = 0; k < ARRAY_LEN(ways); k++) {
        if (!ways[k].bwrap || bwrap)
            print_result(&ways[k], rounds);
    }
    box_close(box);
    return 0;
}
