/* cgroup.h: one group of processes for each slot, in the hierarchies of version 1.
 *
 * memory, pids and cpuacct: made once below the group that cohort-box is in, used again for each
 * run, removed at the end. Without write access there is no group, and the box forbids new
 * processes instead.
 */
#ifndef COHORT_BOX_CGROUP_H
#define COHORT_BOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_part { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_PARTS };

struct cgroup {
    bool on;
    int dirs[CGROUP_PARTS];         /* owned descriptors */
    char paths[CGROUP_PARTS][4096]; /* for the removal */
    uint64_t memory_limit, oom_kills;
};

/* on stays false when the machine does not let us. */
void cgroup_open(struct cgroup *g, unsigned slot);
void cgroup_close(struct cgroup *g);

/* Before a run: limits, counters at zero. After clone: the first process. False: not held. */
bool cgroup_reset(struct cgroup *g, uint64_t memory_bytes, uint64_t processes);
bool cgroup_add(const struct cgroup *g, pid_t pid);

uint64_t cgroup_cpu_us(const struct cgroup *g);
uint64_t cgroup_memory_peak(const struct cgroup *g);
bool cgroup_out_of_memory(const struct cgroup *g); /* since the reset */

/* Whether there are that many processes and threads in it. */
bool cgroup_holds(const struct cgroup *g, uint64_t tasks);

/* For people: what bounds the program, "rlimits" without a group. */
const char *cgroup_name(const struct cgroup *g);

/* Removes groups of a cohort-box that was killed. */
void cgroup_sweep(void);

#endif
