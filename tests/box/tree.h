/* tree.h: looking at the processes of a cohort-box from outside, for tests. */
#ifndef COHORT_TESTS_TREE_H
#define COHORT_TESTS_TREE_H

#include <stddef.h>
#include <sys/types.h>

enum { TREE_MAX = 1024 };

/* The children of a process; -1: this kernel does not tell. */
int tree_children(pid_t pid, pid_t ret[TREE_MAX]);

/* The first of them; 0: none. */
pid_t tree_child(pid_t pid);

struct tree_use {
    size_t processes, descriptors, mounts; /* of all processes below a process */
    size_t memory_kib;                     /* theirs alone, not shared with a file */
    size_t groups; /* control groups of boxes, of all processes that were ever seen there */
};

/* All that is below a process, at this moment. */
struct tree_use tree_measure(pid_t pid);

#endif
