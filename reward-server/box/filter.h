/* filter.h: the system calls a boxed program may make.
 *
 * An allow-list in three tiers: allowed; ended at once, which is a violation, for what only an
 * attack would try; and refused as not existing, for all else, so that programs fall back. Foreign
 * architectures are violations. The filter is made once, and loaded in each program.
 */
#ifndef COHORT_BOX_FILTER_H
#define COHORT_BOX_FILTER_H

#include <stdbool.h>

#include "common/base/err.h"

/* Makes both filters: with and without the right to new processes. */
int filter_make(struct err *e) ERR_WARN_UNUSED;

/* Loads one for this process, for good; it needs no_new_privs. False with errno set. */
bool filter_load(bool may_fork);

#endif
