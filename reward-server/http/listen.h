/* listen.h: where the HTTP face listens, and the token that it asks for. Called at start, before
 * the process gives up rights: a socket below port 1024 and a token of root's are open by then.
 */
#ifndef COHORT_HTTP_LISTEN_H
#define COHORT_HTTP_LISTEN_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/hash.h"

struct listener {
    int fd;          /* owned; -1 when closed */
    bool tcp;        /* else a Unix socket */
    char *path;      /* owned; of a Unix socket, removed at the end */
    char shown[300]; /* "http://127.0.0.1:8080", "unix:/run/x.sock": with the real port */
};

/* HOST:PORT, [IPv6]:PORT or unix:PATH. Port 0 takes a free one. A Unix socket gets mode 0600; one
 * that nobody listens to any more is replaced. ERR_USAGE for an address that is none. */
int listener_open(const char *address, struct listener *ret, struct err *e) ERR_WARN_UNUSED;
void listener_close(struct listener *l); /* also of a zeroed one with fd -1 */

enum { TOKEN_BYTES_MIN = 16, TOKEN_BYTES_MAX = 512 };

/* The hash of the token: from path when it is given, else from the credential http-token of systemd
 * ($CREDENTIALS_DIRECTORY), else from http-token in the user's configuration directory. A file that
 * is not there is made with a fresh token and mode 0600; one that anybody may read is refused.
 * *ret_path, where it came from, belongs to the caller. */
int token_load(const char *path, struct hash *ret, char **ret_path, struct err *e) ERR_WARN_UNUSED;

#endif
