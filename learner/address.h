/* address.h: the directory of a learner's sockets, and RUN/address that tells workers where it is.
 *
 * ipc paths over 107 bytes do not exist, and a run directory may be anywhere: so the sockets live
 * in a short directory of their own, which only its owner may enter (mode 0700). That is what
 * protects a run without keys.
 */
#ifndef COHORT_LEARNER_ADDRESS_H
#define COHORT_LEARNER_ADDRESS_H

#include <stdbool.h>

#include "common/base/err.h"

/* net_dir: the configured directory, made when missing; or "": then the one that RUN/address names
 * when it still is ours alone, else a fresh one under XDG_RUNTIME_DIR or /tmp. Absolute; to be
 * freed. */
int address_dir(
    const char *run_dir, const char *net_dir, char **ret, struct err *e) ERR_WARN_UNUSED;

/* Writes ipc://DIR to RUN/address. Last thing of a start: whoever reads it may connect. */
int address_write(const char *run_dir, const char *dir, struct err *e) ERR_WARN_UNUSED;

/* The run has finished: workers that come later need not wait for a learner. */
void address_set_ended(const char *run_dir);
/* First thing of a start, under the lock on RUN: takes that back. */
void address_clear_ended(const char *run_dir);

#endif
