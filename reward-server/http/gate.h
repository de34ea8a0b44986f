/* gate.h: who may ask. Decides from the headers of a request alone.
 *
 * Whoever reaches the socket may be a web page in a browser on this machine: it can send requests
 * to any address, or to a name of its own that it lets point here. So over TCP a request needs the
 * token, and must name this server by an address that the server has or by a name that its owner
 * gave; none may come from a page (Origin), and a body must say that it is JSON, which a page
 * cannot do without asking first. A Unix socket is guarded by the permissions of its file; there
 * the token counts only when one is given. Pure; any thread.
 */
#ifndef COHORT_HTTP_GATE_H
#define COHORT_HTTP_GATE_H

#include <stdbool.h>

#include "common/base/hash.h"

enum { GATE_ADDRESS_MAX = 64 };

struct gate {
    bool wants_token;
    struct hash token;        /* of the token's bytes */
    const char *const *names; /* borrowed; further names of this server */
    size_t name_count;
};

/* What the gate looks at. NULL: the header is not there. */
struct gate_request {
    bool has_body;       /* the route takes one */
    bool over_tcp;       /* else the fields below it are not looked at */
    bool loopback;       /* the connection ends at a loopback address ... */
    const char *address; /* ... or anyway at this one, as numbers */
    const char *host, *origin, *content_type, *authorization;
};

/* 0, or the HTTP status to answer with, and why. */
unsigned gate_check(const struct gate *g, const struct gate_request *q, const char **ret_why);

#endif
