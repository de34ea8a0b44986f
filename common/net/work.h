/* work.h: an owner thread with a bounded queue of jobs, and a mailbox into a libuv loop.
 *
 * The only file with locks outside base. A job is a function with an argument; jobs of one worker
 * run in order on its thread. loop_post runs a function on the loop thread, in order.
 */
#ifndef COHORT_NET_WORK_H
#define COHORT_NET_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/base/err.h"

typedef void work_fn(void *arg);

struct work;

/* Starts the thread. queue_max bounds the waiting jobs; work_post blocks at the bound. */
int work_start(
    const char *thread_name, size_t queue_max, struct work **ret, struct err *e) ERR_WARN_UNUSED;
void work_post(struct work *w, work_fn *fn, void *arg); /* any thread */
bool work_idle(struct work *w);                         /* nothing queued or running */
void work_stop(struct work *w); /* runs what is queued, joins, frees; NULL is fine */

struct loop_mail;

/* Mailbox of a loop: opened and closed on its thread, posted to from any thread. It keeps the loop
 * alive while it is open. loop_mail_close runs what is queued and drops later posts; whoever posts
 * must have stopped before the loop turns again, since the mailbox is freed in its close callback.
 * The queue has no bound of its own: each poster's does. */
int loop_mail_open(uv_loop_t *loop, struct loop_mail **ret, struct err *e) ERR_WARN_UNUSED;
void loop_mail_post(struct loop_mail *m, work_fn *fn, void *arg);
void loop_mail_close(struct loop_mail *m); /* NULL is fine */

#endif
