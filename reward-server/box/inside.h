/* inside.h: the two processes within a box: the first one, and the program.
 *
 * The first process builds the root, starts the program, collects orphans, reports how the program
 * ended and leaves, at which the kernel ends all that is left in the box. Runs in a fresh clone of
 * a single-threaded process; never returns.
 */
#ifndef COHORT_BOX_INSIDE_H
#define COHORT_BOX_INSIDE_H

#include <stdbool.h>
#include <sys/types.h>

#include "reward-server/box/box.h"
#include "reward-server/box/language.h"

enum inside_kind { INSIDE_ENDED, INSIDE_FAILED };

/* What the first process writes on its report pipe, once. */
struct inside_report {
    enum inside_kind kind;
    int status; /* as wait gives it, or errno */
    char what[64];
};

/* The program's descriptors. The last two lead to the other box of a pair. */
enum inside_fd { INSIDE_IN, INSIDE_OUT, INSIDE_ERR, INSIDE_FROM, INSIDE_TO, INSIDE_FDS };

struct inside {
    const struct box_request *request;
    const struct language_phase *phase; /* NULL: the probe of the self-test */
    int fds[INSIDE_FDS];                /* -1: none */
    int report_fd, go_fd;               /* go: one byte when groups and uids are set */
    uid_t uid;                          /* the program's, as seen inside */
    bool userns;                        /* the user namespace is our own: nothing to give up */
    bool cgroup;                        /* without: the program may not make processes */
};

void inside_main(const struct inside *in) __attribute__((noreturn));

#endif
