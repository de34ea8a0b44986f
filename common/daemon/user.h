/* user.h: a daemon that root started becomes another user, once it has opened what only root may.
 * Before any thread.
 */
#ifndef COHORT_DAEMON_USER_H
#define COHORT_DAEMON_USER_H

#include "common/base/err.h"

/* For good. Does nothing when we are not root. A user who could not start this program again is
 * refused: neither could its helpers be. *ret_uid: who we are now. */
int daemon_become(const char *name, unsigned *ret_uid, struct err *e) ERR_WARN_UNUSED;

/* The name of the user that a directory belongs to; NULL when there is none. The caller frees it.
 */
char *daemon_owner(const char *path);

#endif
