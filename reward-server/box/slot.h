/* slot.h: one run in one box, or two in a pair, seen from outside. A slot is a process that makes
 * one run after the other; it has no threads.
 */
#ifndef COHORT_BOX_SLOT_H
#define COHORT_BOX_SLOT_H

#include "reward-server/box/box.h"
#include "reward-server/box/cgroup.h"

struct slot {
    unsigned number;
    bool privileged; /* root: namespaces are made directly, and programs get a uid of the slot's */
    int client;      /* the connection; its end ends the run. -1: none */
    struct cgroup groups[BOX_PAIR];
};

void slot_open(struct slot *s, unsigned number, int client);
void slot_close(struct slot *s);

/* One run, or the two of a pair (box_run_pair). Waits until the boxes are empty. False: the client
 * went away, there is nobody to tell. */
bool slot_run(
    struct slot *s, const struct box_request *requests, size_t count, struct box_result *results);

#endif
