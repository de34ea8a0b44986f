/* root.h: the read-only root that a zygote and its programs see. */
#ifndef COHORT_BOX_ROOT_H
#define COHORT_BOX_ROOT_H

#include "reward-server/box/language.h"

/* In a fresh mount namespace: the paths of the phase (NULL: none), three devices, an empty place
 * for the work directory; warm: also the library of warm interpreters. What fails is reported by
 * launch_fail. */
void root_make(const struct language_phase *phase, bool warm);

#endif
