/* worker.c: the program cohort-math: reads requests from its socket, grades them, writes replies,
 * until the socket is closed. Started by pool.c only.
 *
 * How it is held: before the first request it gives up all it does not need. Memory is limited to
 * MEMORY_BYTES more than it has at the start; a filter lets only the system calls pass that
 * reading, writing and allocation make, and ends the process at any other: no file, no process, no
 * socket can be opened from here. FLINT's answer to a lack of memory is abort, which ends it too.
 * An alarm ends it when it has no one left to do so: the pool kills sooner, but may be gone.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "reward-server/scoring/math/frame.h"
#include "reward-server/scoring/math/grade.h"

enum { ALARM_S = 30 };
static const unsigned long MEMORY_BYTES = 1UL << 30;

#if defined(__x86_64__)
enum { ARCHITECTURE = AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
enum { ARCHITECTURE = AUDIT_ARCH_AARCH64 };
#else
#error "name the AUDIT_ARCH of this architecture here"
#endif

/* ---- giving up rights ---- */

static bool limit_memory(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    bool ok = f != NULL && fscanf(f, "%lu", &pages) == 1;
    if (f != NULL)
        (void)fclose(f);
    rlim_t bytes = pages * (unsigned long)sysconf(_SC_PAGESIZE) + MEMORY_BYTES;
    const struct rlimit memory = {bytes, bytes}, core = {0, 0};
    return ok && setrlimit(RLIMIT_AS, &memory) == 0 && setrlimit(RLIMIT_CORE, &core) == 0;
}

#define LOAD(FIELD) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, FIELD))
#define ALLOW(CALL)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##CALL, 0, 1),                                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static bool filter_calls(void)
{
    struct sock_filter program[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        ALLOW(read),
        ALLOW(write),
        ALLOW(brk),
        ALLOW(mmap),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(futex),
        ALLOW(setitimer),
        ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog f = {sizeof(program) / sizeof(program[0]), program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f, 0, 0) == 0;
}

/* ---- requests ---- */

static bool read_all(void *data, size_t n)
{
    for (size_t have = 0; have < n;) {
        ssize_t got = read(FRAME_FD, (char *)data + have, n - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static bool write_all(const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = write(FRAME_FD, (const char *)data + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static void set_alarm(long seconds)
{
    const struct itimerval t = {.it_value = {.tv_sec = seconds}};
    (void)setitimer(ITIMER_REAL, &t, NULL); /* cannot fail with these arguments */
}

static bool serve_one(char *reference, char *text)
{
    struct frame_request head;
    struct frame_reply reply = {.magic = FRAME_MAGIC};
    struct math_outcome o;
    if (!read_all(&head, sizeof(head)) || head.magic != FRAME_MAGIC ||
        head.reference_n > FRAME_REFERENCE_MAX || head.text_n > FRAME_TEXT_MAX ||
        !read_all(reference, head.reference_n) || !read_all(text, head.text_n))
        return false;
    const struct math_request q = {
        {reference, head.reference_n}, {text, head.text_n}, head.tagged != 0};
    set_alarm(ALARM_S);
    math_grade(&q, &o);
    set_alarm(0);
    reply.found = o.found;
    reply.begin = o.found ? (uint32_t)(o.extracted.at - text) : 0;
    reply.n = o.found ? (uint32_t)o.extracted.n : 0;
    reply.answer = o.answer;
    (void)snprintf(reply.why, sizeof(reply.why), "%s", o.why);
    return write_all(&reply, sizeof(reply));
}

int main(void)
{
    /* Terminated, although nothing relies on it. */
    char *reference = mem_alloc(FRAME_REFERENCE_MAX + 1), *text = mem_alloc(FRAME_TEXT_MAX + 1);
    (void)signal(SIGINT, SIG_IGN); /* of the terminal: the pool decides when this one ends */
    if (!limit_memory() || !filter_calls()) {
        (void)fputs("cohort-math: cannot give up its rights here\n", stderr);
        return 1;
    }
    while (serve_one(reference, text))
        continue;
    _exit(0); /* the handlers of exit would need other system calls */
}
