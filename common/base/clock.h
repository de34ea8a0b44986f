/* clock.h: the two clocks. Deadlines use the monotonic one; wall time is for people only. */
#ifndef COHORT_BASE_CLOCK_H
#define COHORT_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
int64_t clock_wall_ms(void);    /* since 1970, UTC */
uint64_t clock_thread_ns(void); /* CPU time of the calling thread */

#endif
