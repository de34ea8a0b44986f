/* zygote.h: the slot's side of zygotes (launch.h): starting them, giving orders.
 *
 * A zygote belongs to one slot and one phase of a language: its root shows what that phase needs.
 * It is started when first needed and kept. One that dies is the host's fault, and started again.
 */
#ifndef COHORT_BOX_ZYGOTE_H
#define COHORT_BOX_ZYGOTE_H

#include "reward-server/box/launch.h"
#include "reward-server/box/language.h"

struct zygote {
    pid_t pid;                          /* 0: none */
    const struct language_phase *phase; /* NULL: the self-test's */
    int socket, listener;               /* owned; listener: of violations (filter.h) */
    uint64_t used;                      /* when; the slot's count of runs */
};

struct zygote_setup {
    const struct language_phase *phase;
    bool warm;     /* the phase is an interpreter that becomes a zygote by itself */
    bool own_user; /* the user namespace is our own: there is one user in it */
    unsigned uid;  /* of the programs, else */
    bool groups;
};

/* False with errno and what set. */
bool zygote_open(struct zygote *z, const struct zygote_setup *w, char *what, size_t size);
void zygote_close(struct zygote *z);

/* fds: as launch_order says. */
bool zygote_send(
    const struct zygote *z, const struct launch_order *o, const int *fds, size_t count);

/* The next message. False: the zygote is dead, or silent for too long. */
bool zygote_receive(const struct zygote *z, struct launch_report *ret);

#endif
