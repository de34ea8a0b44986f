/* filter.h: the system calls a boxed program may make.
 *
 * An allow-list in three tiers: allowed; a violation, for what only an attack would try; and
 * refused as not existing, for all else, so that programs fall back. A violation stops the thread
 * in the call, and is told to the listener, whose owner reads the call's name and ends the box;
 * when the listener is gone the call fails. Foreign architectures end the program at once.
 *
 * The filter is made once per cohort-box and loaded once per zygote, whose children inherit it.
 */
#ifndef COHORT_BOX_FILTER_H
#define COHORT_BOX_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

int filter_make(struct err *e) ERR_WARN_UNUSED;

/* Loads it for this process, for good; it needs no_new_privs. more: one further filter may follow.
 * Returns the listener, or -1 with errno set. */
int filter_load(bool more);

/* The name of the call that a listener tells of. False: there is none after all. */
bool filter_violation(int listener, char *name, size_t size);

#endif
