/* blas.h: which kernels of OpenBLAS a training process computes its gradients with.
 *
 * OpenBLAS chooses them while the library is loaded, before main, from what it knows of the CPU; a
 * CPU that is newer than the library gets the kernels of an older one. Only OPENBLAS_CORETYPE in
 * the environment of the start changes that, so a process that would do better sets it and executes
 * itself again: same process id, same arguments, once. A value that the user has set stays.
 */
#ifndef COHORT_LEARNER_BLAS_H
#define COHORT_LEARNER_BLAS_H

/* First thing in main, before threads, files and locks. Returns when there is nothing to change. */
void blas_choose(char **argv);

#endif
