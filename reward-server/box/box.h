/* box.h: running a program that nobody trusts.
 *
 * box_open starts the program cohort-box, which makes and watches the boxes (its main.c says how);
 * call it before the process has threads, and before it gives up rights that make boxes stronger.
 * box_run is for any thread and waits for the end of the run, which limits.wall_ms bounds. A
 * cohort-box that ended is started again by the next box_run.
 */
#ifndef COHORT_BOX_H
#define COHORT_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

enum {
    BOX_PAIR = 2,
    BOX_PEER_LOST = 93, /* exit status */
    BOX_FILES_MAX = 8,
    BOX_NAME_MAX = 64,             /* a file in the work directory, with its NUL */
    BOX_FILE_BYTES_MAX = 64 << 20, /* of all files and the input together */
    BOX_FETCH_BYTES_MAX = 8 << 20, /* of all files that are wanted back */
    BOX_SLOTS_MAX = 256,           /* boxes at a time */
};

struct box_limits {
    uint64_t cpu_ms;       /* of all processes together: what judges */
    uint64_t wall_ms;      /* a ceiling */
    uint64_t memory_bytes; /* of all processes, files and pipes together, where cgroups are there */
    uint64_t processes;    /* and threads */
    uint64_t output_bytes; /* of each of the two streams */
    uint64_t work_bytes, work_files; /* of the work directory: half of the memory at most */
};
enum { BOX_LIMITS = sizeof(struct box_limits) / sizeof(uint64_t) };

struct box_file {
    const char *name; /* without a slash */
    const void *data;
    size_t n;
};

enum box_phase { BOX_RUN, BOX_COMPILE, BOX_PROBE };

struct box_request {
    const char *language; /* a name of language.h */
    enum box_phase phase;
    struct box_limits limits;
    const void *input; /* standard input */
    size_t input_len;
    const struct box_file *files; /* in the work directory; readable and executable */
    size_t file_count;
    const char *const *fetch; /* names of files that are wanted back: regular ones, of what is there
                               * when the last process is gone */
    size_t fetch_count;       /* up to BOX_FILES_MAX */
    bool cold; /* a new interpreter, where a warm one could be forked; the verdict is the same */
};

enum box_end {
    BOX_EXITED,    /* detail: status */
    BOX_SIGNALLED, /* detail: signal */
    BOX_CPU,       /* over limits.cpu_ms */
    BOX_WALL,      /* over limits.wall_ms while it waited for something */
    BOX_STARVED,   /* the host's fault: over limits.wall_ms while it waited for a processor, or
                    * killed because the host was out of memory */
    BOX_MEMORY,
    BOX_OUTPUT,
    BOX_VIOLATION, /* a system call that only an attack makes: refused says which */
    BOX_STOPPED,   /* the other of its pair ended */
    BOX_FAULT,     /* no run: message says why */
    BOX_END_COUNT
};

struct box_result {
    enum box_end end;
    int detail;
    uint64_t cpu_us, wall_us, memory_bytes; /* memory: the highest use, 0 where not known */
    uint8_t *output;                        /* owned; standard output */
    size_t output_len;
    uint8_t *errors; /* owned; standard error */
    size_t errors_len;
    struct box_file *files; /* owned, with what it points to; of those wanted, what was found */
    size_t file_count;
    char refused[32];   /* the call of a violation; "" where it was one of another architecture */
    char message[256];  /* of a fault */
    char isolation[64]; /* what held the program, e.g. "namespaces,seccomp,cgroup1" */
};
void box_result_done(struct box_result *r);

struct box;

/* program: path of cohort-box, or NULL to look beside this program and in the build tree. Fails
 * when a box cannot be made or the self-test breaks out of one: there is no way to run without. */
int box_open(const char *program, struct box **ret, struct err *e) ERR_WARN_UNUSED;
void box_close(struct box *b); /* NULL is fine; no box_run may be under way */

/* ERR_RETRY when the box went away; all else is in the result, which the caller clears. */
int box_run(struct box *b, const struct box_request *q, struct box_result *ret,
    struct err *e) ERR_WARN_UNUSED;

/* Two boxes at once, e.g. of a test and of a program: descriptor 3 of each reads what the other
 * writes to its descriptor 4. The end of the first ends the second, unless it is exit status
 * BOX_PEER_LOST, which waits for the second to end. */
int box_run_pair(struct box *b, const struct box_request q[BOX_PAIR],
    struct box_result ret[BOX_PAIR], struct err *e) ERR_WARN_UNUSED;

const char *box_isolation(const struct box *b);
bool box_alive(struct box *b);        /* false: the next box_run starts cohort-box again */
uint64_t box_restarts(struct box *b); /* how often that was so */

#endif
