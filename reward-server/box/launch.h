/* launch.h: how a zygote starts one program after the other; runs inside the box's root.
 *
 * A zygote is a process that has given up everything but the right to enter namespaces, and waits
 * for orders from its slot. Each order makes one child in the pid namespace and with the work
 * directory that came with it; the child drops the last right and becomes the program. Compiled
 * twice: into cohort-box, whose zygotes exec the program, and into the library that the warm
 * Python interpreter loads, whose children go on in it. Uses the C library alone.
 *
 * An order is answered by LAUNCH_FAILED when something went wrong, and always by LAUNCH_ENDED.
 */
#ifndef COHORT_BOX_LAUNCH_H
#define COHORT_BOX_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "reward-server/box/box.h"

/* A program's descriptors. The last two lead to the other box of a pair. */
enum launch_stream { LAUNCH_IN, LAUNCH_OUT, LAUNCH_ERR, LAUNCH_FROM, LAUNCH_TO, LAUNCH_STREAMS };

/* Descriptors of a zygote, above all that a program can have (LAUNCH_FILES_MAX): by their numbers
 * the filter knows the calls that are a zygote's. */
enum {
    LAUNCH_FILES_MAX = 64,
    LAUNCH_SOCKET = 960,
    LAUNCH_PID_NS,
    LAUNCH_WORK,
    LAUNCH_OOM, /* oom_score_adj of the zygote, for writing */
    LAUNCH_FDS_MAX = 1024,
    /* Flags that mark calls of a zygote; from a program, which has no rights, they do nothing. */
    LAUNCH_UMOUNT = 10,      /* MNT_DETACH | UMOUNT_NOFOLLOW */
    LAUNCH_FILTER_FLAGS = 2, /* SECCOMP_FILTER_FLAG_LOG */
};

/* Comes with descriptors: the pid namespace, the work directory, and the streams that are there. */
struct launch_order {
    struct box_limits limits;
    uint64_t more_tasks; /* of the same user: zygotes, which the limit does not count */
    bool groups; /* control groups hold the program; without, its address space is limited */
    bool may_fork;
    bool streams[LAUNCH_STREAMS];
};

enum launch_kind { LAUNCH_LISTENER, LAUNCH_READY, LAUNCH_FAILED, LAUNCH_ENDED };

struct launch_report {
    enum launch_kind kind;
    int status; /* as wait gives it, or errno */
    uint64_t cpu_us, memory_bytes;
    char what[64];
};

/* Of the zygote. */
void launch_ready(void);
void launch_next(void); /* returns when a child is to be forked; ends the zygote with its slot */
void launch_lost(int error);    /* the fork failed */
void launch_watch(pid_t child); /* until its end */

/* Of the child: the program's descriptors, limits and rights. last: nothing comes after it that
 * could fail or exec. */
void launch_enter(int last);

/* Reports errno and ends the process. */
void launch_fail(const char *what) __attribute__((noreturn));
#define LAUNCH_MUST(CALL)                                                                          \
    do {                                                                                           \
        if ((CALL) < 0)                                                                            \
            launch_fail(#CALL);                                                                    \
    } while (0)

void launch_send(const struct launch_report *r);

#endif
