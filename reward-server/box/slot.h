/* slot.h: a slot, a process that makes one run after the other, each in one box or a pair of them.
 * It has no threads.
 */
#ifndef COHORT_BOX_SLOT_H
#define COHORT_BOX_SLOT_H

#include "reward-server/box/box.h"
#include "reward-server/box/cell.h"
#include "reward-server/box/cgroup.h"
#include "reward-server/box/zygote.h"

enum { SLOT_ZYGOTES_MAX = 4 }; /* of a box; more languages than these take turns */

/* One box: of the two of a pair, or alone. */
struct slot_box {
    unsigned uid; /* of its programs */
    struct cgroup group;
    struct cell cell; /* of the run, or ready for the next */
    struct zygote zygotes[SLOT_ZYGOTES_MAX];
};

struct slot {
    bool own_user; /* not root: the slot lives in a user namespace of its own */
    bool broken;   /* a zygote died during a run: no way to prove its box empty but to end */
    int client;    /* the connection; its end ends the run. -1: none */
    uint64_t runs;
    struct slot_box boxes[BOX_PAIR];
};

/* False with errno set: this host does not let us. */
bool slot_open(struct slot *s, unsigned number, int client);

/* Ends every process of the slot but itself. */
void slot_close(struct slot *s);

/* One run, or the two of a pair (box_run_pair). Waits until the boxes are empty. False: the client
 * went away or the slot is broken. */
bool slot_run(
    struct slot *s, const struct box_request *requests, size_t count, struct box_result *results);

/* Makes what the next run needs, while nobody waits. */
void slot_prepare(struct slot *s);

#endif
