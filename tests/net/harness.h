/* harness.h: a loop, a private directory and a watchdog for the tests of the net layer. */
#ifndef COHORT_TESTS_NET_HARNESS_H
#define COHORT_TESTS_NET_HARNESS_H

#include <stdbool.h>
#include <uv.h>

struct harness {
    uv_loop_t loop;
    uv_timer_t watchdog; /* ends a test that waits for what never comes */
    char dir[64];
    char address[96]; /* ipc://DIR/ctl */
    char base[80];    /* ipc://DIR */
};

void harness_init(struct harness *h);

/* Turns the loop until the condition holds, a C expression; a test that would wait for ever is
 * ended. */
#define HARNESS_UNTIL(h, condition)                                                                \
    do {                                                                                           \
        harness_watch(h);                                                                          \
        while (!(condition))                                                                       \
            (void)uv_run(&(h)->loop, UV_RUN_ONCE);                                                 \
        (void)uv_timer_stop(&(h)->watchdog);                                                       \
    } while (0)
void harness_watch(struct harness *h);
void harness_until(struct harness *h, const bool *condition);

/* Turns the loop as long as something is ready, without waiting. */
void harness_settle(struct harness *h);

/* Runs what is left to close, and fails when a handle was forgotten. */
void harness_done(struct harness *h);

#endif
