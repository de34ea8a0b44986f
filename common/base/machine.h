/* machine.h: what this machine gives to the process. Pure but for reading /proc and /sys. */
#ifndef COHORT_BASE_MACHINE_H
#define COHORT_BASE_MACHINE_H

#include <stdint.h>

/* Bytes of memory that this process may use: the smallest limit of its control groups (version 2 or
 * 1, each level up to the root), or the machine's memory where no limit is below that. */
uint64_t machine_memory_bytes(void);

/* The same from files: cgroup is the text of /proc/self/cgroup, sysfs stands for /sys/fs/cgroup.
 * UINT64_MAX: no limit is set. */
uint64_t machine_cgroup_memory(const char *cgroup, const char *sysfs);

#endif
