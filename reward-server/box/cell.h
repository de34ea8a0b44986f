/* cell.h: what is new for each run: a pid namespace and a work directory.
 *
 * The first process of the namespace does nothing: it takes in orphans and holds the namespace.
 * When it ends the kernel ends all others in it, and lets us wait for it only when they are gone.
 * It ends when its slot lets go of it, or is gone, however that came.
 */
#ifndef COHORT_BOX_CELL_H
#define COHORT_BOX_CELL_H

#include <stdbool.h>
#include <sys/types.h>

#include "reward-server/box/box.h"

enum { CELL_STACK_BYTES = 8192 };

struct cell {
    pid_t init; /* 0: none */
    int hold;   /* owned; a pipe, at whose end the first process leaves */
    int held;   /* the other end's number, in the first process */
    int pid_ns; /* owned */
    int work;   /* owned; a file system that is mounted nowhere yet */
    _Alignas(16) char stack[CELL_STACK_BYTES]; /* of the first process, which shares our memory */
};

/* False with errno set. */
bool cell_open(struct cell *c);

/* Makes the work directory with the request's files, for a program of this user. */
bool cell_add_work(struct cell *c, const struct box_request *q, unsigned uid);

/* Ends all processes in it, and waits until that is so. False: a signal had ended it before, which
 * nothing within it can send. */
bool cell_end(struct cell *c);

/* Of a cell that has ended: the files that the request wants back, as far as they are regular files
 * and within the bound; a program may have put anything at their names. */
void cell_fetch(const struct cell *c, const struct box_request *q, struct box_result *ret);

/* Ends it if need be, and the work directory with it. */
void cell_close(struct cell *c);

#endif
