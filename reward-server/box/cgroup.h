/* cgroup.h: a control group for each box: bounds of memory and tasks, and the accounting.
 *
 * Of version 1 (hierarchies memory, pids, cpuacct) or 2, whichever has these controllers here. Made
 * once below the group that cohort-box is in (version 2: or below the one above it, see
 * cgroup_find), used again for each run, removed at the end. Without write access there is no
 * group, and the box forbids new processes instead. Whose a group is, a lock on it says: many
 * cohort-box may use one place, from different pid namespaces too, and each removes what is left of
 * one that was killed.
 */
#ifndef COHORT_BOX_CGROUP_H
#define COHORT_BOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_part { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_PARTS };
enum { CGROUP_NAME_MAX = 64 };

struct cgroup {
    bool on;
    char name[CGROUP_NAME_MAX];
    int dirs[CGROUP_PARTS]; /* owned and locked; of version 2 the first alone */
    int peak;               /* owned; memory.peak of version 2, else -1 */
    bool peak_known;
    uint64_t memory_limit, oom_kills, cpu_us; /* at the last reset */
};

/* Looks where groups can be made, once, before the first is; removes those of a cohort-box that
 * was killed. Version 2 lets no process be in a group that bounds others: this process and its
 * parent move to a group of their own when nobody else is in theirs; else groups are made beside
 * it, where a user may do so (what a service manager calls delegation). */
void cgroup_find(void);
void cgroup_sweep(void); /* groups that nobody holds */

/* on stays false when the machine does not let us. */
void cgroup_open(struct cgroup *g);
void cgroup_close(struct cgroup *g);

/* Before a run: limits, counters at zero. False with errno set: not held. */
bool cgroup_reset(struct cgroup *g, uint64_t memory_bytes, uint64_t processes);
bool cgroup_add(const struct cgroup *g, pid_t pid);

/* Since the reset. */
uint64_t cgroup_cpu_us(const struct cgroup *g);
uint64_t cgroup_memory_peak(const struct cgroup *g); /* 0: this kernel does not tell */
bool cgroup_out_of_memory(const struct cgroup *g);

/* Whether there are that many processes and threads in it. */
bool cgroup_holds(const struct cgroup *g, uint64_t tasks);

/* For people: what bounds the program, "rlimits" without a group. */
const char *cgroup_name(const struct cgroup *g);

#endif
